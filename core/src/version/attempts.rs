//! Attempts at one thing that a version needs (a measurement, an evaluation of the champion), each recorded before its Job is
//! created.
//!
//! A version does one thing at a time. A key names the thing; attempts with another key do not count. After a failure another
//! attempt follows, after a pause that doubles up to an hour. There is no last attempt, since stores and quotas recover.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::ResourceExt;
use seatrial_crds::{Measuring, ModelVersionStatus, Time, limits};

use crate::attempt::reading::Reading;
use crate::attempt::report::has_ended_well;
use crate::attempt::{Cluster, JobState, is_pod_of, job_has_ended, retry_delay};
use crate::observed::VersionObserved;
use crate::plan::{Kind, LiveRead, Object, Stage, Write};
use crate::pod_state::terminated;
use crate::pods::JUDGE;
use crate::stores::StoreProblem;
use crate::text;

/// How soon to look again where time must decide.
const SOON: Duration = Duration::from_secs(5);
/// How soon to look again while a Job goes on: its pod may wait for what makes no event.
const JOB_WAIT: Duration = Duration::from_secs(60);
/// How soon to look again where a store is missing.
const STORE_WAIT: Duration = Duration::from_secs(30);
/// The largest number of an attempt.
const MOST: i64 = 1000;

/// What is to be done so that a version is judged.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The writes.
    pub(super) stages: Vec<Stage>,
    /// What the API server is asked.
    pub(super) live_reads: Vec<LiveRead>,
    /// When to look again even if nothing changes.
    pub(super) requeue_after: Option<Duration>,
    /// The Job of the attempt under way.
    job: Option<String>,
}

impl Progress {
    /// Whether an attempt goes on, or another will.
    pub(super) const fn is_under_way(&self) -> bool {
        self.job.is_some()
    }
}

/// The words of messages about attempts.
pub(super) struct Words {
    /// Whom something is done to.
    pub(super) subject: String,
    /// `is` or `are`.
    pub(super) be: &'static str,
    /// What is done, as a participle.
    pub(super) done: &'static str,
}

impl Words {
    fn under_way(&self, attempt: i64) -> String {
        let Self { subject, be, done } = self;
        match attempt {
            1 => format!("{subject} {be} being {done}"),
            number => format!("{subject} {be} being {done} (attempt {number})"),
        }
    }

    fn waiting(&self, problem: &impl std::fmt::Display) -> String {
        format!("{} cannot be {} yet: {problem}", self.subject, self.done)
    }
}

/// How attempts stand.
pub(super) enum Attempted<T> {
    /// One goes on, or will; the sentence says how it stands.
    Pending(String),
    /// Several failed, and there will be more; the sentence says why.
    Failing(String),
    /// One came to an end.
    Ended(T),
}

/// Attempts at one thing.
pub(super) struct Attempts<'a, T> {
    pub(super) observed: &'a VersionObserved,
    pub(super) now: Timestamp,
    /// Names what is done.
    pub(super) key: &'a str,
    /// The number of the first attempt.
    pub(super) first: i64,
    pub(super) words: Words,
    /// The Job's name, by the version's UID and the attempt's number.
    pub(super) name: &'a dyn Fn(&str, i64) -> String,
    /// The Job, by its name and the attempt's number.
    pub(super) build: &'a dyn Fn(&str, i64) -> Result<Job, StoreProblem>,
    /// What is seen of the Job.
    pub(super) read: &'a dyn Fn(&Job) -> Reading<T>,
}

impl<T> Attempts<'_, T> {
    /// Goes on with the newest attempt, or begins one.
    pub(super) fn go_on(&self, status: &mut ModelVersionStatus, progress: &mut Progress) -> Attempted<T> {
        let before = status.measuring.clone().filter(|measuring| measuring.key == self.key);
        let number = match &before {
            None => self.first.min(MOST),
            Some(Measuring { attempt, failure: Some(failure), failed_at, .. }) => {
                let next = failed_at.as_ref().map_or(0, |at| at.0.as_second() + retry_delay(*attempt));
                let left = next - self.now.as_second();
                if left > 0 {
                    progress.requeue_after = Some(Duration::from_secs(left.unsigned_abs()));
                    return self.failed(*attempt, failure);
                }
                attempt.saturating_add(1).min(MOST)
            }
            Some(measuring) => measuring.attempt,
        };
        let uid = self.observed.version.metadata.uid.clone().unwrap_or_default();
        let name = (self.name)(&uid, number);
        progress.job = Some(name.clone());
        if before.as_ref().is_none_or(|before| before.attempt != number) {
            let created = self.create(&name, number, progress);
            if created.is_ok() {
                let key = self.key.to_owned();
                status.measuring = Some(Measuring { key, attempt: number, failure: None, failed_at: None });
            }
            return Attempted::Pending(created.unwrap_or_else(|waits| waits));
        }
        let pending = || Attempted::Pending(self.words.under_way(number));
        let mut failure = match cluster(self.observed).job_state(&name, self.now) {
            JobState::Exists(found) => match (self.read)(found) {
                Reading::Running(held) => {
                    progress.requeue_after = Some(JOB_WAIT);
                    return held.map_or_else(pending, Attempted::Pending);
                }
                Reading::LiveRead => {
                    progress.live_reads.push(LiveRead::Job(name));
                    progress.requeue_after = Some(SOON);
                    return pending();
                }
                Reading::Ended(found) => {
                    status.measuring = None;
                    progress.job = None;
                    return Attempted::Ended(found);
                }
                Reading::Failed(why) => why,
            },
            JobState::Create => {
                let created = self.create(&name, number, progress);
                if created.is_ok() {
                    progress.requeue_after = Some(SOON);
                }
                let refused = created.is_ok().then(|| self.refused(&name)).flatten();
                return Attempted::Pending(refused.unwrap_or_else(|| created.unwrap_or_else(|waits| waits)));
            }
            JobState::Wait => {
                progress.requeue_after = Some(SOON);
                return pending();
            }
            JobState::LiveRead => {
                progress.live_reads.push(LiveRead::Job(name));
                return pending();
            }
            JobState::Foreign => format!("another object has the name of the Job \"{name}\": delete it"),
            JobState::Lost => format!("its Job \"{name}\" is gone"),
        };
        text::truncate(&mut failure, limits::SENTENCE);
        let attempted = self.failed(number, &failure);
        let (key, failed_at) = (self.key.to_owned(), Some(Time(self.now)));
        status.measuring = Some(Measuring { key, attempt: number, failure: Some(failure), failed_at });
        progress.requeue_after = Some(Duration::from_secs(retry_delay(number).unsigned_abs()));
        attempted
    }

    /// Has the Job created, or says what it waits for.
    fn create(&self, name: &str, number: i64, progress: &mut Progress) -> Result<String, String> {
        match (self.build)(name, number) {
            Ok(job) => {
                progress.stages.push(Stage::proceed(vec![Write::Create(Object::Job(Box::new(job)))]));
                Ok(self.words.under_way(number))
            }
            Err(problem) => {
                progress.requeue_after = Some(STORE_WAIT);
                Err(self.words.waiting(&problem))
            }
        }
    }

    /// How attempts stand after one failed: some more are worth waiting for.
    fn failed(&self, number: i64, failure: &str) -> Attempted<T> {
        let Words { subject, done, .. } = &self.words;
        if number < i64::from(limits::MEASURING_ATTEMPTS) {
            Attempted::Pending(format!("{subject} could not be {done} and will be tried again: {failure}"))
        } else {
            Attempted::Failing(format!("{subject} could not be {done}; it is tried every hour: {failure}"))
        }
    }

    /// Why the API server refused the Job, if it did.
    fn refused(&self, name: &str) -> Option<String> {
        let mut blocked = self.observed.blocked.iter();
        let blocked = blocked.find(|blocked| blocked.kind == Kind::Job && blocked.name == name)?;
        Some(self.words.waiting(&format!("its Job cannot be created: {}", blocked.message)))
    }
}

/// What is known of the version's Jobs.
fn cluster(observed: &VersionObserved) -> Cluster<'_> {
    Cluster {
        owner_uid: observed.version.metadata.uid.as_deref(),
        jobs: &observed.jobs,
        expectations: &observed.expectations,
        leading_for: observed.leading_for,
        live_reads: &observed.live_reads,
    }
}

/// Deletes Jobs of the version under way that no attempt names: something else is asked for, or nothing. A Job whose work has
/// ended well is about to end by itself; one whose pod came to grief starts another.
pub(super) fn stop_strays(observed: &VersionObserved, progress: &mut Progress) {
    let is_done = |pod: &Pod| has_ended_well(pod) || terminated(pod, JUDGE).is_some_and(|end| end.exit_code == 0);
    let stray = |job: &&Job| {
        cluster(observed).owns(job)
            && job.metadata.deletion_timestamp.is_none()
            && !job_has_ended(job)
            && job.metadata.name != progress.job
            && !observed.pods.iter().any(|pod| is_pod_of(pod, job) && is_done(pod))
    };
    let writes: Vec<Write> = observed
        .jobs
        .iter()
        .map(AsRef::as_ref)
        .filter(stray)
        .filter_map(|job| Some(Write::Delete { kind: Kind::Job, name: job.name_any(), uid: job.metadata.uid.clone()? }))
        .collect();
    if !writes.is_empty() {
        progress.stages.insert(0, Stage::proceed(writes));
    }
}
