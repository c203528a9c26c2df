//! What the owner asks: the answers, the gates, the budget and the waivers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_core::gates;
use seatrial_crds::{Consumer, Enforcement, ModelSpec, TaskType};

use super::html::Html;
use super::words;
use crate::judged::text::time;

/// What the owner asks of every version.
pub(super) fn section(spec: &ModelSpec, now: Timestamp) -> Html {
    let mut html = Html::default();
    html.raw("<section>\n<h2>What the owner asks</h2>\n<dl>\n");
    html.fact("Decides", task(spec)).fact("Errors", costs(spec)).fact("Alike", fairness(spec));
    html.fact("Consumers", consumers(spec));
    if let Some(evaluation) = &spec.evaluation {
        let slices = if evaluation.slices.is_empty() {
            "no groups".to_owned()
        } else {
            format!("groups by {}", evaluation.slices.join(", "))
        };
        html.fact(
            "Compared with",
            format!("{}, column {}, rows named by {}; {slices}", evaluation.uri, evaluation.label, evaluation.id),
        );
    }
    let size = spec.budget.as_ref().and_then(|budget| budget.max_size.as_ref());
    html.fact(
        "Budget",
        size.map_or_else(|| "none is set".to_owned(), |size| format!("a version's files take at most {}", size.0)),
    );
    html.fact(
        "Who does not pass",
        match spec.enforcement.unwrap_or_default() {
            Enforcement::Block => "begins to serve nowhere (Block)",
            Enforcement::Warn => "may serve, and it is said (Warn)",
        },
    );
    html.raw("</dl>\n");
    if let Some(fairness) = &spec.fairness {
        html.list(fairness.rules.iter().map(|rule| format!("{}: {}.", rule.name, words::rule_asks(rule))));
    }
    let rows: Vec<[String; 2]> =
        spec.gates.iter().map(|gate| [gate.name.clone(), words::asked(spec, &gate.name)]).collect();
    if rows.is_empty() {
        html.note("No gates ask anything beyond these answers.");
    } else {
        html.table("Gates: what is asked beyond these answers", ["Gate", "Asks"], &rows);
    }
    let waiver = |waiver: &seatrial_crds::Waiver| {
        let state = if waiver.expires_at.0 <= now { "expired at" } else { "until" };
        [
            waiver.version.clone(),
            waiver.gates.join(", "),
            waiver.reason.clone(),
            format!("{state} {}", time(&waiver.expires_at)),
        ]
    };
    let rows: Vec<[String; 4]> = spec.waivers.iter().map(waiver).collect();
    if !rows.is_empty() {
        html.table("Waivers: what the owner lets pass for a while", ["Version", "Gates", "Reason", "Counts"], &rows);
    }
    html.raw("</section>\n");
    html
}

fn task(spec: &ModelSpec) -> String {
    match &spec.task {
        None => "the Model does not say what it decides (task)".to_owned(),
        Some(task) => match (task.kind, words::positive(Some(task))) {
            (TaskType::BinaryClassification, Some(positive)) => {
                let label = task.positive_label.as_ref().filter(|_| task.positive_means.is_some());
                let label = label.map(|label| format!(" (the label \u{201c}{label}\u{201d})")).unwrap_or_default();
                format!("which rows are {positive}{label}, and which are not")
            }
            (TaskType::BinaryClassification, None) => "one of two labels".to_owned(),
            (TaskType::Regression, _) => "a number".to_owned(),
            (TaskType::Other, _) => "something else, judged by what its steps write".to_owned(),
        },
    }
}

fn costs(spec: &ModelSpec) -> String {
    match &spec.error_costs {
        None => format!("not answered: {}", gates::open_question(gates::ERROR_COSTS)),
        Some(answer) => match &answer.not_applicable {
            Some(why) => format!("have no such costs: {}", why.reason),
            None => words::costs(answer).unwrap_or_else(|| "the answer is not complete".to_owned()),
        },
    }
}

fn fairness(spec: &ModelSpec) -> String {
    match &spec.fairness {
        None => format!("not answered: {}", gates::open_question(gates::FAIRNESS)),
        Some(answer) => match &answer.not_applicable {
            Some(why) => format!("there are no groups to treat alike: {}", why.reason),
            None if answer.rules.is_empty() => format!("not answered: {}", gates::open_question(gates::FAIRNESS)),
            None => format!("{} to be treated alike, by the rules below", slices(spec)),
        },
    }
}

fn slices(spec: &ModelSpec) -> String {
    let mut slices: Vec<&str> =
        spec.fairness.iter().flat_map(|answer| &answer.rules).map(|rule| rule.slice.as_str()).collect();
    slices.sort_unstable();
    slices.dedup();
    format!("groups of {} are", slices.join(", "))
}

fn consumers(spec: &ModelSpec) -> String {
    match spec.consumers.as_deref() {
        None => format!("not answered: {}", gates::open_question(gates::CONSUMERS)),
        Some([]) => "nobody in the cluster asks it".to_owned(),
        Some(consumers) => consumers.iter().map(consumer).collect::<Vec<_>>().join("; "),
    }
}

fn consumer(consumer: &Consumer) -> String {
    let namespace = consumer
        .namespace
        .as_deref()
        .map_or_else(|| "its own namespace".to_owned(), |name| format!("namespace {name}"));
    let pods = match &consumer.pod_selector {
        None => "all pods".to_owned(),
        Some(selector) => {
            let labels: BTreeMap<_, _> = selector.match_labels.iter().collect();
            let labels: Vec<String> = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            if labels.is_empty() { "selected pods".to_owned() } else { format!("pods {}", labels.join(",")) }
        }
    };
    format!("{} ({pods} of {namespace})", consumer.name)
}
