//! Decides for a run: when it begins, which steps start, what became of them, which versions it makes.
//!
//! A step's attempt is in the run's status before its Job is created; the Job's name is a function of run, step and
//! attempt. Whoever takes over finds the attempt and either its Job, or none: then the attempt is lost and the next
//! one begins, under another name.

mod job;
mod outcome;
mod publish;
mod queue;
mod steps;

use std::time::Duration;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{MLPipelineRunStatus, MLPipelineSpec, ParameterValue, StepState, StepStatus, Time};

pub use job::{Attempt, ReadyInput};
pub use queue::has_ended;

use crate::conditions::{self, Status, types};
use crate::observed::RunObserved;
use crate::plan::{Action, Event, EventType, FailureReason, Plan};
use crate::{names, revision, validation};
use queue::Turn;

/// How soon an unfinished run is looked at again where only time can change the verdict: a Job not seen, a report that
/// is late, a pod that cannot start.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Decides.
pub fn plan(observed: &RunObserved, now: Timestamp) -> Plan<MLPipelineRunStatus> {
    let run = &observed.run;
    if run.metadata.deletion_timestamp.is_some() || has_ended(run.status.as_ref()) {
        return Plan::default();
    }
    let mut draft = Draft::new(observed, now);
    match draft.begin() {
        Ok((spec, parameters)) => draft.advance(&spec, &parameters),
        Err(Held::Waits(reason, message)) => draft.under_way(reason, message),
        Err(Held::Ends(reason, message)) => draft.end(Status::False, reason, message),
    }
    draft.plan()
}

/// Why a run does not go on.
enum Held {
    Waits(&'static str, String),
    Ends(&'static str, String),
}

/// A plan in the making.
struct Draft<'a> {
    observed: &'a RunObserved,
    now: Timestamp,
    status: MLPipelineRunStatus,
    actions: Vec<Action>,
    events: Vec<Event>,
    again_after: Option<Duration>,
}

impl<'a> Draft<'a> {
    fn new(observed: &'a RunObserved, now: Timestamp) -> Self {
        let status = observed.run.status.clone().unwrap_or_default();
        let now = conditions::whole_seconds(now);
        Self { observed, now, status, actions: vec![], events: vec![], again_after: None }
    }

    /// The pinned spec and the parameters of a run that may go on. A run that begins pins what it executes.
    fn begin(&mut self) -> Result<(MLPipelineSpec, Vec<ParameterValue>), Held> {
        let name = match self.status.revision.clone() {
            Some(name) => name,
            None => self.revision_to_pin()?,
        };
        let found = self.observed.revisions.iter().find(|revision| revision.name_any() == name);
        let found = found.ok_or_else(|| {
            Held::Waits(
                "RevisionNotFound",
                format!("the ControllerRevision \"{name}\" of this run does not exist (yet)"),
            )
        })?;
        let spec = revision::spec(found).map_err(|error| Held::Ends("RevisionUnreadable", error.to_string()))?;
        let parameters = validation::parameters(&spec, &self.observed.run.spec.parameters)
            .map_err(|problems| Held::Ends("InvalidParameters", validation::summary(&problems)))?;
        if self.status.started_at.is_none() {
            if self.observed.pipeline.as_ref().is_some_and(|pipeline| pipeline.spec.suspend == Some(true)) {
                return Err(Held::Waits("Suspended", "the pipeline is suspended".to_owned()));
            }
            match queue::turn(self.observed) {
                Turn::Now => {}
                Turn::After(other) => {
                    return Err(Held::Waits("Queued", format!("it waits for the run \"{other}\" to end")));
                }
                Turn::Superseded(other) => {
                    return Err(Held::Ends("Superseded", format!("a newer change is run by \"{other}\"")));
                }
            }
            self.status.revision = Some(name);
            self.status.agent_image = Some(self.observed.platform.agent_image.clone());
            self.status.started_at = Some(Time(self.now));
            let pending = |step: &seatrial_crds::Step| steps::pending(&step.name);
            self.status.steps = spec.steps.iter().map(pending).collect();
        }
        Ok((spec, parameters))
    }

    /// The revision that a run executes: of the change that started it, or, of a run made by hand, the newest.
    fn revision_to_pin(&self) -> Result<String, Held> {
        let pipeline = &self.observed.run.spec.pipeline;
        if let Some(number) = queue::change_number(&self.observed.run) {
            return Ok(names::change(pipeline, number));
        }
        if self.observed.pipeline.is_none() {
            let message =
                format!("there is no MLPipeline \"{pipeline}\" in this namespace: create it, or name another");
            return Err(Held::Waits("PipelineNotFound", message));
        }
        let newest = revision::newest(&self.observed.revisions).ok_or_else(|| {
            let message = format!("the MLPipeline \"{pipeline}\" has no accepted spec yet: look at its conditions");
            Held::Waits("RevisionNotFound", message)
        })?;
        Ok(newest.name_any())
    }

    /// Reads what became of running steps, starts those that may, and publishes at the end.
    fn advance(&mut self, spec: &MLPipelineSpec, parameters: &[ParameterValue]) {
        self.read_outcomes(spec);
        self.start_steps(spec, parameters);
        self.delete_strays();
        let all = |state: StepState| self.status.steps.iter().all(|step| step.state == state);
        let any = |state: StepState| self.status.steps.iter().any(|step| step.state == state);
        if all(StepState::Succeeded) {
            return self.publish(spec, parameters);
        }
        if any(StepState::Failed) && !any(StepState::Running) {
            for step in &mut self.status.steps {
                if step.state == StepState::Pending {
                    step.state = StepState::Skipped;
                }
            }
            let failed = self.status.steps.iter().find(|step| step.state == StepState::Failed);
            let message = failed.and_then(|step| step.message.clone()).unwrap_or_default();
            return self.end(Status::False, "StepFailed", message);
        }
        let done = self.status.steps.iter().filter(|step| step.state == StepState::Succeeded).count();
        let held = self.status.steps.iter().find(|step| step.state == StepState::Pending && step.reason.is_some());
        let held = held.or_else(|| {
            self.status.steps.iter().find(|step| step.state == StepState::Running && step.message.is_some())
        });
        let told = held.and_then(|step| step.message.clone());
        let message = format!("{done} of {} steps are done", self.status.steps.len());
        match told {
            Some(told) => {
                self.again_after = Some(LOOK_AGAIN);
                self.under_way("Waiting", format!("{message}; {told}"));
            }
            None => self.under_way("Running", message),
        }
    }

    fn publish(&mut self, spec: &MLPipelineSpec, parameters: &[ParameterValue]) {
        let publishing = publish::publish(self.observed, spec, &self.status, parameters);
        self.status.versions = publishing.versions;
        self.actions.extend(publishing.actions);
        if let Some(problem) = publishing.problem {
            return self.end(Status::False, "PublishingFailed", problem);
        }
        if !publishing.done {
            return self.under_way("Publishing", "all steps are done; versions are being made".to_owned());
        }
        let versions: Vec<_> = self.status.versions.iter().map(|version| version.name.clone()).collect();
        let message = match versions.as_slice() {
            [] => "all steps are done".to_owned(),
            versions => format!("all steps are done; made {}", versions.join(", ")),
        };
        self.end(Status::True, "Succeeded", message);
    }

    /// Deletes Jobs that work for an attempt that is not the recorded one: a former leader's, or of a step given up.
    fn delete_strays(&mut self) {
        for job in &self.observed.jobs {
            let ours =
                job.owner_references().iter().any(|owner| Some(&owner.uid) == self.observed.run.metadata.uid.as_ref());
            let name = job.name_any();
            let wanted = self.status.steps.iter().any(|step| {
                step.job.as_deref() == Some(name.as_str())
                    && (step.state == StepState::Running || steps::job_has_ended(job))
            });
            if ours && !wanted && !steps::job_has_ended(job) && job.metadata.deletion_timestamp.is_none() {
                let uid = job.metadata.uid.clone().unwrap_or_default();
                self.actions.push(Action::Delete { kind: crate::plan::Kind::Job, name, uid });
            }
        }
    }

    fn under_way(&mut self, reason: &str, message: String) {
        let refused = self
            .observed
            .failures
            .iter()
            .find(|failure| matches!(failure.reason, FailureReason::Clash | FailureReason::Refused));
        let (reason, message) = match refused {
            Some(failure) if failure.reason == FailureReason::Clash => (
                "NameTaken",
                format!(
                    "a {} named \"{}\" exists that is not this run's: delete or rename it",
                    failure.kind.name(),
                    failure.name
                ),
            ),
            Some(failure) => (
                "WriteRefused",
                format!("the API server refused the {} \"{}\": {}", failure.kind.name(), failure.name, failure.message),
            ),
            None => (reason, message),
        };
        let generation = self.observed.run.metadata.generation;
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

    fn end(&mut self, status: Status, reason: &'static str, message: String) {
        self.status.finished_at = Some(Time(self.now));
        let kind = if status == Status::True { EventType::Normal } else { EventType::Warning };
        self.events.push(Event { kind, reason, action: "Run", message: message.clone() });
        let generation = self.observed.run.metadata.generation;
        conditions::set(&mut self.status.conditions, types::SUCCEEDED, status, reason, message, generation, self.now);
    }

    fn plan(self) -> Plan<MLPipelineRunStatus> {
        let changed = Some(&self.status) != self.observed.run.status.as_ref();
        Plan {
            status: changed.then_some(self.status),
            actions: self.actions,
            events: self.events,
            again_after: self.again_after,
        }
    }
}

/// The step of a name in a status.
fn step_status<'a>(steps: &'a [StepStatus], name: &str) -> Option<&'a StepStatus> {
    steps.iter().find(|step| step.name == name)
}

#[cfg(test)]
mod fates;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;
