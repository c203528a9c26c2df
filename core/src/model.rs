//! Decides for a Model: which of its versions is the newest, which the newest that passed, what serves, and what waits.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{ModelSpec, ModelStatus, ModelVersion, Purpose, ServedVersion, Verdict, WaitingVersion, limits};

use crate::authority::{Authority, Standing};
use crate::conditions::{self, Status, types};
use crate::observed::ModelObserved;
use crate::plan::{Event, EventType, Plan};
use crate::{gates, names, text};

pub(crate) mod champion;
mod states;

/// Decides what a Model's status says. Experiments are judged like releases, but are neither the newest nor the newest that
/// passed: followers take releases only.
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
        Some((field, problem)) => (Status::False, "InvalidGates", format!("spec.{field}: {problem}")),
        None if !gates::judges(&model.spec) => (
            Status::True,
            "NoGates",
            "versions stay unjudged: answer errorCosts and fairness, or add gates or a budget, to have them judged"
                .to_owned(),
        ),
        None => (Status::True, "Accepted", format!("every version is judged by {}", judged_by(&model.spec))),
    };
    let message = match gates::waivers::without_effect(&model.spec, &versions) {
        None => message,
        Some(why) => format!("{message}; {why}"),
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
    set_answered(&model.spec, &mut status, generation, now);
    set_serving(observed, &mut status);
    let champion = champion::champion(&model.name_any(), &observed.versions, &observed.deployments, None);
    status.champion = champion.map(|champion| champion.version.name_any());
    status.waiting = waiting(&model.spec, &versions);
    let events = set_serving_meets_gates(observed, &mut status, generation, now);
    status.gates_revision = Some(states::current(&model.name_any(), &model.spec));
    let changed = Some(&status) != model.status.as_ref();
    let plan = Plan { status: changed.then_some(status), stages: states::keep(observed), events, ..Plan::default() };
    plan.defer_blocked(&observed.blocked, now)
}

/// Says which questions are open.
fn set_answered(model: &ModelSpec, status: &mut ModelStatus, generation: Option<i64>, now: Timestamp) {
    let open = gates::unanswered(model);
    status.unanswered = open.iter().map(|question| (*question).to_owned()).collect();
    let (value, reason, message) = if open.is_empty() {
        (Status::True, "Answered", "every question is answered".to_owned())
    } else {
        let questions: Vec<String> = open.iter().map(|question| gates::open_question(question)).collect();
        (Status::False, "QuestionsOpen", format!("no version passes yet: {}", questions.join("; ")))
    };
    conditions::set(&mut status.conditions, types::ANSWERED, value, reason, message, generation, now);
}

/// Says what serves where, and since when.
fn set_serving(observed: &ModelObserved, status: &mut ModelStatus) {
    let serves = |deployment: &seatrial_crds::ModelDeployment| {
        let served = deployment.status.as_ref()?;
        let (version, since) = (served.served_version.clone()?, served.served_since.clone());
        Some(ServedVersion { deployment: deployment.name_any(), version, since })
    };
    let mut serving: Vec<ServedVersion> = observed
        .deployments
        .iter()
        .filter(|deployment| deployment.metadata.deletion_timestamp.is_none())
        .filter_map(|deployment| serves(deployment))
        .collect();
    serving.sort_by(|one, other| one.deployment.cmp(&other.deployment));
    serving.truncate(limits::SERVING);
    let model = observed.model.name_any();
    let mut names: Vec<&str> = serving.iter().map(|serving| serving.version.as_str()).collect();
    names.sort_unstable_by_key(|name| Reverse((names::version_number(&model, name), *name)));
    names.dedup();
    let mut served = names.join(", ");
    text::truncate(&mut served, limits::SENTENCE);
    let shown = names.first().copied().or(status.passed_version.as_deref());
    let shown = shown.and_then(|name| observed.versions.iter().find(|version| version.name_any() == name));
    status.headline = shown.and_then(|version| version.status.as_ref()?.headline.clone());
    status.served_versions = (!served.is_empty()).then_some(served);
    status.serving = serving;
}

/// What the newest released version waits for; what failed waits for nothing.
fn waiting(model: &ModelSpec, versions: &[&ModelVersion]) -> Vec<WaitingVersion> {
    let Some(newest) = newest_release(versions) else { return vec![] };
    let Some(status) = &newest.status else { return vec![] };
    let wait = |gate: Option<&str>, waits_for: &str| {
        let (gate, mut waits_for) = (gate.map(str::to_owned), waits_for.to_owned());
        text::truncate(&mut waits_for, limits::SENTENCE);
        WaitingVersion { version: newest.name_any(), gate, waits_for }
    };
    if status.verdict == Some(Verdict::Pending) {
        let how = conditions::find(&status.conditions, types::PASSED);
        return vec![wait(None, how.map_or("it is being measured", |passed| &passed.message))];
    }
    if status.verdict == Some(Verdict::Held) {
        let why = conditions::find(&status.conditions, types::PASSED);
        return vec![wait(None, why.map_or("a newer version", |passed| &passed.message))];
    }
    // What is open decides nothing where another gate is not met: nobody is asked to approve what cannot pass.
    if matches!(status.verdict, Some(Verdict::Failed | Verdict::Error)) {
        return vec![];
    }
    let judgement = status.judgements.first();
    let judgement = judgement.filter(|judgement| judgement.gates_digest == gates::digest(model));
    let gates =
        judgement.filter(|judgement| Some(judgement.verdict) == status.verdict).map(|judgement| &judgement.gates);
    // Nobody is asked to approve what evidence does not decide.
    let asks = status.verdict == Some(Verdict::AwaitingApproval);
    let is_open = |verdict| match verdict {
        Verdict::Inconclusive | Verdict::Pending | Verdict::Unjudged => true,
        Verdict::AwaitingApproval => asks,
        _ => false,
    };
    let open = gates.into_iter().flatten().filter(|gate| is_open(gate.verdict));
    open.map(|gate| wait(Some(&gate.name), &gate.message)).take(limits::WAITING).collect()
}

/// Says whether all that serves meets the gates. Nothing is withdrawn.
fn set_serving_meets_gates(
    observed: &ModelObserved,
    status: &mut ModelStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Event> {
    let authority = Authority::new(Some(&observed.model), &observed.versions, now);
    let (mut unmet, mut is_open) = (vec![], false);
    for serving in &status.serving {
        let version = observed.versions.iter().find(|version| version.name_any() == serving.version);
        match version.map(|version| authority.standing(version)) {
            Some(Standing::Fails(_)) => unmet.push(format!("{} ({})", serving.version, serving.deployment)),
            Some(Standing::Open(_)) => is_open = true,
            _ => {}
        }
    }
    let kind = types::SERVING_MEETS_GATES;
    if status.serving.is_empty() {
        conditions::remove(&mut status.conditions, kind);
        return vec![];
    }
    let (value, reason, message) = match unmet.as_slice() {
        // The condition stays as it is until all that serves is judged again.
        [] if is_open => return vec![],
        [] => (Status::True, "AllGatesPassed", "every version that serves passes, or is waived".to_owned()),
        unmet => (
            Status::False,
            "ServesUnpassed",
            format!(
                "these serve and are not withdrawn, though they do not pass: {}; kubectl describe modelversion says why",
                unmet.join(", ")
            ),
        ),
    };
    let was_said = conditions::is(&status.conditions, kind, Status::False);
    conditions::set(&mut status.conditions, kind, value, reason, message.clone(), generation, now);
    let is_new = value == Status::False && !was_said;
    is_new.then_some(Event { kind: EventType::Warning, reason, action: "Serve", message }).into_iter().collect()
}

/// `2 gates`, `1 gate, what errors cost and the budget`.
fn judged_by(model: &ModelSpec) -> String {
    let count = |count: usize, one: &str, several: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {several}")),
    };
    let rules = model.fairness.as_ref().map_or(0, |fairness| fairness.rules.len());
    let has_costs = model.error_costs.as_ref().is_some_and(|answer| answer.not_applicable.is_none());
    let has_budget = model.budget.as_ref().is_some_and(|budget| budget.max_size.is_some());
    let parts = [
        count(model.gates.len(), "gate", "gates"),
        has_costs.then(|| "what errors cost".to_owned()),
        count(rules, "rule of fairness", "rules of fairness"),
        has_budget.then(|| "the budget".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => "nothing".to_owned(),
    }
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
    newest(versions, passes)
}

/// Whether a version was judged to pass, with or without a waiver.
pub(crate) fn passes(version: &ModelVersion) -> bool {
    let verdict = version.status.as_ref().and_then(|status| status.verdict);
    matches!(verdict, Some(Verdict::Passed | Verdict::Waived))
}

/// The newest released version of those that count.
pub(crate) fn newest<'a>(
    versions: &[&'a ModelVersion],
    counts: impl Fn(&ModelVersion) -> bool,
) -> Option<&'a ModelVersion> {
    let alive = versions.iter().filter(|version| version.metadata.deletion_timestamp.is_none());
    let released = alive.filter(|version| version.spec.purpose == Purpose::Release && counts(version));
    released.max_by_key(|version| version.spec.number).copied()
}

#[cfg(test)]
mod tests;
