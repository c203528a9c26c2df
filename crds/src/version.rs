//! ModelVersion: one version of a model, with its lineage. What it was judged to be is in `judgement.rs`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::judgement::{Duel, Judgement, Measuring, Threshold, Verdict};
use crate::limits;
use crate::measurement::Measurement;
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
