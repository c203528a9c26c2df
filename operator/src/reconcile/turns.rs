//! Lets the runs of a pipeline begin one after the other.
//!
//! Whether a run may begin depends on which others have. Two that are planned at the same moment, from caches that do not
//! show the other's beginning yet, would both begin.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use tokio::sync::{Mutex, MutexGuard};

use crate::cache::caches::Caches;
use crate::queue::object_key::ObjectKey;

/// How many pipelines can have runs begin at the same time, at most.
const LANES: usize = 64;

/// The lanes; pipelines that share one wait for each other for no more than a pass.
#[derive(Debug)]
pub(crate) struct Turns {
    lanes: Vec<Mutex<()>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { lanes: (0..LANES).map(|_| Mutex::default()).collect() }
    }
}

impl Turns {
    /// What a pass over a run that has not begun holds while it plans and writes; nothing for other runs.
    pub(crate) async fn of(&self, caches: &Caches, key: &ObjectKey) -> Option<MutexGuard<'_, ()>> {
        let run = caches.runs.get(&key.namespace, &key.name)?;
        if run.status.as_ref().is_some_and(|status| status.started_at.is_some()) {
            return None;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((&key.namespace, &run.spec.pipeline));
        let lane = usize::try_from(hash % LANES as u64).unwrap_or_default();
        Some(self.lanes.get(lane)?.lock().await)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use seatrial_core::platform::Platform;
    use serde_json::{from_value, json};

    use super::*;
    use crate::queue::object_key::Primary;

    #[tokio::test(start_paused = true)]
    async fn runs_of_a_pipeline_that_have_not_begun_wait_for_each_other() {
        let caches = Caches::new(Platform::default(), false);
        for (name, status) in [("a", json!({})), ("b", json!({})), ("c", json!({"startedAt": "2026-01-01T00:00:00Z"}))]
        {
            let run = json!({
                "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
                "metadata": {"name": name, "namespace": "ns"}, "spec": {"pipeline": "churn"}, "status": status,
            });
            caches.runs.insert(Arc::new(from_value(run).unwrap()));
        }
        let key = |name: &str| ObjectKey { kind: Primary::Run, namespace: "ns".into(), name: name.into() };
        let turns = Turns::default();
        let first = turns.of(&caches, &key("a")).await;
        assert!(first.is_some());
        let (b, second) = (key("b"), Duration::from_secs(1));
        assert!(tokio::time::timeout(second, turns.of(&caches, &b)).await.is_err(), "it must wait");
        assert!(turns.of(&caches, &key("c")).await.is_none(), "one that has begun does not wait");
        drop(first);
        assert!(turns.of(&caches, &b).await.is_some());
    }
}
