//! What judges a version: pure functions of a Model's gates and a version's evidence. One file for each type of gate.

mod metric;
mod size;

use seatrial_crds::{Gate, GateJudgement, GateType, ModelSpec, ModelVersionSpec, Verdict, limits};
use serde_json::json;

use crate::{digest, text};

/// The name under which the budget's size is judged.
pub const MAX_SIZE: &str = "budget.maxSize";

/// What one gate found.
struct Finding {
    verdict: Verdict,
    value: Option<String>,
    message: String,
}

/// All verdicts of a Model on a version: its gates in their order, then its budget.
pub fn judge(model: &ModelSpec, version: &ModelVersionSpec) -> Vec<GateJudgement> {
    let mut judgements: Vec<GateJudgement> = model.gates.iter().map(|gate| judge_gate(gate, version)).collect();
    if let Some(limit) = model.budget.as_ref().and_then(|budget| budget.max_size.as_ref()) {
        judgements.push(judgement(MAX_SIZE, None, size::judge(limit, &version.artifact)));
    }
    judgements
}

fn judge_gate(gate: &Gate, version: &ModelVersionSpec) -> GateJudgement {
    let finding = match gate.kind {
        GateType::Metric => metric::judge(gate.metric.as_ref(), version),
    };
    judgement(&gate.name, Some(gate.kind), finding)
}

fn judgement(name: &str, kind: Option<GateType>, finding: Finding) -> GateJudgement {
    let Finding { verdict, value, mut message } = finding;
    text::truncate(&mut message, limits::SENTENCE);
    GateJudgement { name: name.to_owned(), kind, verdict, value, message }
}

/// Whether a Model judges at all: by gates, or by its budget.
pub fn judges(model: &ModelSpec) -> bool {
    !model.gates.is_empty() || model.budget.as_ref().is_some_and(|budget| budget.max_size.is_some())
}

/// The metric that says most about a version, for tables: the first that a gate names, else the first there is.
pub fn headline(model: Option<&ModelSpec>, version: &ModelVersionSpec) -> Option<String> {
    let gates = model.map(|model| model.gates.as_slice()).unwrap_or_default();
    let mut named = gates.iter().filter_map(|gate| metric::find(&gate.metric.as_ref()?.name, version).ok());
    named.next().or_else(|| version.metrics.first()).map(metric::short)
}

/// The verdict of the whole: a gate that is not met decides; else one that could not be judged; all must pass.
pub fn overall(judgements: &[GateJudgement]) -> Verdict {
    let any = |verdict| judgements.iter().any(|judgement| judgement.verdict == verdict);
    [Verdict::Failed, Verdict::Error, Verdict::Inconclusive]
        .into_iter()
        .find(|verdict| any(*verdict))
        .unwrap_or(if judgements.is_empty() { Verdict::Unjudged } else { Verdict::Passed })
}

/// Names what is judged by: another digest means another judgement. The Model's other fields, its contact for one,
/// are not part of it.
pub fn digest(model: &ModelSpec) -> String {
    let max_size = model.budget.as_ref().and_then(|budget| budget.max_size.as_ref());
    format!("sha256:{}", digest::of_json(&json!({"gates": model.gates, "maxSize": max_size})))
}

/// Why no version can ever pass a Model's gates; `None` where one can.
pub fn problem(model: &ModelSpec) -> Option<String> {
    model.gates.iter().find_map(|gate| match gate.kind {
        GateType::Metric => metric::problem(&gate.name, gate.metric.as_ref()),
    })
}

#[cfg(test)]
mod tests;
