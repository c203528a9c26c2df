//! Decides whose turn it is: one run of a pipeline at a time, and of those that changes started only the newest waits.

use kube_core::ResourceExt;
use seatrial_crds::names::CHANGE_LABEL;
use seatrial_crds::{MLPipelineRun, MLPipelineRunStatus};

use crate::conditions::{self, Status, types};
use crate::names;
use crate::observed::RunObserved;

/// Whether a run may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may.
    Now,
    /// It waits for this run.
    After(String),
    /// A newer change makes it pointless.
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
pub fn change_number(run: &MLPipelineRun) -> Option<i64> {
    let number = run.labels().get(CHANGE_LABEL)?.parse().ok()?;
    let owners = run.owner_references();
    let is_owned = owners.iter().any(|owner| owner.controller == Some(true) && owner.name == run.spec.pipeline);
    (is_owned && run.name_any() == names::change(&run.spec.pipeline, number)).then_some(number)
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
    let own = change_number(&observed.run)?;
    let newer = others(observed).filter(|other| change_number(other).is_some_and(|number| number > own));
    newer.max_by_key(|other| change_number(other)).map(ResourceExt::name_any)
}

/// Decides it for a run that has not begun.
pub(super) fn turn(observed: &RunObserved) -> Turn {
    let run = &observed.run;
    if let Some(newer) = newer_change(observed) {
        return Turn::Superseded(newer);
    }
    // One that this leader let begin has begun, though the caches may not show it yet.
    let began = |run: &MLPipelineRun| {
        run.status.as_ref().is_some_and(|status| status.started_at.is_some())
            || observed.begun.contains(&run.name_any())
    };
    // Whoever stands before this run in the line; whoever began stands before all. A strict order, so that of two
    // plans made from caches of different age never both let their run begin. Of an older change that has not begun,
    // too, it waits until that has seen this one and ended.
    let place = |run: &MLPipelineRun| (!began(run), run.creation_timestamp(), change_number(run), run.name_any());
    let before = others(observed).filter(|other| place(other) < place(run));
    match before.min_by_key(|other| place(other)) {
        Some(other) => Turn::After(other.name_any()),
        None => Turn::Now,
    }
}
