//! Numbers as a person would write them. The exact values decide.

use seatrial_crds::{LabelSource, Task, limits};

use crate::decimal::Decimal;
use crate::rational::{self, Rational};
use crate::text;

/// How many significant digits people are shown.
const DIGITS: usize = 3;

/// What the owner calls the rows that a model is to find.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    positive: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// Those of a task.
    pub(super) fn of(task: Option<&'a Task>) -> Self {
        Self { positive: task.and_then(|task| task.positive_means.as_deref()) }
    }

    /// What rows with the positive label are called: `positives (denied application)`.
    pub(super) fn positives(self) -> String {
        self.positive.map_or_else(|| "positives".to_owned(), |means| format!("positives ({means})"))
    }
}

/// A fraction for people.
pub(super) fn shown(number: &Rational) -> String {
    rounded(&rational::decimal(number))
}

/// A number for people.
pub(super) fn number(number: f64) -> String {
    if number.is_finite() { rounded(&format!("{number:.12}")) } else { "any number".to_owned() }
}

/// A part of a whole for people: `19.7 %`.
pub(super) fn rate(part: f64) -> String {
    format!("{} %", number(part * 100.0))
}

fn rounded(text: &str) -> String {
    Decimal::parse(text).map_or_else(|| text.to_owned(), |decimal| decimal.rounded(DIGITS))
}

/// A level of confidence as a number: 0.95 where it cannot be read.
pub(super) fn level(confidence: &str) -> f64 {
    confidence.parse().ok().filter(|level| (0.5..1.0).contains(level)).unwrap_or(0.95)
}

/// The same for people: `95 %`.
pub(super) fn percent(confidence: &str) -> String {
    Decimal::parse(&format!("{confidence}e2"))
        .map_or_else(|| confidence.to_owned(), |level| format!("{} %", level.rounded(6)))
}

/// Adds to a sentence that its labels come from the judged team. A long sentence is cut, so that there is room for it.
pub(super) fn name_source(message: &mut String, labels: LabelSource) {
    let source = match labels {
        LabelSource::Owner => return,
        LabelSource::SelfReported => " (self-reported labels)",
    };
    text::truncate(message, limits::SENTENCE - source.len());
    message.push_str(source);
}
