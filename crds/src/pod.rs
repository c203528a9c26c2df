use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::limits;
use crate::schema::{list_map, null_is_empty, rule};

/// What a step's pod may be told. An allow-list: fields that could lift the restrictions of a pod do not exist.
/// The same fields may stand on a pipeline, for all its steps, and on a step; the step wins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodOptions {
    /// image is the container image that the command runs in. Required on the step or on the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::IMAGE), regex(pattern = r"^\S+$"))]
    pub image: Option<String>,
    /// env are environment variables of the command: literal values, or keys of Secrets. A step's variable replaces
    /// the pipeline's of the same name. A `$` in a value arrives as it stands: nothing is expanded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = env_list)]
    pub env: Vec<EnvVar>,
    /// resources are the command's requests and limits, as in a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// nodeSelector are the labels that a node must have.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub node_selector: BTreeMap<String, String>,
    /// tolerations are the taints of nodes that are tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::TOLERATIONS))]
    pub tolerations: Vec<Toleration>,
    /// serviceAccountName is the ServiceAccount of the pod, by default `default`. Its token is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub service_account_name: Option<String>,
    /// imagePullSecrets are the Secrets to pull the image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = pull_secrets)]
    pub image_pull_secrets: Vec<LocalReference>,
    /// podMetadata are labels and annotations for the pods: cost allocation, a service mesh's opt-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_metadata: Option<PodMetadata>,
}

fn env_list(schema: &mut Schema) {
    list_map(schema, "name", limits::ENV);
}

fn pull_secrets(schema: &mut Schema) {
    list_map(schema, "name", limits::PULL_SECRETS);
}

/// Labels and annotations of pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!has(self.labels) || dyn(self.labels) == null || self.labels.all(k, !k.startsWith('seatrial.dev/') && !k.startsWith('app.kubernetes.io/') && !k.startsWith('batch.kubernetes.io/'))",
         "labels beginning with seatrial.dev/, app.kubernetes.io/ and batch.kubernetes.io/ are set by controllers: choose another prefix"),
    rule("!has(self.annotations) || dyn(self.annotations) == null || self.annotations.all(k, !k.startsWith('seatrial.dev/'))",
         "annotations beginning with seatrial.dev/ are set by the operator: choose another prefix"),
]))]
pub struct PodMetadata {
    /// labels are put on the pods.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub labels: BTreeMap<String, String>,
    /// annotations are put on the pods.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotation_map")]
    pub annotations: BTreeMap<String, String>,
}

fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": limits::MAP,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"},
    })
}

fn annotation_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": limits::MAP, "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// A quantity, without Kubernetes' long text on how it is written.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
        "pattern": limits::QUANTITY_PATTERN,
    })
}

/// Quantities by resource.
fn quantity_map(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": limits::MAP, "additionalProperties": quantity(generator),
    })
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.value) != has(self.secretKey)", "exactly one of value and secretKey is required"),
    rule("!['PARAM_', 'VALUE_', 'INPUT_', 'OUTPUT_', 'RUN_', 'SEATRIAL_'].exists(p, self.name.startsWith(p))",
         "names beginning with PARAM_, VALUE_, INPUT_, OUTPUT_, RUN_ and SEATRIAL_ are set by Seatrial: choose another name"),
]))]
pub struct EnvVar {
    /// name is the variable's name.
    #[schemars(length(min = 1, max = 128), regex(pattern = limits::ENV_NAME_PATTERN))]
    pub name: String,
    /// value is the literal value. `$(NAME)` is not expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::ENV_VALUE))]
    pub value: Option<String>,
    /// secretKey is the key of a Secret whose value the variable takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretKey>,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// name is the Secret's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub name: String,
    /// key is the key within the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// An object of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalReference {
    /// name is the object's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub name: String,
}

/// Requests and limits of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// requests are what the scheduler sets aside: `cpu`, `memory`, `nvidia.com/gpu` and so on.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantity_map")]
    pub requests: BTreeMap<String, Quantity>,
    /// limits are what the container may use at most.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantity_map")]
    pub limits: BTreeMap<String, Quantity>,
}

/// A taint that is tolerated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// key is the taint's key; empty with operator Exists: every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub key: Option<String>,
    /// operator is Equal (the default) or Exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TolerationOperator")]
    pub operator: Option<TolerationOperator>,
    /// value is the taint's value, with operator Equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// effect is the taint's effect; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TolerationEffect")]
    pub effect: Option<TolerationEffect>,
    /// tolerationSeconds is for how long a NoExecute taint is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Key and value are equal.
    Equal,
    /// The key exists.
    Exists,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods rather stay away.
    PreferNoSchedule,
    /// Running pods go, too.
    NoExecute,
}

/// A bounded list of strings, as `command` and `args` are.
pub(crate) fn command_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": limits::COMMAND,
        "items": {"type": "string", "maxLength": limits::COMMAND_ELEMENT},
    })
}

/// A command that is not empty.
pub(crate) fn required_command_list(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = command_list(generator);
    schema.insert("minItems".into(), json!(1));
    schema
}
