//! Retries requests to a store that is unavailable, with growing pauses, for as long as the operator's config allows.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use seatrial_core::contract::ExitCode;
use tokio::time::Instant;

use crate::error::AgentError;
use crate::pod::private::Private;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a store may refuse what only a person can change: long enough to correct a Secret or a policy, too short
/// to let a night pass before anyone hears why.
const REFUSED: Duration = Duration::from_secs(15 * 60);

/// How a request to a store failed.
pub(crate) enum Failure {
    /// The same request may succeed later.
    Outage(String),
    /// The same, after the request made more progress than any before it: the time limit begins again.
    Interrupted(String),
    /// The store refuses the request: that changes only if somebody corrects keys, a policy or a quota.
    Refused(String),
    /// The same request will always fail.
    Final(AgentError),
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::Final(error)
    }
}

/// How long outages are waited for, and where that is shown. The time is the limit in the pod's config, or, if that is
/// longer, as long as the work before the outage took: to give up would cost that time again.
pub(crate) struct Outages {
    limit: Duration,
    /// When the work began that would be lost by giving up.
    began: Instant,
    /// Where to show that an operation waits, and why.
    shown: Option<Private>,
    waiting: AtomicUsize,
    /// Since when operations wait without progress.
    since: Mutex<Option<Instant>>,
}

impl Outages {
    /// Whether operations have been waiting without progress for at least so long.
    pub(crate) fn lasts(&self, at_least: Duration) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= at_least)
    }

    fn set_since(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    pub(crate) fn new(seconds: u32, shown: Option<Private>) -> Self {
        Self {
            limit: Duration::from_secs(u64::from(seconds)),
            began: Instant::now(),
            shown,
            waiting: AtomicUsize::new(0),
            since: Mutex::new(None),
        }
    }

    /// Repeats a request until it succeeds, fails for good, or makes no progress for too long.
    pub(crate) async fn wait_out<T>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, AgentError> {
        let mut waiting: Option<Waiting<'_>> = None;
        let (mut since, mut refused_since): (Option<Instant>, Option<Instant>) = (None, None);
        let mut pause = FIRST_PAUSE;
        loop {
            let (error, is_refusal) = match attempt().await {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Refused(error)) => (error, true),
                Err(Failure::Outage(error)) => (error, false),
                Err(Failure::Interrupted(error)) => {
                    since = None;
                    self.set_since(Some(Instant::now()));
                    pause = FIRST_PAUSE;
                    (error, false)
                }
            };
            waiting.get_or_insert_with(|| Waiting::new(self)).show(&error);
            let now = Instant::now();
            let first = *since.get_or_insert(now);
            let (waited, limit) = (now - first, self.limit.max(first - self.began));
            let refused = if is_refusal { now - *refused_since.get_or_insert(now) } else { Duration::ZERO };
            if !is_refusal {
                refused_since = None;
            }
            let seconds = waited.as_secs();
            if is_refusal && (refused >= REFUSED || waited >= limit) {
                let seconds = refused.as_secs();
                let message = format!(
                    "{what}: the store refused it for {seconds} s: {error}; look at the Store, its credentials and the bucket's policy"
                );
                return Err(AgentError::new(ExitCode::StoreUnavailable, message));
            }
            if waited >= limit {
                let message = format!(
                    "{what}: the store could not be used for {seconds} s: {error}; look at the store, and at the Store's credentials"
                );
                return Err(AgentError::new(ExitCode::StoreUnavailable, message));
            }
            tracing::warn!(what, error, waited_seconds = seconds, "the store cannot be used; it is tried again");
            tokio::time::sleep(jittered(pause).min(limit.saturating_sub(waited))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// A random time between half the pause and the whole: clients that one outage stopped must not all return at the same moment.
fn jittered(pause: Duration) -> Duration {
    // Each `RandomState` has random keys, so that an empty hash of it is a random number.
    let random = RandomState::new().build_hasher().finish();
    let half = pause / 2;
    half + half.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

/// One operation that waits. As long as there is any, the pod shows that the store is unavailable.
struct Waiting<'a>(&'a Outages);

impl<'a> Waiting<'a> {
    fn new(outages: &'a Outages) -> Self {
        if outages.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            outages.set_since(Some(Instant::now()));
        }
        Self(outages)
    }

    /// Shows why it waits; the newest reason counts.
    fn show(&self, error: &str) {
        if let Some(private) = &self.0.shown {
            private.show_store_unavailable(error);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.set_since(None);
            if let Some(private) = &self.0.shown {
                private.show_store_available();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_shown_and_waited_out() {
        let folder = TempDir::new().unwrap();
        let private = Private::new(folder.path().to_path_buf());
        let outages = Outages::new(3600, Some(private.clone()));
        let mut seen = vec![];
        let done = outages
            .wait_out("x", async || {
                seen.push(private.store_unavailable());
                if seen.len() < 4 { Err(Failure::Outage(format!("away {}", seen.len()))) } else { Ok(7) }
            })
            .await;
        let expected = [None, Some("away 1"), Some("away 2"), Some("away 3")].map(|text| text.map(str::to_owned));
        assert_eq!((done, seen.as_slice(), private.store_unavailable()), (Ok(7), expected.as_slice(), None));
    }

    #[tokio::test]
    async fn an_outage_that_lasts_too_long_ends_with_its_own_code() {
        let outages = Outages::new(0, None);
        let done: Result<(), _> = outages.wait_out("x", async || Err(Failure::Outage("refused".into()))).await;
        let error = done.unwrap_err();
        assert_eq!(error.code, ExitCode::StoreUnavailable);
        assert!(error.message.contains("refused"), "{}", error.message);
    }

    async fn ends_after(limit: u32, mut failure: impl FnMut(Duration) -> Failure) -> (u64, AgentError) {
        let outages = Outages::new(limit, None);
        let began = Instant::now();
        let done: Result<(), _> = outages.wait_out("x", async || Err(failure(began.elapsed()))).await;
        (began.elapsed().as_secs(), done.unwrap_err())
    }

    /// Nobody comes back to a store that is away, but somebody must hear of one that says no.
    #[tokio::test(start_paused = true)]
    async fn refusals_are_waited_out_for_a_shorter_time_than_outages() {
        let six_hours = 6 * 3600;
        let (seconds, error) = ends_after(six_hours, |_| Failure::Refused("403 Forbidden, AccessDenied".into())).await;
        assert!((900..960).contains(&seconds), "{seconds}");
        assert_eq!(error.code, ExitCode::StoreUnavailable);
        assert!(error.message.contains("AccessDenied") && error.message.contains("policy"), "{}", error.message);
        let (seconds, _) = ends_after(six_hours, |_| Failure::Outage("away".into())).await;
        assert!((21_600..21_660).contains(&seconds), "{seconds}");
        let mixed = |after: Duration| {
            if after.as_secs() < 3600 { Failure::Outage("away".into()) } else { Failure::Refused("no".into()) }
        };
        let (seconds, _) = ends_after(six_hours, mixed).await;
        assert!((4500..4560).contains(&seconds), "{seconds}");
    }

    /// What counts is how long nothing came of it, not when it first failed; and what was done in the ten minutes before
    /// is worth ten more.
    #[tokio::test(start_paused = true)]
    async fn progress_sets_the_clock_back_and_earns_as_long_a_wait() {
        let moves = |after: Duration| {
            if after.as_secs() < 600 { Failure::Interrupted("broken".into()) } else { Failure::Outage("away".into()) }
        };
        let (seconds, _) = ends_after(30, moves).await;
        assert!((1180..1240).contains(&seconds), "{seconds}");
    }

    #[test]
    fn pauses_differ_within_their_bounds() {
        let pause = Duration::from_secs(10);
        let pauses: Vec<Duration> = (0..100).map(|_| jittered(pause)).collect();
        assert!(pauses.iter().all(|some| (pause / 2..=pause).contains(some)));
        assert!(pauses.iter().any(|some| some != &pauses[0]));
    }

    #[tokio::test]
    async fn what_cannot_be_helped_is_not_tried_again() {
        let outages = Outages::new(3600, None);
        let mut tries = 0;
        let done: Result<(), _> = outages
            .wait_out("x", async || {
                tries += 1;
                Err(AgentError::internal("no").into())
            })
            .await;
        assert_eq!((done.unwrap_err().code, tries), (ExitCode::Internal, 1));
    }
}
