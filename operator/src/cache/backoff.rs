//! How long a watch that was interrupted waits before it is resumed.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// How long a watch must have worked before its next interruption counts as the first again.
const RECOVERY: Duration = Duration::from_secs(60);

/// Half a second, doubled at each interruption to half a minute. Without a random part: there is one leader, and what
/// it does must be the same whenever it is simulated.
#[derive(Debug)]
pub(super) struct WatchBackoff {
    next: Duration,
    interrupted: Option<Instant>,
}

impl Default for WatchBackoff {
    fn default() -> Self {
        Self { next: SHORTEST, interrupted: None }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(LONGEST);
        self.interrupted = Some(Instant::now());
        Some(delay)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        // One event is no recovery: a watch that brings one and breaks again must not come back at once for ever.
        if self.interrupted.is_none_or(|interrupted| interrupted.elapsed() >= RECOVERY) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_grows_until_the_watch_has_worked_for_a_minute() {
        let mut backoff = WatchBackoff::default();
        let mut next = || backoff.next().unwrap_or_default().as_millis();
        assert_eq!([next(), next(), next()], [500, 1000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(), Some(Duration::from_secs(4)));
        tokio::time::advance(RECOVERY).await;
        backoff.reset();
        assert_eq!(backoff.next(), Some(SHORTEST));
    }
}
