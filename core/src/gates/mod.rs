//! Judges a version, by pure functions of a Model's answers and gates, of the version's metrics, and of what was measured of
//! its predictions. One file for each type of gate, and for each answer. Nothing here starts a Job: another bound, cost or
//! prevalence has its verdict at once.

pub mod approval;
mod champion;
mod contradictions;
mod costs;
mod enough;
mod fairness;
pub mod figures;
mod intervals;
pub mod leakage;
mod measured;
mod metric;
mod paired;
mod pinball;
mod pooled;
mod size;
mod summary;
pub mod waivers;
mod wording;

pub use champion::{DuelState, asks_for_duel};
pub use contradictions::problem;
pub(crate) use paired::fits;
pub use summary::summary;

use seatrial_crds::{
    FairnessRule, Gate, GateJudgement, GateType, Measurement, Metric, MetricGate, ModelSpec, ModelVersionSpec,
    OutputType, Task, TaskType, Threshold, Verdict, limits,
};
use serde_json::{Value, json};

use self::pooled::{Costs, Pooled};
use self::wording::Words;
use crate::{digest, text};

/// The name under which the budget's size is judged.
pub const MAX_SIZE: &str = "budget.maxSize";
/// The name under which what errors cost is judged.
pub const ERROR_COSTS: &str = "errorCosts";
/// The name of the question whom the model must treat alike; its rules are judged as `fairness.<rule>`.
pub const FAIRNESS: &str = "fairness";
/// The name of the question who asks the model.
pub const CONSUMERS: &str = "consumers";

/// What is known of a version's predictions.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence<'a> {
    /// They were measured.
    Measured(&'a Measurement),
    /// They are being measured; the sentence says how it stands.
    Pending(String),
    /// They cannot be measured; the sentence says why.
    Unavailable(String),
}

/// What one gate found.
struct Finding {
    verdict: Verdict,
    value: Option<String>,
    message: String,
}

impl Finding {
    const fn without_value(verdict: Verdict, message: String) -> Self {
        Self { verdict, value: None, message }
    }
}

/// What all gates of a Model know of a version's predictions.
struct Known<'a> {
    words: Words<'a>,
    evidence: &'a Evidence<'a>,
    /// The metrics that nobody but the judge may say.
    measurable: Vec<&'static str>,
    costs: Option<Costs<'a>>,
    pooled: Option<Pooled>,
}

impl<'a> Known<'a> {
    fn new(model: &'a ModelSpec, version: &ModelVersionSpec, evidence: &'a Evidence<'a>) -> Self {
        let costs = model.error_costs.as_ref().and_then(Costs::of);
        // Who breaks the predictions, or leaves them out, must not be judged by what a step says of itself instead.
        let is_measured = model.evaluation.is_some() || needs_measurement(model, version);
        let measurable = if is_measured { measured::measurable(model.task.as_ref()) } else { Vec::new() };
        let pooled = match evidence {
            Evidence::Measured(measurement) => pooled::pool(measurement, costs.as_ref()),
            _ => None,
        };
        Self { words: Words::of(model.task.as_ref()), evidence, measurable, costs, pooled }
    }

    /// The measurement; or what a gate finds that needs one.
    fn measurement(&self) -> Result<&'a Measurement, Finding> {
        match self.evidence {
            Evidence::Measured(measurement) => match &measurement.problem {
                Some(problem) => Err(Finding::without_value(Verdict::Error, problem.clone())),
                None => Ok(measurement),
            },
            Evidence::Pending(how) => Err(Finding::without_value(Verdict::Pending, how.clone())),
            Evidence::Unavailable(why) => Err(Finding::without_value(Verdict::Error, why.clone())),
        }
    }

    /// Whether the judge's word alone decides about a metric.
    fn is_measured(&self, name: &str) -> bool {
        self.measurable.contains(&name)
            || self.measurement().is_ok_and(|known| known.metrics.iter().any(|metric| metric.name == name))
    }

    /// The measurement with its decisions; or what a gate finds that needs them.
    fn decisions(&self) -> Result<(&'a Measurement, &Pooled), Finding> {
        let measurement = self.measurement()?;
        let pooled = self.pooled.as_ref().ok_or_else(|| {
            let message = "nobody decides: the task is no binary classification, or its scores are no probabilities and no costs choose a threshold";
            Finding::without_value(Verdict::Error, message.to_owned())
        })?;
        Ok((measurement, pooled))
    }

    /// What is found by the decisions.
    fn decide(&self, find: impl FnOnce(&Measurement, &Pooled) -> Finding) -> Finding {
        match self.decisions() {
            Ok((measurement, pooled)) => {
                let mut finding = find(measurement, pooled);
                wording::name_source(&mut finding.message, measurement.labels);
                finding
            }
            Err(finding) => finding,
        }
    }
}

/// All verdicts of a Model on a version: its gates in their order, then its answers, and what it left unanswered.
pub fn judge(
    model: &ModelSpec,
    version: &ModelVersionSpec,
    evidence: &Evidence<'_>,
    duel: &DuelState<'_>,
) -> Vec<GateJudgement> {
    let known = Known::new(model, version, evidence);
    let mut judgements: Vec<GateJudgement> = model
        .gates
        .iter()
        .map(|gate| judgement(&gate.name, Some(gate.kind), judge_gate(gate, version, &known, duel)))
        .collect();
    if applies(model) {
        let finding = match &known.costs {
            Some(costs) => known.decide(|_, pooled| costs::judge_answer(costs, pooled, known.words)),
            None => Finding::without_value(Verdict::Error, contradictions::INCOMPLETE_COSTS.to_owned()),
        };
        judgements.push(judgement(ERROR_COSTS, None, finding));
    }
    for rule in rules(model) {
        let finding = known.decide(|measurement, pooled| fairness::judge(rule, measurement, pooled, known.words));
        judgements.push(judgement(&format!("{FAIRNESS}.{}", rule.name), None, finding));
    }
    for question in unanswered(model) {
        let finding = Finding::without_value(Verdict::Unjudged, open_question(question));
        judgements.push(judgement(question, None, finding));
    }
    if let Some(limit) = model.budget.as_ref().and_then(|budget| budget.max_size.as_ref()) {
        judgements.push(judgement(MAX_SIZE, None, size::judge(limit, &version.artifact)));
    }
    judgements
}

/// The names of all that versions of a Model are judged by, as [`judge`] gives them, with the check of leakage.
pub fn names(model: &ModelSpec) -> Vec<String> {
    let gates = model.gates.iter().map(|gate| gate.name.clone());
    let costs = applies(model).then(|| ERROR_COSTS.to_owned());
    let rules = rules(model).iter().map(|rule| format!("{FAIRNESS}.{}", rule.name));
    let budget = model.budget.as_ref().and_then(|budget| budget.max_size.as_ref()).map(|_| MAX_SIZE.to_owned());
    gates.chain(costs).chain(rules).chain(budget).chain([leakage::LEAKAGE.to_owned()]).collect()
}

fn judge_gate(gate: &Gate, version: &ModelVersionSpec, known: &Known<'_>, duel: &DuelState<'_>) -> Finding {
    match gate.kind {
        GateType::Champion => champion::judge(gate.champion.as_ref(), &version.artifact.digest, known, duel),
        GateType::Approval => approval::unheard(),
        GateType::Metric => metric::judge(gate.metric.as_ref(), version, known),
        GateType::Cost => match (&gate.cost, &known.costs) {
            (Some(gate), Some(costs)) => known.decide(|_, pooled| costs::judge_gate(gate, costs, pooled, known.words)),
            (_, None) => Finding::without_value(Verdict::Error, costs::UNKNOWN.to_owned()),
            (None, _) => {
                let message = "the gate does not say how much errors may cost: set its field cost";
                Finding::without_value(Verdict::Error, message.to_owned())
            }
        },
    }
}

fn judgement(name: &str, kind: Option<GateType>, finding: Finding) -> GateJudgement {
    let Finding { verdict, mut value, mut message } = finding;
    text::truncate(&mut message, limits::SENTENCE);
    value = value.filter(|value| value.len() <= limits::DECIMAL);
    GateJudgement { name: name.to_owned(), kind, verdict, value, message }
}

/// Whether the errors of a Model have costs.
fn applies(model: &ModelSpec) -> bool {
    model.error_costs.as_ref().is_some_and(|answer| answer.not_applicable.is_none())
}

fn rules(model: &ModelSpec) -> &[FairnessRule] {
    model.fairness.as_ref().map(|fairness| fairness.rules.as_slice()).unwrap_or_default()
}

/// The questions that a Model leaves open: no version passes until each is answered, or said not to apply.
pub fn unanswered(model: &ModelSpec) -> Vec<&'static str> {
    [
        (ERROR_COSTS, model.error_costs.is_some()),
        (
            FAIRNESS,
            model.fairness.as_ref().is_some_and(|answer| answer.not_applicable.is_some() || !answer.rules.is_empty()),
        ),
        (CONSUMERS, model.consumers.is_some()),
    ]
    .into_iter()
    .filter_map(|(question, answered)| (!answered).then_some(question))
    .collect()
}

/// What is to be done about an open question.
pub fn open_question(question: &str) -> String {
    match question {
        ERROR_COSTS => {
            "nobody has said what errors cost: answer spec.errorCosts, or its notApplicable with a reason".to_owned()
        }
        FAIRNESS => {
            "nobody has said whom the model must treat alike: answer spec.fairness, or its notApplicable with a reason"
                .to_owned()
        }
        _ => "nobody has said who asks the model: answer spec.consumers; an empty list says that nobody in the cluster does"
            .to_owned(),
    }
}

/// Whether a version's predictions are to be measured: the Model says what it decides, and there are some.
pub fn needs_measurement(model: &ModelSpec, version: &ModelVersionSpec) -> bool {
    model.task.as_ref().is_some_and(|task| task.kind != TaskType::Other)
        && version.evidence.iter().any(|evidence| evidence.kind == Some(OutputType::Predictions))
}

/// The columns that divide a version's rows into groups: the owner's slices, or, where the predictions have the labels,
/// those that rules of fairness name.
pub fn slices(model: &ModelSpec) -> Vec<String> {
    match &model.evaluation {
        Some(evaluation) => evaluation.slices.clone(),
        None => {
            let mut slices: Vec<String> = rules(model).iter().map(|rule| rule.slice.clone()).collect();
            slices.sort_unstable();
            slices.dedup();
            slices
        }
    }
}

/// The threshold that the costs of errors choose: on all rows, with the range of those that the folds chose. `None` without
/// costs or scores.
pub fn threshold(model: &ModelSpec, measurement: &Measurement) -> Option<Threshold> {
    pooled::threshold(measurement, &Costs::of(model.error_costs.as_ref()?)?)
}

/// Whether a Model judges at all: by gates, by its answers, or by its budget.
pub fn judges(model: &ModelSpec) -> bool {
    !model.gates.is_empty()
        || applies(model)
        || !rules(model).is_empty()
        || model.budget.as_ref().is_some_and(|budget| budget.max_size.is_some())
}

/// What says most about a version, for tables: the metric that the first gate names, else what errors cost, else the first
/// metric there is. Nothing while a judge measures: what the team says of itself would stand there for some seconds, and then
/// another number.
pub fn headline(model: Option<&ModelSpec>, version: &ModelVersionSpec, evidence: &Evidence<'_>) -> Option<String> {
    if matches!(evidence, Evidence::Pending(_)) {
        return None;
    }
    let known = model.map(|model| Known::new(model, version, evidence));
    // What the judge's word alone decides is not shown by another's.
    let is_own = |metric: &&Metric| known.as_ref().is_none_or(|known| !known.is_measured(&metric.name));
    let by_gate = |gate: &MetricGate| {
        let name = gate.name.as_str();
        let measurement = known.as_ref().and_then(|known| known.measurement().ok());
        let pooled = known.as_ref().and_then(|known| known.pooled.as_ref());
        let measured = measurement.and_then(|measurement| measured::find(gate, measurement, pooled));
        let own = || {
            metric::find(name, version).ok().filter(|metric| metric.name != name || is_own(metric)).map(metric::short)
        };
        measured.map(|found| metric::shortened(name, &found.value)).or_else(own)
    };
    let gates = model.map(|model| model.gates.as_slice()).unwrap_or_default();
    let named = gates.iter().find_map(|gate| by_gate(gate.metric.as_ref()?));
    let cost = || {
        let known = known.as_ref()?;
        let costs = known.costs.as_ref()?;
        let cost = costs.per_prediction(&known.pooled.as_ref()?.all);
        Some(format!("cost={} {}", wording::shown(&cost), costs.unit))
    };
    named.or_else(cost).or_else(|| version.metrics.iter().find(is_own).map(metric::short))
}

/// The verdict of the whole: what is not met decides; then what could not be judged, what is still measured, what nobody
/// answered, and only then what people have to approve: nobody is asked for a word on what may not pass. All must pass, or be
/// waived.
pub fn overall(judgements: &[GateJudgement]) -> Verdict {
    let any = |verdict| judgements.iter().any(|judgement| judgement.verdict == verdict);
    [
        Verdict::Failed,
        Verdict::Error,
        Verdict::Inconclusive,
        Verdict::Pending,
        Verdict::Unjudged,
        Verdict::AwaitingApproval,
        Verdict::Waived,
    ]
    .into_iter()
    .find(|verdict| any(*verdict))
    .unwrap_or(if judgements.is_empty() { Verdict::Unjudged } else { Verdict::Passed })
}

/// Names what is judged by: another digest means another judgement.
pub fn digest(model: &ModelSpec) -> String {
    format!("sha256:{}", digest::of_json(&judging(model)))
}

/// What of a task verdicts and measurements depend on: not the owner's words for it.
pub(crate) fn judged_task(task: &Task) -> Task {
    Task { positive_means: None, ..task.clone() }
}

/// What is judged by. The Model's other fields, its contact for one, are not part of it, nor are waivers.
pub fn judging(model: &ModelSpec) -> Value {
    let max_size = model.budget.as_ref().and_then(|budget| budget.max_size.as_ref());
    json!({
        "task": model.task.as_ref().map(judged_task),
        "evaluation": model.evaluation,
        "errorCosts": model.error_costs,
        "fairness": model.fairness,
        "consumers": model.consumers.is_some(),
        "maxSize": max_size,
        "gates": model.gates,
    })
}

#[cfg(test)]
mod chance_tests;
#[cfg(test)]
mod fairness_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod measured_tests;
#[cfg(test)]
mod problem_tests;
#[cfg(test)]
mod tests;
