//! Starts steps, and records what became of them.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::{
    MLPipelineSpec, ParameterValue, Step, StepInput, StepMetric, StepOutput, StepState, StepStatus, Time, limits,
};

use super::contracts;
use super::inputs::Prepared;
use super::{Draft, HOLD_LIMIT, LOOK_AGAIN, step_status};
use crate::attempt::job::{Attempt, Role};
use crate::attempt::outcome;
use crate::attempt::report::Report;
use crate::attempt::seen::{Outcome, Seen};
use crate::attempt::step_job::StepJob;
use crate::attempt::{self, Cluster, JobState, interruption};
use crate::contract::ReportedMetric;
use crate::observed::Expectation;
use crate::plan::{BlockedReason, Event, EventType, Kind, LiveRead, Object, Write};

/// For how long what the Job controller said about pods that it could not create counts, in seconds.
const REFUSAL_HOLDS: i64 = 300;
/// How often it is asked why an upload takes long, in seconds.
const UPLOAD_ASKED: i64 = 60;

/// A step that has not begun.
pub(super) fn pending(name: &str) -> StepStatus {
    StepStatus {
        name: name.to_owned(),
        state: StepState::Pending,
        attempt: None,
        job: None,
        reason: None,
        message: None,
        blocked_since: None,
        image_digest: None,
        started_at: None,
        finished_at: None,
        interruptions: vec![],
        recovery: None,
        inputs: vec![],
        outputs: vec![],
        checks: vec![],
        metrics: vec![],
    }
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
            if let Some(recovery) = status.recovery.clone() {
                self.read_recovery(spec, step, &recovery, &mut status);
                self.replace(status);
                continue;
            }
            let name = status.job.clone().unwrap_or_default();
            match self.job_state(&name) {
                JobState::Exists(job) => {
                    status.blocked_since = None;
                    self.read_job(spec, step, job, &mut status);
                }
                JobState::Lost => self.lose(spec, step, &mut status, "JobLost"),
                state @ (JobState::LiveRead | JobState::Wait) => {
                    self.requeue_after = Some(LOOK_AGAIN);
                    // Nothing refuses a Job that is created: the cache is late.
                    let is_created = matches!(self.observed.expectations.get(&name), Some(Expectation::Created(_)));
                    if is_created && status.blocked_since.is_some() {
                        (status.blocked_since, status.reason, status.message) = (None, None, None);
                    }
                    if matches!(state, JobState::LiveRead) {
                        self.live_reads.push(LiveRead::Job(name));
                    }
                }
                JobState::Create | JobState::Foreign => {
                    self.requeue_after = Some(LOOK_AGAIN);
                    if let Some((reason, message)) = self.refused(&name) {
                        self.hold(&mut status, reason, message);
                    }
                }
            }
            self.replace(status);
        }
    }

    pub(super) fn job_state(&self, name: &str) -> JobState<'a> {
        let observed = self.observed;
        let cluster = Cluster {
            owner_uid: observed.run.metadata.uid.as_deref(),
            jobs: &observed.jobs,
            expectations: &observed.expectations,
            leading_for: observed.leading_for,
            live_reads: &observed.live_reads,
        };
        cluster.job_state(name, self.now)
    }

    /// Why a recorded Job is not created: reason and message of the step.
    pub(super) fn refused(&self, job: &str) -> Option<(&'static str, String)> {
        let failures = self.observed.blocked.iter().filter(|failure| failure.kind == Kind::Job && failure.name == job);
        let mut told = failures.filter_map(|failure| match failure.reason {
            BlockedReason::Refused => Some(("WriteRefused", super::refusal(failure))),
            BlockedReason::Clash => Some(("NameTaken", super::refusal(failure))),
            BlockedReason::Unavailable => None,
        });
        let foreign = || {
            let message = format!("a Job named \"{job}\" exists that is not this run's: delete or rename it");
            matches!(self.job_state(job), JobState::Foreign).then_some(("NameTaken", message))
        };
        told.next_back().or_else(foreign)
    }

    /// Records why a step that could start waits. The step fails after an hour in which no other step made progress, so that
    /// every run ends. While others make progress it goes on waiting, since they may use up the quota that it needs.
    pub(super) fn hold(&self, status: &mut StepStatus, reason: &str, message: String) {
        let since = status.blocked_since.get_or_insert(Time(self.now)).clone();
        let message = format!("step \"{}\" waits: {message}", status.name);
        let since = since.max(self.moved_at(&status.name));
        if self.seconds_since(&since) >= HOLD_LIMIT {
            return self.fail(status, reason, message);
        }
        status.reason = Some(reason.to_owned());
        status.message = Some(message);
    }

    /// When a step other than this one was last at work.
    fn moved_at(&self, name: &str) -> Time {
        let others = || self.status.steps.iter().filter(|step| step.name != name);
        let mut at_work = others().filter(|step| step.state == StepState::Running && !super::is_blocked(step));
        if at_work.next().is_some() {
            return Time(self.now);
        }
        let ended = others().filter_map(|step| step.finished_at.clone()).max();
        ended.unwrap_or(Time(Timestamp::UNIX_EPOCH))
    }

    fn read_job(&mut self, spec: &MLPipelineSpec, step: &Step, job: &Job, status: &mut StepStatus) {
        let pods: Vec<&Pod> =
            self.observed.pods.iter().map(AsRef::as_ref).filter(|pod| attempt::is_pod_of(pod, job)).collect();
        // A pod that is gone by now was interrupted all the same.
        let deleted = self.observed.deleted_pods.iter().map(AsRef::as_ref).filter(|pod| attempt::is_pod_of(pod, job));
        let ended: Vec<&Pod> = deleted.chain(pods.iter().copied()).collect();
        status.interruptions = interruption::interruptions(&status.interruptions, &ended);
        status.image_digest = outcome::image_digest(&pods).or_else(|| status.image_digest.take());
        let before = status.reason.take().zip(status.message.take());
        let confirmed = self.observed.live_reads.get(&job.name_any()).copied();
        let uid = job.metadata.uid.clone().unwrap_or_default();
        let refusal = self.observed.refusals.get(&uid);
        let refused = refusal.and_then(|refusal| refusal.message.as_deref());
        let resources = step.options.resources.as_ref().or(spec.options.resources.as_ref());
        let liveness = self.liveness();
        let without_pod_for = self.observed.without_pod_for.get(&uid).copied();
        let attempt = Seen {
            step,
            liveness,
            resources,
            without_pod_for,
            job,
            pods: &pods,
            before: before.as_ref(),
            confirmed,
            refused,
            probes: &self.observed.probes,
        };
        let outcome = outcome::read(&attempt, self.now);
        if matches!(outcome, Outcome::Done(_) | Outcome::Failed(..)) {
            self.note_checks(&pods, status);
        }
        match outcome {
            Outcome::Running(told) if interruption::too_many(status, self.now) => {
                let said = told.map(|(_, message)| message).or(before.map(|(_, message)| message));
                let (reason, message) = interruption::given_up(&step.name, status, said.as_deref());
                self.fail(status, reason, message);
            }
            Outcome::Running(told) => {
                let own_time = pods.iter().filter_map(|pod| {
                    let lost = liveness.time_until_lost(pod).filter(|left| !left.is_zero());
                    [outcome::command_time(step, pod, self.now), lost].into_iter().flatten().min()
                });
                let own_time = own_time.min();
                let needs_time = outcome::needs_time(&attempt).then_some(LOOK_AGAIN);
                self.requeue_after = [self.requeue_after, needs_time, own_time].into_iter().flatten().min();
                // What the image really was is worth a write of its own only together with others.
                status.image_digest =
                    step_status(&self.status.steps, &step.name).and_then(|old| old.image_digest.clone());
                if let Some(pod) = outcome::long_upload(&attempt, self.now) {
                    self.ask_about_upload(pod);
                }
                if let Some((reason, message)) = told {
                    let is_known =
                        refusal.is_some_and(|refusal| self.seconds_since(&Time(refusal.read_at)) < REFUSAL_HOLDS);
                    if reason == "PodsRefused" && !is_known {
                        self.live_reads.push(LiveRead::JobEvents { job: job.name_any(), uid });
                    }
                    status.reason = Some(reason.to_owned());
                    status.message = Some(message);
                }
            }
            Outcome::Done(report) => {
                self.succeed(step, status, *report);
                self.warn_of_checks(&pods, status);
            }
            Outcome::LiveRead => {
                self.live_reads.push(LiveRead::Job(job.name_any()));
                self.requeue_after = Some(LOOK_AGAIN);
            }
            Outcome::NodeLost => self.lose(spec, step, status, "NodeLost"),
            Outcome::ReportLost => self.lose(spec, step, status, "ReportLost"),
            Outcome::Failed(reason, message) => self.fail(status, reason, message),
        }
    }

    /// Notes what the pods said of the step's inputs: the newest that said anything.
    fn note_checks(&self, pods: &[&Pod], status: &mut StepStatus) {
        contracts::note(&mut status.checks, &outcome::checks(pods));
    }

    /// Says that data break rules that only warn.
    fn warn_of_checks(&mut self, pods: &[&Pod], status: &mut StepStatus) {
        let Some(message) = contracts::warning(&self.observed.run.name_any(), &status.name, &outcome::checks(pods))
        else {
            return;
        };
        let event =
            Event { kind: EventType::Warning, reason: "ContractWarning", action: "Check", message: message.clone() };
        self.events.push(event);
        if status.message.is_none() {
            status.reason = Some("ContractWarning".to_owned());
            status.message = Some(message);
        }
    }

    /// Asks what the kubelet heard of a pod's upload, where that is not known by now.
    fn ask_about_upload(&mut self, pod: &Pod) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let report = self.observed.probes.get(&uid);
        if report.is_none_or(|report| self.seconds_since(&Time(report.read_at)) >= UPLOAD_ASKED) {
            self.live_reads.push(LiveRead::PodEvents { pod: pod.name_any(), uid });
        }
    }

    pub(super) fn succeed(&self, step: &Step, status: &mut StepStatus, report: Report) {
        status.state = StepState::Succeeded;
        if report.oom_kills > 0 {
            // The kernel ended a part of the command, which went on and said that all was well.
            status.reason = Some("ProcessesKilled".to_owned());
            status.message = Some(format!(
                "step \"{}\" ended well, but {} of its processes were killed for memory: look whether its result is whole, and raise resources.limits.memory",
                step.name, report.oom_kills
            ));
        }
        status.finished_at = Some(Time(self.now));
        // What came from a step above stands there as its output.
        let by_uri = |input: &StepInput| step.inputs.iter().any(|own| own.name == input.name && own.uri.is_some());
        status.inputs = report.inputs.into_iter().filter(by_uri).collect();
        let fits =
            |metric: &ReportedMetric| metric.name.len() <= limits::METRIC_NAME && metric.value.len() <= limits::DECIMAL;
        let metric =
            |metric: ReportedMetric| StepMetric { output: metric.output, name: metric.name, value: metric.value };
        status.metrics = report.metrics.into_iter().filter(fits).take(limits::METRICS).map(metric).collect();
        let made = |output: &seatrial_crds::Output| {
            let made = report.outputs.iter().find(|made| made.name == output.name)?;
            Some(StepOutput {
                name: output.name.clone(),
                kind: output.kind,
                digest: made.digest.to_string(),
                size: i64::try_from(made.size).unwrap_or(i64::MAX),
            })
        };
        status.outputs = step.outputs.iter().filter_map(made).collect();
    }

    fn fail(&self, status: &mut StepStatus, reason: &str, message: String) {
        status.state = StepState::Failed;
        status.reason = Some(reason.to_owned());
        status.message = Some(message);
        status.finished_at = Some(Time(self.now));
    }

    /// Starts every step that may start, and creates again what was recorded and perhaps not created.
    pub(super) fn start_steps(&mut self, spec: &MLPipelineSpec, parameters: &[ParameterValue]) {
        let failed = self.status.steps.iter().any(|step| step.state == StepState::Failed);
        for step in &spec.steps {
            let Some(status) = step_status(&self.status.steps, &step.name).cloned() else { continue };
            let may_start = status.state == StepState::Pending && !failed && self.inputs_are_there(step);
            let recorded = status.state == StepState::Running
                && matches!(self.job_state(status.job.as_deref().unwrap_or_default()), JobState::Create);
            if may_start || recorded {
                self.start(spec, step, status, parameters);
            }
        }
    }

    fn start(&mut self, spec: &MLPipelineSpec, step: &Step, mut status: StepStatus, parameters: &[ParameterValue]) {
        match self.prepare_all(step) {
            Ok(Prepared { inputs, artifacts, checks }) => {
                let Some(attempt) = self.attempt_at(spec, step, &status) else { return };
                let run_time = self.status.started_at.as_ref().map_or(self.now, |at| at.0).to_string();
                let number = attempt.number;
                let job = StepJob {
                    attempt,
                    parameters,
                    run_name: &self.observed.run.name_any(),
                    run_time: &run_time,
                    inputs: &inputs,
                    artifacts: artifacts.as_ref(),
                    checks: checks.as_ref(),
                };
                let (name, job) = (job.name(), job.job());
                // Also of steps without outputs: their logs are there.
                if let Some(store) = artifacts.as_ref() {
                    self.status.artifact_prefix = Some(store.config.prefix.clone());
                }
                status.blocked_since = status.blocked_since.filter(|_| status.state == StepState::Running);
                if status.state == StepState::Pending {
                    status.state = StepState::Running;
                    status.attempt = Some(number);
                    status.job = Some(name);
                    status.started_at = Some(Time(self.now));
                    status.checks = self.announced(checks.as_ref());
                    status.reason = None;
                    status.message = None;
                }
                self.jobs.push(Write::Create(Object::Job(Box::new(job))));
            }
            Err((reason, message)) => {
                self.requeue_after = Some(LOOK_AGAIN);
                self.hold(&mut status, reason, message);
            }
        }
        self.replace(status);
    }

    /// The attempt that a step's status records, or else the first.
    pub(super) fn attempt_at<'s>(
        &self,
        pipeline: &'s MLPipelineSpec,
        step: &'s Step,
        status: &StepStatus,
    ) -> Option<Attempt<'s>>
    where
        'a: 's,
    {
        Some(Attempt {
            role: Role::Step,
            owner: self.observed.run.controller_owner_ref(&())?,
            namespace: self.observed.run.namespace().unwrap_or_default(),
            pipeline,
            pipeline_name: &self.observed.run.spec.pipeline,
            step,
            number: status.attempt.unwrap_or(1),
            agent_image: self.status.agent_image.clone().unwrap_or_default(),
            platform: &self.observed.platform,
        })
    }

    fn replace(&mut self, status: StepStatus) {
        if let Some(old) = self.status.steps.iter_mut().find(|old| old.name == status.name) {
            *old = status;
        }
    }
}

/// Gives a step its next attempt after its Job or its pods were lost, which costs no retry. The number of attempts is bounded,
/// since something may delete its Jobs again and again.
pub(super) fn next_attempt(status: &mut StepStatus, reason: &str, what: &str, now: Timestamp) {
    let attempt = status.attempt.unwrap_or(1);
    if usize::try_from(attempt).is_ok_and(|attempt| attempt > limits::INTERRUPTIONS) {
        status.state = StepState::Failed;
        status.finished_at = Some(Time(now));
        status.reason = Some(reason.to_owned());
        status.message = Some(format!(
            "step \"{}\" is given up after {attempt} attempts, of which the last ended because {what}: find out what deletes its Jobs and pods",
            status.name
        ));
        return;
    }
    *status = StepStatus { attempt: Some(attempt + 1), ..pending(&status.name) };
}
