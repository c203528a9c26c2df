//! What of a Model no version can ever meet, or what contradicts itself.

use num_traits::{One, Zero};
use seatrial_crds::{GateType, MetricGate, ModelSpec, TaskType};

use super::pooled::{Costs, weigh_nothing};
use super::rules;
use crate::decimal::Decimal;
use crate::rational;

/// Why no version can ever pass a Model, or what of it contradicts itself; `None` where there is nothing to say.
/// The field of the spec, and a sentence.
pub fn problem(model: &ModelSpec) -> Option<(&'static str, String)> {
    let of_field = |field, problem: Option<String>| problem.map(|problem| (field, problem));
    of_field("gates", of_gates(model))
        .or_else(|| of_field("errorCosts", of_costs(model)))
        .or_else(|| of_field("task", of_task(model)))
        .or_else(|| of_field("fairness", of_slices(model)))
}

fn of_gates(model: &ModelSpec) -> Option<String> {
    model.gates.iter().find_map(|gate| match gate.kind {
        GateType::Metric => of_metric(&gate.name, gate.metric.as_ref()?),
        GateType::Cost => model.error_costs.as_ref().is_none_or(|answer| answer.not_applicable.is_some()).then(|| {
            format!("the gate \"{}\" bounds what errors cost, and spec.errorCosts does not say what they do", gate.name)
        }),
    })
}

fn of_metric(name: &str, gate: &MetricGate) -> Option<String> {
    let (min, max) = (gate.min.as_deref()?, gate.max.as_deref()?);
    (Decimal::parse(min)? > Decimal::parse(max)?)
        .then(|| format!("no value passes the gate \"{name}\": its min {min} is above its max {max}"))
}

fn of_costs(model: &ModelSpec) -> Option<String> {
    let answer = model.error_costs.as_ref().filter(|answer| answer.not_applicable.is_none())?;
    let Some(costs) = Costs::of(answer) else {
        return Some("spec.errorCosts needs falsePositive, falseNegative, unit, prevalence and statusQuo".to_owned());
    };
    if costs.prevalence.is_zero() || costs.prevalence.is_one() {
        let prevalence = rational::decimal(&costs.prevalence);
        return Some(format!("spec.errorCosts.prevalence is {prevalence}: there is nobody to tell apart"));
    }
    weigh_nothing(&costs).then(|| "spec.errorCosts: both errors cost 0, so that nothing can be saved".to_owned())
}

fn of_task(model: &ModelSpec) -> Option<String> {
    if model.task.as_ref().is_some_and(|task| task.kind == TaskType::BinaryClassification) {
        return None;
    }
    let costs = model.error_costs.as_ref().is_some_and(|answer| answer.not_applicable.is_none());
    let field = match (costs, rules(model).is_empty()) {
        (true, _) => "errorCosts",
        (false, false) => "fairness",
        (false, true) => return None,
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
