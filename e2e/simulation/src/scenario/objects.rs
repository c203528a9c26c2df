//! What people apply.

use serde_json::{Value, json};

use super::Action;

pub(super) fn own(kind: &str, name: &str, spec: &Value) -> Action {
    Action::Apply(
        json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}),
    )
}

/// Two steps, the second of which trains, and a version of what it made.
pub(super) fn pipeline(image: &str) -> Action {
    own("MLPipeline", "churn", &pipeline_spec(image, "http://data/raw"))
}

/// The same, which reads from there.
pub(super) fn pipeline_spec(image: &str, raw: &str) -> Value {
    json!({
            "image": image,
            "steps": [
                {"name": "prepare", "command": ["prepare"], "inputs": [{"name": "raw", "uri": raw}],
                 "outputs": [{"name": "train", "type": "Dataset"}]},
                {"name": "train", "command": ["train"], "retry": {"limit": 2},
                 "inputs": [{"name": "train", "from": {"step": "prepare", "output": "train"}}],
                 "outputs": [{"name": "model", "type": "Model"}, {"name": "metrics", "type": "Metrics"}]},
            ],
            "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                           "evidence": [{"step": "train", "output": "metrics"}]}],
    })
}

pub(super) fn model() -> Action {
    model_with("0.8")
}

/// The Model, with this bar. What is made has 0.9.
pub(super) fn model_with(bar: &str) -> Action {
    own(
        "Model",
        "churn",
        &json!({
            "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "Find who leaves", "uses": ["Realtime"],
            "errorCosts": {"notApplicable": {"reason": "x"}}, "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
            "gates": [{"name": "good", "type": "Metric", "metric": {"name": "auc", "min": bar}}],
        }),
    )
}

pub(super) fn deployment() -> Action {
    scaled(1)
}

/// The ModelDeployment, with so many servers.
pub(super) fn scaled(replicas: u32) -> Action {
    let server = json!({"image": "server:1", "port": 8080});
    own("ModelDeployment", "churn", &json!({"model": "churn", "server": server, "replicas": replicas}))
}

pub(super) fn run(name: &str) -> Action {
    own("MLPipelineRun", name, &json!({"pipeline": "churn"}))
}
