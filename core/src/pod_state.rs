//! What a pod's status says, for steps and model servers alike.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod};

use crate::last_words;
use crate::text::plain;

/// The pod's phase.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// The statuses of all containers, init containers first.
pub(crate) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref()).into_iter().flatten();
    init.chain(status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten())
}

/// How a container ended, if it did and was not started again.
pub(crate) fn terminated<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    statuses(pod).find(|status| status.name == container)?.state.as_ref()?.terminated.as_ref()
}

/// Why no node takes the pod.
pub(crate) fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    Some(condition.message.clone().unwrap_or_default())
}

/// Why a container cannot even be started: a reason, and a sentence that stays the same while the kubelet tries again
/// and again.
pub(crate) fn cannot_start(status: &ContainerStatus) -> Option<(&'static str, String)> {
    let ContainerStateWaiting { reason, message } = status.state.as_ref()?.waiting.as_ref()?;
    match reason.as_deref().unwrap_or_default() {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Some((
            "ImageUnavailable",
            format!("the image \"{}\" cannot be pulled: correct its name, or add imagePullSecrets", status.image),
        )),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let said: String = message.as_deref().unwrap_or("no reason given").chars().take(300).collect();
            Some(("ContainerNotCreated", format!("container {} cannot be created: {}", status.name, plain(&said))))
        }
        _ => None,
    }
}

/// What a container said last, as its termination message has it.
pub(crate) fn tail(end: &ContainerStateTerminated) -> String {
    let told = last_words::told(end.message.as_deref().unwrap_or_default());
    if told.is_empty() { "look at its log".to_owned() } else { plain(&told) }
}
