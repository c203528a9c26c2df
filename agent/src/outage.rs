//! Outages of stores: tried again with growing pauses, for as long as the operator said.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use seatrial_core::contract::ExitCode;

use crate::error::AgentError;

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What an attempt at a store came to.
pub(crate) enum Failure {
    /// Later may be different.
    Outage(String),
    /// It will not.
    Final(AgentError),
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::Final(error)
    }
}

/// How long outages are waited out, and who is told of them.
pub(crate) struct Outages {
    limit: Duration,
    /// Exists while any operation waits.
    flag: Option<PathBuf>,
    waiting: AtomicUsize,
}

impl Outages {
    pub(crate) fn new(seconds: u32, flag: Option<PathBuf>) -> Self {
        Self { limit: Duration::from_secs(u64::from(seconds)), flag, waiting: AtomicUsize::new(0) }
    }

    /// Does it until it succeeds, fails for good, or has failed for too long.
    pub(crate) async fn wait_out<T>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, AgentError> {
        let mut since: Option<(Instant, Waiting<'_>)> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Outage(error)) => error,
            };
            let (began, _) = since.get_or_insert_with(|| (Instant::now(), Waiting::new(self)));
            let waited = began.elapsed();
            if waited >= self.limit {
                let message = format!(
                    "{what}: the store could not be used for {} s: {error}; look at the store, and at the Store's credentials",
                    self.limit.as_secs()
                );
                return Err(AgentError::new(ExitCode::StoreUnavailable, message));
            }
            tracing::warn!(
                what,
                error,
                waited_seconds = waited.as_secs(),
                "the store cannot be used; it is tried again"
            );
            tokio::time::sleep(pause.min(self.limit.saturating_sub(waited))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// One operation that waits. The flag is there as long as any does.
struct Waiting<'a>(&'a Outages);

impl<'a> Waiting<'a> {
    fn new(outages: &'a Outages) -> Self {
        if outages.waiting.fetch_add(1, Ordering::Relaxed) == 0
            && let Some(flag) = &outages.flag
            && let Err(error) = std::fs::write(flag, "")
        {
            tracing::warn!(%error, "the outage cannot be shown");
        }
        Self(outages)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(flag) = &self.0.flag
        {
            let _ = std::fs::remove_file(flag);
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
        let flag = folder.path().join("away");
        let outages = Outages::new(3600, Some(flag.clone()));
        let mut seen = vec![];
        let done = outages
            .wait_out("x", async || {
                seen.push(flag.exists());
                if seen.len() < 4 { Err(Failure::Outage("away".into())) } else { Ok(7) }
            })
            .await;
        assert_eq!((done, seen, flag.exists()), (Ok(7), vec![false, true, true, true], false));
    }

    #[tokio::test]
    async fn an_outage_that_lasts_too_long_ends_with_its_own_code() {
        let outages = Outages::new(0, None);
        let done: Result<(), _> = outages.wait_out("x", async || Err(Failure::Outage("refused".into()))).await;
        let error = done.unwrap_err();
        assert_eq!(error.code, ExitCode::StoreUnavailable);
        assert!(error.message.contains("refused"), "{}", error.message);
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
