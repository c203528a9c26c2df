//! Reads what became of a Job whose program says all that it found in its termination message.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use super::outcome::{Late, has_ended, late};
use crate::contract::Message;
use crate::pod_state::{cannot_start, phase, statuses, terminated, unschedulable};
use crate::pods::FETCH;

/// What is seen of an attempt's Job.
pub(crate) enum Reading<T> {
    /// It goes on; the sentence says what holds it up.
    Running(Option<String>),
    /// What came of it is not in sight: the API server must say whether there is more to see.
    LiveRead,
    /// It is done.
    Ended(T),
    /// It came to nothing; another may.
    Failed(String),
}

impl<T> Reading<T> {
    /// Makes something else of what a Job came to.
    pub(crate) fn and_then<U>(self, next: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Running(held) => Reading::Running(held),
            Self::LiveRead => Reading::LiveRead,
            Self::Ended(found) => next(found),
            Self::Failed(why) => Reading::Failed(why),
        }
    }
}

/// How a program is spoken of while its pod waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// What cannot be done where a container cannot start.
    pub(crate) cannot: &'static str,
    /// The program, which may wait for a node.
    pub(crate) program: &'static str,
}

/// What is seen of a Job, none of whose pods in sight has said what it found. `confirmed` is when the API server was last asked
/// about it and its pods, and `failure` says why a pod failed.
pub(crate) fn unsaid<T>(
    job: &Job,
    pods: &[&Pod],
    confirmed: Option<Timestamp>,
    waits: Waits,
    failure: impl Fn(&Pod) -> Option<String>,
    now: Timestamp,
) -> Reading<T> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let mut ended = conditions.filter(|condition| condition.status == "True");
    let end = ended.find(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"));
    let Some(end) = end else {
        return Reading::Running(pods.iter().find_map(|pod| held(pod, waits)));
    };
    let why = |otherwise: String| Reading::Failed(pods.iter().find_map(|pod| failure(pod)).unwrap_or(otherwise));
    let lost = match end.type_.as_str() {
        "Failed" => format!("its Job failed: {}", end.message.as_deref().unwrap_or_default()),
        _ => "its Job is complete, and what it said is lost".to_owned(),
    };
    if end.type_ == "Failed" && pods.iter().any(|pod| has_ended(pod)) {
        return why(lost);
    }
    match late(job, confirmed, now) {
        Late::Wait => Reading::Running(None),
        Late::LiveRead => Reading::LiveRead,
        Late::Lost => why(lost),
    }
}

/// What holds a pod up.
fn held(pod: &Pod, waits: Waits) -> Option<String> {
    if phase(pod) != "Pending" {
        return None;
    }
    let cannot = statuses(pod).find_map(cannot_start).map(|(_, what)| format!("{}: {what}", waits.cannot));
    cannot.or_else(|| unschedulable(pod).map(|_| format!("{} waits for a node", waits.program)))
}

/// How a container ended, where it did so badly.
pub(crate) fn failed<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    terminated(pod, container).filter(|end| end.exit_code != 0)
}

/// What is said of a container of the evidence program that was killed for memory.
pub(crate) fn killed_for_memory(program: &str, end: &ContainerStateTerminated) -> Option<String> {
    let is_killed = end.reason.as_deref() == Some("OOMKilled");
    is_killed.then(|| format!("{program} was killed for memory: ask the platform team to raise judge.resources"))
}

/// Why the data could not be brought, in the words of `fetch`.
pub(crate) fn fetch_failure(pod: &Pod) -> Option<String> {
    let end = failed(pod, FETCH)?;
    let said = end.message.as_deref().and_then(|text| Message::parse(text).ok()).and_then(|message| message.failure);
    let unsaid = || format!("the data could not be fetched (exit code {})", end.exit_code);
    Some(said.map_or_else(unsaid, |failure| failure.message))
}
