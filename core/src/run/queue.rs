//! Decides whose turn it is: one run of a pipeline at a time, and of those that changes started only the newest waits.

use kube_core::ResourceExt;
use seatrial_crds::names::CHANGE_LABEL;
use seatrial_crds::{MLPipelineRun, MLPipelineRunStatus};

use crate::conditions::{self, Status, types};
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

/// The number of the change that started a run.
pub(super) fn change_number(run: &MLPipelineRun) -> Option<i64> {
    run.labels().get(CHANGE_LABEL)?.parse().ok()
}

/// Decides it for a run that has not begun.
pub(super) fn turn(observed: &RunObserved) -> Turn {
    let run = &observed.run;
    let own = change_number(run);
    let others = || {
        observed.siblings.iter().filter(|other| {
            other.metadata.uid != run.metadata.uid
                && other.metadata.deletion_timestamp.is_none()
                && !has_ended(other.status.as_ref())
        })
    };
    let newer = others().filter(|other| own.is_some() && change_number(other) > own);
    if let Some(newer) = newer.max_by_key(|other| change_number(other)) {
        return Turn::Superseded(newer.name_any());
    }
    let began = |run: &MLPipelineRun| run.status.as_ref().is_some_and(|status| status.started_at.is_some());
    // Whoever stands before this run in the line; whoever began stands before all. A strict order, so that of two
    // plans made from caches of different age never both let their run begin.
    let place = |run: &MLPipelineRun| (!began(run), run.creation_timestamp(), change_number(run), run.name_any());
    let before = others().filter(|other| place(other) < place(run));
    // An older change that has not begun is about to be skipped: nobody waits for it.
    let before = before.filter(|other| began(other) || own.is_none() || change_number(other).is_none());
    match before.min_by_key(|other| place(other)) {
        Some(other) => Turn::After(other.name_any()),
        None => Turn::Now,
    }
}
