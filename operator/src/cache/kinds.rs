//! The kinds that are watched: where each is kept, what of it is dropped on arrival, and which keys its events concern.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodStatus, Service};
use kube::ResourceExt;
use seatrial_core::run::has_ended;
use seatrial_crds::names::{DEPLOYMENT_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL};
use seatrial_crds::{MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};

use crate::cache::Cache;
use crate::cache::caches::{ALL, Caches, group};
use crate::queue::object_key::{ObjectKey, Primary};

/// A kind that is watched: where it is kept, what of it no decision reads, and whom it concerns.
pub(crate) trait WatchedKind: Sized {
    /// The kind's cache.
    fn cache(caches: &Caches) -> &Cache<Self>;
    /// Drops what no decision reads.
    fn prune(&mut self);
    /// The keys that an event of this object concerns.
    fn dependents(&self, caches: &Caches) -> Vec<ObjectKey>;
}

/// Metadata without what is large and never read.
fn prune_metadata(object: &mut impl ResourceExt) {
    object.managed_fields_mut().clear();
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    if object.annotations().is_empty() {
        object.meta_mut().annotations = None;
    }
}

impl WatchedKind for MLPipeline {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.pipelines
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, caches: &Caches) -> Vec<ObjectKey> {
        let mut keys = caches.unfinished_runs(&self.namespace().unwrap_or_default(), &self.name_any());
        keys.push(ObjectKey::of(Primary::Pipeline, self));
        keys
    }
}

impl WatchedKind for MLPipelineRun {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.runs
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, caches: &Caches) -> Vec<ObjectKey> {
        let namespace = self.namespace().unwrap_or_default();
        let mut keys =
            vec![ObjectKey::of(Primary::Run, self), ObjectKey::beside(Primary::Pipeline, self, &self.spec.pipeline)];
        if self.status.is_none() || has_ended(self.status.as_ref()) || self.metadata.deletion_timestamp.is_some() {
            // Whom a new one supersedes; whoever waits for one that is over.
            keys.extend(caches.unfinished_runs(&namespace, &self.spec.pipeline));
        }
        if self.status.as_ref().is_some_and(|status| !status.versions.is_empty()) {
            // The versions may have arrived before the run did: those wait for its word.
            keys.extend(caches.unvouched_versions(&namespace, &self.name_any()));
        }
        keys
    }
}

impl WatchedKind for Model {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.models
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, caches: &Caches) -> Vec<ObjectKey> {
        let namespace = self.namespace().unwrap_or_default();
        let versions = caches.versions.group(&namespace, &group(MODEL_LABEL, &self.name_any()));
        let mut keys = caches.deployments_of(&namespace, &self.name_any());
        keys.push(ObjectKey::of(Primary::Model, self));
        keys.extend(versions.iter().map(|version| ObjectKey::of(Primary::Version, version.as_ref())));
        keys
    }
}

impl WatchedKind for ModelVersion {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.versions
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, caches: &Caches) -> Vec<ObjectKey> {
        let namespace = self.namespace().unwrap_or_default();
        let mut keys = caches.deployments_of(&namespace, &self.spec.model);
        keys.push(ObjectKey::of(Primary::Version, self));
        keys.push(ObjectKey::beside(Primary::Model, self, &self.spec.model));
        let run = caches.runs.get(&namespace, &self.spec.lineage.run);
        if run.is_some_and(|run| !has_ended(run.status.as_ref())) {
            keys.push(ObjectKey::beside(Primary::Run, self, &self.spec.lineage.run));
        }
        keys
    }
}

impl WatchedKind for ModelDeployment {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.model_deployments
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, _: &Caches) -> Vec<ObjectKey> {
        vec![ObjectKey::of(Primary::Deployment, self)]
    }
}

impl WatchedKind for Store {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.stores
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, caches: &Caches) -> Vec<ObjectKey> {
        caches.store_users(Some(&self.namespace().unwrap_or_default()))
    }
}

fn by_label(object: &impl ResourceExt, label: &str, kind: Primary) -> Option<ObjectKey> {
    object.labels().get(label).map(|name| ObjectKey::beside(kind, object, name))
}

impl WatchedKind for Job {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.jobs
    }

    fn prune(&mut self) {
        prune_metadata(self);
        self.spec = None;
    }

    fn dependents(&self, _: &Caches) -> Vec<ObjectKey> {
        by_label(self, RUN_LABEL, Primary::Run).into_iter().collect()
    }
}

impl WatchedKind for Pod {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.pods
    }

    fn prune(&mut self) {
        prune_metadata(self);
        self.metadata.annotations = None;
        self.spec = None;
        self.status = self.status.take().map(|status| PodStatus {
            phase: status.phase,
            reason: status.reason,
            message: status.message,
            conditions: status.conditions,
            container_statuses: status.container_statuses,
            init_container_statuses: status.init_container_statuses,
            ..PodStatus::default()
        });
    }

    fn dependents(&self, _: &Caches) -> Vec<ObjectKey> {
        let run = by_label(self, RUN_LABEL, Primary::Run);
        run.into_iter().chain(by_label(self, DEPLOYMENT_LABEL, Primary::Deployment)).collect()
    }
}

impl WatchedKind for Deployment {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.deployments
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, _: &Caches) -> Vec<ObjectKey> {
        by_label(self, DEPLOYMENT_LABEL, Primary::Deployment).into_iter().collect()
    }
}

impl WatchedKind for Service {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.services
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, _: &Caches) -> Vec<ObjectKey> {
        by_label(self, DEPLOYMENT_LABEL, Primary::Deployment).into_iter().collect()
    }
}

impl WatchedKind for ControllerRevision {
    fn cache(caches: &Caches) -> &Cache<Self> {
        &caches.revisions
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn dependents(&self, caches: &Caches) -> Vec<ObjectKey> {
        let namespace = self.namespace().unwrap_or_default();
        let Some(pipeline) = self.labels().get(PIPELINE_LABEL) else {
            // A counter: whoever lost a race for its number looks again.
            return caches
                .runs
                .group(&namespace, ALL)
                .iter()
                .map(|run| ObjectKey::of(Primary::Run, run.as_ref()))
                .collect();
        };
        let mut keys = caches.unfinished_runs(&namespace, pipeline);
        keys.push(ObjectKey::beside(Primary::Pipeline, self, pipeline));
        keys
    }
}
