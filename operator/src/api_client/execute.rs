//! Executes the writes of plans. Every write passes the ApiClient.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::{NamespaceResourceScope, Status};
use kube::{Api, Client, Error, Resource, ResourceExt};
use seatrial_core::plan::{self, BlockedReason, Kind, Object, Write};
use seatrial_crds::names::FIELD_MANAGER;
use seatrial_crds::{MLPipelineRun, ModelVersion};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api_client::events::Recorder;
use crate::api_client::{ApiClient, LIMIT, within};
use crate::clock::Clock;

/// What the operator does with objects of all kinds that it writes.
pub(crate) trait Written:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}
impl<K> Written for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

/// Executes writes.
pub(crate) struct Writes {
    client: Client,
    api_client: ApiClient,
    recorder: Recorder,
}

/// A write that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteFailure {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) reason: FailureReason,
    pub(crate) message: String,
}

/// Why a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureReason {
    /// Somebody else wrote in between: the next plan sees it.
    Conflict,
    /// The write waits before it is tried again.
    Blocked(BlockedReason),
}

/// What an executed write left behind, as far as caches do not show it yet.
pub(crate) enum Done {
    /// An object of this kind and name exists now.
    Created(Kind, String),
    /// The object is like this now.
    Replaced(Object),
    /// Nothing that a cache has to show.
    Deleted,
    /// Nothing: the namespace is being deleted, and takes nothing new.
    NamespaceEnds,
}

impl Writes {
    pub(crate) fn new(client: Client, identity: &str, api_client: ApiClient, clock: Clock) -> Self {
        Self { recorder: Recorder::new(client.clone(), api_client.clone(), identity, clock), client, api_client }
    }

    async fn count<K: Written, T>(
        &self,
        verb: &'static str,
        write: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.api_client.write(verb, &K::kind(&()), LIMIT, write).await
    }

    /// Writes the status of an object as it was observed: if someone wrote in between, the answer is a conflict.
    pub(crate) async fn record<K: Written>(&self, object: &K) -> Result<K, Error> {
        let api = self.api::<K>(&object.namespace().unwrap_or_default());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let name = object.name_any();
        let write = api.replace_status(&name, &params, object);
        self.count::<K, _>("update-status", write).await
    }

    /// Executes one write.
    pub(crate) async fn execute(&self, namespace: &str, write: &Write) -> Result<Done, WriteFailure> {
        match write {
            Write::Create(object) => {
                let result = match object {
                    Object::Job(object) => self.create::<Job>(namespace, object).await,
                    Object::Deployment(object) => self.create::<Deployment>(namespace, object).await,
                    Object::Service(object) => self.create::<Service>(namespace, object).await,
                    Object::ControllerRevision(object) => self.create::<ControllerRevision>(namespace, object).await,
                    Object::Run(object) => self.create::<MLPipelineRun>(namespace, object).await,
                    Object::Version(object) => self.create::<ModelVersion>(namespace, object).await,
                    Object::ConfigMap(object) => self.create::<ConfigMap>(namespace, object).await,
                };
                match result {
                    Ok(()) => Ok(Done::Created(object.kind(), object.name().to_owned())),
                    Err(Refusal::Other(Error::Api(status))) if is_of_ending_namespace(&status) => {
                        Ok(Done::NamespaceEnds)
                    }
                    Err(refusal) => Err(failure(object.kind(), object.name(), refusal)),
                }
            }
            Write::Replace(object) => {
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
                    Object::ConfigMap(object) => {
                        self.replace(namespace, object.as_ref()).await.map(|new| Object::ConfigMap(Box::new(new)))
                    }
                    other => Err(Refusal::Clash(format!("a {} is never replaced", other.kind().name()))),
                };
                result.map_err(|error| failure(object.kind(), object.name(), error)).map(Done::Replaced)
            }
            Write::Delete { kind, name, uid } => {
                let result = match kind {
                    Kind::Job => self.delete::<Job>(namespace, name, uid).await,
                    Kind::Deployment => self.delete::<Deployment>(namespace, name, uid).await,
                    Kind::Service => self.delete::<Service>(namespace, name, uid).await,
                    Kind::ControllerRevision => self.delete::<ControllerRevision>(namespace, name, uid).await,
                    Kind::Run => self.delete::<MLPipelineRun>(namespace, name, uid).await,
                    Kind::Version => self.delete::<ModelVersion>(namespace, name, uid).await,
                    Kind::ConfigMap => self.delete::<ConfigMap>(namespace, name, uid).await,
                };
                result.map_err(|error| failure(*kind, name, error.into())).map(|()| Done::Deleted)
            }
        }
    }

    /// Writes the events of a plan. If one is lost, nothing else is.
    pub(crate) async fn record_event<K: Written>(&self, object: &K, event: &plan::Event) {
        if let Err(error) = self.recorder.record_event(object, event).await {
            tracing::debug!(%error, "an event could not be written");
        }
    }

    pub(crate) fn api<K: Written>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create<K: Written>(&self, namespace: &str, object: &K) -> Result<(), Refusal> {
        let api = self.api::<K>(namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match self.count::<K, _>("create", api.create(&params, object)).await {
            Ok(_) => Ok(()),
            Err(Error::Api(status)) if status.reason == "AlreadyExists" => {
                match within(LIMIT, api.get(&object.name_any())).await {
                    Ok(existing) if is_ours(object, &existing) => Ok(()),
                    Ok(_) => Err(Refusal::Clash(status.message.clone())),
                    // Gone since: as if someone had written in between.
                    Err(Error::Api(gone)) if gone.code == 404 => Err(Error::Api(status).into()),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn replace<K: Written>(&self, namespace: &str, object: &K) -> Result<K, Refusal> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let api = self.api::<K>(namespace);
        let name = object.name_any();
        let write = api.replace(&name, &params, object);
        Ok(self.count::<K, _>("update", write).await?)
    }

    async fn delete<K: Written>(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Error> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let api = self.api::<K>(namespace);
        match self.count::<K, _>("delete", api.delete(name, &params)).await {
            // A conflict says that another object bears the name, or that somebody wrote in between: the next plan looks.
            Err(Error::Api(status)) if status.code == 404 => Ok(()),
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

/// Whether something was refused since an admission webhook did not answer. The API server calls that an error of its
/// own, and gives no reason or cause that would tell: only the message does. It lasts until somebody looks after the
/// webhook, so people must hear of it.
fn is_of_silent_webhook(status: &Status) -> bool {
    status.code == 500 && status.message.contains("failed calling webhook")
}

fn failure(kind: Kind, name: &str, refusal: Refusal) -> WriteFailure {
    let (reason, message) = match refusal {
        Refusal::Clash(message) => (FailureReason::Blocked(BlockedReason::Clash), message),
        Refusal::Other(Error::Api(status)) if is_of_silent_webhook(&status) => (
            FailureReason::Blocked(BlockedReason::Refused),
            format!("an admission webhook of this cluster does not answer: {}", status.message),
        ),
        Refusal::Other(Error::Api(status)) => match status.code {
            409 => (FailureReason::Conflict, status.message.clone()),
            // An answer in JSON that is no Status, such as a proxy's, has no code.
            0 | 429 | 500..=599 => (FailureReason::Blocked(BlockedReason::Unavailable), status.message.clone()),
            _ => (FailureReason::Blocked(BlockedReason::Refused), status.message.clone()),
        },
        Refusal::Other(error) => (FailureReason::Blocked(BlockedReason::Unavailable), error.to_string()),
    };
    WriteFailure { kind, name: name.to_owned(), reason, message: message.chars().take(500).collect() }
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectMeta;
    use std::sync::Arc;

    use serde_json::{from_value, json};

    use super::*;
    use crate::api_client::fake;
    use crate::server::metrics::Metrics;

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

    #[tokio::test]
    async fn a_webhook_that_does_not_answer_is_a_refusal_that_says_so() {
        let said = "Internal error occurred: failed calling webhook \"validate.kyverno.svc\": connection refused";
        let client = fake::client(move |_, _, _| fake::status(500, "InternalError", said));
        let writes = Writes::new(client, "i", ApiClient::new(Arc::new(Metrics::new().0)), Clock::system());
        let write = Write::Create(Object::Job(Box::new(job(json!({"name": "a"})))));
        let Err(failure) = writes.execute("ns", &write).await else { panic!("it was not refused") };
        assert_eq!(failure.reason, FailureReason::Blocked(BlockedReason::Refused));
        assert!(failure.message.starts_with("an admission webhook of this cluster does not answer"), "{failure:?}");
        assert!(failure.message.contains("kyverno"), "{failure:?}");
    }

    #[tokio::test]
    async fn a_deletion_that_conflicts_is_tried_again() {
        let client = fake::client(|_, _, _| fake::status(409, "Conflict", "the object has been modified"));
        let writes = Writes::new(client, "i", ApiClient::new(Arc::new(Metrics::new().0)), Clock::system());
        let delete = Write::Delete { kind: Kind::Job, name: "a".into(), uid: "1".into() };
        let Err(failure) = writes.execute("ns", &delete).await else { panic!("it counts as done") };
        assert_eq!(failure.reason, FailureReason::Conflict, "{failure:?}");
    }

    #[tokio::test]
    async fn what_was_in_the_way_and_is_gone_is_a_conflict() {
        let client = fake::client(|method, _, _| match method {
            "POST" => fake::status(409, "AlreadyExists", "it exists"),
            _ => fake::status(404, "NotFound", "it is gone"),
        });
        let writes = Writes::new(client, "i", ApiClient::new(Arc::new(Metrics::new().0)), Clock::system());
        let write = Write::Create(Object::Job(Box::new(job(json!({"name": "a"})))));
        let Err(failure) = writes.execute("ns", &write).await else { panic!("it went through") };
        assert_eq!(failure.reason, FailureReason::Conflict, "{failure:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_ever_for_an_answer_not_even_the_look_at_what_exists() {
        let client = fake::client(|method, _, _| match method {
            "POST" => fake::status(409, "AlreadyExists", "it exists"),
            _ => None,
        });
        let writes = Writes::new(client, "i", ApiClient::new(Arc::new(Metrics::new().0)), Clock::system());
        let create = Write::Create(Object::Job(Box::new(job(json!({"name": "a"})))));
        let named = ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() };
        let replace = Write::Replace(Object::Service(Box::new(Service { metadata: named, ..Service::default() })));
        let delete = Write::Delete { kind: Kind::Job, name: "a".into(), uid: "1".into() };
        for write in [create, replace, delete] {
            let began = tokio::time::Instant::now();
            let Err(failure) = writes.execute("ns", &write).await else { panic!("{write:?}") };
            assert_eq!(
                (failure.reason, began.elapsed()),
                (FailureReason::Blocked(BlockedReason::Unavailable), LIMIT),
                "{write:?}"
            );
        }
    }
}
