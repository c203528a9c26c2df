//! Finds gates and answers of a Model that no version can ever meet, or that contradict themselves.

use std::cmp::Ordering;

use num_traits::{One, Zero};
use seatrial_crds::{CostGate, FairnessRule, GateType, MetricGate, ModelSpec, StatusQuo, Task, TaskType};

use super::pooled::Costs;
use super::{applies, champion, measured, pinball, rules};
use crate::decimal::Decimal;
use crate::rational;

/// What is said of costs that are not whole.
pub(super) const INCOMPLETE_COSTS: &str =
    "spec.errorCosts needs falsePositive, falseNegative, unit, prevalence and statusQuo";

/// Why no version can ever pass a Model, or what of it contradicts itself; `None` where there is nothing to say.
/// The field of the spec, and a sentence.
pub fn problem(model: &ModelSpec) -> Option<(&'static str, String)> {
    let of_field = |field, problem: Option<String>| problem.map(|problem| (field, problem));
    of_field("gates", of_gates(model))
        .or_else(|| of_field("errorCosts", of_costs(model)))
        .or_else(|| of_field("task", of_task(model)))
        .or_else(|| of_field("fairness", of_slices(model)))
        .or_else(|| of_field("fairness", rules(model).iter().find_map(of_rule)))
}

fn of_gates(model: &ModelSpec) -> Option<String> {
    model.gates.iter().find_map(|gate| match gate.kind {
        GateType::Metric => of_metric(model, &gate.name, gate.metric.as_ref()?),
        GateType::Approval => None,
        GateType::Champion => champion::problem(model, &gate.name, gate.champion.as_ref()?),
        GateType::Cost if applies(model) => of_cost(&gate.name, gate.cost.as_ref()?),
        GateType::Cost => Some(format!(
            "the gate \"{}\" bounds what errors cost, and spec.errorCosts does not say what they do",
            gate.name
        )),
    })
}

fn of_metric(model: &ModelSpec, gate_name: &str, gate: &MetricGate) -> Option<String> {
    let (min, max) = (gate.min.as_deref(), gate.max.as_deref());
    let number = |text: Option<&str>| text.and_then(Decimal::parse);
    if let (Some(low), Some(high)) = (number(min), number(max))
        && low > high
    {
        let (min, max) = (min.unwrap_or_default(), max.unwrap_or_default());
        return Some(format!("no value passes the gate \"{gate_name}\": its min {min} is above its max {max}"));
    }
    let metric = &gate.name;
    let task = model.task.as_ref();
    if gate.confidence.is_some() && !task.is_some_and(|task| measured::has_interval(metric, task)) {
        return Some(format!(
            "the gate \"{gate_name}\" asks for confidence, and no interval is known of {metric}: leave confidence out"
        ));
    }
    let known = measured::measurable(task);
    if let Some(problem) = of_quantile(gate_name, gate, known.contains(&pinball::NAME)) {
        return Some(problem);
    }
    if model.evaluation.is_none() || task.is_none() || !known.contains(&metric.as_str()) {
        return None;
    }
    let (lowest, highest) = measured::range(metric);
    let with_confidence = gate.confidence.is_some() && measured::is_rate(metric);
    let out = |bound: Option<Decimal>, end: Option<Decimal>, beyond: Ordering| {
        let order = bound.zip(end).map(|(bound, end)| bound.cmp(&end));
        order.is_some_and(|order| order == beyond || (with_confidence && order.is_eq()))
    };
    let is_out =
        out(number(min), number(highest), Ordering::Greater) || out(number(max), number(lowest), Ordering::Less);
    let range = match (lowest, highest) {
        (Some(lowest), Some(highest)) => format!("between {lowest} and {highest}"),
        (Some(lowest), None) => format!("at least {lowest}"),
        (_, highest) => format!("at most {}", highest.unwrap_or_default()),
    };
    let ends = if with_confidence { ", and no number of rows proves that it is at an end" } else { "" };
    is_out.then(|| format!("no value passes the gate \"{gate_name}\": {metric} is {range}{ends}"))
}

/// A quantile that is missing, or that predictions cannot be of.
fn of_quantile(gate_name: &str, gate: &MetricGate, is_measured: bool) -> Option<String> {
    let metric = &gate.name;
    match gate.quantile.as_deref().map(rational::parse) {
        None if metric == pinball::NAME && is_measured => Some(format!(
            "the gate \"{gate_name}\" asks for the pinball loss, which is one of a quantile: set metric.quantile"
        )),
        Some(_) if metric != pinball::NAME => Some(format!(
            "the gate \"{gate_name}\" has a quantile, and asks for {metric}: a quantile goes with the metric pinball"
        )),
        Some(quantile) if quantile.as_ref().is_none_or(|quantile| quantile.is_zero() || quantile.is_one()) => {
            Some(format!("the gate \"{gate_name}\" has a quantile that is not between 0 and 1, both excluded"))
        }
        _ => None,
    }
}

fn of_cost(gate_name: &str, gate: &CostGate) -> Option<String> {
    let is_zero = rational::parse(&gate.max_per_prediction).is_some_and(|max| max.is_zero());
    (is_zero && gate.confidence.is_some())
        .then(|| format!("no number of rows proves that errors cost nothing, as the gate \"{gate_name}\" asks"))
}

fn of_costs(model: &ModelSpec) -> Option<String> {
    let answer = model.error_costs.as_ref().filter(|answer| answer.not_applicable.is_none())?;
    let Some(costs) = Costs::of(answer) else {
        return Some(INCOMPLETE_COSTS.to_owned());
    };
    if costs.prevalence.is_zero() || costs.prevalence.is_one() {
        let prevalence = rational::decimal(&costs.prevalence);
        return Some(format!("spec.errorCosts.prevalence is {prevalence}: there is nobody to tell apart"));
    }
    let error = match costs.status_quo {
        StatusQuo::FlagNone => "falseNegative",
        StatusQuo::FlagAll => "falsePositive",
    };
    costs.without_model().is_zero().then(|| {
        format!("spec.errorCosts: nothing can be saved against a statusQuo that costs nothing, since {error} is 0")
    })
}

fn of_task(model: &ModelSpec) -> Option<String> {
    let is_a = |kind| model.task.as_ref().is_some_and(|task: &Task| task.kind == kind);
    if is_a(TaskType::BinaryClassification) {
        return None;
    }
    let field = match (applies(model), rules(model).is_empty()) {
        (true, _) => "errorCosts",
        (false, false) => "fairness",
        (false, true) => {
            return (model.evaluation.is_some() && !is_a(TaskType::Regression)).then(|| {
                "spec.evaluation is read for a task of type BinaryClassification or Regression: set spec.task"
                    .to_owned()
            });
        }
    };
    Some(format!(
        "spec.{field} is about a binary classification: set spec.task to type BinaryClassification, or say notApplicable with a reason"
    ))
}

fn of_slices(model: &ModelSpec) -> Option<String> {
    let evaluation = model.evaluation.as_ref()?;
    let rule = rules(model).iter().find(|rule| !evaluation.slices.contains(&rule.slice))?;
    Some(format!(
        "the rule \"{}\" of spec.fairness compares by \"{}\", which spec.evaluation.slices does not name",
        rule.name, rule.slice
    ))
}

/// No number of rows proves that groups are exactly equal, or that a rate is exactly 1.
fn of_rule(rule: &FairnessRule) -> Option<String> {
    let number = |bound: &Option<String>| rational::parse(bound.as_deref()?);
    let bound = if number(&rule.max_gap).is_some_and(|bound| bound.is_zero()) {
        "maxGap 0"
    } else if number(&rule.min_ratio).is_some_and(|bound| bound.is_one()) {
        "minRatio 1"
    } else if number(&rule.min).is_some_and(|bound| bound.is_one()) {
        "min 1"
    } else {
        return None;
    };
    Some(format!(
        "no number of rows proves the {bound} of the rule \"{}\" of spec.fairness: allow for a little",
        rule.name
    ))
}
