//! Metrics of a regression. Sources and definitions: docs/predictions.md.

use seatrial_core::contract::Measured;

use crate::binary::metric;
use crate::number::{Sum, float, mean};
use crate::problem::Problem;
use crate::ranked::wide;
use crate::rows::{Evidence, Row};

/// Measures predicted numbers. Rows are in the order of their ids' hashes, so that sums come out alike.
pub(crate) fn measure(evidence: &Evidence) -> Result<Measured, Problem> {
    let rows = &evidence.rows;
    let number = rows.len();
    let error = |row: &Row| row.score - row.label;
    let mut found = vec![("mae", mean(|| rows.iter().map(|row| error(row).abs()), number))];
    let (square, of_square) = mean(|| rows.iter().map(|row| error(row).powi(2)), number);
    let root = square.sqrt();
    // The delta method: the square root's slope is 1/(2√x). Without any error there is none to be unsure of.
    let of_root = of_square.map(|of_square| if root > 0.0 { of_square / (2.0 * root) } else { 0.0 });
    found.push(("rmse", (root, of_root)));
    if rows.iter().all(|row| row.label.abs() > 0.0) {
        found.push(("mape", mean(|| rows.iter().map(|row| (error(row) / row.label).abs()), number)));
    }
    // From these two follows the pinball loss at each quantile.
    found.push(("underprediction", mean(|| rows.iter().map(|row| (-error(row)).max(0.0)), number)));
    found.push(("overprediction", mean(|| rows.iter().map(|row| error(row).max(0.0)), number)));
    let centre = rows.iter().map(|row| row.label).collect::<Sum>().total() / float(number);
    let spread = rows.iter().map(|row| (row.label - centre).powi(2)).collect::<Sum>().total();
    if spread > 0.0 {
        found.push(("r2", (1.0 - square * float(number) / spread, None)));
    }
    let finite =
        |(_, (value, error)): &(&str, (f64, Option<f64>))| value.is_finite() && error.is_none_or(f64::is_finite);
    if !found.iter().all(finite) {
        return Err(Problem::Unusable(
            "labels and predictions are so large that sums of their squares are infinite: measure them in another unit"
                .to_owned(),
        ));
    }
    let metrics = found.into_iter().map(|(name, (value, error))| metric(name, value, error)).collect();
    Ok(Measured { rows: wide(number), metrics, ..Measured::default() })
}

#[cfg(test)]
mod tests;
