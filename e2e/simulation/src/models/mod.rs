//! What the controllers of a cluster and its kubelets do, as small models.
//!
//! Each looks at all objects whenever one changed, or when its own time has come; clusters of simulations are small.

pub mod deployments;
pub mod garbage;
pub mod jobs;
pub mod nodes;
pub mod pods;
mod programs;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, Store, seconds};

/// One controller.
pub trait Model: Send {
    /// Does what is due, and says when the next is.
    fn act(&mut self, api: &Api, now: Instant) -> Option<Instant>;
}

/// Lets controllers work for ever.
pub async fn run(api: Api, mut models: Vec<Box<dyn Model>>) {
    let mut changes = api.changes();
    let (mut seen, mut next) = (None, None);
    loop {
        changes.mark_unchanged();
        let now = Instant::now();
        // Leases, which concern none of them, change all the time.
        let version = api.look(Store::version_without_leases);
        if seen != Some(version) || next.is_some_and(|next| next <= now) {
            seen = Some(version);
            next = models.iter_mut().filter_map(|model| model.act(&api, now)).min();
            continue;
        }
        tokio::select! {
            biased;
            () = changes.changed() => {}
            () = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// Whether a controller of this UID owns an object.
pub(crate) fn is_controlled_by(object: &Value, uid: &str) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|owner| owner["controller"] == true && owner["uid"] == uid)
}

/// Whether a pod has ended.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Whether an object has a condition that is true.
pub(crate) fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// A condition of now.
fn condition(now: Timestamp, kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": seconds(now)})
}

/// Sets a condition of an object.
fn set_condition(pod: &mut Value, condition: Value) {
    if let Some(list) = pod["status"]["conditions"].as_array_mut() {
        list.retain(|known| known["type"] != condition["type"]);
        list.push(condition);
    } else {
        pod["status"]["conditions"] = json!([condition]);
    }
}
