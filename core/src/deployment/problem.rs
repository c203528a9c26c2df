//! Why a version's servers do not become ready, told by their pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube_core::ResourceExt;

use crate::contract::Message;
use crate::pod_state::{cannot_start, phase, statuses, tail, unschedulable};
use crate::pods::FETCH;

/// The label that tells the pods of one template from those of another.
const TEMPLATE_LABEL: &str = "pod-template-hash";
/// After how many evictions of the same template a person must see to it.
const EVICTIONS: usize = 3;

/// Why servers do not become ready. Reason and message stay the same while the kubelet tries again and again, since each change
/// of them is a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The reason of the condition.
    pub(super) reason: &'static str,
    /// The message of the condition.
    pub(super) message: String,
    /// Whether the problem may end without a person.
    pub(super) patience: Patience,
}

/// How long a problem may end without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Patience {
    /// Without limit: something outside of the deployment must happen first.
    Endless,
    /// Until servers should have become ready.
    UntilTimeout,
    /// Only a person can end it.
    None,
}

impl From<(&'static str, String)> for Problem {
    fn from((reason, message): (&'static str, String)) -> Self {
        Self { reason, message, patience: Patience::None }
    }
}

/// The problem of a version's pods; `None` where they only need time.
pub(super) fn of(child: Option<&Deployment>, pods: &[&Pod]) -> Option<Problem> {
    let alive = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && phase(pod) != "Failed");
    let told =
        alive.filter_map(|pod| statuses(pod).find_map(container).map(Problem::from).or_else(|| waits_for_node(pod)));
    let told = told.chain(evicted(pods));
    // What a person must see to before what may end by itself; of equals always the same.
    let told = told.max_by_key(|problem| (problem.patience, problem.reason, problem.message.clone()));
    told.or_else(|| child.and_then(refused))
}

fn container(status: &ContainerStatus) -> Option<(&'static str, String)> {
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
    let message = format!("no node takes a server: {}", unschedulable(pod)?);
    Some(Problem { reason: "Unschedulable", message, patience: Patience::UntilTimeout })
}

/// The kubelet's words for the pods of the newest template that it evicted. It keeps such pods; the Deployment makes others.
fn evicted(pods: &[&Pod]) -> Option<Problem> {
    let newest = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    let template = newest.labels().get(TEMPLATE_LABEL);
    let failed = |pod: &&&Pod| {
        let status = pod.status.as_ref();
        let reason = status.and_then(|status| status.reason.as_deref());
        phase(pod) == "Failed" && reason == Some("Evicted") && pod.labels().get(TEMPLATE_LABEL) == template
    };
    let evicted: Vec<&&Pod> = pods.iter().filter(failed).collect();
    let words = |pod: &&&Pod| {
        let said = pod.status.as_ref()?.message.as_deref()?.trim();
        // What follows the first sentence are amounts, which differ from pod to pod.
        let first = said.split_once(". ").map_or(said, |(first, _)| first);
        Some(first.trim_end_matches('.').chars().take(300).collect::<String>())
    };
    let said = evicted.iter().filter_map(words).max()?;
    let patience = if evicted.len() < EVICTIONS { Patience::UntilTimeout } else { Patience::None };
    let message = format!(
        "the kubelet evicts the servers: {said}; raise server.resources (or what a LimitRange of the namespace sets), or let the server write less"
    );
    Some(Problem { reason: "ServerEvicted", message, patience })
}

/// What the Deployment itself says: a quota in the way.
fn refused(child: &Deployment) -> Option<Problem> {
    let conditions = child.status.as_ref()?.conditions.as_ref()?;
    let refused = |type_: &str, status: &str| type_ == "ReplicaFailure" && status == "True";
    let condition = conditions.iter().find(|condition| refused(&condition.type_, &condition.status))?;
    let said = condition.message.as_deref().unwrap_or_default();
    Some(("PodsRefused", format!("the servers' pods are refused: {said}")).into())
}
