//! Counting a version and its champion on the same rows.

use ring::digest::{SHA256, digest};
use seatrial_core::contract::{Compared, DuelConfig};
use seatrial_crds::FlaggedCounts;

use crate::problem::Problem;
use crate::testing::Tables;

/// Ids of one fold, in a row that does not end.
fn ids(fold: u8) -> impl Iterator<Item = u32> {
    let of = |id: u32| digest(&SHA256, id.to_string().as_bytes()).as_ref()[0] & 1;
    (1_u32..).filter(move |id| of(*id) == fold)
}

/// A row of fold 0, and the same of fold 1, which is there to be told apart: label, the version's score, the champion's.
type Row = (u8, f64, f64);

const ROWS: [Row; 8] = [
    (1, 0.9, 0.8),
    (1, 0.7, 0.2),
    (1, 0.6, 0.9),
    (1, 0.2, 0.3),
    (0, 0.8, 0.7),
    (0, 0.6, 0.1),
    (0, 0.3, 0.6),
    (0, 0.1, 0.1),
];

fn tables(column: &str, rows: &[(u32, Row)]) -> (Tables, String) {
    let shown = |number: f64| if column == "score" { number.to_string() } else { u8::from(number >= 0.5).to_string() };
    let mut own = format!("id,label,{column}\n");
    let mut champion = format!("{column},id\n");
    for (id, (label, score, theirs)) in rows {
        own.push_str(&format!("{id},{label},{}\n", shown(*score)));
        // In another order.
        champion.insert_str(champion.find('\n').unwrap() + 1, &format!("{},{id}\n", shown(*theirs)));
    }
    (Tables::new(own), champion)
}

fn compare(tables: &Tables, champion: &str, change: impl FnOnce(&mut DuelConfig)) -> Result<Compared, Problem> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), champion).unwrap();
    let mut duel = DuelConfig {
        predictions: file.path().to_str().unwrap().into(),
        threshold: None,
        thresholds: vec![vec!["0.95".into(), "0.7".into(), "0.5".into(), "0".into()], vec!["0.5".into()]],
    };
    change(&mut duel);
    super::compare(&tables.config, &duel)
}

fn rows_of_both_folds() -> Vec<(u32, Row)> {
    ids(0).zip(ROWS).chain(ids(1).zip(ROWS.into_iter().take(5))).collect()
}

fn pairs(counts: &[FlaggedCounts]) -> Vec<(i64, i64)> {
    counts.iter().map(|counts| (counts.true_positives, counts.false_positives)).collect()
}

#[test]
fn both_are_counted_on_the_same_rows_at_each_threshold() {
    let (tables, champion) = tables("score", &rows_of_both_folds());
    let compared = compare(&tables, &champion, |_| ()).unwrap();
    let [first, second] = compared.folds.as_slice() else { panic!("{compared:?}") };
    assert_eq!((first.rows.positives, first.rows.negatives), (4, 4));
    // At 0.5 the champion takes the rows with 0.8, 0.9, 0.7 and 0.6.
    assert_eq!(pairs(&[first.champion]), [(2, 2)]);
    // Of these the version has 0.9, 0.6, 0.8 and 0.3.
    assert_eq!(pairs(&first.both), [(0, 0), (1, 1), (2, 1), (2, 2)]);
    assert_eq!((second.rows.positives, second.rows.negatives), (4, 1));
    assert_eq!((pairs(&[second.champion]), pairs(&second.both)), (vec![(2, 1)], vec![(2, 1)]));
    // The champion keeps the threshold that it serves with; a score at it counts.
    let at = |threshold: &str| {
        let compared = compare(&tables, &champion, |duel| duel.threshold = Some(threshold.into())).unwrap();
        pairs(&[compared.folds[0].champion])
    };
    assert_eq!((at("0.8"), at("0.2"), at("2")), (vec![(2, 0)], vec![(4, 2)], vec![(0, 0)]));
}

#[test]
fn decisions_have_one_fold_and_no_threshold() {
    let (own, decisions) = tables("prediction", &rows_of_both_folds());
    let compared = compare(&own, &decisions, |duel| duel.thresholds.clear()).unwrap();
    let [only] = compared.folds.as_slice() else { panic!("{compared:?}") };
    assert_eq!((pairs(&[only.champion]), pairs(&only.both)), (vec![(4, 3)], vec![(4, 2)]));
    // A champion with scores beside a version with decisions: each decides as it does.
    let (_, scores) = tables("score", &rows_of_both_folds());
    let compared = compare(&own, &scores, |duel| duel.thresholds.clear()).unwrap();
    assert_eq!(pairs(&[compared.folds[0].champion]), [(4, 3)]);
}

#[test]
fn a_champion_that_cannot_be_compared_with_is_unusable_and_says_why() {
    let rows = rows_of_both_folds();
    let (own, _) = tables("score", &rows);
    let with = |change: fn(&mut Vec<(u32, Row)>)| {
        let mut rows = rows.clone();
        change(&mut rows);
        tables("score", &rows).1
    };
    for (champion, said) in [
        (with(|rows| rows.truncate(12)), "1 of 13 rows of the predictions are not among the champion's predictions"),
        (with(|rows| rows[0].0 = 999_999), "are for other rows: \"999999\""),
        (with(|rows| rows[1].0 = rows[0].0), "stands in more than one row of the champion's predictions"),
        (with(|rows| rows[0].1.2 = 7.0), "no probabilities"),
        ("id\n1\n".to_owned(), "no column score and no column prediction"),
        ("id,prediction\n1,perhaps\n".to_owned(), "\"perhaps\", which no row has as its label"),
        (String::new(), "empty file"),
    ] {
        match compare(&own, &champion, |_| ()) {
            Err(Problem::Unusable(why)) => assert!(why.contains(said), "{said}: {why}"),
            other => panic!("{said}: {other:?}"),
        }
    }
    // Labels of the owner's decide which rows there are.
    let (apart, champion) = tables("score", &rows);
    let labels: String = rows.iter().map(|(id, (label, ..))| format!("{id},{label}\n")).collect();
    let apart = apart.labels(format!("customer,left\n{labels}"));
    assert!(compare(&apart, &champion, |_| ()).is_ok());
    let Err(Problem::Failed(why)) = compare(&own, &champion, |duel| duel.thresholds.clear()) else { panic!() };
    assert!(why.contains("thresholds"), "{why}");
}
