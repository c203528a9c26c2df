use seatrial_crds::{ModelSpec, ModelVersionSpec, Verdict};
use serde_json::{Value, json};

use super::*;

fn model(gates: Value, max_size: Option<&str>) -> ModelSpec {
    serde_json::from_value(json!({
        "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "x", "use": "Realtime",
        "budget": {"maxSize": max_size}, "gates": gates,
    }))
    .unwrap()
}

fn version(metrics: &[(&str, &str)], size: i64) -> ModelVersionSpec {
    let metrics: Vec<Value> = metrics.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let digest = format!("sha256:{}", "a".repeat(64));
    serde_json::from_value(json!({
        "model": "churn", "number": 1, "purpose": "Release", "metrics": metrics,
        "artifact": {"uri": "s3://growth/x", "digest": digest, "size": size},
        "lineage": {"pipeline": "churn", "run": "churn-c1", "runUid": "u", "revision": "churn-c1"},
    }))
    .unwrap()
}

fn auc(min: Option<&str>, max: Option<&str>) -> Value {
    json!({"name": "good", "type": "Metric", "metric": {"name": "auc", "min": min, "max": max}})
}

#[test]
fn a_metric_is_judged_by_its_bounds_both_included() {
    for (min, max, value, expected) in [
        (Some("0.85"), None, "0.85", Verdict::Passed),
        (Some("0.85"), None, "0.849999", Verdict::Failed),
        (None, Some("0.2"), "0.2", Verdict::Passed),
        (None, Some("0.2"), "0.21", Verdict::Failed),
        (Some("-1"), Some("1"), "0", Verdict::Passed),
        (Some("-1"), Some("1"), "-2", Verdict::Failed),
        (Some("10"), None, "9", Verdict::Failed),
        (Some("0.5"), None, "good", Verdict::Error),
        (Some("0.5"), None, "NaN", Verdict::Error),
        (Some("0.5"), None, "inf", Verdict::Error),
    ] {
        let judgements = judge(&model(json!([auc(min, max)]), None), &version(&[("auc", value)], 1));
        assert_eq!(overall(&judgements), expected, "{min:?} <= {value} <= {max:?}: {judgements:?}");
    }
}

#[test]
fn a_missing_metric_is_an_error_that_names_it() {
    let judgements = judge(&model(json!([auc(Some("0.5"), None)]), None), &version(&[("accuracy", "1")], 1));
    assert_eq!(judgements[0].verdict, Verdict::Error);
    assert!(judgements[0].message.contains("no metric \"auc\""), "{}", judgements[0].message);
}

#[test]
fn the_budget_is_one_more_gate() {
    let judgements = judge(&model(json!([auc(Some("0"), None)]), Some("1Ki")), &version(&[("auc", "1")], 1025));
    assert_eq!(
        judgements.iter().map(|judgement| judgement.verdict).collect::<Vec<_>>(),
        [Verdict::Passed, Verdict::Failed]
    );
    assert_eq!((judgements[1].name.as_str(), overall(&judgements)), (MAX_SIZE, Verdict::Failed));
}

#[test]
fn a_failed_gate_decides_whatever_could_not_be_judged() {
    let gates =
        json!([auc(Some("0.9"), None), {"name": "other", "type": "Metric", "metric": {"name": "f1", "min": "0"}}]);
    let judgements = judge(&model(gates, None), &version(&[("auc", "0.1")], 1));
    assert_eq!(overall(&judgements), Verdict::Failed);
}

#[test]
fn the_digest_follows_gates_and_budget_alone() {
    let one = model(json!([auc(Some("0.9"), None)]), Some("1Mi"));
    let mut contact = one.clone();
    contact.owner.contact = "else@example.com".into();
    assert_eq!(digest(&one), digest(&contact));
    assert_ne!(digest(&one), digest(&model(json!([auc(Some("0.8"), None)]), Some("1Mi"))));
    assert_ne!(digest(&one), digest(&model(json!([auc(Some("0.9"), None)]), Some("2Mi"))));
}

#[test]
fn a_gate_that_nothing_can_pass_is_a_problem() {
    assert!(problem(&model(json!([auc(Some("2"), Some("1"))]), None)).unwrap().contains("\"good\""));
    assert_eq!(problem(&model(json!([auc(Some("1"), Some("1"))]), None)), None);
}
