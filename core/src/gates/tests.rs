//! Gates on metrics that steps wrote, and answers without a measurement.

use seatrial_crds::{ModelSpec, ModelVersionSpec, Verdict};
use serde_json::{Value, json};

use super::*;

fn unmeasured() -> Evidence<'static> {
    Evidence::Unavailable("there are no predictions".to_owned())
}

fn model(gates: Value, max_size: Option<&str>) -> ModelSpec {
    serde_json::from_value(json!({
        "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "x", "uses": ["Realtime"],
        "errorCosts": {"notApplicable": {"reason": "x"}}, "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
        "budget": {"maxSize": max_size}, "gates": gates,
    }))
    .unwrap()
}

/// A version whose evidence is the output `scores` of the step `evaluate`.
fn version(metrics: &[(&str, &str)], size: i64) -> ModelVersionSpec {
    let whole: Vec<_> = metrics.iter().map(|(name, value)| ("evaluate", "scores", *name, *value)).collect();
    version_of(&whole, size)
}

fn version_of(metrics: &[(&str, &str, &str, &str)], size: i64) -> ModelVersionSpec {
    let metric = |(step, output, name, value): &(&str, &str, &str, &str)| json!({"step": step, "output": output, "name": name, "value": value});
    let metrics: Vec<Value> = metrics.iter().map(metric).collect();
    let digest = format!("sha256:{}", "a".repeat(64));
    serde_json::from_value(json!({
        "model": "churn", "number": 1, "purpose": "Release", "metrics": metrics,
        "artifact": {"uri": "s3://growth/x", "digest": digest, "size": size},
        "lineage": {"pipeline": "churn", "run": "churn-c1", "runUID": "u", "revision": 1},
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
        // As exact as they were written, beyond what 64-bit floats hold.
        (Some("9007199254740993"), None, "9007199254740992", Verdict::Failed),
        (Some("9007199254740993"), None, "9007199254740993", Verdict::Passed),
        (None, Some("0.000000000000000001"), "1e-30", Verdict::Passed),
        (Some("0.000000000000000001"), None, "1e-30", Verdict::Failed),
        (Some("0.5"), None, "good", Verdict::Error),
        (Some("0.5"), None, "NaN", Verdict::Error),
        (Some("0.5"), None, "inf", Verdict::Error),
    ] {
        let judgements = judge(
            &model(json!([auc(min, max)]), None),
            &version(&[("auc", value)], 1),
            &unmeasured(),
            &DuelState::of(None),
        );
        assert_eq!(overall(&judgements), expected, "{min:?} <= {value} <= {max:?}: {judgements:?}");
    }
}

#[test]
fn a_missing_metric_is_an_error_that_names_it() {
    let judgements = judge(
        &model(json!([auc(Some("0.5"), None)]), None),
        &version(&[("accuracy", "1")], 1),
        &unmeasured(),
        &DuelState::of(None),
    );
    assert_eq!(judgements[0].verdict, Verdict::Error);
    assert!(judgements[0].message.contains("no metric \"auc\""), "{}", judgements[0].message);
}

fn message(name: &str, version: &ModelVersionSpec) -> (Verdict, String) {
    let gate = json!([{"name": "good", "type": "Metric", "metric": {"name": name, "min": "0.5"}}]);
    let judgement = judge(&model(gate, None), version, &unmeasured(), &DuelState::of(None)).remove(0);
    (judgement.verdict, judgement.message)
}

#[test]
fn a_metric_in_two_evidence_outputs_is_named_with_its_step_or_output() {
    let version = version_of(
        &[("a", "x", "auc", "0.1"), ("b", "x", "auc", "0.9"), ("b", "y", "loss", "0.6"), ("b", "z", "loss", "0.2")],
        1,
    );
    let (verdict, said) = message("auc", &version);
    assert_eq!(verdict, Verdict::Error);
    assert!(said.contains("a.x.auc, b.x.auc"), "{said}");
    for (name, expected) in [
        ("a.auc", Verdict::Failed),
        ("b.auc", Verdict::Passed),
        ("b.x.auc", Verdict::Passed),
        ("b.loss", Verdict::Error),
        ("b.z.loss", Verdict::Failed),
    ] {
        assert_eq!(message(name, &version).0, expected, "{name}");
    }
}

#[test]
fn a_gate_without_its_metric_lists_those_there_are() {
    let (verdict, said) = message("auc", &version(&[("loss", "1"), ("f1", "0.5")], 1));
    assert_eq!(verdict, Verdict::Error);
    assert!(said.contains("evaluate.scores.loss, evaluate.scores.f1"), "{said}");
    assert!(!said.contains("left out"), "{said}");
    let many: Vec<String> = (0..limits::METRICS).map(|number| format!("m{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    let (_, said) = message("auc", &version(&many, 1));
    assert!(said.contains("left out: write those first that gates name"), "{said}");
}

#[test]
fn people_read_rounded_numbers_unless_that_hides_the_verdict() {
    for (value, expected) in [
        ("0.8123456789012345", "auc is 0.8123, at least the 0.5"),
        ("0.4999999999999", "auc is 0.4999999999999, below the 0.5"),
        ("0.4321098765", "auc is 0.4321, below the 0.5"),
        ("NaN", "the metric \"evaluate.scores.auc\" is NaN, which is no number"),
    ] {
        let (_, said) = message("auc", &version(&[("auc", value)], 1));
        assert!(said.contains(expected), "{said}");
    }
    let judgements = judge(
        &model(json!([auc(Some("0.5"), None)]), None),
        &version(&[("auc", "0.8123456789")], 1),
        &unmeasured(),
        &DuelState::of(None),
    );
    assert_eq!(judgements[0].value.as_deref(), Some("0.8123456789"), "the exact value stays on record");
}

#[test]
fn what_a_step_wrote_beside_numbers_is_listed_with_what_it_is() {
    let metrics = [("macro avg.f1-score", "0.7"), ("loss", "NaN"), ("note", "a text"), ("best", "null")];
    let (verdict, said) = message("auc", &version(&metrics, 1));
    assert_eq!(verdict, Verdict::Error);
    for part in [
        "no metric \"auc\"; it has evaluate.scores.macro avg.f1-score; no numbers are",
        "evaluate.scores.loss (NaN)",
        "evaluate.scores.note (a text)",
        "evaluate.scores.best (null)",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(message("macro avg.f1-score", &version(&metrics, 1)).0, Verdict::Passed);
    let (_, said) = message("auc", &version(&metrics[1..], 1));
    assert!(said.contains("it has no number; no numbers are"), "{said}");
}

#[test]
fn a_budget_judges_without_gates() {
    let budget = model(json!([]), Some("1Ki"));
    assert!(judges(&budget) && !judges(&model(json!([]), None)));
    assert_eq!(overall(&judge(&budget, &version(&[], 1025), &unmeasured(), &DuelState::of(None))), Verdict::Failed);
}

#[test]
fn the_headline_is_the_first_metric_that_a_gate_names() {
    let version = version(&[("loss", "0.123456"), ("auc", "0.8123456")], 1);
    assert_eq!(headline(None, &version, &unmeasured()).as_deref(), Some("loss=0.1235"));
    assert_eq!(
        headline(Some(&model(json!([auc(Some("0"), None)]), None)), &version, &unmeasured()).as_deref(),
        Some("auc=0.8123")
    );
}

/// What a step wrote would stand in a table for some seconds, and then the judge's number.
#[test]
fn nothing_is_the_headline_while_a_judge_measures() {
    let version = version(&[("auc", "0.8123456")], 1);
    let model = model(json!([auc(Some("0"), None)]), None);
    let pending = Evidence::Pending("it is being measured".into());
    assert_eq!(headline(Some(&model), &version, &pending), None);
}

/// Nobody is asked for a word on what may not pass; who approves, passes nothing else.
#[test]
fn people_are_asked_last() {
    let of = |verdict| GateJudgement { name: "x".into(), kind: None, verdict, value: None, message: "x".into() };
    for (others, expected) in [
        (vec![], Verdict::AwaitingApproval),
        (vec![Verdict::Passed, Verdict::Waived], Verdict::AwaitingApproval),
        (vec![Verdict::Inconclusive], Verdict::Inconclusive),
        (vec![Verdict::Pending], Verdict::Pending),
        (vec![Verdict::Unjudged], Verdict::Unjudged),
        (vec![Verdict::Error], Verdict::Error),
        (vec![Verdict::Failed, Verdict::Inconclusive], Verdict::Failed),
    ] {
        let judgements: Vec<_> = others.into_iter().chain([Verdict::AwaitingApproval]).map(of).collect();
        assert_eq!(overall(&judgements), expected);
    }
}

#[test]
fn the_budget_is_one_more_gate() {
    let judgements = judge(
        &model(json!([auc(Some("0"), None)]), Some("1Ki")),
        &version(&[("auc", "1")], 1025),
        &unmeasured(),
        &DuelState::of(None),
    );
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
    let judgements = judge(&model(gates, None), &version(&[("auc", "0.1")], 1), &unmeasured(), &DuelState::of(None));
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
    assert!(problem(&model(json!([auc(Some("2"), Some("1"))]), None)).unwrap().1.contains("\"good\""));
    assert_eq!(problem(&model(json!([auc(Some("1"), Some("1"))]), None)), None);
}
