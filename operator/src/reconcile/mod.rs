//! observe → plan → record → apply, the same for every kind.
//!
//! A plan's stages are executed in order. The writes of a stage do not depend on each other: all are tried. Whether the
//! next stage follows a failure is said by the stage. Only a conflict and an API server that does not answer end every
//! plan: the next one knows more. All failures are remembered for the next plan, with the time until which each waits.

pub(crate) mod begun;
pub(crate) mod expectations;
mod observe;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Error, Resource, ResourceExt};
use seatrial_core::observed::{ProbeReport, RefusalReport};
use seatrial_core::plan::{BlockedReason, Kind, LiveRead, Object, OnFailure, Plan, Stage, Write};
use seatrial_core::revision::Revision;
use seatrial_core::{data_contract, deployment, model, pipeline, run, stores, trust, version};
use seatrial_crds::{DataContract, MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::api_client::execute::{Done, FailureReason, WriteFailure, Writes, Written};
use crate::cache::caches::Caches;
use crate::cache::kinds::WatchedKind;
use crate::cache::watch::wake_dependents;
use crate::clock::Clock;
use crate::queue::Queue;
use crate::queue::object_key::{ObjectKey, Primary};
use crate::reconcile::begun::Begun;
use crate::reconcile::expectations::Expectations;
use crate::server::metrics::Metrics;

/// When a key is planned again whose created objects the caches do not show yet, or whose blocked writes have just succeeded.
const AFTER_LAG: Duration = Duration::from_millis(500);

/// What a worker has at hand.
pub(crate) struct Reconciler {
    pub(crate) caches: Arc<Caches>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) expectations: Expectations,
    pub(crate) writes: Writes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    /// Lets the runs of a pipeline begin one after the other.
    pub(crate) begun: Begun,
    /// The passes under way.
    pub(crate) passes: TaskTracker,
}

/// How a pass ended, and when to look again even if nothing changes.
#[derive(Debug)]
pub(crate) enum Pass {
    /// Nothing is left to do for now.
    Done(Option<Duration>),
    /// Writes failed; they are remembered.
    Failed(Duration),
    /// Someone wrote in between: the newer object is on its way.
    Conflict,
    /// The status could not be written.
    Trouble(Error),
}

/// What became of the writes of a plan.
#[derive(Default)]
struct Executed {
    failures: Vec<WriteFailure>,
    untried: Vec<(Kind, String)>,
    namespace_ends: bool,
}

impl Executed {
    /// Whether nothing more of the plan is to be tried: the next plan will know more, or nobody answers.
    fn must_end(&self) -> bool {
        let ends = [FailureReason::Conflict, FailureReason::Blocked(BlockedReason::Unavailable)];
        self.failures.iter().any(|failure| ends.contains(&failure.reason))
    }
}

impl Reconciler {
    /// Takes keys until the queue is closed.
    pub(crate) async fn work(self: Arc<Self>) {
        self.work_by(|reconciler, key| async move { reconciler.reconcile(&key).await }).await;
    }

    /// The same, by whatever a pass is.
    async fn work_by<F: Future<Output = Pass> + Send + 'static>(
        self: Arc<Self>,
        pass: impl Fn(Arc<Self>, ObjectKey) -> F,
    ) {
        while let Some(key) = self.queue.take().await {
            self.metrics.set_depth(self.queue.depth());
            let began = Instant::now();
            // A task of its own, so that a panic ends this pass and not the worker; it ends with its worker.
            let own = pass(self.clone(), key.clone());
            let passed = AbortOnDropHandle::new(self.passes.spawn(own)).await;
            let (result, again) = match passed {
                Ok(Pass::Done(again)) => ("success", again),
                Ok(Pass::Conflict) => ("requeue", Some(self.expectations.note_trouble(&key))),
                Ok(Pass::Failed(again)) => ("error", Some(again)),
                Ok(Pass::Trouble(error)) => {
                    tracing::warn!(kind = key.kind.name(), namespace = key.namespace, name = key.name, %error, "the status could not be written");
                    ("error", Some(self.expectations.note_trouble(&key)))
                }
                Err(error) => {
                    tracing::error!(kind = key.kind.name(), namespace = key.namespace, name = key.name, %error, "a reconciliation panicked; please report this");
                    ("panic", Some(self.expectations.note_trouble(&key)))
                }
            };
            self.metrics.count_reconcile(key.kind.name(), result, began.elapsed().as_secs_f64());
            // Before another worker can take the key and set its timer.
            self.queue.add_after(key.clone(), again);
            self.queue.done(&key);
        }
    }

    async fn reconcile(&self, key: &ObjectKey) -> Pass {
        if self.expectations.must_wait(key, |kind, name| self.shows(&key.namespace, kind, name)) {
            return Pass::Done(Some(AFTER_LAG));
        }
        let now = self.clock.now();
        match key.kind {
            Primary::Pipeline => self.pass(key, |seen| pipeline::plan(&self.observe_pipeline(key, seen), now)).await,
            Primary::Run => self.reconcile_run(key, now).await,
            Primary::Version => self.pass(key, |seen| version::plan(&self.observe_version(key, seen, now), now)).await,
            Primary::Model => self.pass(key, |seen| model::plan(&self.observe_model(key, seen), now)).await,
            Primary::Contract => self.reconcile_contract(key, now).await,
            Primary::Deployment => {
                self.pass(key, |seen| deployment::plan(&self.observe_deployment(key, seen), now)).await
            }
            Primary::Store => self.pass(key, |seen| stores::plan(&self.observe_store(key, seen), now)).await,
            Primary::TrustBundle => self.reconcile_trust(key, now).await,
        }
    }

    /// A pass over a contract. What a check of its own schedule found is counted once it is on record.
    async fn reconcile_contract(&self, key: &ObjectKey, now: Timestamp) -> Pass {
        let mut verdict = None;
        let plan = |contract: &Arc<DataContract>| {
            let plan = data_contract::plan(&self.observe_contract(key, contract), now);
            let before = contract.status.clone().unwrap_or_default();
            verdict = plan.status.as_ref().and_then(|status| data_contract::verdict_of_check(&before, status));
            plan
        };
        let pass = self.pass(key, plan).await;
        if let (Some(verdict), Pass::Done(_) | Pass::Failed(_)) = (verdict, &pass) {
            self.metrics.count_check(verdict);
        }
        pass
    }

    /// A pass over a run. One that begins claims that first.
    async fn reconcile_run(&self, key: &ObjectKey, now: Timestamp) -> Pass {
        let mut claimed = None;
        let plan = |run: &Arc<MLPipelineRun>| {
            let pipeline = (key.namespace.clone(), run.spec.pipeline.clone());
            loop {
                let (begun, count) = self.begun.observe(&pipeline);
                let plan = run::plan(&self.observe_run(key, run, begun, now), now);
                let has_begun = run.status.as_ref().is_some_and(|status| status.started_at.is_some());
                let begins = plan.status.as_ref().is_some_and(|status| status.started_at.is_some()) && !has_begun;
                if !begins || self.begun.claim(&pipeline, &key.name, count) {
                    claimed = Some(pipeline);
                    return plan;
                }
            }
        };
        let pass = self.pass(key, plan).await;
        if let Some(pipeline) = claimed
            && !matches!(pass, Pass::Trouble(_))
        {
            // Where nobody answered, the write may have gone through: the claim stays until a later pass knows.
            self.begun.release(&pipeline, &key.name);
        }
        pass
    }

    /// A pass over a namespace's trust bundle, which has no status.
    async fn reconcile_trust(&self, key: &ObjectKey, now: Timestamp) -> Pass {
        let plan = trust::plan(&self.observe_trust(key), now);
        if plan.is_quiet() && plan.deferred.is_empty() {
            self.expectations.forget(key);
            return Pass::Done(None);
        }
        let mut executed = self.execute(key, &plan.stages).await;
        if executed.namespace_ends {
            return Pass::Done(None);
        }
        executed.untried.extend(plan.deferred);
        let settled = self.expectations.settle(key, executed.failures, &executed.untried, self.clock.now());
        match settled.retry_after {
            Some(delay) => Pass::Failed(plan.requeue_after.map_or(delay, |sooner| sooner.min(delay))),
            None => Pass::Done(plan.requeue_after),
        }
    }

    /// One pass over one object, from top to bottom.
    async fn pass<K: WatchedKind + Written + HasStatus + PartialEq>(
        &self,
        key: &ObjectKey,
        plan: impl FnOnce(&Arc<K>) -> Plan<K::Status>,
    ) -> Pass {
        let cache = K::cache(&self.caches);
        if cache.is_unreadable(&key.namespace, &key.name) {
            // What is known of it is out of date, and nothing may be decided on that.
            return Pass::Done(None);
        }
        let Some(observed) = cache.get(&key.namespace, &key.name) else {
            self.expectations.forget(key);
            return Pass::Done(None);
        };
        let plan = plan(&observed);
        let jobs = plan.writes().filter_map(|write| match write {
            Write::Create(Object::Job(job)) => Some(job.name_any()),
            _ => None,
        });
        let recorded: Vec<String> = jobs.filter(|job| self.expectations.note_recorded(key, job)).collect();
        if let Some(status) = plan.status {
            match self.record(&observed, status).await {
                Ok(()) => {}
                Err(Error::Api(status)) if status.code == 409 || status.code == 404 => {
                    self.expectations.withdraw_recorded(key, &recorded);
                    return Pass::Conflict;
                }
                Err(error) => return Pass::Trouble(error),
            }
        }
        let mut executed = self.execute(key, &plan.stages).await;
        executed.untried.extend(plan.deferred);
        // They are about what was recorded, which no later plan repeats.
        for event in &plan.events {
            self.writes.record_event(observed.as_ref(), event).await;
        }
        if executed.namespace_ends {
            tracing::info!(
                kind = key.kind.name(),
                namespace = key.namespace,
                name = key.name,
                "the namespace is being deleted and takes nothing new"
            );
            return Pass::Done(None);
        }
        for read in &plan.live_reads {
            // What is found is for the next plan: without it nothing else was decided about the object.
            if let Err(error) = self.live_read(key, read).await {
                tracing::warn!(kind = key.kind.name(), namespace = key.namespace, name = key.name, ?read, %error,
                    "the API server could not be asked");
                return Pass::Failed(self.expectations.note_trouble(key));
            }
        }
        let settled = self.expectations.settle(key, executed.failures, &executed.untried, self.clock.now());
        // The status still says that a write was refused which has just gone through. No event may come for this key: plan
        // it again.
        let asked = (!plan.live_reads.is_empty()).then_some(Duration::ZERO);
        let sooner = [plan.requeue_after, settled.cleared.then_some(AFTER_LAG), asked].into_iter().flatten().min();
        match settled.retry_after {
            Some(delay) => Pass::Failed(sooner.map_or(delay, |sooner| sooner.min(delay))),
            None => Pass::Done(sooner),
        }
    }

    /// Asks the API server about an object, and keeps the answer for the next plan.
    async fn live_read(&self, key: &ObjectKey, read: &LiveRead) -> Result<(), Error> {
        let asked = self.clock.now();
        match read {
            LiveRead::Job(job) => {
                self.writes.live_read(&self.caches, &key.namespace, job).await?;
                self.expectations.note_live_read(key, job, asked);
            }
            LiveRead::Deployment(name) => {
                self.writes.live_read_deployment(&self.caches, &key.namespace, name).await?;
                self.expectations.note_live_read(key, name, asked);
            }
            LiveRead::JobEvents { job, uid } => {
                let message = self.writes.last_refusal(&key.namespace, uid).await.unwrap_or_else(|error| {
                    // The answer only makes a message clearer: nothing waits for it.
                    tracing::warn!(namespace = key.namespace, job, %error, "a Job's events could not be read");
                    None
                });
                self.expectations.note_refusal(key, uid, RefusalReport { read_at: asked, message });
            }
            LiveRead::PodEvents { pod, uid } => {
                let last = self.writes.last_probe_event(&key.namespace, uid).await.unwrap_or_else(|error| {
                    // The answers only make a condition clearer: nothing waits for them.
                    tracing::warn!(namespace = key.namespace, pod, %error, "a pod's events could not be read");
                    None
                });
                self.expectations.note_probe(key, uid, ProbeReport { read_at: asked, last });
            }
        }
        Ok(())
    }

    /// Executes the stages of a plan, as far as nothing stops them.
    async fn execute(&self, key: &ObjectKey, stages: &[Stage]) -> Executed {
        let mut executed = Executed::default();
        let mut stopped = false;
        for stage in stages {
            let failed_before = executed.failures.len();
            for write in &stage.writes {
                if stopped || executed.must_end() {
                    let (kind, name) = write.subject();
                    executed.untried.push((kind, name.to_owned()));
                    continue;
                }
                match self.writes.execute(&key.namespace, write).await {
                    Ok(Done::Created(kind, name)) => {
                        self.expectations.note_created(key, kind, &name, self.clock.now());
                    }
                    Ok(Done::Replaced(object)) => self.note_replaced(write, object),
                    Ok(Done::Deleted) => {}
                    Ok(Done::NamespaceEnds) => {
                        executed.namespace_ends = true;
                        return executed;
                    }
                    Err(failure) => {
                        tracing::warn!(kind = key.kind.name(), namespace = key.namespace, name = key.name,
                            child = failure.kind.name(), child_name = failure.name, reason = ?failure.reason,
                            error = failure.message, "a write failed");
                        executed.failures.push(failure);
                    }
                }
            }
            stopped |= stage.on_failure == OnFailure::Stop && executed.failures.len() > failed_before;
        }
        executed
    }

    /// Lets the caches have what a replacement was answered with, so that the next plan does not replace it again.
    fn note_replaced(&self, write: &Write, answer: Object) {
        let Write::Replace(sent) = write else { return };
        match (sent, answer) {
            (Object::Deployment(sent), Object::Deployment(answer)) => self.note_answer(sent.as_ref(), *answer),
            (Object::Service(sent), Object::Service(answer)) => self.note_answer(sent.as_ref(), *answer),
            (Object::ControllerRevision(sent), Object::ControllerRevision(answer)) => {
                self.note_answer(&Revision::from(*sent.clone()), Revision::from(*answer));
            }
            (Object::ConfigMap(sent), Object::ConfigMap(answer)) => self.note_answer(sent.as_ref(), *answer),
            _ => {}
        }
    }

    /// Lets a cache have the answer to a write, and wakes the keys whose plans read what changed.
    fn note_answer<K: WatchedKind + Resource<DynamicType = ()> + PartialEq>(&self, sent: &K, mut answer: K) {
        answer.prune();
        let change = K::cache(&self.caches).insert_answer(sent, answer);
        wake_dependents(&self.caches, &self.queue, &change);
    }

    /// Writes a status, and lets the cache have the answer, so that the next plan starts from it.
    async fn record<K: WatchedKind + Written + HasStatus + PartialEq>(
        &self,
        observed: &Arc<K>,
        status: K::Status,
    ) -> Result<(), Error> {
        let mut object = observed.as_ref().clone();
        object.set_status(status);
        let written = self.writes.record(&object).await?;
        self.note_answer(observed.as_ref(), written);
        Ok(())
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
    DataContract, DataContractStatus;
    Store, StoreStatus;
}

#[cfg(test)]
mod tests;
