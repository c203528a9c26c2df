//! Who answers for the model, what serves, and what happens next.

use jiff::Timestamp;
use kube::ResourceExt;
use seatrial_core::conditions::types;
use seatrial_core::gates;
use seatrial_crds::{Condition, ModelStatus, Use, Verdict};

use super::Subject;
use super::html::Html;
use super::words;
use crate::judged::text::{ago, time};

/// The page's head: name, objective, and the facts that are asked for first.
pub(super) fn header(subject: &Subject, now: Timestamp) -> Html {
    let model = &subject.model;
    let (spec, status) = (&model.spec, model.status.clone().unwrap_or_default());
    let mut html = Html::default();
    html.raw("<header>\n<p class=\"note\">Model card");
    if let Some(namespace) = model.namespace() {
        html.text(format!(", namespace {namespace}"));
    }
    html.raw("</p>\n<h1>")
        .text(model.name_any())
        .raw("</h1>\n<p class=\"objective\">")
        .text(&spec.objective)
        .raw("</p>\n<dl>\n");
    html.fact("Owner", format!("{}, {}", spec.owner.team, spec.owner.contact));
    let uses = spec.uses.iter().map(|one| match one {
        Use::Realtime => "one by one, by a service (Realtime)",
        Use::Batch => "many at a time, by a job (Batch)",
    });
    html.fact("Used", uses.collect::<Vec<_>>().join("; "));
    html.fact("Serves now", serving(&status, now));
    if let Some(headline) = &status.headline {
        // Of several versions that serve, the newest stands first.
        let served = status.served_versions.as_deref().and_then(|served| served.split(", ").next());
        html.fact("In one number", words::headline(headline, served.or(status.passed_version.as_deref())));
    }
    if let Some(positive) = words::positive(spec.task.as_ref()) {
        html.fact("Positive means", format!("{positive}. To flag a row is to take it for that."));
    }
    if let Some(newest) = &status.newest_version {
        html.fact("Newest version", format!("{newest}: {}", verdict_of(subject, newest)));
    }
    if let Some(passed) = &status.passed_version {
        html.fact("Newest that passed", passed);
    }
    if !status.publishers.is_empty() {
        html.fact("Made by pipelines", status.publishers.join(", "));
    }
    html.raw("</dl>\n");
    if model.metadata.generation.is_some() && status.observed_generation != model.metadata.generation {
        html.raw("<p class=\"warning\">").text("The Model was changed, and the operator has not looked at it yet: what follows may speak of what it said before.");
        html.raw("</p>\n");
    }
    html.raw("</header>\n");
    html
}

fn serving(status: &ModelStatus, now: Timestamp) -> String {
    let texts = status.serving.iter().map(|served| {
        let since = match &served.since {
            Some(since) => format!("since {} ({})", time(since), ago(since, now)),
            None => "since an unknown time".to_owned(),
        };
        format!("{} {since}, at {}", served.version, served.deployment)
    });
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join("; ") }
}

fn verdict_of(subject: &Subject, name: &str) -> String {
    let version = subject.versions.iter().find(|version| version.name_any() == name);
    let status = version.and_then(|version| version.status.as_ref());
    let verdict = words::verdict(status.and_then(|status| status.verdict)).2;
    match status.and_then(|status| status.headline.as_ref()) {
        Some(headline) => format!("{verdict}, {headline}"),
        None => verdict,
    }
}

/// What waits, for what, and who is to act.
pub(super) fn next(subject: &Subject, now: Timestamp) -> Html {
    let model = &subject.model;
    let status = model.status.clone().unwrap_or_default();
    let mut items: Vec<String> = Vec::new();
    let mut open: Vec<String> = gates::unanswered(&model.spec).into_iter().map(str::to_owned).collect();
    for question in &status.unanswered {
        if !open.contains(question) {
            open.push(question.clone());
        }
    }
    items.extend(open.iter().map(|question| match question.as_str() {
        gates::ERROR_COSTS | gates::FAIRNESS | gates::CONSUMERS => {
            format!("The owner is asked ({question}): {}.", gates::open_question(question))
        }
        other => format!("The owner is asked: {other}."),
    }));
    items.extend(status.waiting.iter().map(|waiting| match &waiting.gate {
        Some(gate) => format!("{} waits, at {gate}: {}", waiting.version, waiting.waits_for),
        None => format!("{} waits: {}", waiting.version, waiting.waits_for),
    }));
    items.extend(newest_fails(subject, &status));
    items.extend(
        status
            .conditions
            .iter()
            .filter(|condition| is_trouble(condition))
            .map(|one| format!("{}: {}", one.reason, one.message)),
    );
    for deployment in &subject.deployments {
        let known = deployment.status.clone().unwrap_or_default();
        let name = deployment.name_any();
        if let Some(candidate) = &known.candidate_version {
            items.push(format!("{candidate} is being brought up at {name}."));
        }
        let troubles = known.conditions.iter().filter(|condition| is_trouble(condition));
        items.extend(troubles.map(|one| format!("At {name}, {}: {}", one.reason, one.message)));
    }
    if status.publishers.len() > 1 {
        items.push(format!(
            "Several pipelines publish to this model, which is rarely meant: {}.",
            status.publishers.join(", ")
        ));
    }
    for waiver in &model.spec.waivers {
        let state = if waiver.expires_at.0 <= now { "has expired" } else { "expires" };
        items.push(format!(
            "The waiver of {} for {} {state} at {}.",
            waiver.gates.join(", "),
            waiver.version,
            time(&waiver.expires_at)
        ));
    }
    items.dedup();
    let mut html = Html::default();
    html.raw("<section class=\"next\">\n<h2>What happens next</h2>\n");
    if items.is_empty() && status.newest_version.is_none() {
        html.paragraph("There is no released version yet: the next release run of a pipeline that publishes to this model makes one.");
    } else if items.is_empty() {
        html.paragraph("Nothing waits, and nobody is asked for anything.");
    }
    html.list(items).raw("</section>\n");
    html
}

/// What may become of a newest version that does not pass.
fn newest_fails(subject: &Subject, status: &ModelStatus) -> Option<String> {
    let newest = status.newest_version.as_deref()?;
    let version = subject.versions.iter().find(|version| version.name_any() == newest)?;
    let failed = version.status.as_ref()?.verdict == Some(Verdict::Failed);
    failed.then(|| {
        format!("{newest} does not pass, so that no ModelDeployment takes it unless the Model only warns. A better version, another bar of the owner's, or a waiver changes that; what serves goes on.")
    })
}

/// Whether a condition speaks of something that a person may have to act on.
fn is_trouble(condition: &Condition) -> bool {
    let wanted = match condition.type_.as_str() {
        types::READY | types::ANSWERED | types::SERVING_MEETS_GATES | types::THRESHOLD_CURRENT | types::AVAILABLE => {
            "False"
        }
        types::STALLED | types::REFUSED | types::FIELD_CONFLICT => "True",
        _ => return false,
    };
    condition.status == wanted
}
