//! Decides whether a run may begin. One run that a change started is under way at a time, and of those that wait only the
//! newest is kept. Runs made by hand begin at once, as long as `spec.concurrency.maxRuns` leaves room.

use kube_core::ResourceExt;
use seatrial_crds::names::REVISION_LABEL;
use seatrial_crds::{MLPipelineRun, MLPipelineRunStatus};

use crate::conditions::{self, Status, types};
use crate::names;
use crate::observed::RunObserved;

/// Whether a run may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may begin now.
    Now,
    /// It waits, for the reason in this message. The message stays the same while runs before it begin and end, so that the
    /// status is written once.
    Waits(String),
    /// A newer change makes it pointless: the name of the run of that change.
    Superseded(String),
}

/// True once a run has a final condition.
pub fn has_ended(status: Option<&MLPipelineRunStatus>) -> bool {
    status.is_some_and(|status| {
        conditions::is(&status.conditions, types::SUCCEEDED, Status::True)
            || conditions::is(&status.conditions, types::SUCCEEDED, Status::False)
    })
}

/// The number of the change that started a run. The label alone says nothing, since it comes along when people copy a
/// run: its pipeline must own it, and it must bear the name of the change.
pub fn triggered_revision(run: &MLPipelineRun) -> Option<i64> {
    let number = run.labels().get(REVISION_LABEL)?.parse().ok()?;
    let owners = run.owner_references();
    let is_owned = owners.iter().any(|owner| owner.controller == Some(true) && owner.name == run.spec.pipeline);
    (is_owned && run.name_any() == names::revision(&run.spec.pipeline, number)).then_some(number)
}

/// The unfinished siblings of a run.
fn others(observed: &RunObserved) -> impl Iterator<Item = &MLPipelineRun> {
    observed.siblings.iter().map(AsRef::as_ref).filter(|other: &&MLPipelineRun| {
        other.metadata.uid != observed.run.metadata.uid
            && other.metadata.deletion_timestamp.is_none()
            && !has_ended(other.status.as_ref())
    })
}

/// The run of a newer change than this run's.
pub(super) fn newer_change(observed: &RunObserved) -> Option<String> {
    let own = triggered_revision(&observed.run)?;
    let newer = others(observed).filter(|other| triggered_revision(other).is_some_and(|number| number > own));
    newer.max_by_key(|other| triggered_revision(other)).map(ResourceExt::name_any)
}

/// Decides it for a run that has not begun.
pub(super) fn admission(observed: &RunObserved) -> Admission {
    let run = &observed.run;
    if let Some(newer) = newer_change(observed) {
        return Admission::Superseded(newer);
    }
    // A run that this leader let begin has begun, though the caches may not show it yet.
    let began = |run: &MLPipelineRun| {
        run.status.as_ref().is_some_and(|status| status.started_at.is_some())
            || observed.begun.contains(&run.name_any())
    };
    // Runs stand in one line: those that have begun first, then the oldest. The order is strict, so that two plans made
    // from caches of different age never let one run too many begin. A run of a change waits for an older change that has
    // not begun, too, until that one has seen this one and ended.
    let place = |run: &MLPipelineRun| (!began(run), run.creation_timestamp(), triggered_revision(run), run.name_any());
    let ahead = others(observed).filter(|other| place(other) < place(run));
    let max_runs = max_runs(observed);
    if max_runs <= 1 {
        return match ahead.count() {
            0 => Admission::Now,
            _ => Admission::Waits("it waits for the runs before it, since spec.concurrency.maxRuns is 1: kubectl get mlpipelineruns shows them; delete one, or raise maxRuns".to_owned()),
        };
    }
    if triggered_revision(run).is_some() {
        let first = ahead.filter(|other| triggered_revision(other).is_some()).min_by_key(|other| place(other));
        return first.map_or(Admission::Now, |first| {
            let name = first.name_any();
            Admission::Waits(format!(
                "it waits for the run \"{name}\" to end: kubectl describe mlpipelinerun {name} says how that stands; delete it to begin at once"
            ))
        });
    }
    // One place is kept for runs that changes start.
    let places = max_runs - 1;
    if ahead.filter(|other| triggered_revision(other).is_none()).count() < places {
        return Admission::Now;
    }
    Admission::Waits(format!(
        "{places} runs made by hand are under way, as many as spec.concurrency.maxRuns ({max_runs}) leaves room for: it begins when one of them ends"
    ))
}

/// What the pipeline says now counts, and not what it said when the run was made: it is no part of what is executed.
fn max_runs(observed: &RunObserved) -> usize {
    let pipeline = observed.pipeline.as_ref();
    let concurrency = pipeline.and_then(|pipeline| pipeline.spec.concurrency).unwrap_or_default();
    usize::try_from(concurrency.max_runs()).unwrap_or(usize::MAX)
}
