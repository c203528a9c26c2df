//! Verdicts of gates of type `Champion`, with numbers that a person computes by hand.

use seatrial_crds::{DuelFold, DuelMeasurement, FlaggedCounts, Time};
use serde_json::json;

use super::super::fixture::{decided, flagged, measurement, model, point, rows, version};
use super::super::{Evidence, judge as judge_all};
use super::*;
use seatrial_crds::{Fold, GateJudgement};

fn duel(folds: Vec<DuelFold>) -> Duel {
    let at = Time(jiff::Timestamp::UNIX_EPOCH);
    let artifact = version().artifact;
    Duel {
        pinned_at: at.clone(),
        champion: Some(seatrial_crds::Champion { version: "churn-v6".into(), artifact, threshold: None }),
        judged_before: Some(0),
        evaluations: 1,
        predictions: None,
        measurement: Some(DuelMeasurement { key: "sha256:d".into(), measured_at: at, problem: None, folds }),
        problem: None,
    }
}

/// One fold of decisions: what the champion flags, and what both flag.
fn decisions(champion: FlaggedCounts, both: FlaggedCounts) -> Duel {
    duel(vec![DuelFold { champion, both: vec![both] }])
}

fn judged(metric: &str, min_gain: &str, measured: &Measurement, duel: &DuelState<'_>) -> GateJudgement {
    let gate = json!([{"name": "better", "type": "Champion", "champion": {"metric": metric, "minGain": min_gain}}]);
    let spec = model(|spec| spec["gates"] = gate);
    let judgements = judge_all(&spec, &version(), &Evidence::Measured(measured), duel);
    judgements.iter().find(|judgement| judgement.name == "better").unwrap().clone()
}

/// 1000 positives of which the version finds 800 and the champion 760, both 750; 9000 negatives of which the version flags 900
/// and the champion 930, both 880.
fn table() -> (Measurement, Duel) {
    (decided(&[("no", rows(1000, 9000), flagged(800, 900))]), decisions(flagged(760, 930), flagged(750, 880)))
}

#[test]
fn gains_are_those_that_a_person_computes_by_hand() {
    let (measured, duel) = table();
    let duel = DuelState::Over(&duel);
    // 1.4 * (50 - 10)/1000 + 0.93 * (50 - 20)/9000 = 0.056 + 0.0031.
    let found = judged("Cost", "0", &measured, &duel);
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Passed, Some("0.0591")), "{}", found.message);
    assert!(
        found.message.starts_with("saves 0.0591 EUR for each prediction against the champion churn-v6 (gain between"),
        "{}",
        found.message
    );
    assert!(
        found.message.contains(
            "of 1000 positives it alone finds 50 and churn-v6 alone 10; of 9000 negatives it alone flags 20 and churn-v6 alone 50; where 7 % are positive), better by more than chance explains"
        ),
        "{}",
        found.message
    );
    for (metric, gain) in [("Recall", "0.04"), ("Specificity", "0.003333333333"), ("Accuracy", "0.007")] {
        let found = judged(metric, "0", &measured, &duel);
        assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Passed, Some(gain)), "{}", found.message);
    }
}

#[test]
fn the_whole_interval_must_be_above_the_bar_and_a_fail_has_nothing_above_it() {
    let (measured, better) = table();
    let worse = decisions(flagged(840, 870), flagged(790, 860));
    let equal = decisions(flagged(800, 900), flagged(800, 900));
    for (duel, bar, expected, says) in [
        (&better, "0.01", Verdict::Passed, "better by more than the 0.01 EUR that are asked for"),
        (&better, "0.06", Verdict::Inconclusive, "too uncertain to say whether it is better by more than the 0.06 EUR"),
        (&better, "0.5", Verdict::Failed, "not better by the 0.5 EUR that are asked for"),
        (&worse, "0", Verdict::Failed, "not better"),
        (&worse, "-0.01", Verdict::Failed, "worse by more than the 0.01 EUR that are allowed"),
        (&worse, "-0.5", Verdict::Passed, "not worse by more than the 0.5 EUR that are allowed"),
        // An equal retrain is never better, and is not worse.
        (&better, "0.05", Verdict::Inconclusive, " rows in place of 10000 would decide, if the numbers stay alike"),
        (&equal, "0", Verdict::Inconclusive, "too uncertain to say whether it is better by more than chance explains"),
        (&equal, "-0.01", Verdict::Passed, "costs as much as the champion churn-v6"),
    ] {
        let found = judged("Cost", bar, &measured, &DuelState::Over(duel));
        assert_eq!(found.verdict, expected, "{bar}: {}", found.message);
        assert!(found.message.contains(says), "{bar}: {}", found.message);
    }
    let few = decided(&[("no", rows(9, 500), flagged(9, 0))]);
    let found = judged("Cost", "-1", &few, &DuelState::Over(&decisions(flagged(0, 400), flagged(0, 0))));
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.message.contains("9 positives and 500 negatives are too few"), "{}", found.message);
}

/// Each fold's threshold is the one that the costs choose on the other: the counts of that point are taken.
/// Another line through the same scores is no better model, and the owner must not take it for one.
#[test]
fn a_champion_with_the_same_files_is_said_to_be_so() {
    let (measured, mut duel) = table();
    duel.champion.as_mut().unwrap().threshold = Some("0.2943884241712368".into());
    let found = judged("Cost", "0", &measured, &DuelState::Over(&duel));
    let words = "; both have the same files, with which churn-v6 decides at the threshold 0.294";
    assert!(found.message.ends_with(words), "{}", found.message);
    duel.champion.as_mut().unwrap().artifact.digest = "sha256:other".into();
    let found = judged("Cost", "0", &measured, &DuelState::Over(&duel));
    assert!(!found.message.contains("same files"), "{}", found.message);
}

#[test]
fn the_version_is_compared_at_the_thresholds_that_the_costs_choose() {
    let points = |best: FlaggedCounts| {
        vec![point("0.9", flagged(10, 10), flagged(10, 5), vec![]), point("0.2", flagged(95, 10), best, vec![])]
    };
    let fold = |best| Fold { rows: rows(100, 100), groups: vec![], points: points(best) };
    let measured = measurement(vec![fold(flagged(90, 20)), fold(flagged(80, 30))], &[]);
    let both = |of_best| DuelFold { champion: flagged(50, 10), both: vec![flagged(5, 1), of_best] };
    let counted = duel(vec![both(flagged(50, 10)), both(flagged(45, 5))]);
    let found = judged("Recall", "0", &measured, &DuelState::Over(&counted));
    // Of 200 positives the version alone finds 40 + 35, the champion alone 0 + 5.
    assert_eq!((found.verdict, found.value.as_deref()), (Verdict::Passed, Some("0.35")), "{}", found.message);
    let mut other = counted.clone();
    other.measurement.as_mut().unwrap().folds.pop();
    let found = judged("Recall", "0", &measured, &DuelState::Over(&other));
    assert_eq!(found.verdict, Verdict::Inconclusive, "{}", found.message);
}

#[test]
fn what_is_not_a_comparison_says_why() {
    let (measured, held) = table();
    let first = Duel { champion: None, ..held.clone() };
    let crashed =
        Duel { problem: Some("the command of step \"evaluate\" ended with exit code 1".into()), ..held.clone() };
    for (duel, expected, says) in [
        (DuelState::Over(&first), Verdict::Passed, "FirstVersion"),
        (DuelState::Over(&crashed), Verdict::Inconclusive, "churn-v6 could not be compared with: the command"),
        (DuelState::Pending("it goes on".into()), Verdict::Pending, "it goes on"),
        (DuelState::Unavailable("the run is gone".into()), Verdict::Inconclusive, "the run is gone"),
        (DuelState::Impossible("no such input".into()), Verdict::Error, "no such input"),
    ] {
        let found = judged("Cost", "-0.01", &measured, &duel);
        assert_eq!(found.verdict, expected, "{}", found.message);
        assert!(found.message.contains(says), "{}", found.message);
    }
    let often = Duel { judged_before: Some(4), ..held };
    let found = judged("Cost", "-0.01", &measured, &DuelState::Over(&often));
    assert!(found.message.ends_with("; 4 versions were judged on the same labels before"), "{}", found.message);
}

#[test]
fn a_bar_that_nothing_passes_is_named() {
    let problem = |metric: &str, min_gain: &str, task: &str, costs: bool| {
        let gate = json!([{"name": "better", "type": "Champion", "champion": {"metric": metric, "minGain": min_gain}}]);
        let spec = model(|spec| {
            spec["gates"] = gate;
            spec["task"] = json!({"type": task, "positiveLabel": "1"});
            if !costs {
                spec["errorCosts"] = json!({"notApplicable": {"reason": "x"}});
            }
        });
        super::super::problem(&spec).map(|(_, problem)| problem)
    };
    // Nothing gains more than 1.4 + 0.93.
    assert_eq!(problem("Cost", "2.329", "BinaryClassification", true), None);
    for (metric, bar, task, costs, says) in [
        ("Cost", "2.33", "BinaryClassification", true, "nothing gains more than 2.33"),
        ("Recall", "1", "BinaryClassification", true, "nothing gains more than 1"),
        ("Cost", "0", "BinaryClassification", false, "spec.errorCosts does not say"),
        ("Recall", "0", "Regression", false, "BinaryClassification"),
    ] {
        let found = problem(metric, bar, task, costs).unwrap_or_default();
        assert!(found.contains(says), "{metric} {bar}: {found}");
    }
}
