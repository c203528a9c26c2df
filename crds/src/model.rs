use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::schema::{atomic_list, list_map, quantity, rule, set_list};

/// The product owner's word on a model: who owns it, what it is for, and what its versions are judged by.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "Model",
    plural = "models",
    namespaced,
    category = "seatrial",
    status = "ModelStatus",
    derive = "PartialEq",
    doc = "Model is the product owner's word on a model: who owns it, what it is for, and the gates that judge each of its versions.",
    printcolumn(name = "Team", type_ = "string", json_path = ".spec.owner.team"),
    printcolumn(name = "Uses", type_ = "string", json_path = ".spec.uses"),
    printcolumn(name = "Newest", type_ = "string", json_path = ".status.newestVersion"),
    printcolumn(name = "Passed", type_ = "string", json_path = ".status.passedVersion"),
    printcolumn(name = "Objective", type_ = "string", json_path = ".spec.objective", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
pub struct ModelSpec {
    /// owner is who answers for the model.
    pub owner: Owner,
    /// objective is what the model is to achieve, in a sentence for people.
    #[schemars(length(min = 1, max = limits::SENTENCE))]
    pub objective: String,
    /// uses are how predictions are consumed: Realtime, Batch, or both.
    #[schemars(transform = uses)]
    pub uses: Vec<Use>,
    /// budget is what the model may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// gates judge each version. A version passes when every gate does; without gates it stays unjudged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = gates)]
    pub gates: Vec<Gate>,
}

fn publishers(schema: &mut Schema) {
    atomic_list(schema, limits::PUBLISHERS);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), limits::PIPELINE_NAME.into());
    }
}

fn uses(schema: &mut Schema) {
    set_list(schema, 2);
    schema.insert("minItems".into(), 1.into());
}

fn gates(schema: &mut Schema) {
    list_map(schema, "name", limits::GATES);
}

/// Who answers for a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// team is the team's name.
    #[schemars(length(min = 1, max = 63))]
    pub team: String,
    /// contact is where the team is reached.
    #[schemars(length(min = 1, max = 253))]
    pub contact: String,
}

/// How predictions are consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Use {
    /// One by one, by a service.
    Realtime,
    /// Many at a time, by a job.
    Batch,
}

/// What a model may cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// maxSize is the most that a version's files may take together. A larger version fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub max_size: Option<Quantity>,
}

/// One condition that a version must meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("(self.type == 'Metric') == has(self.metric)", "a gate has exactly the field that its type names: metric with type Metric"),
]))]
pub struct Gate {
    /// name is the gate's name, unique in its model.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// type is what kind of gate it is: Metric.
    #[serde(rename = "type")]
    pub kind: GateType,
    /// metric bounds a headline metric, with type Metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricGate>,
}

/// The kinds of gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateType {
    /// A headline metric within bounds.
    Metric,
}

/// Bounds of a headline metric, both included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.min) || has(self.max)", "a metric gate needs min or max"),
]))]
pub struct MetricGate {
    /// name is the metric's name, as the evaluation step writes it.
    #[schemars(length(min = 1, max = limits::METRIC_NAME))]
    pub name: String,
    /// min is the smallest value that passes, a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::DECIMAL_PATTERN))]
    pub min: Option<String>,
    /// max is the largest value that passes, a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::DECIMAL_PATTERN))]
    pub max: Option<String>,
}

/// What the operator found out about a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// observedGeneration is the generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// newestVersion is the name of the newest released version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::RUN_NAME))]
    pub newest_version: Option<String>,
    /// passedVersion is the name of the newest released version that passed every gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::RUN_NAME))]
    pub passed_version: Option<String>,
    /// publishers are the pipelines that made versions of the model, by name. More than one is rarely meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = publishers)]
    pub publishers: Vec<String>,
    /// conditions: Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}
