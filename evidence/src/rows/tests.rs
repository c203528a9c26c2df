//! Joining predictions and labels by id, and which tables cannot be used.

use crate::problem::Problem;
use crate::testing::{Tables, value};

const LABELS: &str = "customer,left,sex\n1,1,m\n2,0,w\n3,1,w\n4,0,m\n";
const SCORES: &str = "id,score\n4,0.1\n3,0.7\n2,0.3\n1,0.9\n";

#[test]
fn the_owners_labels_are_joined_by_id() {
    let apart = Tables::new(SCORES).labels(LABELS).slices(&["sex"]).measured();
    let beside = "id,score,label,sex\n1,0.9,1,m\n2,0.3,0,w\n3,0.7,1,w\n4,0.1,0,m\n";
    assert_eq!(apart, Tables::new(beside).slices(&["sex"]).measured());
    assert_eq!((apart.rows, value(&apart, "rocAuc")), (4, Some("1")));
    // Labels and slices of who is judged do not count.
    let forged = "id,score,label,sex\n1,0.9,0,x\n2,0.3,1,x\n3,0.7,0,x\n4,0.1,1,x\n";
    assert_eq!(apart, Tables::new(forged).labels(LABELS).slices(&["sex"]).measured());
}

#[test]
fn ids_that_do_not_fit_are_counted_and_named() {
    let cases: [(&str, &[&str]); 7] = [
        ("id,score\n1,0.9\n2,0.3\n3,0.7\n", &["1 of 4 labels have no prediction: \"4\""]),
        ("id,score\n1,0.9\n", &["3 of 4 labels have no prediction", "\"2\"", "\"3\"", "\"4\""]),
        ("id,score\n1,0.9\n2,0.3\n3,0.7\n4,0.1\n5,0.2\n", &["1 of 5 predictions have no label: \"5\""]),
        ("id,score\n1,0.9\n2,0.3\n3,0.7\nx,0.2\n", &["no prediction: \"4\"", "no label: \"x\""]),
        ("id,score\n1,0.9\n2,0.3\n3,0.7\n4,0.1\n2,0.3\n", &["1 id stands in more than one row", "\"2\""]),
        ("id,score\n1,0.9\n2,0.3\n,0.7\n,0.1\n", &["2 rows of the predictions have no id", "row 3"]),
        ("id,score\n1,0.9\n2,0.3\n3,0.7\n4.0,0.1\n", &["no label: \"4.0\"", "\"4.0\" is not \"4\""]),
    ];
    for (predictions, said) in cases {
        let why = Tables::new(predictions).labels(LABELS).unusable();
        assert!(said.iter().all(|part| why.contains(part)), "{predictions}: {why}");
    }
    // The hint is for integers that one table writes otherwise, in either table.
    let why = Tables::new(SCORES).labels("customer,left\n01,1\n02,0\n3,1\n4,0\n").unusable();
    assert!(why.contains("\"02\" is not \"2\"") || why.contains("\"01\" is not \"1\""), "{why}");
    let why = Tables::new("id,score\n1,0.9\n2,0.3\n3,0.7\nx,0.2\n").labels(LABELS).unusable();
    assert!(!why.contains("compared as texts"), "{why}");
    let why = Tables::new(SCORES).labels("customer,left\n1,1\n1,0\n").unusable();
    assert!(why.contains("more than one row of the labels"), "{why}");
    // As many are named as have room.
    let many: String = (10..30).map(|id| format!("{id},0.5\n")).collect();
    let why = Tables::new(format!("{SCORES}{many}")).labels(LABELS).unusable();
    assert!(why.contains("20 of 24 predictions") && why.matches('"').count() == 6, "{why}");
}

#[test]
fn columns_and_labels_that_do_not_fit_are_named() {
    let cases = [
        ("name,score,label\n1,0.5,1\n", "no column id; their columns are \"name\", \"score\", \"label\""),
        ("id,p,label\n1,0.5,1\n", "no column score and no column prediction"),
        ("id,score\n1,0.5\n", "no column label"),
        ("id,score,label\n", "no rows"),
        ("id,score,label\n1,0.5,1\n2,x y,0\n", "score in row 2 of the predictions is \"x y\", not a finite number"),
        ("id,score,label\n1,0.5,1\n2,nan,0\n", "score in row 2"),
        ("id,score,label\n1,0.5,1\n2,,0\n", "score in row 2"),
        ("id,score,label\n1,0.5,1\n2,0.5,\n", "row 2 of the predictions has no label"),
        ("id,score,label\n1,0.5,1\n2,0.5,1.0\n", "every row of the predictions has the label \"1\""),
        (
            "id,score,label\n1,0.5,yes\n2,0.5,no\n",
            "no row of the predictions has the positive label \"1\"; the labels are \"no\", \"yes\"",
        ),
        (
            "id,score,label\n1,0.5,1\n2,0.5,0\n3,0.5,2\n",
            "more than two values of label, among them \"0\", \"1\", \"2\"",
        ),
        ("id,prediction,label\n1,1,1\n2,maybe,0\n", "the prediction \"maybe\", which no row has as its label"),
    ];
    for (predictions, said) in cases {
        let why = Tables::new(predictions).unusable();
        assert!(why.contains(said), "{predictions}: {why}");
    }
    let why = Tables::new(SCORES).labels(LABELS).slices(&["age"]).unusable();
    assert!(why.contains("the labels have no column age"), "{why}");
    let long = format!("id,score,label,a\n1,0.5,1,{}\n", "x".repeat(64));
    let why = Tables::new(long).slices(&["a"]).unusable();
    assert!(why.contains("more than 63 bytes in the slice \"a\""), "{why}");
}

#[test]
fn numbers_and_booleans_are_labels_by_what_they_mean() {
    let measured = Tables::new("id,score,label\n1,0.9,1.0\n2,0.3,0\n3,0.7,01\n").measured();
    assert_eq!(value(&measured, "rocAuc"), Some("1"));
    let measured = Tables::new("id,score,label\n1,0.9,True\n2,0.3,False\n").positive("true").measured();
    assert_eq!(value(&measured, "rocAuc"), Some("1"));
}

#[test]
fn a_score_wins_over_a_prediction() {
    let measured = Tables::new("id,prediction,score,label\n1,x,0.9,1\n2,x,0.3,0\n").measured();
    assert_eq!((value(&measured, "rocAuc"), measured.folds.len()), (Some("1"), 2));
}

#[test]
fn groups_are_sorted_by_slice_and_value() {
    let table = "id,score,label,b,a\n1,0.9,1,y,2\n2,0.3,0,x,10\n3,0.7,1,,2\n";
    let measured = Tables::new(table).slices(&["b", "a"]).measured();
    let groups: Vec<_> = measured.groups.iter().map(|group| (group.slice.as_str(), group.value.as_str())).collect();
    assert_eq!(groups, [("a", "10"), ("a", "2"), ("b", ""), ("b", "x"), ("b", "y")]);
    let sums: Vec<_> = (0..groups.len())
        .map(|group| {
            let rows = measured.folds.iter().map(|fold| fold.groups[group]);
            rows.fold((0, 0), |sum, rows| (sum.0 + rows.positives, sum.1 + rows.negatives))
        })
        .collect();
    assert_eq!(sums, [(0, 1), (2, 0), (1, 0), (0, 1), (1, 0)]);
}

#[test]
fn the_labels_folder_holds_one_file() {
    let tables = Tables::new(SCORES).labels(LABELS);
    let folder = tables.config.labels.as_ref().unwrap().folder.clone();
    std::fs::write(format!("{folder}/second"), LABELS).unwrap();
    assert!(tables.unusable().contains("2 files or folders, not one file"));
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    assert!(tables.unusable().contains("0 files or folders"));
    std::fs::remove_dir(&folder).unwrap();
    assert!(matches!(crate::measured(&tables.config), Err(Problem::Failed(_))));
}
