use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::model::GateType;
use crate::run::{ParameterValue, Purpose};
use crate::schema::{list_map, rule};

/// One version of a model, with where it came from and what it was judged to be.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "ModelVersion",
    plural = "modelversions",
    shortname = "mv",
    namespaced,
    category = "seatrial",
    status = "ModelVersionStatus",
    derive = "PartialEq",
    doc = "ModelVersion is one version of a model: immutable, with where it came from and what it was judged to be. Its name is the model's, -v, and the number.",
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Number", type_ = "integer", json_path = ".spec.number", priority = 1),
    printcolumn(name = "Purpose", type_ = "string", json_path = ".spec.purpose"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Run", type_ = "string", json_path = ".spec.lineage.run"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".spec.artifact.digest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self == oldSelf", "a version's spec is immutable"),
]))]
pub struct ModelVersionSpec {
    /// model is the model's name.
    #[schemars(length(min = 1, max = limits::MODEL_NAME), regex(pattern = limits::NAME_PATTERN))]
    pub model: String,
    /// number is the version's number, counted from 1 and never used twice.
    #[schemars(range(min = 1, max = 999_999_999))]
    pub number: i64,
    /// purpose is Release or Experiment, as the run's.
    pub purpose: Purpose,
    /// artifact is the model's files.
    pub artifact: Artifact,
    /// evidence are the artifacts that the version is judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::EVIDENCE))]
    pub evidence: Vec<Evidence>,
    /// metrics are the headline metrics of the evidence, as decimals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = metrics)]
    pub metrics: Vec<Metric>,
    /// lineage is where the version came from.
    pub lineage: Lineage,
}

fn metrics(schema: &mut Schema) {
    list_map(schema, "name", limits::METRICS);
}

/// A headline metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// name is the metric's name, as the step wrote it.
    #[schemars(length(min = 1, max = limits::METRIC_NAME))]
    pub name: String,
    /// value is a decimal.
    #[schemars(length(max = 40))]
    pub value: String,
}

/// Files in a store, named by their content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// uri is where the artifact is.
    #[schemars(length(max = limits::URI), regex(pattern = limits::URI_PATTERN))]
    pub uri: String,
    /// digest is the SHA-256 of the canonical list of its files.
    #[schemars(length(max = 71), regex(pattern = limits::DIGEST_PATTERN))]
    pub digest: String,
    /// size is the sum of its files' sizes in bytes.
    #[schemars(range(min = 0))]
    pub size: i64,
}

/// An artifact that a version is judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// step is the step that made it.
    #[schemars(length(max = limits::NAME))]
    pub step: String,
    /// output is the step's output.
    #[schemars(length(max = limits::NAME))]
    pub output: String,
    /// artifact is the evidence's files.
    pub artifact: Artifact,
}

/// Where a version came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lineage {
    /// pipeline is the pipeline's name.
    #[schemars(length(max = limits::PIPELINE_NAME))]
    pub pipeline: String,
    /// run is the run's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub run: String,
    /// runUid is the run's UID.
    #[schemars(length(max = 63))]
    pub run_uid: String,
    /// revision is the ControllerRevision with the spec that was executed.
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub revision: String,
    /// parameters are the values of all parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = parameters)]
    pub parameters: Vec<ParameterValue>,
    /// inputs are the data that came in by URI, with their digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::URI_INPUTS))]
    pub inputs: Vec<LineageInput>,
    /// images are the images of the steps, as really run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::STEPS))]
    pub images: Vec<LineageImage>,
}

fn parameters(schema: &mut Schema) {
    list_map(schema, "name", limits::PARAMETERS);
}

/// Data that came in by URI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineageInput {
    /// step is the step that read it.
    #[schemars(length(max = limits::NAME))]
    pub step: String,
    /// name is the input's name.
    #[schemars(length(max = limits::NAME))]
    pub name: String,
    /// uri is where it was read from.
    #[schemars(length(max = limits::URI))]
    pub uri: String,
    /// digest is the digest of the data as it was read.
    #[schemars(length(max = 71))]
    pub digest: String,
}

/// An image as it was really run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineageImage {
    /// step is the step's name.
    #[schemars(length(max = limits::NAME))]
    pub step: String,
    /// image is the image with its digest.
    #[schemars(length(max = 1024))]
    pub image: String,
}

/// What the operator found out about a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelVersionStatus {
    /// observedGeneration is the generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// verdict is the newest judgement's verdict, or Unjudged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Verdict")]
    pub verdict: Option<Verdict>,
    /// judgements are the newest judgements, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::JUDGEMENTS))]
    pub judgements: Vec<Judgement>,
    /// conditions: Ready (judged, or known to have no judge), Passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

/// What a version, or a gate of it, was judged to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Every gate is met.
    Passed,
    /// A gate is not met.
    Failed,
    /// There is too little evidence.
    Inconclusive,
    /// Evidence is missing or malformed.
    Error,
    /// There is no Model, or it has no gates.
    Unjudged,
}

/// One judgement by one state of the Model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// judgedAt is when.
    pub judged_at: Time,
    /// gatesDigest names the gates and the budget that were judged by; another digest means another judgement.
    pub gates_digest: String,
    /// verdict is the whole's.
    pub verdict: Verdict,
    /// gates are the single gates' verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 33))]
    pub gates: Vec<GateJudgement>,
}

/// One gate's verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateJudgement {
    /// name is the gate's name; `budget.maxSize` for the Model's budget.
    pub name: String,
    /// type is the gate's type; absent for the budget.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GateType")]
    pub kind: Option<GateType>,
    /// verdict is the gate's.
    pub verdict: Verdict,
    /// value is what was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// message is a sentence for the product owner.
    pub message: String,
}
