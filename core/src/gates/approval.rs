//! Gates of type `Approval`: people decide about a judgement that all other gates have made.

use seatrial_crds::{Approval, ApprovalGate, GateJudgement, GateType, ModelSpec, Verdict, limits};

use super::Finding;
use crate::approvals::Counted;
use crate::text;

/// What such a gate finds before Approvals are counted.
pub(super) fn unheard() -> Finding {
    Finding::without_value(Verdict::Inconclusive, "nobody was heard yet".to_owned())
}

/// Judges the gates of type `Approval`. An Approval counts where it names the digest of this judgement.
pub fn apply(model: &ModelSpec, judgements: &mut [GateJudgement], digest: &str, counted: &Counted<'_>) {
    for judgement in judgements.iter_mut().filter(|judgement| judgement.kind == Some(GateType::Approval)) {
        let gate = model.gates.iter().find(|gate| gate.name == judgement.name);
        let Some(gate) = gate.and_then(|gate| gate.approval.as_ref()) else {
            (judgement.verdict, judgement.message) =
                (Verdict::Error, "the gate does not say who must approve: set its field approval".to_owned());
            continue;
        };
        (judgement.verdict, judgement.message) = judge(gate, digest, counted);
        text::truncate(&mut judgement.message, limits::SENTENCE);
    }
}

fn judge(gate: &ApprovalGate, digest: &str, counted: &Counted<'_>) -> (Verdict, String) {
    let is_asked = |approval: &Approval| {
        let by = &approval.spec.by;
        by.groups.contains(&gate.group) || gate.writers.contains(&by.user)
    };
    let words = counted.words(&gate.writers, is_asked);
    let asked = gate.count.unwrap_or(1).max(1);
    let approved = words.approved.join(", ");
    if !words.rejected.is_empty() {
        return (Verdict::Failed, format!("rejected by {}", words.rejected.join("; ")));
    }
    if words.approved.len() >= usize::try_from(asked).unwrap_or(usize::MAX) {
        return (Verdict::Passed, format!("approved by {approved}"));
    }
    let has = if approved.is_empty() { String::new() } else { format!(" (so far by {approved})") };
    let problem = counted.problem().map(|problem| format!("; {problem}")).unwrap_or_default();
    let message = format!(
        "{} of {asked} approvals of the group {}{has}: say so by kubectl seatrial approve or reject, or create an Approval that names the judgement {digest}{problem}",
        words.approved.len(),
        gate.group
    );
    (Verdict::Inconclusive, message)
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
        let version = ModelVersion::new("churn-v1", from_value(spec).unwrap());
        let mut found =
            gates::judge(&model, &version.spec, &gates::Evidence::Unavailable("x".into()), &gates::DuelState::of(None));
        assert_eq!(found[0].verdict, Verdict::Inconclusive);
        let counted = Counted::of(&version, &digest("j"), approvals, &Proof::Since(said::at(70)));
        apply(&model, &mut found, &digest("j"), &counted);
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
            (&one, vec![], Verdict::Inconclusive),
            (&one, vec![by("jane", "Approved", json!({}))], Verdict::Passed),
            (&one, vec![by("eve", "Approved", other())], Verdict::Inconclusive),
            (&one, vec![by("argo", "Approved", claims("jane"))], Verdict::Inconclusive),
            (&one, vec![by("jane", "Approved", json!({"judgement": digest("k")}))], Verdict::Inconclusive),
            (&one, vec![by("jane", "Rejected", json!({}))], Verdict::Failed),
            (&one, vec![by("jane", "Approved", json!({})), by("bob", "Rejected", json!({}))], Verdict::Failed),
            // An account that is not asked cannot reject either.
            (&one, vec![by("jane", "Approved", json!({})), by("eve", "Rejected", other())], Verdict::Passed),
            (&two, vec![by("jane", "Approved", json!({}))], Verdict::Inconclusive),
            (&two, vec![by("jane", "Approved", json!({})), by("bob", "Approved", json!({}))], Verdict::Passed),
            // `onBehalfOf` makes nobody count twice. Only an account of `writers` counts once for each that it writes for.
            (
                &two,
                vec![
                    by("jane", "Approved", json!({"onBehalfOf": "x"})),
                    said::approval("jane", "Approved", 101, json!({"onBehalfOf": "y"})),
                ],
                Verdict::Inconclusive,
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
        for word in ["1 of 2", "crm", "argo (which claims to write for jane)", &digest("j")] {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
    }
}
