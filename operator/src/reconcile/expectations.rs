//! What this leader did and the caches do not show yet, and which writes wait. All of it is lost with the leadership: a
//! plan that a new leader makes from a fresh list needs none of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use seatrial_core::observed::{Ending, Expectation, ProbeReport, RefusalReport};
use seatrial_core::plan::{Blocked, Kind, LONGEST_BLOCK};
use tokio::time::Instant;

use crate::api_client::execute::{FailureReason, WriteFailure};
use crate::queue::object_key::ObjectKey;

/// How long a key waits until the caches show what it created. After that it is planned even if they do not.
const CACHE_LAG: Duration = Duration::from_secs(5);
/// The longest time after which a key whose plans fail otherwise is planned again.
const LONGEST_REQUEUE: Duration = Duration::from_secs(300);

/// A created object that the caches must show before its creator is planned again.
#[derive(Clone, Debug)]
struct Created {
    kind: Kind,
    name: String,
    since: Instant,
}

/// A write that waits, and how often it failed.
#[derive(Clone, Debug)]
struct BlockedWrite {
    blocked: Blocked,
    failures: u32,
}

#[derive(Debug, Default)]
struct Entry {
    jobs: BTreeMap<String, Expectation>,
    blocked: Vec<BlockedWrite>,
    created: Vec<Created>,
    live_reads: BTreeMap<String, Timestamp>,
    probes: BTreeMap<String, ProbeReport>,
    refusals: BTreeMap<String, RefusalReport>,
    ending: BTreeMap<String, (Timestamp, Instant)>,
    without_pod: BTreeMap<String, Instant>,
    failures: u32,
}

/// What became of a key's writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// After how long to try again; `None` where nothing failed.
    pub(crate) retry_after: Option<Duration>,
    /// Whether a write is blocked no more: the plan that was just executed did not know that yet.
    pub(crate) cleared: bool,
}

/// The expectations of a leadership, by key.
#[derive(Debug)]
pub(crate) struct Expectations {
    began: Instant,
    entries: Mutex<HashMap<ObjectKey, Entry>>,
}

impl Expectations {
    /// Those of a leadership that begins now.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), entries: Mutex::default() }
    }

    /// For how long this leadership has lasted. A clock that is set does not change it.
    pub(crate) fn leading_for(&self) -> Duration {
        self.began.elapsed()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<ObjectKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, key: &ObjectKey, change: impl FnOnce(&mut Entry)) {
        change(self.entries().entry(key.clone()).or_default());
    }

    /// What is expected of an object's Jobs. Those that the cache shows now, and that nobody deletes, are noted as observed,
    /// and those that it showed before, as gone.
    pub(crate) fn of_jobs<'a>(
        &self,
        key: &ObjectKey,
        cached: impl Iterator<Item = &'a Job>,
        now: Timestamp,
    ) -> BTreeMap<String, Expectation> {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        let is_going = |job: &&Job| job.metadata.deletion_timestamp.is_some();
        let (going, shown): (Vec<&Job>, Vec<&Job>) = cached.partition(is_going);
        let names = |jobs: &[&'a Job]| jobs.iter().filter_map(|job| job.metadata.name.as_deref()).collect();
        let (going, shown): (BTreeSet<&str>, BTreeSet<&str>) = (names(&going), names(&shown));
        for (name, expectation) in &mut entry.jobs {
            let is_gone = *expectation == Expectation::Observed && !shown.contains(name.as_str());
            let is_going = !matches!(expectation, Expectation::Gone(_)) && going.contains(name.as_str());
            if is_gone || is_going {
                *expectation = Expectation::Gone(now);
            }
        }
        for name in going {
            entry.jobs.entry(name.to_owned()).or_insert(Expectation::Gone(now));
        }
        for name in shown {
            if entry.jobs.get(name) != Some(&Expectation::Observed) {
                entry.jobs.insert(name.to_owned(), Expectation::Observed);
            }
        }
        entry.jobs.clone()
    }

    /// A Job is about to be recorded. Returns whether nothing was expected of it before.
    pub(crate) fn note_recorded(&self, key: &ObjectKey, job: &str) -> bool {
        let mut entries = self.entries();
        let jobs = &mut entries.entry(key.clone()).or_default().jobs;
        let is_new = !jobs.contains_key(job);
        if is_new {
            jobs.insert(job.to_owned(), Expectation::Recorded);
        }
        is_new
    }

    /// The API server refused the record of Jobs. Where it has them all the same, another leader recorded them, and knows
    /// what came of them.
    pub(crate) fn withdraw_recorded(&self, key: &ObjectKey, jobs: &[String]) {
        self.change(key, |entry| entry.jobs.retain(|job, _| !jobs.contains(job)));
    }

    /// The API server confirmed an object's creation.
    pub(crate) fn note_created(&self, key: &ObjectKey, kind: Kind, name: &str, now: Timestamp) {
        self.change(key, |entry| {
            if kind == Kind::Job {
                entry.jobs.insert(name.to_owned(), Expectation::Created(now));
            } else {
                entry.created.push(Created { kind, name: name.to_owned(), since: Instant::now() });
            }
        });
    }

    /// The API server was asked about a run's Job.
    pub(crate) fn note_live_read(&self, key: &ObjectKey, job: &str, now: Timestamp) {
        self.change(key, |entry| {
            entry.live_reads.insert(job.to_owned(), now);
        });
    }

    /// When the API server was last asked about each of a run's Jobs.
    pub(crate) fn live_reads(&self, key: &ObjectKey) -> BTreeMap<String, Timestamp> {
        self.entries().get(key).map(|entry| entry.live_reads.clone()).unwrap_or_default()
    }

    /// What this leader knows of the pods of a run that were told to end, by UID. Others are forgotten.
    pub(crate) fn ending(&self, key: &ObjectKey, pods: &[&str], now: Timestamp) -> BTreeMap<String, Ending> {
        let mut entries = self.entries();
        if pods.is_empty() && !entries.contains_key(key) {
            return BTreeMap::new();
        }
        let ending = &mut entries.entry(key.clone()).or_default().ending;
        ending.retain(|uid, _| pods.contains(&uid.as_str()));
        for uid in pods {
            ending.entry((*uid).to_owned()).or_insert_with(|| (now, Instant::now()));
        }
        let known =
            |(first_seen, since): &(Timestamp, Instant)| Ending { first_seen: *first_seen, seen_for: since.elapsed() };
        ending.iter().map(|(uid, one)| (uid.clone(), known(one))).collect()
    }

    /// For how long this leader has seen each of these Jobs of a run without a pod, by UID. Others are forgotten.
    pub(crate) fn without_pod_for(&self, key: &ObjectKey, jobs: &[&str]) -> BTreeMap<String, Duration> {
        let mut entries = self.entries();
        if jobs.is_empty() && !entries.contains_key(key) {
            return BTreeMap::new();
        }
        let without = &mut entries.entry(key.clone()).or_default().without_pod;
        without.retain(|uid, _| jobs.contains(&uid.as_str()));
        for uid in jobs {
            without.entry((*uid).to_owned()).or_insert_with(Instant::now);
        }
        without.iter().map(|(uid, since)| (uid.clone(), since.elapsed())).collect()
    }

    /// The API server was asked about the pods of a Job that could not be created.
    pub(crate) fn note_refusal(&self, key: &ObjectKey, job_uid: &str, report: RefusalReport) {
        self.change(key, |entry| {
            entry.refusals.insert(job_uid.to_owned(), report);
        });
    }

    /// What was read of the pods of a run's Jobs that could not be created. Those of other Jobs are forgotten.
    pub(crate) fn refusals(&self, key: &ObjectKey, exists: impl Fn(&str) -> bool) -> BTreeMap<String, RefusalReport> {
        self.entries().get_mut(key).map(|entry| kept(&mut entry.refusals, exists)).unwrap_or_default()
    }

    /// The API server was asked about a probe of a pod.
    pub(crate) fn note_probe(&self, key: &ObjectKey, pod_uid: &str, report: ProbeReport) {
        self.change(key, |entry| {
            entry.probes.insert(pod_uid.to_owned(), report);
        });
    }

    /// What was read of the probes of an object's pods. Those of other pods are forgotten.
    pub(crate) fn probes(&self, key: &ObjectKey, exists: impl Fn(&str) -> bool) -> BTreeMap<String, ProbeReport> {
        self.entries().get_mut(key).map(|entry| kept(&mut entry.probes, exists)).unwrap_or_default()
    }

    /// Whether the caches lag behind what this key created; `shown` says whether they have an object.
    pub(crate) fn must_wait(&self, key: &ObjectKey, shown: impl Fn(Kind, &str) -> bool) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key) else { return false };
        entry.created.retain(|created| created.since.elapsed() < CACHE_LAG && !shown(created.kind, &created.name));
        !entry.created.is_empty()
    }

    /// The writes that failed since they last succeeded, and until when each waits.
    pub(crate) fn blocked(&self, key: &ObjectKey) -> Vec<Blocked> {
        let entries = self.entries();
        entries.get(key).into_iter().flat_map(|entry| &entry.blocked).map(|write| write.blocked.clone()).collect()
    }

    /// The plan of a key was executed. Failed writes are blocked from now on, each until its own time. What went
    /// through, or is asked for no more, is forgotten; what was not tried (`untried`) stays as it was.
    pub(crate) fn settle(
        &self,
        key: &ObjectKey,
        failures: Vec<WriteFailure>,
        untried: &[(Kind, String)],
        now: Timestamp,
    ) -> Settled {
        let mut entries = self.entries();
        if failures.is_empty() && !entries.contains_key(key) {
            return Settled::default();
        }
        let entry = entries.entry(key.clone()).or_default();
        let old = std::mem::take(&mut entry.blocked);
        let mut delays = vec![];
        let mut conflict = false;
        for WriteFailure { kind, name, reason, message } in failures {
            let FailureReason::Blocked(reason) = reason else {
                conflict = true;
                continue;
            };
            let before = old.iter().find(|old| (old.blocked.kind, &old.blocked.name) == (kind, &name));
            let failures = before.map_or(0, |before| before.failures);
            let delay = doubled(failures, LONGEST_BLOCK);
            delays.push(delay);
            let until = now.checked_add(delay).unwrap_or(now);
            let blocked = Blocked { kind, name, reason, message, until };
            entry.blocked.push(BlockedWrite { blocked, failures: failures.saturating_add(1) });
        }
        if conflict {
            delays.push(doubled(entry.failures, LONGEST_REQUEUE));
            entry.failures = entry.failures.saturating_add(1);
        } else {
            entry.failures = 0;
        }
        let same = |a: &Blocked, kind: Kind, name: &str| (a.kind, a.name.as_str()) == (kind, name);
        let (kept, cleared): (Vec<_>, Vec<_>) = old
            .into_iter()
            .filter(|old| !entry.blocked.iter().any(|new| same(&new.blocked, old.blocked.kind, &old.blocked.name)))
            .partition(|old| untried.iter().any(|(kind, name)| same(&old.blocked, *kind, name)));
        entry.blocked.extend(kept);
        Settled { retry_after: delays.into_iter().min(), cleared: !cleared.is_empty() }
    }

    /// Something else failed, or someone wrote in between. Returns after how long to try again: from a second, doubled
    /// each time, to five minutes.
    pub(crate) fn note_trouble(&self, key: &ObjectKey) -> Duration {
        let mut delay = Duration::ZERO;
        self.change(key, |entry| {
            delay = doubled(entry.failures, LONGEST_REQUEUE);
            entry.failures = entry.failures.saturating_add(1);
        });
        delay
    }

    /// The object is gone or has ended: nothing about it is worth remembering.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.entries().remove(key);
    }
}

/// The reports about objects that still exist, by UID; the others are forgotten.
fn kept<T: Clone>(reports: &mut BTreeMap<String, T>, exists: impl Fn(&str) -> bool) -> BTreeMap<String, T> {
    reports.retain(|uid, _| exists(uid));
    reports.clone()
}

/// A second, doubled after each failure.
fn doubled(failures: u32, longest: Duration) -> Duration {
    Duration::from_secs(1 << failures.min(9)).min(longest)
}

#[cfg(test)]
mod tests {
    use seatrial_core::plan::BlockedReason;

    use super::*;
    use crate::queue::object_key::Primary;

    fn key() -> ObjectKey {
        ObjectKey { kind: Primary::Run, namespace: "ns".into(), name: "run".into() }
    }

    fn failure(name: &str) -> WriteFailure {
        WriteFailure {
            kind: Kind::Job,
            name: name.into(),
            reason: FailureReason::Blocked(BlockedReason::Refused),
            message: String::new(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn names(expectations: &Expectations) -> Vec<String> {
        expectations.blocked(&key()).into_iter().map(|blocked| blocked.name).collect()
    }

    #[test]
    fn failures_back_off_and_success_forgets_them() {
        let expectations = Expectations::new();
        let fail = || expectations.settle(&key(), vec![failure("job")], &[], at(0)).retry_after.unwrap().as_secs();
        let delays: Vec<_> = (0..12).map(|_| fail()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]);
        assert_eq!(names(&expectations), ["job"]);
        assert_eq!(expectations.settle(&key(), vec![], &[], at(0)), Settled { retry_after: None, cleared: true });
        assert_eq!((names(&expectations).len(), fail()), (0, 1));
    }

    #[test]
    fn all_failures_of_a_pass_are_known_and_only_what_went_through_is_forgotten() {
        let expectations = Expectations::new();
        expectations.settle(&key(), vec![failure("a"), failure("b"), failure("c")], &[], at(0));
        // This time b goes through, a fails again, and c was not tried after that.
        let settled = expectations.settle(&key(), vec![failure("a")], &[(Kind::Job, "c".into())], at(0));
        assert_eq!((names(&expectations), settled.cleared), (vec!["a".into(), "c".into()], true));
        // What no plan asks for any more does not stand there for ever.
        expectations.settle(&key(), vec![failure("c")], &[], at(0));
        assert_eq!(names(&expectations), ["c"]);
    }

    fn job(is_going: bool) -> Job {
        let mut job = Job::default();
        job.metadata.name = Some("job".to_owned());
        job.metadata.deletion_timestamp = is_going.then(|| seatrial_crds::Time(at(0)));
        job
    }

    #[test]
    fn a_recorded_job_is_known_from_its_record_until_it_is_gone() {
        let expectations = Expectations::new();
        let expected = |cached: Option<&Job>, now: i64| {
            expectations.of_jobs(&key(), cached.into_iter(), at(now)).get("job").copied()
        };
        assert!(expectations.note_recorded(&key(), "job"));
        assert!(!expectations.note_recorded(&key(), "job"), "it was recorded before");
        assert_eq!(expected(None, 1), Some(Expectation::Recorded));
        expectations.note_created(&key(), Kind::Job, "job", at(2));
        assert_eq!(expected(None, 3), Some(Expectation::Created(at(2))));
        let (shown, going) = (job(false), job(true));
        assert_eq!(expected(Some(&shown), 4), Some(Expectation::Observed));
        assert_eq!(expected(Some(&going), 5), Some(Expectation::Gone(at(5))));
        assert_eq!(expected(None, 6), Some(Expectation::Gone(at(5))));
        // A live read brought it back.
        assert_eq!(expected(Some(&shown), 7), Some(Expectation::Observed));
        assert_eq!(expected(None, 8), Some(Expectation::Gone(at(8))));
        // A new leader sees a Job first while it goes.
        let expectations = Expectations::new();
        let gone = expectations.of_jobs(&key(), std::iter::once(&going), at(9));
        assert_eq!(gone["job"], Expectation::Gone(at(9)));
    }

    #[test]
    fn what_another_leader_recorded_is_not_this_leaders() {
        let expectations = Expectations::new();
        expectations.note_recorded(&key(), "job");
        expectations.withdraw_recorded(&key(), &["job".to_owned()]);
        assert_eq!(expectations.of_jobs(&key(), std::iter::empty(), at(0)).get("job"), None);
    }

    #[test]
    fn a_key_waits_until_the_caches_show_what_it_created() {
        let expectations = Expectations::new();
        expectations.note_created(&key(), Kind::Version, "churn-v1", Timestamp::UNIX_EPOCH);
        assert!(expectations.must_wait(&key(), |_, _| false));
        assert!(!expectations.must_wait(&key(), |kind, name| (kind, name) == (Kind::Version, "churn-v1")));
        assert!(!expectations.must_wait(&key(), |_, _| false), "what was shown once is no longer expected");
    }
}
