//! Reads what became of an attempt from its Job and its pods.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube_core::ResourceExt;
use seatrial_crds::{Quantity, Step};

use super::interruption::interruption;
use super::report::{Report, report};
use crate::contract::{Cause, ExitCode, Message};
use crate::pod_state::{cannot_start, phase, statuses, tail, terminated, unschedulable};
use crate::pods::{FETCH, PUBLISH, STEP};

/// How long a pod may be unable to start for a reason that a person must remove, in seconds, before its step is given
/// up: long enough to push an image or create a Secret, short enough that a corrected pipeline is not held up.
pub(crate) const START_GRACE: i64 = 300;

/// How long `publish` may go on after the step's container failed, in seconds. It ends at once where the command ever
/// started; where not even `exec` did, it would wait for a start that never comes.
const END_GRACE: i64 = 60;

/// How old a Job may be without a pod, in seconds, before that is said: something refuses its pods.
const POD_GRACE: i64 = 20;

/// How long after the step's container ended `publish` may be unready, in seconds, before that is said: a container is
/// not ready before its first probe either.
const STORE_GRACE: i64 = 30;

/// How much later than its Job the last update of a pod may come, in seconds.
const REPORT_GRACE: i64 = 10;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It is under way; the word and sentence say what it does, where that is more than running.
    Running(Option<(&'static str, String)>),
    /// It is done.
    Done(Box<Report>),
    /// It is done, and what its containers said is not in sight: the API server must say whether there is more to see.
    LiveRead,
    /// It is done, but what its containers said is lost.
    ReportLost,
    /// It failed, with a word and a sentence.
    Failed(&'static str, String),
}

/// What is seen of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// The step.
    pub(crate) step: &'a Step,
    /// The attempt's Job.
    pub(crate) job: &'a Job,
    /// The Job's pods.
    pub(crate) pods: &'a [&'a Pod],
    /// The word and sentence that were last said of it.
    pub(crate) before: Option<&'a (String, String)>,
    /// When the API server was last asked about Job and pods.
    pub(crate) confirmed: Option<Timestamp>,
}

/// Reads it.
pub(crate) fn read(seen: &Seen<'_>, now: Timestamp) -> Outcome {
    match ended(seen.job) {
        Some((true, _, _)) => done(seen, now),
        Some((false, reason, message)) => failure(seen, &reason, &message),
        None => waiting(seen, now),
    }
}

fn done(seen: &Seen<'_>, now: Timestamp) -> Outcome {
    let Seen { step, job, pods, confirmed, .. } = *seen;
    if step.inputs.is_empty() && step.outputs.is_empty() {
        return Outcome::Done(Box::default());
    }
    let pod = pods.iter().find(|pod| phase(pod) == "Succeeded");
    match pod.map(|pod| report(step, pod)) {
        Some(Ok(Some(report))) => return Outcome::Done(Box::new(report)),
        // The same again would say the same.
        Some(Err(problem)) => {
            let message = format!(
                "step \"{}\" is done, but what {problem}: fewer or smaller outputs, metrics or injected containers leave more room",
                step.name
            );
            return Outcome::Failed("ReportUnreadable", message);
        }
        Some(Ok(None)) | None => {}
    }
    let at = job.status.as_ref().and_then(|status| status.completion_time.as_ref()).map(|at| at.0);
    // The pod's last update may be a moment behind the Job's, or for minutes where a watch died in silence.
    if at.is_some_and(|at| now.as_second() - at.as_second() < REPORT_GRACE) {
        Outcome::Running(None)
    } else if confirmed.is_none_or(|asked| at.is_some_and(|at| asked < at)) {
        Outcome::LiveRead
    } else {
        Outcome::ReportLost
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

/// Why a Job failed, told by the container whose fault it was.
fn failure(seen: &Seen<'_>, reason: &str, message: &str) -> Outcome {
    let Seen { step, pods, before, .. } = *seen;
    if reason == "DeadlineExceeded" {
        let limit = step.timeout.clone().unwrap_or_else(|| "24h".to_owned());
        let advice = match before {
            // It was not at work: being faster would not have helped.
            Some((reason, message)) => format!("when it was over, it was held up ({reason}): {message}"),
            None => format!("make it faster, or raise spec.steps[{}].timeout", step.name),
        };
        return Outcome::Failed("Timeout", format!("step \"{}\" took longer than {limit}: {advice}", step.name));
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
fn waiting(seen: &Seen<'_>, now: Timestamp) -> Outcome {
    let Seen { step, job, pods, before, .. } = *seen;
    let age = job.metadata.creation_timestamp.as_ref().map_or(0, |at| now.as_second() - at.0.as_second());
    if pods.is_empty() && age >= POD_GRACE && !is_suspended(job) {
        let message = format!(
            "step \"{}\" has no pod {POD_GRACE} s after its Job was created: a quota, a LimitRange, Pod Security or an admission policy may refuse it; kubectl describe job {} says which",
            step.name,
            job.name_any()
        );
        return Outcome::Running(Some(("PodsRefused", message)));
    }
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
        // The scheduler counts nodes anew all the time: what was said first is as good, and costs no write.
        let message = match before {
            Some((reason, before)) if reason == "Unschedulable" => before.clone(),
            _ => format!("step \"{}\" waits for a node: {message}", step.name),
        };
        return Outcome::Running(Some(("Unschedulable", message)));
    }
    let failed_for =
        failed_step(pod).and_then(|end| end.finished_at.as_ref()).map(|at| now.as_second() - at.0.as_second());
    if failed_for.is_some_and(|seconds| seconds >= END_GRACE)
        && let Some(failure) = container_failure(step, pod)
    {
        return failure;
    }
    let done_for = terminated(pod, STEP).filter(|end| end.exit_code == 0).and_then(|end| end.finished_at.as_ref());
    let done_for = done_for.map(|at| now.as_second() - at.0.as_second());
    if done_for.is_some_and(|seconds| seconds >= STORE_GRACE) && publish_is_unready(pod) {
        let message = format!("step \"{}\" is done, but its outputs wait for the store to come back", step.name);
        return Outcome::Running(Some(("StoreUnavailable", message)));
    }
    Outcome::Running(None)
}

fn failed_step(pod: &Pod) -> Option<&ContainerStateTerminated> {
    terminated(pod, STEP).filter(|end| end.exit_code != 0)
}

/// Whether a queue, such as Kueue, holds the Job back.
fn is_suspended(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Suspended" && condition.status == "True")
}

fn publish_is_unready(pod: &Pod) -> bool {
    let publish = statuses(pod).find(|status| status.name == PUBLISH);
    publish.is_some_and(|status| !status.ready && status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// True where, if nothing more is heard of an attempt, time must decide: it is about to end, waits for the store, or has
/// no pod.
pub(crate) fn needs_time(seen: &Seen<'_>) -> bool {
    let Seen { job, pods, .. } = *seen;
    let is_live = |pod: &Pod| matches!(phase(pod), "Pending" | "Running");
    ended(job).is_some()
        || pods.is_empty()
        || pods.iter().any(|pod| {
            is_live(pod) && terminated(pod, STEP).is_some() && (failed_step(pod).is_some() || publish_is_unready(pod))
        })
}

/// The image of the step's container as it was really run.
pub(crate) fn image_digest(pods: &[&Pod]) -> Option<String> {
    pods.iter()
        .flat_map(|pod| statuses(pod))
        .find(|status| status.name == STEP && !status.image_id.is_empty())
        .map(|status| status.image_id.clone())
}
