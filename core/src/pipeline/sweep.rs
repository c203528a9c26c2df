//! Which revisions are deleted: those that no run executes, that no version came from, and that are not the newest.
//!
//! In two phases: a revision is first marked, and goes an hour later if it is still unused. Caches of different kinds
//! are filled by watches of their own: a version that was made a moment ago may not be in sight yet.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube_core::ResourceExt;
use seatrial_crds::names::UNUSED_SINCE_ANNOTATION;

use crate::observed::PipelineObserved;
use crate::plan::{Kind, Object, Write};
use crate::revision::{self, Revision};

/// How long a revision stays after nobody was seen to need it.
const GRACE: Duration = Duration::from_secs(3600);

/// What to mark and what to delete, and when to look again.
pub(super) fn sweep(observed: &PipelineObserved, now: Timestamp) -> (Vec<Write>, Option<Duration>) {
    let newest = revision::newest(&observed.revisions).map(|newest| newest.revision);
    let used = Used::of(observed);
    let (mut writes, mut requeue_after) = (vec![], None);
    for revision in &observed.revisions {
        if Some(revision.revision) == newest || used.contains(revision) {
            if marked_at(revision).is_some() {
                writes.push(Write::Replace(Object::ControllerRevision(Box::new(unmarked(revision)))));
            }
            continue;
        }
        let age = marked_at(revision).map(|at| now.as_second().saturating_sub(at.as_second()));
        match age.map(|age| Duration::from_secs(age.unsigned_abs())) {
            None => {
                writes.push(Write::Replace(Object::ControllerRevision(Box::new(marked(revision, now)))));
                requeue_after = requeue_after.max(Some(GRACE));
            }
            Some(age) if age < GRACE => requeue_after = requeue_after.max(Some(GRACE.saturating_sub(age))),
            Some(_) => writes.push(Write::Delete {
                kind: Kind::ControllerRevision,
                name: revision.name_any(),
                uid: revision.metadata.uid.clone().unwrap_or_default(),
            }),
        }
    }
    (writes, requeue_after)
}

/// The revisions that something needs. Gathered once, so that the work grows with what is kept and not with its square.
struct Used<'a> {
    /// The numbers that runs execute, and that versions were made by.
    numbers: HashSet<i64>,
    /// The names of the runs: the run of a change has its revision's name, also before it has looked at it.
    runs: HashSet<&'a str>,
}

impl<'a> Used<'a> {
    fn of(observed: &'a PipelineObserved) -> Self {
        let executed = observed.runs.iter().filter_map(|run| run.status.as_ref()?.revision);
        let made_by = observed.versions.iter().filter_map(|version| version.spec.revision());
        Self {
            numbers: executed.chain(made_by).collect(),
            runs: observed.runs.iter().filter_map(|run| run.metadata.name.as_deref()).collect(),
        }
    }

    fn contains(&self, revision: &Revision) -> bool {
        self.numbers.contains(&revision.revision)
            || revision.metadata.name.as_deref().is_some_and(|name| self.runs.contains(name))
    }
}

fn marked_at(revision: &Revision) -> Option<Timestamp> {
    revision.annotations().get(UNUSED_SINCE_ANNOTATION)?.parse().ok()
}

fn marked(revision: &Revision, now: Timestamp) -> ControllerRevision {
    let mut revision = revision.to_object();
    revision.annotations_mut().insert(UNUSED_SINCE_ANNOTATION.to_owned(), now.to_string());
    revision
}

fn unmarked(revision: &Revision) -> ControllerRevision {
    let mut revision = revision.to_object();
    revision.annotations_mut().remove(UNUSED_SINCE_ANNOTATION);
    revision
}
