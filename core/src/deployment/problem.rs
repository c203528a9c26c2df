//! Why a version's servers do not become ready, told by their pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use crate::contract::Message;
use crate::pod_state::{cannot_start, statuses, tail, unschedulable};
use crate::pods::FETCH;

/// A word and a sentence. Both stay the same while the kubelet tries again and again.
pub(super) type Problem = (&'static str, String);

/// What a person must see to; `None` where there is nothing but to wait.
pub(super) fn of<'a>(child: Option<&Deployment>, pods: impl Iterator<Item = &'a Pod>) -> Option<Problem> {
    let alive = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let told = alive.filter_map(|pod| statuses(pod).find_map(container).or_else(|| waits_for_node(pod)));
    // What a person must see to before what may end by itself; of equals always the same.
    let told = told.max_by_key(|(reason, message)| (*reason != "Unschedulable", *reason, message.clone()));
    told.or_else(|| child.and_then(stuck))
}

fn container(status: &ContainerStatus) -> Option<Problem> {
    if let Some(trouble) = cannot_start(status) {
        return Some(trouble);
    }
    let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let end = now.or(before).filter(|_| !status.ready)?;
    if status.name == FETCH {
        return (end.exit_code != 0).then(|| ("ModelNotFetched", fetch_failure(end)));
    }
    let message = if end.reason.as_deref() == Some("OOMKilled") {
        "the server was killed for memory: raise server.resources.limits.memory".to_owned()
    } else {
        format!("the server ended with exit code {}: {}", end.exit_code, tail(end))
    };
    Some(("ServerFailed", message))
}

fn fetch_failure(end: &ContainerStateTerminated) -> String {
    let said = end.message.as_deref().and_then(|text| Message::parse(text).ok());
    let failure = said.and_then(|message| message.failure).map(|failure| failure.message);
    let failure = failure.unwrap_or_else(|| format!("it ended with exit code {} without a word", end.exit_code));
    format!("the model could not be fetched: {failure}")
}

fn waits_for_node(pod: &Pod) -> Option<Problem> {
    Some(("Unschedulable", format!("no node takes a server: {}", unschedulable(pod)?)))
}

/// What the Deployment itself says: a quota in the way, or no progress for too long.
fn stuck(child: &Deployment) -> Option<Problem> {
    let conditions = child.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find_map(|condition| {
        let message = condition.message.clone().unwrap_or_default();
        match (condition.type_.as_str(), condition.status.as_str()) {
            ("ReplicaFailure", "True") => Some(("PodsRefused", format!("the servers' pods are refused: {message}"))),
            ("Progressing", "False") => Some((
                "NotReadyInTime",
                "the servers run but do not become ready: look at their logs, and at server.readinessPath and server.port"
                    .to_owned(),
            )),
            _ => None,
        }
    })
}
