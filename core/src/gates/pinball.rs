//! The pinball loss of predicted quantiles (Koenker and Bassett 1978, Econometrica 46): an error by which a prediction is too low
//! counts q, one by which it is too high 1 − q.
//!
//! It follows from two means that the judge measures, at whatever quantile: by how much predictions are too low, and by how much
//! too high. So another quantile starts no Job.

use seatrial_crds::Measurement;

use crate::decimal;

/// The metric's name.
pub(super) const NAME: &str = "pinball";
/// The mean of what predictions lack: 0 for those that are too high.
pub(super) const TOO_LOW: &str = "underprediction";
/// The mean of what predictions exceed labels by: 0 for those that are too low.
pub(super) const TOO_HIGH: &str = "overprediction";

/// What is said where no quantile is named.
pub(super) const WITHOUT_QUANTILE: &str = "the pinball loss is one of a quantile: set metric.quantile of the gate";

/// The loss, as a decimal of twelve digits, and its standard error, where it is known.
pub(super) fn at(quantile: f64, measurement: &Measurement) -> Option<(String, Option<f64>)> {
    let metric = |name: &str| measurement.metrics.iter().find(|metric| metric.name == name);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let (low, high) = (metric(TOO_LOW)?, metric(TOO_HIGH)?);
    let (mean_low, mean_high) = (number(&low.value)?, number(&high.value)?);
    let (q, p) = (quantile, 1.0 - quantile);
    let error = |text: &Option<String>| number(text.as_deref()?);
    // Of each row one of both is 0, so that their covariance is that of the means: −(mean · mean) · n ÷ (n − 1).
    let of_errors = |(low, high): (f64, f64)| {
        #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
        let covariance = -mean_low * mean_high / (measurement.rows - 1) as f64;
        (q * q * low * low + p * p * high * high + 2.0 * q * p * covariance).max(0.0).sqrt()
    };
    let errors = error(&low.standard_error).zip(error(&high.standard_error)).filter(|_| measurement.rows > 1);
    Some((decimal::twelve_digits(q * mean_low + p * mean_high), errors.map(of_errors)))
}

#[cfg(test)]
mod tests {
    use seatrial_crds::{LabelSource, MeasuredMetric, Time};

    use super::*;

    /// Of predictions and labels, what a judge measures.
    fn measured(rows: &[(f64, f64)]) -> Measurement {
        let number = rows.len() as f64;
        let metric = |name: &str, terms: Vec<f64>| {
            let mean = terms.iter().sum::<f64>() / number;
            let spread: f64 = terms.iter().map(|term| (term - mean).powi(2)).sum();
            let error = (spread / (number - 1.0) / number).sqrt();
            MeasuredMetric {
                name: name.into(),
                value: decimal::twelve_digits(mean),
                standard_error: (number > 1.0).then(|| decimal::twelve_digits(error)),
            }
        };
        Measurement {
            key: String::new(),
            measured_at: Time(jiff::Timestamp::UNIX_EPOCH),
            labels: LabelSource::Owner,
            labels_digest: None,
            problem: None,
            rows: i64::try_from(rows.len()).unwrap(),
            metrics: vec![
                metric(TOO_LOW, rows.iter().map(|(p, y)| (y - p).max(0.0)).collect()),
                metric(TOO_HIGH, rows.iter().map(|(p, y)| (p - y).max(0.0)).collect()),
            ],
            groups: vec![],
            folds: vec![],
            curve: vec![],
        }
    }

    /// Errors 1, −1, 2, 0.
    const ROWS: [(f64, f64); 4] = [(2.0, 1.0), (1.0, 2.0), (6.0, 4.0), (5.0, 5.0)];

    #[test]
    fn losses_are_those_computed_by_hand() {
        for (quantile, loss, error) in [
            // 0.1, 0.9, 0.2, 0: the mean 0.3, and √(0.5/3/4).
            (0.9, "0.3", 0.204_124_145_231_931_5),
            // Half the absolute error: 0.5, 0.5, 1, 0; √(0.5/3/4).
            (0.5, "0.5", 0.204_124_145_231_931_5),
            // 0.9, 0.1, 1.8, 0: the mean 0.7, and √(2.1/3/4).
            (0.1, "0.7", 0.418_330_013_267_037_8),
        ] {
            let (value, found) = at(quantile, &measured(&ROWS)).unwrap();
            assert_eq!(value, loss, "at {quantile}");
            assert!((found.unwrap() - error).abs() < 1e-9, "{found:?} at {quantile}");
        }
    }

    #[test]
    fn without_the_two_means_there_is_none() {
        let mut measurement = measured(&ROWS);
        measurement.metrics.pop();
        assert_eq!(at(0.5, &measurement), None);
        assert_eq!(at(0.5, &measured(&ROWS[..1])), Some(("0.5".to_owned(), None)));
    }
}
