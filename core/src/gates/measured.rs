//! The metrics that a judge measured, and those that follow from its counts.

use seatrial_crds::{Measurement, MetricGate, Task, TaskType};

use super::intervals::{self, Interval, Proportion, z};
use super::pinball;
use super::pooled::{self, Pooled};
use crate::rational;

/// The metrics that a judge measures of a binary classification, each with whether it has an interval.
const BINARY: [(&str, bool); 10] = [
    ("rocAuc", true),
    ("prAuc", false),
    ("logLoss", true),
    ("brier", true),
    ("calibrationError", false),
    ("accuracy", true),
    ("precision", true),
    ("recall", true),
    ("specificity", true),
    ("f1", false),
];
/// The metrics that a judge measures of a regression, each with whether it has an interval.
const REGRESSION: [(&str, bool); 7] = [
    ("mae", true),
    ("rmse", true),
    ("mape", true),
    ("r2", false),
    (pinball::NAME, true),
    (pinball::TOO_LOW, true),
    (pinball::TOO_HIGH, true),
];

/// Fewer rows have no mean whose error is normally distributed.
const MIN_ROWS: i64 = 30;
/// Fewer rows of a class have no area whose error is known.
const MIN_CLASS: i64 = 10;

fn of_task(task: Option<&Task>) -> Vec<(&'static str, bool)> {
    match task.map(|task| task.kind) {
        Some(TaskType::BinaryClassification) => BINARY.to_vec(),
        Some(TaskType::Regression) => REGRESSION.to_vec(),
        Some(TaskType::Other) => Vec::new(),
        None => BINARY.into_iter().chain(REGRESSION).collect(),
    }
}

/// The metrics that a judge may measure for a task; for any where none is said.
pub(super) fn measurable(task: Option<&Task>) -> Vec<&'static str> {
    of_task(task).into_iter().map(|(name, _)| name).collect()
}

/// The least and the greatest that a metric of a judge can be.
pub(super) fn range(name: &str) -> (Option<&'static str>, Option<&'static str>) {
    match name {
        "logLoss" | "mae" | "rmse" | "mape" | pinball::NAME | pinball::TOO_LOW | pinball::TOO_HIGH => (Some("0"), None),
        "r2" => (None, Some("1")),
        _ => (Some("0"), Some("1")),
    }
}

/// Whether an interval of the metric never ends at an end of its range.
pub(super) fn is_rate(name: &str) -> bool {
    ["rocAuc", "accuracy", "precision", "recall", "specificity"].contains(&name)
}

/// Whether a judge knows an interval of the metric.
pub(super) fn has_interval(name: &str, task: &Task) -> bool {
    of_task(Some(task)).contains(&(name, true))
}

/// A metric of the measurement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MeasuredValue {
    /// The value as a decimal that compares exactly with the bounds of a gate.
    pub(super) comparable: String,
    /// The value as it is kept.
    pub(super) value: String,
    /// Why it says too little; the first without regard to confidence, the second where confidence is asked for.
    pub(super) doubts: (Option<String>, Option<String>),
    uncertainty: Uncertainty,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Uncertainty {
    Rate(Proportion),
    StandardError { value: f64, error: f64 },
    Area { value: f64, error: f64, smaller_class: i64 },
    Unknown,
}

impl MeasuredValue {
    /// The interval at a level: Wilson's for rates, the logit's for an area, else the value and as many standard errors to both
    /// sides as the normal distribution asks for. `None` where the judge knows no error.
    pub(super) fn interval(&self, level: f64) -> Option<Interval> {
        let z = z(level, 1);
        match self.uncertainty {
            Uncertainty::Rate(rate) => Some(rate.wilson(z)),
            Uncertainty::StandardError { value, error } => {
                Some(Interval { low: value - z * error, high: value + z * error })
            }
            Uncertainty::Area { value, error, smaller_class } => Some(intervals::area(value, error, smaller_class, z)),
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

/// Why a mean of so many rows says too little where confidence is asked for.
fn few_rows(measurement: &Measurement) -> Option<String> {
    let rows = measurement.rows;
    (rows < MIN_ROWS).then(|| format!("{rows} rows are too few, {MIN_ROWS} are needed"))
}

/// The pinball loss at the quantile that a gate names.
fn pinball(gate: &MetricGate, measurement: &Measurement) -> Option<MeasuredValue> {
    let quantile = gate.quantile.as_deref()?.parse().ok()?;
    let (value, error) = pinball::at(quantile, measurement)?;
    let uncertainty = match (value.parse::<f64>().ok(), error) {
        (Some(value), Some(error)) => Uncertainty::StandardError { value, error },
        _ => Uncertainty::Unknown,
    };
    Some(MeasuredValue { comparable: value.clone(), value, doubts: (None, few_rows(measurement)), uncertainty })
}

/// The metric that a gate names.
pub(super) fn find(gate: &MetricGate, measurement: &Measurement, pooled: Option<&Pooled>) -> Option<MeasuredValue> {
    let name = gate.name.as_str();
    if name == pinball::NAME {
        return pinball(gate, measurement);
    }
    if let Some(metric) = measurement.metrics.iter().find(|metric| metric.name == name) {
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let error = metric.standard_error.as_deref().and_then(number);
        let classes = pooled::rows(measurement);
        let smaller_class = classes.positives.min(classes.negatives);
        let (uncertainty, doubt) = match (number(&metric.value), error) {
            (Some(value), Some(error)) if name == "rocAuc" => {
                let few = (smaller_class < MIN_CLASS).then(|| {
                    format!(
                        "{} positives and {} negatives are too few, {MIN_CLASS} of each are needed",
                        classes.positives, classes.negatives
                    )
                });
                (Uncertainty::Area { value, error, smaller_class }, few)
            }
            (Some(value), Some(error)) => (Uncertainty::StandardError { value, error }, few_rows(measurement)),
            _ => (Uncertainty::Unknown, None),
        };
        let (comparable, value) = (metric.value.clone(), metric.value.clone());
        return Some(MeasuredValue { comparable, value, doubts: (None, doubt), uncertainty });
    }
    let pooled = pooled?;
    if name == "f1" {
        let f1 = pooled.all.f1();
        let (comparable, value) = (rational::comparable(&f1), rational::decimal(&f1));
        return Some(MeasuredValue { comparable, value, doubts: (None, None), uncertainty: Uncertainty::Unknown });
    }
    let (_, rate) = rates(pooled).into_iter().find(|(known, _)| *known == name)?;
    let exact = rational::of(rate.part, rate.whole);
    let (comparable, value) = (rational::comparable(&exact), rational::decimal(&exact));
    let nothing = (rate.whole <= 0).then(|| "there are no rows that it is of".to_owned());
    Some(MeasuredValue { comparable, value, doubts: (nothing, None), uncertainty: Uncertainty::Rate(rate) })
}

/// The names that there are.
pub(super) fn names(measurement: &Measurement, pooled: Option<&Pooled>) -> Vec<String> {
    let mut names: Vec<String> = measurement.metrics.iter().map(|metric| metric.name.clone()).collect();
    if pinball::at(0.5, measurement).is_some() {
        names.push(format!("{} (at a quantile)", pinball::NAME));
    }
    if let Some(pooled) = pooled {
        names.extend(rates(pooled).into_iter().map(|(name, _)| name.to_owned()));
        names.push("f1".to_owned());
    }
    names
}
