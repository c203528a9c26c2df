//! Decides for a run: when it begins, which steps start, what became of them, which versions it makes.
//!
//! A step's attempt is in the run's status before its Job is created; the Job's name is a function of run, step and
//! attempt. A new leader finds the attempt in the status. If its Job does not exist, the attempt is lost: the store is asked
//! what it made, and without an answer the next attempt begins under another name.

mod concurrency;
mod contracts;
mod phase;
mod publish;
mod recover;
mod recover_job;
mod step;
mod strays;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::names::TRIGGERED_AT_ANNOTATION;
use seatrial_crds::{
    MLPipelineRun, MLPipelineRunStatus, MLPipelineSpec, ParameterValue, StepState, StepStatus, Time, limits,
};

pub use concurrency::{has_ended, triggered_revision};

use crate::attempt::Liveness;
use crate::attempt::outcome::{RETRYING, is_not_started};
use crate::conditions::{self, Status, types};
use crate::observed::RunObserved;
use crate::plan::{Blocked, BlockedReason, Event, EventType, LiveRead, Plan, Stage, Write};
use crate::{names, revision, text, validation};
use concurrency::Admission;
use phase::{Conclusion, Next, Phase};

/// How soon an unfinished run is looked at again where only time can change the verdict: a Job not seen, a report that
/// is late, a pod that cannot start.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// How long a run may be held up by what a person must see to (a missing Store, a Job that the API server refuses), in
/// seconds, before it is given up. A newer change does not wait for that.
const HOLD_LIMIT: i64 = 3600;

/// How long a new run waits for its revision before it says so: a change makes its run first, and its revision a moment later.
const REVISION_LAG: Duration = Duration::from_secs(5);

/// How long the revision of a run under way may be missing, in seconds, before it counts as gone: the caches lag behind.
const REVISION_GRACE: i64 = 300;

/// How much later than its trigger a run may be created, in seconds. A run without status that is created later than that
/// is a copy of one that ran before.
const RESTORE_GRACE: i64 = 600;

/// Decides.
pub fn plan(observed: &RunObserved, now: Timestamp) -> Plan<MLPipelineRunStatus> {
    let run = &observed.run;
    if run.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut draft = Draft::new(observed, now);
    // That a run ended was written before its last Jobs were deleted: a crash may have come between.
    if !has_ended(run.status.as_ref()) {
        match draft.begin() {
            Ok((spec, parameters)) => draft.advance(&spec, &parameters),
            Err(CannotRun::Waits(reason, message)) if draft.status.started_at.is_some() => draft.wait(reason, message),
            Err(CannotRun::Waits("RevisionNotFound", _)) if draft.is_new() => draft.requeue_after = Some(REVISION_LAG),
            Err(CannotRun::Waits(reason, message)) => draft.under_way(reason, message),
            Err(CannotRun::Pins(write)) => draft.pin(write),
            Err(CannotRun::Ends(conclusion)) => draft.end(conclusion),
        }
    }
    draft.plan()
}

/// Why a run does not begin, or not go on.
enum CannotRun {
    Waits(&'static str, String),
    /// Its contracts are written down first.
    Pins(Write),
    Ends(Conclusion),
}

impl CannotRun {
    fn ends(reason: &'static str, message: String) -> Self {
        Self::Ends(Conclusion::failed(reason, message))
    }
}

/// A plan in the making.
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

    /// The pinned spec and the parameters of a run that may go on. A run that begins pins what it executes.
    fn begin(&mut self) -> Result<(Arc<MLPipelineSpec>, Vec<ParameterValue>), CannotRun> {
        let begins = self.status.started_at.is_none();
        if begins {
            self.may_begin()?;
        }
        let number = match self.status.revision {
            Some(number) => number,
            None => self.revision_to_pin()?,
        };
        let name = names::revision(&self.observed.run.spec.pipeline, number);
        let observed = self.observed;
        let found = observed.revision.as_ref().filter(|revision| revision.name_any() == name);
        let found = found.ok_or_else(|| {
            CannotRun::Waits(
                "RevisionNotFound",
                format!("the ControllerRevision \"{name}\" of this run does not exist (yet); without it nobody knows what the run executes"),
            )
        })?;
        // Of a run under way nothing is lost while it waits: what this release cannot read another one wrote or accepted.
        let cannot = |reason, waits: bool, message| {
            if waits { CannotRun::Waits(reason, message) } else { CannotRun::ends(reason, message) }
        };
        let spec = found
            .spec()
            .map_err(|error| cannot("RevisionUnreadable", !begins || error.is_of_another_release, error.to_string()))?;
        let parameters = validation::parameters(spec, &self.observed.run.spec.parameters)
            .map_err(|problems| cannot("InvalidParameters", !begins, validation::summary(&problems)))?;
        if begins {
            self.pin_contracts(spec)?;
            self.status.revision = Some(number);
            self.status.agent_image = Some(self.observed.platform.agent_image.clone());
            self.status.started_at = Some(Time(self.now));
            self.status.purpose = Some(self.observed.run.spec.purpose.unwrap_or_default());
            let pending = |step: &seatrial_crds::Step| step::pending(&step.name);
            self.status.steps = spec.steps.iter().map(pending).collect();
        }
        Ok((spec.clone(), parameters))
    }

    /// Whether a run that has not begun may do so. This comes before its revision is looked for: a run whose revision is
    /// gone gives way to newer ones like any other.
    fn may_begin(&self) -> Result<(), CannotRun> {
        if let Some(triggered_at) = restored(&self.observed.run) {
            let message = format!(
                "it was started at {triggered_at} and made again from a copy without its status: what it did is not done again; to run the pipeline, create another MLPipelineRun"
            );
            return Err(CannotRun::ends("Restored", message));
        }
        if self.observed.pipeline.as_ref().is_some_and(|pipeline| pipeline.spec.suspend == Some(true)) {
            return Err(suspended());
        }
        match concurrency::admission(self.observed) {
            Admission::Now => Ok(()),
            Admission::Waits(message) => Err(CannotRun::Waits("Queued", message)),
            Admission::Superseded(newer) => Err(CannotRun::ends("Superseded", superseded(&newer))),
        }
    }

    /// The number of the revision that a run executes: of the change that started it, or, of a run made by hand, the newest.
    fn revision_to_pin(&self) -> Result<i64, CannotRun> {
        let pipeline = &self.observed.run.spec.pipeline;
        if let Some(number) = triggered_revision(&self.observed.run) {
            return Ok(number);
        }
        let Some(found) = &self.observed.pipeline else {
            let message =
                format!("there is no MLPipeline \"{pipeline}\" in this namespace: create it, or name another");
            return Err(CannotRun::Waits("PipelineNotFound", message));
        };
        let waits = || {
            let message = format!(
                "the newest spec of the MLPipeline \"{pipeline}\" is not accepted (yet): look at its conditions"
            );
            CannotRun::Waits("RevisionNotFound", message)
        };
        if !validation::pipeline(&found.spec).is_empty() {
            return Err(waits());
        }
        let newest = self.observed.revision.as_ref().ok_or_else(waits)?;
        // Run and pipeline may have been applied together: what is run is what the pipeline says by now.
        let is_outdated =
            newest.spec().is_ok_and(|spec| revision::projection(spec) != revision::projection(&found.spec));
        if is_outdated { Err(waits()) } else { Ok(newest.revision) }
    }

    /// Writes down what the run's inputs are checked by. It begins once the caches show that, which is in a moment: that
    /// it waits is said only where the API server refuses.
    fn pin(&mut self, write: Write) {
        self.publishing.push(Stage::stop(vec![write]));
        if !self.observed.blocked.is_empty() {
            self.under_way("Waiting", "the contracts of its inputs are written down".to_owned());
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

    /// What runs whatever became of the steps comes here. There is none of it yet: the phase is empty and costs nothing.
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

    /// Whether nothing was said of the run yet, and it was created a moment ago.
    fn is_new(&self) -> bool {
        let created = self.observed.run.metadata.creation_timestamp.as_ref();
        let age = created.and_then(|at| u64::try_from(self.seconds_since(at)).ok());
        self.observed.run.status.is_none() && age.is_some_and(|age| age < REVISION_LAG.as_secs())
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
        // What concerns Jobs is said by their steps. A counter that another run made first is no clash, but a race.
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

    fn plan(mut self) -> Plan<MLPipelineRunStatus> {
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
        .defer_blocked(&self.observed.blocked, self.now)
    }
}

/// Whether a step waits for what a person must see to, or its command has not started.
fn is_blocked(step: &StepStatus) -> bool {
    let not_started = || step.reason.as_deref().is_some_and(is_not_started);
    step.blocked_since.is_some() || (step.state == StepState::Running && not_started())
}

/// When a run without status was started, if that is longer ago than its creation: then it was restored from a backup, or
/// applied again from a file. Only runs that a trigger started bear the mark.
fn restored(run: &MLPipelineRun) -> Option<Timestamp> {
    let triggered_at: Timestamp = run.annotations().get(TRIGGERED_AT_ANNOTATION)?.parse().ok()?;
    let created_at = run.metadata.creation_timestamp.as_ref()?.0;
    let is_late = created_at.as_second().saturating_sub(triggered_at.as_second()) > RESTORE_GRACE;
    (run.status.is_none() && is_late).then_some(triggered_at)
}

fn suspended() -> CannotRun {
    CannotRun::Waits("Suspended", "the pipeline is suspended".to_owned())
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
