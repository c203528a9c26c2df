//! What judges a version: pure functions of a Model's gates and a version's evidence. One file for each type of gate.

mod metric;
mod size;

use seatrial_crds::{Gate, GateJudgement, GateType, ModelSpec, ModelVersionSpec, Verdict};
use serde_json::json;

use crate::digest;

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
    let Finding { verdict, value, message } = finding;
    GateJudgement { name: name.to_owned(), kind, verdict, value, message }
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
