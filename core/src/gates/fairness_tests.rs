//! How the groups of a slice are compared: rates that a person computes by hand, and verdicts on them.

use seatrial_crds::FlaggedCounts;
use serde_json::json;

use super::fixture::{decided, fair, flagged, judged, rows};
use super::*;

#[test]
fn groups_are_compared_by_the_rates_own_rows() {
    let groups =
        |yes: FlaggedCounts| decided(&[("no", rows(500, 5000), flagged(400, 500)), ("yes", rows(500, 1000), yes)]);
    let alarms = |bound: &str, value: &str| fair(json!({"metric": "FalsePositiveRate", bound: value}));
    for (spec, measured, expected, value) in [
        (alarms("maxGap", "0.05"), groups(flagged(400, 100)), Verdict::Passed, "0"),
        (alarms("maxGap", "0.05"), groups(flagged(400, 300)), Verdict::Failed, "0.2"),
        (alarms("maxGap", "0.05"), groups(flagged(400, 150)), Verdict::Inconclusive, "0.05"),
        (alarms("min", "0.05"), groups(flagged(400, 150)), Verdict::Passed, "0.1"),
        (alarms("min", "0.2"), groups(flagged(400, 150)), Verdict::Failed, "0.1"),
        (alarms("minRatio", "0.8"), groups(flagged(400, 300)), Verdict::Failed, "0.333333333333"),
        (alarms("minRatio", "0.2"), groups(flagged(400, 300)), Verdict::Passed, "0.333333333333"),
        // Of the favourable outcome, not to be flagged: 0.7 to 0.9.
        (
            fair(json!({"metric": "FalsePositiveRate", "minRatio": "0.7", "favourable": "Negative"})),
            groups(flagged(400, 300)),
            Verdict::Passed,
            "0.777777777778",
        ),
        (fair(json!({"metric": "Recall", "maxGap": "0.1"})), groups(flagged(400, 0)), Verdict::Passed, "0"),
        (
            fair(json!({"metric": "SelectionRate", "maxGap": "0.1"})),
            groups(flagged(400, 300)),
            Verdict::Failed,
            "0.30303030303",
        ),
        (fair(json!({"metric": "Specificity", "maxGap": "0.1"})), groups(flagged(400, 300)), Verdict::Failed, "0.2"),
        (
            fair(json!({"metric": "FalseNegativeRate", "maxGap": "0.1"})),
            groups(flagged(250, 100)),
            Verdict::Failed,
            "0.3",
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
            "FalsePositiveRate is 30 % (300 of 1000) where black is yes, and 10 % (500 of 5000) where it is no: 20 percentage points apart"
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

/// The groups that are furthest apart may be too few to decide, while others are not.
#[test]
fn the_sentence_names_the_groups_that_decide() {
    let measured = decided(&[
        ("a", rows(500, 5000), flagged(400, 500)),
        ("b", rows(500, 5000), flagged(400, 1500)),
        ("c", rows(500, 100), flagged(400, 0)),
    ]);
    let found = judged(&fair(json!({"metric": "FalsePositiveRate", "maxGap": "0.15"})), &measured, "fairness.alike");
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Failed, Some("0.3")), "{}", found.message);
    let found = judged(&fair(json!({"metric": "FalsePositiveRate", "maxGap": "0.25"})), &measured, "fairness.alike");
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Inconclusive, Some("0.3")), "{}", found.message);
    let close = decided(&[
        ("a", rows(500, 5000), flagged(400, 500)),
        ("b", rows(500, 5000), flagged(400, 1000)),
        ("c", rows(500, 100), flagged(400, 22)),
    ]);
    let found = judged(&fair(json!({"metric": "FalsePositiveRate", "maxGap": "0.06"})), &close, "fairness.alike");
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Failed, Some("0.1")), "{}", found.message);
    assert!(found.message.contains("where black is b, and 10 % (500 of 5000) where it is a"), "{}", found.message);
    let least = fair(json!({"metric": "FalsePositiveRate", "min": "0.19"}));
    let found = judged(&least, &close, "fairness.alike");
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Failed, Some("0.1")), "{}", found.message);
}
