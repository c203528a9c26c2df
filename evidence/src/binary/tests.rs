//! Metrics of a binary classification, compared with numbers computed another way.

use std::fmt::Write as _;

use proptest::prelude::*;
use seatrial_core::contract::{JudgeMessage, MAX_JUDGE_BYTES};
use seatrial_crds::{ClassCounts, FlaggedCounts, limits};

use crate::testing::{Tables, error, value};

fn flagged(true_positives: i64, false_positives: i64) -> FlaggedCounts {
    FlaggedCounts { true_positives, false_positives }
}

/// Two positives at 0.8 and 0.4, two negatives at 0.4 and 0.2.
const FOUR: &str = "id,score,label\na,0.8,1\nb,0.4,1\nc,0.4,0\nd,0.2,0\n";

#[test]
fn metrics_of_four_rows_are_those_computed_by_hand() {
    let measured = Tables::new(FOUR).measured();
    assert_eq!(measured.rows, 4);
    // Of four pairs three are in order and one is a tie.
    assert_eq!(value(&measured, "rocAuc"), Some("0.875"));
    // Parts that positives beat: 1 and 0.75, variance 1/32; those that beat negatives: 0.75 and 1, as much.
    // √(1/64 + 1/64).
    assert_eq!(error(&measured, "rocAuc"), Some("0.176776695297"));
    // Recall 1/2 at precision 1, then 1/2 more at 2/3.
    assert_eq!(value(&measured, "prAuc"), Some("0.833333333333"));
    // −(ln 0.8 + ln 0.4 + ln 0.6 + ln 0.8)/4.
    assert_eq!(value(&measured, "logLoss"), Some("0.468350864567"));
    // (0.04 + 0.36 + 0.16 + 0.04)/4, and √(Σ(x−0.15)²/3/4).
    assert_eq!(value(&measured, "brier"), Some("0.15"));
    assert_eq!(error(&measured, "brier"), Some("0.0754983443527"));
    // Bins: {0.2}, {0.4, 0.4}, {0.8}: (0.2 + |0.8 − 1| + 0.2)/4.
    assert_eq!(value(&measured, "calibrationError"), Some("0.15"));
}

#[test]
fn the_curve_has_the_hull_and_the_half() {
    let measured = Tables::new(FOUR).measured();
    let curve: Vec<_> = measured.curve.iter().map(|point| (point.threshold.as_str(), point.flagged)).collect();
    assert_eq!(
        curve,
        [
            ("0.8000000000000002", flagged(0, 0)),
            ("0.8", flagged(1, 0)),
            ("0.5", flagged(1, 0)),
            ("0.4", flagged(2, 1)),
            ("0.2", flagged(2, 2)),
        ]
    );
}

#[test]
fn a_fold_is_counted_at_thresholds_of_the_other() {
    // SHA-256 begins with ca, 3e and 2e (even) for a, b and c, and with 18, 3f and 25 for d, e and f: even, odd, odd.
    let measured = Tables::new("id,score,label,sex\na,9,1,m\nb,3,0,w\nc,5,1,w\nd,2,0,m\ne,4,1,m\nf,6,0,w\n")
        .slices(&["sex"])
        .measured();
    let [even, odd] = measured.folds.as_slice() else { panic!("two folds") };
    assert_eq!(
        (even.rows, odd.rows),
        (ClassCounts { positives: 2, negatives: 2 }, ClassCounts { positives: 1, negatives: 1 },)
    );
    assert_eq!(measured.groups.iter().map(|group| group.value.as_str()).collect::<Vec<_>>(), ["m", "w"]);
    // The even fold at the odd fold's 6 and 4, where the positive comes last: nobody, everybody.
    let points: Vec<_> = even
        .points
        .iter()
        .map(|point| (point.threshold.as_deref().unwrap(), point.choosing, point.counted, point.groups.clone()))
        .collect();
    assert_eq!(
        points,
        [
            ("6.000000000000001", flagged(0, 0), flagged(1, 0), vec![flagged(1, 0), flagged(0, 0)]),
            ("4", flagged(1, 1), flagged(2, 0), vec![flagged(1, 0), flagged(1, 0)]),
        ]
    );
    // The odd fold at the even fold's, which orders its rows without fault.
    let points: Vec<_> =
        odd.points.iter().map(|point| (point.threshold.as_deref().unwrap(), point.choosing, point.counted)).collect();
    assert_eq!(
        points,
        [
            ("9.000000000000002", flagged(0, 0), flagged(0, 0)),
            ("5", flagged(2, 0), flagged(0, 1)),
            ("2", flagged(2, 2), flagged(1, 1)),
        ]
    );
    // Scores beyond 1 are no probabilities.
    assert_eq!((value(&measured, "brier"), measured.curve.iter().any(|point| point.threshold == "0.5")), (None, false));
}

#[test]
fn decisions_without_scores_are_counted_in_one_fold() {
    let measured = Tables::new("id,prediction,label,sex\na,yes,yes,m\nb,no,yes,w\nc,yes,no,w\nd,no,no,m\n")
        .positive("yes")
        .slices(&["sex"])
        .measured();
    let [fold] = measured.folds.as_slice() else { panic!("one fold") };
    assert_eq!(fold.rows, ClassCounts { positives: 2, negatives: 2 });
    let [point] = fold.points.as_slice() else { panic!("one point") };
    assert_eq!((point.threshold.as_ref(), point.choosing, point.counted), (None, flagged(0, 0), flagged(1, 1)));
    assert_eq!(point.groups, [flagged(1, 0), flagged(0, 1)]);
    assert!(measured.metrics.is_empty() && measured.curve.is_empty());
}

#[test]
fn a_fold_without_rows_states_zero() {
    // The hashes of both begin with an even byte.
    let measured = Tables::new("id,score,label\na,0.9,1\nb,0.1,0\n").measured();
    let [even, odd] = measured.folds.as_slice() else { panic!("two folds") };
    assert_eq!(odd.rows, ClassCounts::default());
    assert_eq!(even.rows, ClassCounts { positives: 1, negatives: 1 });
    assert!(even.points.iter().all(|point| point.choosing == flagged(0, 0)));
    assert_eq!(odd.points.iter().map(|point| point.choosing).next_back(), Some(flagged(1, 1)));
    // One row of a class has no variance.
    assert_eq!(error(&measured, "rocAuc"), None);
}

/// A table of so many rows whose hull has many corners.
fn large(rows: u32, groups: u32) -> String {
    let mut table = "id,score,label,a\n".to_owned();
    for row in 0..rows {
        let place = f64::from(row) / f64::from(rows);
        let noise = f64::from(row.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
        let _ = writeln!(table, "{row},{},{},group {}", place / 1.01, u8::from(noise < place), row % groups);
    }
    table
}

#[test]
fn points_are_dropped_until_the_message_has_room() {
    for (rows, groups, least) in [(20_000, 1, 30), (20_000, 6, 12), (3_000, 12, 12), (60_000, 60, 6)] {
        let measured = Tables::new(large(rows, groups)).slices(&["a"]).measured();
        let bytes = JudgeMessage::Measured(measured.clone()).to_json().len();
        assert!(bytes <= MAX_JUDGE_BYTES, "{groups}: {bytes}");
        let lists = measured.folds.iter().map(|fold| {
            let all = (fold.points.first().unwrap().choosing, fold.points.last().unwrap().choosing);
            (fold.points.len(), fold.points.iter().any(|point| point.threshold.as_deref() == Some("0.5")), all)
        });
        for (points, half, (nobody, everybody)) in lists {
            assert!(half && (least..=limits::CURVE_POINTS).contains(&points), "{groups} groups: {points} points");
            assert_eq!((nobody, everybody.true_positives + everybody.false_positives > 1000), (flagged(0, 0), true));
        }
    }
}

#[test]
fn the_largest_number_of_groups_has_room_whatever_they_are_called() {
    let slices: Vec<String> = (0..8).map(|slice| format!("{:s<63}", slice)).collect();
    let mut table = format!("id,score,label,{}\n", slices.join(","));
    for row in 0..40_000_u32 {
        let noise = f64::from(row.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
        let place = f64::from(row) / 40_000.0;
        let groups: Vec<String> = (0..8).map(|slice| format!("{:g<63}", (row >> slice) % 8)).collect();
        let _ = writeln!(table, "{row},{},{},{}", place / 1.01, u8::from(noise < place), groups.join(","));
    }
    let names: Vec<&str> = slices.iter().map(String::as_str).collect();
    let measured = Tables::new(table).slices(&names).measured();
    assert_eq!((measured.groups.len(), measured.rows), (limits::MEASURED_GROUPS, 40_000));
    assert!(measured.folds.iter().all(|fold| fold.points.len() >= 4), "too few points decide");
    assert!(measured.groups.iter().all(|group| group.slice.len() == 63 && group.value.contains("…#")));
    let why = Tables::new(large(1_000, 65)).slices(&["a"]).unusable();
    assert!(why.contains("more than 64 groups"), "{why}");
}

/// Scores with ties, labels and groups.
fn any_rows() -> impl Strategy<Value = Vec<(u8, bool, u8)>> {
    prop::collection::vec((0_u8..20, any::<bool>(), 0_u8..3), 4..60)
        .prop_filter("two classes", |rows| rows.iter().any(|row| row.1) && rows.iter().any(|row| !row.1))
}

fn written(rows: &[(usize, (u8, bool, u8))]) -> String {
    let mut table = "id,score,label,g\n".to_owned();
    for (id, (score, label, group)) in rows {
        let _ = writeln!(table, "{id},{},{},{group}", f64::from(*score) / 19.0, u8::from(*label));
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rows_does_not_matter(rows in any_rows(), seed in any::<u64>()) {
        let mut rows: Vec<_> = rows.into_iter().enumerate().collect();
        let before = Tables::new(written(&rows)).slices(&["g"]).measured();
        rows.sort_by_key(|(id, _)| (*id as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let after = Tables::new(written(&rows)).slices(&["g"]).measured();
        prop_assert_eq!(JudgeMessage::Measured(before).to_json(), JudgeMessage::Measured(after).to_json());
    }

    #[test]
    fn a_threshold_read_back_gives_its_counts(rows in any_rows()) {
        let table: Vec<_> = rows.iter().copied().enumerate().collect();
        let measured = Tables::new(written(&table)).measured();
        for point in &measured.curve {
            let threshold: f64 = point.threshold.parse().unwrap();
            let count = |positive: bool| {
                let at_least = |row: &&(u8, bool, u8)| row.1 == positive && f64::from(row.0) / 19.0 >= threshold;
                i64::try_from(rows.iter().filter(at_least).count()).unwrap()
            };
            prop_assert_eq!(point.flagged, flagged(count(true), count(false)));
        }
    }

    #[test]
    fn the_area_is_the_part_of_pairs_in_order(rows in any_rows()) {
        let table: Vec<_> = rows.iter().copied().enumerate().collect();
        let measured = Tables::new(written(&table)).measured();
        let (mut halves, mut pairs) = (0_u32, 0_u32);
        for one in rows.iter().filter(|row| row.1) {
            for other in rows.iter().filter(|row| !row.1) {
                halves += match one.0.cmp(&other.0) { std::cmp::Ordering::Less => 0, std::cmp::Ordering::Equal => 1, std::cmp::Ordering::Greater => 2 };
                pairs += 1;
            }
        }
        let expected = f64::from(halves) / 2.0 / f64::from(pairs);
        let area: f64 = value(&measured, "rocAuc").unwrap().parse().unwrap();
        prop_assert!((area - expected).abs() < 1e-11, "{area} {expected}");
    }
}
