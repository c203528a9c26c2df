//! The owner's waivers: gates that a version need not meet for a while.

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{GateJudgement, ModelSpec, ModelVersion, Verdict, Waiver, limits};

use crate::text;

/// Marks as waived what a version does not meet and its Model waives at `now`. Returns when the first of these waivers ends:
/// the version must be judged again then. What is still measured, and a question that nobody answered, cannot be waived.
pub fn apply(
    model: &ModelSpec,
    version: &ModelVersion,
    judgements: &mut [GateJudgement],
    now: Timestamp,
) -> Option<Timestamp> {
    let mut ends = None;
    for judgement in judgements {
        let can_be_waived = matches!(
            judgement.verdict,
            Verdict::Failed | Verdict::Error | Verdict::Inconclusive | Verdict::AwaitingApproval
        );
        if !can_be_waived {
            continue;
        }
        let Some(waiver) = waiver_of(model, version, &judgement.name, now) else { continue };
        let until = waiver.expires_at.0;
        judgement.verdict = Verdict::Waived;
        judgement.message = format!(
            "the Model waives {} until {until}: {}; what was found: {}",
            judgement.name, waiver.reason, judgement.message
        );
        text::truncate(&mut judgement.message, limits::SENTENCE);
        ends = Some(ends.map_or(until, |sooner: Timestamp| sooner.min(until)));
    }
    ends
}

/// Whether all that a judgement found waived is still waived at `now`: neither expired nor taken back.
pub fn hold(model: &ModelSpec, version: &ModelVersion, judgements: &[GateJudgement], now: Timestamp) -> bool {
    let mut waived = judgements.iter().filter(|judgement| judgement.verdict == Verdict::Waived);
    waived.all(|judgement| waiver_of(model, version, &judgement.name, now).is_some())
}

/// Why some waivers can never count, of those that were meant to: they name what nothing is judged by, or files that the version
/// does not have. `None` where there is none.
pub fn without_effect(model: &ModelSpec, versions: &[&ModelVersion]) -> Option<String> {
    let names = super::names(model);
    let strange = |waiver: &Waiver| {
        let unknown: Vec<&str> =
            waiver.gates.iter().map(String::as_str).filter(|gate| !names.iter().any(|name| name == gate)).collect();
        if !unknown.is_empty() {
            let (unknown, names) = (unknown.join(", "), names.join(", "));
            return Some((unknown.clone(), format!("nothing is judged by {unknown}; it is by {names}")));
        }
        let version = versions.iter().find(|version| version.name_any() == waiver.version)?;
        (version.spec.artifact.digest != waiver.digest)
            .then(|| (waiver.gates.join(", "), format!("the version's files are {}", version.spec.artifact.digest)))
    };
    let mut found = model.waivers.iter().filter_map(|waiver| Some((waiver, strange(waiver)?)));
    let (waiver, (gates, why)) = found.next()?;
    Some(format!("the waiver of {gates} for {} waives nothing: {why}", waiver.version))
}

/// The waiver of a gate that lasts longest. It counts for a version's files alone: another version may not take its name.
fn waiver_of<'a>(model: &'a ModelSpec, version: &ModelVersion, gate: &str, now: Timestamp) -> Option<&'a Waiver> {
    let counts = |waiver: &&Waiver| {
        waiver.version == version.name_any()
            && waiver.digest == version.spec.artifact.digest
            && waiver.gates.iter().any(|waived| waived == gate)
            && now < waiver.expires_at.0
    };
    model.waivers.iter().filter(counts).max_by_key(|waiver| waiver.expires_at.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::gates;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    fn model(waivers: &Value) -> ModelSpec {
        let owner = json!({"team": "growth", "contact": "x"});
        from_value(json!({"owner": owner, "objective": "x", "uses": ["Batch"], "waivers": waivers})).unwrap()
    }

    fn waiver(version: &str, letter: &str, gates: &[&str], until: i64) -> Value {
        json!({"version": version, "digest": digest(letter), "gates": gates, "reason": "the fair", "expiresAt": at(until)})
    }

    fn version() -> ModelVersion {
        let spec = json!({
            "model": "churn", "number": 1, "purpose": "Release",
            "artifact": {"uri": "s3://growth/x", "digest": digest("a"), "size": 1}, "lineage": {},
        });
        ModelVersion::new("churn-v1", from_value(spec).unwrap())
    }

    fn found(name: &str, verdict: Verdict) -> GateJudgement {
        GateJudgement { name: name.into(), kind: None, verdict, value: None, message: "auc is 0.8".into() }
    }

    #[test]
    fn a_waiver_counts_for_its_version_files_gates_and_time() {
        for (waivers, verdict, waived) in [
            (json!([waiver("churn-v1", "a", &["auc"], 60)]), Verdict::Failed, true),
            (json!([waiver("churn-v1", "a", &["size", "auc"], 60)]), Verdict::Error, true),
            (json!([waiver("churn-v1", "a", &["auc"], 60)]), Verdict::Inconclusive, true),
            (json!([waiver("churn-v1", "a", &["auc"], 60)]), Verdict::AwaitingApproval, true),
            (json!([waiver("churn-v1", "a", &["auc"], 0)]), Verdict::Failed, false),
            (json!([waiver("churn-v2", "a", &["auc"], 60)]), Verdict::Failed, false),
            (json!([waiver("churn-v1", "b", &["auc"], 60)]), Verdict::Failed, false),
            (json!([waiver("churn-v1", "a", &["size"], 60)]), Verdict::Failed, false),
            (json!([waiver("churn-v1", "a", &["auc"], 60)]), Verdict::Passed, false),
            (json!([waiver("churn-v1", "a", &["auc"], 60)]), Verdict::Pending, false),
            (json!([waiver("churn-v1", "a", &["auc"], 60)]), Verdict::Unjudged, false),
            (json!([]), Verdict::Failed, false),
        ] {
            let mut judgements = [found("auc", verdict)];
            let ends = apply(&model(&waivers), &version(), &mut judgements, at(0));
            assert_eq!((judgements[0].verdict == Verdict::Waived, ends.is_some()), (waived, waived), "{waivers}");
            let expected = if waived { Verdict::Waived } else { verdict };
            assert_eq!((judgements[0].verdict, gates::overall(&judgements)), (expected, expected), "{waivers}");
        }
    }

    #[test]
    fn one_gate_that_is_not_waived_decides_and_the_first_end_is_told() {
        let waivers = json!([waiver("churn-v1", "a", &["auc"], 60), waiver("churn-v1", "a", &["auc", "size"], 90),]);
        let mut judgements =
            [found("auc", Verdict::Failed), found("size", Verdict::Failed), found("x", Verdict::Failed)];
        assert_eq!(apply(&model(&waivers), &version(), &mut judgements, at(0)), Some(at(90)));
        assert_eq!(gates::overall(&judgements), Verdict::Failed);
        assert!(judgements[0].message.contains("the fair") && judgements[0].message.contains("auc is 0.8"));
    }

    #[test]
    fn what_was_waived_is_no_longer_once_the_waiver_expired_or_is_gone() {
        let waivers = json!([waiver("churn-v1", "a", &["auc"], 60)]);
        let mut judgements = [found("auc", Verdict::Failed), found("size", Verdict::Passed)];
        apply(&model(&waivers), &version(), &mut judgements, at(0));
        assert!(hold(&model(&waivers), &version(), &judgements, at(59)));
        assert!(!hold(&model(&waivers), &version(), &judgements, at(60)));
        assert!(!hold(&model(&json!([])), &version(), &judgements, at(0)));
    }

    #[test]
    fn a_waiver_that_can_never_count_is_named() {
        let waiver = |gate: &str, digest: &str| json!([{"version": "churn-v1", "digest": digest, "gates": [gate], "reason": "x", "expiresAt": at(9)}]);
        let spec = json!({
            "model": "churn", "number": 1, "purpose": "Release",
            "artifact": {"uri": "s3://growth/x", "digest": digest("a"), "size": 1},
        });
        let version = ModelVersion::new("churn-v1", from_value(spec).unwrap());
        for (gate, files, expected) in [
            ("budget.maxSize", "a", None),
            ("leakage", "a", None),
            ("max-size", "a", Some("waives nothing: nothing is judged by max-size; it is by budget.maxSize, leakage")),
            (
                "budget.maxSize",
                "b",
                Some("the waiver of budget.maxSize for churn-v1 waives nothing: the version's files are sha256:aaaa"),
            ),
        ] {
            let mut model = model(&waiver(gate, &digest(files)));
            model.budget = from_value(json!({"maxSize": "1Gi"})).unwrap();
            let found = without_effect(&model, &[&version]);
            match expected {
                None => assert_eq!(found, None),
                Some(words) => assert!(found.as_ref().is_some_and(|found| found.contains(words)), "{found:?}"),
            }
        }
        // A gate beside it is waived all the same.
        let mut partly = model(&waiver("leakage", &digest("a")));
        partly.waivers[0].gates.push("leakag".to_owned());
        let found = without_effect(&partly, &[&version]).unwrap();
        assert!(
            found.starts_with("the waiver of leakag for churn-v1 waives nothing: nothing is judged by leakag;"),
            "{found}"
        );
        // Its version may be yet to come.
        let mut model = model(&waiver("budget.maxSize", &digest("b")));
        model.budget = from_value(json!({"maxSize": "1Gi"})).unwrap();
        assert_eq!(without_effect(&model, &[]), None);
    }
}
