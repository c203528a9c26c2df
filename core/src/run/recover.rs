//! Asks the store what a lost attempt made, before its work is done again.
//!
//! ```text
//! attempt lost ──► its pods are gone ──► Recover Job ──► record ──► the step succeeded
//!                                                    └─ none ──► the next attempt; no retry is spent
//! ```
//! Only success writes a record, and all pods of an attempt share its key, so that what is found there is what the
//! attempt came to.

use k8s_openapi::api::core::v1::Pod;
use kube_core::ResourceExt;
use seatrial_crds::names::{ATTEMPT_LABEL, COMPONENT_LABEL, STEP_LABEL, components};
use seatrial_crds::{MLPipelineSpec, Step, StepRecovery, StepStatus, limits};

use super::recover_job::RecoverJob;
use super::step::next_attempt;
use super::{Draft, LOOK_AGAIN};
use crate::attempt::report::Report;
use crate::attempt::{self, JobState};
use crate::contract::{ExitCode, Message};
use crate::plan::{LiveRead, Object, Write};
use crate::pod_state::terminated;
use crate::pods::RECOVER;

/// What a Job that asks the store came to.
enum Answer {
    /// It is under way.
    Awaited,
    /// The record says this.
    Found(Report),
    /// There is none, or none that answers to the attempt.
    None,
    /// It is not known: the question failed.
    Unknown,
}

impl Draft<'_> {
    /// An attempt is lost: nobody will hear of it from the cluster any more.
    pub(super) fn lose(&mut self, spec: &MLPipelineSpec, step: &Step, status: &mut StepStatus, reason: &str) {
        if self.waits_for_pod(status) {
            return;
        }
        if step.outputs.is_empty() || self.status.artifact_prefix.is_none() {
            return next_attempt(status, reason, "its Job is gone", self.now);
        }
        self.ask(spec, step, status, 1, reason);
    }

    /// Reads what the store says of a lost attempt.
    pub(super) fn read_recovery(
        &mut self,
        spec: &MLPipelineSpec,
        step: &Step,
        recovery: &StepRecovery,
        status: &mut StepStatus,
    ) {
        let answer = match self.job_state(&recovery.job) {
            JobState::Exists(job) => self.answer(step, job),
            JobState::Lost => Answer::Unknown,
            JobState::Create => {
                self.requeue_after = Some(LOOK_AGAIN);
                if let Some((reason, message)) = self.refused(&recovery.job) {
                    return self.hold(status, reason, message);
                }
                return self.ask(spec, step, status, recovery.number, &recovery.reason);
            }
            JobState::LiveRead => {
                self.live_reads.push(LiveRead::Job(recovery.job.clone()));
                Answer::Awaited
            }
            JobState::Wait => Answer::Awaited,
            JobState::Foreign => {
                if let Some((reason, message)) = self.refused(&recovery.job) {
                    self.hold(status, reason, message);
                }
                Answer::Awaited
            }
        };
        match answer {
            Answer::Awaited => self.requeue_after = Some(LOOK_AGAIN),
            Answer::Found(report) => {
                (status.recovery, status.blocked_since) = (None, None);
                (status.reason, status.message) = (None, None);
                self.succeed(step, status, report);
            }
            // The Job of an attempt on a lost node was deleted only when that was noticed.
            Answer::None if self.waits_for_pod(status) => {}
            Answer::None => next_attempt(status, &recovery.reason, "its Job is gone, and it left no record", self.now),
            Answer::Unknown if recovery.number < limits::RECOVERIES => {
                self.ask(spec, step, status, recovery.number + 1, &recovery.reason);
            }
            Answer::Unknown if self.waits_for_pod(status) => {}
            Answer::Unknown => {
                next_attempt(
                    status,
                    &recovery.reason,
                    "its Job is gone, and the store does not say what it made",
                    self.now,
                );
            }
        }
    }

    /// Asks the store, by a Job.
    fn ask(&mut self, spec: &MLPipelineSpec, step: &Step, status: &mut StepStatus, number: u32, reason: &str) {
        let namespace = self.observed.run.namespace().unwrap_or_default();
        let store = match self.artifacts(&namespace) {
            Ok(store) => store,
            Err(problem) => {
                self.requeue_after = Some(LOOK_AGAIN);
                return self.hold(status, problem.reason(), problem.to_string());
            }
        };
        let Some(attempt) = self.attempt_at(spec, step, status) else { return };
        let question = RecoverJob { attempt, number, store: &store };
        status.blocked_since = None;
        status.recovery = Some(StepRecovery { number, job: question.name(), reason: reason.to_owned() });
        status.reason = Some("Recovering".to_owned());
        status.message =
            Some(format!("step \"{}\": its Job or its report is gone; the store is asked what it made", step.name));
        self.jobs.push(Write::Create(Object::Job(Box::new(question.job()))));
    }

    fn answer(&self, step: &Step, job: &k8s_openapi::api::batch::v1::Job) -> Answer {
        let mut pods = self.observed.pods.iter().filter(|pod| attempt::is_pod_of(pod, job));
        let end = pods.find_map(|pod| terminated(pod, RECOVER));
        let has_ended = attempt::job_has_ended(job);
        let Some(end) = end else { return if has_ended { Answer::Unknown } else { Answer::Awaited } };
        match ExitCode::from_number(end.exit_code) {
            Some(ExitCode::Success) => {
                let message = end.message.as_deref().and_then(|text| Message::parse(text).ok());
                let report = message.and_then(|message| Report::recovered(step, message));
                report.map_or(Answer::Unknown, Answer::Found)
            }
            Some(ExitCode::InputNotFound | ExitCode::CorruptArtifact) => Answer::None,
            _ if has_ended => Answer::Unknown,
            _ => Answer::Awaited,
        }
    }

    /// Whether a pod of the attempt may still be at work: then that is said. Two pods of a step must never be at work at the
    /// same time.
    fn waits_for_pod(&mut self, status: &mut StepStatus) -> bool {
        let Some(pod) = self.live_pod(status).map(ResourceExt::name_any) else { return false };
        self.requeue_after = Some(LOOK_AGAIN);
        status.reason = Some("PodLeft".to_owned());
        status.message = Some(format!(
            "step \"{}\": its Job is gone, but the pod {pod} is not: it is waited for, until five minutes after its grace",
            status.name
        ));
        true
    }

    /// A pod of the attempt that may still be at work, though its Job is gone.
    fn live_pod(&self, status: &StepStatus) -> Option<&Pod> {
        let attempt = status.attempt.unwrap_or(1).to_string();
        let is_of_attempt = |pod: &&Pod| {
            pod.labels().get(STEP_LABEL) == Some(&status.name)
                && pod.labels().get(ATTEMPT_LABEL) == Some(&attempt)
                && pod.labels().get(COMPONENT_LABEL).is_none_or(|role| role == components::STEP)
        };
        self.observed.pods.iter().map(AsRef::as_ref).filter(is_of_attempt).find(|pod| self.liveness().is_live(pod))
    }
}
