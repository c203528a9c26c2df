//! Decides for a Model: which of its versions is the newest, and which the newest that passed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{ModelSpec, ModelStatus, ModelVersion, Purpose, Verdict, limits};

use crate::conditions::{self, Status, types};
use crate::gates;
use crate::observed::ModelObserved;
use crate::plan::Plan;

/// Decides. Experiments are judged like releases, but count for neither: followers take releases only.
pub fn plan(observed: &ModelObserved, now: Timestamp) -> Plan<ModelStatus> {
    let model = &observed.model;
    if model.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let versions: Vec<&ModelVersion> = observed.versions.iter().map(AsRef::as_ref).collect();
    let mut status = model.status.clone().unwrap_or_default();
    status.newest_version = newest_release(&versions).map(ResourceExt::name_any);
    status.passed_version = newest_passed(&versions).map(ResourceExt::name_any);
    let (value, reason, message) = match gates::problem(&model.spec) {
        Some(problem) => (Status::False, "InvalidGates", problem),
        None if !gates::judges(&model.spec) => {
            (Status::True, "NoGates", "versions stay unjudged: add gates or a budget to have them judged".to_owned())
        }
        None => (Status::True, "Accepted", format!("every version is judged by {}", judged_by(&model.spec))),
    };
    status.publishers = publishers(&versions);
    let message = match status.publishers.as_slice() {
        [] | [_] => message,
        several => format!("{message}; several pipelines publish to this model: {}", several.join(", ")),
    };
    let generation = model.metadata.generation;
    status.observed_generation = generation;
    conditions::set(&mut status.conditions, types::READY, value, reason, message, generation, now);
    if value == Status::False {
        let message = conditions::find(&status.conditions, types::READY).map(|ready| ready.message.clone());
        let message = message.unwrap_or_default();
        conditions::set(&mut status.conditions, types::STALLED, Status::True, reason, message, generation, now);
    } else {
        conditions::remove(&mut status.conditions, types::STALLED);
    }
    let changed = Some(&status) != model.status.as_ref();
    Plan { status: changed.then_some(status), ..Plan::default() }
}

/// `2 gates`, `1 gate and the budget`.
fn judged_by(model: &ModelSpec) -> String {
    let gates = match model.gates.len() {
        0 => return "the budget".to_owned(),
        1 => "1 gate".to_owned(),
        count => format!("{count} gates"),
    };
    let has_budget = model.budget.as_ref().is_some_and(|budget| budget.max_size.is_some());
    if has_budget { format!("{gates} and the budget") } else { gates }
}

/// The pipelines that made the model's versions, by name, as far as there is room.
fn publishers(versions: &[&ModelVersion]) -> Vec<String> {
    let names: BTreeSet<&str> = versions.iter().filter_map(|version| version.spec.pipeline()).collect();
    names.into_iter().take(limits::PUBLISHERS).map(str::to_owned).collect()
}

/// The newest released version.
pub fn newest_release<'a>(versions: &[&'a ModelVersion]) -> Option<&'a ModelVersion> {
    newest(versions, |_| true)
}

/// The newest released version that passed every gate.
pub fn newest_passed<'a>(versions: &[&'a ModelVersion]) -> Option<&'a ModelVersion> {
    newest(versions, |version| version.status.as_ref().is_some_and(|status| status.verdict == Some(Verdict::Passed)))
}

fn newest<'a>(versions: &[&'a ModelVersion], counts: impl Fn(&ModelVersion) -> bool) -> Option<&'a ModelVersion> {
    let alive = versions.iter().filter(|version| version.metadata.deletion_timestamp.is_none());
    let released = alive.filter(|version| version.spec.purpose == Purpose::Release && counts(version));
    released.max_by_key(|version| version.spec.number).copied()
}
