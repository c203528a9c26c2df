//! Volumes that users may mount, as Kubernetes has them.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::schema::{atomic_list, quantity, rule};

/// A volume of the pod, as Kubernetes has it: exactly one of its sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("(has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.configMap) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.emptyDir) ? 1 : 0) == 1",
         "exactly one of persistentVolumeClaim, configMap, secret and emptyDir is required"),
    rule("!self.name.startsWith('seatrial')", "names beginning with seatrial are Seatrial's own volumes: choose another name"),
]))]
pub struct Volume {
    /// name is the volume's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = limits::DNS_LABEL_PATTERN))]
    pub name: String,
    /// persistentVolumeClaim is a claim of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolume>,
    /// configMap are the keys of a ConfigMap, as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolume>,
    /// secret are the keys of a Secret, as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolume>,
    /// emptyDir is a folder that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolume>,
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersistentVolumeClaimVolume {
    /// claimName is the claim's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub claim_name: String,
    /// readOnly, when true, mounts it read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// The keys of a ConfigMap, as files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapVolume {
    /// name is the ConfigMap's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub name: String,
    /// items are the keys to take; without them, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = items)]
    pub items: Vec<KeyToPath>,
    /// defaultMode is the files' mode, a decimal number; by default 420, which is 0644.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub default_mode: Option<i32>,
    /// optional, when true, starts the pod though the ConfigMap does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// The keys of a Secret, as files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume {
    /// secretName is the Secret's name.
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub secret_name: String,
    /// items are the keys to take; without them, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = items)]
    pub items: Vec<KeyToPath>,
    /// defaultMode is the files' mode, a decimal number; by default 420, which is 0644.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub default_mode: Option<i32>,
    /// optional, when true, starts the pod though the Secret does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

fn items(schema: &mut Schema) {
    atomic_list(schema, limits::VOLUME_ITEMS);
}

/// A key and the file that it becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyToPath {
    /// key is the key.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// path is the file, relative to the mount.
    #[schemars(length(min = 1, max = limits::MOUNT_PATH), regex(pattern = r"^[^/\x00-\x20][^\x00-\x20]*$"))]
    pub path: String,
    /// mode is the file's mode, a decimal number; by default the volume's defaultMode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub mode: Option<i32>,
}

/// A folder that lives as long as the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDirVolume {
    /// medium is Memory for a folder in memory; by default it is on the node's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EmptyDirMedium")]
    pub medium: Option<EmptyDirMedium>,
    /// sizeLimit is the most that the folder may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub size_limit: Option<Quantity>,
}

/// Where an empty folder is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EmptyDirMedium {
    /// In memory.
    Memory,
}

/// Where a volume appears.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!['/seatrial', '/seatrial-private', '/var/run/secrets/seatrial', '/run/secrets/seatrial'].exists(p, self.mountPath == p || self.mountPath.startsWith(p + '/')) && !self.mountPath.contains('/..') && !self.mountPath.contains('//')",
         "mountPath must not lie in /seatrial, /seatrial-private or /var/run/secrets/seatrial, which are Seatrial's own, nor contain .. or //"),
]))]
pub struct VolumeMount {
    /// name is the volume's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = limits::DNS_LABEL_PATTERN))]
    pub name: String,
    /// mountPath is the folder or file in the container, an absolute path.
    #[schemars(length(min = 2, max = limits::MOUNT_PATH), regex(pattern = r"^/[^:\x00-\x20]+$"))]
    pub mount_path: String,
    /// subPath is the part of the volume to mount; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::MOUNT_PATH), regex(pattern = r"^[^/\x00-\x20][^\x00-\x20]*$"))]
    pub sub_path: Option<String>,
    /// readOnly, when true, mounts it read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}
