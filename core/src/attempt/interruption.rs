//! Pods that ended through nobody's fault: they cost no retry, but are counted and bounded.

use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{Interruption, StepStatus, limits};

use crate::contract::ExitCode;
use crate::pod_state::{phase, terminated};
use crate::pods::{ADMIT, FETCH, PUBLISH, STEP};

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
        (code(FETCH) == Some(ExitCode::StoreUnavailable)).then_some("StoreUnavailable")
    }
}

/// True where a step's status says that it is given up for too many interruptions.
pub(crate) fn too_many(status: &StepStatus) -> bool {
    status.interruptions.len() >= limits::INTERRUPTIONS
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
