//! Gates of type `Approval`: people decide about a judgement that all other gates have made.

use kube_core::ResourceExt;
use seatrial_crds::{Approval, ApprovalGate, GateJudgement, GateType, ModelSpec, ModelVersion, Verdict, limits};

use super::Finding;
use crate::approvals::Counted;
use crate::text;

/// What such a gate finds before Approvals are counted.
pub(super) fn unheard() -> Finding {
    Finding::without_value(Verdict::AwaitingApproval, "nobody was heard yet".to_owned())
}

/// The command by which somebody approves a version.
pub(crate) fn command(version: &ModelVersion) -> String {
    let namespace = version.namespace().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!("kubectl seatrial approve {}{namespace} --reason WHY", version.name_any())
}

/// Judges the gates of type `Approval` by the Approvals that count of this judgement of the version.
pub fn apply(model: &ModelSpec, version: &ModelVersion, judgements: &mut [GateJudgement], counted: &Counted<'_>) {
    for judgement in judgements.iter_mut().filter(|judgement| judgement.kind == Some(GateType::Approval)) {
        let gate = model.gates.iter().find(|gate| gate.name == judgement.name);
        let Some(gate) = gate.and_then(|gate| gate.approval.as_ref()) else {
            (judgement.verdict, judgement.message) =
                (Verdict::Error, "the gate does not say who must approve: set its field approval".to_owned());
            continue;
        };
        (judgement.verdict, judgement.message) = judge(gate, version, counted);
        text::truncate(&mut judgement.message, limits::SENTENCE);
    }
}

fn judge(gate: &ApprovalGate, version: &ModelVersion, counted: &Counted<'_>) -> (Verdict, String) {
    let is_asked = |approval: &Approval| {
        let by = &approval.spec.by;
        by.groups.contains(&gate.group) || gate.writers.contains(&by.user)
    };
    let words = counted.words(&gate.writers, is_asked);
    let asked = gate.count.unwrap_or(1).max(1);
    if !words.rejected.is_empty() {
        return (Verdict::Failed, format!("rejected by {}", words.rejected.join("; ")));
    }
    if words.approved.len() >= usize::try_from(asked).unwrap_or(usize::MAX) {
        return (Verdict::Passed, format!("approved by {}", words.approved.join("; ")));
    }
    let has =
        if words.approved.is_empty() { String::new() } else { format!(" (so far by {})", words.approved.join("; ")) };
    let problem = counted.problem().map(|problem| format!("; {problem}")).unwrap_or_default();
    let message = format!(
        "{} of {asked} approvals of the group {}{has}: somebody of it decides by {} (or reject in place of approve){problem}",
        words.approved.len(),
        gate.group,
        command(version)
    );
    (Verdict::AwaitingApproval, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seatrial_crds::ModelVersion;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::approvals::{Proof, tests as said};
    use crate::gates;

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    fn judged(gate: &Value, approvals: &[Arc<Approval>]) -> GateJudgement {
        let gate = json!({"name": "signed", "type": "Approval", "approval": gate});
        let model: ModelSpec = from_value(json!({
            "owner": {"team": "growth", "contact": "x"}, "objective": "x", "uses": ["Batch"], "gates": [gate],
        }))
        .unwrap();
        let spec = json!({
            "model": "churn", "number": 1, "purpose": "Release",
            "artifact": {"uri": "s3://growth/x", "digest": digest("a"), "size": 1},
        });
        let mut version = ModelVersion::new("churn-v1", from_value(spec).unwrap());
        version.metadata.namespace = Some("growth".to_owned());
        let mut found =
            gates::judge(&model, &version.spec, &gates::Evidence::Unavailable("x".into()), &gates::DuelState::of(None));
        assert_eq!(found[0].verdict, Verdict::AwaitingApproval);
        let counted = Counted::of(&version, &digest("j"), approvals, &Proof::Since(said::at(70)));
        apply(&model, &version, &mut found, &counted);
        found.swap_remove(0)
    }

    #[test]
    fn as_many_of_the_group_as_are_asked_for_must_approve() {
        let by = |user, decision, change| said::approval(user, decision, 100, change);
        let other = || json!({"by": {"user": "eve", "groups": ["sales"]}});
        let claims = |claimed: &str| json!({"by": {"user": "argo"}, "onBehalfOf": claimed});
        let (one, two) = (json!({"group": "crm"}), json!({"group": "crm", "count": 2}));
        let writers = json!({"group": "crm", "count": 2, "writers": ["argo"]});
        for (gate, approvals, expected) in [
            (&one, vec![], Verdict::AwaitingApproval),
            (&one, vec![by("jane", "Approved", json!({}))], Verdict::Passed),
            (&one, vec![by("eve", "Approved", other())], Verdict::AwaitingApproval),
            (&one, vec![by("argo", "Approved", claims("jane"))], Verdict::AwaitingApproval),
            (&one, vec![by("jane", "Approved", json!({"judgement": digest("k")}))], Verdict::AwaitingApproval),
            (&one, vec![by("jane", "Rejected", json!({}))], Verdict::Failed),
            (&one, vec![by("jane", "Approved", json!({})), by("bob", "Rejected", json!({}))], Verdict::Failed),
            // An account that is not asked cannot reject either.
            (&one, vec![by("jane", "Approved", json!({})), by("eve", "Rejected", other())], Verdict::Passed),
            (&two, vec![by("jane", "Approved", json!({}))], Verdict::AwaitingApproval),
            (&two, vec![by("jane", "Approved", json!({})), by("bob", "Approved", json!({}))], Verdict::Passed),
            // `onBehalfOf` makes nobody count twice. Only an account of `writers` counts once for each that it writes for.
            (
                &two,
                vec![
                    by("jane", "Approved", json!({"onBehalfOf": "x"})),
                    said::approval("jane", "Approved", 101, json!({"onBehalfOf": "y"})),
                ],
                Verdict::AwaitingApproval,
            ),
            (
                &writers,
                vec![by("argo", "Approved", claims("jane")), said::approval("argo", "Approved", 101, claims("bob"))],
                Verdict::Passed,
            ),
        ] {
            assert_eq!(judged(gate, &approvals).verdict, expected, "{gate} {approvals:?}");
        }
    }

    #[test]
    fn it_says_who_approved_and_what_is_missing() {
        let gate = json!({"group": "crm", "count": 2, "writers": ["argo"]});
        let claim = json!({"by": {"user": "argo"}, "onBehalfOf": "jane"});
        let said = judged(&gate, &[said::approval("argo", "Approved", 100, claim)]).message;
        let command = "kubectl seatrial approve churn-v1 -n growth --reason WHY";
        for word in ["1 of 2", "crm", "argo (which claims to write for jane): looked at it", command] {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
        assert!(!said.contains("sha256:"), "people type no digests: {said}");
    }
}
