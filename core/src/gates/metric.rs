//! `Metric`: a metric of the evidence within bounds, both included.

use seatrial_crds::{Metric, MetricGate, ModelVersionSpec, Verdict, limits};

use super::Finding;
use crate::decimal::Decimal;

/// How many significant digits people are shown. The exact values decide.
const SHOWN_DIGITS: usize = 4;

/// Judges it.
pub(super) fn judge(gate: Option<&MetricGate>, version: &ModelVersionSpec) -> Finding {
    let error = |message: String| Finding { verdict: Verdict::Error, value: None, message };
    let Some(MetricGate { name, min, max }) = gate else {
        return error("the gate does not say which metric: set its field metric".to_owned());
    };
    let metric = match find(name, version) {
        Ok(metric) => metric,
        Err(message) => return error(message),
    };
    let Some(value) = Decimal::parse(&metric.value) else {
        return error(format!("the metric \"{}\" is {}, which is no number", qualified(metric), metric.value));
    };
    let bound = |text: &Option<String>| text.as_deref().map(Decimal::parse);
    let (lowest, highest) = (bound(min), bound(max));
    let (min, max) = (min.as_deref().unwrap_or_default(), max.as_deref().unwrap_or_default());
    let (verdict, message) = match (&lowest, &highest) {
        (Some(None), _) | (_, Some(None)) => return error("a bound of the gate is no number".to_owned()),
        (Some(Some(bound)), _) if value < *bound => {
            let text = shown(&metric.value, &value, bound);
            (Verdict::Failed, format!("{name} is {text}, below the {min} that is asked for"))
        }
        (_, Some(Some(bound))) if value > *bound => {
            let text = shown(&metric.value, &value, bound);
            (Verdict::Failed, format!("{name} is {text}, above the {max} that is allowed"))
        }
        (Some(Some(low)), Some(Some(high))) => {
            let near = if shown(&metric.value, &value, low) == metric.value { low } else { high };
            (Verdict::Passed, format!("{name} is {}, between {min} and {max}", shown(&metric.value, &value, near)))
        }
        (Some(Some(low)), None) => {
            let text = shown(&metric.value, &value, low);
            (Verdict::Passed, format!("{name} is {text}, at least the {min} that is asked for"))
        }
        (None, Some(Some(high))) => {
            let text = shown(&metric.value, &value, high);
            (Verdict::Passed, format!("{name} is {text}, at most the {max} that is allowed"))
        }
        (None, None) => (Verdict::Passed, format!("{name} is {}, without bounds", value.rounded(SHOWN_DIGITS))),
    };
    Finding { verdict, value: Some(metric.value.clone()), message }
}

/// Why no value can pass.
pub(super) fn problem(gate_name: &str, gate: Option<&MetricGate>) -> Option<String> {
    let gate = gate?;
    let (min, max) = (gate.min.as_deref()?, gate.max.as_deref()?);
    (Decimal::parse(min)? > Decimal::parse(max)?)
        .then(|| format!("no value passes the gate \"{gate_name}\": its min {min} is above its max {max}"))
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
    let names: Vec<String> = version.metrics.iter().map(qualified).collect();
    let left_out = if version.metrics.len() >= limits::METRICS {
        format!(" ({} are kept; further ones were left out: write those first that gates name)", limits::METRICS)
    } else {
        String::new()
    };
    format!("the evidence has no metric \"{name}\"; it has {}{left_out}", names.join(", "))
}

/// The metric's name with its step and output, which no other metric of the version has.
pub(super) fn qualified(metric: &Metric) -> String {
    format!("{}.{}.{}", metric.step, metric.output, metric.name)
}

/// A metric in a few characters, as a table shows it.
pub(super) fn short(metric: &Metric) -> String {
    let value = Decimal::parse(&metric.value);
    let value = value.map_or_else(|| metric.value.clone(), |value| value.rounded(SHOWN_DIGITS));
    format!("{}={value}", metric.name)
}
