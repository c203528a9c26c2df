//! Pods that ended through nobody's fault: they cost no retry, but are counted and bounded.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{Interruption, StepStatus, limits};

use crate::contract::ExitCode;
use crate::pod_state::{phase, terminated};
use crate::pods::{ADMIT, FETCH, PUBLISH, STEP};

/// The reason of a pod that could not reach a store.
pub(crate) const OUTAGE: &str = "StoreUnavailable";

/// The pods that ended through nobody's fault, those that are recorded and new ones.
pub(crate) fn interruptions(recorded: &[Interruption], pods: &[&Pod]) -> Vec<Interruption> {
    let mut all = recorded.to_vec();
    for pod in pods {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if all.len() < limits::INTERRUPTIONS
            && all.iter().all(|interruption| interruption.pod_uid != uid)
            && let Some(reason) = interruption(pod)
        {
            all.push(Interruption { pod_uid: uid, reason: reason.to_owned() });
        }
    }
    all
}

/// Why a pod ended, if it did so through nobody's fault.
pub(crate) fn interruption(pod: &Pod) -> Option<&'static str> {
    if phase(pod) != "Failed" || is_evicted_for_its_own_use(pod) {
        return None;
    }
    let code = |container: &str| terminated(pod, container).and_then(|end| ExitCode::from_number(end.exit_code));
    if is_disrupted(pod)
        || [STEP, FETCH, ADMIT, PUBLISH].into_iter().any(|container| code(container) == Some(ExitCode::Stopped))
    {
        Some("Disruption")
    } else {
        (code(FETCH) == Some(ExitCode::StoreUnavailable)).then_some(OUTAGE)
    }
}

/// How long a step may wait for its inputs' stores in all, in seconds: as long as outputs wait for theirs.
const OUTAGE_LIMIT: i64 = 6 * 3600;

/// Whether a step fails for its interruptions. Disruptions are bounded by their number. Outages of stores are bounded by
/// time alone, since no work is lost in them.
pub(crate) fn too_many(status: &StepStatus, now: Timestamp) -> bool {
    if status.interruptions.len() < limits::INTERRUPTIONS {
        return false;
    }
    let met_outage = status.interruptions.iter().any(|interruption| interruption.reason == OUTAGE);
    let age = status.started_at.as_ref().map_or(i64::MAX, |at| now.as_second() - at.0.as_second());
    !met_outage || age >= OUTAGE_LIMIT
}

/// Reason and message of a step that fails for its interruptions. The message repeats what the status said last.
pub(crate) fn given_up(step: &str, status: &StepStatus, said: Option<&str>) -> (&'static str, String) {
    let last = status.interruptions.last().map_or("", |last| last.reason.as_str());
    if last == OUTAGE {
        let said = said.unwrap_or("the store did not answer").trim_end_matches("; it is tried again");
        let message = format!("step \"{step}\" waited {} hours for its inputs' store: {said}", OUTAGE_LIMIT / 3600);
        return (OUTAGE, message);
    }
    let times = limits::INTERRUPTIONS;
    let message = format!(
        "step \"{step}\" was interrupted {times} times, last by {last}: kubectl describe pod and the nodes' events say by what; look at the nodes' disks and memory"
    );
    ("TooManyInterruptions", message)
}

/// Whether the kubelet evicted a pod for what the pod itself used of a disk. For the node's own trouble the pod bears the
/// condition of a disruption as well.
pub(crate) fn is_evicted_for_its_own_use(pod: &Pod) -> bool {
    let reason = pod.status.as_ref().and_then(|status| status.reason.as_deref());
    phase(pod) == "Failed" && reason == Some("Evicted") && !is_disrupted(pod)
}

fn is_disrupted(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")
    })
}
