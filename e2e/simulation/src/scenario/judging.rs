//! Versions that are measured and judged.

use serde_json::json;

use super::ends::until;
use super::objects::{deployment, own};
use super::{Action, NAMESPACE, Scenario};
use crate::api::{Key, Store};
use crate::models::has_condition;
use crate::models::pods::Fate;

/// One step that scores, a version of what it made, and costs by which the version is judged.
fn judged() -> Vec<(u64, Action)> {
    let pipeline = own(
        "MLPipeline",
        "churn",
        &json!({
            "image": "churn:1",
            "steps": [{"name": "train", "command": ["train"], "inputs": [{"name": "raw", "uri": "http://data/raw"}],
                       "outputs": [{"name": "model", "type": "Model"}, {"name": "scored", "type": "Predictions"}]}],
            "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                           "evidence": [{"step": "train", "output": "scored"}]}],
        }),
    );
    let model = |miss: &str, label: &str| {
        own(
            "Model",
            "churn",
            &json!({
                "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "Find who leaves", "uses": ["Realtime"],
                "task": {"type": "BinaryClassification", "positiveLabel": "1"},
                "evaluation": {"uri": "http://data/labels.csv", "id": "customer", "label": label},
                "errorCosts": {"falsePositive": "1", "falseNegative": miss, "unit": "EUR", "prevalence": "0.07", "statusQuo": "FlagNone"},
                "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
            }),
        )
    };
    // Another cost measures nothing again; another label does, also while a Job goes on that measures by the former.
    vec![
        (0, model("20", "churned")),
        (0, deployment()),
        (1, pipeline),
        (12, model("20", "moved")),
        (40, model("30", "moved")),
        (200, model("30", "left")),
    ]
}

/// The first Job that measures fails by its pods, and a pod of the second is evicted.
fn unmeasured(step: &str, before: usize) -> Fate {
    match (step, before) {
        ("judge", 0..=2) => Fate::Fails(1),
        ("judge", 3) => Fate::Evicted,
        _ => Fate::Succeeds,
    }
}

/// What is missing until version 1 of the model is judged by these labels.
fn judgement(store: &Store, label: &str) -> Option<String> {
    let version = store.get(&Key::new("ModelVersion", NAMESPACE, "churn-v1"));
    let Some(version) = version else { return Some("there is no version churn-v1".to_owned()) };
    let status = &version["status"];
    if !status["measuring"].is_null() || status["measurement"]["key"].is_null() || !has_condition(version, "Passed") {
        return Some(format!("churn-v1 is not judged, but {status}"));
    }
    let model = store.get(&Key::new("Model", NAMESPACE, "churn"));
    let is_newest = model.is_some_and(|model| model["spec"]["evaluation"]["label"] == label);
    (!is_newest).then(|| format!("the labels are not \"{label}\" yet"))
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![Scenario {
        name: "judged",
        actions: judged(),
        fates: unmeasured,
        missing: |store| until(store, &[("churn-c1", true)], Some("churn-v1")).or_else(|| judgement(store, "left")),
        once: true,
    }]
}
