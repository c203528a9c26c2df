//! Decides for a run: when it begins, which steps start, what became of them, which versions it makes.
//!
//! A step's attempt is in the run's status before its Job is created; the Job's name is a function of run, step and
//! attempt. A new leader finds the attempt in the status. If its Job does not exist, the attempt is lost: the store is asked
//! what it made, and without an answer the next attempt begins under another name.

mod begin;
mod concurrency;
mod contracts;
mod inputs;
mod phase;
mod publish;
mod recover;
mod recover_job;
mod step;
mod strays;

use std::time::Duration;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{MLPipelineRunStatus, MLPipelineSpec, ParameterValue, StepState, StepStatus, Time, limits};

pub use concurrency::{has_ended, triggered_revision};

use crate::attempt::Liveness;
use crate::attempt::outcome::{RETRYING, is_not_started};
use crate::conditions::{self, Status, types};
use crate::observed::RunObserved;
use crate::plan::{Blocked, BlockedReason, Event, EventType, LiveRead, Plan, Stage, Write};
use crate::{names, text};
use begin::CannotRun;
use phase::{Conclusion, Next, Phase};

/// When an unfinished run is planned again though no event comes: while its Job is not in the cache, its report is late, or its
/// pod cannot start.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// How long a run may wait for a person (a missing Store, a Job that the API server refuses), in seconds, before it fails. A
/// newer change takes over without waiting for that.
const HOLD_LIMIT: i64 = 3600;

/// How long the revision of a run under way may be missing, in seconds, before it counts as gone: the caches lag behind.
const REVISION_GRACE: i64 = 300;

/// Decides what becomes of a run.
pub fn plan(observed: &RunObserved, now: Timestamp) -> Plan<MLPipelineRunStatus> {
    let run = &observed.run;
    if run.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut draft = Draft::new(observed, now);
    // The status of a run says that it ended before its last Jobs are deleted: after a crash in between, they still must be.
    if !has_ended(run.status.as_ref()) {
        match draft.begin() {
            Ok((spec, parameters)) => draft.advance(&spec, &parameters),
            Err(CannotRun::Waits(reason, message)) if draft.status.started_at.is_some() => draft.wait(reason, message),
            Err(CannotRun::Waits("RevisionNotFound", _)) if draft.is_new() => {
                draft.requeue_after = Some(begin::REVISION_LAG);
            }
            Err(CannotRun::Waits(reason, message)) => draft.under_way(reason, message),
            Err(CannotRun::Pins(write)) => draft.pin(write),
            Err(CannotRun::Ends(conclusion)) => draft.end(conclusion),
        }
    }
    draft.plan(now)
}

/// The plan for a run while it is being made: the next status, and the writes that it needs.
struct Draft<'a> {
    observed: &'a RunObserved,
    now: Timestamp,
    status: MLPipelineRunStatus,
    jobs: Vec<Write>,
    publishing: Vec<Stage>,
    deletions: Vec<Write>,
    events: Vec<Event>,
    live_reads: Vec<LiveRead>,
    requeue_after: Option<Duration>,
}

impl<'a> Draft<'a> {
    fn new(observed: &'a RunObserved, now: Timestamp) -> Self {
        let status = observed.run.status.clone().unwrap_or_default();
        let now = conditions::whole_seconds(now);
        Self {
            observed,
            now,
            status,
            jobs: vec![],
            publishing: vec![],
            deletions: vec![],
            events: vec![],
            live_reads: vec![],
            requeue_after: None,
        }
    }

    /// Waits for what a run under way executes. Where its revision is gone, a newer change takes over, or the run ends: its
    /// Jobs cannot be read without it.
    fn wait(&mut self, reason: &'static str, message: String) {
        self.requeue_after = Some(LOOK_AGAIN);
        let now = Time(self.now);
        let unfinished = |step: &&mut StepStatus| matches!(step.state, StepState::Pending | StepState::Running);
        let since = match self.status.steps.iter_mut().find(unfinished) {
            Some(step) => Some(step.blocked_since.get_or_insert(now).clone()),
            None => self.status.steps.iter().filter_map(|step| step.finished_at.clone()).max(),
        };
        let waited = since.map_or(0, |since| self.seconds_since(&since));
        if reason == "RevisionNotFound" && waited >= REVISION_GRACE {
            if let Some(newer) = concurrency::newer_change(self.observed) {
                return self.end(Conclusion::failed("Superseded", superseded(&newer)));
            }
            if waited >= HOLD_LIMIT {
                return self.end(Conclusion::failed(reason, message));
            }
        }
        self.under_way(reason, message);
    }

    /// Takes a run that has begun through its phases, as far as it gets.
    fn advance(&mut self, spec: &MLPipelineSpec, parameters: &[ParameterValue]) {
        let mut phase = Phase::Running;
        loop {
            let next = match phase {
                Phase::Running => self.run_steps(spec, parameters),
                Phase::Finalizing(conclusion) => self.finalize(conclusion),
                Phase::Publishing(conclusion) => self.publish(conclusion, spec, parameters),
                Phase::Ended(conclusion) => return self.end(conclusion),
            };
            match next {
                Next::Stay(reason, message) => return self.under_way(reason, message),
                Next::Go(next) => phase = next,
            }
        }
    }

    /// Reads what became of running steps, and starts those that may.
    fn run_steps(&mut self, spec: &MLPipelineSpec, parameters: &[ParameterValue]) -> Next {
        self.read_outcomes(spec);
        if self.is_stalled()
            && let Some(newer) = concurrency::newer_change(self.observed)
        {
            return Next::conclude(Status::False, "Superseded", superseded(&newer));
        }
        self.start_steps(spec, parameters);
        let steps = &self.status.steps;
        let in_state = |state: StepState| steps.iter().filter(move |step| step.state == state);
        let done = in_state(StepState::Succeeded).count();
        if done == steps.len() {
            return Next::conclude(Status::True, "Succeeded", "all steps are done".to_owned());
        }
        if let Some(failed) = in_state(StepState::Failed).next()
            && in_state(StepState::Running).next().is_none()
        {
            return Next::conclude(Status::False, "StepFailed", failed.message.clone().unwrap_or_default());
        }
        // What failed first, then what does not start, then what goes on with trouble.
        let told = [StepState::Failed, StepState::Pending, StepState::Running];
        let told = told.into_iter().flat_map(in_state).find(|step| step.message.is_some());
        let is_at_work = told.is_some_and(|step| step.reason.as_deref() == Some(RETRYING));
        let told = told.and_then(|step| step.message.clone());
        let message = format!("{done} of {} steps are done", steps.len());
        match told {
            Some(told) if is_at_work => Next::Stay("Running", format!("{message}; {told}")),
            Some(told) => {
                self.requeue_after = Some(LOOK_AGAIN);
                Next::Stay("Waiting", format!("{message}; {told}"))
            }
            None => Next::Stay("Running", message),
        }
    }

    /// Runs the steps that run whatever became of the others. There are none yet, so the phase costs no write.
    fn finalize(&self, conclusion: Conclusion) -> Next {
        Next::Go(if conclusion.status == Status::True {
            Phase::Publishing(conclusion)
        } else {
            Phase::Ended(conclusion)
        })
    }

    /// Makes the versions of a run whose steps are all done.
    fn publish(&mut self, conclusion: Conclusion, spec: &MLPipelineSpec, parameters: &[ParameterValue]) -> Next {
        let publishing = publish::publish(self.observed, spec, &self.status, parameters);
        self.status.versions = publishing.versions;
        self.publishing = publishing.stages;
        let fail = |problem| Next::Go(Phase::Ended(Conclusion::failed("PublishingFailed", problem)));
        if let Some(problem) = publishing.problem {
            return fail(problem);
        }
        if !publishing.done {
            let refused = self.observed.blocked.iter().find(|failure| failure.reason == BlockedReason::Refused);
            let since = self.status.steps.iter().filter_map(|step| step.finished_at.as_ref()).max();
            if let Some(refused) = refused
                && since.is_some_and(|since| self.seconds_since(since) >= HOLD_LIMIT)
            {
                return fail(format!("all steps are done, but {}", refusal(refused)));
            }
            return Next::Stay("Publishing", "all steps are done; versions are being made".to_owned());
        }
        let versions: Vec<_> = self.status.versions.iter().map(|version| version.name.clone()).collect();
        let message = match versions.as_slice() {
            [] => conclusion.message,
            versions => format!("{}; made {}", conclusion.message, versions.join(", ")),
        };
        Next::Go(Phase::Ended(Conclusion { message, ..conclusion }))
    }

    /// Whether nothing is at work, and something waits for what a person must see to.
    fn is_stalled(&self) -> bool {
        let steps = &self.status.steps;
        steps.iter().any(is_blocked) && steps.iter().all(|step| step.state != StepState::Running || is_blocked(step))
    }

    fn liveness(&self) -> Liveness<'a> {
        Liveness { ending: &self.observed.ending }
    }

    fn seconds_since(&self, time: &Time) -> i64 {
        self.now.as_second() - time.0.as_second()
    }

    /// Whether an object is this run's: by the UID of its controller, never by its name.
    fn is_ours(&self, object: &impl ResourceExt) -> bool {
        let uid = self.observed.run.metadata.uid.as_deref();
        object.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
    }

    fn under_way(&mut self, reason: &str, message: String) {
        // The steps say what concerns their Jobs. A counter that another run created first is a race, and no clash of names.
        let is_counter = |name: &str| self.observed.counters.values().any(|counter| counter.name_any() == name);
        let refused = self.observed.blocked.iter().find(|failure| match failure.reason {
            BlockedReason::Clash => !is_counter(&failure.name),
            BlockedReason::Refused => true,
            BlockedReason::Unavailable => false,
        });
        let (reason, message) = match refused {
            Some(failure) if failure.reason == BlockedReason::Clash => ("NameTaken", refusal(failure)),
            Some(failure) => ("WriteRefused", refusal(failure)),
            None => (reason, message),
        };
        let generation = self.observed.run.metadata.generation;
        self.status.observed_generation = generation;
        conditions::set(
            &mut self.status.conditions,
            types::SUCCEEDED,
            Status::Unknown,
            reason,
            message,
            generation,
            self.now,
        );
    }

    fn end(&mut self, conclusion: Conclusion) {
        let Conclusion { status, reason, message } = conclusion;
        self.status.finished_at = Some(Time(self.now));
        self.status.duration = self.status.started_at.as_ref().map(|at| names::duration(self.seconds_since(at)));
        let published: Vec<&str> = self.status.versions.iter().map(|version| version.name.as_str()).collect();
        self.status.published = (!published.is_empty()).then(|| published.join(", "));
        for step in &mut self.status.steps {
            match step.state {
                StepState::Pending => {
                    step.state = StepState::Skipped;
                    // Why it did not run: why the run ended before it.
                    step.reason = Some(reason.to_owned());
                }
                // Its Job goes with the run, if there is one.
                StepState::Running => {
                    step.state = StepState::Failed;
                    step.reason.get_or_insert_with(|| reason.to_owned());
                    step.finished_at = Some(Time(self.now));
                }
                StepState::Succeeded | StepState::Failed | StepState::Skipped => {}
            }
        }
        // That all went well stands in the status: an event more would be a write more for each run.
        if status != Status::True {
            let kind = if reason == "Superseded" { EventType::Normal } else { EventType::Warning };
            self.events.push(Event { kind, reason, action: "Run", message: message.clone() });
        }
        let generation = self.observed.run.metadata.generation;
        self.status.observed_generation = generation;
        conditions::set(&mut self.status.conditions, types::SUCCEEDED, status, reason, message, generation, self.now);
    }

    /// The plan. What is blocked is blocked until a time that has fractions of a second, unlike [`Self::now`]: to ask again for
    /// what is left of a second that has passed would be to ask again and again.
    fn plan(mut self, now: Timestamp) -> Plan<MLPipelineRunStatus> {
        self.delete_strays();
        for message in self.status.steps.iter_mut().filter_map(|step| step.message.as_mut()) {
            text::shorten(message, limits::STEP_MESSAGE);
        }
        let changed = self.status != self.observed.run.status.clone().unwrap_or_default();
        let mut stages = vec![Stage::proceed(self.jobs)];
        stages.append(&mut self.publishing);
        stages.push(Stage::proceed(self.deletions));
        Plan {
            status: changed.then_some(self.status),
            stages,
            events: self.events,
            live_reads: self.live_reads,
            requeue_after: self.requeue_after,
            ..Plan::default()
        }
        .defer_blocked(&self.observed.blocked, now)
    }
}

/// Whether a step waits for what a person must see to, or its command has not started.
fn is_blocked(step: &StepStatus) -> bool {
    let not_started = || step.reason.as_deref().is_some_and(is_not_started);
    step.blocked_since.is_some() || (step.state == StepState::Running && not_started())
}

fn superseded(newer: &str) -> String {
    format!("a newer change is run by \"{newer}\"")
}

/// What a write that failed means for a run.
fn refusal(failure: &Blocked) -> String {
    let (kind, name) = (failure.kind.name(), &failure.name);
    match failure.reason {
        BlockedReason::Clash => format!("a {kind} named \"{name}\" exists that is not this run's: delete or rename it"),
        _ => format!("the API server refused the {kind} \"{name}\": {}", failure.message),
    }
}

/// The step of a name in a status.
fn step_status<'a>(steps: &'a [StepStatus], name: &str) -> Option<&'a StepStatus> {
    steps.iter().find(|step| step.name == name)
}

#[cfg(test)]
mod tests;
