//! What people delete, and make again from a copy.

use super::Action::Await;
use super::ends::{serves, until, well};
use super::objects::{deployment, model, pipeline, run};
use super::{Action, NAMESPACE, Scenario};
use crate::api::Key;

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "deletions",
            actions: vec![
                (0, pipeline("churn:1")),
                (1, run("one")),
                (4, Action::Delete("MLPipelineRun", "one")),
                (90, Action::Delete("MLPipeline", "churn")),
                (100, pipeline("churn:2")),
            ],
            fates: well,
            missing: |store| until(store, &[("churn-c2", true)], None),
            once: true,
        },
        Scenario {
            name: "restored-run",
            actions: vec![
                (0, pipeline("churn:1")),
                (0, model()),
                (0, deployment()),
                (60, pipeline("churn:2")),
                (61, Await("churn-v2 serves", |store| serves(store, "churn-v2"))),
                (700, Action::Restore("MLPipelineRun", "churn-c1")),
            ],
            fates: well,
            missing: |store| {
                let runs = [("churn-c1", false), ("churn-c2", true)];
                until(store, &runs, Some("churn-v2")).or_else(|| {
                    let run = store.get(&Key::new("MLPipelineRun", NAMESPACE, "churn-c1"))?;
                    let is_restored = run["status"].to_string().contains("\"Restored\"");
                    (!is_restored).then(|| "churn-c1 should have ended as Restored".to_owned())
                })
            },
            once: true,
        },
        Scenario {
            name: "restored-pipeline",
            actions: vec![
                (0, pipeline("churn:1")),
                (0, model()),
                (0, deployment()),
                (1, Await("churn-v1 serves", |store| serves(store, "churn-v1"))),
                (200, Action::Restore("MLPipeline", "churn")),
                (260, pipeline("churn:2")),
            ],
            fates: well,
            missing: |store| {
                until(store, &[("churn-c2", true)], Some("churn-v2")).or_else(|| {
                    let third = store.get(&Key::new("MLPipelineRun", NAMESPACE, "churn-c3"));
                    third.map(|_| "the restored pipeline started a run".to_owned())
                })
            },
            once: true,
        },
    ]
}
