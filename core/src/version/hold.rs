//! Holds a version that passes only because its Model changed. So to lower a bar releases no version that had failed: a newer
//! version must pass, or somebody must approve.

use seatrial_crds::{
    GateJudgement, GateType, Judgement, LabelSource, MeasurementState, ModelVersion, Overruled, Verdict, limits,
};
use serde_json::json;

use crate::digest;
use crate::gates::approval;

/// What a judgement by the state `gates_digest` of a Model overrules; `before` is the judgement that came before it.
///
/// A version that passed under the state before is free. One that did not pass, or passed by a waiver, is not, until it has
/// passed; to leave the Model unanswered, or to change it again, makes no difference.
pub(super) fn overruled(before: Option<&Judgement>, gates_digest: &str) -> Option<Overruled> {
    let before = before?;
    let inherited = before.overrules.clone();
    if before.gates_digest == gates_digest {
        return inherited;
    }
    match before.verdict {
        Verdict::Passed => None,
        Verdict::Held | Verdict::Unjudged | Verdict::Pending => inherited,
        // It says nothing about the version.
        Verdict::Error if before.measurement == Some(MeasurementState::Unavailable) => inherited,
        Verdict::Failed | Verdict::Error | Verdict::Inconclusive | Verdict::AwaitingApproval | Verdict::Waived => {
            let unmet = before.gates.iter().filter(|gate| gate.verdict != Verdict::Passed);
            let mut gates: Vec<String> = unmet.map(|gate| gate.name.clone()).collect();
            gates.extend(inherited.into_iter().flat_map(|earlier| earlier.gates));
            gates.sort_unstable();
            gates.dedup();
            gates.truncate(limits::VERDICTS);
            Some(Overruled {
                judged_at: before.judged_at.clone(),
                gates_revision: before.gates_revision.clone(),
                verdict: before.verdict,
                gates,
            })
        }
    }
}

/// Whether a version that would pass is held. What was not met and is waived now is the owner's word on this version, with a
/// reason and an end: it holds nothing.
pub(super) fn holds(overruled: &Overruled, gates: &[GateJudgement]) -> bool {
    let is_waived = |name: &String| gates.iter().any(|gate| &gate.name == name && gate.verdict == Verdict::Waived);
    !overruled.gates.iter().all(is_waived)
}

/// The message about a version that is held; `problem` is why Approvals do not count.
pub(super) fn sentence(overruled: &Overruled, version: &ModelVersion, problem: Option<&str>) -> String {
    let problem = problem.map(|problem| format!("; {problem}")).unwrap_or_default();
    let by = match &overruled.gates_revision {
        Some(revision) => format!(" by the gates in the ControllerRevision {revision}"),
        None => " by earlier gates".to_owned(),
    };
    format!(
        "it passes only since the Model changed: it was {:?}{by} ({}); make a newer version that passes, or approve this one by {}{problem}",
        overruled.verdict,
        overruled.gates.join(", "),
        approval::command(version)
    )
}

/// Names a judgement by what it found. The verdict of the whole is not part of it, nor what people say of it: who approves
/// names what all else found.
pub(super) fn digest(
    artifact: &str,
    gates_digest: &str,
    labels: Option<LabelSource>,
    gates: &[GateJudgement],
) -> String {
    let heard = gates.iter().filter(|gate| gate.kind != Some(GateType::Approval));
    let found: Vec<_> = heard.map(|gate| (&gate.name, gate.verdict, &gate.value)).collect();
    let parts = json!({"artifact": artifact, "gates": gates_digest, "labels": labels, "found": found});
    format!("sha256:{}", digest::of_json(&parts))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value};

    use super::*;

    fn judgement(digest: &str, verdict: Verdict, gates: &[(&str, Verdict)], overrules: Option<&[&str]>) -> Judgement {
        let gates: Vec<Value> =
            gates.iter().map(|(name, verdict)| json!({"name": name, "verdict": verdict, "message": "x"})).collect();
        let at = "2026-01-01T00:00:00Z";
        let overrules = overrules.map(|gates| json!({"judgedAt": at, "verdict": "Failed", "gates": gates}));
        from_value(json!({
            "judgedAt": at, "gatesDigest": digest, "verdict": verdict, "gates": gates, "overrules": overrules,
        }))
        .unwrap()
    }

    #[test]
    fn what_did_not_pass_is_overruled_by_another_state_until_the_version_has_passed() {
        use Verdict::{AwaitingApproval, Error, Failed, Held, Inconclusive, Passed, Unjudged, Waived};
        for (before, digest, expected) in [
            (None, "b", None),
            (Some(judgement("a", Passed, &[("x", Passed)], None)), "b", None),
            (Some(judgement("a", Failed, &[("x", Failed), ("y", Passed)], None)), "b", Some(vec!["x"])),
            (Some(judgement("a", Error, &[("x", Error)], None)), "b", Some(vec!["x"])),
            (Some(judgement("a", Inconclusive, &[("x", Inconclusive)], None)), "b", Some(vec!["x"])),
            // To ask nobody any more is to lower the bar.
            (Some(judgement("a", AwaitingApproval, &[("x", AwaitingApproval)], None)), "b", Some(vec!["x"])),
            // A waiver is no pass: to waive first and to lower then releases nothing either.
            (Some(judgement("a", Waived, &[("x", Waived)], None)), "b", Some(vec!["x"])),
            // The same state finds something else: the evidence changed, not the Model.
            (Some(judgement("a", Failed, &[("x", Failed)], None)), "a", None),
            (Some(judgement("a", Held, &[("x", Passed)], Some(&["x"]))), "a", Some(vec!["x"])),
            // To edit it once more, or to leave a question open for a while, is no way out.
            (Some(judgement("a", Held, &[("x", Passed)], Some(&["x"]))), "b", Some(vec!["x"])),
            (Some(judgement("a", Unjudged, &[("q", Unjudged)], Some(&["x"]))), "b", Some(vec!["x"])),
            (Some(judgement("a", Unjudged, &[("q", Unjudged)], None)), "b", None),
            (Some(judgement("a", Failed, &[("y", Failed)], Some(&["x"]))), "b", Some(vec!["x", "y"])),
            (Some(judgement("a", Passed, &[("x", Passed)], Some(&["x"]))), "b", None),
        ] {
            let found = overruled(before.as_ref(), digest).map(|overruled| overruled.gates);
            assert_eq!(found, expected.map(|names| names.into_iter().map(str::to_owned).collect()), "{before:?}");
        }
    }

    #[test]
    fn an_outage_says_nothing_about_a_version() {
        let mut before = judgement("a", Verdict::Error, &[("x", Verdict::Error)], None);
        before.measurement = Some(MeasurementState::Unavailable);
        assert_eq!(overruled(Some(&before), "b"), None);
    }

    #[test]
    fn a_waiver_of_all_that_was_not_met_holds_nothing() {
        use Verdict::{Passed, Waived};
        for (gates, expected) in [
            (vec![("x", Waived), ("y", Waived)], false),
            (vec![("x", Waived), ("y", Passed)], true),
            (vec![("x", Waived)], true),
            (vec![], true),
        ] {
            let now = judgement("b", Passed, &gates, Some(&["x", "y"]));
            assert_eq!(holds(now.overrules.as_ref().unwrap(), &now.gates), expected, "{gates:?}");
        }
    }

    #[test]
    fn a_judgement_is_named_by_what_it_found() {
        let found = |verdict| judgement("b", Verdict::Passed, &[("x", verdict)], None).gates;
        let name = |artifact, digest, verdict| super::digest(artifact, digest, None, &found(verdict));
        let first = name("f", "b", Verdict::Passed);
        assert_eq!(first, name("f", "b", Verdict::Passed));
        for other in [name("g", "b", Verdict::Passed), name("f", "c", Verdict::Passed), name("f", "b", Verdict::Waived)]
        {
            assert_ne!(first, other);
        }
    }
}
