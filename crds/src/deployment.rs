//! ModelDeployment: which version of a model is served, and by which server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::metadata::ObjectMetadata;
use crate::schema::{atomic_list, rule};
use crate::workload::{WorkloadOptions, command_list};

/// A model as a service.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "ModelDeployment",
    plural = "modeldeployments",
    shortname = "md",
    namespaced,
    category = "seatrial",
    status = "ModelDeploymentStatus",
    derive = "PartialEq",
    doc = "ModelDeployment serves a model: it follows the newest version that passed, or holds one version, behind a Service of its own name.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Served", type_ = "string", json_path = ".status.servedVersion"),
    printcolumn(name = "Candidate", type_ = "string", json_path = ".status.candidateVersion"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!(has(self.follow) && has(self.version))", "follow and version exclude each other: follow the model, or hold one version"),
    rule("self.model == oldSelf.model", "model is immutable: create another ModelDeployment"),
    rule("!has(self.version) || (self.version.startsWith(self.model + '-v'))", "version must be one of the model: <model>-v<number>"),
]))]
pub struct ModelDeploymentSpec {
    /// model is the model's name.
    #[schemars(length(min = 1, max = limits::MODEL_NAME), regex(pattern = limits::NAME_PATTERN))]
    pub model: String,
    /// follow is which versions are followed: Passed (the default) or Newest. Only versions of releases, and, unless the
    /// Model says enforcement: Warn, only those that the Model passes. Where there is no Model, Newest takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Follow")]
    pub follow: Option<Follow>,
    /// version is the one version to serve, instead of following. The Model must pass it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = limits::NAME_PATTERN))]
    pub version: Option<String>,
    /// server is what serves the model. It finds the model's files in the folder /seatrial/model, which is read-only.
    pub server: Server,
    /// replicas is how many servers there are, by default 1. An autoscaler may own it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = limits::REPLICAS))]
    pub replicas: Option<u32>,
}

/// Which versions of a model are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Follow {
    /// The newest that passed every gate.
    #[default]
    Passed,
    /// The newest that the Model lets through: judged or not where there is no Model, or where it only warns.
    Newest,
}

/// What serves a model: an image that finds the model's files in /seatrial/model, read-only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.image)", "image is required"),
]))]
pub struct Server {
    /// Options of the servers' containers and pods.
    #[serde(flatten)]
    pub options: WorkloadOptions,
    /// deployment are labels and annotations of the Deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<ObjectMetadata>,
    /// service are labels and annotations of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ObjectMetadata>,
    /// command replaces the image's entrypoint. The model's files are in /seatrial/model: their paths there are those that the
    /// step wrote below $OUTPUT_<NAME>.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "command_list")]
    pub command: Vec<String>,
    /// args replace the image's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "command_list")]
    pub args: Vec<String>,
    /// port is the port that the server listens on; the Service listens on 80.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// readinessPath is the HTTP path that answers 200 once the server can predict; without it a TCP connection must
    /// succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URI), regex(pattern = "^/[!-~]*$"))]
    pub readiness_path: Option<String>,
    /// startTimeout is how long a server may take until it is ready, loading of the model included, before it counts as
    /// stuck; by default 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = limits::DURATION), regex(pattern = limits::DURATION_PATTERN))]
    pub start_timeout: Option<String>,
    /// minReadySeconds is how long a new server must stay ready before it counts, by default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = limits::MIN_READY_SECONDS))]
    pub min_ready_seconds: Option<u32>,
}

/// What the operator found out about a deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelDeploymentStatus {
    /// observedGeneration is the generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// servedVersion is the version that the Service leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::RUN_NAME))]
    pub served_version: Option<String>,
    /// servedThreshold is the score from which the servers take somebody for positive, a decimal, as their environment
    /// variable SEATRIAL_THRESHOLD says; absent where no costs of errors chose one. It stays while servedVersion serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL))]
    pub served_threshold: Option<String>,
    /// servedSince is when servedVersion began to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_since: Option<Time>,
    /// candidateVersion is the version that is being brought up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::RUN_NAME))]
    pub candidate_version: Option<String>,
    /// url is where the model is served inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URI))]
    pub url: Option<String>,
    /// versions are the versions that have servers, the one that serves first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = versions)]
    pub versions: Vec<DeployedVersion>,
    /// startingSince is since when servers are being started that have not become ready. Neither a new pod nor a newer
    /// version begins it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_since: Option<Time>,
    /// corrections are the fields of the Deployment and the Service that somebody else changed lately, and that were
    /// put right. After three times a field is left alone, and the condition FieldConflict names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = corrections)]
    pub corrections: Vec<Correction>,
    /// replicas is how many servers the served version is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// selector selects the served version's pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URI))]
    pub selector: Option<String>,
    /// conditions: Available, Ready, Reconciling, Stalled, FieldConflict, Refused, ServingMeetsGates, ThresholdCurrent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

/// A version that has servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeployedVersion {
    /// name is the version's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub name: String,
    /// threshold is the score from which its servers take somebody for positive, a decimal; absent where no costs of errors
    /// chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL))]
    pub threshold: Option<String>,
    /// role is Stable for the version that serves, and Candidate for the one that is being brought up.
    pub role: DeployedRole,
    /// weight is its part of the requests, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub weight: u32,
    /// replicas is how many servers it is to have.
    pub replicas: u32,
    /// readyReplicas is how many of them have stayed ready for server.minReadySeconds.
    pub ready_replicas: u32,
}

/// What a version's servers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeployedRole {
    /// They serve.
    Stable,
    /// They are being brought up, to serve once they are ready.
    Candidate,
}

/// A field that somebody else changed, and that was put right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Correction {
    /// kind is the object's kind: Deployment or Service.
    #[schemars(length(max = limits::REASON))]
    pub kind: String,
    /// name is the object's name.
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub name: String,
    /// field is the path of the field.
    #[schemars(length(max = limits::FIELD_PATH))]
    pub field: String,
    /// count is how often it was put right.
    pub count: u32,
    /// lastTime is when it was put right last.
    pub last_time: Time,
}

fn versions(schema: &mut Schema) {
    atomic_list(schema, limits::DEPLOYED_VERSIONS);
}

fn corrections(schema: &mut Schema) {
    atomic_list(schema, limits::CORRECTIONS);
}
