//! What the document that a contract has now means for those who read the data by an earlier one.
//!
//! A pipeline that names a version is compared with the newest other document of that version: what it agreed on goes on
//! judging until it names another. One that names none is compared with the document before, whose version it was checked by
//! without saying so.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube_core::ResourceExt;
use seatrial_crds::{
    AffectedPipeline, BreakingChange, ContractChange, ContractChangeEffect, ContractReference, DataContract,
    MLPipeline, limits,
};

use super::compare::{Change, Effect, compare_schema};
use super::{Contract, compare, find, history, read, references};
use crate::conditions::Status;
use crate::revision::Revision;
use crate::text::plain_within;

/// How many changes and pipelines a sentence names.
const NAMED: usize = 3;

/// What changes of a contract mean for one who reads by it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Impact {
    /// The version of the document that the reader goes by, or went by.
    version: String,
    /// The changes that are not harmless.
    changes: Vec<Change>,
}

impl Impact {
    /// What is worth saying of changes; `None` where all are harmless.
    fn of(version: &str, mut changes: Vec<Change>) -> Option<Self> {
        changes.retain(|change| change.effect != Effect::Harmless);
        // The worst first; those of one kind stay in the document's order.
        changes.sort_by_key(|change| std::cmp::Reverse(change.effect));
        (!changes.is_empty()).then(|| Self { version: version.to_owned(), changes })
    }

    fn effect(&self) -> Effect {
        self.changes.iter().map(|change| change.effect).max().unwrap_or(Effect::Harmless)
    }

    /// The first changes, in words.
    fn sentence(&self) -> String {
        let told = self.changes.iter().take(NAMED).map(|change| format!("{}: {}", change.place, change.what));
        let told: Vec<String> = told.collect();
        match self.changes.len().saturating_sub(NAMED) {
            0 => told.join("; "),
            more => format!("{}; and {more} more", told.join("; ")),
        }
    }
}

/// What the contract's document means for whoever reads by this reference.
fn impact(
    reference: &ContractReference,
    contract: &DataContract,
    now: &Contract,
    known: &[Arc<Revision>],
) -> Option<Impact> {
    let (before, _) = history::before(contract, now, reference.version.as_deref(), known)?;
    let changes = compare_schema(&before, now, reference.schema.as_deref()).unwrap_or_else(|what| {
        vec![Change { place: reference.schema.clone().unwrap_or_default(), what, effect: Effect::Breaks }]
    });
    Impact::of(&before.version, changes)
}

/// What of a contract's document concerns those who read the data by an earlier one; `None` where nothing does.
pub(super) fn of_contract(
    contract: &DataContract,
    now: &Contract,
    known: &[Arc<Revision>],
    pipelines: &[Arc<MLPipeline>],
) -> Option<BreakingChange> {
    let before = history::before(contract, now, None, known);
    let general = before.as_ref().and_then(|(before, _)| Impact::of(&before.version, compare(before, now)));
    // Pipelines mostly name the same version and schema object: documents are long.
    let mut known_impacts = BTreeMap::new();
    let mut affected: Vec<(&MLPipeline, Impact)> = vec![];
    for pipeline in pipelines {
        let namespace = pipeline.namespace().unwrap_or_default();
        let own = references(&pipeline.spec, &namespace).into_iter().filter(|reference| is_to(reference, contract));
        let impacts = own.filter_map(|reference| {
            let key = (reference.version.clone(), reference.schema.clone());
            known_impacts.entry(key).or_insert_with(|| impact(&reference, contract, now, known)).clone()
        });
        affected.extend(impacts.max_by_key(Impact::effect).map(|worst| (pipeline.as_ref(), worst)));
    }
    if general.is_none() && affected.is_empty() {
        return None;
    }
    // The worst first, then by name: a status that names some names the same each time.
    affected.sort_by_cached_key(|(pipeline, impact)| {
        (std::cmp::Reverse(impact.effect()), pipeline.namespace(), pipeline.name_any())
    });
    let changes = general.map(|general| general.changes).unwrap_or_default();
    Some(BreakingChange {
        since: before.map(|(before, _)| plain_within(&before.version, limits::CONTRACT_VERSION)),
        change_count: count(changes.len()),
        changes: changes
            .iter()
            .take(limits::CONTRACT_CHANGES_SHOWN)
            .map(|change| ContractChange {
                place: plain_within(&change.place, limits::FIELD_PATH),
                effect: shown(change.effect),
                message: plain_within(&change.what, limits::STEP_MESSAGE),
            })
            .collect(),
        pipeline_count: count(affected.len()),
        pipelines: affected
            .iter()
            .take(limits::AFFECTED_PIPELINES_SHOWN)
            .map(|(pipeline, impact)| AffectedPipeline {
                namespace: pipeline.namespace().unwrap_or_default(),
                name: pipeline.name_any(),
                version: plain_within(&impact.version, limits::CONTRACT_VERSION),
                effect: shown(impact.effect()),
                message: plain_within(&impact.sentence(), limits::STEP_MESSAGE),
            })
            .collect(),
    })
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const fn shown(effect: Effect) -> ContractChangeEffect {
    match effect {
        Effect::Breaks => ContractChangeEffect::Breaks,
        Effect::MayStop | Effect::Harmless => ContractChangeEffect::MayStop,
    }
}

fn is_to(reference: &ContractReference, contract: &DataContract) -> bool {
    reference.name == contract.name_any() && reference.namespace == contract.namespace()
}

/// What a contract's condition says of it: status, reason and message.
pub(super) fn condition(breaking: Option<&BreakingChange>) -> (Status, &'static str, String) {
    let Some(breaking) = breaking else {
        let message = "nothing of the document breaks who reads the data by an earlier one".to_owned();
        return (Status::True, "Compatible", message);
    };
    let effects =
        breaking.changes.iter().map(|it| it.effect).chain(breaking.pipelines.iter().map(|pipeline| pipeline.effect));
    let breaks = effects.max() == Some(ContractChangeEffect::Breaks);
    let mut message = match &breaking.since {
        Some(since) if !breaking.changes.is_empty() => {
            let told: Vec<String> = breaking
                .changes
                .iter()
                .take(NAMED)
                .map(|change| format!("{}: {}", change.place, change.message))
                .collect();
            let mut told = told.join("; ");
            let more = breaking.change_count - count(NAMED);
            if more > 0 {
                told += &format!("; and {more} more in status.breaking");
            }
            format!("since the document before, of version {since}: {told}")
        }
        _ => "the document is not what pipelines agreed on".to_owned(),
    };
    let names: Vec<String> = breaking
        .pipelines
        .iter()
        .take(NAMED)
        .map(|pipeline| format!("{}/{} (by version {})", pipeline.namespace, pipeline.name, pipeline.version))
        .collect();
    message += &match (names.as_slice(), breaking.pipeline_count - count(NAMED)) {
        ([], _) => "; no pipeline reads by it".to_owned(),
        (names, more) if more > 0 => format!("; it concerns {} and {more} more pipelines", names.join(", ")),
        (names, _) => format!("; it concerns {}", names.join(", ")),
    };
    if breaks { (Status::False, "BreakingChange", message) } else { (Status::Unknown, "StricterRules", message) }
}

/// What a pipeline's condition says of the contracts that its inputs name; `None` where none of them can be read.
pub fn of_pipeline(
    pipeline: &MLPipeline,
    contracts: &[Arc<DataContract>],
    known: &[Arc<Revision>],
) -> Option<(Status, &'static str, String)> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let mut is_known = false;
    let mut worst: Option<(Effect, String)> = None;
    for reference in references(&pipeline.spec, &namespace) {
        let Some(contract) = find(&reference, &namespace, contracts) else { continue };
        let Ok(now) = read(&contract.spec) else { continue };
        is_known = true;
        let Some(impact) = impact(&reference, contract, &now, known) else { continue };
        let key = format!("{}/{}", contract.namespace().unwrap_or_default(), reference.name);
        let which = match &reference.version {
            Some(version) if *version != now.version => format!(
                "the contract \"{key}\" has version {}; the data are checked by version {version} until the input names another; between them: ",
                now.version
            ),
            _ => format!(
                "the next run is checked by the document that the contract \"{key}\" has now, of version {}; since version {}: ",
                now.version, impact.version
            ),
        };
        let message = which + &impact.sentence();
        if worst.as_ref().is_none_or(|(effect, _)| *effect < impact.effect()) {
            worst = Some((impact.effect(), message));
        }
    }
    if !is_known {
        return None;
    }
    Some(match worst {
        Some((Effect::Breaks, message)) => (Status::False, "BreakingChange", message),
        Some((_, message)) => (Status::Unknown, "StricterRules", message),
        None => (Status::True, "Compatible", "no contract of its inputs has a document that breaks it".to_owned()),
    })
}
