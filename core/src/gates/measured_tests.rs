//! What gates make of a measurement: numbers that a person computes by hand, and what evidence is not enough.

use seatrial_crds::{ClassCounts, CurvePoint, FlaggedCounts, Fold, FoldPoint, LabelSource, MeasuredMetric};
use serde_json::{Value, json};

use super::fixture::*;
use super::*;

#[test]
fn costs_are_those_that_a_person_computes_by_hand() {
    // 0.07 * 20 * 20/100 + 0.93 * 1 * 90/900 = 0.28 + 0.093 = 0.373; without the model 0.07 * 20 = 1.4.
    let found = judged(&model(|_| ()), &table(), "errorCosts");
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Passed, Some("1.027")), "{}", found.message);
    assert!(
        found.message.starts_with("saves 1.03 EUR for each prediction against flagging nobody"),
        "{}",
        found.message
    );
    assert!(found.message.contains("20 of 100 positives missed, 90 of 900 negatives flagged"), "{}", found.message);
    assert!(!found.message.contains("would cost"), "{}", found.message);
    // Where a miss costs 300, flagging everybody costs 0.93, and the version 0.07 * 300 * 20/100 + 0.093 = 4.293.
    let dear = judged(&model(|spec| spec["errorCosts"]["falseNegative"] = "300".into()), &table(), "errorCosts");
    let words = "; flagging everybody would cost 0.93 EUR, less than the 4.29 of this version";
    assert!(dear.verdict == Verdict::Passed && dear.message.ends_with(words), "{}", dear.message);
    // Against flagging everybody: 0.93 - 0.373.
    let all = model(|spec| spec["errorCosts"]["statusQuo"] = "FlagAll".into());
    assert_eq!(judged(&all, &table(), "errorCosts").value.as_deref(), Some("0.557"));
    // Another prevalence: 0.5 * 20 * 0.2 + 0.5 * 0.1 = 2.05; 10 - 2.05.
    let even = model(|spec| spec["errorCosts"]["prevalence"] = "0.5".into());
    assert_eq!(judged(&even, &table(), "errorCosts").value.as_deref(), Some("7.95"));
    // Misses that cost nothing: 0.93 * 0.1 is lost for nothing.
    let worse = model(|spec| spec["errorCosts"]["falseNegative"] = "0".into());
    let found = judged(&worse, &table(), "errorCosts");
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Failed, Some("-0.093")), "{}", found.message);
    assert!(found.message.starts_with("costs 0.093 EUR more for each prediction"), "{}", found.message);
    // Two of each class prove nothing, however well they are told apart.
    let few = decided(&[("no", rows(9, 500), flagged(9, 0))]);
    let found = judged(&model(|_| ()), &few, "errorCosts");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.message.contains("9 positives and 500 negatives are too few"), "{}", found.message);
}

/// The owner's words stand in sentences, and decide nothing: nothing is judged, or approved, again for them.
#[test]
fn sentences_use_the_owners_word_for_a_positive_row_and_no_verdict_depends_on_it() {
    let plain = model(|_| ());
    let named = model(|spec| spec["task"]["positiveMeans"] = "denied application".into());
    let found = judged(&named, &table(), "errorCosts");
    let words = "20 of 100 positives (denied application) missed, 90 of 900 negatives flagged, where 7 % are positive";
    assert!(found.message.contains(words), "{}", found.message);
    assert_eq!(digest(&plain), digest(&named));
    let other = model(|spec| spec["task"]["positiveLabel"] = "2".into());
    assert_ne!(digest(&plain), digest(&other));
}

/// Who is told that there is too little evidence is told about how much would do.
#[test]
fn what_is_too_uncertain_says_about_how_many_rows_would_decide() {
    let gate = |gate: Value| model(|spec| spec["gates"] = json!([gate]));
    let cost =
        |max: &str| gate(json!({"name": "g", "type": "Cost", "cost": {"maxPerPrediction": max, "confidence": "0.95"}}));
    let recall =
        gate(json!({"name": "g", "type": "Metric", "metric": {"name": "recall", "min": "0.75", "confidence": "0.95"}}));
    // 80 of 100 are between 0.711 and 0.867: (0.8 - 0.711)² / 0.05² = 3.2 times as many decide; of 1000 rows, 3200.
    for (spec, says) in [
        (recall, "; about 3200 rows in place of 1000 would decide, if the numbers stay alike"),
        (cost("0.373"), "; it lies so near the bound that more rows would hardly decide"),
        (cost("0.4"), " rows in place of 1000 would decide, if the numbers stay alike"),
    ] {
        let found = judged(&spec, &table(), "g");
        assert!(found.verdict == Verdict::Inconclusive && found.message.contains(says), "{}", found.message);
    }
    for (rule, says) in [
        (
            json!({"metric": "FalsePositiveRate", "maxGap": "0.03"}),
            " negatives of these two groups in place of 900 would decide",
        ),
        (json!({"metric": "Recall", "min": "0.75", "minCount": 10}), " positives of this group in place of "),
    ] {
        let found = judged(&fair(rule), &table(), "fairness.alike");
        assert!(found.verdict == Verdict::Inconclusive && found.message.contains(says), "{}", found.message);
    }
}

#[test]
fn a_bound_of_the_costs_is_kept_to_the_digit_or_with_confidence() {
    for (max, confidence, expected) in [
        ("0.373", None, Verdict::Passed),
        ("0.372999999999999999", None, Verdict::Failed),
        ("0.6", Some("0.95"), Verdict::Passed),
        ("0.373", Some("0.95"), Verdict::Inconclusive),
        ("0.2", Some("0.95"), Verdict::Failed),
    ] {
        let gate =
            json!([{"name": "cheap", "type": "Cost", "cost": {"maxPerPrediction": max, "confidence": confidence}}]);
        let found = judged(&model(|spec| spec["gates"] = gate), &table(), "cheap");
        assert_eq!((found.verdict, found.value.as_deref()), (expected, Some("0.373")), "{max}: {}", found.message);
    }
}

#[test]
fn the_threshold_is_chosen_on_the_other_fold_and_counted_on_this_one() {
    // On the other fold 0.9 looks best in fold 0 and 0.2 in fold 1; what is counted there says the opposite.
    let fold = |best: &str| {
        let sees = |threshold: &str| if threshold == best { flagged(10, 0) } else { flagged(5, 5) };
        let counts = |threshold: &str| if threshold == best { flagged(6, 2) } else { flagged(10, 0) };
        let points = ["0.9", "0.2"].map(|t| point(t, sees(t), counts(t), vec![]));
        Fold { rows: rows(10, 10), groups: vec![], points: points.to_vec() }
    };
    let mut measured = measurement(vec![fold("0.9"), fold("0.2")], &[]);
    measured.curve = vec![
        CurvePoint { threshold: "0.9".into(), flagged: flagged(12, 1) },
        CurvePoint { threshold: "0.4".into(), flagged: flagged(20, 2) },
    ];
    let spec = model(|_| ());
    // 8 of 20 positives missed, 4 of 20 negatives flagged: 1.4 * 0.4 + 0.93 * 0.2 = 0.746.
    assert_eq!(judged(&spec, &measured, "errorCosts").value.as_deref(), Some("0.654"));
    let chosen = threshold(&spec, &measured).unwrap();
    assert_eq!((chosen.value.as_str(), chosen.lowest.as_str(), chosen.highest.as_str()), ("0.4", "0.2", "0.9"));
    // Without costs decisions fall at 0.5, which is not there.
    let without = model(|spec| {
        spec["errorCosts"] = json!({"notApplicable": {"reason": "x"}});
        spec["fairness"] = json!({"rules": [{"name": "same", "slice": "black", "metric": "Recall", "maxGap": "0.1"}]});
    });
    let found = judged(&without, &measured, "fairness.same");
    assert_eq!(found.verdict, Verdict::Error, "{}", found.message);
    assert_eq!(threshold(&without, &measured), None);
    measured.folds[0].points.push(point("0.50", flagged(0, 0), flagged(9, 1), vec![]));
    measured.folds[1].points.push(point("0.5", flagged(0, 0), flagged(9, 1), vec![]));
    let found = judged(&without, &measured, "fairness.same");
    assert!(found.message.contains("the slice \"black\" was not measured"), "{}", found.message);
}

#[test]
fn metrics_follow_from_the_counts_and_come_before_those_that_a_step_wrote() {
    let gate = |name: &str, min: &str, confidence: Option<&str>| {
        let gate =
            json!([{"name": "good", "type": "Metric", "metric": {"name": name, "min": min, "confidence": confidence}}]);
        judged(&model(|spec| spec["gates"] = gate), &table(), "good")
    };
    for (name, value) in [
        ("recall", "0.8"),
        ("specificity", "0.9"),
        ("precision", "0.470588235294"),
        ("accuracy", "0.89"),
        ("f1", "0.592592592593"),
        ("rocAuc", "0.8"),
        // What the step wrote is reached by its full name.
        ("evaluate.metrics.recall", "0.99"),
    ] {
        assert_eq!(gate(name, "0", None).value.as_deref(), Some(value), "{name}");
    }
    assert_eq!(gate("recall", "0.8", None).verdict, Verdict::Passed);
    assert_eq!(gate("recall", "0.8", Some("0.95")).verdict, Verdict::Inconclusive);
    assert_eq!(gate("recall", "0.7", Some("0.95")).verdict, Verdict::Passed);
    assert_eq!(gate("recall", "0.9", Some("0.95")).verdict, Verdict::Failed);
    assert_eq!(gate("rocAuc", "0.775", Some("0.95")).verdict, Verdict::Passed);
    assert_eq!(gate("rocAuc", "0.785", Some("0.95")).verdict, Verdict::Inconclusive);
    assert_eq!(gate("f1", "0.1", Some("0.95")).verdict, Verdict::Error);
    let said = gate("recall", "0.8", None).message;
    assert!(said.ends_with("(as measured; evaluate.metrics.recall says 0.99, which does not count)"), "{said}");
    let absent = gate("auc", "0.1", None);
    assert!(
        absent.verdict == Verdict::Error && absent.message.contains("measured were rocAuc, accuracy"),
        "{}",
        absent.message
    );
}

#[test]
fn what_is_not_measured_is_pending_or_an_error_and_the_rest_is_judged_at_once() {
    let spec = model(|spec| {
        spec["budget"] = json!({"maxSize": "1Ki"});
        spec["gates"] = json!([{"name": "good", "type": "Metric", "metric": {"name": "rocAuc", "min": "0.5"}},
                               {"name": "own", "type": "Metric", "metric": {"name": "evaluate.recall", "min": "0.5"}}]);
    });
    let verdicts = |evidence: &Evidence<'_>| {
        let judgements = judge(&spec, &version(), evidence, &DuelState::of(None));
        let verdicts: Vec<Verdict> = judgements.iter().map(|judgement| judgement.verdict).collect();
        (verdicts, overall(&judgements))
    };
    let [pending, passed, error] = [Verdict::Pending, Verdict::Passed, Verdict::Error];
    assert_eq!(verdicts(&Evidence::Pending("x".into())), (vec![pending, passed, pending, passed], pending));
    assert_eq!(verdicts(&Evidence::Unavailable("x".into())), (vec![error, passed, error, passed], error));
    let mut unusable = table();
    unusable.problem = Some("two rows have the id 7".into());
    assert_eq!(verdicts(&Evidence::Measured(&unusable)), (vec![error, passed, error, passed], error));
    assert_eq!(judged(&spec, &unusable, "errorCosts").message, "two rows have the id 7");
}

/// Who leaves the predictions out, or breaks them, is not judged by what a step says of itself instead.
#[test]
fn what_a_step_says_of_itself_never_takes_the_place_of_what_the_owner_asks_to_measure() {
    let gate = json!([{"name": "good", "type": "Metric", "metric": {"name": "recall", "min": "0.5"}}]);
    let spec = model(|spec| spec["gates"] = gate);
    let mut without = version();
    without.evidence.clear();
    let mut unusable = table();
    unusable.problem = Some("two rows have the id 7".into());
    let mut undecided = table();
    undecided.folds.clear();
    for (evidence, expected) in [
        (Evidence::Unavailable("x".into()), Verdict::Error),
        (Evidence::Pending("x".into()), Verdict::Pending),
        (Evidence::Measured(&unusable), Verdict::Error),
        (Evidence::Measured(&undecided), Verdict::Error),
    ] {
        for version in [&version(), &without] {
            assert_eq!(judge(&spec, version, &evidence, &DuelState::of(None))[0].verdict, expected, "{evidence:?}");
        }
        assert_ne!(headline(Some(&spec), &version(), &evidence).as_deref(), Some("recall=0.99"));
    }
    // Where the owner measures nothing, what the step wrote is all there is.
    let plain = model(|spec| {
        spec["gates"] = json!([{"name": "good", "type": "Metric", "metric": {"name": "recall", "min": "0.5"}}]);
        spec.as_object_mut().unwrap().remove("evaluation");
    });
    assert_eq!(
        judge(&plain, &without, &Evidence::Unavailable("x".into()), &DuelState::of(None))[0].verdict,
        Verdict::Passed
    );
}

#[test]
fn a_few_rows_prove_nothing() {
    let gate = |name: &str, bounds: Value| {
        let mut metric = bounds;
        metric["name"] = name.into();
        model(|spec| spec["gates"] = json!([{"name": "good", "type": "Metric", "metric": metric}]))
    };
    // Two of each class, wholly apart: by chance that happens to one in six.
    let mut few = decided(&[("no", rows(2, 2), flagged(2, 0))]);
    few.metrics = ["rocAuc", "brier"]
        .map(|name| MeasuredMetric { name: name.into(), value: "1".into(), standard_error: Some("0".into()) })
        .to_vec();
    let asked = |name: &str| gate(name, json!({"min": "0.6", "confidence": "0.95"}));
    let said = judged(&asked("rocAuc"), &few, "good");
    assert_eq!(said.verdict, Verdict::Inconclusive);
    assert!(said.message.contains("2 positives and 2 negatives are too few, 10 of each"), "{}", said.message);
    let said = judged(&asked("brier"), &few, "good");
    assert_eq!(said.verdict, Verdict::Inconclusive);
    assert!(said.message.contains("4 rows are too few, 30 are needed"), "{}", said.message);
    // Ten of each, wholly apart: above 0.7, and nobody knows by how much.
    let mut ten = decided(&[("no", rows(10, 20), flagged(10, 0))]);
    ten.metrics = few.metrics.clone();
    assert_eq!(judged(&asked("rocAuc"), &ten, "good").verdict, Verdict::Passed);
    let high = gate("rocAuc", json!({"min": "0.9", "confidence": "0.95"}));
    assert_eq!(judged(&high, &ten, "good").verdict, Verdict::Inconclusive);
    assert_eq!(judged(&asked("brier"), &ten, "good").verdict, Verdict::Passed);
    // Nobody is flagged: there is no precision, neither a good one nor a bad one.
    let nobody = decided(&[("no", rows(100, 100), flagged(0, 0))]);
    for bounds in [json!({"min": "0.5"}), json!({"max": "0.5"})] {
        assert_eq!(judged(&gate("precision", bounds), &nobody, "good").verdict, Verdict::Inconclusive);
    }
    // Without positives nobody knows what misses cost.
    let gates = json!([{"name": "good", "type": "Cost", "cost": {"maxPerPrediction": "1"}}]);
    let none = decided(&[("no", rows(0, 100), flagged(0, 0))]);
    assert_eq!(judged(&model(|spec| spec["gates"] = gates), &none, "good").verdict, Verdict::Inconclusive);
}

/// The schema refuses such answers; gates hold without it.
#[test]
fn half_an_answer_lets_nothing_pass() {
    let spec = model(|spec| spec["errorCosts"]["unit"] = Value::Null);
    assert_eq!(judged(&spec, &table(), "errorCosts").verdict, Verdict::Error);
    let spec = model(|spec| spec["fairness"] = json!({}));
    assert_eq!(judged(&spec, &table(), "fairness").verdict, Verdict::Unjudged);
}

#[test]
fn an_open_question_keeps_a_version_from_passing_and_says_what_to_do() {
    for (field, text) in
        [("errorCosts", "what errors cost"), ("fairness", "treat alike"), ("consumers", "who asks the model")]
    {
        let spec = model(|spec| {
            spec["errorCosts"] = json!({"notApplicable": {"reason": "x"}});
            spec["budget"] = json!({"maxSize": "1Ki"});
            spec.as_object_mut().unwrap().remove(field);
        });
        assert_eq!(unanswered(&spec), [field]);
        let judgements = judge(&spec, &version(), &Evidence::Unavailable("x".into()), &DuelState::of(None));
        assert_eq!(overall(&judgements), Verdict::Unjudged, "{judgements:?}");
        assert!(judgements.iter().any(|j| j.name == field && j.message.contains(text)), "{judgements:?}");
    }
}

#[test]
fn labels_of_the_judged_are_said_wherever_they_decide() {
    let mut measured = table();
    measured.labels = LabelSource::SelfReported;
    let gate = json!([{"name": "good", "type": "Metric", "metric": {"name": "recall", "min": "0"}}]);
    let spec = model(|spec| spec["gates"] = gate);
    for name in ["errorCosts", "good"] {
        let found = judged(&spec, &measured, name);
        assert!(found.message.ends_with("(self-reported labels)"), "{}", found.message);
        assert!(!judged(&spec, &table(), name).message.contains("self-reported"));
    }
    // However long the sentence is.
    let long: Vec<String> = (0..7).map(|number| format!("{number}{}", "ä".repeat(31))).collect();
    let groups: Vec<_> = long.iter().map(|name| (name.as_str(), rows(1, 99), flagged(0, 0))).collect();
    let mut measured = decided(&groups);
    measured.labels = LabelSource::SelfReported;
    let slice = "s".repeat(limits::COLUMN);
    measured.groups.iter_mut().for_each(|group| group.slice.clone_from(&slice));
    let mut spec = fair(json!({"metric": "FalsePositiveRate", "maxGap": "0.1", "minCount": 99}));
    spec.fairness.iter_mut().flat_map(|answer| &mut answer.rules).for_each(|rule| rule.slice.clone_from(&slice));
    for min_count in [99, 100] {
        spec.fairness.iter_mut().flat_map(|answer| &mut answer.rules).for_each(|rule| rule.min_count = min_count);
        let found = judged(&spec, &measured, "fairness.alike");
        assert!(found.message.ends_with("(self-reported labels)"), "{}", found.message);
        assert!(found.message.len() <= limits::SENTENCE);
    }
}

/// Counts that no judge ever sends must not end the operator.
#[test]
fn absurd_counts_panic_nowhere() {
    let spec = model(|spec| {
        spec["fairness"] = json!({"rules": [
            {"name": "gap", "slice": "black", "metric": "Recall", "maxGap": "0.1"},
            {"name": "ratio", "slice": "black", "metric": "Precision", "minRatio": "0.1"},
            {"name": "min", "slice": "black", "metric": "SelectionRate", "min": "0.1", "minCount": 1}]});
        spec["gates"] = json!([{"name": "f", "type": "Metric", "metric": {"name": "f1", "min": "0"}},
                               {"name": "a", "type": "Metric", "metric": {"name": "accuracy", "min": "0", "confidence": "0.95"}}]);
    });
    for count in [i64::MIN, -1, 0, 1, i64::MAX] {
        for other in [i64::MIN, 0, i64::MAX] {
            let measured = decided_unchecked(rows(count, other), flagged(other, count));
            drop(judge(&spec, &version(), &Evidence::Measured(&measured), &DuelState::of(None)));
            drop(threshold(&spec, &measured));
        }
    }
}

fn decided_unchecked(rows: ClassCounts, flagged: FlaggedCounts) -> Measurement {
    let point =
        |threshold| FoldPoint { threshold, choosing: flagged, counted: flagged, groups: vec![flagged, flagged] };
    let fold = Fold { rows, groups: vec![rows, rows], points: vec![point(Some("0.5".into())), point(None)] };
    let mut measured = measurement(vec![], &[("black", "no"), ("black", "yes")]);
    measured.folds = vec![fold.clone(), fold];
    measured.curve = vec![CurvePoint { threshold: "x".into(), flagged }];
    measured
}
