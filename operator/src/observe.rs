//! Gathers what plans are made of from the caches.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use seatrial_core::observed::{DeploymentObserved, ModelObserved, PipelineObserved, RunObserved, VersionObserved};
use seatrial_core::plan::Kind;
use seatrial_core::run::has_ended;
use seatrial_crds::names::{DEPLOYMENT_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL};
use seatrial_crds::{MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion};

use crate::cache::Cache;
use crate::key::Key;
use crate::reconcile::Reconciler;
use crate::world::{ALL, group};

impl Reconciler {
    /// Whether the caches have an object.
    pub(crate) fn shows(&self, namespace: &str, kind: Kind, name: &str) -> bool {
        fn has<K: ResourceExt>(cache: &Cache<K>, namespace: &str, name: &str) -> bool {
            cache.get(namespace, name).is_some()
        }
        match kind {
            Kind::Job => has(&self.world.jobs, namespace, name),
            Kind::Deployment => has(&self.world.deployments, namespace, name),
            Kind::Service => has(&self.world.services, namespace, name),
            Kind::ControllerRevision => has(&self.world.revisions, namespace, name),
            Kind::Run => has(&self.world.runs, namespace, name),
            Kind::Version => has(&self.world.versions, namespace, name),
        }
    }

    pub(crate) fn observe_pipeline(&self, key: &Key, pipeline: &Arc<MLPipeline>) -> PipelineObserved {
        let own = group(PIPELINE_LABEL, &key.name);
        PipelineObserved {
            pipeline: pipeline.clone(),
            revisions: self.world.revisions.group(&key.namespace, &own),
            runs: self.world.runs.group(&key.namespace, &own),
            versions: self.world.versions.group(&key.namespace, &own),
            failures: self.memory.failures(key),
        }
    }

    pub(crate) fn observe_run(&self, key: &Key, run: &Arc<MLPipelineRun>) -> RunObserved {
        let world = &self.world;
        let namespace = &key.namespace;
        let own = group(RUN_LABEL, &key.name);
        let pipeline = group(PIPELINE_LABEL, &run.spec.pipeline);
        let jobs = world.jobs.group(namespace, &own);
        let sightings = if has_ended(run.status.as_ref()) {
            // What its end left to be deleted may have been refused: the back-off goes on.
            if self.memory.failures(key).is_empty() {
                self.memory.forget(key);
            }
            BTreeMap::new()
        } else {
            // A Job of somebody else that bears the run's name was never an attempt of ours, and is not lost when it goes.
            let ours = jobs.iter().filter(|job| is_controlled_by(job.as_ref(), run.metadata.uid.as_deref()));
            self.memory.sightings(key, ours.filter_map(|job| job.metadata.name.as_deref()))
        };
        let spec = run.status.as_ref().and_then(|status| status.revision.as_ref());
        let spec = spec.and_then(|name| world.revisions.get(namespace, name));
        let spec = spec.and_then(|revision| seatrial_core::revision::spec(&revision).ok());
        let models: Vec<String> = spec.iter().flat_map(|spec| spec.publishes.iter().map(|p| p.model.clone())).collect();
        let counter = |model: &String| {
            let name = seatrial_core::names::counter(model);
            world.revisions.get(namespace, &name).map(|counter| (model.clone(), counter))
        };
        RunObserved {
            run: run.clone(),
            pipeline: world.pipelines.get(namespace, &run.spec.pipeline),
            siblings: world.runs.group(namespace, &pipeline),
            revisions: world.revisions.group(namespace, &pipeline),
            pods: world.pods.group(namespace, &own),
            jobs,
            stores: world.stores.group(namespace, ALL),
            counters: models.iter().filter_map(counter).collect(),
            versions: models
                .iter()
                .flat_map(|model| world.versions.group(namespace, &group(MODEL_LABEL, model)))
                .collect(),
            sightings,
            confirmed: self.memory.confirmed(key),
            failures: self.memory.failures(key),
            platform: world.platform(),
        }
    }

    pub(crate) fn observe_version(&self, key: &Key, version: &Arc<ModelVersion>) -> VersionObserved {
        VersionObserved {
            version: version.clone(),
            model: self.world.models.get(&key.namespace, &version.spec.model),
            run: self.world.runs.get(&key.namespace, &version.spec.lineage.run),
        }
    }

    pub(crate) fn observe_model(&self, key: &Key, model: &Arc<Model>) -> ModelObserved {
        let versions = self.world.versions.group(&key.namespace, &group(MODEL_LABEL, &key.name));
        ModelObserved { model: model.clone(), versions }
    }

    pub(crate) fn observe_deployment(&self, key: &Key, deployment: &Arc<ModelDeployment>) -> DeploymentObserved {
        let world = &self.world;
        let own = group(DEPLOYMENT_LABEL, &key.name);
        let model = &deployment.spec.model;
        DeploymentObserved {
            deployment: deployment.clone(),
            model: world.models.get(&key.namespace, model),
            versions: world.versions.group(&key.namespace, &group(MODEL_LABEL, model)),
            children: world.deployments.group(&key.namespace, &own),
            service: world.services.get(&key.namespace, &key.name),
            pods: world.pods.group(&key.namespace, &own),
            stores: world.stores.group(&key.namespace, ALL),
            failures: self.memory.failures(key),
            platform: world.platform(),
        }
    }
}

fn is_controlled_by(object: &impl ResourceExt, uid: Option<&str>) -> bool {
    object.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}
