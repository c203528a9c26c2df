//! How the watched kinds are read: without what no plan reads.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use seatrial_crds::{Approval, DataContract, MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::arrival::{Form, Unreadable};

/// Metadata without managed fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    finalizers: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl From<Metadata> for ObjectMeta {
    fn from(read: Metadata) -> Self {
        Self {
            name: read.name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            creation_timestamp: read.creation_timestamp,
            deletion_timestamp: read.deletion_timestamp,
            deletion_grace_period_seconds: read.deletion_grace_period_seconds,
            finalizers: read.finalizers,
            labels: read.labels,
            annotations: read.annotations,
            owner_references: read.owner_references,
            ..Self::default()
        }
    }
}

/// A kind of which everything is read.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Whole<K>(K);

impl<K: DeserializeOwned> Form<K> for Whole<K> {
    fn read(self) -> Result<K, Box<Unreadable>> {
        Ok(self.0)
    }
}

/// A kind of Seatrial's own.
#[derive(Deserialize)]
pub(crate) struct Own {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

/// A kind of Seatrial's own, put together of its parts.
pub(crate) trait OwnKind: Sized {
    /// Its spec.
    type Spec: Serialize + DeserializeOwned;
    /// Its status; nothing for a kind that has none.
    type Status: DeserializeOwned;
    /// Puts it together.
    fn of(metadata: ObjectMeta, spec: Self::Spec, status: Option<Self::Status>) -> Self;
}

impl<K: OwnKind> Form<K> for Own {
    fn read(self) -> Result<K, Box<Unreadable>> {
        let metadata = ObjectMeta::from(self.metadata);
        match parts::<K>(self.spec, self.status) {
            Ok((spec, status)) => Ok(K::of(metadata, spec, status)),
            Err(error) => Err(Box::new(Unreadable { metadata, error })),
        }
    }
}

fn parts<K: OwnKind>(spec: Value, status: Value) -> Result<(K::Spec, Option<K::Status>), String> {
    let read = K::Spec::deserialize(&spec).map_err(|error| format!("spec: {error}"))?;
    // A spec serializes: it came from JSON.
    let known = serde_json::to_value(&read).unwrap_or_default();
    if let Some(path) = unknown_field(&spec, &known, "spec") {
        return Err(format!("this release does not know the field {path}: run the release that has it"));
    }
    let status = serde_json::from_value(status).map_err(|error| format!("status: {error}"))?;
    Ok((read, status))
}

/// The path of a field that says something and was not taken over by a type.
fn unknown_field(read: &Value, known: &Value, path: &str) -> Option<String> {
    match (read, known) {
        (Value::Object(read), Value::Object(known)) => read.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match known.get(name) {
                Some(known) => unknown_field(value, known, &path),
                None => says_something(value).then_some(path),
            }
        }),
        (Value::Array(read), Value::Array(known)) => read
            .iter()
            .zip(known)
            .enumerate()
            .find_map(|(index, (read, known))| unknown_field(read, known, &format!("{path}[{index}]"))),
        _ => None,
    }
}

/// Whether a value says more than its absence: a type may leave out what is empty.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.values().any(says_something),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

macro_rules! own_kinds {
    ($($kind:ident: $spec:ident, $status:ident;)*) => {$(
        impl OwnKind for $kind {
            type Spec = seatrial_crds::$spec;
            type Status = seatrial_crds::$status;

            fn of(metadata: ObjectMeta, spec: Self::Spec, status: Option<Self::Status>) -> Self {
                Self { metadata, spec, status }
            }
        }
    )*};
}
own_kinds! {
    DataContract: DataContractSpec, DataContractStatus;
    Model: ModelSpec, ModelStatus;
    MLPipeline: MLPipelineSpec, MLPipelineStatus;
    MLPipelineRun: MLPipelineRunSpec, MLPipelineRunStatus;
    ModelVersion: ModelVersionSpec, ModelVersionStatus;
    ModelDeployment: ModelDeploymentSpec, ModelDeploymentStatus;
    Store: StoreSpec, StoreStatus;
}

/// Kinds without a status.
macro_rules! own_kinds_without_status {
    ($($kind:ident: $spec:ident;)*) => {$(
        impl OwnKind for $kind {
            type Spec = seatrial_crds::$spec;
            type Status = IgnoredAny;

            fn of(metadata: ObjectMeta, spec: Self::Spec, _: Option<IgnoredAny>) -> Self {
                Self { metadata, spec }
            }
        }
    )*};
}
own_kinds_without_status! {
    Approval: ApprovalSpec;
}

/// A Job without its spec.
#[derive(Deserialize)]
pub(crate) struct JobForm {
    #[serde(default)]
    metadata: Metadata,
    status: Option<JobStatus>,
}

impl Form<Job> for JobForm {
    fn read(self) -> Result<Job, Box<Unreadable>> {
        Ok(Job { metadata: self.metadata.into(), status: self.status, ..Job::default() })
    }
}

/// A pod without its spec, with what plans read of its status.
#[derive(Deserialize)]
pub(crate) struct PodForm {
    #[serde(default)]
    metadata: Metadata,
    status: Option<PodStatusForm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatusForm {
    phase: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    conditions: Option<Vec<PodCondition>>,
    container_statuses: Option<Vec<ContainerStatusForm>>,
    init_container_statuses: Option<Vec<ContainerStatusForm>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ContainerStatusForm {
    name: String,
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
    ready: bool,
    restart_count: i32,
    state: Option<ContainerState>,
    last_state: Option<ContainerState>,
}

impl From<ContainerStatusForm> for ContainerStatus {
    fn from(read: ContainerStatusForm) -> Self {
        Self {
            name: read.name,
            image: read.image,
            image_id: read.image_id,
            ready: read.ready,
            restart_count: read.restart_count,
            state: read.state,
            last_state: read.last_state,
            ..Self::default()
        }
    }
}

impl Form<Pod> for PodForm {
    fn read(self) -> Result<Pod, Box<Unreadable>> {
        let containers = |read: Option<Vec<ContainerStatusForm>>| {
            read.map(|read| read.into_iter().map(ContainerStatus::from).collect())
        };
        let status = self.status.map(|status| PodStatus {
            phase: status.phase,
            reason: status.reason,
            message: status.message,
            conditions: status.conditions,
            container_statuses: containers(status.container_statuses),
            init_container_statuses: containers(status.init_container_statuses),
            ..PodStatus::default()
        });
        Ok(Pod { metadata: self.metadata.into(), status, ..Pod::default() })
    }
}
