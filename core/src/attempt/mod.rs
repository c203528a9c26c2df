//! One attempt, which is one Job: whether the Job exists, and which of its pods may still act.
//!
//! An attempt is in a status before its Job is created, and the Job's name is a function of what it is for. An operator
//! that takes over finds the attempt in the status, and looks for its Job. If there is none, the attempt is lost as soon as no
//! request that creates the Job can still be on its way.

pub(crate) mod evidence_job;
mod failure;
pub(crate) mod failure_policy;
pub(crate) mod interruption;
pub(crate) mod job;
pub(crate) mod outcome;
pub(crate) mod reading;
pub(crate) mod report;
pub(crate) mod seen;
pub(crate) mod step_job;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::ResourceExt;

use seatrial_crds::Step;

use crate::observed::{Ending, Expectation};
use crate::pod_state::phase;
use crate::validation;

/// How long a Job that the API server confirmed may be missing from the cache before it counts as lost, in seconds.
const CACHE_LAG: i64 = 60;

/// How long after an operator's end a write of it may still land: the API server gives every request up after this time
/// (`--request-timeout`).
pub(crate) const LATE_WRITE: Duration = Duration::from_secs(60);

/// What is known of a recorded attempt's Job.
pub(crate) enum JobState<'a> {
    /// It is in the cache.
    Exists(&'a Job),
    /// It is to be created (again).
    Create,
    /// It was created and the cache lags behind, or its creation by an earlier leader may still be on its way.
    Wait,
    /// If it was created, it should be in the cache by now: the API server must say whether it exists.
    LiveRead,
    /// An object of another owner bears the name.
    Foreign,
    /// It is gone.
    Lost,
}

/// What the cluster, as the caches and this leader know it, says of the Jobs of one owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster<'a> {
    /// The owner's UID.
    pub(crate) owner_uid: Option<&'a str>,
    /// The Jobs in the cache.
    pub(crate) jobs: &'a [Arc<Job>],
    /// What this leader recorded and created.
    pub(crate) expectations: &'a BTreeMap<String, Expectation>,
    /// For how long this leader has led.
    pub(crate) leading_for: Duration,
    /// When the API server was asked about a Job last.
    pub(crate) live_reads: &'a BTreeMap<String, Timestamp>,
}

impl<'a> Cluster<'a> {
    /// What is known of the Job of this name.
    pub(crate) fn job_state(self, name: &str, now: Timestamp) -> JobState<'a> {
        let job = self.jobs.iter().find(|job| job.metadata.name.as_deref() == Some(name));
        // A Job that is being deleted counts as gone, and its pods go with it. If it had ended before, its result counts.
        match job {
            Some(job) if !self.owns(job) => return JobState::Foreign,
            Some(job) if job.metadata.deletion_timestamp.is_none() || job_has_ended(job) => {
                return JobState::Exists(job);
            }
            Some(_) | None => {}
        }
        let asked_since = |then: &Timestamp| self.live_reads.get(name).is_some_and(|asked| asked >= then);
        match self.expectations.get(name) {
            Some(Expectation::Recorded) => JobState::Create,
            Some(Expectation::Created(at)) if now.as_second() - at.as_second() < CACHE_LAG => JobState::Wait,
            // Where a Job was created or deleted, the cache of pods may be late, too: the answer brings them along.
            Some(Expectation::Created(at) | Expectation::Gone(at)) if !asked_since(at) => JobState::LiveRead,
            None if self.leading_for < LATE_WRITE => JobState::Wait,
            None if !self.live_reads.contains_key(name) => JobState::LiveRead,
            _ => JobState::Lost,
        }
    }

    /// Whether a Job is the owner's: by the UID of its controller, never by its name.
    pub(crate) fn owns(self, job: &Job) -> bool {
        let mut owners = job.owner_references().iter();
        owners.any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == self.owner_uid)
    }
}

/// How long a command may take where its step does not say: a day.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long a step's command may take.
pub(crate) fn timeout(step: &Step) -> Duration {
    step.timeout.as_deref().and_then(validation::duration).unwrap_or(DEFAULT_TIMEOUT)
}

/// The time after the first failed attempt of those that follow each other without end, in seconds; it doubles.
const FIRST_DELAY: i64 = 30;
/// The longest time between two such attempts, in seconds.
const LONGEST_DELAY: i64 = 3600;

/// The time between an attempt's failure and the next attempt, in seconds.
pub(crate) fn retry_delay(attempt: i64) -> i64 {
    let doublings = u32::try_from(attempt.clamp(1, 20) - 1).unwrap_or(0);
    FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY)
}

/// Whether a pod belongs to a Job, by the UID of its controller.
pub(crate) fn is_pod_of(pod: &Pod, job: &Job) -> bool {
    let mut owners = pod.owner_references().iter();
    owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == job.metadata.uid.as_ref())
}

/// How long after its grace a pod that was told to end counts as one that may still do something. A node that does not say
/// by then that it has ended is lost.
const NODE_LOST: Duration = Duration::from_secs(300);

/// Tells pods that may still act from those whose node does not answer any more. It has nothing to do with liveness probes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liveness<'a> {
    /// The pods that were told to end, by UID.
    pub(crate) ending: &'a BTreeMap<String, Ending>,
}

impl Liveness<'_> {
    /// True while a pod may still act: write to a store, or report its end.
    pub(crate) fn is_live(self, pod: &Pod) -> bool {
        matches!(phase(pod), "Pending" | "Running") && self.time_until_lost(pod).is_none_or(|left| !left.is_zero())
    }

    /// Whether the node of a pod that was told to end does not answer any more.
    pub(crate) fn is_on_lost_node(self, pod: &Pod) -> bool {
        matches!(phase(pod), "Pending" | "Running") && !self.is_live(pod)
    }

    /// How long a pod that was told to end is still waited for: what was left of its grace when this leader saw that first,
    /// and [`NODE_LOST`]; `None` where nobody told it to. The time of day is looked at once: one that is set later neither
    /// ends the wait for a pod that goes on nor prolongs it.
    pub(crate) fn time_until_lost(self, pod: &Pod) -> Option<Duration> {
        // It includes the grace.
        let gone_by = pod.metadata.deletion_timestamp.as_ref()?.0;
        let grace = pod.metadata.deletion_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let grace = Duration::from_secs(grace.unwrap_or_default());
        let Some(ending) = pod.metadata.uid.as_ref().and_then(|uid| self.ending.get(uid)) else {
            return Some(grace.saturating_add(NODE_LOST));
        };
        let left = Duration::try_from(gone_by.duration_since(ending.first_seen)).unwrap_or_default();
        Some(left.min(grace).saturating_add(NODE_LOST).saturating_sub(ending.seen_for))
    }
}

/// True once a Job is complete or failed.
pub(crate) fn job_has_ended(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// What is said of an attempt whose Job is not in the cache.
    fn state(expected: Option<Expectation>, leading_for: u64, asked: bool, now: i64) -> &'static str {
        let expectations = expected.map(|expected| ("train".to_owned(), expected)).into_iter().collect();
        let live_reads = asked.then(|| ("train".to_owned(), at(70))).into_iter().collect();
        let leading_for = Duration::from_secs(leading_for);
        let cluster = Cluster {
            owner_uid: Some("run"),
            jobs: &[],
            expectations: &expectations,
            leading_for,
            live_reads: &live_reads,
        };
        match cluster.job_state("train", at(now)) {
            JobState::Exists(_) => "exists",
            JobState::Create => "create",
            JobState::Wait => "wait",
            JobState::LiveRead => "read",
            JobState::Foreign => "foreign",
            JobState::Lost => "lost",
        }
    }

    #[test]
    fn a_job_is_lost_only_when_its_creation_can_no_longer_be_on_its_way() {
        let table = [
            // An earlier leader recorded the attempt: its request may land until the API server gives it up.
            (None, 0, false, 0, "wait"),
            (None, 59, false, 59, "wait"),
            (None, 60, false, 60, "read"),
            (None, 71, true, 71, "lost"),
            // This leader knows what it did.
            (Some(Expectation::Recorded), 0, false, 0, "create"),
            (Some(Expectation::Created(at(5))), 6, false, 6, "wait"),
            (Some(Expectation::Created(at(5))), 66, false, 66, "read"),
            (Some(Expectation::Created(at(5))), 71, true, 71, "lost"),
            (Some(Expectation::Gone(at(70))), 0, false, 70, "read"),
            (Some(Expectation::Gone(at(71))), 0, true, 71, "read"),
            (Some(Expectation::Gone(at(70))), 0, true, 70, "lost"),
        ];
        for (expected, leading_for, asked, now, is) in table {
            assert_eq!(state(expected, leading_for, asked, now), is, "{expected:?} {leading_for} {asked}");
        }
    }
}
