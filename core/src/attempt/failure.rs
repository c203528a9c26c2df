//! Finds out why a pod failed, by the container that caused it: a reason, and a message that says what to do.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use seatrial_crds::Quantity;

use super::interruption::interruption;
use super::seen::{Outcome, Seen};
use crate::contract::check::{CheckMessage, CheckVerdict};
use crate::contract::{Cause, ExitCode, Message};
use crate::pod_state::{phase, tail, terminated};
use crate::pods::{ADMIT, CHECK, FETCH, PUBLISH, STEP};

/// Why the newest pod failed, of those that were not interrupted.
pub(super) fn last_failure(seen: &Seen<'_>) -> Option<Outcome> {
    let mut failed: Vec<&&Pod> =
        seen.pods.iter().filter(|pod| phase(pod) == "Failed" && interruption(pod).is_none()).collect();
    failed.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    failed.iter().rev().find_map(|pod| container_failure(seen, pod))
}

pub(super) fn container_failure(seen: &Seen<'_>, pod: &Pod) -> Option<Outcome> {
    let Seen { step, resources, .. } = *seen;
    let name = &step.name;
    if let Some(end) = failed_step(pod) {
        if is_killed_for_memory(end) {
            let limit = resources.and_then(|resources| resources.limits.get("memory")).map_or_else(
                || "the limit of its container or pod".to_owned(),
                |Quantity(limit)| format!("its limit of {limit}"),
            );
            let message = format!(
                "step \"{name}\" was killed for memory ({limit}): raise resources.limits.memory, or load less data at a time"
            );
            return Some(Outcome::Failed("OutOfMemory", message));
        }
        if ExitCode::from_number(end.exit_code) == Some(ExitCode::TimedOut) {
            let message = format!(
                "the command of step \"{name}\" took longer than {}: make it faster, or raise spec.steps[{name}].timeout{}",
                step.timeout.as_deref().unwrap_or("24h"),
                killed_for_memory(pod)
            );
            return Some(Outcome::Failed("Timeout", message));
        }
        if ExitCode::from_number(end.exit_code) == Some(ExitCode::CommandNotFound) {
            let message =
                format!("the command of step \"{name}\" does not exist in its image, or is no program: {}", tail(end));
            return Some(Outcome::Failed("CommandNotFound", message));
        }
        let message = format!("the command of step \"{name}\" ended with exit code {}: {}", end.exit_code, tail(end));
        return Some(Outcome::Failed("CommandFailed", message));
    }
    if let Some(failure) = check_failure(name, pod) {
        return Some(failure);
    }
    [FETCH, PUBLISH].into_iter().find_map(|container| {
        let end = terminated(pod, container).filter(|end| end.exit_code != 0)?;
        let said =
            end.message.as_deref().and_then(|text| Message::parse(text).ok()).and_then(|message| message.failure);
        Some(agent_failure(name, container, end, said.map(|failure| failure.message)))
    })
}

/// Why one of Seatrial's own containers failed, from its termination message, if it wrote one.
fn agent_failure(step: &str, container: &str, end: &ContainerStateTerminated, said: Option<String>) -> Outcome {
    let code = ExitCode::from_number(end.exit_code);
    let is_known =
        code.is_some_and(|code| matches!(code.cause(), Cause::Data | Cause::User | Cause::Outage | Cause::Internal));
    if !is_known && is_killed_for_memory(end) {
        let message = format!(
            "step \"{step}\": Seatrial's own container {container} was killed for memory: raise the chart's agent.resources.limits.memory, which the platform team sets"
        );
        return Outcome::Failed("AgentOutOfMemory", message);
    }
    let text = said.unwrap_or_else(|| code.map_or("it says nothing", ExitCode::text).to_owned());
    let reason = code.filter(|_| is_known).map_or("AgentFailed", ExitCode::name);
    Outcome::Failed(reason, format!("step \"{step}\": {text}"))
}

fn is_killed_for_memory(end: &ContainerStateTerminated) -> bool {
    end.reason.as_deref() == Some("OOMKilled")
}

/// Why the command of a pod was not started, where the checks of its inputs are the reason.
fn check_failure(step: &str, pod: &Pod) -> Option<Outcome> {
    let failed = |container: &str| terminated(pod, container).filter(|end| end.exit_code != 0);
    if let Some(end) = failed(CHECK) {
        let what = if is_killed_for_memory(end) {
            "was killed for memory: raise the chart's judge.resources.limits.memory".to_owned()
        } else {
            format!("ended with exit code {}: {}", end.exit_code, tail(end))
        };
        let message = format!("step \"{step}\": what checks its inputs by their contracts {what}");
        return Some(Outcome::Failed("CheckFailed", message));
    }
    let end = failed(ADMIT)?;
    let said = end.message.as_deref().and_then(|text| CheckMessage::parse(text).ok());
    let failure = said.as_ref().and_then(|said| said.failure.clone());
    let stopped = said.as_ref().and_then(|said| said.checks.iter().find(|check| check.verdict != CheckVerdict::Passed));
    let stopped = stopped.map(|check| format!("input \"{}\": {}", check.input, check.sentence));
    Some(agent_failure(step, ADMIT, end, failure.or(stopped)))
}

/// What is said of processes that were killed for memory: a command that waits for one of them without end runs into its
/// timeout.
fn killed_for_memory(pod: &Pod) -> String {
    let said = terminated(pod, PUBLISH).and_then(|end| Message::parse(end.message.as_deref()?).ok());
    match said.map_or(0, |message| message.oom_kills) {
        0 => String::new(),
        killed => format!(
            "; {killed} of its processes were killed for memory meanwhile, and it may have waited for them: raise resources.limits.memory"
        ),
    }
}

/// The end of the command's container, where its exit code is not 0.
pub(super) fn failed_step(pod: &Pod) -> Option<&ContainerStateTerminated> {
    terminated(pod, STEP).filter(|end| end.exit_code != 0)
}
