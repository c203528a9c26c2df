//! The model card: one HTML page that says to a product owner how a model stands. It has no script, loads nothing, and is
//! made of objects alone: the same objects at the same time make the same page.

mod charts;
mod duel;
mod html;
mod objectives;
mod origin;
mod summary;
mod version;
mod words;

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;
use seatrial_crds::{LabelSource, Model, ModelDeployment, ModelVersion, Store, Time};

use super::text::time;
use html::Html;

/// The page's style: light and dark, for narrow windows and for paper.
const STYLE: &str = include_str!("card/style.css");
/// How many versions are shown whole.
const SHOWN: usize = 3;

/// What a card is made of.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The Model.
    pub(super) model: Model,
    /// Its versions.
    pub(super) versions: Vec<ModelVersion>,
    /// The ModelDeployments that name it.
    pub(super) deployments: Vec<ModelDeployment>,
    /// The Stores of its namespace; `None` where they cannot be read.
    pub(super) stores: Option<Vec<Store>>,
    /// Whether something keeps measurements from being forged.
    pub(super) protection: Protection,
}

/// Whether the cluster reserves what measures for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// An admission policy of the chart does.
    Reserved,
    /// There is no such policy.
    Missing,
    /// Who asks may not see that.
    Unknown,
}

/// A version that the card shows whole.
#[derive(Clone, Copy, Debug)]
struct Shown<'a> {
    version: &'a ModelVersion,
    serves: bool,
}

/// Those that serve, then the newest and the newest that passed; each once.
fn shown(subject: &Subject) -> Vec<Shown<'_>> {
    let status = subject.model.status.clone().unwrap_or_default();
    let serving = status.serving.iter().map(|served| (served.version.clone(), true));
    let others = [status.newest_version.clone(), status.passed_version.clone()].into_iter().flatten();
    let mut named: Vec<(String, bool)> = Vec::new();
    for (name, serves) in serving.chain(others.map(|name| (name, false))) {
        if !named.iter().any(|(known, _)| *known == name) {
            named.push((name, serves));
        }
    }
    let find = |name: &str| subject.versions.iter().find(|version| version.name_any() == name);
    named
        .iter()
        .filter_map(|(name, serves)| Some(Shown { version: find(name)?, serves: *serves }))
        .take(SHOWN)
        .collect()
}

/// The page.
pub(super) fn page(subject: &Subject, now: Timestamp) -> String {
    let model = &subject.model;
    let name = model.name_any();
    let mut html = Html::default();
    html.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>Model card: ").text(&name);
    html.raw("</title>\n<style>\n").raw(STYLE).raw("</style>\n</head>\n<body>\n");
    html.add(&summary::header(subject, now)).raw("<main>\n").add(&summary::next(subject, now));
    let versions = shown(subject);
    for one in &versions {
        html.add(&version::section(subject, one.version, one.serves));
    }
    html.add(&objectives::section(&model.spec, now)).add(&origin::section(&versions));
    html.add(&trust(subject, &versions)).raw("</main>\n<footer>\n");
    html.paragraph(format!(
        "Rendered at {} from the objects of the cluster, by kubectl seatrial card. It shows what stood in them then: ask again for what stands in them now.",
        time(&Time(now))
    ));
    html.raw("</footer>\n</body>\n</html>\n");
    html.into_text()
}

/// How far the numbers can be trusted.
fn trust(subject: &Subject, versions: &[Shown<'_>]) -> Html {
    let mut html = Html::default();
    html.raw("<section>\n<h2>How far these numbers can be trusted</h2>\n");
    let mut items: Vec<String> = Vec::new();
    match &subject.model.spec.evaluation {
        Some(evaluation) => items.push(format!(
            "The true answers are the owner's: {}, column {}. The judged team supplies predictions alone.",
            evaluation.uri, evaluation.label
        )),
        None => items.push("The Model names no labels of the owner (evaluation). What is measured rests on labels that the judged team supplies itself.".to_owned()),
    }
    for one in versions {
        let labels =
            one.version.status.as_ref().and_then(|status| status.measurement.as_ref()).map(|known| known.labels);
        if labels == Some(LabelSource::SelfReported) {
            items.push(format!(
                "{}: SelfReported labels. Its own team wrote what its predictions were compared with.",
                one.version.name_any()
            ));
        }
    }
    items.push(match subject.protection {
        Protection::Reserved => "An admission policy reserves the judge's Jobs and pods for the operator: nobody else can pose as the judge.".to_owned(),
        Protection::Missing => "Unprotected measurements: the cluster has no admission policy that reserves the judge's pods, so that whoever may create pods in the namespace can forge a measurement.".to_owned(),
        Protection::Unknown => "Whether the judge's pods are protected by an admission policy could not be seen with the rights of the person who made this page.".to_owned(),
    });
    items.extend(keys(subject, versions));
    html.list(items).raw("</section>\n");
    html
}

/// Stores whose keys the namespace holds, or that any pod of it may open: who has these can change what lies there.
fn keys(subject: &Subject, versions: &[Shown<'_>]) -> Vec<String> {
    let Some(stores) = &subject.stores else {
        return vec!["The Stores of the namespace could not be read: who holds the keys to predictions and labels is not known here.".to_owned()];
    };
    let of = |uri: &str| {
        let matching = stores.iter().filter(|store| uri.starts_with(&store.spec.prefix));
        unprotected(matching.max_by_key(|store| store.spec.prefix.len())?)
    };
    let labels = subject.model.spec.evaluation.iter().map(|evaluation| evaluation.uri.as_str());
    let evidence =
        versions.iter().flat_map(|one| &one.version.spec.evidence).map(|evidence| evidence.artifact.uri.as_str());
    let found: BTreeSet<String> = labels.chain(evidence).filter_map(of).collect();
    found.into_iter().collect()
}

fn unprotected(store: &Store) -> Option<String> {
    let (name, prefix) = (store.name_any(), &store.spec.prefix);
    let credentials = store.spec.credentials.as_ref()?;
    if let Some(secret) = &credentials.secret_name {
        return Some(format!(
            "Unprotected by the store: the keys to {prefix} (Store {name}) lie in the namespace's Secret {secret}. Who can use that Secret can change or learn what lies there."
        ));
    }
    let role = &credentials.web_identity.as_ref()?.role;
    Some(format!(
        "Unprotected by the store: a pod of the namespace opens {prefix} (Store {name}) by the role {role}. Who can create pods in the namespace can change or learn what lies there."
    ))
}

#[cfg(test)]
mod tests;
