//! `Metric`: a metric within bounds, both included: one that the judge measured, else one that a step wrote.

use seatrial_crds::{Metric, MetricGate, ModelVersionSpec, Verdict, limits};

use super::intervals::Interval;
use super::measured::MeasuredValue;
use super::wording::{level, percent};
use super::{Finding, Known, enough, measured, pinball};
use crate::decimal::Decimal;

/// How many significant digits people are shown. The exact values decide.
const SHOWN_DIGITS: usize = 4;

/// Judges a gate of type `Metric`.
pub(super) fn judge(gate: Option<&MetricGate>, version: &ModelVersionSpec, known: &Known<'_>) -> Finding {
    let error = |message: String| Finding { verdict: Verdict::Error, value: None, message };
    let Some(gate) = gate else {
        return error("the gate does not say which metric: set its field metric".to_owned());
    };
    if known.is_measured(&gate.name) {
        return of_judge(gate, version, known);
    }
    match find(&gate.name, version) {
        Ok(metric) if Decimal::parse(&metric.value).is_none() => {
            error(format!("the metric \"{}\" is {}, which is no number to judge by", qualified(metric), metric.value))
        }
        Ok(metric) => bounded(gate, &metric.value, &metric.value, |_| None),
        Err(message) => error(with_measured(message, known)),
    }
}

/// Judges a metric that the judge's word alone decides.
fn of_judge(gate: &MetricGate, version: &ModelVersionSpec, known: &Known<'_>) -> Finding {
    let measurement = match known.measurement() {
        Ok(measurement) => measurement,
        Err(finding) => return finding,
    };
    let mut finding = match measured::find(gate, measurement, known.pooled.as_ref()) {
        Some(found) => of_measured(gate, &found, measurement.rows),
        None if gate.name == pinball::NAME && gate.quantile.is_none() => {
            Finding::without_value(Verdict::Error, pinball::WITHOUT_QUANTILE.to_owned())
        }
        None => {
            let message = format!("the judge did not measure \"{}\"", gate.name);
            Finding::without_value(Verdict::Error, with_measured(message, known))
        }
    };
    if let Ok(own) = find(&gate.name, version) {
        let value = rounded(&own.value);
        finding.message.push_str(&format!(" (as measured; {} says {value}, which does not count)", qualified(own)));
    }
    super::wording::name_source(&mut finding.message, measurement.labels);
    finding
}

fn of_measured(gate: &MetricGate, found: &MeasuredValue, rows: i64) -> Finding {
    let (always, with_confidence) = &found.doubts;
    match always.as_ref().or(with_confidence.as_ref().filter(|_| gate.confidence.is_some())) {
        Some(doubt) => {
            let message = format!("{} is {}, which says nothing: {doubt}", gate.name, rounded(&found.value));
            Finding { verdict: Verdict::Inconclusive, value: Some(found.value.clone()), message }
        }
        None => bounded(gate, &found.comparable, &found.value, |level| Some((found.interval(level)?, rows))),
    }
}

/// What is said of a metric that there is not, with those that were measured.
fn with_measured(message: String, known: &Known<'_>) -> String {
    match known.measurement() {
        Ok(measurement) => {
            let names = measured::names(measurement, known.pooled.as_ref());
            format!("{message}; measured were {}", names.join(", "))
        }
        Err(_) => message,
    }
}

/// A value within bounds: by itself, or with the confidence that the gate asks for, by the interval of so many rows. `exact`
/// decides, `value` is kept.
fn bounded(gate: &MetricGate, exact: &str, value: &str, interval: impl Fn(f64) -> Option<(Interval, i64)>) -> Finding {
    let error = |message: String| Finding { verdict: Verdict::Error, value: None, message };
    let name = &gate.name;
    let Some(number) = Decimal::parse(exact) else {
        return error(format!("the metric \"{name}\" is {value}, which is no number"));
    };
    let bound = |text: &Option<String>| text.as_deref().map(Decimal::parse);
    let (lowest, highest) = (bound(&gate.min), bound(&gate.max));
    if lowest == Some(None) || highest == Some(None) {
        return error("a bound of the gate is no number".to_owned());
    }
    let bounds = Bounds { gate, lowest: lowest.flatten(), highest: highest.flatten() };
    let (verdict, message) = match gate.confidence.as_deref() {
        None => bounds.of_value(name, value, &number),
        Some(confidence) => match interval(level(confidence)) {
            Some(range) => bounds.of_interval(name, value, range, confidence),
            None => {
                return error(format!(
                    "no interval is known of the metric \"{name}\": leave confidence out, or name one that the judge measures with an error"
                ));
            }
        },
    };
    Finding { verdict, value: Some(value.to_owned()), message }
}

/// The bounds of a gate, as numbers.
struct Bounds<'a> {
    gate: &'a MetricGate,
    lowest: Option<Decimal>,
    highest: Option<Decimal>,
}

impl Bounds<'_> {
    fn texts(&self) -> (&str, &str) {
        (self.gate.min.as_deref().unwrap_or_default(), self.gate.max.as_deref().unwrap_or_default())
    }

    /// The point estimate decides.
    fn of_value(&self, name: &str, text: &str, value: &Decimal) -> (Verdict, String) {
        let (min, max) = self.texts();
        match (&self.lowest, &self.highest) {
            (Some(low), _) if value < low => {
                (Verdict::Failed, format!("{name} is {}, below the {min} that is asked for", shown(text, value, low)))
            }
            (_, Some(high)) if value > high => {
                (Verdict::Failed, format!("{name} is {}, above the {max} that is allowed", shown(text, value, high)))
            }
            (Some(low), Some(high)) => {
                let near = if shown(text, value, low) == text { low } else { high };
                (Verdict::Passed, format!("{name} is {}, between {min} and {max}", shown(text, value, near)))
            }
            (Some(low), None) => (
                Verdict::Passed,
                format!("{name} is {}, at least the {min} that is asked for", shown(text, value, low)),
            ),
            (None, Some(high)) => {
                (Verdict::Passed, format!("{name} is {}, at most the {max} that is allowed", shown(text, value, high)))
            }
            (None, None) => (Verdict::Passed, format!("{name} is {}, without bounds", value.rounded(SHOWN_DIGITS))),
        }
    }

    /// The interval decides: it lies within, or beyond, or neither.
    fn of_interval(
        &self,
        name: &str,
        text: &str,
        (range, rows): (Interval, i64),
        confidence: &str,
    ) -> (Verdict, String) {
        let (min, max) = self.texts();
        let number = |text: &str| text.parse::<f64>().ok();
        let below = number(min).map(|bound| (range.low >= bound, range.high < bound));
        let above = number(max).map(|bound| (range.high <= bound, range.low > bound));
        let both = [below, above];
        let mut bounds = both.iter().flatten();
        let verdict = if bounds.clone().any(|(_, broken)| *broken) {
            Verdict::Failed
        } else if bounds.all(|(holds, _)| *holds) {
            Verdict::Passed
        } else {
            Verdict::Inconclusive
        };
        let asked = match (min, max) {
            (min, "") => format!("at least {min}"),
            ("", max) => format!("at most {max}"),
            (min, max) => format!("between {min} and {max}"),
        };
        let says = match verdict {
            Verdict::Passed => asked,
            Verdict::Failed => format!("not {asked}"),
            _ => format!("too uncertain to say whether it is {asked}"),
        };
        let more = if verdict == Verdict::Inconclusive { self.more(text, range, rows) } else { String::new() };
        let rounded = rounded(text);
        let (low, high) = (super::wording::number(range.low), super::wording::number(range.high));
        let message =
            format!("{name} is {rounded} (between {low} and {high} at {}), {says}{more}", percent(confidence));
        (verdict, message)
    }

    /// About how many rows would decide: those that both bounds need.
    fn more(&self, text: &str, range: Interval, rows: i64) -> String {
        let (min, max) = self.texts();
        let number = |text: &str| text.parse::<f64>().ok();
        let within = |bound: &f64| (range.low..=range.high).contains(bound);
        let bounds = [number(min), number(max)].into_iter().flatten().filter(within);
        let needs: Option<Vec<f64>> =
            bounds.map(|bound| enough::times(number(text).unwrap_or(bound), range, bound)).collect();
        enough::rows(needs.map(|needs| needs.into_iter().fold(1.0, f64::max)), rows, "rows")
    }
}

/// The value for people: rounded, unless rounding hides on which side of the bound it is.
fn shown(text: &str, value: &Decimal, bound: &Decimal) -> String {
    let rounded = value.rounded(SHOWN_DIGITS);
    let same_side = Decimal::parse(&rounded).is_some_and(|rounded| rounded.cmp(bound) == value.cmp(bound));
    if same_side { rounded } else { text.to_owned() }
}

/// The metric that a gate names: `auc`, or `evaluate.auc` where two steps measured it, or `evaluate.test.auc` where two
/// outputs of one step did. A name that fits several metrics fits none: a gate is never decided by the wrong one.
pub(super) fn find<'a>(name: &str, version: &'a ModelVersionSpec) -> Result<&'a Metric, String> {
    let fits = |metric: &&Metric| {
        metric.name == name || format!("{}.{}", metric.step, metric.name) == name || qualified(metric) == name
    };
    let found: Vec<&Metric> = version.metrics.iter().filter(fits).collect();
    match found.as_slice() {
        [metric] => Ok(metric),
        [] => Err(absent(name, version)),
        several => {
            let names: Vec<String> = several.iter().map(|metric| qualified(metric)).collect();
            Err(format!("\"{name}\" fits several metrics of the evidence: name one of {}", names.join(", ")))
        }
    }
}

fn absent(name: &str, version: &ModelVersionSpec) -> String {
    if version.metrics.is_empty() {
        return format!(
            "the evidence has no metric \"{name}\", nor any other: let a step write it into a Metrics output that publishes names as evidence"
        );
    }
    let (numbers, others): (Vec<&Metric>, Vec<&Metric>) =
        version.metrics.iter().partition(|metric| Decimal::parse(&metric.value).is_some());
    let names: Vec<String> = numbers.into_iter().map(qualified).collect();
    let names = if names.is_empty() { "no number".to_owned() } else { names.join(", ") };
    let others: Vec<String> =
        others.into_iter().map(|metric| format!("{} ({})", qualified(metric), metric.value)).collect();
    let others = if others.is_empty() { String::new() } else { format!("; no numbers are {}", others.join(", ")) };
    let left_out = if version.metrics.len() >= limits::METRICS {
        format!(" ({} are kept; further ones were left out: write those first that gates name)", limits::METRICS)
    } else {
        String::new()
    };
    format!("the evidence has no metric \"{name}\"; it has {names}{others}{left_out}")
}

/// The metric's name with its step and output, which no other metric of the version has.
pub(super) fn qualified(metric: &Metric) -> String {
    format!("{}.{}.{}", metric.step, metric.output, metric.name)
}

/// A metric in a few characters, as a table shows it.
pub(super) fn short(metric: &Metric) -> String {
    shortened(&metric.name, &metric.value)
}

/// A name and a value in a few characters.
pub(super) fn shortened(name: &str, value: &str) -> String {
    format!("{name}={}", rounded(value))
}

fn rounded(value: &str) -> String {
    Decimal::parse(value).map_or_else(|| value.to_owned(), |value| value.rounded(SHOWN_DIGITS))
}
