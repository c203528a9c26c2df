//! observe → plan → record → apply, the same for every kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::{Client, Error, ResourceExt};
use seatrial_core::observed::{DeploymentObserved, ModelObserved, PipelineObserved, RunObserved, VersionObserved};
use seatrial_core::plan::{Action, Kind, Object, Plan, WriteFailure};
use seatrial_core::run::has_ended;
use seatrial_core::{deployment, model, pipeline, run, version};
use seatrial_crds::names::{DEPLOYMENT_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL};
use seatrial_crds::{MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion};

use crate::cache::Cache;
use crate::confirm;
use crate::key::{Key, Primary};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::watched::Watched;
use crate::world::{ALL, World, group};
use crate::writes::{Done, Writes, Written};

/// After a conflict the newer object is on its way; if not, after this.
const AFTER_CONFLICT: Duration = Duration::from_secs(2);
/// How soon a key is looked at whose own creations the caches do not show yet.
const AFTER_LAG: Duration = Duration::from_millis(500);

/// What a worker has at hand.
pub(crate) struct Reconciler {
    pub(crate) world: Arc<World>,
    pub(crate) client: Client,
    pub(crate) queue: Arc<Queue>,
    pub(crate) memory: Memory,
    pub(crate) writes: Writes,
    pub(crate) metrics: Arc<Metrics>,
}

/// How a pass ended.
enum Pass {
    /// Nothing is left to do until something changes, or until then.
    Done(Option<Duration>),
    /// Someone wrote in between.
    Conflict,
    /// A write failed.
    Failed(WriteFailure),
    /// The status could not be written.
    Trouble(Error),
}

impl Reconciler {
    /// Takes keys until the queue is closed.
    pub(crate) async fn work(self: Arc<Self>) {
        while let Some(key) = self.queue.take().await {
            self.metrics.set_depth(self.queue.depth());
            let began = Instant::now();
            let reconciler = self.clone();
            let own = key.clone();
            // A task of its own, so that a panic ends this pass and not the worker.
            let pass = tokio::spawn(async move { reconciler.reconcile(&own).await }).await;
            let (result, again) = match pass {
                Ok(Pass::Done(again)) => ("success", again),
                Ok(Pass::Conflict) => ("requeue", Some(AFTER_CONFLICT)),
                Ok(Pass::Failed(failure)) => {
                    tracing::warn!(kind = key.kind.name(), namespace = key.namespace, name = key.name,
                        child = failure.kind.name(), child_name = failure.name, reason = ?failure.reason,
                        error = failure.message, "a write failed");
                    ("error", Some(self.memory.note_failure(&key, failure)))
                }
                Ok(Pass::Trouble(error)) => {
                    tracing::warn!(kind = key.kind.name(), namespace = key.namespace, name = key.name, %error, "the status could not be written");
                    ("error", Some(self.memory.note_trouble(&key)))
                }
                Err(error) => {
                    tracing::error!(kind = key.kind.name(), namespace = key.namespace, name = key.name, %error, "a reconciliation panicked; please report this");
                    ("panic", Some(self.memory.note_trouble(&key)))
                }
            };
            self.metrics.count_reconcile(key.kind.name(), result, began.elapsed().as_secs_f64());
            // Before anybody else can take the key, and have a later word on when to look again.
            self.queue.add_after(key.clone(), again);
            self.queue.done(&key);
        }
    }

    async fn reconcile(&self, key: &Key) -> Pass {
        if self.memory.must_wait(key, |kind, name| self.shows(&key.namespace, kind, name)) {
            return Pass::Done(Some(AFTER_LAG));
        }
        let now = Timestamp::now();
        match key.kind {
            Primary::Pipeline => self.pass(key, |seen| pipeline::plan(&self.observe_pipeline(key, seen), now)).await,
            Primary::Run => self.pass(key, |seen| run::plan(&self.observe_run(key, seen), now)).await,
            Primary::Version => self.pass(key, |seen| version::plan(&self.observe_version(key, seen), now)).await,
            Primary::Model => self.pass(key, |seen| model::plan(&self.observe_model(key, seen), now)).await,
            Primary::Deployment => {
                self.pass(key, |seen| deployment::plan(&self.observe_deployment(key, seen), now)).await
            }
        }
    }

    /// One pass over one object, from top to bottom.
    async fn pass<K: Watched + Written + HasStatus>(
        &self,
        key: &Key,
        plan: impl FnOnce(&Arc<K>) -> Plan<K::Status>,
    ) -> Pass {
        let Some(observed) = K::cache(&self.world).get(&key.namespace, &key.name) else {
            self.memory.forget(key);
            return Pass::Done(None);
        };
        let plan = plan(&observed);
        for action in &plan.actions {
            if let Action::Create(Object::Job(job)) = action {
                self.memory.note_recorded(key, &job.name_any());
            }
        }
        if let Some(status) = plan.status {
            match self.record(&observed, status).await {
                Ok(()) => {}
                Err(Error::Api(status)) if status.code == 409 || status.code == 404 => return Pass::Conflict,
                Err(error) => return Pass::Trouble(error),
            }
        }
        for action in &plan.actions {
            match self.writes.carry_out(&key.namespace, action).await {
                Ok(Done::Created(kind, name)) => self.memory.note_created(key, kind, &name, Timestamp::now()),
                Ok(Done::Replaced(object)) => self.world.learn(action, object),
                Ok(Done::Deleted) => {}
                Ok(Done::NamespaceEnds) => {
                    tracing::info!(
                        kind = key.kind.name(),
                        namespace = key.namespace,
                        name = key.name,
                        "the namespace is being deleted and takes nothing new"
                    );
                    return Pass::Done(None);
                }
                Err(failure) => return Pass::Failed(failure),
            }
        }
        for job in &plan.confirm {
            // What is found comes before the next plan, and nothing else was to be decided without it.
            let asked = Timestamp::now();
            if let Err(error) = confirm::confirm(&self.client, &self.world, &key.namespace, job).await {
                return Pass::Trouble(error);
            }
            self.memory.note_confirmed(key, job, asked);
        }
        for event in &plan.events {
            self.writes.tell(observed.as_ref(), event).await;
        }
        self.memory.note_success(key);
        Pass::Done(if plan.confirm.is_empty() { plan.again_after } else { Some(Duration::ZERO) })
    }

    /// Writes a status, and lets the cache have the answer, so that the next plan starts from it.
    async fn record<K: Watched + Written + HasStatus>(
        &self,
        observed: &Arc<K>,
        status: K::Status,
    ) -> Result<(), Error> {
        let mut object = observed.as_ref().clone();
        object.set_status(status);
        let mut written = self.writes.record(&object).await?;
        written.prune();
        K::cache(&self.world).replace_observed(observed.as_ref(), Arc::new(written));
        Ok(())
    }

    /// Whether the caches have an object.
    fn shows(&self, namespace: &str, kind: Kind, name: &str) -> bool {
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

    fn observe_pipeline(&self, key: &Key, pipeline: &Arc<MLPipeline>) -> PipelineObserved {
        let own = group(PIPELINE_LABEL, &key.name);
        PipelineObserved {
            pipeline: pipeline.clone(),
            revisions: self.world.revisions.group(&key.namespace, &own),
            runs: self.world.runs.group(&key.namespace, &own),
            versions: self.world.versions.group(&key.namespace, &own),
            failures: self.memory.failures(key),
        }
    }

    fn observe_run(&self, key: &Key, run: &Arc<MLPipelineRun>) -> RunObserved {
        let world = &self.world;
        let namespace = &key.namespace;
        let own = group(RUN_LABEL, &key.name);
        let pipeline = group(PIPELINE_LABEL, &run.spec.pipeline);
        let jobs = world.jobs.group(namespace, &own);
        let sightings = if has_ended(run.status.as_ref()) {
            self.memory.forget(key);
            BTreeMap::new()
        } else {
            self.memory.sightings(key, jobs.iter().filter_map(|job| job.metadata.name.as_deref()))
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

    fn observe_version(&self, key: &Key, version: &Arc<ModelVersion>) -> VersionObserved {
        VersionObserved {
            version: version.clone(),
            model: self.world.models.get(&key.namespace, &version.spec.model),
            run: self.world.runs.get(&key.namespace, &version.spec.lineage.run),
        }
    }

    fn observe_model(&self, key: &Key, model: &Arc<Model>) -> ModelObserved {
        let versions = self.world.versions.group(&key.namespace, &group(MODEL_LABEL, &key.name));
        ModelObserved { model: model.clone(), versions }
    }

    fn observe_deployment(&self, key: &Key, deployment: &Arc<ModelDeployment>) -> DeploymentObserved {
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

/// An object with a status of ours.
pub(crate) trait HasStatus {
    type Status;
    fn set_status(&mut self, status: Self::Status);
}

macro_rules! has_status {
    ($($kind:ident, $status:ident;)*) => {$(
        impl HasStatus for $kind {
            type Status = seatrial_crds::$status;
            fn set_status(&mut self, status: Self::Status) {
                self.status = Some(status);
            }
        }
    )*};
}
has_status! {
    MLPipeline, MLPipelineStatus;
    MLPipelineRun, MLPipelineRunStatus;
    Model, ModelStatus;
    ModelVersion, ModelVersionStatus;
    ModelDeployment, ModelDeploymentStatus;
}
