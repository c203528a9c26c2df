//! What no version can ever meet, and what contradicts itself.

use serde_json::{Value, json};

use super::fixture::model;
use super::*;

fn cost(max: &str, confidence: Option<&str>) -> Value {
    json!([{"name": "cheap", "type": "Cost", "cost": {"maxPerPrediction": max, "confidence": confidence}}])
}

fn metric(name: &str, min: &str, confidence: Option<&str>) -> Value {
    json!([{"name": "good", "type": "Metric", "metric": {"name": name, "min": min, "confidence": confidence}}])
}

fn rule(bound: &str, value: &str) -> Value {
    json!({"rules": [{"name": "a", "slice": "black", "metric": "Recall", bound: value}]})
}

#[test]
fn what_contradicts_itself_is_said() {
    for (change, words) in [
        ((|s| s["task"] = Value::Null) as fn(&mut Value), "set spec.task to type BinaryClassification"),
        (|s| s["task"] = json!({"type": "Regression"}), "set spec.task to type BinaryClassification"),
        (|s| s["errorCosts"]["prevalence"] = "1.0".into(), "there is nobody to tell apart"),
        (|s| s["errorCosts"]["falsePositive"] = "0".into(), ""),
        (|s| s["errorCosts"]["falseNegative"] = "0".into(), "since falseNegative is 0"),
        (
            |s| {
                s["errorCosts"]["falsePositive"] = "0".into();
                s["errorCosts"]["statusQuo"] = "FlagAll".into();
            },
            "since falsePositive is 0",
        ),
        (|s| s["errorCosts"]["unit"] = Value::Null, "needs falsePositive"),
        (
            |s| {
                s["errorCosts"]["falsePositive"] = "0".into();
                s["errorCosts"]["falseNegative"] = "0.0".into();
            },
            "nothing can be saved",
        ),
        (
            |s| {
                s["errorCosts"] = json!({"notApplicable": {"reason": "x"}});
                s["gates"] = json!([{"name": "cheap", "type": "Cost", "cost": {"maxPerPrediction": "1"}}]);
            },
            "spec.errorCosts does not say",
        ),
        (|s| s["gates"] = cost("0", Some("0.95")), "proves that errors cost nothing"),
        (|s| s["gates"] = cost("0", None), ""),
        (|s| s["gates"] = cost("0.1", Some("0.95")), ""),
        (|s| s["gates"] = metric("recall", "90", None), "recall is between 0 and 1"),
        (|s| s["gates"] = metric("recall", "1", None), ""),
        (|s| s["gates"] = metric("recall", "1", Some("0.95")), "no number of rows proves"),
        (|s| s["gates"] = metric("recall", "0.9", Some("0.95")), ""),
        (|s| s["gates"] = metric("brier", "1", Some("0.95")), ""),
        (|s| s["gates"] = metric("f1", "0.9", Some("0.95")), "leave confidence out"),
        (|s| s["gates"] = metric("percent", "90", None), ""),
        (|s| s["gates"] = metric("percent", "90", Some("0.95")), "leave confidence out"),
        (
            |s| {
                s["evaluation"] = Value::Null;
                // A step may write it in percent.
                s["gates"] = metric("recall", "90", None);
            },
            "",
        ),
        (
            |s| s["gates"] = json!([{"name": "g", "type": "Metric", "metric": {"name": "logLoss", "max": "-1"}}]),
            "logLoss is at least 0",
        ),
        (
            |s| {
                s["task"] = json!({"type": "Regression"});
                s["errorCosts"] = json!({"notApplicable": {"reason": "x"}});
                s["gates"] = metric("r2", "1.1", None);
            },
            "r2 is at most 1",
        ),
        (
            |s| {
                s["task"] = json!({"type": "Other"});
                s["errorCosts"] = json!({"notApplicable": {"reason": "x"}});
            },
            "spec.evaluation is read for a task",
        ),
        (|s| s["fairness"] = rule("maxGap", "0.0"), "proves the maxGap 0"),
        (|s| s["fairness"] = rule("minRatio", "1"), "proves the minRatio 1"),
        (|s| s["fairness"] = rule("min", "1.0"), "proves the min 1"),
        (|s| s["fairness"] = rule("maxGap", "0.01"), ""),
        (
            |s| s["fairness"] = json!({"rules": [{"name": "a", "slice": "sex", "metric": "Recall", "min": "0.5"}]}),
            "which spec.evaluation.slices does not name",
        ),
    ] {
        let found = problem(&model(change));
        assert_eq!(found.is_some(), !words.is_empty(), "{found:?}");
        assert!(found.unwrap_or_default().1.contains(words), "{words}");
    }
    assert_eq!(problem(&model(|_| ())), None);
}
