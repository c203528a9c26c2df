//! What gates make of a measurement: numbers by hand, and many evaluations by chance.

use seatrial_crds::{
    ClassCounts, CurvePoint, FlaggedCounts, Fold, FoldPoint, LabelSource, MeasuredGroup, MeasuredMetric, Time,
};
use serde_json::{Value, json};

use super::*;

const fn rows(positives: i64, negatives: i64) -> ClassCounts {
    ClassCounts { positives, negatives }
}

const fn flagged(true_positives: i64, false_positives: i64) -> FlaggedCounts {
    FlaggedCounts { true_positives, false_positives }
}

/// A point of a fold: what the other fold says of the threshold, and what this one counts, whole and by group.
fn point(threshold: &str, choosing: FlaggedCounts, counted: FlaggedCounts, groups: Vec<FlaggedCounts>) -> FoldPoint {
    FoldPoint { threshold: Some(threshold.into()), choosing, counted, groups }
}

fn measurement(folds: Vec<Fold>, groups: &[(&str, &str)]) -> Measurement {
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
fn decided(groups: &[(&str, ClassCounts, FlaggedCounts)]) -> Measurement {
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

fn model(change: impl FnOnce(&mut Value)) -> ModelSpec {
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

fn version() -> ModelVersionSpec {
    let artifact = json!({"uri": "s3://growth/x", "digest": format!("sha256:{}", "a".repeat(64)), "size": 1});
    serde_json::from_value(json!({
        "model": "churn", "number": 1, "purpose": "Release", "artifact": artifact,
        "metrics": [{"step": "evaluate", "output": "metrics", "name": "recall", "value": "0.99"}],
        "evidence": [{"step": "evaluate", "output": "scored", "type": "Predictions", "artifact": artifact}],
    }))
    .unwrap()
}

fn judged(model: &ModelSpec, measurement: &Measurement, name: &str) -> GateJudgement {
    let judgements = judge(model, &version(), &Evidence::Measured(measurement));
    judgements.iter().find(|judgement| judgement.name == name).unwrap_or_else(|| panic!("{judgements:?}")).clone()
}

/// 100 positives of which 80 are found, 900 negatives of which 90 are flagged.
fn table() -> Measurement {
    decided(&[("no", rows(60, 700), flagged(48, 70)), ("yes", rows(40, 200), flagged(32, 20))])
}

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
    assert_eq!(gate("rocAuc", "0.78", Some("0.95")).verdict, Verdict::Passed);
    assert_eq!(gate("rocAuc", "0.785", Some("0.95")).verdict, Verdict::Inconclusive);
    assert_eq!(gate("f1", "0.1", Some("0.95")).verdict, Verdict::Error);
    let absent = gate("auc", "0.1", None);
    assert!(
        absent.verdict == Verdict::Error && absent.message.contains("measured were rocAuc, accuracy"),
        "{}",
        absent.message
    );
}

fn fair(rule: Value) -> ModelSpec {
    let mut rule = rule;
    rule["name"] = "alike".into();
    rule["slice"] = "black".into();
    model(|spec| spec["fairness"] = json!({"rules": [rule]}))
}

#[test]
fn groups_are_compared_by_the_rates_own_rows() {
    let groups =
        |yes: FlaggedCounts| decided(&[("no", rows(500, 5000), flagged(400, 500)), ("yes", rows(500, 1000), yes)]);
    let alarms = |bound: &str, value: &str| fair(json!({"metric": "FalsePositiveRate", bound: value}));
    for (spec, measured, expected, value) in [
        (alarms("maxGap", "0.05"), groups(flagged(400, 100)), Verdict::Passed, "0.000000000000"),
        (alarms("maxGap", "0.05"), groups(flagged(400, 300)), Verdict::Failed, "0.200000000000"),
        (alarms("maxGap", "0.05"), groups(flagged(400, 150)), Verdict::Inconclusive, "0.050000000000"),
        (alarms("min", "0.05"), groups(flagged(400, 150)), Verdict::Passed, "0.100000000000"),
        (alarms("min", "0.2"), groups(flagged(400, 150)), Verdict::Failed, "0.100000000000"),
        (alarms("minRatio", "0.8"), groups(flagged(400, 300)), Verdict::Failed, "0.333333333333"),
        (alarms("minRatio", "0.2"), groups(flagged(400, 300)), Verdict::Passed, "0.333333333333"),
        // Of the favourable outcome, not to be flagged: 0.7 to 0.9.
        (
            fair(json!({"metric": "FalsePositiveRate", "minRatio": "0.7", "favourable": "Negative"})),
            groups(flagged(400, 300)),
            Verdict::Passed,
            "0.777777777778",
        ),
        (
            fair(json!({"metric": "Recall", "maxGap": "0.1"})),
            groups(flagged(400, 0)),
            Verdict::Passed,
            "0.000000000000",
        ),
        (
            fair(json!({"metric": "SelectionRate", "maxGap": "0.1"})),
            groups(flagged(400, 300)),
            Verdict::Failed,
            "0.303030303030",
        ),
        (
            fair(json!({"metric": "Specificity", "maxGap": "0.1"})),
            groups(flagged(400, 300)),
            Verdict::Failed,
            "0.200000000000",
        ),
        (
            fair(json!({"metric": "FalseNegativeRate", "maxGap": "0.1"})),
            groups(flagged(250, 100)),
            Verdict::Failed,
            "0.300000000000",
        ),
        (
            fair(json!({"metric": "Precision", "min": "0.5"})),
            groups(flagged(400, 100)),
            Verdict::Failed,
            "0.444444444444",
        ),
        (
            fair(json!({"metric": "Accuracy", "min": "0.5"})),
            groups(flagged(400, 100)),
            Verdict::Passed,
            "0.866666666667",
        ),
    ] {
        let found = judged(&spec, &measured, "fairness.alike");
        assert_eq!((found.verdict, found.value.as_deref()), (expected, Some(value)), "{}", found.message);
    }
    let found = judged(&alarms("maxGap", "0.05"), &groups(flagged(400, 300)), "fairness.alike");
    assert!(
        found.message.starts_with(
            "FalsePositiveRate is 30 % (300 of 1000) where black is yes, and 10 % (500 of 5000) where it is no: 20 points apart"
        ),
        "{}",
        found.message
    );
}

#[test]
fn a_group_with_too_few_rows_is_named_and_decides_nothing() {
    let measured = decided(&[
        ("", rows(200, 99), flagged(160, 99)),
        ("no", rows(500, 5000), flagged(400, 500)),
        ("yes", rows(500, 1000), flagged(400, 100)),
    ]);
    let rule = |small: &str| fair(json!({"metric": "FalsePositiveRate", "maxGap": "0.05", "smallGroups": small}));
    let found = judged(&rule("Block"), &measured, "fairness.alike");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found.message.contains("too few negatives where black is (empty) (99): 100 are needed"),
        "{}",
        found.message
    );
    assert_eq!(judged(&rule("Report"), &measured, "fairness.alike").verdict, Verdict::Passed);
    // The same group has positives enough.
    let recall = fair(json!({"metric": "Recall", "maxGap": "0.15"}));
    assert_eq!(judged(&recall, &measured, "fairness.alike").verdict, Verdict::Passed);
    // What is broken by the others is broken.
    let mut broken = measured.clone();
    broken.folds[0].points[0].groups[2] = flagged(400, 900);
    assert_eq!(judged(&rule("Block"), &broken, "fairness.alike").verdict, Verdict::Failed);
}

#[test]
fn what_is_not_measured_is_pending_or_an_error_and_the_rest_is_judged_at_once() {
    let spec = model(|spec| {
        spec["budget"] = json!({"maxSize": "1Ki"});
        spec["gates"] = json!([{"name": "good", "type": "Metric", "metric": {"name": "rocAuc", "min": "0.5"}},
                               {"name": "own", "type": "Metric", "metric": {"name": "evaluate.recall", "min": "0.5"}}]);
    });
    let verdicts = |evidence: &Evidence<'_>| {
        let judgements = judge(&spec, &version(), evidence);
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
        let judgements = judge(&spec, &version(), &Evidence::Unavailable("x".into()));
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
}

#[test]
fn what_contradicts_itself_is_said() {
    for (change, words) in [
        ((|s| s["task"] = Value::Null) as fn(&mut Value), "set spec.task to type BinaryClassification"),
        (|s| s["task"] = json!({"type": "Regression"}), "set spec.task to type BinaryClassification"),
        (|s| s["errorCosts"]["prevalence"] = "1.0".into(), "there is nobody to tell apart"),
        (|s| s["errorCosts"]["falsePositive"] = "0".into(), ""),
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
            drop(judge(&spec, &version(), &Evidence::Measured(&measured)));
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

/// A generator of numbers for what follows (Steele's splitmix64): the same ones each time.
struct Chance(u64);

impl Chance {
    fn happens(&mut self, probability: f64) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are chance enough")]
        let number = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        number < probability
    }

    fn count(&mut self, of: i64, probability: f64) -> i64 {
        (0..of).filter(|_| self.happens(probability)).count().try_into().unwrap_or(0)
    }
}

/// A thousand evaluations of one model: the cost's interval holds the true cost in at least 93 % of them, and a model that
/// is worth nothing passes no more often than its level allows.
#[test]
fn intervals_hold_what_they_promise_and_noise_does_not_pass() {
    let mut chance = Chance(0x5ea7_41a1);
    // True rates: 15 % missed, 12 % flagged; the true cost is 1.4 * 0.15 + 0.93 * 0.12 = 0.3216.
    let held = (0..1000)
        .filter(|_| {
            let measured =
                decided(&[("all", rows(150, 850), flagged(chance.count(150, 0.85), chance.count(850, 0.12)))]);
            let at = |max: &str| {
                let gate =
                    json!([{"name": "cheap", "type": "Cost", "cost": {"maxPerPrediction": max, "confidence": "0.95"}}]);
                judged(&model(|spec| spec["gates"] = gate), &measured, "cheap").verdict
            };
            // The interval holds the true cost where neither side of it is decided.
            at("0.3216") == Verdict::Inconclusive
        })
        .count();
    assert!((930..=985).contains(&held), "{held}");
    // Flags at random: it saves 1.4 - (1.4 * 0.6 + 0.6 * 0.4) = 0 where a false alarm costs 0.56/0.372.
    let spec = model(|spec| {
        spec["errorCosts"]["falsePositive"] = "1.505376344086021505".into();
        spec["fairness"] =
            json!({"rules": [{"name": "same", "slice": "black", "metric": "FalsePositiveRate", "maxGap": "0.1"}]});
    });
    let (mut saves, mut alike) = (0, 0);
    for _ in 0..1000 {
        let measured = decided(&[
            ("no", rows(75, 425), flagged(chance.count(75, 0.4), chance.count(425, 0.35))),
            // Ten points more: the rule is just broken.
            ("yes", rows(75, 425), flagged(chance.count(75, 0.4), chance.count(425, 0.45))),
        ]);
        saves += usize::from(judged(&spec, &measured, "errorCosts").verdict == Verdict::Passed);
        alike += usize::from(judged(&spec, &measured, "fairness.same").verdict == Verdict::Passed);
    }
    assert!(saves <= 40 && alike <= 40, "{saves} {alike}");
}
