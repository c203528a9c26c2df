//! Whether a version may serve, by what its Model decided. A ModelDeployment that follows and one that names a version ask
//! the same.

use std::sync::Arc;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{Enforcement, Judgement, Model, ModelVersion, ModelVersionStatus, Purpose, Verdict};

use crate::conditions::{self, types};
use crate::gates;
use crate::gates::waivers;

/// What a Model decided about a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The Model as it is now passes it, or did so last, before it was deleted.
    Passes,
    /// It passes since the Model waives gates.
    Waived,
    /// There is no Model, and none ever judged a version of this name: nothing is asked.
    NobodyJudges,
    /// It is not judged yet by the Model as it is now. The sentence says why.
    Open(String),
    /// It passes, but only since its Model changed. The sentence says what it was before.
    Held(String),
    /// It does not pass. The sentence says by which judgement.
    Fails(String),
}

/// What a Model decided about its versions.
#[derive(Clone, Debug)]
pub struct Authority<'a> {
    /// The Model, with the digest of what it judges by.
    model: Option<(&'a Model, String)>,
    versions: &'a [Arc<ModelVersion>],
    /// The number of the newest release that the Model as it is now passes of itself: what is older is no longer held.
    newest_passed: Option<i64>,
    now: Timestamp,
}

impl<'a> Authority<'a> {
    /// Of a Model, if there is one, and all the versions that bear its name.
    pub fn new(model: Option<&'a Model>, versions: &'a [Arc<ModelVersion>], now: Timestamp) -> Self {
        let model = model.map(|model| (model, gates::digest(&model.spec)));
        let passes = |version: &&Arc<ModelVersion>| {
            let judgement = version.status.as_ref().and_then(|status| status.judgements.first());
            let digest = model.as_ref().map(|(_, digest)| digest.as_str());
            version.metadata.deletion_timestamp.is_none()
                && version.spec.purpose == Purpose::Release
                && judgement.is_some_and(|last| {
                    last.verdict == Verdict::Passed
                        && last.overrules.is_none()
                        && Some(last.gates_digest.as_str()) == digest
                })
        };
        let newest_passed = versions.iter().filter(passes).map(|version| version.spec.number).max();
        Self { model, versions, newest_passed, now }
    }

    /// Whether a version that does not pass is refused. Where the Model is deleted, its answer is unknown: what it judged
    /// cannot be released by taking the judge away.
    pub fn blocks(&self) -> bool {
        self.model.as_ref().is_none_or(|(model, _)| model.spec.enforcement.unwrap_or_default() == Enforcement::Block)
    }

    /// Whether a ModelDeployment may begin to serve a version.
    pub fn permits(&self, version: &ModelVersion) -> bool {
        let may = || matches!(self.standing(version), Standing::Passes | Standing::Waived | Standing::NobodyJudges);
        !self.blocks() || may()
    }

    /// Whether a Model judged a version of this name, or set out to.
    pub fn has_judged(&self) -> bool {
        let judged = |status: &ModelVersionStatus| {
            !status.judgements.is_empty() || status.measuring.is_some() || status.measurement.is_some()
        };
        self.model.is_some() || self.versions.iter().any(|version| version.status.as_ref().is_some_and(judged))
    }

    /// What the Model decided about a version.
    pub fn standing(&self, version: &ModelVersion) -> Standing {
        let name = version.name_any();
        let nothing = ModelVersionStatus::default();
        let status = version.status.as_ref().unwrap_or(&nothing);
        match &self.model {
            Some((model, digest)) => match standing(model, digest, version, status, self.now) {
                Standing::Held(_) if self.newest_passed > Some(version.spec.number) => Standing::Passes,
                standing => standing,
            },
            None if !self.has_judged() => Standing::NobodyJudges,
            None => match status.judgements.first() {
                Some(last) if last.verdict == Verdict::Passed => Standing::Passes,
                Some(last) => Standing::Fails(format!(
                    "the Model \"{}\" is gone, and its last word holds: {name} was {:?}{}; create the Model again",
                    version.spec.model,
                    last.verdict,
                    by(last)
                )),
                None => Standing::Fails(format!(
                    "the Model \"{}\" is gone and never judged {name}: create it again",
                    version.spec.model
                )),
            },
        }
    }
}

fn standing(
    model: &Model,
    digest: &str,
    version: &ModelVersion,
    status: &ModelVersionStatus,
    now: Timestamp,
) -> Standing {
    let name = version.name_any();
    let owner = &model.spec.owner;
    let who = format!("the Model \"{}\" of {} ({})", version.spec.model, owner.team, owner.contact);
    let current = status.judgements.first().filter(|last| last.gates_digest == digest);
    let open = || Standing::Open(format!("{who} has not judged {name} yet as it stands now: wait"));
    match (status.verdict, current) {
        (Some(Verdict::Passed), Some(_)) => Standing::Passes,
        (Some(Verdict::Held), Some(_)) => {
            let message = conditions::find(&status.conditions, types::PASSED).map(|passed| passed.message.as_str());
            Standing::Held(format!(
                "{who} holds {name}: {}",
                message.unwrap_or("it passes only since the Model changed")
            ))
        }
        (Some(Verdict::Waived), Some(last)) if waivers::hold(&model.spec, version, &last.gates, now) => {
            Standing::Waived
        }
        (Some(Verdict::Waived), Some(last)) => Standing::Fails(format!(
            "{who} does not pass {name}{}: what it waived for a while counts no longer; serve a version that passes, or ask for another waiver",
            by(last)
        )),
        (Some(Verdict::Failed | Verdict::Error | Verdict::Inconclusive), Some(last)) => Standing::Fails(format!(
            "{who} does not pass {name}{}: {}; make a version that passes, or ask the owner to waive what is not met (spec.waivers)",
            by(last),
            found(last)
        )),
        (Some(Verdict::AwaitingApproval), Some(last)) => {
            Standing::Fails(format!("{who} does not pass {name} before it is approved: {}", found(last)))
        }
        (Some(Verdict::Unjudged), current) => {
            let passed = conditions::find(&status.conditions, types::PASSED);
            match passed.filter(|passed| passed.reason != "ModelNotFound") {
                // It was not judged by this Model, and will not be by waiting.
                Some(passed) => {
                    let why = current.map_or_else(|| passed.message.clone(), found);
                    Standing::Fails(format!("{who} does not pass {name}: {why}"))
                }
                None => open(),
            }
        }
        (Some(Verdict::Pending), _) => {
            let message = conditions::find(&status.conditions, types::PASSED).map(|passed| passed.message.as_str());
            Standing::Open(format!("{who} has not judged {name} yet: {}", message.unwrap_or("it is being measured")))
        }
        _ => open(),
    }
}

/// ` by its gates auc, cheap`: what a judgement did not find met.
fn by(judgement: &Judgement) -> String {
    let unmet: Vec<&str> = unmet(judgement).map(|gate| gate.name.as_str()).collect();
    if unmet.is_empty() { String::new() } else { format!(" by {}", unmet.join(", ")) }
}

/// What was found of it, in the judgement's own words.
fn found(judgement: &Judgement) -> String {
    gates::summary(unmet(judgement))
}

fn unmet(judgement: &Judgement) -> impl Iterator<Item = &seatrial_crds::GateJudgement> {
    judgement.gates.iter().filter(|gate| gate.verdict != Verdict::Passed)
}
