use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::measurement::{DuelMeasurement, LabelSource, Measurement};
use crate::model::GateType;
use crate::pipeline::OutputType;
use crate::run::{ParameterValue, Purpose};
use crate::schema::{atomic_list, list_map, rule};

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
    printcolumn(name = "Metric", type_ = "string", json_path = ".status.headline"),
    printcolumn(name = "Threshold", type_ = "string", json_path = ".status.threshold.value"),
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
    #[schemars(transform = evidence)]
    pub evidence: Vec<Evidence>,
    /// metrics are the headline metrics of the evidence, as decimals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = metrics)]
    pub metrics: Vec<Metric>,
    /// lineage is where the version came from; a version that was made elsewhere may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
}

impl ModelVersionSpec {
    /// The name of the run that made the version, where it is known.
    pub fn run(&self) -> Option<&str> {
        self.lineage.as_ref()?.run.as_deref()
    }

    /// The UID of the run that made the version, where it is known.
    pub fn run_uid(&self) -> Option<&str> {
        self.lineage.as_ref()?.run_uid.as_deref()
    }

    /// The pipeline that made the version, where it is known.
    pub fn pipeline(&self) -> Option<&str> {
        self.lineage.as_ref()?.pipeline.as_deref()
    }

    /// The number of the pipeline's revision that was executed, where it is known.
    pub fn revision(&self) -> Option<i64> {
        self.lineage.as_ref()?.revision
    }
}

fn evidence(schema: &mut Schema) {
    atomic_list(schema, limits::EVIDENCE);
}

fn metrics(schema: &mut Schema) {
    atomic_list(schema, limits::METRICS);
}

fn inputs(schema: &mut Schema) {
    atomic_list(schema, limits::URI_INPUTS);
}

fn contracts(schema: &mut Schema) {
    atomic_list(schema, limits::CONTRACT_INPUTS);
}

fn images(schema: &mut Schema) {
    atomic_list(schema, limits::STEPS);
}

fn judgements(schema: &mut Schema) {
    atomic_list(schema, limits::JUDGEMENTS);
}

fn gates(schema: &mut Schema) {
    atomic_list(schema, limits::VERDICTS);
}

fn overruled_gates(schema: &mut Schema) {
    atomic_list(schema, limits::VERDICTS);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), limits::VERDICT_NAME.into());
    }
}

/// A headline metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// step is the step that measured it.
    #[schemars(length(max = limits::NAME))]
    pub step: String,
    /// output is the step's output of type Metrics.
    #[schemars(length(max = limits::NAME))]
    pub output: String,
    /// name is the metric's name, as the step wrote it; in a nested object the names of all, with dots between them.
    #[schemars(length(min = 1, max = limits::METRIC_NAME))]
    pub name: String,
    /// value is a decimal, or what the step wrote instead: NaN, a text.
    #[schemars(length(max = limits::DECIMAL))]
    pub value: String,
}

/// Files in a store, named by their content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// uri is where the artifact is.
    #[schemars(length(max = limits::URI), regex(pattern = limits::URI_PATTERN))]
    pub uri: String,
    /// digest is the SHA-256 of the canonical list of its files.
    #[schemars(length(max = limits::DIGEST), regex(pattern = limits::DIGEST_PATTERN))]
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
    /// type is the output's type; absent where the version was made before types were noted: Metrics.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OutputType")]
    pub kind: Option<OutputType>,
    /// artifact is the evidence's files.
    pub artifact: Artifact,
}

/// Where a version came from, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lineage {
    /// pipeline is the pipeline's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::PIPELINE_NAME))]
    pub pipeline: Option<String>,
    /// run is the run's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::RUN_NAME))]
    pub run: Option<String>,
    /// runUID is the run's UID.
    #[serde(default, rename = "runUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::UID))]
    pub run_uid: Option<String>,
    /// revision is the number of the pipeline's revision that was executed; the ControllerRevision
    /// `<pipeline>-c<revision>` has the exact spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub revision: Option<i64>,
    /// parameters are the values of all parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = parameters)]
    pub parameters: Vec<ParameterValue>,
    /// inputs are the data that came in by URI, with their digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = inputs)]
    pub inputs: Vec<LineageInput>,
    /// contracts are the contracts that inputs kept, in the revisions that the run pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = contracts)]
    pub contracts: Vec<LineageContract>,
    /// images are the images of the steps, as really run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = images)]
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
    #[schemars(length(max = limits::DIGEST))]
    pub digest: String,
}

/// A contract that an input kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineageContract {
    /// step is the step that read the input.
    #[schemars(length(max = limits::NAME))]
    pub step: String,
    /// input is the input's name.
    #[schemars(length(max = limits::NAME))]
    pub input: String,
    /// contract is the contract's namespace and name, with / between them.
    #[schemars(length(max = limits::CONTRACT_KEY))]
    pub contract: String,
    /// version is the version of its document.
    #[schemars(length(max = limits::CONTRACT_VERSION))]
    pub version: String,
    /// revision is the digest of the document, and of how its files are written.
    #[schemars(length(max = limits::DIGEST))]
    pub revision: String,
}

/// An image as it was really run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineageImage {
    /// step is the step's name.
    #[schemars(length(max = limits::NAME))]
    pub step: String,
    /// image is the image with its digest.
    #[schemars(length(max = limits::IMAGE_DIGEST))]
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
    #[schemars(transform = judgements)]
    pub judgements: Vec<Judgement>,
    /// measuring is the newest attempt to measure the version, to let its evaluation step evaluate the champion, or to compare
    /// both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measuring: Option<Measuring>,
    /// measurement is what was measured of the version's predictions. Gates decide from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<Measurement>,
    /// duel is the comparison with the champion on the same rows, where a gate of type Champion asks for it. It stays as it was
    /// pinned, whatever serves later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duel: Option<Duel>,
    /// threshold is the score from which the version takes somebody for positive, where the costs of errors choose it. Servers
    /// get the one of when they are brought up, and keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// headline is the metric that says most, rounded for people: the first that a gate names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::HEADLINE))]
    pub headline: Option<String>,
    /// conditions: Ready (judged, or known to have no judge), Passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

/// A version's duel with the champion. Whom it is held with is recorded before any Job starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Duel {
    /// pinnedAt is when the champion was looked for.
    pub pinned_at: Time,
    /// champion is the version that served then, else the newest release that passed; absent where there was no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<Champion>,
    /// judgedBefore is how many versions of the model had been judged on the same labels before this one: whoever tries often
    /// enough wins by chance. Absent where the labels are not the owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub judged_before: Option<i64>,
    /// evaluations counts the Jobs that let the version's evaluation step evaluate the champion.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub evaluations: i64,
    /// predictions are what the champion says of each row, as that step wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<Artifact>,
    /// measurement is what a judge counted of both. Gates decide from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<DuelMeasurement>,
    /// problem is why the champion could not be evaluated, where another try would come to the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SENTENCE))]
    pub problem: Option<String>,
}

/// The version that another one must be a match for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Champion {
    /// version is the version's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub version: String,
    /// artifact is the version's files.
    pub artifact: Artifact,
    /// threshold is the score from which it takes somebody for positive: the one that it serves with. Absent: 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL))]
    pub threshold: Option<String>,
}

/// An attempt to measure a version. It is recorded before its Job is created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measuring {
    /// key names what is measured, as the measurement's.
    #[schemars(length(max = limits::DIGEST))]
    pub key: String,
    /// attempt counts the Jobs for this key, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i64,
    /// failure is why the attempt ended without a measurement; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SENTENCE))]
    pub failure: Option<String>,
    /// failedAt is when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
}

/// The threshold that the costs of errors choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// value is the one that serves: chosen on all rows, a decimal.
    #[schemars(length(max = limits::DECIMAL))]
    pub value: String,
    /// lowest is the lowest of those that were chosen on parts of the rows, a decimal.
    #[schemars(length(max = limits::DECIMAL))]
    pub lowest: String,
    /// highest is the highest of those that were chosen on parts of the rows, a decimal.
    #[schemars(length(max = limits::DECIMAL))]
    pub highest: String,
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
    /// It is being measured.
    Pending,
    /// A gate is not met, and the owner waives it for a while; of a whole: all else is met.
    Waived,
    /// All is met, but only since the Model changed: under an earlier state of it, it was not.
    Held,
    /// There is no Model, it judges by nothing, or it leaves a question open.
    Unjudged,
}

/// One judgement by one state of the Model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// judgedAt is when.
    pub judged_at: Time,
    /// gatesDigest names what was judged by: the answers, the budget and the gates. Another digest means another judgement.
    #[schemars(length(max = limits::DIGEST))]
    pub gates_digest: String,
    /// gatesRevision is the ControllerRevision that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub gates_revision: Option<String>,
    /// digest names the judgement by what it found: the version's files, what was judged by, and each gate's verdict and value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DIGEST))]
    pub digest: Option<String>,
    /// overrules is what the version was judged to be under an earlier state of the Model, where it did not pass then. A
    /// version that passes now is Held for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrules: Option<Overruled>,
    /// verdict is the whole's.
    pub verdict: Verdict,
    /// labels says whose labels the measurement compared with; absent where nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LabelSource")]
    pub labels: Option<LabelSource>,
    /// measurement is Unavailable where the predictions could not be measured, for an outage for one; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MeasurementState")]
    pub measurement: Option<MeasurementState>,
    /// gates are the single gates' verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = gates)]
    pub gates: Vec<GateJudgement>,
}

/// How a measurement stands that a judgement did without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MeasurementState {
    /// Several attempts failed; it is tried again.
    Unavailable,
}

/// What a version was judged to be under an earlier state of its Model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overruled {
    /// judgedAt is when.
    pub judged_at: Time,
    /// gatesRevision is the ControllerRevision that has what was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub gates_revision: Option<String>,
    /// verdict is what it was.
    pub verdict: Verdict,
    /// gates are what was not met, by name, under this state of the Model and those before it that the version did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = overruled_gates)]
    pub gates: Vec<String>,
}

/// One gate's verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateJudgement {
    /// name is the gate's name; for an answer its field: `errorCosts`, `fairness.<rule>`, `consumers`, `budget.maxSize`;
    /// `leakage` says whether the evidence was made of what the model was trained on.
    #[schemars(length(max = limits::VERDICT_NAME))]
    pub name: String,
    /// type is the gate's type; absent for an answer.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GateType")]
    pub kind: Option<GateType>,
    /// verdict is the gate's.
    pub verdict: Verdict,
    /// value is what was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL))]
    pub value: Option<String>,
    /// message is a sentence for the product owner.
    #[schemars(length(max = limits::SENTENCE))]
    pub message: String,
}
