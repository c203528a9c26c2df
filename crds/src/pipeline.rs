//! MLPipeline: the steps of a training, their inputs and outputs, and the models that it publishes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::metadata::ObjectMetadata;
use crate::schema::{atomic_list, list_map, rule};
use crate::workload::{WorkloadOptions, command_list, required_command_list};

/// Every step's `from` names a step above it and an output of that step. The map is bound once: without it the rule
/// is quadratic and the largest valid pipeline exceeds the API server's budget.
const FROM_RULE: &str = "[self.transformMapEntry(i, s, {s.name: i})].all(at, self.all(i, s, !has(s.inputs) || s.inputs.all(x, !has(x.from) || (x.from.step in at && at[x.from.step] < i && has(self[at[x.from.step]].outputs) && self[at[x.from.step]].outputs.exists(o, o.name == x.from.output)))))";

/// The kubelet replaces `$(PARAM_X)` before the shell sees it: in a script that is an injection.
const SHELL_RULE: &str = "[self.command + (has(self.args) ? self.args : [])].all(w, w.all(i, x, i == 0 || !x.contains('$(PARAM_') || !w[i-1].matches('^-[a-z]*c$')))";

const PUBLISHES_RULE: &str = "!has(self.publishes) || self.publishes.all(p, self.steps.exists(s, s.name == p.artifact.step && has(s.outputs) && s.outputs.exists(o, o.name == p.artifact.output && o.type == 'Model')))";

const EVIDENCE_RULE: &str = "!has(self.publishes) || self.publishes.all(p, !has(p.evidence) || p.evidence.all(e, self.steps.exists(s, s.name == e.step && has(s.outputs) && s.outputs.exists(o, o.name == e.output && o.type in ['Metrics', 'Predictions']))))";

/// `maxLength` counts characters.
const DEFAULT_BYTES_RULE: &str = "!has(self.default) || size(bytes(self.default)) <= 256";

const DEFAULT_RULE: &str = "!has(self.default) || self.type == 'String' || (self.type == 'Integer' && self.default.matches('^-?[0-9]{1,18}$')) || (self.type == 'Number' && self.default.matches('^-?[0-9]{1,18}([.][0-9]{1,18})?([eE][-+]?[0-9]{1,3})?$')) || (self.type == 'Boolean' && self.default in ['true', 'false'])";

/// How a model is made: steps that become Jobs, from data to a version.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "MLPipeline",
    plural = "mlpipelines",
    shortname = "mlp",
    namespaced,
    category = "seatrial",
    status = "MLPipelineStatus",
    derive = "PartialEq",
    doc = "MLPipeline says how a model is made: steps that become Jobs, from data to a version. Applying it, or a change of it that affects results, starts a run.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Revision", type_ = "integer", json_path = ".status.revision"),
    printcolumn(name = "Last run", type_ = "string", json_path = ".status.lastRun.name"),
    printcolumn(name = "Result", type_ = "string", json_path = ".status.lastRun.reason"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.image) || self.steps.all(s, has(s.image))", "image is required: on the pipeline, or on each step"),
    rule(PUBLISHES_RULE, "publishes.artifact must name a step and an output of it whose type is Model"),
    rule(EVIDENCE_RULE, "publishes.evidence must name steps and outputs of them whose type is Metrics or Predictions"),
]))]
pub struct MLPipelineSpec {
    /// Options of the steps' containers and pods; a step may have its own.
    #[serde(flatten)]
    pub options: WorkloadOptions,
    /// job are labels and annotations of the steps' Jobs: a queue of Kueue, what a policy demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<ObjectMetadata>,
    /// parameters are the pipeline's parameters; each becomes the environment variable PARAM_NAME of every step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = parameters)]
    pub parameters: Vec<Parameter>,
    /// steps are what is done, in an order in which each step may use the outputs of steps above it. Steps that do not
    /// wait for each other's outputs run at the same time.
    #[schemars(transform = steps)]
    pub steps: Vec<Step>,
    /// publishes says which outputs become versions of which models, after all steps succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = publishes)]
    pub publishes: Vec<Publication>,
    /// triggers are what starts a run beside changes of the pipeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = triggers)]
    pub triggers: Vec<Trigger>,
    /// concurrency says how many runs may be under way at once, and what a triggered run does while another is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// historyLimits says how many ended runs are kept of those that triggers started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_limits: Option<HistoryLimits>,
    /// suspend, when true, starts no run and lets no queued run begin; what runs goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

fn parameters(schema: &mut Schema) {
    list_map(schema, "name", limits::PARAMETERS);
}

fn steps(schema: &mut Schema) {
    list_map(schema, "name", limits::STEPS);
    schema.insert("minItems".into(), serde_json::json!(1));
    schema.insert(
        "x-kubernetes-validations".into(),
        serde_json::json!([
            rule(
                FROM_RULE,
                "inputs.from must name a step above this one and an output of that step: move the step up, or correct the name"
            ),
            rule(
                &format!(
                    "self.map(s, has(s.inputs) ? s.inputs.filter(x, has(x.contract)).size() : 0).sum() <= {}",
                    limits::CONTRACT_INPUTS
                ),
                &format!(
                    "a pipeline has at most {} inputs with a contract: check data once, where they enter, and pass them on from step to step",
                    limits::CONTRACT_INPUTS
                )
            ),
            rule(
                &format!(
                    "self.map(s, has(s.inputs) ? s.inputs.filter(x, has(x.uri)).size() : 0).sum() <= {}",
                    limits::URI_INPUTS
                ),
                &format!(
                    "a pipeline has at most {} inputs by uri: read a folder, or pass data on from step to step",
                    limits::URI_INPUTS
                )
            ),
        ]),
    );
}

fn triggers(schema: &mut Schema) {
    list_map(schema, "name", limits::TRIGGERS);
}

fn publishes(schema: &mut Schema) {
    list_map(schema, "model", limits::PUBLISHES);
}

fn evidence(schema: &mut Schema) {
    atomic_list(schema, limits::EVIDENCE);
}

fn inputs(schema: &mut Schema) {
    list_map(schema, "name", limits::INPUTS);
}

fn outputs(schema: &mut Schema) {
    list_map(schema, "name", limits::OUTPUTS);
}

/// A parameter of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(DEFAULT_BYTES_RULE, "default is longer than 256 bytes: letters beyond ASCII take two to four"),
    rule(DEFAULT_RULE, "default is not of the parameter's type: Integer is 42, Number is 0.1 or 1e-3, Boolean is true or false"),
]))]
pub struct Parameter {
    /// name is the parameter's name; `learning-rate` becomes PARAM_LEARNING_RATE.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// type is String, Integer, Number or Boolean.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// default is the value where a run gives none. Without it every run must give one, and changes start no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::PARAMETER_VALUE), regex(pattern = limits::TEXT_PATTERN))]
    pub default: Option<String>,
}

/// The types of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ParameterType {
    /// Any text.
    String,
    /// A whole number of at most 18 digits.
    Integer,
    /// A decimal number, with an exponent if need be.
    Number,
    /// true or false.
    Boolean,
}

/// One step of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(SHELL_RULE, "$(PARAM_…) in a shell script would be pasted into it as code: write \"$PARAM_…\" instead"),
]))]
pub struct Step {
    /// name is the step's name, unique in its pipeline.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// command is the program and its arguments. `$(NAME)` stands for an environment variable.
    #[schemars(schema_with = "required_command_list")]
    pub command: Vec<String>,
    /// args are further arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "command_list")]
    pub args: Vec<String>,
    /// Options of this step's container and pods; they win over the pipeline's.
    #[serde(flatten)]
    pub options: WorkloadOptions,
    /// job are labels and annotations of this step's Jobs; they win over the pipeline's, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<ObjectMetadata>,
    /// inputs are what the step reads; each is a folder named by INPUT_NAME.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = inputs)]
    pub inputs: Vec<Input>,
    /// outputs are what the step writes; each is a folder named by OUTPUT_NAME, or for Metrics a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = outputs)]
    pub outputs: Vec<Output>,
    /// retry says how a step whose command failed is tried again. Drains and evictions do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// timeout is how long the command may take, each try for itself; by default 24h. Waiting for a node, an image, a
    /// quota or a queue does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = limits::DURATION), regex(pattern = limits::DURATION_PATTERN))]
    pub timeout: Option<String>,
    /// startTimeout is how long the step may wait for a node, an image or a quota before its command starts; by
    /// default 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = limits::DURATION), regex(pattern = limits::DURATION_PATTERN))]
    pub start_timeout: Option<String>,
}

/// How a failed step is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// limit is how often the step is tried again after its command failed, by default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = limits::RETRIES))]
    pub limit: Option<u32>,
}

/// One input of a step: exactly one of `uri` and `from`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.uri) != has(self.from)", "exactly one of uri and from is required"),
]))]
pub struct Input {
    /// name is the input's name; `raw-data` becomes INPUT_RAW_DATA.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// uri is where the data is: one object, or with a `/` at the end all beneath it. Of `s3://` it is the key as it is,
    /// blanks included, and nothing is decoded. Of `https://` it may have a query, but no signature: it stands in the
    /// run and its versions. A Store of the namespace must have a prefix of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URI), regex(pattern = limits::URI_PATTERN))]
    pub uri: Option<String>,
    /// from is the output of a step above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<OutputReference>,
    /// contract is the DataContract that the data are checked by after they were brought, and before the command starts. What
    /// breaks it fails the step: the command never runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractReference>,
}

/// A DataContract, and what of it an input is checked by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractReference {
    /// namespace is the contract's namespace, which must serve this one; by default the pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::NAMESPACE), regex(pattern = limits::DNS_LABEL_PATTERN))]
    pub namespace: Option<String>,
    /// name is the contract's name.
    #[schemars(length(min = 1, max = limits::CONTRACT), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// version is the version that the data are checked by. Where the contract has another one by now, its newest document of
    /// this version goes on judging until the pipeline names that; a version that it never had lets runs wait. Without it, runs
    /// take the document that there is when they begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::CONTRACT_VERSION))]
    pub version: Option<String>,
    /// schema is the name of the document's schema object; not needed where it has one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::CONTRACT_NAME))]
    pub schema: Option<String>,
}

/// An output of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputReference {
    /// step is the step's name.
    #[schemars(length(min = 1, max = limits::NAME))]
    pub step: String,
    /// output is the output's name.
    #[schemars(length(min = 1, max = limits::NAME))]
    pub output: String,
}

/// The artifact of a publication.
pub type ArtifactReference = OutputReference;

/// One output of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// name is the output's name; `model` becomes OUTPUT_MODEL.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// type is what the output is: Dataset, Model, Metrics, Report or Any.
    #[serde(rename = "type")]
    pub kind: OutputType,
}

/// The types of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum OutputType {
    /// Data for other steps.
    Dataset,
    /// A trained model.
    Model,
    /// A JSON file: one flat object whose numbers become headline metrics.
    Metrics,
    /// A table of what a model said of each row, one file, CSV or Parquet: id, and score or prediction.
    Predictions,
    /// Pages or pictures for people.
    Report,
    /// Anything else.
    Any,
}

/// What becomes a version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// model is the model's name; `churn` gets the versions churn-v1, churn-v2 and so on.
    #[schemars(length(min = 1, max = limits::MODEL_NAME), regex(pattern = limits::NAME_PATTERN))]
    pub model: String,
    /// artifact is the output of type Model that becomes the version.
    pub artifact: ArtifactReference,
    /// evidence are the outputs of type Metrics or Predictions that the version is judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = evidence)]
    pub evidence: Vec<OutputReference>,
}

/// What starts a run beside changes of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("(self.type == 'Data') == has(self.data)", "a trigger has exactly the field that its type names: data with type Data"),
]))]
pub struct Trigger {
    /// name is the trigger's name, unique in its pipeline.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// type is what kind of trigger it is: Data.
    #[serde(rename = "type")]
    pub kind: TriggerType,
    /// data says which new data start a run, with type Data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataTrigger>,
}

/// The kinds of triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TriggerType {
    /// New data that keep their contract.
    Data,
}

/// New data, as a contract's own schedule sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataTrigger {
    /// contract is the DataContract whose spec.check.schedule looks for new data. An input by uri must have it. A run starts
    /// once for each change of the data that the contract's check found to be Passed.
    pub contract: WatchedContract,
}

/// A DataContract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchedContract {
    /// namespace is the contract's namespace, as the input names it; by default the pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::NAMESPACE), regex(pattern = limits::DNS_LABEL_PATTERN))]
    pub namespace: Option<String>,
    /// name is the contract's name.
    #[schemars(length(min = 1, max = limits::CONTRACT), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
}

impl WatchedContract {
    /// Whether an input names it.
    pub fn is(&self, reference: &ContractReference) -> bool {
        (&self.namespace, &self.name) == (&reference.namespace, &reference.name)
    }
}

/// How many runs may be under way at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concurrency {
    /// policy says what a triggered run does while another triggered one is under way: QueueLatest (the default) lets
    /// the newest wait and skips those between. Runs made by hand never wait for triggered ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ConcurrencyPolicy")]
    pub policy: Option<ConcurrencyPolicy>,
    /// maxRuns is how many runs may be under way at once, those made by hand included; by default 10. Runs made by hand
    /// leave one place for a triggered one, where there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::MAX_RUNS))]
    pub max_runs: Option<u32>,
}

/// How many runs may be under way where a pipeline does not say.
const DEFAULT_MAX_RUNS: u32 = 10;

impl Concurrency {
    /// The most runs that may be under way at once.
    pub fn max_runs(&self) -> u32 {
        self.max_runs.unwrap_or(DEFAULT_MAX_RUNS).max(1)
    }

    /// What a triggered run does while another is under way.
    pub fn policy(&self) -> ConcurrencyPolicy {
        self.policy.unwrap_or_default()
    }
}

/// What a triggered run does while another is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// One triggered run at a time: the newest waits; those between are skipped.
    #[default]
    QueueLatest,
}

/// How many ended runs are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryLimits {
    /// succeeded is how many succeeded runs are kept, by default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = limits::HISTORY))]
    pub succeeded: Option<u32>,
    /// failed is how many failed or skipped runs are kept, by default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = limits::HISTORY))]
    pub failed: Option<u32>,
}

/// What the operator found out about a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MLPipelineStatus {
    /// observedGeneration is the generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// revision is the number of the newest change that affects results; its run is `<pipeline>-c<revision>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// data are the data that the newest change was made for, as its triggers saw them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = triggered_data)]
    pub data: Vec<TriggeredData>,
    /// lastRun is how the newest run stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// conditions: Ready (accepted and scheduled; what the last run did is in lastRun), Compatible (no contract of the inputs has a
    /// document that breaks the pipeline; absent where no input has a contract), Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

fn triggered_data(schema: &mut Schema) {
    atomic_list(schema, limits::TRIGGERS);
}

/// The data that a change was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggeredData {
    /// trigger is the trigger's name.
    #[schemars(length(max = limits::NAME))]
    pub trigger: String,
    /// digest is the digest of the data: that of a table, as the contract's status.checks have it, or of several together.
    #[schemars(length(max = limits::DIGEST))]
    pub digest: String,
}

/// How a pipeline's newest run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// name is the run's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub name: String,
    /// reason is the reason of the run's condition Succeeded: Running, Succeeded, StepFailed and so on.
    #[schemars(length(max = limits::REASON))]
    pub reason: String,
    /// finishedAt is when the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}
