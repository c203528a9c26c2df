//! Models, versions and measurements for the tests of gates.

use seatrial_crds::{ClassCounts, FlaggedCounts, Fold, FoldPoint, LabelSource, MeasuredGroup, MeasuredMetric, Time};
use serde_json::{Value, json};

use super::*;

pub(super) const fn rows(positives: i64, negatives: i64) -> ClassCounts {
    ClassCounts { positives, negatives }
}

pub(super) const fn flagged(true_positives: i64, false_positives: i64) -> FlaggedCounts {
    FlaggedCounts { true_positives, false_positives }
}

/// A point of a fold: what the other fold says of the threshold, and what this one counts, whole and by group.
pub(super) fn point(
    threshold: &str,
    choosing: FlaggedCounts,
    counted: FlaggedCounts,
    groups: Vec<FlaggedCounts>,
) -> FoldPoint {
    FoldPoint { threshold: Some(threshold.into()), choosing, counted, groups }
}

pub(super) fn measurement(folds: Vec<Fold>, groups: &[(&str, &str)]) -> Measurement {
    let group = |(slice, value): &(&str, &str)| MeasuredGroup { slice: (*slice).into(), value: (*value).into() };
    Measurement {
        key: "sha256:k".into(),
        measured_at: Time(jiff::Timestamp::UNIX_EPOCH),
        labels: LabelSource::Owner,
        labels_digest: None,
        problem: None,
        rows: folds.iter().map(|fold| fold.rows.positives + fold.rows.negatives).sum(),
        metrics: vec![MeasuredMetric {
            name: "rocAuc".into(),
            value: "0.8".into(),
            standard_error: Some("0.01".into()),
        }],
        groups: groups.iter().map(group).collect(),
        folds,
        curve: vec![],
    }
}

/// Decisions without scores: one fold, one point, with the groups of a slice.
pub(super) fn decided(groups: &[(&str, ClassCounts, FlaggedCounts)]) -> Measurement {
    let all = groups.iter().fold((rows(0, 0), flagged(0, 0)), |(r, f), (_, rows_of, flagged_of)| {
        (
            rows(r.positives + rows_of.positives, r.negatives + rows_of.negatives),
            flagged(f.true_positives + flagged_of.true_positives, f.false_positives + flagged_of.false_positives),
        )
    });
    let point = FoldPoint {
        threshold: None,
        choosing: flagged(0, 0),
        counted: all.1,
        groups: groups.iter().map(|group| group.2).collect(),
    };
    let fold = Fold { rows: all.0, groups: groups.iter().map(|group| group.1).collect(), points: vec![point] };
    let names: Vec<(&str, &str)> = groups.iter().map(|group| ("black", group.0)).collect();
    measurement(vec![fold], &names)
}

pub(super) fn model(change: impl FnOnce(&mut Value)) -> ModelSpec {
    let mut spec = json!({
        "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "x", "uses": ["Realtime"],
        "task": {"type": "BinaryClassification", "positiveLabel": "1"},
        "evaluation": {"uri": "s3://growth/labels.csv", "id": "id", "label": "denied", "slices": ["black"]},
        "errorCosts": {"falsePositive": "1", "falseNegative": "20", "unit": "EUR", "prevalence": "0.07", "statusQuo": "FlagNone"},
        "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
    });
    change(&mut spec);
    serde_json::from_value(spec).unwrap()
}

pub(super) fn version() -> ModelVersionSpec {
    let artifact = json!({"uri": "s3://growth/x", "digest": format!("sha256:{}", "a".repeat(64)), "size": 1});
    serde_json::from_value(json!({
        "model": "churn", "number": 1, "purpose": "Release", "artifact": artifact,
        "metrics": [{"step": "evaluate", "output": "metrics", "name": "recall", "value": "0.99"}],
        "evidence": [{"step": "evaluate", "output": "scored", "type": "Predictions", "artifact": artifact}],
    }))
    .unwrap()
}

pub(super) fn judged(model: &ModelSpec, measurement: &Measurement, name: &str) -> GateJudgement {
    let judgements = judge(model, &version(), &Evidence::Measured(measurement), &DuelState::of(None));
    judgements.iter().find(|judgement| judgement.name == name).unwrap_or_else(|| panic!("{judgements:?}")).clone()
}

/// 100 positives of which 80 are found, 900 negatives of which 90 are flagged.
pub(super) fn table() -> Measurement {
    decided(&[("no", rows(60, 700), flagged(48, 70)), ("yes", rows(40, 200), flagged(32, 20))])
}

pub(super) fn fair(rule: Value) -> ModelSpec {
    let mut rule = rule;
    rule["name"] = "alike".into();
    rule["slice"] = "black".into();
    model(|spec| spec["fairness"] = json!({"rules": [rule]}))
}
