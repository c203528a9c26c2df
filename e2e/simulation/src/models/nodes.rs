//! What the cluster does about pods that no node answers for. Of a node that is silent it waits, then tells the pods to end,
//! which nobody hears; once the node is taken out of the cluster, its pods are. Those that no node ever took just end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Model, condition, has_condition, has_ended, set_condition};
use crate::api::{Api, Deletion, Key, Store, by_kind};

/// How long after a node's last word its pods are told to end: 40 seconds until it counts as unreachable, and the five
/// minutes for which pods tolerate that.
const TOLERATED: Duration = Duration::from_secs(340);

/// How often pods are looked for that were deleted before any node took them.
const ROUND: Duration = Duration::from_secs(20);

/// Ends pods that were deleted before any node took them, where something holds them.
#[derive(Debug, Default)]
pub struct Unscheduled {
    due: Option<Instant>,
}

impl Model for Unscheduled {
    fn act(&mut self, api: &Api, now: Instant) -> Option<Instant> {
        let is_stuck = |pod: &Value| {
            !pod["metadata"]["deletionTimestamp"].is_null() && pod["spec"]["nodeName"].is_null() && !has_ended(pod)
        };
        let stuck: Vec<(Key, Arc<Value>)> = api.look(|store| {
            let all = store.of_kind("Pod").filter(|(_, pod)| is_stuck(pod));
            all.map(|(key, pod)| (key.clone(), pod.clone())).collect()
        });
        if stuck.is_empty() {
            self.due = None;
        } else if *self.due.get_or_insert(now + ROUND) <= now {
            self.due = None;
            for (key, pod) in &stuck {
                api.change("pod-garbage-collector", |store| collect(store, key, pod));
            }
        }
        self.due
    }
}

/// Does to a pod what is due so long after its node's last word. Says how much later to look again.
pub(super) fn lost(api: &Api, key: &Key, pod: &Value, silent_for: Duration, gone_after: Duration) -> Duration {
    if silent_for >= gone_after {
        api.change("pod-garbage-collector", |store| collect(store, key, pod));
        return TOLERATED;
    }
    if silent_for >= TOLERATED && !has_condition(pod, "DisruptionTarget") {
        api.change("taint-eviction-controller", |store| {
            disrupt(store, key, pod, "DeletionByTaintManager", false);
            delete(store, key, None);
        });
    }
    let next = if silent_for < TOLERATED { TOLERATED.min(gone_after) } else { gone_after };
    next.saturating_sub(silent_for)
}

/// There is no node, and so nothing that runs.
fn collect(store: &mut Store, key: &Key, pod: &Value) {
    disrupt(store, key, pod, "DeletionByPodGC", true);
    delete(store, key, Some(0));
}

fn disrupt(store: &mut Store, key: &Key, pod: &Value, reason: &str, fails: bool) {
    let Some(resource) = by_kind("Pod") else { return };
    let mut new = pod.clone();
    set_condition(&mut new, condition(store.now, "DisruptionTarget", "True", reason));
    if fails {
        new["status"]["phase"] = "Failed".into();
    }
    let _ = store.replace(resource, key, new, true);
}

fn delete(store: &mut Store, key: &Key, grace: Option<i64>) {
    if let Some(resource) = by_kind("Pod") {
        let _ = store.delete(resource, key, &Deletion { grace, ..Deletion::default() });
    }
}
