//! Versions that come to serve, and what keeps them at it.

use super::Action::Await;
use super::Scenario;
use super::ends::{get, label, pods_of, reason, servers, serves, until, well};
use super::objects::{deployment, model, pipeline, scaled};
use crate::api::Store;
use crate::models::has_condition;
use crate::models::pods::Fate;

/// The servers of the second version crash.
fn crashing(step: &str, _: usize) -> Fate {
    if step == "churn-v2" { Fate::Crashes } else { Fate::Succeeds }
}

/// What is missing until version 1 serves with two servers, and those of version 2 were tried and crash.
fn first_serves_on(store: &Store) -> Option<String> {
    let (service, deployment) = (get(store, "Service", "churn"), get(store, "ModelDeployment", "churn"));
    let ready = pods_of(store, "churn-v1").into_iter().filter(|pod| has_condition(pod, "Ready")).count();
    let crashed =
        pods_of(store, "churn-v2").into_iter().any(|pod| pod["status"].to_string().contains("CrashLoopBackOff"));
    if label(service, "seatrial.dev/version") != "churn-v1" || ready != 2 {
        return Some(format!(
            "churn-v1 should serve with 2 servers, but {ready} are ready, and the Service says {service}"
        ));
    }
    let is_told = reason(deployment, "Ready") == "ServerFailed" && deployment["status"]["servedVersion"] == "churn-v1";
    (!crashed || !is_told).then(|| format!("churn-v2 should have been tried, and be told of: {}", deployment["status"]))
}

/// All pods make files of the same digests.
fn alike(step: &str, _: usize) -> Fate {
    if step.starts_with("churn-v") { Fate::Succeeds } else { Fate::SucceedsAlike }
}

/// What is missing until version 2 serves by the servers of version 1.
fn taken_over(store: &Store) -> Option<String> {
    let made = get(store, "ModelVersion", "churn-v2")["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    let pods = pods_of(store, "churn-v2");
    let is_older = |pod: &&serde_json::Value| pod["metadata"]["creationTimestamp"].as_str().is_some_and(|at| at < made);
    if pods.len() != 1 || !pods.iter().all(is_older) {
        return Some("churn-v2 should serve by the server that was there".to_owned());
    }
    let generation = &servers(store, "churn-v2")["metadata"]["generation"];
    (generation != 1).then(|| format!("the servers' spec was changed: generation {generation}"))
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "release",
            actions: vec![(0, model()), (0, deployment()), (1, pipeline("churn:1"))],
            fates: well,
            missing: |store| until(store, &[("churn-c1", true)], Some("churn-v1")),
            once: true,
        },
        Scenario {
            name: "change",
            actions: vec![(0, pipeline("churn:1")), (0, model()), (0, deployment()), (60, pipeline("churn:2"))],
            fates: well,
            missing: |store| until(store, &[("churn-c1", true), ("churn-c2", true)], Some("churn-v2")),
            once: true,
        },
        Scenario {
            name: "zero",
            actions: vec![
                (0, model()),
                (0, deployment()),
                (1, pipeline("churn:1")),
                (2, Await("churn-v1 serves", |store| serves(store, "churn-v1"))),
                (2, scaled(0)),
                (
                    3,
                    Await("no server runs, and that is said", |store| {
                        let deployment = get(store, "ModelDeployment", "churn");
                        pods_of(store, "churn-v1").is_empty() && reason(deployment, "Ready") == "ScaledToZero"
                    }),
                ),
                (3, pipeline("churn:2")),
                (
                    4,
                    Await("churn-v2 passed, and is no more than a candidate", |store| {
                        let deployment = get(store, "ModelDeployment", "churn");
                        has_condition(get(store, "ModelVersion", "churn-v2"), "Passed")
                            && deployment["status"]["candidateVersion"] == "churn-v2"
                            && deployment["status"]["servedVersion"] == "churn-v1"
                    }),
                ),
                (60, scaled(2)),
            ],
            fates: crashing,
            missing: |store| {
                until(store, &[("churn-c1", true), ("churn-c2", true)], None).or_else(|| first_serves_on(store))
            },
            once: true,
        },
        Scenario {
            name: "same-files",
            actions: vec![
                (0, model()),
                (0, deployment()),
                (1, pipeline("churn:1")),
                (2, Await("churn-v1 serves", |store| serves(store, "churn-v1"))),
                (2, pipeline("churn:2")),
            ],
            fates: alike,
            missing: |store| {
                until(store, &[("churn-c1", true), ("churn-c2", true)], Some("churn-v2")).or_else(|| taken_over(store))
            },
            once: true,
        },
    ]
}
