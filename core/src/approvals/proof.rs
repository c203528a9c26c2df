//! Whether the writers of Approvals are proven: by the chart's ValidatingAdmissionPolicy, as it is and as it was.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

/// What the policy must say: `charts/seatrial/files/approval-policy.json`, which a test compares.
const POLICY: &str = include_str!("policy.json");
/// How long after its creation a policy counts: by then every API server enforces it.
const TAKES_EFFECT: SignedDuration = SignedDuration::from_secs(60);

/// From when on the writers of Approvals are proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The writers of Approvals created after this moment are proven.
    Since(Timestamp),
    /// No writer is proven; the sentence says why.
    Missing(String),
}

impl Proof {
    /// Whether the writer of an Approval created at this time is proven.
    pub(super) fn holds_for(&self, created: Option<Timestamp>) -> bool {
        matches!((self, created), (Self::Since(since), Some(created)) if created > *since)
    }
}

/// What is proven by the policy and binding of this name, which is the same for both.
///
/// Each must be as the chart makes it, and never have been anything else: `generation` counts changes of a spec. What is
/// changed and changed back would prove nothing of the Approvals between.
pub fn proof(
    name: Option<&str>,
    policy: Option<&ValidatingAdmissionPolicy>,
    binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Proof {
    let Some(name) = name else {
        let why = "no Approval counts: this installation does not prove who writes one; ask the platform team to set admissionPolicy.enabled";
        return Proof::Missing(why.to_owned());
    };
    let expected_binding = json!({"policyName": name, "validationActions": ["Deny"]});
    let of_policy = policy.map(|it| (&it.metadata, serde_json::to_value(&it.spec).unwrap_or_default()));
    let of_binding = binding.map(|it| (&it.metadata, serde_json::to_value(&it.spec).unwrap_or_default()));
    // The text is a constant, and a test reads it.
    let expected_policy: Value = serde_json::from_str(POLICY).unwrap_or_default();
    let mut since = Timestamp::MIN;
    for (kind, found, expected) in [
        ("ValidatingAdmissionPolicy", of_policy, expected_policy),
        ("ValidatingAdmissionPolicyBinding", of_binding, expected_binding),
    ] {
        match found.map(|(metadata, spec)| in_force_since(metadata, spec, &expected)) {
            None => return missing(kind, name, "is missing"),
            Some(None) => return missing(kind, name, "is not the chart's, or was changed"),
            Some(Some(created)) => since = since.max(created),
        }
    }
    Proof::Since(since.saturating_add(TAKES_EFFECT).unwrap_or(Timestamp::MAX))
}

fn missing(kind: &str, name: &str, how: &str) -> Proof {
    Proof::Missing(format!(
        "no Approval counts: the {kind} \"{name}\" {how}; ask the platform team to delete it and to install the chart again"
    ))
}

/// Since when an object is as it must be; `None` where it is not, or was not always.
fn in_force_since(metadata: &ObjectMeta, spec: Value, expected: &Value) -> Option<Timestamp> {
    let is_unchanged = metadata.generation == Some(1) && metadata.deletion_timestamp.is_none();
    let created = metadata.creation_timestamp.as_ref()?.0;
    (is_unchanged && without_defaults(spec) == *expected).then_some(created)
}

/// A spec without what the API server adds to it.
fn without_defaults(mut spec: Value) -> Value {
    if let Some(constraints) = spec.get_mut("matchConstraints").and_then(Value::as_object_mut) {
        constraints.retain(|key, value| {
            let is_default = match key.as_str() {
                "matchPolicy" => *value == "Equivalent",
                "namespaceSelector" | "objectSelector" => *value == json!({}),
                _ => false,
            };
            !is_default
        });
        let rules = constraints.get_mut("resourceRules").and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
            rule.retain(|key, value| key != "scope" || *value != "*");
        }
    }
    spec
}
