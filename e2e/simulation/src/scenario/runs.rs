//! Runs whose steps fail, are evicted, or are made by hand.

use serde_json::json;

use super::ends::{until, well};
use super::objects::{own, pipeline, run};
use super::{Action, Scenario};
use crate::models::pods::Fate;

/// The first pods of `train` come to grief: one fails, one is evicted.
fn troubled(step: &str, before: usize) -> Fate {
    match (step, before) {
        ("train", 0) => Fate::Fails(1),
        ("train", 1) => Fate::Evicted,
        _ => Fate::Succeeds,
    }
}

fn hopeless(step: &str, _: usize) -> Fate {
    if step == "train" { Fate::Fails(3) } else { Fate::Succeeds }
}

/// Somebody injects a container that never ends into the pods of `train`.
fn injected(step: &str, _: usize) -> Fate {
    if step == "train" { Fate::Lingers } else { Fate::Succeeds }
}

/// For longer than any simulation takes.
const FOR_EVER: u64 = 1_000_000;

/// Nodes stop answering while pods are at work on them. The first is taken out of the cluster before its pods are told to
/// end, the second never.
fn lost(step: &str, before: usize) -> Fate {
    match (step, before) {
        ("prepare", 0) => Fate::NodeLost { gone_after: 120, finishes: false },
        ("tell", 0) => Fate::NodeLost { gone_after: FOR_EVER, finishes: false },
        _ => Fate::Succeeds,
    }
}

/// A step that makes something, and one that makes nothing: the pods of the latter have a minute and a half to end.
fn pipeline_that_tells() -> Action {
    let prepare = json!({"name": "prepare", "command": ["prepare"], "outputs": [{"name": "data", "type": "Dataset"}]});
    let input = json!({"name": "data", "from": {"step": "prepare", "output": "data"}});
    let tell = json!({"name": "tell", "command": ["tell"], "inputs": [input]});
    own("MLPipeline", "churn", &json!({"image": "churn:1", "steps": [prepare, tell]}))
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "retries",
            actions: vec![(0, pipeline("churn:1"))],
            fates: troubled,
            missing: |store| until(store, &[("churn-c1", true)], None),
            once: true,
        },
        Scenario {
            name: "failure",
            actions: vec![(0, pipeline("churn:1"))],
            fates: hopeless,
            missing: |store| until(store, &[("churn-c1", false)], None),
            once: false,
        },
        Scenario {
            name: "injected",
            actions: vec![(0, pipeline("churn:1"))],
            fates: injected,
            missing: |store| until(store, &[("churn-c1", true)], None),
            once: true,
        },
        Scenario {
            name: "by-hand",
            actions: vec![(0, pipeline("churn:1")), (2, run("one")), (2, run("two")), (40, pipeline("churn:2"))],
            fates: well,
            missing: |store| {
                until(store, &[("churn-c1", true), ("one", true), ("two", true), ("churn-c2", true)], None)
            },
            once: true,
        },
        Scenario {
            name: "node-lost",
            actions: vec![(0, pipeline_that_tells())],
            fates: lost,
            missing: |store| until(store, &[("churn-c1", true)], None),
            once: true,
        },
    ]
}
