//! Runs whose steps fail, are evicted, or are made by hand.

use super::Scenario;
use super::ends::{until, well};
use super::objects::{pipeline, run};
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
    ]
}
