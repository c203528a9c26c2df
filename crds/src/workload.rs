//! What users may set on their container: image, environment and resources; shared by pipelines, steps and servers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::limits;
use crate::pod::PodOptions;
use crate::schema::{atomic_list, list_map, null_is_empty, quantity, rule};

/// What the user's container and its pod may be told. The same fields may stand on a pipeline, for all its steps, and
/// on a step; the step wins, field by field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadOptions {
    /// image is the container image that the command runs in. Required on the step or on the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::IMAGE), regex(pattern = limits::WORD_PATTERN))]
    pub image: Option<String>,
    /// env are environment variables of the command, as Kubernetes has them. A step's variable replaces the pipeline's
    /// of the same name. A `$` in a value arrives as it stands: nothing is expanded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = env_list)]
    pub env: Vec<EnvVar>,
    /// envFrom are ConfigMaps and Secrets whose keys become environment variables. A variable of `env`, and Seatrial's
    /// own, win over them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = env_from_list)]
    pub env_from: Vec<EnvFromSource>,
    /// resources are the command's requests and limits, as in a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// pod is what the pods may be told beside image, env and resources.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_default")]
    pub pod: PodOptions,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn env_list(schema: &mut Schema) {
    list_map(schema, "name", limits::ENV);
}

fn env_from_list(schema: &mut Schema) {
    atomic_list(schema, limits::ENV_FROM);
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.value) != has(self.valueFrom)", "exactly one of value and valueFrom is required"),
    rule("!['PARAM_', 'VALUE_', 'INPUT_', 'OUTPUT_', 'RUN_', 'SEATRIAL_'].exists(p, self.name.startsWith(p))",
         "names beginning with PARAM_, VALUE_, INPUT_, OUTPUT_, RUN_ and SEATRIAL_ are set by Seatrial: choose another name"),
]))]
pub struct EnvVar {
    /// name is the variable's name.
    #[schemars(length(min = 1, max = 128), regex(pattern = limits::ENV_NAME_PATTERN))]
    pub name: String,
    /// value is the literal value. `$(NAME)` is not expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::ENV_VALUE), regex(pattern = limits::TEXT_PATTERN))]
    pub value: Option<String>,
    /// valueFrom is where the value is taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where a variable's value is taken from: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("(has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) + (has(self.fieldRef) ? 1 : 0) == 1",
         "exactly one of secretKeyRef, configMapKeyRef and fieldRef is required"),
]))]
pub struct EnvVarSource {
    /// secretKeyRef is a key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
    /// configMapKeyRef is a key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,
    /// fieldRef is a field of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldReference>,
}

/// A key of a Secret or ConfigMap in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyReference {
    /// name is the object's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub name: String,
    /// key is the key within the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// optional, when true, leaves the variable out where object or key do not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A field of the pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldReference {
    /// fieldPath is the field: metadata.name, metadata.namespace, metadata.uid, a label or annotation as in
    /// metadata.labels['team'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.podIP and so on.
    #[schemars(
        length(min = 1, max = 384),
        regex(
            pattern = r"^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['[^']+'\]|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$"
        )
    )]
    pub field_path: String,
}

/// A ConfigMap or Secret whose keys become environment variables: exactly one of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.configMapRef) != has(self.secretRef)", "exactly one of configMapRef and secretRef is required"),
]))]
pub struct EnvFromSource {
    /// prefix is put before each key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = limits::ENV_NAME_PATTERN))]
    pub prefix: Option<String>,
    /// configMapRef is the ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<EnvFromReference>,
    /// secretRef is the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<EnvFromReference>,
}

/// A ConfigMap or Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvFromReference {
    /// name is the object's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub name: String,
    /// optional, when true, starts the pod though the object does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// Requests and limits of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// requests are what the scheduler sets aside: `cpu`, `memory`, `ephemeral-storage`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantity_map")]
    pub requests: BTreeMap<String, Quantity>,
    /// limits are what the container may use at most. Extended resources such as `nvidia.com/gpu` stand here; the same
    /// amount is requested.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantity_map")]
    pub limits: BTreeMap<String, Quantity>,
}

/// Quantities by resource.
fn quantity_map(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": limits::MAP, "additionalProperties": quantity(generator),
    })
}

/// A bounded list of strings, as `command` and `args` are.
pub(crate) fn command_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": limits::COMMAND, "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": limits::COMMAND_ELEMENT, "pattern": limits::TEXT_PATTERN},
    })
}

/// A command that is not empty.
pub(crate) fn required_command_list(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = command_list(generator);
    schema.insert("minItems".into(), json!(1));
    schema
}
