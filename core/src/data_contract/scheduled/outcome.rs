//! What became of an attempt at a check.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::ContractCheck;

use super::input_name;
use crate::attempt::is_pod_of;
use crate::contract::check::{CheckMessage, CheckSummary};
use crate::contract::{Cause, ExitCode, KnownInput, Message};
use crate::observed::ContractObserved;
use crate::pod_state::{cannot_start, phase, statuses, terminated, unschedulable};
use crate::pods::{CHECK, FETCH, REPORT};

/// What became of an attempt.
pub(super) enum Outcome {
    /// It goes on; the sentence says what holds it up.
    Running(Option<String>),
    /// It came to its end.
    Found(Found),
    /// It did not, and another may.
    Failed(String),
}

/// What a check found.
pub(super) enum Found {
    /// The tables, in the contract's order.
    Tables(Vec<FoundTable>),
    /// The data with the digests that were known, which nobody read again.
    Unchanged,
    /// Nothing, and why: the same again would find the same.
    Nothing(String),
}

/// What a check found of a table.
pub(super) struct FoundTable {
    /// The name of the schema object.
    pub(super) schema: String,
    /// What is said of its data.
    pub(super) summary: CheckSummary,
    /// The digest of the data.
    pub(super) digest: Option<String>,
}

/// What became of an attempt whose Job this is. `known` are the digests of the data that were checked already, if all were.
pub(super) fn outcome(
    observed: &ContractObserved,
    check: &ContractCheck,
    known: Option<&[KnownInput]>,
    job: &Job,
) -> Outcome {
    let pods = pods_of(observed, job);
    if let Some(found) = pods.iter().find_map(|pod| said(check, known, pod)) {
        return Outcome::Found(found);
    }
    if let Some(why) = pods.iter().find_map(|pod| lasting(pod)) {
        return Outcome::Found(Found::Nothing(why));
    }
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let ended = conditions.filter(|condition| condition.status == "True").find_map(|condition| {
        let message = condition.message.clone().unwrap_or_default();
        match condition.type_.as_str() {
            "Complete" => Some("its Job is complete, and what it said is lost".to_owned()),
            "Failed" => Some(format!("its Job failed: {message}")),
            _ => None,
        }
    });
    match ended {
        Some(ended) => Outcome::Failed(pods.iter().find_map(|pod| failure(pod)).unwrap_or(ended)),
        None => Outcome::Running(pods.iter().find_map(|pod| held(pod))),
    }
}

/// Whether a pod of a Job has said what it found: the Job is about to end by itself.
pub(super) fn has_said(observed: &ContractObserved, job: &Job) -> bool {
    pods_of(observed, job).iter().any(|pod| terminated(pod, REPORT).is_some_and(|end| end.exit_code == 0))
}

fn pods_of<'a>(observed: &'a ContractObserved, job: &Job) -> Vec<&'a Pod> {
    observed.pods.iter().map(AsRef::as_ref).filter(|pod| is_pod_of(pod, job)).collect()
}

/// What a pod that came to its end said.
fn said(check: &ContractCheck, known: Option<&[KnownInput]>, pod: &Pod) -> Option<Found> {
    let end = terminated(pod, REPORT).filter(|end| end.exit_code == 0)?;
    let message = CheckMessage::parse(end.message.as_deref()?).ok()?;
    let fetched = terminated(pod, FETCH).and_then(|end| Message::parse(end.message.as_deref()?).ok());
    let inputs = fetched.map(|message| message.inputs).unwrap_or_default();
    if message.checks.is_empty() {
        let is_same = |known: &KnownInput| inputs.iter().any(|it| it.name == known.name && it.digest == known.digest);
        return known.filter(|known| known.iter().all(is_same)).map(|_| Found::Unchanged);
    }
    let digests: BTreeMap<String, String> =
        inputs.into_iter().map(|input| (input.name, input.digest.to_string())).collect();
    let mut summaries = message.checks;
    let table = |(index, data): (usize, &seatrial_crds::CheckedData)| {
        let name = input_name(index);
        let place = summaries.iter().position(|summary| summary.input == name)?;
        let summary = summaries.swap_remove(place);
        Some(FoundTable { schema: data.schema.clone(), summary, digest: digests.get(&name).cloned() })
    };
    check.data.iter().enumerate().map(table).collect::<Option<_>>().map(Found::Tables)
}

/// Why no attempt would find anything: the data are not there, or not what they say they are.
fn lasting(pod: &Pod) -> Option<String> {
    let end = terminated(pod, FETCH).filter(|end| end.exit_code != 0)?;
    let code = ExitCode::from_number(end.exit_code).filter(|code| code.cause() == Cause::Data)?;
    Some(fetch_failure(pod).unwrap_or_else(|| code.text().to_owned()))
}

/// Why a pod failed, told by the container whose fault it was.
fn failure(pod: &Pod) -> Option<String> {
    let ended = |name: &str| terminated(pod, name).filter(|end| end.exit_code != 0);
    if let Some(end) = ended(CHECK) {
        return Some(match end.reason.as_deref() {
            Some("OOMKilled") => {
                "the check was killed for memory: ask the platform team to raise judge.resources".to_owned()
            }
            _ => format!("the check ended with exit code {}: the log of {CHECK} says more", end.exit_code),
        });
    }
    if let Some(end) = ended(REPORT) {
        return Some(format!("{REPORT} ended with exit code {}: its log says more", end.exit_code));
    }
    fetch_failure(pod)
}

/// Why the data could not be brought, in the words of `fetch`.
fn fetch_failure(pod: &Pod) -> Option<String> {
    let end = terminated(pod, FETCH).filter(|end| end.exit_code != 0)?;
    let message = Message::parse(end.message.as_deref().unwrap_or_default()).ok();
    let failure = message.and_then(|message| message.failure).map(|failure| failure.message);
    Some(failure.unwrap_or_else(|| format!("the data could not be fetched (exit code {})", end.exit_code)))
}

/// What holds a pod up.
fn held(pod: &Pod) -> Option<String> {
    if phase(pod) != "Pending" {
        return None;
    }
    let cannot =
        statuses(pod).find_map(cannot_start).map(|(_, what)| format!("the data cannot be checked yet: {what}"));
    cannot.or_else(|| unschedulable(pod).map(|_| "the check waits for a node".to_owned()))
}
