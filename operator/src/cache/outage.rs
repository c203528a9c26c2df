//! How long a watch has failed: its cache grows old, and a leader must not decide on it for ever.

use std::time::Duration;

use tokio::time::Instant;

/// After how long a leader gives the lease up because a watch fails: another replica may reach the API server.
pub(super) const LIMIT: Duration = Duration::from_secs(300);
/// Two failures that are further apart are two outages: a watch that fails is tried again within half a minute, and
/// each try ends within another.
const APART: Duration = Duration::from_secs(90);

/// An outage of a watch. That the API server takes a watch again is not seen before its next event; that it refuses one
/// is seen at each try. So an outage goes on as long as failures follow each other.
#[derive(Debug, Default)]
pub(super) struct Outage {
    failures: Option<(Instant, Instant)>,
}

impl Outage {
    /// The watch failed now. Returns for how long it has.
    pub(super) fn fail(&mut self, now: Instant) -> Duration {
        let first = match self.failures {
            Some((first, last)) if now.duration_since(last) <= APART => first,
            _ => now,
        };
        self.failures = Some((first, now));
        now.duration_since(first)
    }

    /// The watch brought something.
    pub(super) fn end(&mut self) {
        self.failures = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_while_failures_follow_each_other() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut outage = Outage::default();
        let lasts: Vec<_> = [0, 30, 90, 150].map(|second| outage.fail(at(second)).as_secs()).into();
        assert_eq!(lasts, [0, 30, 90, 150]);
        assert_eq!(outage.fail(at(600)).as_secs(), 0, "it worked in between, though no event came");
        outage.end();
        assert_eq!(outage.fail(at(610)).as_secs(), 0);
    }
}
