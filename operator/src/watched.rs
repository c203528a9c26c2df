//! The kinds that are watched: where each is kept, what of it is dropped on arrival, and which keys its events concern.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, PodStatus, Service};
use kube::ResourceExt;
use seatrial_core::run::has_ended;
use seatrial_crds::names::{DEPLOYMENT_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL};
use seatrial_crds::{MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};

use crate::cache::Cache;
use crate::key::{Key, Primary};
use crate::world::{ALL, World, group};

/// A kind that is watched: where it is kept, what of it no decision reads, and whom it concerns.
pub(crate) trait Watched: Sized {
    /// The kind's cache.
    fn cache(world: &World) -> &Cache<Self>;
    /// Drops what no decision reads.
    fn prune(&mut self);
    /// The keys that an event of this object concerns.
    fn concerns(&self, world: &World) -> Vec<Key>;
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

impl Watched for MLPipeline {
    fn cache(world: &World) -> &Cache<Self> {
        &world.pipelines
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, world: &World) -> Vec<Key> {
        let mut keys = world.unfinished_runs(&self.namespace().unwrap_or_default(), &self.name_any());
        keys.push(Key::of(Primary::Pipeline, self));
        keys
    }
}

impl Watched for MLPipelineRun {
    fn cache(world: &World) -> &Cache<Self> {
        &world.runs
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, world: &World) -> Vec<Key> {
        let namespace = self.namespace().unwrap_or_default();
        let mut keys = vec![Key::of(Primary::Run, self), Key::beside(Primary::Pipeline, self, &self.spec.pipeline)];
        if self.status.is_none() || has_ended(self.status.as_ref()) || self.metadata.deletion_timestamp.is_some() {
            // Whom a new one supersedes; whoever waits for one that is over.
            keys.extend(world.unfinished_runs(&namespace, &self.spec.pipeline));
        }
        if self.status.as_ref().is_some_and(|status| !status.versions.is_empty()) {
            // The versions may have arrived before the run did: those wait for its word.
            keys.extend(world.unvouched_versions(&namespace, &self.name_any()));
        }
        keys
    }
}

impl Watched for Model {
    fn cache(world: &World) -> &Cache<Self> {
        &world.models
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, world: &World) -> Vec<Key> {
        let namespace = self.namespace().unwrap_or_default();
        let versions = world.versions.group(&namespace, &group(MODEL_LABEL, &self.name_any()));
        let mut keys = world.deployments_of(&namespace, &self.name_any());
        keys.push(Key::of(Primary::Model, self));
        keys.extend(versions.iter().map(|version| Key::of(Primary::Version, version.as_ref())));
        keys
    }
}

impl Watched for ModelVersion {
    fn cache(world: &World) -> &Cache<Self> {
        &world.versions
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, world: &World) -> Vec<Key> {
        let namespace = self.namespace().unwrap_or_default();
        let mut keys = world.deployments_of(&namespace, &self.spec.model);
        keys.push(Key::of(Primary::Version, self));
        keys.push(Key::beside(Primary::Model, self, &self.spec.model));
        let run = world.runs.get(&namespace, &self.spec.lineage.run);
        if run.is_some_and(|run| !has_ended(run.status.as_ref())) {
            keys.push(Key::beside(Primary::Run, self, &self.spec.lineage.run));
        }
        keys
    }
}

impl Watched for ModelDeployment {
    fn cache(world: &World) -> &Cache<Self> {
        &world.model_deployments
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, _: &World) -> Vec<Key> {
        vec![Key::of(Primary::Deployment, self)]
    }
}

impl Watched for Store {
    fn cache(world: &World) -> &Cache<Self> {
        &world.stores
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, world: &World) -> Vec<Key> {
        world.store_users(Some(&self.namespace().unwrap_or_default()))
    }
}

fn by_label(object: &impl ResourceExt, label: &str, kind: Primary) -> Option<Key> {
    object.labels().get(label).map(|name| Key::beside(kind, object, name))
}

impl Watched for Job {
    fn cache(world: &World) -> &Cache<Self> {
        &world.jobs
    }

    fn prune(&mut self) {
        prune_metadata(self);
        self.spec = None;
    }

    fn concerns(&self, _: &World) -> Vec<Key> {
        by_label(self, RUN_LABEL, Primary::Run).into_iter().collect()
    }
}

impl Watched for Pod {
    fn cache(world: &World) -> &Cache<Self> {
        &world.pods
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

    fn concerns(&self, _: &World) -> Vec<Key> {
        let run = by_label(self, RUN_LABEL, Primary::Run);
        run.into_iter().chain(by_label(self, DEPLOYMENT_LABEL, Primary::Deployment)).collect()
    }
}

impl Watched for Deployment {
    fn cache(world: &World) -> &Cache<Self> {
        &world.deployments
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, _: &World) -> Vec<Key> {
        by_label(self, DEPLOYMENT_LABEL, Primary::Deployment).into_iter().collect()
    }
}

impl Watched for Service {
    fn cache(world: &World) -> &Cache<Self> {
        &world.services
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, _: &World) -> Vec<Key> {
        by_label(self, DEPLOYMENT_LABEL, Primary::Deployment).into_iter().collect()
    }
}

impl Watched for ControllerRevision {
    fn cache(world: &World) -> &Cache<Self> {
        &world.revisions
    }

    fn prune(&mut self) {
        prune_metadata(self);
    }

    fn concerns(&self, world: &World) -> Vec<Key> {
        let namespace = self.namespace().unwrap_or_default();
        let Some(pipeline) = self.labels().get(PIPELINE_LABEL) else {
            // A counter: whoever lost a race for its number looks again.
            return world.runs.group(&namespace, ALL).iter().map(|run| Key::of(Primary::Run, run.as_ref())).collect();
        };
        let mut keys = world.unfinished_runs(&namespace, pipeline);
        keys.push(Key::beside(Primary::Pipeline, self, pipeline));
        keys
    }
}
