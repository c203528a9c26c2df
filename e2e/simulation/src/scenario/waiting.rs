//! Runs that wait for what people have to do, and say so.

use serde_json::{Value, json};

use super::Action::{Await, Merge};
use super::ends::{get, label, reason, until, well};
use super::objects::{own, pipeline, pipeline_spec, run};
use super::{Action, Scenario};
use crate::api::Store;
use crate::models::{has_condition, has_ended};

/// The pipeline, suspended or not.
fn suspended(image: &str, is_suspended: bool) -> Action {
    let mut spec = pipeline_spec(image, "http://data/raw");
    spec["suspend"] = is_suspended.into();
    own("MLPipeline", "churn", &spec)
}

/// The Job of the step `train` of the first run; null where there is none.
fn training(store: &Store) -> &Value {
    let is_its = |job: &&Value| {
        ["run", "step", "component"].map(|name| label(job, &format!("seatrial.dev/{name}")))
            == ["churn-c1", "train", "step"]
    };
    store.of_kind("Job").map(|(_, job)| job.as_ref()).find(is_its).unwrap_or(&Value::Null)
}

/// The pods of that Job that have not ended.
fn at_work(store: &Store) -> usize {
    let uid = &training(store)["metadata"]["uid"];
    let is_its = |pod: &Value| &pod["metadata"]["ownerReferences"][0]["uid"] == uid && !has_ended(pod);
    store.of_kind("Pod").filter(|(_, pod)| is_its(pod)).count()
}

/// A queue for Jobs holds that Job back, or lets it go.
fn hold(store: &Store, holds: bool) -> Option<(&'static str, String, Value)> {
    let name = training(store)["metadata"]["name"].as_str()?;
    Some(("Job", name.to_owned(), json!({"spec": {"suspend": holds}})))
}

/// Whether these runs have not begun, since their pipeline is suspended.
fn wait_for_it(store: &Store, runs: &[&str]) -> bool {
    let waits = |name: &&str| {
        let run = get(store, "MLPipelineRun", name);
        reason(run, "Succeeded") == "Suspended" && run["status"]["startedAt"].is_null()
    };
    runs.iter().all(waits)
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "late-store",
            actions: vec![
                (0, own("MLPipeline", "churn", &pipeline_spec("churn:1", "s3://lake/raw"))),
                (
                    1,
                    Await("the run says that there is no Store", |store| {
                        let run = get(store, "MLPipelineRun", "churn-c1");
                        let step = &run["status"]["steps"][0];
                        step["reason"] == "StoreNotFound"
                            && step["message"].as_str().is_some_and(|said| said.contains("s3://lake/raw"))
                            && reason(run, "Succeeded") == "Waiting"
                    }),
                ),
                (60, own("Store", "lake", &json!({"prefix": "s3://lake/"}))),
            ],
            fates: well,
            missing: |store| until(store, &[("churn-c1", true)], None),
            once: true,
        },
        Scenario {
            name: "suspended",
            actions: vec![
                (0, pipeline("churn:1")),
                (1, Await("the first run is under way", |store| at_work(store) > 0)),
                (1, suspended("churn:2", true)),
                (2, run("one")),
                (2, Merge(|store| hold(store, true))),
                (
                    3,
                    Await("the queue has stopped the Job", |store| {
                        at_work(store) == 0 && has_condition(training(store), "Suspended")
                    }),
                ),
                (60, Merge(|store| hold(store, false))),
                (
                    61,
                    Await("what was under way went on, and nothing else began", |store| {
                        until(store, &[("churn-c1", true)], None).is_none()
                            && wait_for_it(store, &["one"])
                            && get(store, "MLPipelineRun", "churn-c2").is_null()
                    }),
                ),
                (100, suspended("churn:2", false)),
            ],
            fates: well,
            missing: |store| until(store, &[("churn-c1", true), ("one", true), ("churn-c2", true)], None),
            once: true,
        },
        Scenario {
            name: "revision-gone",
            actions: vec![
                (0, pipeline("churn:1")),
                (1, Await("the first run trains", |store| at_work(store) > 0)),
                (1, pipeline("churn:2")),
                (
                    2,
                    Await("the second run waits for the first, or is under way itself", |store| {
                        let second = get(store, "MLPipelineRun", "churn-c2");
                        reason(second, "Succeeded") == "Queued" || !second["status"]["startedAt"].is_null()
                    }),
                ),
                (2, Action::Delete("ControllerRevision", "churn-c1")),
                (2, Action::Delete("ControllerRevision", "churn-c2")),
                (2, pipeline("churn:3")),
            ],
            fates: well,
            missing: |store| {
                let ended = |name: &&str| !get(store, "MLPipelineRun", name)["status"]["finishedAt"].is_null();
                if let Some(open) = ["churn-c1", "churn-c2"].iter().find(|name| !ended(name)) {
                    return Some(format!("run {open} has not ended"));
                }
                // The second change was not begun: what is written down anew under its number is what people want by now.
                let revisions =
                    store.of_kind("ControllerRevision").filter(|(_, it)| it["data"]["spec"]["image"] == "churn:3");
                let names: Vec<&str> = revisions.map(|(key, _)| key.name.as_str()).collect();
                let [name] = names.as_slice() else {
                    return Some(format!("one revision should be the newest: {names:?}"));
                };
                until(store, &[(name, true)], None)
            },
            once: false,
        },
    ]
}
