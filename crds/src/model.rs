//! Model: the product owner's questions, gates and waivers.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::approval::ApprovalGate;
use crate::limits;
use crate::objectives::{ChampionGate, Consumer, CostGate, ErrorCosts, Evaluation, Fairness, Task, consumers};
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
    // The whole list, as JSON: the API server prints the first result of a path alone, so that `.spec.uses[*]` would hide the
    // second use.
    printcolumn(name = "Uses", type_ = "string", json_path = ".spec.uses"),
    printcolumn(name = "Serving", type_ = "string", json_path = ".status.servedVersions"),
    printcolumn(name = "Headline", type_ = "string", json_path = ".status.headline"),
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
    /// task is what the model decides. Predictions are measured for a task of BinaryClassification or Regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// evaluation are the owner's labels, which predictions are compared with. Absent: the labels that stand beside the
    /// predictions, and every verdict says SelfReported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// errorCosts are what the errors of the model cost. No version passes while it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_costs: Option<ErrorCosts>,
    /// fairness is which groups the model must treat alike. No version passes while it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness: Option<Fairness>,
    /// consumers are those who ask the model; an empty list says that nobody in the cluster does. No version passes while
    /// it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Consumer>", transform = consumers)]
    pub consumers: Option<Vec<Consumer>>,
    /// budget is what the model may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// gates say what is asked of a version beyond the answers above. A version passes when every gate and every answer does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = gates)]
    pub gates: Vec<Gate>,
    /// enforcement is what becomes of versions that do not pass: Block (the default) keeps every ModelDeployment from taking
    /// one, Warn lets it and says so. What serves already is never withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Enforcement")]
    pub enforcement: Option<Enforcement>,
    /// waivers let single versions pass without some gates for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = waivers)]
    pub waivers: Vec<Waiver>,
}

/// What becomes of versions that do not pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// No ModelDeployment takes one.
    #[default]
    Block,
    /// A ModelDeployment may take one; a condition and an event say so.
    Warn,
}

/// The owner's word that a version may serve though it does not meet some gates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// version is the version's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = limits::NAME_PATTERN))]
    pub version: String,
    /// digest is the digest of the version's artifact, as the version's spec.artifact has it: a waiver counts for these
    /// files alone.
    #[schemars(length(max = limits::DIGEST), regex(pattern = limits::DIGEST_PATTERN))]
    pub digest: String,
    /// gates are the gates that are waived, by the names that the version's judgement has: a gate's own, errorCosts,
    /// fairness.<rule>, budget.maxSize. A question that nobody answered cannot be waived.
    #[schemars(transform = waived_gates)]
    pub gates: Vec<String>,
    /// reason is why, for those who read it later.
    #[schemars(length(min = 1, max = limits::SENTENCE))]
    pub reason: String,
    /// expiresAt is until when the waiver counts. After that what serves goes on serving, and no ModelDeployment begins to
    /// serve the version.
    pub expires_at: Time,
}

fn waivers(schema: &mut Schema) {
    atomic_list(schema, limits::WAIVERS);
}

fn waived_gates(schema: &mut Schema) {
    set_list(schema, limits::GATES);
    schema.insert("minItems".into(), 1.into());
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("minLength".into(), 1.into());
        items.insert("maxLength".into(), limits::VERDICT_NAME.into());
    }
}

fn publishers(schema: &mut Schema) {
    atomic_list(schema, limits::PUBLISHERS);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), limits::PIPELINE_NAME.into());
    }
}

fn unanswered(schema: &mut Schema) {
    atomic_list(schema, 8);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), limits::NAME.into());
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
    rule("(self.type == 'Metric') == has(self.metric) && (self.type == 'Cost') == has(self.cost) && (self.type == 'Champion') == has(self.champion) && (self.type == 'Approval') == has(self.approval)", "a gate has exactly the field that its type names: metric with type Metric, cost with type Cost, champion with type Champion, approval with type Approval"),
]))]
pub struct Gate {
    /// name is the gate's name, unique in its model.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// type is what kind of gate it is: Metric, Cost, Champion or Approval.
    #[serde(rename = "type")]
    pub kind: GateType,
    /// metric bounds a headline metric, with type Metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricGate>,
    /// cost bounds what the errors of a version cost, with type Cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostGate>,
    /// champion says how a version must compare with the one in service, with type Champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<ChampionGate>,
    /// approval says who must approve a version, with type Approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalGate>,
}

/// The kinds of gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateType {
    /// A metric within bounds.
    Metric,
    /// What errors cost, for each prediction.
    Cost,
    /// A duel with the champion on the same rows.
    Champion,
    /// The word of people.
    Approval,
}

/// Bounds of a metric, both included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.min) || has(self.max)", "a metric gate needs min or max"),
    rule("!has(self.quantile) || self.name == 'pinball'", "quantile goes with the metric pinball"),
]))]
pub struct MetricGate {
    /// name is the metric's name: one that the judge measures, else one that a step wrote.
    #[schemars(length(min = 1, max = limits::METRIC_NAME))]
    pub name: String,
    /// quantile is the quantile that predictions are of, a decimal between 0 and 1, both excluded: with name pinball.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::PROPORTION_PATTERN))]
    pub quantile: Option<String>,
    /// min is the smallest value that passes, a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::DECIMAL_PATTERN))]
    pub min: Option<String>,
    /// max is the largest value that passes, a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::DECIMAL_PATTERN))]
    pub max: Option<String>,
    /// confidence is the level at which the bounds must hold, a decimal such as 0.95; absent: the point estimate decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::CONFIDENCE_PATTERN))]
    pub confidence: Option<String>,
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
    /// champion is the version that gates of type Champion compare the next one with: the newest in service, else the newest
    /// release that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::RUN_NAME))]
    pub champion: Option<String>,
    /// gatesRevision is the ControllerRevision that has what versions are judged by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub gates_revision: Option<String>,
    /// unanswered are the questions that keep every version from Passed: errorCosts, fairness, consumers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = unanswered)]
    pub unanswered: Vec<String>,
    /// publishers are the pipelines that made versions of the model, by name. More than one is rarely meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = publishers)]
    pub publishers: Vec<String>,
    /// serving are the ModelDeployments that serve the model, with the version that each serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = serving)]
    pub serving: Vec<ServedVersion>,
    /// servedVersions are the versions that serve, newest first, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SENTENCE))]
    pub served_versions: Option<String>,
    /// headline is what says most about the newest version that serves; where none does, about the newest that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::HEADLINE))]
    pub headline: Option<String>,
    /// waiting is what the newest released version waits for until it may serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = waiting)]
    pub waiting: Vec<WaitingVersion>,
    /// conditions: Ready, Answered, ServingMeetsGates, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

/// A version that serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedVersion {
    /// deployment is the ModelDeployment's name.
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub deployment: String,
    /// version is the version's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub version: String,
    /// since is when it began to serve there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What a version waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingVersion {
    /// version is the version's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub version: String,
    /// gate is what is not decided yet, by the name that the judgement has; absent while the version is being measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::VERDICT_NAME))]
    pub gate: Option<String>,
    /// for is what must happen.
    #[serde(rename = "for")]
    #[schemars(length(max = limits::SENTENCE))]
    pub waits_for: String,
}

fn serving(schema: &mut Schema) {
    atomic_list(schema, limits::SERVING);
}

fn waiting(schema: &mut Schema) {
    atomic_list(schema, limits::WAITING);
}
