//! What became of an attempt at a check.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::ResourceExt;
use seatrial_crds::ContractCheck;

use super::input_name;
use crate::attempt::is_pod_of;
use crate::attempt::reading::{Reading, Waits, failed, fetch_failure, killed_for_memory, unsaid};
use crate::contract::check::{CheckMessage, CheckSummary};
use crate::contract::{Cause, ExitCode, KnownInput, Message};
use crate::observed::ContractObserved;
use crate::pod_state::terminated;
use crate::pods::{CHECK, FETCH, REPORT};

/// How the program that checks is spoken of.
const WAITS: Waits = Waits { cannot: "the data cannot be checked yet", program: "the check" };

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
    now: Timestamp,
) -> Reading<Found> {
    let pods = pods_of(observed, job);
    let nothing = || pods.iter().find_map(|pod| lasting(pod)).map(Found::Nothing);
    match pods.iter().find_map(|pod| said(check, known, pod)).or_else(nothing) {
        Some(found) => Reading::Ended(found),
        None => unsaid(job, &pods, observed.live_reads.get(&job.name_any()).copied(), WAITS, failure, now),
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
    let end = failed(pod, FETCH)?;
    ExitCode::from_number(end.exit_code).filter(|code| code.cause() == Cause::Data)?;
    fetch_failure(pod)
}

/// Why a pod failed, told by the container whose fault it was.
fn failure(pod: &Pod) -> Option<String> {
    if let Some(end) = failed(pod, CHECK) {
        let ended = || format!("the check ended with exit code {}: the log of {CHECK} says more", end.exit_code);
        return Some(killed_for_memory("the check", end).unwrap_or_else(ended));
    }
    if let Some(end) = failed(pod, REPORT) {
        return Some(format!("{REPORT} ended with exit code {}: its log says more", end.exit_code));
    }
    fetch_failure(pod)
}
