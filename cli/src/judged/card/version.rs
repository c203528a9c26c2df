//! One version: its verdicts in plain words, and what was measured of it.

use kube::ResourceExt;
use seatrial_core::gates::{self, figures};
use seatrial_crds::{Judgement, LabelSource, Measurement, ModelSpec, ModelVersion, ModelVersionStatus};

use super::Subject;
use super::html::Html;
use super::{charts, duel, words};
use crate::judged::text::{number, percent, rounded, size, time};

/// Why a page has two numbers for one threshold.
const TWO_COUNTS: &str = "The sentences and verdicts above count each half of the rows at the threshold that the other half chose, since no row may help to choose the threshold that it is counted at. The pictures and their table count all rows at each threshold, so that at the chosen one their numbers differ a little, and are mostly the better ones: judge by those above.";

/// The section of a version.
pub(super) fn section(subject: &Subject, version: &ModelVersion, serves: bool) -> Html {
    let spec = &subject.model.spec;
    let status = version.status.clone().unwrap_or_default();
    let (sign, class, word) = words::verdict(status.verdict);
    let mut html = Html::default();
    html.raw("<section>\n<h2>").text(version.name_any()).raw(if serves {
        ", which serves"
    } else {
        ", which does not serve"
    });
    html.raw(" <span class=\"verdict ").raw(class).raw("\">").raw(sign).raw(" ").text(word).raw("</span></h2>\n");
    html.paragraph(words::meaning(status.verdict));
    if serves {
        html.add(&kept_thresholds(subject, version, &status));
    }
    if let Some(headline) = &status.headline {
        html.note(format!(
            "In one number: {}. Files: {}.",
            words::headline(headline, None),
            size(version.spec.artifact.size)
        ));
    }
    match status.judgements.first() {
        Some(judgement) => html.add(&verdicts(spec, judgement, status.judgements.len())),
        None => html.note("There is no judgement of it yet."),
    };
    for condition in
        status.conditions.iter().filter(|condition| condition.status != "True" && status.judgements.is_empty())
    {
        html.paragraph(format!("{}: {}", condition.reason, condition.message));
    }
    if let Some(measuring) = &status.measuring
        && let Some(failure) = &measuring.failure
    {
        html.raw("<p class=\"warning\">")
            .text(format!("Attempt {} to measure it, or its champion, failed: {failure}", measuring.attempt))
            .raw("</p>\n");
    }
    match &status.measurement {
        Some(measurement) => html.add(&measured(spec, measurement, &status)),
        None => html.note("Its predictions were not measured: there are no curves and no groups to show."),
    };
    html.add(&duel::section(spec, &status));
    if !version.spec.metrics.is_empty() {
        let row = |metric: &seatrial_crds::Metric| {
            [metric.name.clone(), rounded(&metric.value), format!("{}.{}", metric.step, metric.output)]
        };
        let rows: Vec<[String; 3]> = version.spec.metrics.iter().map(row).collect();
        html.table("What its own steps wrote, which nobody checked", ["Metric", "Value", "Written by"], &rows);
    }
    html.raw("</section>\n");
    html
}

/// Where servers of the version decide at another threshold than the one that costs choose by now, and what that means.
fn kept_thresholds(subject: &Subject, version: &ModelVersion, status: &ModelVersionStatus) -> Html {
    let mut html = Html::default();
    let Some(chosen) = &status.threshold else { return html };
    let spec = &subject.model.spec;
    for deployment in &subject.deployments {
        let Some(known) = &deployment.status else { continue };
        let Some(kept) = known.served_threshold.as_ref().filter(|kept| **kept != chosen.value) else { continue };
        if known.served_version.as_deref() != Some(version.name_any().as_str()) {
            continue;
        }
        let points =
            status.measurement.as_ref().map(|measurement| figures::curve(spec, measurement)).unwrap_or_default();
        let counted =
            kept.parse::<f64>().ok().and_then(|kept| figures::at(&points, kept)).map_or_else(String::new, |point| {
                let unit = spec.error_costs.as_ref().and_then(|costs| costs.unit.as_deref()).unwrap_or_default();
                let cost = point.cost.map_or_else(String::new, |cost| {
                    format!(", and its errors cost {} {unit} for each prediction", number(cost))
                });
                format!(
                    " There it finds {} of the positives and wrongly flags {} of the others{cost}.",
                    percent(point.recall),
                    percent(point.false_positive_rate)
                )
            });
        html.raw("<p class=\"warning\">").text(format!(
            "At {} it still decides by the threshold that it came with: it flags a row from a score of {} on.{counted} What follows is for {}, which the costs as they are now choose, and which the next version brings.",
            deployment.name_any(),
            rounded(kept),
            rounded(&chosen.value)
        ));
        html.raw("</p>\n");
    }
    html
}

fn verdicts(spec: &ModelSpec, judgement: &Judgement, known: usize) -> Html {
    let mut html = Html::default();
    html.raw("<table class=\"verdicts\">\n<caption>").text(format!("Judged at {}", time(&judgement.judged_at)));
    if judgement.labels == Some(LabelSource::SelfReported) {
        html.raw(", with SelfReported labels: its own team wrote what it was compared with");
    }
    html.raw("</caption>\n<thead><tr><th scope=\"col\">Asked</th><th scope=\"col\">Verdict</th><th scope=\"col\">Found</th></tr></thead>\n<tbody>\n");
    for gate in &judgement.gates {
        let (sign, class, word) = words::verdict(Some(gate.verdict));
        html.raw("<tr><th scope=\"row\">")
            .text(words::asked(spec, &gate.name))
            .raw("<br><span class=\"note\">")
            .text(&gate.name);
        html.raw("</span></th><td><span class=\"verdict ").raw(class).raw("\">").raw(sign).raw(" ").text(word);
        html.raw("</span></td><td>").text(&gate.message).raw("</td></tr>\n");
    }
    html.raw("</tbody></table>\n");
    if judgement.measurement.is_some() {
        html.raw("<p class=\"warning\">It was judged without a measurement, which could not be made for now; it is tried again.</p>\n");
    }
    if let Some(overruled) = &judgement.overrules {
        html.raw("<p class=\"warning\">").text(format!(
            "At {}, by what the Model asked then, it was {:?}: {}. Since then the Model was changed, not the version.",
            time(&overruled.judged_at),
            overruled.verdict,
            overruled.gates.join(", ")
        ));
        html.raw("</p>\n");
    }
    if let Some(revision) = &judgement.gates_revision {
        html.note(format!("What was asked then is kept in the ControllerRevision {revision}."));
    }
    if let Some(digest) = &judgement.digest {
        html.note(format!("This judgement: {digest}"));
    }
    if judgement.gates_digest != gates::digest(spec) {
        html.raw("<p class=\"warning\">This judgement is by an earlier state of the Model: what the Model asks now may differ.</p>\n");
    }
    if known > 1 {
        html.note(format!("{} earlier judgements are on record in the version's status.", known.saturating_sub(1)));
    }
    html
}

/// What was measured of its predictions.
fn measured(spec: &ModelSpec, measurement: &Measurement, status: &ModelVersionStatus) -> Html {
    let mut html = Html::default();
    if let Some(problem) = &measurement.problem {
        html.raw("<p class=\"warning\">")
            .text(format!("Its predictions could not be measured: {problem}"))
            .raw("</p>\n");
        return html;
    }
    html.note(format!("Measured at {} on {} rows.", time(&measurement.measured_at), words::count(measurement.rows)));
    html.add(&decisions(spec, measurement));
    let points = figures::curve(spec, measurement);
    let cost = figures::cost(spec, measurement);
    let unit = spec.error_costs.as_ref().and_then(|costs| costs.unit.as_deref()).unwrap_or_default();
    if let Some(chart) = charts::cost(&points, status.threshold.as_ref(), cost.as_ref(), unit) {
        html.raw("<h3>What it costs, and where it draws the line</h3>\n").add(&chart);
    }
    if let Some(threshold) = &status.threshold {
        let (value, lowest, highest) =
            (rounded(&threshold.value), rounded(&threshold.lowest), rounded(&threshold.highest));
        html.paragraph(format!("It flags a row from a score of {value} on. Chosen on halves of the rows, the line would be drawn between {lowest} and {highest}."));
        html.note(TWO_COUNTS);
    }
    if let Some(chart) = charts::roc(&points, figures::decisions(spec, measurement).as_ref()) {
        html.raw("<h3>Finding more against false alarms</h3>\n").add(&chart);
    }
    if let Some(chart) = charts::calibration(&points) {
        html.raw("<h3>Whether a score means what it says</h3>\n").add(&chart);
    }
    html.add(&numbers(measurement, &points)).add(&groups(spec, measurement));
    html
}

/// What was decided of all rows, in words.
fn decisions(spec: &ModelSpec, measurement: &Measurement) -> Html {
    let mut html = Html::default();
    let Some(now) = figures::decisions(spec, measurement) else { return html };
    let means = words::positive(spec.task.as_ref());
    let positive = means.map_or_else(|| "positive".to_owned(), |means| format!("positive ({means})"));
    let missed = now.found.whole.saturating_sub(now.found.part);
    let range = |rate: &figures::RateFigure| {
        format!("{}, between {} and {} at 95 %", percent(rate.rate), percent(rate.low), percent(rate.high))
    };
    html.raw("<h3>What it finds, misses and wrongly flags</h3>\n").list([
        format!(
            "Of {} rows that are {positive} it finds {} and misses {} ({}).",
            words::count(now.found.whole),
            words::count(now.found.part),
            words::count(missed),
            range(&now.found)
        ),
        format!(
            "Of {} rows that are not, it wrongly flags {} ({}).",
            words::count(now.alarms.whole),
            words::count(now.alarms.part),
            range(&now.alarms)
        ),
        format!(
            "Of {} rows that it flags, {} are right ({}).",
            words::count(now.precision.whole),
            words::count(now.precision.part),
            range(&now.precision)
        ),
    ]);
    if let Some(cost) = figures::cost(spec, measurement) {
        let unit = spec.error_costs.as_ref().and_then(|costs| costs.unit.as_deref()).unwrap_or_default();
        let (saved, less) = (cost.without_model - cost.cost, cost.without_model >= cost.cost);
        html.raw("<p><strong>").text(format!(
            "Its errors cost {} {unit} for each prediction (between {} and {} at 95 %), {} {unit} {} than {}.",
            number(cost.cost),
            number(cost.low),
            number(cost.high),
            number(saved.abs()),
            if less { "less" } else { "more" },
            words::without(cost.status_quo)
        ));
        html.raw("</strong></p>\n");
    }
    html
}

/// The metrics, and the points of the pictures as a table.
fn numbers(measurement: &Measurement, points: &[figures::ThresholdFigure]) -> Html {
    let mut html = Html::default();
    let metric = |metric: &seatrial_crds::MeasuredMetric| {
        let error = metric
            .standard_error
            .as_deref()
            .map_or_else(|| "not known".to_owned(), |error| format!("± {}", rounded(error)));
        [metric.name.clone(), rounded(&metric.value), error, words::metric(&metric.name).to_owned()]
    };
    let rows: Vec<[String; 4]> = measurement.metrics.iter().map(metric).collect();
    if !rows.is_empty() {
        html.table("What the judge measured", ["Metric", "Value", "Standard error", "What it says"], &rows);
    }
    if !points.is_empty() {
        let row = |point: &figures::ThresholdFigure| {
            let cost = point.cost.map_or_else(|| "no costs".to_owned(), number);
            [
                number(point.threshold),
                words::count(point.flagged),
                percent(point.recall),
                percent(point.false_positive_rate),
                cost,
            ]
        };
        let rows: Vec<[String; 5]> = points.iter().map(row).collect();
        html.raw("<details><summary>The numbers of the pictures</summary>\n");
        html.table(
            "At each threshold, counted on all rows (the sentences above count each half of them at the threshold that the other half chose)",
            ["Threshold", "Flagged", "Positives found", "Negatives flagged", "Cost"],
            &rows,
        );
        html.raw("</details>\n");
    }
    html
}

/// The groups of all slices.
fn groups(spec: &ModelSpec, measurement: &Measurement) -> Html {
    let mut html = Html::default();
    let groups = figures::groups(spec, measurement);
    if groups.is_empty() {
        return html;
    }
    html.raw("<h3>How it treats groups</h3>\n");
    for rule in &figures::fairness_rules(spec, measurement) {
        html.paragraph(format!("{}: {}.", rule.rule.name, words::rule_asks(rule.rule)));
        if let Some(chart) = charts::groups(rule) {
            html.add(&chart);
        }
    }
    let range = |rate: &figures::RateFigure| match rate.whole {
        0 => "none".to_owned(),
        _ => format!(
            "{} of {}: {} ({} to {})",
            words::count(rate.part),
            words::count(rate.whole),
            percent(rate.rate),
            percent(rate.low),
            percent(rate.high)
        ),
    };
    let row = |group: &figures::GroupFigure| {
        let value = if group.value.is_empty() { "(empty)" } else { &group.value };
        let decisions = &group.decisions;
        [
            format!("{}: {value}", group.slice),
            words::count(decisions.rows),
            range(&decisions.found),
            range(&decisions.alarms),
            range(&decisions.precision),
        ]
    };
    let rows: Vec<[String; 5]> = groups.iter().map(row).collect();
    html.table(
        "Each group by itself, with intervals at 95 % (Wilson)",
        ["Group", "Rows", "Positives found", "Negatives wrongly flagged", "Flagged that are right"],
        &rows,
    );
    html
}
