//! Waits for conditions, with deadlines of the simulated clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::{Api, Store};

/// Waits until the objects are so, at most so long. Says whether they are.
pub async fn wait_until(api: &Api, limit: Duration, mut condition: impl FnMut(&Store) -> bool) -> bool {
    let deadline = Instant::now() + limit;
    let mut changes = api.changes();
    loop {
        changes.mark_unchanged();
        if api.look(&mut condition) {
            return true;
        }
        tokio::select! {
            biased;
            () = changes.changed() => {}
            () = tokio::time::sleep_until(deadline) => return false,
        }
    }
}

/// Waits until nothing but leases has changed for a while, at most so long. Says whether that came.
pub async fn wait_until_still(api: &Api, still_for: Duration, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        let version = api.look(Store::version_without_leases);
        if !wait_until(api, still_for, |store| store.version_without_leases() != version).await {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_a_wait_and_a_deadline_does() {
        let api = Api::new(Timestamp::UNIX_EPOCH, None);
        let began = Instant::now();
        let later = api.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(began + Duration::from_secs(5)).await;
            later.add_namespace("late");
        });
        let has_come = |store: &Store| store.of_kind("Namespace").count() == 2;
        assert!(!wait_until(&api, Duration::from_secs(4), has_come).await);
        assert!(wait_until(&api, Duration::from_secs(4), has_come).await);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert!(wait_until_still(&api, Duration::from_secs(10), Duration::from_secs(60)).await);
        assert_eq!(began.elapsed(), Duration::from_secs(15));
    }
}
