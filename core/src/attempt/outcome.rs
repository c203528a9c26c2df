//! Reads what became of an attempt from its Job and its pods.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube_core::ResourceExt;
use seatrial_crds::{Step, Time};

use super::failure::{container_failure, failed_step, last_failure};
use super::interruption::{interruption, is_evicted_for_its_own_use};
use super::report::{has_ended_well, report};
use super::seen::{Outcome, Seen};
use super::timeout;
use crate::contract::ExitCode;
use crate::contract::check::{CheckMessage, CheckSummary};
use crate::pod_state::{cannot_start, phase, statuses, terminated, unschedulable};
use crate::pods::{ADMIT, CHECK, FETCH, PUBLISH, STEP};
use crate::text::{plain, see};
use crate::validation;

/// How long a pod may be unable to start for a reason that a person must remove, in seconds, before its step is given
/// up: long enough to push an image or create a Secret, short enough that a corrected pipeline is not held up.
pub(crate) const START_GRACE: i64 = 300;

/// How long `publish` may go on after the step's container failed, in seconds. It ends at once where the command ever
/// started; where not even `exec` did, it would wait for a start that never comes.
const END_GRACE: i64 = 60;

/// How long `publish` may have ended badly before its step's container has, in seconds: both end within a moment where the
/// command is over, and its own end says more.
const PUBLISH_GRACE: i64 = 10;

/// How old a Job may be without a pod, in seconds, before that is said: something refuses its pods.
const POD_GRACE: i64 = 20;

/// How long after the step's container ended `publish` may be unready, in seconds, before that is said: a container is
/// not ready before its first probe either.
const STORE_GRACE: i64 = 30;

/// How long an event about an upload counts, in seconds: the kubelet passes one that repeats itself on every five minutes.
const PROBE_EVENT_HOLDS: i64 = 420;

/// How long an attempt may wait for a node or a quota where its step does not say, in seconds: a day.
const START_LIMIT: i64 = 24 * 3600;

/// How long `exec` may take to end a command whose time is over, in seconds: twice its grace, and something for a clock
/// that is not the node's.
const FROZEN_GRACE: i64 = 120;

/// The reason of a step whose command is tried again.
pub(crate) const RETRYING: &str = "Retrying";

/// How much later than its Job the last update of a pod may come, in seconds.
const REPORT_GRACE: i64 = 10;

/// The outcome of an attempt. No message has control characters, even if a container or the API server printed some.
pub(crate) fn read(seen: &Seen<'_>, now: Timestamp) -> Outcome {
    match decide(seen, now) {
        Outcome::Running(Some((reason, message))) => Outcome::Running(Some((reason, plain(&message)))),
        Outcome::Failed(reason, message) => {
            let see = seen.see(reason).map(|command| see(&command)).unwrap_or_default();
            Outcome::Failed(reason, plain(&message) + &see)
        }
        other => other,
    }
}

fn decide(seen: &Seen<'_>, now: Timestamp) -> Outcome {
    // A step is over when `publish` has reported it: the Job's own condition comes a second later, and never while a container
    // that somebody injected runs.
    if let Some(pod) = seen.pods.iter().find(|pod| has_ended_well(pod)) {
        return report(seen.step, pod).map_or(Outcome::ReportLost, |report| Outcome::Done(Box::new(report)));
    }
    match ended(seen.job) {
        Some((true, _)) => done(seen, now),
        Some((false, message)) => failure(seen, &message, now),
        // The Job controller waits without end for a pod on such a node.
        None if seen.pods.iter().any(|pod| seen.liveness.is_on_lost_node(pod))
            && !seen.pods.iter().any(|pod| seen.liveness.is_live(pod)) =>
        {
            Outcome::NodeLost
        }
        None => evicted(seen).unwrap_or_else(|| waiting(seen, now)),
    }
}

/// A Job is complete, and no pod with its report is in the cache.
fn done(seen: &Seen<'_>, now: Timestamp) -> Outcome {
    let Seen { step, job, confirmed, .. } = *seen;
    if step.inputs.is_empty() && step.outputs.is_empty() {
        return Outcome::Done(Box::default());
    }
    match late(job, confirmed, now) {
        Late::Wait => Outcome::Running(None),
        Late::LiveRead => Outcome::LiveRead,
        // What it read is not known; nothing depends on that.
        Late::Lost if step.outputs.is_empty() => Outcome::Done(Box::default()),
        Late::Lost => Outcome::ReportLost,
    }
}

/// What is to be done where a Job has ended, and what its pod said is not in sight.
pub(crate) enum Late {
    /// The pod's last update may be a moment behind the Job's.
    Wait,
    /// The API server must be asked: the cache of pods may be behind for minutes where a watch died in silence.
    LiveRead,
    /// There is nothing more to see.
    Lost,
}

/// The same. `confirmed` is when the API server was last asked about the Job and its pods.
pub(crate) fn late(job: &Job, confirmed: Option<Timestamp>, now: Timestamp) -> Late {
    let at = ended_at(job);
    if at.is_some_and(|at| now.as_second() - at.as_second() < REPORT_GRACE) {
        Late::Wait
    } else if confirmed.is_none_or(|asked| at.is_some_and(|at| asked < at)) {
        Late::LiveRead
    } else {
        Late::Lost
    }
}

/// When a Job ended.
fn ended_at(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    let completed = status.completion_time.as_ref().map(|at| at.0);
    let mut conditions = status.conditions.iter().flatten();
    let failed = conditions.find(|condition| condition.type_ == "Failed" && condition.status == "True");
    completed.or_else(|| failed?.last_transition_time.as_ref().map(|at| at.0))
}

/// Whether a pod is over. Where none is in sight of a Job that failed, the cache of pods is behind, or there never was one.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// A pod that used more of a disk than it may: the next one would do the same.
fn evicted(seen: &Seen<'_>) -> Option<Outcome> {
    let pod = seen.pods.iter().find(|pod| is_evicted_for_its_own_use(pod))?;
    let said = pod.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
    let message = format!(
        "a pod of step \"{}\" was evicted: {}: write less, or raise resources.limits.ephemeral-storage",
        seen.step.name,
        said.trim().trim_end_matches('.')
    );
    Some(Outcome::Failed("Evicted", message))
}

/// Whether a Job ended well, with a message; `None` while it is under way.
fn ended(job: &Job) -> Option<(bool, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().filter(|condition| condition.status == "True").find_map(|condition| {
        match condition.type_.as_str() {
            "Complete" => Some((true, String::new())),
            "Failed" => Some((false, condition.message.clone().unwrap_or_default())),
            _ => None,
        }
    })
}

/// Why a Job failed, told by the container whose fault it was.
fn failure(seen: &Seen<'_>, message: &str, now: Timestamp) -> Outcome {
    let Seen { step, job, pods, confirmed, .. } = *seen;
    if let Some(told) = last_failure(seen) {
        return told;
    }
    let failed = || Outcome::Failed("JobFailed", format!("the Job of step \"{}\" failed: {message}", step.name));
    if pods.iter().any(|pod| has_ended(pod)) {
        return failed();
    }
    match late(job, confirmed, now) {
        Late::Wait => Outcome::Running(None),
        Late::LiveRead => Outcome::LiveRead,
        Late::Lost => failed(),
    }
}

/// What the newest pod that reported on its inputs' contracts reported.
pub(crate) fn checks(pods: &[&Pod]) -> Vec<CheckSummary> {
    let mut pods = pods.to_vec();
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    let said = |pod: &&Pod| CheckMessage::parse(terminated(pod, ADMIT)?.message.as_deref()?).ok();
    pods.iter().rev().find_map(said).map(|message| message.checks).unwrap_or_default()
}

/// What holds an attempt up, and whether it is given up for it.
fn waiting(seen: &Seen<'_>, now: Timestamp) -> Outcome {
    let Seen { step, job, pods, .. } = *seen;
    let age = |at: Option<&Time>| at.map_or(0, |at| now.as_second() - at.0.as_second());
    let job_age = age(job.metadata.creation_timestamp.as_ref());
    // A Job whose pod is gone makes another: its age says nothing about how long that takes.
    let seen_for = seen.without_pod_for.and_then(|time| i64::try_from(time.as_secs()).ok());
    let without_pod_for = seen_for.map_or(job_age, |seen_for| seen_for.min(job_age));
    let live = pods.iter().filter(|pod| seen.liveness.is_live(pod));
    let newest = live.max_by_key(|pod| pod.metadata.creation_timestamp.clone());
    let obstacle = match newest {
        None if pods.is_empty() => no_pod(seen, without_pod_for),
        None => between_pods(seen),
        Some(pod) => not_started(seen, pod),
    };
    if let Some((reason, message)) = obstacle {
        // How long its command could have run: since the newest pod was created, or, where there is none, since the last one
        // ended.
        let waited = newest.map_or(without_pod_for, |pod| age(pod.metadata.creation_timestamp.as_ref()));
        let limit = start_limit(step, reason).filter(|_| is_not_started(reason));
        return match limit.filter(|limit| waited >= *limit) {
            Some(_) => Outcome::Failed(reason, message),
            None => Outcome::Running(Some((reason, message))),
        };
    }
    let Some(pod) = newest else { return Outcome::Running(None) };
    at_work(seen, pod, now)
}

/// The reasons of an attempt whose command has not started: no work is lost when it is given up.
pub(crate) fn is_not_started(reason: &str) -> bool {
    matches!(reason, "PodsRefused" | "ImageUnavailable" | "ContainerNotCreated" | "Unschedulable")
}

/// How long an attempt may wait before its command starts, in seconds; `None` without end.
fn start_limit(step: &Step, reason: &str) -> Option<i64> {
    let own = step.start_timeout.as_deref().and_then(validation::duration);
    let own = own.map(|limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
    match reason {
        "ImageUnavailable" | "ContainerNotCreated" => Some(own.map_or(START_GRACE, |own| own.min(START_GRACE))),
        _ => Some(own.unwrap_or(START_LIMIT)),
    }
}

/// A Job without a pod: something refuses it, or a queue holds it back, which may take as long as it likes.
fn no_pod(seen: &Seen<'_>, without_pod_for: i64) -> Option<(&'static str, String)> {
    let Seen { step, job, refused, .. } = *seen;
    if without_pod_for < POD_GRACE || is_suspended(job) {
        return None;
    }
    if let Some(said) = refused {
        // A quota that wants limits names the containers that lack them.
        let names = |container: &str| said.contains(container);
        let whose = match (names(CHECK), [FETCH, PUBLISH, ADMIT].into_iter().any(names)) {
            (true, _) => "; what Seatrial's own containers ask for is the chart's agent.resources and judge.resources",
            (false, true) => "; what Seatrial's own containers ask for is the chart's agent.resources",
            (false, false) => "",
        };
        let said = said.trim().trim_end_matches('.');
        let message = format!("the API server refuses the pod of step \"{}\": {said}{whose}", step.name);
        return Some(("PodsRefused", message));
    }
    let message = format!(
        "step \"{}\" has had no pod for {POD_GRACE} s: a quota, a LimitRange, Pod Security or an admission policy may refuse it; kubectl describe job {} says which",
        step.name,
        job.name_any()
    );
    Some(("PodsRefused", message))
}

/// Pods have ended for an outage, and the Job makes another one: the status says so until the next pod has its inputs.
fn between_pods(seen: &Seen<'_>) -> Option<(&'static str, String)> {
    let met_outage = |pod: &&&Pod| interruption(pod) == Some("StoreUnavailable");
    let newest = |pod: &&&Pod| pod.metadata.creation_timestamp.clone();
    let outage = seen.pods.iter().filter(met_outage).max_by_key(newest)?;
    match container_failure(seen, outage)? {
        Outcome::Failed(reason, message) => Some((reason, format!("{message}; it is tried again"))),
        _ => None,
    }
}

/// Why a pod's command has not started.
fn not_started(seen: &Seen<'_>, pod: &Pod) -> Option<(&'static str, String)> {
    let Seen { step, before, .. } = *seen;
    if let Some((reason, what)) = statuses(pod).find_map(cannot_start) {
        return Some((reason, format!("step \"{}\": {what}", step.name)));
    }
    let message = unschedulable(pod)?;
    // The scheduler's message changes with each count of the nodes: the first one says as much, and to keep it costs no write.
    let message = match before {
        Some((reason, before)) if reason == "Unschedulable" => before.clone(),
        _ => format!("step \"{}\" waits for a node: {message}", step.name),
    };
    Some(("Unschedulable", message))
}

/// What a pod that has started does.
fn at_work(seen: &Seen<'_>, pod: &Pod, now: Timestamp) -> Outcome {
    let Seen { step, pods, .. } = *seen;
    let since = |at: Option<&Time>| at.map(|at| now.as_second() - at.0.as_second());
    let name = &step.name;
    let failed_for = failed_step(pod).and_then(|end| since(end.finished_at.as_ref()));
    if failed_for.is_some_and(|seconds| seconds >= END_GRACE)
        && let Some(failure) = container_failure(seen, pod)
    {
        return failure;
    }
    if publish_failed(pod).and_then(|end| since(end.finished_at.as_ref())).is_some_and(|after| after >= PUBLISH_GRACE)
        && let Some(Outcome::Failed(reason, message)) = container_failure(seen, pod)
    {
        let message = format!("{message}; the command still ran, and nothing could have kept what it makes");
        return Outcome::Failed(reason, message);
    }
    if command_time(step, pod, now).is_some_and(|left| left.is_zero()) {
        let message = format!(
            "the command of step \"{name}\" took longer than {}, and what should have ended it did not answer: make it faster, or raise spec.steps[{name}].timeout",
            step.timeout.as_deref().unwrap_or("24h")
        );
        return Outcome::Failed("Timeout", message);
    }
    let done_for =
        terminated(pod, STEP).filter(|end| end.exit_code == 0).and_then(|end| since(end.finished_at.as_ref()));
    if done_for.is_some_and(|seconds| seconds >= STORE_GRACE) {
        let why = upload_trouble(seen, pod, now).map(str::to_owned);
        let why = why.or_else(|| publish_is_unready(pod).then(|| "the store does not answer".to_owned()));
        if let Some(why) = why {
            let message = format!("step \"{name}\" is done, but its outputs wait to be uploaded: {why}");
            return Outcome::Running(Some(("StoreUnavailable", message)));
        }
    }
    if terminated(pod, FETCH).is_none()
        && let Some(told) = between_pods(seen)
    {
        return Outcome::Running(Some(told));
    }
    match last_failure(seen) {
        Some(Outcome::Failed(_, message)) => {
            let tries = step.retry.and_then(|retry| retry.limit).unwrap_or(0).saturating_add(1);
            let failed = pods.iter().filter(|pod| phase(pod) == "Failed" && interruption(pod).is_none()).count();
            let message = format!("step \"{name}\": try {} of {tries}; before: {message}", failed + 1);
            Outcome::Running(Some((RETRYING, message)))
        }
        _ => Outcome::Running(None),
    }
}

/// How much time is left of a command before the operator ends it. `exec` keeps the timeout itself; this catches one that
/// is frozen. `None` where the command does not run.
pub(crate) fn command_time(step: &Step, pod: &Pod, now: Timestamp) -> Option<Duration> {
    let status = statuses(pod).find(|status| status.name == STEP)?;
    let started_at = status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?;
    let end = started_at.0.as_second().saturating_add_unsigned(timeout(step).as_secs()).saturating_add(FROZEN_GRACE);
    Some(Duration::from_secs(end.saturating_sub(now.as_second()).max(0).unsigned_abs()))
}

/// How `publish` ended, where it did so badly while the command runs: what the command makes is lost already. A pod that
/// is told to stop is none of that.
fn publish_failed(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let step_runs = statuses(pod)
        .any(|status| status.name == STEP && status.state.as_ref().is_some_and(|state| state.running.is_some()));
    terminated(pod, PUBLISH).filter(|end| {
        let is_stopped = ExitCode::from_number(end.exit_code) == Some(ExitCode::Stopped);
        step_runs && end.exit_code != 0 && !is_stopped
    })
}

/// Whether a queue, such as Kueue, holds the Job back.
fn is_suspended(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Suspended" && condition.status == "True")
}

/// The pod whose upload goes on for long after its command: the kubelet may have said why.
pub(crate) fn long_upload<'a>(seen: &Seen<'a>, now: Timestamp) -> Option<&'a Pod> {
    let is_long = |pod: &&&Pod| {
        let end = terminated(pod, STEP).filter(|end| end.exit_code == 0).and_then(|end| end.finished_at.as_ref());
        end.is_some_and(|at| now.as_second() - at.0.as_second() >= STORE_GRACE) && publish_runs(pod)
    };
    seen.pods.iter().find(is_long).copied()
}

/// Why the upload of a pod is tried again, in the words that `publish` gave the kubelet a little while ago.
fn upload_trouble<'a>(seen: &Seen<'a>, pod: &Pod, now: Timestamp) -> Option<&'a str> {
    let event = seen.probes.get(pod.metadata.uid.as_deref()?)?.last.as_ref()?;
    let is_fresh = event.seen_at.is_none_or(|at| now.as_second() - at.as_second() < PROBE_EVENT_HOLDS);
    let said = event.message.strip_prefix("Liveness probe failed: ").unwrap_or(&event.message).trim();
    (is_fresh && publish_runs(pod)).then_some(said)
}

fn publish_runs(pod: &Pod) -> bool {
    let publish = statuses(pod).find(|status| status.name == PUBLISH);
    publish.is_some_and(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

fn publish_is_unready(pod: &Pod) -> bool {
    let publish = statuses(pod).find(|status| status.name == PUBLISH);
    publish.is_some_and(|status| !status.ready && status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// True where, if nothing more is heard of an attempt, time must decide: it is about to end, waits for the store, has lost
/// what would keep its outputs, or has no pod.
pub(crate) fn needs_time(seen: &Seen<'_>) -> bool {
    let Seen { job, pods, .. } = *seen;
    ended(job).is_some()
        || pods.is_empty()
        || pods.iter().any(|pod| {
            matches!(phase(pod), "Pending" | "Running")
                && (publish_failed(pod).is_some()
                    || failed_step(pod).is_some()
                    || terminated(pod, STEP).is_some() && publish_runs(pod))
        })
}

/// The image of the step's container as it was really run.
pub(crate) fn image_digest(pods: &[&Pod]) -> Option<String> {
    pods.iter()
        .flat_map(|pod| statuses(pod))
        .find(|status| status.name == STEP && !status.image_id.is_empty())
        .map(|status| status.image_id.clone())
}
