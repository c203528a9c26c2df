//! Starts steps, and records what became of them.

use k8s_openapi::api::batch::v1::Job;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::{Input, MLPipelineSpec, ParameterValue, Step, StepOutput, StepState, StepStatus, Time, limits};

use super::job::{Attempt, ReadyInput};
use super::outcome::{self, Outcome, Report};
use super::{Draft, LOOK_AGAIN, step_status};
use crate::contract::{InputSource, layout};
use crate::observed::Sighting;
use crate::plan::{Action, Object};
use crate::stores::{self, StoreProblem};

/// How long a Job that the API server confirmed may be missing from the cache before it counts as lost, in seconds.
const CACHE_LAG: i64 = 60;

/// A step that has not begun.
pub(super) fn pending(name: &str) -> StepStatus {
    StepStatus {
        name: name.to_owned(),
        state: StepState::Pending,
        attempt: None,
        job: None,
        reason: None,
        message: None,
        image_digest: None,
        started_at: None,
        finished_at: None,
        interruptions: vec![],
        inputs: vec![],
        outputs: vec![],
        metrics: std::collections::BTreeMap::new(),
    }
}

/// True once a Job is complete or failed.
pub(super) fn job_has_ended(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
    })
}

/// What is known of a recorded attempt's Job.
enum Known<'a> {
    Exists(&'a Job),
    /// It is to be created (again).
    Create,
    /// It was created; the cache lags behind.
    Wait,
    /// Nobody will ever hear of it.
    Lost,
}

impl<'a> Draft<'a> {
    /// Records what became of the running steps.
    pub(super) fn read_outcomes(&mut self, spec: &MLPipelineSpec) {
        for step in &spec.steps {
            let Some(recorded) = step_status(&self.status.steps, &step.name) else { continue };
            if recorded.state != StepState::Running {
                continue;
            }
            let mut status = recorded.clone();
            match self.known(status.job.as_deref().unwrap_or_default()) {
                Known::Exists(job) => self.read_job(step, job, &mut status),
                Known::Lost => next_attempt(&mut status, "JobLost", "its Job is gone"),
                Known::Create | Known::Wait => self.again_after = Some(LOOK_AGAIN),
            }
            self.replace(status);
        }
    }

    fn known(&self, name: &str) -> Known<'a> {
        let job = self.observed.jobs.iter().find(|job| job.metadata.name.as_deref() == Some(name));
        // A Job on its way out is as good as gone; its pods go with it.
        if let Some(job) = job.filter(|job| job.metadata.deletion_timestamp.is_none()) {
            return Known::Exists(job);
        }
        match self.observed.sightings.get(name) {
            Some(Sighting::Recorded) if job.is_none() => Known::Create,
            Some(Sighting::Created(at)) if job.is_none() && self.now.as_second() - at.as_second() < CACHE_LAG => {
                Known::Wait
            }
            _ => Known::Lost,
        }
    }

    fn read_job(&mut self, step: &Step, job: &Job, status: &mut StepStatus) {
        let mine = |pod: &&std::sync::Arc<k8s_openapi::api::core::v1::Pod>| {
            pod.owner_references().iter().any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
        };
        let pods: Vec<_> = self.observed.pods.iter().filter(mine).map(AsRef::as_ref).collect();
        status.interruptions = outcome::interruptions(&status.interruptions, &pods);
        status.image_digest = outcome::image_digest(&pods).or_else(|| status.image_digest.take());
        status.reason = None;
        status.message = None;
        match outcome::read(step, job, &pods, self.now) {
            Outcome::Running(_) if outcome::too_many(status) => {
                let last = status.interruptions.last().map_or_else(String::new, |last| last.reason.clone());
                let message = format!(
                    "step \"{}\" was interrupted {} times, last by {last}: look at the nodes' disks and memory, and at the store",
                    step.name,
                    limits::INTERRUPTIONS
                );
                self.fail(status, "TooManyInterruptions", message);
            }
            Outcome::Running(told) => {
                self.again_after = self.again_after.or(outcome::is_ending(job, &pods).then_some(LOOK_AGAIN));
                // What the image really was is worth a write of its own only together with others.
                status.image_digest =
                    step_status(&self.status.steps, &step.name).and_then(|old| old.image_digest.clone());
                if let Some((reason, message)) = told {
                    status.reason = Some(reason.to_owned());
                    status.message = Some(message);
                }
            }
            Outcome::Done(report) => self.succeed(step, status, *report),
            Outcome::ReportLost => next_attempt(status, "ReportLost", "what its pod reported is gone"),
            Outcome::Failed(reason, message) => self.fail(status, reason, message),
        }
    }

    fn succeed(&self, step: &Step, status: &mut StepStatus, report: Report) {
        status.state = StepState::Succeeded;
        status.finished_at = Some(Time(self.now));
        status.inputs = report.inputs;
        status.metrics = report.metrics.into_iter().take(limits::METRICS).collect();
        let prefix = self.status.artifact_prefix.clone().unwrap_or_default();
        let made = |output: &seatrial_crds::Output| {
            let made = report.outputs.iter().find(|made| made.name == output.name)?;
            Some(StepOutput {
                name: output.name.clone(),
                kind: output.kind,
                uri: format!("{prefix}{}", layout::artifact(&made.digest)),
                digest: made.digest.to_string(),
                size: i64::try_from(made.size).unwrap_or(i64::MAX),
            })
        };
        status.outputs = step.outputs.iter().filter_map(made).collect();
    }

    fn fail(&self, status: &mut StepStatus, reason: &str, message: String) {
        status.state = StepState::Failed;
        status.reason = Some(reason.to_owned());
        status.message = Some(message.chars().take(limits::SENTENCE).collect());
        status.finished_at = Some(Time(self.now));
    }

    /// Starts every step that may start, and creates again what was recorded and perhaps not created.
    pub(super) fn start_steps(&mut self, spec: &MLPipelineSpec, parameters: &[ParameterValue]) {
        let failed = self.status.steps.iter().any(|step| step.state == StepState::Failed);
        for step in &spec.steps {
            let Some(status) = step_status(&self.status.steps, &step.name).cloned() else { continue };
            let may_start = status.state == StepState::Pending && !failed && self.inputs_are_there(step);
            let recorded = status.state == StepState::Running
                && matches!(self.known(status.job.as_deref().unwrap_or_default()), Known::Create);
            if may_start || recorded {
                self.start(spec, step, status, parameters);
            }
        }
    }

    fn start(&mut self, spec: &MLPipelineSpec, step: &Step, mut status: StepStatus, parameters: &[ParameterValue]) {
        match self.prepare(step) {
            Ok((inputs, artifacts)) => {
                let Some(owner) = self.observed.run.controller_owner_ref(&()) else { return };
                let namespace = self.observed.run.namespace().unwrap_or_default();
                let run_time = self.status.started_at.as_ref().map_or(self.now, |at| at.0).to_string();
                let agent_image = self.status.agent_image.clone().unwrap_or_default();
                let attempt = Attempt {
                    owner,
                    namespace: &namespace,
                    pipeline: spec,
                    pipeline_name: &self.observed.run.spec.pipeline,
                    step,
                    attempt: status.attempt.unwrap_or(1),
                    parameters,
                    run_time: &run_time,
                    inputs: &inputs,
                    artifacts: artifacts.as_ref(),
                    agent_image: &agent_image,
                    platform: &self.observed.platform,
                };
                let job = attempt.job();
                if let Some(store) = &artifacts {
                    self.status.artifact_prefix = Some(store.config.prefix.clone());
                }
                if status.state == StepState::Pending {
                    status.state = StepState::Running;
                    status.attempt = Some(attempt.attempt);
                    status.job = Some(attempt.job_name());
                    status.started_at = Some(Time(self.now));
                    status.reason = None;
                    status.message = None;
                }
                self.actions.push(Action::Create(Object::Job(Box::new(job))));
            }
            Err(problem) => {
                status.reason = Some(problem.reason().to_owned());
                status.message = Some(format!("step \"{}\" waits: {problem}", step.name));
            }
        }
        self.replace(status);
    }

    fn prepare(&self, step: &Step) -> Result<(Vec<ReadyInput>, Option<stores::ResolvedStore>), StoreProblem> {
        let namespace = self.observed.run.namespace().unwrap_or_default();
        let mut inputs = vec![];
        for input in &step.inputs {
            inputs.extend(self.ready(input, &namespace)?);
        }
        let artifacts = match step.outputs.as_slice() {
            [] => None,
            _ => Some(self.artifacts(&namespace)?),
        };
        Ok((inputs, artifacts))
    }

    /// The store that takes the artifacts: the namespace's when the run first needed one, and from then on the same.
    fn artifacts(&self, namespace: &str) -> Result<stores::ResolvedStore, StoreProblem> {
        let (own, platform) = (&self.observed.stores, &self.observed.platform);
        match &self.status.artifact_prefix {
            Some(prefix) => stores::for_uri(prefix, namespace, own, platform),
            None => stores::for_artifacts(namespace, own, platform),
        }
    }

    fn ready(&self, input: &Input, namespace: &str) -> Result<Option<ReadyInput>, StoreProblem> {
        let (own, platform) = (&self.observed.stores, &self.observed.platform);
        let (store, source, kind) = match (&input.uri, self.made(input)) {
            (Some(uri), _) => {
                let store = stores::for_uri(uri, namespace, own, platform)?;
                let source = InputSource::Uri { store: store.config.prefix.clone(), uri: uri.clone() };
                (store, source, None)
            }
            (None, Some(output)) => {
                let invalid = || StoreProblem::NotAnArtifact(output.uri.clone());
                let digest = output.digest.parse().map_err(|_| invalid())?;
                let store = stores::for_artifact(&output.uri, &digest, namespace, own, platform)?;
                (store.clone(), InputSource::Artifact { store: store.config.prefix, digest }, Some(output.kind))
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(ReadyInput { name: input.name.clone(), kind, source, store }))
    }

    /// The output that an input comes from, once it is there.
    fn made(&self, input: &Input) -> Option<&StepOutput> {
        let from = input.from.as_ref()?;
        let step = step_status(&self.status.steps, &from.step).filter(|step| step.state == StepState::Succeeded)?;
        step.outputs.iter().find(|output| output.name == from.output)
    }

    fn inputs_are_there(&self, step: &Step) -> bool {
        step.inputs.iter().all(|input| input.from.is_none() || self.made(input).is_some())
    }

    fn replace(&mut self, status: StepStatus) {
        if let Some(old) = self.status.steps.iter_mut().find(|old| old.name == status.name) {
            *old = status;
        }
    }
}

/// The attempt is void through nobody's fault: the step goes back to the line with the next number. Bounded, since
/// whatever deletes Jobs may do so for ever.
fn next_attempt(status: &mut StepStatus, reason: &str, what: &str) {
    let attempt = status.attempt.unwrap_or(1);
    if usize::try_from(attempt).is_ok_and(|attempt| attempt > limits::INTERRUPTIONS) {
        status.state = StepState::Failed;
        status.reason = Some(reason.to_owned());
        status.message = Some(format!(
            "step \"{}\" is given up after {attempt} attempts, of which the last ended because {what}: find out what deletes its Jobs and pods",
            status.name
        ));
        return;
    }
    *status = StepStatus { attempt: Some(attempt + 1), ..pending(&status.name) };
}
