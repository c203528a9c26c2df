//! The metrics that a judge measured, and those that follow from its counts.

use seatrial_crds::Measurement;

use super::intervals::{Interval, Proportion, z};
use super::pooled::Pooled;
use crate::rational;

/// A metric of the measurement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MeasuredValue {
    /// The value as a decimal that compares exactly with the bounds of a gate.
    pub(super) comparable: String,
    /// The value as it is kept.
    pub(super) value: String,
    uncertainty: Uncertainty,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Uncertainty {
    Rate(Proportion),
    StandardError { value: f64, error: f64 },
    Unknown,
}

impl MeasuredValue {
    /// The interval at a level: Wilson's for rates, else the value and as many standard errors to both sides as the normal
    /// distribution asks for. `None` where the judge knows no error.
    pub(super) fn interval(&self, level: f64) -> Option<Interval> {
        let z = z(level, 1);
        match self.uncertainty {
            Uncertainty::Rate(rate) => Some(rate.wilson(z)),
            Uncertainty::StandardError { value, error } => {
                Some(Interval { low: value - z * error, high: value + z * error })
            }
            Uncertainty::Unknown => None,
        }
    }
}

/// The rates that follow from counts.
fn rates(pooled: &Pooled) -> [(&'static str, Proportion); 4] {
    let table = &pooled.all;
    [
        ("accuracy", table.accuracy()),
        ("precision", table.precision()),
        ("recall", table.recall()),
        ("specificity", table.false_alarms().complement()),
    ]
}

/// The metric of a name.
pub(super) fn find(name: &str, measurement: &Measurement, pooled: Option<&Pooled>) -> Option<MeasuredValue> {
    if let Some(metric) = measurement.metrics.iter().find(|metric| metric.name == name) {
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let error = metric.standard_error.as_deref().and_then(number);
        let uncertainty = match (number(&metric.value), error) {
            (Some(value), Some(error)) => Uncertainty::StandardError { value, error },
            _ => Uncertainty::Unknown,
        };
        return Some(MeasuredValue { comparable: metric.value.clone(), value: metric.value.clone(), uncertainty });
    }
    let pooled = pooled?;
    if name == "f1" {
        let f1 = pooled.all.f1();
        let (comparable, value) = (rational::comparable(&f1), rational::decimal(&f1));
        return Some(MeasuredValue { comparable, value, uncertainty: Uncertainty::Unknown });
    }
    let (_, rate) = rates(pooled).into_iter().find(|(known, _)| *known == name)?;
    let exact = rational::of(rate.part, rate.whole);
    let (comparable, value) = (rational::comparable(&exact), rational::decimal(&exact));
    Some(MeasuredValue { comparable, value, uncertainty: Uncertainty::Rate(rate) })
}

/// The names that there are.
pub(super) fn names(measurement: &Measurement, pooled: Option<&Pooled>) -> Vec<String> {
    let mut names: Vec<String> = measurement.metrics.iter().map(|metric| metric.name.clone()).collect();
    if let Some(pooled) = pooled {
        names.extend(rates(pooled).into_iter().map(|(name, _)| name.to_owned()));
        names.push("f1".to_owned());
    }
    names
}
