//! Versions that come to serve, and what keeps them at it.

use super::Scenario;
use super::ends::{until, well};
use super::objects::{deployment, model, pipeline};

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
    ]
}
