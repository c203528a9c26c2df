//! What the operator remembers within its leadership of leadership, and only then: all of it may be lost at any moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use seatrial_core::observed::Sighting;
use seatrial_core::plan::{Kind, WriteFailure};

use crate::queue::object_key::ObjectKey;

/// How long a key waits for the caches to show what it created before it is planned all the same.
const CACHE_LAG: Duration = Duration::from_secs(5);

/// A created object that the caches must show before its creator is planned again.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    since: Instant,
}

#[derive(Debug, Default)]
struct Entry {
    sightings: BTreeMap<String, Sighting>,
    failures: Vec<WriteFailure>,
    expected: Vec<Expected>,
    confirmed: BTreeMap<String, Timestamp>,
    attempts: u32,
}

/// What became of a key's failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// After how long to try again; `None` where nothing failed.
    pub(crate) retry_after: Option<Duration>,
    /// Whether a failure of before is over: the plan that was just carried out did not know that yet.
    pub(crate) cleared: bool,
}

/// The expectations of a leadership.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    entries: Mutex<HashMap<ObjectKey, Entry>>,
}

impl Expectations {
    fn entries(&self) -> MutexGuard<'_, HashMap<ObjectKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, key: &ObjectKey, change: impl FnOnce(&mut Entry)) {
        change(self.entries().entry(key.clone()).or_default());
    }

    /// What is known of a run's Jobs; those that the cache shows now are noted as seen.
    pub(crate) fn sightings<'a>(
        &self,
        key: &ObjectKey,
        cached: impl Iterator<Item = &'a str>,
    ) -> BTreeMap<String, Sighting> {
        let mut entries = self.entries();
        let entry = entries.entry(key.clone()).or_default();
        entry.sightings.extend(cached.map(|name| (name.to_owned(), Sighting::Seen)));
        entry.sightings.clone()
    }

    /// A Job is about to be recorded.
    pub(crate) fn note_recorded(&self, key: &ObjectKey, job: &str) {
        self.change(key, |entry| {
            entry.sightings.entry(job.to_owned()).or_insert(Sighting::Recorded);
        });
    }

    /// The API server confirmed an object's creation.
    pub(crate) fn note_created(&self, key: &ObjectKey, kind: Kind, name: &str, now: Timestamp) {
        self.change(key, |entry| {
            if kind == Kind::Job {
                entry.sightings.insert(name.to_owned(), Sighting::Created(now));
            } else {
                entry.expected.push(Expected { kind, name: name.to_owned(), since: Instant::now() });
            }
        });
    }

    /// The API server was asked about a run's Job.
    pub(crate) fn note_confirmed(&self, key: &ObjectKey, job: &str, now: Timestamp) {
        self.change(key, |entry| {
            entry.confirmed.insert(job.to_owned(), now);
        });
    }

    /// When the API server was last asked about each of a run's Jobs.
    pub(crate) fn confirmed(&self, key: &ObjectKey) -> BTreeMap<String, Timestamp> {
        self.entries().get(key).map(|entry| entry.confirmed.clone()).unwrap_or_default()
    }

    /// Whether the caches lag behind what this key created; `shown` says whether they have an object.
    pub(crate) fn must_wait(&self, key: &ObjectKey, shown: impl Fn(Kind, &str) -> bool) -> bool {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key) else { return false };
        entry.expected.retain(|expected| expected.since.elapsed() < CACHE_LAG && !shown(expected.kind, &expected.name));
        !entry.expected.is_empty()
    }

    /// The writes that failed since they last succeeded.
    pub(crate) fn failures(&self, key: &ObjectKey) -> Vec<WriteFailure> {
        self.entries().get(key).map(|entry| entry.failures.clone()).unwrap_or_default()
    }

    /// A pass over a key has ended: what failed is known from now on. What went through, or is asked for no more, is
    /// forgotten; what was not tried (`untried`) stays as it was.
    pub(crate) fn settle(&self, key: &ObjectKey, failures: Vec<WriteFailure>, untried: &[(Kind, String)]) -> Settled {
        let mut entries = self.entries();
        if failures.is_empty() && !entries.contains_key(key) {
            return Settled::default();
        }
        let entry = entries.entry(key.clone()).or_default();
        let old = std::mem::take(&mut entry.failures);
        let again = |old: &WriteFailure| failures.iter().any(|new| (new.kind, &new.name) == (old.kind, &old.name));
        let (kept, cleared): (Vec<_>, Vec<_>) = old
            .into_iter()
            .filter(|old| !again(old))
            .partition(|old| untried.iter().any(|(kind, name)| (*kind, name) == (old.kind, &old.name)));
        let retry_after = if failures.is_empty() {
            entry.attempts = 0;
            None
        } else {
            Some(backoff(entry))
        };
        entry.failures = failures;
        entry.failures.extend(kept);
        Settled { retry_after, cleared: !cleared.is_empty() }
    }

    /// Something else failed, or someone wrote in between. Returns after how long to try again: from a second, doubled
    /// each time, to five minutes.
    pub(crate) fn note_trouble(&self, key: &ObjectKey) -> Duration {
        let mut delay = Duration::ZERO;
        self.change(key, |entry| delay = backoff(entry));
        delay
    }

    /// The object is gone or has ended: nothing about it is worth remembering.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.entries().remove(key);
    }
}

fn backoff(entry: &mut Entry) -> Duration {
    let delay = Duration::from_secs(1 << entry.attempts.min(9)).min(Duration::from_secs(300));
    entry.attempts = entry.attempts.saturating_add(1);
    delay
}

#[cfg(test)]
mod tests {
    use seatrial_core::plan::FailureReason;

    use super::*;
    use crate::queue::object_key::Primary;

    fn key() -> ObjectKey {
        ObjectKey { kind: Primary::Run, namespace: "ns".into(), name: "run".into() }
    }

    fn failure(name: &str) -> WriteFailure {
        WriteFailure { kind: Kind::Job, name: name.into(), reason: FailureReason::Refused, message: String::new() }
    }

    fn names(expectations: &Expectations) -> Vec<String> {
        expectations.failures(&key()).into_iter().map(|failure| failure.name).collect()
    }

    #[test]
    fn failures_back_off_and_success_forgets_them() {
        let expectations = Expectations::default();
        let fail = || expectations.settle(&key(), vec![failure("job")], &[]).retry_after.unwrap().as_secs();
        let delays: Vec<_> = (0..12).map(|_| fail()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(names(&expectations), ["job"]);
        assert_eq!(expectations.settle(&key(), vec![], &[]), Settled { retry_after: None, cleared: true });
        assert_eq!((names(&expectations).len(), fail()), (0, 1));
    }

    #[test]
    fn all_failures_of_a_pass_are_known_and_only_what_went_through_is_forgotten() {
        let expectations = Expectations::default();
        expectations.settle(&key(), vec![failure("a"), failure("b"), failure("c")], &[]);
        // This time b goes through, a fails again, and c was not tried after that.
        let settled = expectations.settle(&key(), vec![failure("a")], &[(Kind::Job, "c".into())]);
        assert_eq!((names(&expectations), settled.cleared), (vec!["a".into(), "c".into()], true));
        // What no plan asks for any more does not stand there for ever.
        expectations.settle(&key(), vec![failure("c")], &[]);
        assert_eq!(names(&expectations), ["c"]);
    }

    #[test]
    fn a_recorded_job_is_known_before_it_is_created_and_after_it_was_seen() {
        let expectations = Expectations::default();
        expectations.note_recorded(&key(), "job");
        assert_eq!(expectations.sightings(&key(), std::iter::empty())["job"], Sighting::Recorded);
        expectations.note_created(&key(), Kind::Job, "job", Timestamp::UNIX_EPOCH);
        assert_eq!(expectations.sightings(&key(), std::iter::empty())["job"], Sighting::Created(Timestamp::UNIX_EPOCH));
        assert_eq!(expectations.sightings(&key(), std::iter::once("job"))["job"], Sighting::Seen);
        assert_eq!(expectations.sightings(&key(), std::iter::empty())["job"], Sighting::Seen);
    }

    #[test]
    fn a_key_waits_until_the_caches_show_what_it_created() {
        let expectations = Expectations::default();
        expectations.note_created(&key(), Kind::Version, "churn-v1", Timestamp::UNIX_EPOCH);
        assert!(expectations.must_wait(&key(), |_, _| false));
        assert!(!expectations.must_wait(&key(), |kind, name| (kind, name) == (Kind::Version, "churn-v1")));
        assert!(!expectations.must_wait(&key(), |_, _| false), "what was shown once is no longer expected");
    }
}
