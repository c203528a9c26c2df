//! `Metric`: a headline metric within bounds, both included.

use seatrial_crds::{MetricGate, ModelVersionSpec, Verdict};

use super::Finding;

/// Judges it.
pub(super) fn judge(gate: Option<&MetricGate>, version: &ModelVersionSpec) -> Finding {
    let error = |message: String| Finding { verdict: Verdict::Error, value: None, message };
    let Some(MetricGate { name, min, max }) = gate else {
        return error("the gate does not say which metric: set its field metric".to_owned());
    };
    let Some(metric) = version.metrics.iter().find(|metric| &metric.name == name) else {
        return error(format!(
            "the evidence has no metric \"{name}\": let a step write it into a Metrics output that publishes names as evidence"
        ));
    };
    let Some(value) = number(&metric.value) else {
        return error(format!("the metric \"{name}\" is \"{}\", which is no number", metric.value));
    };
    let told = |verdict, message: String| Finding { verdict, value: Some(metric.value.clone()), message };
    let text = &metric.value;
    match (min.as_deref().map(number), max.as_deref().map(number)) {
        (Some(None), _) | (_, Some(None)) => error("a bound of the gate is no number".to_owned()),
        (Some(Some(bound)), _) if value < bound => {
            let min = min.as_deref().unwrap_or_default();
            told(Verdict::Failed, format!("{name} is {text}, below the {min} that is asked for"))
        }
        (_, Some(Some(bound))) if value > bound => {
            let max = max.as_deref().unwrap_or_default();
            told(Verdict::Failed, format!("{name} is {text}, above the {max} that is allowed"))
        }
        _ => told(Verdict::Passed, format!("{name} is {text}, {}", bounds(min.as_deref(), max.as_deref()))),
    }
}

/// Why no value can pass.
pub(super) fn problem(gate_name: &str, gate: Option<&MetricGate>) -> Option<String> {
    let gate = gate?;
    let (min, max) = (gate.min.as_deref().and_then(number)?, gate.max.as_deref().and_then(number)?);
    (min > max).then(|| format!("no value passes the gate \"{gate_name}\": its min {min} is above its max {max}"))
}

fn bounds(min: Option<&str>, max: Option<&str>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("between {min} and {max}"),
        (Some(min), None) => format!("at least the {min} that is asked for"),
        (None, Some(max)) => format!("at most the {max} that is allowed"),
        (None, None) => "without bounds".to_owned(),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
