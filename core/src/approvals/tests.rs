//! Which Approvals count, and what proves their writers.

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use serde_json::{Value, from_value, json};

use super::*;

/// The name of the policy in tests.
pub(crate) const POLICY_NAME: &str = "seatrial-approvals-v1";

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn digest(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

/// The policy as the API server keeps it, created at second 0.
pub(crate) fn policy() -> ValidatingAdmissionPolicy {
    let mut spec: Value = serde_json::from_str(include_str!("policy.json")).unwrap();
    spec["matchConstraints"]["matchPolicy"] = json!("Equivalent");
    spec["matchConstraints"]["namespaceSelector"] = json!({});
    spec["matchConstraints"]["objectSelector"] = json!({});
    spec["matchConstraints"]["resourceRules"][0]["scope"] = json!("*");
    let metadata = json!({"name": POLICY_NAME, "generation": 1, "creationTimestamp": at(0)});
    from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// Its binding, created at second 10.
pub(crate) fn binding() -> ValidatingAdmissionPolicyBinding {
    let metadata = json!({"name": POLICY_NAME, "generation": 1, "creationTimestamp": at(10)});
    let spec = json!({"policyName": POLICY_NAME, "validationActions": ["Deny"]});
    from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// Somebody's word on a version.
pub(crate) fn approval(user: &str, decision: &str, second: i64, change: Value) -> Arc<Approval> {
    let mut spec = json!({
        "model": "churn", "version": "churn-v1", "digest": digest("a"), "judgement": digest("j"), "decision": decision,
        "reason": "looked at it", "by": {"user": user, "groups": ["crm"]},
    });
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let mut approval = Approval::new(&format!("{user}-{second}"), from_value(spec).unwrap());
    approval.metadata.creation_timestamp = Some(seatrial_crds::Time(at(second)));
    Arc::new(approval)
}

fn version() -> ModelVersion {
    let spec = json!({
        "model": "churn", "number": 1, "purpose": "Release",
        "artifact": {"uri": "s3://growth/x", "digest": digest("a"), "size": 1},
    });
    ModelVersion::new("churn-v1", from_value(spec).unwrap())
}

fn release(approvals: &[Arc<Approval>], proof: &Proof) -> Option<String> {
    Counted::of(&version(), &digest("j"), approvals, proof).release()
}

#[test]
fn the_policy_that_the_chart_ships_is_the_one_that_is_expected() {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/seatrial/files/approval-policy.json");
    let shipped: Value = serde_json::from_str(&std::fs::read_to_string(chart).unwrap()).unwrap();
    assert_eq!(shipped, serde_json::from_str::<Value>(include_str!("policy.json")).unwrap());
}

#[test]
fn writers_are_proven_a_minute_after_the_younger_of_both() {
    assert_eq!(proof(Some(POLICY_NAME), Some(&policy()), Some(&binding())), Proof::Since(at(70)));
}

#[test]
fn a_policy_that_is_missing_or_was_changed_proves_nothing() {
    type Change = fn(&mut ValidatingAdmissionPolicy, &mut ValidatingAdmissionPolicyBinding);
    let changes: [Change; 12] = [
        |policy, _| policy.metadata.generation = Some(3),
        |policy, _| policy.metadata.creation_timestamp = None,
        |policy, _| policy.metadata.deletion_timestamp = Some(seatrial_crds::Time(at(0))),
        |policy, _| policy.spec.as_mut().unwrap().failure_policy = Some("Ignore".into()),
        |policy, _| drop(policy.spec.as_mut().unwrap().validations.as_mut().unwrap().pop()),
        |policy, _| policy.spec.as_mut().unwrap().validations.as_mut().unwrap()[1].expression = "true".into(),
        |policy, _| {
            let condition = json!([{"name": "x", "expression": "false"}]);
            policy.spec.as_mut().unwrap().match_conditions = Some(from_value(condition).unwrap());
        },
        |policy, _| {
            let selector = json!({"matchLabels": {"a": "b"}});
            let constraints = policy.spec.as_mut().unwrap().match_constraints.as_mut().unwrap();
            constraints.namespace_selector = Some(from_value(selector).unwrap());
        },
        |_, binding| binding.metadata.generation = Some(2),
        |_, binding| binding.spec.as_mut().unwrap().validation_actions = Some(vec!["Audit".into()]),
        |_, binding| binding.spec.as_mut().unwrap().policy_name = Some("other".into()),
        |_, binding| {
            let selector = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}});
            binding.spec.as_mut().unwrap().match_resources = Some(from_value(selector).unwrap());
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let (mut policy, mut binding) = (policy(), binding());
        change(&mut policy, &mut binding);
        let proof = proof(Some(POLICY_NAME), Some(&policy), Some(&binding));
        assert!(matches!(&proof, Proof::Missing(why) if why.contains("was changed")), "{index}: {proof:?}");
        assert_eq!(release(&[approval("jane", "Approved", 1000, json!({}))], &proof), None);
    }
    for (policy, binding) in [(None, Some(binding())), (Some(policy()), None)] {
        let proof = proof(Some(POLICY_NAME), policy.as_ref(), binding.as_ref());
        assert!(matches!(&proof, Proof::Missing(why) if why.contains("is missing")), "{proof:?}");
    }
    let off = proof(None, Some(&policy()), Some(&binding()));
    assert!(matches!(&off, Proof::Missing(why) if why.contains("admissionPolicy.enabled")), "{off:?}");
}

#[test]
fn an_approval_counts_for_what_it_names_and_only_if_its_writer_is_proven() {
    let proof = Proof::Since(at(70));
    for (second, change, expected) in [
        (71, json!({}), true),
        (70, json!({}), false),
        (71, json!({"model": "other"}), false),
        (71, json!({"version": "churn-v2"}), false),
        (71, json!({"digest": digest("b")}), false),
        (71, json!({"judgement": digest("k")}), false),
        (71, json!({"decision": "Rejected"}), false),
    ] {
        let approvals = [approval("jane", "Approved", second, change.clone())];
        assert_eq!(release(&approvals, &proof).is_some(), expected, "{second} {change}");
    }
    let young = [approval("jane", "Approved", 70, json!({}))];
    let counted = Counted::of(&version(), &digest("j"), &young, &proof);
    assert!(counted.problem().unwrap().contains("jane-70"), "{:?}", counted.problem());
}

#[test]
fn the_newest_word_of_each_counts_and_one_that_rejects_is_enough() {
    let said = |user, decision, second| approval(user, decision, second, json!({}));
    for (approvals, expected) in [
        (vec![said("jane", "Approved", 100), said("jane", "Rejected", 101)], None),
        (vec![said("jane", "Rejected", 100), said("jane", "Approved", 101)], Some("jane: looked at it")),
        (vec![said("jane", "Approved", 100), said("jane", "Rejected", 100)], None),
        (vec![said("jane", "Approved", 100), said("bob", "Rejected", 99)], None),
        (
            vec![said("jane", "Approved", 100), said("bob", "Approved", 99)],
            Some("bob: looked at it; jane: looked at it"),
        ),
    ] {
        assert_eq!(release(&approvals, &Proof::Since(at(70))).as_deref(), expected, "{approvals:?}");
    }
}

#[test]
fn whom_an_account_claims_to_write_for_is_shown_as_a_claim() {
    let approvals = [approval("argo", "Approved", 100, json!({"onBehalfOf": "jane"}))];
    let said = release(&approvals, &Proof::Since(at(70))).unwrap();
    assert_eq!(said, "argo (which claims to write for jane): looked at it");
}
