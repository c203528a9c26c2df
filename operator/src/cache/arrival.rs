//! Objects as the API server sends them. What of them no plan reads (managed fields, the specs of Jobs and pods) is skipped
//! while they are read, so that it takes neither time nor memory.
//!
//! An object that does not fit its type ends no watch: it arrives as [`Unreadable`]. So does one of Seatrial's own kinds whose
//! spec has a field that this release does not know: to do what it says without that field may be the opposite of what it says.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// An object that does not fit its type.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) metadata: ObjectMeta,
    /// Why it does not fit.
    pub(crate) error: String,
}

/// An object that arrives.
#[derive(Clone, Debug)]
pub(crate) struct Arrival<K>(pub(crate) Result<K, Box<Unreadable>>);

/// A kind whose objects arrive.
pub(crate) trait Arrives: Resource<DynamicType = ()> + Sized {
    /// How its objects are read.
    type Form: Form<Self>;
}

/// How an object of a kind is read.
pub(crate) trait Form<K>: DeserializeOwned {
    /// The object as the caches keep it.
    fn read(self) -> Result<K, Box<Unreadable>>;
}

impl<'de, K: Arrives> Deserialize<'de> for Arrival<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        K::Form::deserialize(deserializer).map(|form| Self(form.read()))
    }
}

impl<K: Arrives> Resource for Arrival<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(of: &()) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &()) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &()) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &()) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::Pod;
    use seatrial_crds::{MLPipeline, MLPipelineRun};
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::cache::kinds::WatchedKind;

    /// An object with everything that a form may skip.
    fn pod() -> Value {
        let container = json!({
            "name": "step", "image": "a", "imageID": "b", "ready": true, "restartCount": 1, "started": true,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "why"}},
            "resources": {"limits": {"cpu": "1"}}, "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        });
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
                "deletionGracePeriodSeconds": 30, "finalizers": ["f"], "labels": {"a": "b"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "ju", "controller": true}],
                "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {}}}],
            },
            "spec": {"containers": [{"name": "step", "image": "a"}]},
            "status": {
                "phase": "Running", "reason": "r", "message": "m", "hostIP": "10.0.0.1", "podIP": "10.1.0.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [container], "initContainerStatuses": [container],
            },
        })
    }

    fn job() -> Value {
        let mut job = pod();
        job["apiVersion"] = json!("batch/v1");
        job["kind"] = json!("Job");
        job["spec"] = json!({"template": {"spec": {"containers": [{"name": "step"}]}}});
        job["status"] = json!({"active": 1, "ready": 1, "terminating": 0, "conditions": [{"type": "Suspended", "status": "True"}],
            "uncountedTerminatedPods": {"failed": ["x"]}, "completionTime": "2026-01-01T00:00:00Z"});
        job
    }

    /// An object that arrives by its watch, and one that answers a write, are the same object.
    fn assert_same<K: WatchedKind>(object: &Value) -> K {
        let mut arrived = from_value::<Arrival<K>>(object.clone()).unwrap().0.unwrap();
        arrived.prune();
        let mut answered: K = from_value(object.clone()).unwrap();
        answered.prune();
        assert!(arrived == answered, "{arrived:?}\n{answered:?}");
        arrived
    }

    #[test]
    fn what_is_skipped_is_what_is_pruned() {
        assert!(assert_same::<Pod>(&pod()).status.unwrap().container_statuses.unwrap()[0].last_state.is_some());
        assert!(assert_same::<Job>(&job()).status.unwrap().completion_time.is_some());
        let run = json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun", "metadata": pod()["metadata"],
            "spec": {"pipeline": "churn"}, "status": {"startedAt": "2026-01-01T00:00:00Z"},
        });
        assert!(assert_same::<MLPipelineRun>(&run).status.is_some());
    }

    fn pipeline(spec: &Value) -> Result<MLPipeline, String> {
        let object = json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "metadata": {"name": "churn"}, "spec": spec});
        let arrival: Arrival<MLPipeline> = from_value(object).unwrap();
        assert_eq!(arrival.meta().name.as_deref(), Some("churn"));
        arrival.0.map_err(|unreadable| unreadable.error)
    }

    #[test]
    fn a_field_that_this_release_does_not_know_is_named() {
        let known = json!({
            "image": "churn:1", "suspend": false, "parameters": [],
            "steps": [{"name": "train", "command": ["train"], "env": [], "pod": {}, "resources": {}, "inputs": []}],
        });
        pipeline(&known).unwrap();
        let mut newer = known.clone();
        newer["steps"][0]["when"] = json!("false");
        assert!(pipeline(&newer).unwrap_err().contains("does not know the field spec.steps[0].when"));
        let mut newer = known.clone();
        newer["pod"] = json!({"someday": {"of": "use"}});
        let error = pipeline(&newer).unwrap_err();
        assert!(error.contains("does not know the field spec.pod:"), "{error}");
        let mut wrong = known;
        wrong["steps"][0]["command"] = json!(7);
        assert!(pipeline(&wrong).unwrap_err().starts_with("spec: "));
    }
}
