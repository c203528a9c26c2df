//! Which Approvals count: those of one judgement, whose writers the chart's admission policy has proven.

mod proof;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{Approval, Decision, ModelVersion};

pub use proof::{Proof, proof};

/// The Approvals of one judgement whose writers are proven, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted<'a> {
    approvals: Vec<&'a Approval>,
    /// Why some, or all, do not count; `None` where there is nothing to say.
    problem: Option<String>,
}

/// The newest decisions of all accounts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Who approves, with the reason.
    pub approved: Vec<String>,
    /// Who rejects, with the reason.
    pub rejected: Vec<String>,
}

impl<'a> Counted<'a> {
    /// Those of a judgement. One that names another version, other files or another judgement says nothing of this one.
    pub fn of(version: &ModelVersion, judgement: &str, approvals: &'a [Arc<Approval>], proof: &Proof) -> Self {
        let names = |approval: &&'a Arc<Approval>| {
            let spec = &approval.spec;
            spec.model == version.spec.model
                && spec.version == version.name_any()
                && spec.digest == version.spec.artifact.digest
                && spec.judgement == judgement
        };
        let named: Vec<&Approval> = approvals.iter().filter(names).map(AsRef::as_ref).collect();
        let mut counted: Vec<&Approval> =
            named.iter().copied().filter(|approval| proof.holds_for(created(approval))).collect();
        counted.sort_by_key(|approval| {
            // Of two Approvals created in the same second, the one that rejects counts as the later.
            (created(approval), approval.spec.decision == Decision::Rejected, approval.name_any())
        });
        let problem = match proof {
            Proof::Missing(why) => Some(why.clone()),
            Proof::Since(since) => named.iter().find(|approval| !proof.holds_for(created(approval))).map(|approval| {
                format!(
                    "the Approval \"{}\" does not count: writers are proven since {since} only; create another",
                    approval.name_any()
                )
            }),
        };
        Self { approvals: counted, problem }
    }

    /// Why some, or all, do not count.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The newest decision of each account that `counts` admits. For accounts in `writers`, which write for others, each
    /// person that they claim to write for counts.
    pub fn words(&self, writers: &[String], counts: impl Fn(&Approval) -> bool) -> Words {
        let mut newest = BTreeMap::new();
        for approval in self.approvals.iter().filter(|approval| counts(approval)) {
            let user = approval.spec.by.user.as_str();
            let claimed = approval.spec.on_behalf_of.as_deref().filter(|_| writers.iter().any(|writer| writer == user));
            newest.insert((user, claimed), *approval);
        }
        let (approved, rejected): (Vec<&Approval>, Vec<&Approval>) =
            newest.into_values().partition(|approval| approval.spec.decision == Decision::Approved);
        Words { approved: approved.into_iter().map(word).collect(), rejected: rejected.into_iter().map(word).collect() }
    }

    /// Who releases a version that is `Held`: somebody approves, and nobody rejects.
    pub fn release(&self) -> Option<String> {
        let Words { approved, rejected } = self.words(&[], |_| true);
        (rejected.is_empty() && !approved.is_empty()).then(|| approved.join("; "))
    }
}

/// Whose word it is, and why.
fn word(approval: &Approval) -> String {
    format!("{}: {}", who(approval), approval.spec.reason)
}

/// The account, which is proven, and the person that it claims to write for.
fn who(approval: &Approval) -> String {
    let user = &approval.spec.by.user;
    match &approval.spec.on_behalf_of {
        Some(claimed) => format!("{user} (which claims to write for {claimed})"),
        None => user.clone(),
    }
}

fn created(approval: &Approval) -> Option<Timestamp> {
    approval.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
pub(crate) mod tests;
