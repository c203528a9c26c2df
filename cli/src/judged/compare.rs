//! Two versions side by side.

use std::collections::BTreeMap;

use kube::ResourceExt;
use seatrial_core::conditions::{self, types};
use seatrial_crds::{GateJudgement, LabelSource, Measurement, ModelVersion, ModelVersionStatus, Verdict};

use super::text::{columns, number, plain, rounded, short_digest, size, time};

const NONE: &str = "-";
const DIFFERS: &str = "differs";

/// What a section of the comparison says of one version: a text for each name.
type Facts = BTreeMap<String, String>;

/// Both versions, metric by metric and verdict by verdict; of parameters, inputs and images only what differs.
pub(super) fn compare(one: &ModelVersion, other: &ModelVersion) -> String {
    let mut out = columns(&with_head(one, other, overview(one, other)));
    for (title, facts, only_differing) in [
        ("MEASURED", measured as fn(&ModelVersion) -> Facts, false),
        ("WRITTEN BY STEPS", written, false),
        ("VERDICTS", verdicts, false),
        ("PARAMETERS", parameters, true),
        ("INPUTS", inputs, true),
        ("IMAGES", images, true),
    ] {
        let (left, right) = (facts(one), facts(other));
        let rows = side_by_side(&left, &right, only_differing);
        out.push('\n');
        if rows.is_empty() {
            let says = if left.is_empty() { "none" } else { "no difference" };
            out.push_str(&format!("{title}: {says}\n"));
        } else {
            out.push_str(&format!("{title}\n{}", columns(&rows)));
        }
    }
    for why in [one, other].into_iter().filter_map(|version| why(version, one, other)) {
        out.push_str(&format!("\n{why}\n"));
    }
    for warning in warnings(one, other) {
        out.push_str(&format!("\nNote: {warning}\n"));
    }
    out
}

fn with_head(one: &ModelVersion, other: &ModelVersion, rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let head = vec![String::new(), plain(&one.name_any()), plain(&other.name_any()), "DIFFERENCE".to_owned()];
    std::iter::once(head).chain(rows).collect()
}

fn overview(one: &ModelVersion, other: &ModelVersion) -> Vec<Vec<String>> {
    let row = |name: &str, left: String, right: String| {
        let difference = if left == right { String::new() } else { DIFFERS.to_owned() };
        vec![name.to_owned(), left, right, difference]
    };
    let both = |name: &str, text: fn(&ModelVersion) -> String| row(name, text(one), text(other));
    let sizes = (one.spec.artifact.size, other.spec.artifact.size);
    let change = match sizes.1.saturating_sub(sizes.0) {
        0 => String::new(),
        more if more > 0 => format!("+{}", size(more)),
        less => format!("-{}", size(less.saturating_neg())),
    };
    vec![
        both("verdict", |version| {
            status(version).verdict.map_or_else(|| NONE.to_owned(), |verdict| format!("{verdict:?}"))
        }),
        both("judged at", |version| {
            status(version).judgements.first().map_or_else(|| NONE.to_owned(), |judgement| time(&judgement.judged_at))
        }),
        both("headline", |version| status(version).headline.as_deref().map_or_else(|| NONE.to_owned(), plain)),
        numbers("threshold", &threshold(one), &threshold(other)),
        both("files", |version| short_digest(&version.spec.artifact.digest)),
        vec!["size".to_owned(), size(sizes.0), size(sizes.1), change],
        both("purpose", |version| format!("{:?}", version.spec.purpose)),
        both("made by", |version| version.spec.run().map_or_else(|| NONE.to_owned(), plain)),
    ]
}

fn threshold(version: &ModelVersion) -> String {
    status(version).threshold.map_or_else(|| NONE.to_owned(), |threshold| plain(&threshold.value))
}

fn status(version: &ModelVersion) -> ModelVersionStatus {
    version.status.clone().unwrap_or_default()
}

/// The rows of two sets of facts.
fn side_by_side(left: &Facts, right: &Facts, only_differing: bool) -> Vec<Vec<String>> {
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let text = |facts: &Facts, name: &String| facts.get(name).cloned().unwrap_or_else(|| NONE.to_owned());
    names
        .into_iter()
        .map(|name| (name, text(left, name), text(right, name)))
        .filter(|(_, one, other)| !only_differing || one != other)
        .map(|(name, one, other)| numbers(name, &one, &other))
        .collect()
}

/// A row, with the difference of two numbers.
fn numbers(name: &str, one: &str, other: &str) -> Vec<String> {
    let difference = match (one.parse::<f64>(), other.parse::<f64>()) {
        _ if one == other => String::new(),
        (Ok(left), Ok(right)) if (right - left).is_finite() => {
            let sign = if right > left { "+" } else { "" };
            format!("{sign}{}", number(right - left))
        }
        _ => DIFFERS.to_owned(),
    };
    vec![plain(name), plain(one), plain(other), difference]
}

fn measured(version: &ModelVersion) -> Facts {
    let Some(measurement) = status(version).measurement else { return Facts::new() };
    if let Some(problem) = &measurement.problem {
        return Facts::from([("problem".to_owned(), plain(problem))]);
    }
    let metrics = measurement.metrics.iter().map(|metric| (metric.name.clone(), rounded(&metric.value)));
    metrics.chain([("rows".to_owned(), measurement.rows.to_string())]).collect()
}

fn written(version: &ModelVersion) -> Facts {
    let metrics = version.spec.metrics.iter();
    metrics
        .map(|metric| (format!("{}.{}.{}", metric.step, metric.output, metric.name), rounded(&metric.value)))
        .collect()
}

fn verdicts(version: &ModelVersion) -> Facts {
    let gates = status(version).judgements.into_iter().next().map(|judgement| judgement.gates).unwrap_or_default();
    let text = |gate: &GateJudgement| match &gate.value {
        Some(value) => format!("{:?} ({})", gate.verdict, rounded(value)),
        None => format!("{:?}", gate.verdict),
    };
    gates.iter().map(|gate| (gate.name.clone(), text(gate))).collect()
}

fn parameters(version: &ModelVersion) -> Facts {
    let lineage = version.spec.lineage.clone().unwrap_or_default();
    lineage.parameters.into_iter().map(|parameter| (parameter.name, plain(&parameter.value))).collect()
}

fn inputs(version: &ModelVersion) -> Facts {
    let lineage = version.spec.lineage.clone().unwrap_or_default();
    let text = |uri: &str, digest: &str| format!("{} {}", plain(uri), short_digest(digest));
    lineage
        .inputs
        .iter()
        .map(|input| (format!("{}.{}", input.step, input.name), text(&input.uri, &input.digest)))
        .collect()
}

fn images(version: &ModelVersion) -> Facts {
    let lineage = version.spec.lineage.clone().unwrap_or_default();
    lineage.images.into_iter().map(|image| (image.step, plain(&image.image))).collect()
}

/// Why a version that does not pass does not, where the verdicts differ: each gate may say the same of both, as it does where one is
/// `Held`.
fn why(version: &ModelVersion, one: &ModelVersion, other: &ModelVersion) -> Option<String> {
    let status = version.status.as_ref()?;
    let verdict = status.verdict.filter(|verdict| *verdict != Verdict::Passed)?;
    let is_same = one.status.as_ref()?.verdict == other.status.as_ref()?.verdict;
    let passed = conditions::find(&status.conditions, types::PASSED).filter(|_| !is_same)?;
    Some(format!("{} is {verdict:?}: {}", plain(&version.name_any()), plain(&passed.message)))
}

/// Why numbers of both do not compare.
fn warnings(one: &ModelVersion, other: &ModelVersion) -> Vec<String> {
    let mut warnings = Vec::new();
    if one.spec.model != other.spec.model {
        warnings.push("they are versions of different models.".to_owned());
    }
    let (left, right) = (status(one).measurement, status(other).measurement);
    if let (Some(left), Some(right)) = (&left, &right)
        && (left.labels_digest != right.labels_digest || left.rows != right.rows)
    {
        let text =
            "they were measured on different rows or labels: differences of measured numbers may be those of the data.";
        warnings.push(text.to_owned());
    }
    for (version, measurement) in [(one, left), (other, right)] {
        let is_own = |measurement: &Measurement| measurement.labels == LabelSource::SelfReported;
        if measurement.as_ref().is_some_and(is_own) {
            let name = plain(&version.name_any());
            warnings.push(format!(
                "{name} was measured on self-reported labels: its own team wrote what it is compared with."
            ));
        }
    }
    let by =
        |version: &ModelVersion| status(version).judgements.first().map(|judgement| judgement.gates_digest.clone());
    if let (Some(left), Some(right)) = (by(one), by(other))
        && left != right
    {
        warnings.push("they were judged by different states of the Model.".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn what_differs_is_shown_with_its_difference() {
        let full = fixtures::full();
        insta::assert_snapshot!(compare(&full.versions[0], &full.versions[1]));
    }

    /// All gates may say the same of both.
    #[test]
    fn a_version_that_is_held_says_why() {
        let full = fixtures::full();
        let passed = full.versions[1].clone();
        let mut held = passed.clone();
        held.metadata.name = Some("churn-v5".into());
        let status = held.status.as_mut().unwrap();
        status.verdict = Some(Verdict::Held);
        let why = serde_json::json!({"type": "Passed", "status": "False", "reason": "Held",
            "message": "it passes only since the Model changed", "lastTransitionTime": "2026-11-20T03:22:00Z"});
        status.conditions.push(serde_json::from_value(why).unwrap());
        let said = compare(&held, &passed);
        assert!(said.contains("\nchurn-v5 is Held: it passes only since the Model changed\n"), "{said}");
        assert!(!compare(&held, &held).contains("churn-v5 is Held"));
    }

    #[test]
    fn a_version_equals_itself() {
        let version = &fixtures::full().versions[0];
        let said = compare(version, version);
        assert!(!said.contains(DIFFERS) && said.contains("PARAMETERS: no difference"), "{said}");
    }

    #[test]
    fn versions_without_a_status_are_compared() {
        let full = fixtures::full();
        let mut bare = full.versions[1].clone();
        (bare.status, bare.spec.lineage) = (None, None);
        let said = compare(&full.versions[0], &bare);
        assert!(said.contains("learning-rate  0.1  -  differs"), "{said}");
        assert!(compare(&bare, &bare).contains("IMAGES: none"));
    }
}
