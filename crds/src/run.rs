//! MLPipelineRun: one execution of a pipeline, and the status of its steps.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::pipeline::OutputType;
use crate::schema::{atomic_list, list_map, rule};

const IMMUTABLE: &str = "a run's spec is immutable: create another run";

/// One run of a pipeline.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "MLPipelineRun",
    plural = "mlpipelineruns",
    shortname = "mlrun",
    namespaced,
    category = "seatrial",
    status = "MLPipelineRunStatus",
    derive = "PartialEq",
    doc = "MLPipelineRun is one run of a pipeline. Changes of the pipeline create runs by themselves; create one by hand to experiment with other parameters.",
    printcolumn(name = "Pipeline", type_ = "string", json_path = ".spec.pipeline"),
    printcolumn(name = "Purpose", type_ = "string", json_path = ".status.purpose", priority = 1),
    printcolumn(name = "Succeeded", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Succeeded')].reason"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.duration"),
    printcolumn(name = "Versions", type_ = "string", json_path = ".status.published"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Succeeded')].message",
        priority = 1
    )
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    // Field by field, so that a later release can open one; and on the spec, since a rule of a field is skipped where
    // the field comes or goes.
    rule("self.pipeline == oldSelf.pipeline", IMMUTABLE),
    rule("has(self.parameters) == has(oldSelf.parameters) && (!has(self.parameters) || self.parameters == oldSelf.parameters)", IMMUTABLE),
    rule("has(self.purpose) == has(oldSelf.purpose) && (!has(self.purpose) || self.purpose == oldSelf.purpose)", IMMUTABLE),
]))]
pub struct MLPipelineRunSpec {
    /// pipeline is the pipeline's name, in the same namespace.
    #[schemars(length(min = 1, max = limits::PIPELINE_NAME), regex(pattern = limits::NAME_PATTERN))]
    pub pipeline: String,
    /// parameters replace the defaults of the pipeline's parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = parameters)]
    pub parameters: Vec<ParameterValue>,
    /// purpose is Release or Experiment (the default). ModelDeployments follow versions of releases only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Purpose")]
    pub purpose: Option<Purpose>,
}

fn parameters(schema: &mut Schema) {
    list_map(schema, "name", limits::PARAMETERS);
}

fn steps(schema: &mut Schema) {
    atomic_list(schema, limits::STEPS);
}

fn outputs(schema: &mut Schema) {
    atomic_list(schema, limits::OUTPUTS);
}

fn inputs(schema: &mut Schema) {
    atomic_list(schema, limits::INPUTS);
}

fn checks(schema: &mut Schema) {
    atomic_list(schema, limits::INPUTS);
}

fn broken_rules(schema: &mut Schema) {
    atomic_list(schema, limits::BROKEN_RULES_SHOWN);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), limits::CONTRACT_NAME.into());
    }
}

fn interruptions(schema: &mut Schema) {
    atomic_list(schema, limits::INTERRUPTIONS);
}

fn metrics(schema: &mut Schema) {
    atomic_list(schema, limits::METRICS);
}

fn versions(schema: &mut Schema) {
    atomic_list(schema, limits::PUBLISHES);
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("size(bytes(self.value)) <= 256", "value is longer than 256 bytes: letters beyond ASCII take two to four"),
]))]
pub struct ParameterValue {
    /// name is the parameter's name.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// value is the value, as text of the parameter's type.
    #[schemars(length(max = limits::PARAMETER_VALUE), regex(pattern = limits::TEXT_PATTERN))]
    pub value: String,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    /// Its versions may be served by deployments that follow the model.
    Release,
    /// Its versions are for comparison.
    #[default]
    Experiment,
}

/// What the operator found out about a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MLPipelineRunStatus {
    /// observedGeneration is the generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// revision is the number of the pipeline's revision that this run executes; the ControllerRevision
    /// `<pipeline>-c<revision>` has the exact spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// agentImage is the image of Seatrial's own containers in the run's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::IMAGE))]
    pub agent_image: Option<String>,
    /// artifactPrefix is the prefix of the store that takes this run's artifacts, records and logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URI))]
    pub artifact_prefix: Option<String>,
    /// startedAt is when the run began, after any wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// finishedAt is when the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// duration is how long the run took from its begin to its end, as in 3m12s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DURATION))]
    pub duration: Option<String>,
    /// purpose is what the run is for: the spec's purpose, or Experiment where it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Purpose")]
    pub purpose: Option<Purpose>,
    /// steps say how each step stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = steps)]
    pub steps: Vec<StepStatus>,
    /// versions are the versions that the run made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = versions)]
    pub versions: Vec<PublishedVersion>,
    /// published are the names of the versions on one line, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::PUBLISHED))]
    pub published: Option<String>,
    /// conditions: Succeeded (Unknown while the run is under way).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// name is the step's name.
    #[schemars(length(max = limits::NAME))]
    pub name: String,
    /// state is Pending, Running, Succeeded, Failed or Skipped.
    pub state: StepState,
    /// attempt counts the step's Jobs from 1; a lost Job is followed by another attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// job is the name of the attempt's Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::RUN_NAME))]
    pub job: Option<String>,
    /// reason is one word on the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::REASON))]
    pub reason: Option<String>,
    /// message says what happened, where, and what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: Option<String>,
    /// blockedSince is since when a step that could start waits for what the message says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Time>,
    /// imageDigest is the image as it was really run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::IMAGE_DIGEST))]
    pub image_digest: Option<String>,
    /// startedAt is when the attempt was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// finishedAt is when the step ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// interruptions are the pods of this attempt that were disrupted or met an outage of the store; they cost no
    /// retry, and are bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = interruptions)]
    pub interruptions: Vec<Interruption>,
    /// recovery is the question to the store what a lost attempt made; absent where nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<StepRecovery>,
    /// inputs are the data that the step read by URI. What came from a step above is an output there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = inputs)]
    pub inputs: Vec<StepInput>,
    /// checks say what came of checking the step's inputs by their contracts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = checks)]
    pub checks: Vec<StepCheck>,
    /// outputs are the artifacts that the step made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = outputs)]
    pub outputs: Vec<StepOutput>,
    /// metrics are the step's headline metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = metrics)]
    pub metrics: Vec<StepMetric>,
}

/// The states of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepState {
    /// It waits for other steps, or for its turn.
    #[default]
    Pending,
    /// Its attempt is recorded; a Job exists or is about to.
    Running,
    /// It is done.
    Succeeded,
    /// It is given up.
    Failed,
    /// It was not started, since another step failed.
    Skipped,
}

/// A pod that ended through nobody's fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interruption {
    /// podUID is the pod's UID.
    #[serde(rename = "podUID")]
    #[schemars(length(max = limits::UID))]
    pub pod_uid: String,
    /// reason is Disruption or StoreUnavailable.
    #[schemars(length(max = limits::REASON))]
    pub reason: String,
}

/// The question to the store what a lost attempt made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepRecovery {
    /// number counts the Jobs that ask, from 1.
    #[schemars(range(min = 1, max = limits::RECOVERIES))]
    pub number: u32,
    /// job is the name of the Job that asks.
    #[schemars(length(max = limits::RUN_NAME))]
    pub job: String,
    /// reason is why the attempt counts as lost: JobLost or ReportLost.
    #[schemars(length(max = limits::REASON))]
    pub reason: String,
}

/// Data that a step read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepInput {
    /// name is the input's name.
    #[schemars(length(max = limits::NAME))]
    pub name: String,
    /// digest is the digest of the data as it was read.
    #[schemars(length(max = limits::DIGEST))]
    pub digest: String,
    /// size is the data's size in bytes.
    pub size: i64,
}

/// What came of checking an input by its contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepCheck {
    /// input is the input's name.
    #[schemars(length(max = limits::NAME))]
    pub input: String,
    /// contract is the contract's namespace and name, with / between them.
    #[schemars(length(max = limits::CONTRACT_KEY))]
    pub contract: String,
    /// version is the version of its document when the run began.
    #[schemars(length(max = limits::CONTRACT_VERSION))]
    pub version: String,
    /// revision is the contract's revision that the run pinned when it began.
    #[schemars(length(max = limits::DIGEST))]
    pub revision: String,
    /// verdict is Passed, Failed, Inconclusive (the data prove nothing) or Error (the check could not be made). Absent until it
    /// is known; the command starts only after Passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CheckVerdict")]
    pub verdict: Option<CheckVerdict>,
    /// rows is how many rows the data have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// message says what was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: Option<String>,
    /// broken are the names of rules that are broken, those that stop the step first, as far as there is room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = broken_rules)]
    pub broken: Vec<String>,
    /// report is the digest of the whole report: with the run's artifactPrefix it says where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DIGEST))]
    pub report: Option<String>,
}

/// What is said of data that were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CheckVerdict {
    /// They keep their contract.
    Passed,
    /// They break it.
    Failed,
    /// They prove nothing: no rows, or only nulls.
    Inconclusive,
    /// The check could not be made.
    Error,
}

/// An artifact that a step made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepOutput {
    /// name is the output's name.
    #[schemars(length(max = limits::NAME))]
    pub name: String,
    /// type is the output's type.
    #[serde(rename = "type")]
    pub kind: OutputType,
    /// digest is the artifact's digest. With the run's artifactPrefix it says where the artifact is.
    #[schemars(length(max = limits::DIGEST))]
    pub digest: String,
    /// size is the artifact's size in bytes.
    pub size: i64,
}

/// A headline metric of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepMetric {
    /// output is the output of type Metrics that it stands in.
    #[schemars(length(max = limits::NAME))]
    pub output: String,
    /// name is the metric's name, as the step wrote it.
    #[schemars(length(max = limits::METRIC_NAME))]
    pub name: String,
    /// value is a decimal, or what the step wrote instead: NaN, a text.
    #[schemars(length(max = limits::DECIMAL))]
    pub value: String,
}

/// A version that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedVersion {
    /// model is the model's name.
    #[schemars(length(max = limits::MODEL_NAME))]
    pub model: String,
    /// name is the ModelVersion's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub name: String,
}
