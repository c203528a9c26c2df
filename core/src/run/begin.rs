//! Decides whether a run may begin, and pins what it executes: the revision, the agent's image, and the contracts of its
//! inputs.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::names::TRIGGERED_AT_ANNOTATION;
use seatrial_crds::{MLPipelineRun, MLPipelineSpec, ParameterValue, Time};

use super::concurrency::{self, Admission, triggered_revision};
use super::phase::Conclusion;
use super::{Draft, step, superseded};
use crate::plan::{Stage, Write};
use crate::{names, revision, validation};

/// How long a new run waits for its revision before its condition says so: the run of a change may be created a moment
/// before the revision.
pub(super) const REVISION_LAG: Duration = Duration::from_secs(5);

/// How much later than its trigger a run may be created, in seconds. A run without status that was created later is a copy of a
/// run that has been executed.
const RESTORE_GRACE: i64 = 600;

/// Why a run does not begin, or does not go on.
pub(super) enum CannotRun {
    /// It waits, with the reason and message of its condition.
    Waits(&'static str, String),
    /// Its contracts must be pinned first, by this write.
    Pins(Write),
    /// It ends without having begun.
    Ends(Conclusion),
}

impl CannotRun {
    fn ends(reason: &'static str, message: String) -> Self {
        Self::Ends(Conclusion::failed(reason, message))
    }
}

impl Draft<'_> {
    /// The pinned spec and the parameters of a run that may go on. A run that begins pins what it executes.
    pub(super) fn begin(&mut self) -> Result<(Arc<MLPipelineSpec>, Vec<ParameterValue>), CannotRun> {
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

    /// Pins the contracts of the run's inputs. The run begins once the caches show the pinned object. That takes a moment,
    /// so the condition says that the run waits only where the API server refuses the write.
    pub(super) fn pin(&mut self, write: Write) {
        self.publishing.push(Stage::stop(vec![write]));
        if !self.observed.blocked.is_empty() {
            self.under_way("Waiting", "the contracts of its inputs are written down".to_owned());
        }
    }

    /// Whether the run has no status yet, and was created a moment ago.
    pub(super) fn is_new(&self) -> bool {
        let created = self.observed.run.metadata.creation_timestamp.as_ref();
        let age = created.and_then(|at| u64::try_from(self.seconds_since(at)).ok());
        self.observed.run.status.is_none() && age.is_some_and(|age| age < REVISION_LAG.as_secs())
    }
}

/// When a run without status was triggered, if its object was created much later: then the run was restored from a backup, or
/// applied again from a file. Only runs that a trigger started have the annotation.
fn restored(run: &MLPipelineRun) -> Option<Timestamp> {
    let triggered_at: Timestamp = run.annotations().get(TRIGGERED_AT_ANNOTATION)?.parse().ok()?;
    let created_at = run.metadata.creation_timestamp.as_ref()?.0;
    let is_late = created_at.as_second().saturating_sub(triggered_at.as_second()) > RESTORE_GRACE;
    (run.status.is_none() && is_late).then_some(triggered_at)
}

fn suspended() -> CannotRun {
    CannotRun::Waits("Suspended", "the pipeline is suspended".to_owned())
}
