//! Metrics of a binary classification by scores. Sources and definitions: docs/predictions.md.

use seatrial_core::contract::{JudgeMessage, MAX_JUDGE_BYTES, Measured};
use seatrial_crds::MeasuredMetric;

use crate::folds;
use crate::number::{Sum, float, mean, rounded};
use crate::problem::Problem;
use crate::ranked::{self, Counts};
use crate::rows::{Evidence, Row};

/// Bins of equal mass that the calibration error has.
const BINS: usize = 10;

/// Measures scores, or decisions.
pub(crate) fn measure(mut evidence: Evidence) -> Result<Measured, Problem> {
    let mut measured =
        Measured { rows: ranked::wide(evidence.rows.len()), groups: evidence.groups.clone(), ..Measured::default() };
    if !evidence.scored {
        measured.folds.push(folds::decisions(&evidence));
        let bytes = JudgeMessage::Measured(measured.clone()).to_json().len();
        return if bytes > MAX_JUDGE_BYTES { Err(folds::no_room(&measured)) } else { Ok(measured) };
    }
    ranked::rank(&mut evidence.rows);
    let rows = &evidence.rows;
    let probabilities = rows.iter().all(|row| (0.0..=1.0).contains(&row.score));
    let ties = || ranked::ties(rows);
    let (area, error) = roc_auc(ties);
    measured.metrics.push(metric("rocAuc", area, error));
    measured.metrics.push(metric("prAuc", average_precision(ties), None));
    if probabilities {
        let (value, error) = mean(|| rows.iter().map(log_loss), rows.len());
        measured.metrics.push(metric("logLoss", value, error));
        let (value, error) = mean(|| rows.iter().map(|row| (row.score - row.label).powi(2)), rows.len());
        measured.metrics.push(metric("brier", value, error));
        measured.metrics.push(metric("calibrationError", calibration_error(ties, rows.len()), None));
    }
    folds::add(&mut measured, &evidence, probabilities)?;
    Ok(measured)
}

/// A metric as a message has it.
pub(crate) fn metric(name: &str, value: f64, error: Option<f64>) -> MeasuredMetric {
    MeasuredMetric { name: name.to_owned(), value: rounded(value), standard_error: error.map(rounded) }
}

fn total(ties: impl Iterator<Item = (f64, Counts)>) -> Counts {
    ties.fold(Counts::default(), |sum, (_, more)| Counts {
        positives: sum.positives + more.positives,
        negatives: sum.negatives + more.negatives,
    })
}

/// The area under the ROC curve, equal scores counting half, and its standard error by DeLong, DeLong and Clarke-Pearson
/// (1988), from ranks as Sun and Xu (2014) do: for each positive the part of the negatives that it beats, for each negative
/// the part of the positives that beat it. Their sums are exact; a class of one row has no variance, and the area then no
/// error.
fn roc_auc<I: Iterator<Item = (f64, Counts)>>(ties: impl Fn() -> I) -> (f64, Option<f64>) {
    let all = total(ties());
    // Sums, and sums of squares, of twice the number of the other class that is beaten.
    let (mut of_positives, mut of_negatives) = ((0_u128, 0_u128), (0_u128, 0_u128));
    let mut above = Counts::default();
    for (_, here) in ties() {
        let below = all.negatives - above.negatives - here.negatives;
        let beaten = wide(2 * below + here.negatives);
        let beating = wide(2 * above.positives + here.positives);
        let (positives, negatives) = (wide(here.positives), wide(here.negatives));
        of_positives.0 += positives * beaten;
        of_positives.1 += positives * beaten * beaten;
        of_negatives.0 += negatives * beating;
        of_negatives.1 += negatives * beating * beating;
        above = Counts { positives: above.positives + here.positives, negatives: above.negatives + here.negatives };
    }
    let (positives, negatives) = (float(all.positives), float(all.negatives));
    let area = narrow(of_positives.0) / (2.0 * positives * negatives);
    // The variance of the mean of n parts x/2m: (n Σx² − (Σx)²) / (n² (n−1) 4m²).
    let variance = |(sum, squares): (u128, u128), class: usize, other: f64| {
        let spread = wide(class) * squares - sum * sum;
        narrow(spread) / (float(class) * float(class) * float(class - 1) * 4.0 * other * other)
    };
    let error = (all.positives > 1 && all.negatives > 1).then(|| {
        (variance(of_positives, all.positives, negatives) + variance(of_negatives, all.negatives, positives)).sqrt()
    });
    (area, error)
}

const fn wide(count: usize) -> u128 {
    count as u128
}

#[expect(clippy::cast_precision_loss, reason = "exact sums become the nearest number once, at their end")]
const fn narrow(sum: u128) -> f64 {
    sum as f64
}

/// Average precision: the sum over falling thresholds of the step in recall times the precision, without interpolation.
fn average_precision<I: Iterator<Item = (f64, Counts)>>(ties: impl Fn() -> I) -> f64 {
    let positives = float(total(ties()).positives);
    let mut above = Counts::default();
    let mut sum = Sum::default();
    for (_, here) in ties() {
        above = Counts { positives: above.positives + here.positives, negatives: above.negatives + here.negatives };
        sum.add(float(here.positives) / positives * (float(above.positives) / float(above.total())));
    }
    sum.total()
}

/// The loss of one row; scores are kept away from 0 and 1 by the distance between 1 and the next number.
fn log_loss(row: &Row) -> f64 {
    let clipped = row.score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    if row.positive() { -clipped.ln() } else { -(1.0 - clipped).ln() }
}

/// The expected calibration error: rows by score in bins of equal mass, the mean distance of mean score and part of
/// positives. Rows of one score stay together, in the bin where their middle lies.
fn calibration_error<I: Iterator<Item = (f64, Counts)>>(ties: impl Fn() -> I, rows: usize) -> f64 {
    // Of each bin the sum of scores less the number of positives.
    let mut bins = [Sum::default(); BINS];
    let mut below = rows;
    for (score, here) in ties() {
        below -= here.total();
        let bin = BINS * (2 * below + here.total()) / (2 * rows);
        if let Some(bin) = bins.get_mut(bin) {
            bin.add(score * float(here.total()));
            bin.add(-float(here.positives));
        }
    }
    bins.into_iter().map(|bin| bin.total().abs()).collect::<Sum>().total() / float(rows)
}

#[cfg(test)]
mod tests;
