//! What users may set on a pod beside its container: an allow-list.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::affinity::{Affinity, TopologySpreadConstraint};
use crate::limits;
use crate::metadata::{annotation_map, label_map};
use crate::schema::{atomic_list, list_map, null_is_empty, quantity, rule, set_list};
use crate::volume::{Volume, VolumeMount};

/// What a pod may be told beside its container. An allow-list: fields that could lift the restrictions of a pod do not
/// exist. Where the same field stands on a pipeline and on a step, the step wins: maps by key, lists with names by name,
/// everything else whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(crate::metadata::LABELS_RULE, crate::metadata::LABELS_MESSAGE),
    rule(crate::metadata::ANNOTATIONS_RULE, crate::metadata::ANNOTATIONS_MESSAGE),
]))]
pub struct PodOptions {
    /// labels are put on the pods: cost allocation, network policies.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub labels: BTreeMap<String, String>,
    /// annotations are put on the pods: a service mesh's opt-out.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotation_map")]
    pub annotations: BTreeMap<String, String>,
    /// nodeSelector are the labels that a node must have.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub node_selector: BTreeMap<String, String>,
    /// tolerations are the taints of nodes that are tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = tolerations)]
    pub tolerations: Vec<Toleration>,
    /// affinity says which nodes, and the nodes of which other pods, are required, preferred or avoided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// topologySpreadConstraints spread the pods over zones, nodes and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = topology_spread)]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// priorityClassName is the PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub priority_class_name: Option<String>,
    /// runtimeClassName is the RuntimeClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub runtime_class_name: Option<String>,
    /// schedulerName is the scheduler that places the pods; by default the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub scheduler_name: Option<String>,
    /// serviceAccountName is the ServiceAccount of the pods, by default `default`. Its token is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub service_account_name: Option<String>,
    /// imagePullSecrets are the Secrets to pull the image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = pull_secrets)]
    pub image_pull_secrets: Vec<LocalReference>,
    /// volumes are what can be mounted beside inputs and outputs: claims, ConfigMaps, Secrets, empty folders. Only the
    /// user's container sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = volumes)]
    pub volumes: Vec<Volume>,
    /// volumeMounts say where the volumes appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = volume_mounts)]
    pub volume_mounts: Vec<VolumeMount>,
    /// sharedMemory is the size of `/dev/shm`, which data loaders of several processes need; by default the container
    /// runtime's, often 64Mi. What is written there counts as memory of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub shared_memory: Option<Quantity>,
    /// securityContext says which user and groups the command runs as, within what Seatrial's pods allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurity>,
}

fn tolerations(schema: &mut Schema) {
    atomic_list(schema, limits::TOLERATIONS);
}

fn topology_spread(schema: &mut Schema) {
    atomic_list(schema, limits::TOPOLOGY_SPREAD);
}

fn pull_secrets(schema: &mut Schema) {
    list_map(schema, "name", limits::PULL_SECRETS);
}

fn volumes(schema: &mut Schema) {
    list_map(schema, "name", limits::VOLUMES);
}

fn volume_mounts(schema: &mut Schema) {
    list_map(schema, "mountPath", limits::VOLUMES);
}

fn groups(schema: &mut Schema) {
    set_list(schema, limits::GROUPS);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("minimum".into(), 1.into());
        items.insert("maximum".into(), limits::USER_ID.into());
    }
}

/// User and groups of the user's container. Privilege, capabilities and seccomp are not a user's to choose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    /// runAsUser is the UID that the command runs as; by default the image's. 0 is root, and not offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::USER_ID))]
    pub run_as_user: Option<i64>,
    /// runAsGroup is the GID that the command runs as; by default the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::USER_ID))]
    pub run_as_group: Option<i64>,
    /// runAsNonRoot, when true, refuses images that run as root. false lifts no such demand of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// readOnlyRootFilesystem, when true, lets the command write nowhere but to its outputs and volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    /// fsGroup is the group that volumes are given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::USER_ID))]
    pub fs_group: Option<i64>,
    /// supplementalGroups are further groups of the pod's processes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = groups)]
    pub supplemental_groups: Vec<i64>,
}

/// An object of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalReference {
    /// name is the object's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub name: String,
}

/// A taint that is tolerated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// key is the taint's key; empty with operator Exists: every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::LABEL_KEY))]
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
