//! The one seam that every write passes, counted; and the executor of actions.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::{NamespaceResourceScope, Status};
use kube::runtime::events::{EventType, Recorder, Reporter};
use kube::{Api, Client, Error, Resource, ResourceExt};
use seatrial_core::plan::{self, Action, FailureReason, Kind, Object, WriteFailure};
use seatrial_crds::names::FIELD_MANAGER;
use seatrial_crds::{MLPipelineRun, ModelVersion};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::metrics::Metrics;

/// What any object of ours can do.
pub(crate) trait Written:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}
impl<K> Written for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

/// The writes.
pub(crate) struct Writes {
    client: Client,
    recorder: Recorder,
    metrics: Arc<Metrics>,
}

/// What a carried-out action left behind, as far as caches do not show it yet.
pub(crate) enum Done {
    /// An object of this kind and name exists now.
    Created(Kind, String),
    /// The object is like this now.
    Replaced(Object),
    /// Nothing.
    Deleted,
    /// Nothing: the namespace is being deleted, and takes nothing new.
    NamespaceEnds,
}

impl Writes {
    pub(crate) fn new(client: Client, identity: &str, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter { controller: "seatrial.dev/operator".into(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client.clone(), reporter), client, metrics }
    }

    /// Counts a write and passes its answer on.
    async fn count<T>(
        &self,
        verb: &str,
        kind: &str,
        write: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let answer = write.await;
        let outcome = match &answer {
            Ok(_) => "success",
            Err(Error::Api(status)) if status.code == 409 => "conflict",
            Err(Error::Api(_)) => "refused",
            Err(_) => "unavailable",
        };
        self.metrics.count_write(verb, kind, outcome);
        answer
    }

    /// Writes the status of an object as it was observed: if someone wrote in between, the answer is a conflict.
    pub(crate) async fn record<K: Written>(&self, object: &K) -> Result<K, Error> {
        let api = self.api::<K>(&object.namespace().unwrap_or_default());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let name = object.name_any();
        let write = api.replace_status(&name, &params, object);
        self.count("update-status", &K::kind(&()), write).await
    }

    /// Carries out one action.
    pub(crate) async fn carry_out(&self, namespace: &str, action: &Action) -> Result<Done, WriteFailure> {
        match action {
            Action::Create(object) => {
                let result = match object {
                    Object::Job(object) => self.create::<Job>(namespace, object).await,
                    Object::Deployment(object) => self.create::<Deployment>(namespace, object).await,
                    Object::Service(object) => self.create::<Service>(namespace, object).await,
                    Object::ControllerRevision(object) => self.create::<ControllerRevision>(namespace, object).await,
                    Object::Run(object) => self.create::<MLPipelineRun>(namespace, object).await,
                    Object::Version(object) => self.create::<ModelVersion>(namespace, object).await,
                };
                match result {
                    Ok(()) => Ok(Done::Created(object.kind(), object.name().to_owned())),
                    Err(Refusal::Other(Error::Api(status))) if is_of_ending_namespace(&status) => {
                        Ok(Done::NamespaceEnds)
                    }
                    Err(refusal) => Err(failure(object.kind(), object.name(), refusal)),
                }
            }
            Action::Replace(object) => {
                let result = match object {
                    Object::ControllerRevision(object) => self
                        .replace(namespace, object.as_ref())
                        .await
                        .map(|new| Object::ControllerRevision(Box::new(new))),
                    Object::Deployment(object) => {
                        self.replace(namespace, object.as_ref()).await.map(|new| Object::Deployment(Box::new(new)))
                    }
                    Object::Service(object) => {
                        self.replace(namespace, object.as_ref()).await.map(|new| Object::Service(Box::new(new)))
                    }
                    other => Err(Refusal::Clash(format!("a {} is never replaced", other.kind().name()))),
                };
                result.map_err(|error| failure(object.kind(), object.name(), error)).map(Done::Replaced)
            }
            Action::Delete { kind, name, uid } => {
                let result = match kind {
                    Kind::Job => self.delete::<Job>(namespace, name, uid).await,
                    Kind::Deployment => self.delete::<Deployment>(namespace, name, uid).await,
                    Kind::Service => self.delete::<Service>(namespace, name, uid).await,
                    Kind::ControllerRevision => self.delete::<ControllerRevision>(namespace, name, uid).await,
                    Kind::Run => self.delete::<MLPipelineRun>(namespace, name, uid).await,
                    Kind::Version => self.delete::<ModelVersion>(namespace, name, uid).await,
                };
                result.map_err(|error| failure(*kind, name, error.into())).map(|()| Done::Deleted)
            }
        }
    }

    /// Tells people. An event that is lost is no harm.
    pub(crate) async fn tell<K: Written>(&self, object: &K, event: &plan::Event) {
        let event = kube::runtime::events::Event {
            type_: match event.kind {
                plan::EventType::Normal => EventType::Normal,
                plan::EventType::Warning => EventType::Warning,
            },
            reason: event.reason.to_owned(),
            note: Some(event.message.chars().take(1000).collect()),
            action: event.action.to_owned(),
            secondary: None,
        };
        let reference = object.object_ref(&());
        let write = self.recorder.publish(&event, &reference);
        if let Err(error) = self.count("create", "Event", write).await {
            tracing::debug!(%error, "an event could not be written");
        }
    }

    fn api<K: Written>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create<K: Written>(&self, namespace: &str, object: &K) -> Result<(), Refusal> {
        let api = self.api::<K>(namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match self.count("create", &K::kind(&()), api.create(&params, object)).await {
            Ok(_) => Ok(()),
            Err(Error::Api(status)) if status.reason == "AlreadyExists" => {
                let existing = api.get(&object.name_any()).await?;
                if is_ours(object, &existing) { Ok(()) } else { Err(Refusal::Clash(status.message.clone())) }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn replace<K: Written>(&self, namespace: &str, object: &K) -> Result<K, Refusal> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let api = self.api::<K>(namespace);
        let name = object.name_any();
        let write = api.replace(&name, &params, object);
        Ok(self.count("update", &K::kind(&()), write).await?)
    }

    async fn delete<K: Written>(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Error> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let api = self.api::<K>(namespace);
        match self.count("delete", &K::kind(&()), api.delete(name, &params)).await {
            // Gone, or another object of the name: either way the one that was meant is no more.
            Err(Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

/// Whether an existing object is the one that was to be created: of the same controlling owner; or, for objects
/// without owner, one that this operator made for the same run or pipeline, as its labels and annotations say.
fn is_ours<K: Resource>(wanted: &K, existing: &K) -> bool {
    let controller = |object: &K| {
        let owners = object.meta().owner_references.iter().flatten();
        owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone())
    };
    match controller(wanted) {
        Some(uid) => controller(existing).as_ref() == Some(&uid),
        None => {
            let covers = |wanted: &Option<std::collections::BTreeMap<String, String>>,
                          existing: &Option<std::collections::BTreeMap<String, String>>| {
                wanted
                    .iter()
                    .flatten()
                    .all(|(key, value)| existing.as_ref().and_then(|map| map.get(key)) == Some(value))
            };
            covers(&wanted.meta().labels, &existing.meta().labels)
                && covers(&wanted.meta().annotations, &existing.meta().annotations)
        }
    }
}

/// Why a write did not go through.
enum Refusal {
    Clash(String),
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Whether something was refused since its namespace is being deleted. The API server gives this as a cause; code and
/// reason are those of missing rights.
fn is_of_ending_namespace(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

fn failure(kind: Kind, name: &str, refusal: Refusal) -> WriteFailure {
    let (reason, message) = match refusal {
        Refusal::Clash(message) => (FailureReason::Clash, message),
        Refusal::Other(Error::Api(status)) => match status.code {
            409 => (FailureReason::Conflict, status.message.clone()),
            429 | 500..=599 => (FailureReason::Unavailable, status.message.clone()),
            _ => (FailureReason::Refused, status.message.clone()),
        },
        Refusal::Other(error) => (FailureReason::Unavailable, error.to_string()),
    };
    WriteFailure { kind, name: name.to_owned(), reason, message: message.chars().take(500).collect() }
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectMeta;
    use serde_json::{from_value, json};

    use super::*;

    fn job(metadata: serde_json::Value) -> Job {
        let metadata: ObjectMeta = from_value(metadata).unwrap();
        Job { metadata, ..Job::default() }
    }

    #[test]
    fn a_child_is_ours_by_its_owners_uid_not_by_its_name() {
        let owner = |uid: &str| json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid, "controller": true}]);
        let wanted = job(json!({"name": "a", "ownerReferences": owner("1")}));
        assert!(is_ours(&wanted, &job(json!({"name": "a", "ownerReferences": owner("1")}))));
        assert!(!is_ours(&wanted, &job(json!({"name": "a", "ownerReferences": owner("2")}))));
        assert!(!is_ours(&wanted, &job(json!({"name": "a"}))));
    }

    #[test]
    fn an_object_without_owner_is_ours_by_labels_and_annotations() {
        let wanted = job(json!({"labels": {"a": "1"}, "annotations": {"holder": "run"}}));
        assert!(is_ours(&wanted, &job(json!({"labels": {"a": "1", "b": "2"}, "annotations": {"holder": "run"}}))));
        assert!(!is_ours(&wanted, &job(json!({"labels": {"a": "1"}, "annotations": {"holder": "other"}}))));
    }
}
