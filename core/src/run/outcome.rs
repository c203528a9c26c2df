//! Reads what became of an attempt from its Job and its pods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use seatrial_crds::{Interruption, Quantity, Step, StepInput, StepStatus, limits};

use crate::contract::{Cause, ExitCode, Message};
use crate::pod_state::{cannot_start, phase, statuses, tail, terminated, unschedulable};
use crate::pods::{FETCH, PUBLISH, STEP};

/// How long a pod may be unable to start for a reason that a person must remove, in seconds, before its step is given
/// up: long enough to push an image or create a Secret, short enough that a corrected pipeline is not held up.
pub(super) const START_GRACE: i64 = 300;

/// How long `publish` may go on after the step's container failed, in seconds. It ends at once where the command ever
/// started; where not even `exec` did, it would wait for a start that never comes.
const END_GRACE: i64 = 60;

/// How much later than its Job the last update of a pod may come, in seconds.
const REPORT_GRACE: i64 = 10;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is under way; the word and sentence say what it does, where that is more than running.
    Running(Option<(&'static str, String)>),
    /// It is done.
    Done(Box<Report>),
    /// It is done, but what its containers said is lost.
    ReportLost,
    /// It failed, with a word and a sentence.
    Failed(&'static str, String),
}

/// What the containers of a pod that ended well said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    /// What was read.
    pub(super) inputs: Vec<StepInput>,
    /// What was made.
    pub(super) outputs: Vec<crate::contract::ReportedOutput>,
    /// Headline metrics.
    pub(super) metrics: BTreeMap<String, String>,
}

/// Reads it. `pods` are the attempt's pods.
pub(super) fn read(step: &Step, job: &Job, pods: &[&Pod], now: Timestamp) -> Outcome {
    match ended(job) {
        Some((true, _, _)) => {
            let done = pods.iter().find(|pod| phase(pod) == "Succeeded");
            match done.map(|pod| report(step, pod)) {
                Some(Some(report)) => Outcome::Done(Box::new(report)),
                // The pod's last update may be a moment behind the Job's.
                _ if job_ended_seconds_ago(job, now) < REPORT_GRACE => Outcome::Running(None),
                _ => Outcome::ReportLost,
            }
        }
        Some((false, reason, message)) => failure(step, &reason, &message, pods),
        None => waiting(step, pods, now),
    }
}

/// The pods that ended through nobody's fault, those that are recorded and new ones.
pub(super) fn interruptions(recorded: &[Interruption], pods: &[&Pod]) -> Vec<Interruption> {
    let mut all = recorded.to_vec();
    for pod in pods {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if all.len() < limits::INTERRUPTIONS
            && all.iter().all(|interruption| interruption.pod != uid)
            && let Some(reason) = interruption(pod)
        {
            all.push(Interruption { pod: uid, reason: reason.to_owned() });
        }
    }
    all
}

fn interruption(pod: &Pod) -> Option<&'static str> {
    if phase(pod) != "Failed" {
        return None;
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let disrupted = conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")
    });
    let code = |container: &str| terminated(pod, container).and_then(|end| ExitCode::from_number(end.exit_code));
    if disrupted || [STEP, FETCH, PUBLISH].into_iter().any(|container| code(container) == Some(ExitCode::Stopped)) {
        Some("Disruption")
    } else {
        (code(FETCH) == Some(ExitCode::StoreUnavailable)).then_some("StoreUnavailable")
    }
}

/// Whether a Job ended well, with reason and message; `None` while it is under way.
fn ended(job: &Job) -> Option<(bool, String, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().filter(|condition| condition.status == "True").find_map(|condition| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match condition.type_.as_str() {
            "Complete" => Some((true, String::new(), String::new())),
            "Failed" => Some((false, text(&condition.reason), text(&condition.message))),
            _ => None,
        }
    })
}

fn job_ended_seconds_ago(job: &Job, now: Timestamp) -> i64 {
    let at = job.status.as_ref().and_then(|status| status.completion_time.as_ref());
    at.map_or(i64::MAX, |at| now.as_second() - at.0.as_second())
}

/// What a pod that ended well said; `None` where a message that must be there is not.
fn report(step: &Step, pod: &Pod) -> Option<Report> {
    let said =
        |container: &str| -> Option<Message> { Message::parse(terminated(pod, container)?.message.as_deref()?).ok() };
    let mut report = Report::default();
    if !step.inputs.is_empty() {
        for input in said(FETCH)?.inputs {
            let Some(known) = step.inputs.iter().find(|known| known.name == input.name) else { continue };
            report.inputs.push(StepInput {
                uri: known.uri.clone(),
                name: input.name,
                digest: input.digest.to_string(),
                size: i64::try_from(input.size).unwrap_or(i64::MAX),
            });
        }
    }
    if !step.outputs.is_empty() {
        let message = said(PUBLISH)?;
        if step.outputs.iter().any(|output| message.outputs.iter().all(|made| made.name != output.name)) {
            return None;
        }
        report.outputs = message.outputs;
        report.metrics = message.metrics;
    }
    Some(report)
}

/// Why a Job failed, told by the container whose fault it was.
fn failure(step: &Step, reason: &str, message: &str, pods: &[&Pod]) -> Outcome {
    if reason == "DeadlineExceeded" {
        let limit = step.timeout.clone().unwrap_or_else(|| "24h".to_owned());
        return Outcome::Failed(
            "Timeout",
            format!(
                "step \"{}\" took longer than {limit}: make it faster, or raise spec.steps[{}].timeout",
                step.name, step.name
            ),
        );
    }
    let mut failed: Vec<&&Pod> =
        pods.iter().filter(|pod| phase(pod) == "Failed" && interruption(pod).is_none()).collect();
    failed.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    let told = failed.iter().rev().find_map(|pod| container_failure(step, pod));
    told.unwrap_or_else(|| Outcome::Failed("JobFailed", format!("the Job of step \"{}\" failed: {message}", step.name)))
}

fn container_failure(step: &Step, pod: &Pod) -> Option<Outcome> {
    let name = &step.name;
    if let Some(end) = failed_step(pod) {
        if end.reason.as_deref() == Some("OOMKilled") {
            let limit = step.options.resources.as_ref().and_then(|resources| resources.limits.get("memory"));
            let limit =
                limit.map_or_else(|| "the node's memory".to_owned(), |Quantity(limit)| format!("its limit of {limit}"));
            let message = format!(
                "step \"{name}\" was killed for memory ({limit}): raise resources.limits.memory, or load less data at a time"
            );
            return Some(Outcome::Failed("OutOfMemory", message));
        }
        if ExitCode::from_number(end.exit_code) == Some(ExitCode::CommandNotFound) {
            let message =
                format!("the command of step \"{name}\" does not exist in its image, or is no program: {}", tail(end));
            return Some(Outcome::Failed("CommandNotFound", message));
        }
        let message = format!("the command of step \"{name}\" ended with exit code {}: {}", end.exit_code, tail(end));
        return Some(Outcome::Failed("CommandFailed", message));
    }
    for container in [FETCH, PUBLISH] {
        if let Some(end) = terminated(pod, container).filter(|end| end.exit_code != 0) {
            let code = ExitCode::from_number(end.exit_code);
            let said =
                end.message.as_deref().and_then(|text| Message::parse(text).ok()).and_then(|message| message.failure);
            let text = said
                .map_or_else(|| code.map_or("it says nothing", ExitCode::text).to_owned(), |failure| failure.message);
            let reason = match code.map(|code| (code, code.cause())) {
                Some((code, Cause::Data | Cause::User | Cause::Outage | Cause::Internal)) => code.name(),
                _ if end.reason.as_deref() == Some("OOMKilled") => "AgentOutOfMemory",
                _ => "AgentFailed",
            };
            return Some(Outcome::Failed(reason, format!("step \"{name}\": {text}")));
        }
    }
    None
}

/// What holds a pod up, and whether it is given up for it.
fn waiting(step: &Step, pods: &[&Pod], now: Timestamp) -> Outcome {
    let live = pods.iter().filter(|pod| matches!(phase(pod), "Pending" | "Running"));
    let Some(pod) = live.max_by_key(|pod| pod.metadata.creation_timestamp.clone()) else {
        let outage = pods.iter().find(|pod| interruption(pod) == Some("StoreUnavailable"));
        let message = outage.and_then(|pod| container_failure(step, pod));
        return match message {
            Some(Outcome::Failed(reason, message)) => {
                Outcome::Running(Some((reason, format!("{message}; it is tried again"))))
            }
            _ => Outcome::Running(None),
        };
    };
    for status in statuses(pod) {
        let Some((reason, what)) = cannot_start(status) else { continue };
        let message = format!("step \"{}\": {what}", step.name);
        let age = pod.metadata.creation_timestamp.as_ref().map_or(0, |at| now.as_second() - at.0.as_second());
        return if age >= START_GRACE {
            Outcome::Failed(reason, message)
        } else {
            Outcome::Running(Some((reason, message)))
        };
    }
    if let Some(message) = unschedulable(pod) {
        return Outcome::Running(Some((
            "Unschedulable",
            format!("step \"{}\" waits for a node: {message}", step.name),
        )));
    }
    let failed_for =
        failed_step(pod).and_then(|end| end.finished_at.as_ref()).map(|at| now.as_second() - at.0.as_second());
    if failed_for.is_some_and(|seconds| seconds >= END_GRACE)
        && let Some(failure) = container_failure(step, pod)
    {
        return failure;
    }
    let step_is_done = terminated(pod, STEP).is_some_and(|end| end.exit_code == 0);
    let publish = statuses(pod).find(|status| status.name == PUBLISH);
    if step_is_done
        && publish
            .is_some_and(|status| !status.ready && status.state.as_ref().is_some_and(|state| state.running.is_some()))
    {
        let message = format!("step \"{}\" is done, but its outputs wait for the store to come back", step.name);
        return Outcome::Running(Some(("StoreUnavailable", message)));
    }
    Outcome::Running(None)
}

fn failed_step(pod: &Pod) -> Option<&ContainerStateTerminated> {
    terminated(pod, STEP).filter(|end| end.exit_code != 0)
}

/// True where an attempt is about to end: if nothing more is heard of it, time must decide.
pub(super) fn is_ending(job: &Job, pods: &[&Pod]) -> bool {
    let is_live = |pod: &Pod| matches!(phase(pod), "Pending" | "Running");
    ended(job).is_some() || pods.iter().any(|pod| is_live(pod) && failed_step(pod).is_some())
}

/// The image of the step's container as it was really run.
pub(super) fn image_digest(pods: &[&Pod]) -> Option<String> {
    pods.iter()
        .flat_map(|pod| statuses(pod))
        .find(|status| status.name == STEP && !status.image_id.is_empty())
        .map(|status| status.image_id.clone())
}

/// True where a step's status says that it is given up for too many interruptions.
pub(super) fn too_many(status: &StepStatus) -> bool {
    status.interruptions.len() >= limits::INTERRUPTIONS
}
