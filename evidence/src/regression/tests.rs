//! Metrics of a regression, compared with numbers computed by hand.

use crate::testing::{Tables, error, value};

#[test]
fn metrics_of_four_rows_are_those_computed_by_hand() {
    // Errors 1, -1, 2, 0.
    let measured = Tables::new("id,prediction,label\na,2,1\nb,1,2\nc,6,4\nd,5,5\n").regression().measured();
    assert_eq!(measured.rows, 4);
    assert_eq!(value(&measured, "mae"), Some("1"));
    // √(2/3/4).
    assert_eq!(error(&measured, "mae"), Some("0.408248290464"));
    // √(6/4); squares 1, 1, 4, 0 with the deviation √3, so √3/2/(2√1.5).
    assert_eq!(value(&measured, "rmse"), Some("1.22474487139"));
    assert_eq!(error(&measured, "rmse"), Some("0.353553390593"));
    // (1 + 1/2 + 1/2 + 0)/4, and √(Σ(x−1/2)²/3/4).
    assert_eq!(value(&measured, "mape"), Some("0.5"));
    assert_eq!(error(&measured, "mape"), Some("0.204124145232"));
    // (0 + 1 + 0 + 0)/4, and √(3/4/3/4); (1 + 0 + 2 + 0)/4, and √(11/4/3/4).
    assert_eq!(
        (value(&measured, "underprediction"), error(&measured, "underprediction")),
        (Some("0.25"), Some("0.25"))
    );
    assert_eq!(value(&measured, "overprediction"), Some("0.75"));
    assert_eq!(error(&measured, "overprediction"), Some("0.478713553878"));
    // 1 − 6/10.
    assert_eq!(value(&measured, "r2"), Some("0.4"));
    assert!(measured.folds.is_empty() && measured.curve.is_empty() && measured.groups.is_empty());
}

#[test]
fn what_has_no_value_is_left_out() {
    let measured = Tables::new("id,score,label\na,1,0\nb,0,0\n").regression().measured();
    assert_eq!((value(&measured, "mape"), value(&measured, "r2"), value(&measured, "mae")), (None, None, Some("0.5")));
    let measured = Tables::new("id,score,label\na,1,1\n").regression().measured();
    assert_eq!((value(&measured, "rmse"), error(&measured, "mae")), (Some("0"), None));
}

#[test]
fn numbers_beyond_sense_are_refused() {
    let why = Tables::new("id,score,label\na,1e200,-1e200\nb,1,1\n").regression().unusable();
    assert!(why.contains("another unit"), "{why}");
    let why = Tables::new("id,score,label\na,1,one\n").regression().unusable();
    assert!(why.contains("label in row 1 of the predictions is \"one\""), "{why}");
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let rows: Vec<String> =
        (0..200).map(|row| format!("{row},{},{}\n", f64::from(row) / 7.0, f64::from(row * row) / 11.0 + 0.1)).collect();
    let table = |rows: Vec<String>| Tables::new(format!("id,score,label\n{}", rows.concat())).regression();
    let backwards = rows.iter().rev().cloned().collect();
    assert_eq!(table(rows).measured(), table(backwards).measured());
}
