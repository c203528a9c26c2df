//! Approval: what one person decided about one judgement of a version.

use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::schema::{rule, set_list};

/// A person's word on one judgement of one version.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    namespaced,
    category = "seatrial",
    derive = "PartialEq",
    doc = "Approval is a person's word on one judgement of one version. It is created once; an admission policy proves that its by is the account that creates it.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by.user"),
    printcolumn(name = "Claimed-For", type_ = "string", json_path = ".spec.onBehalfOf"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self == oldSelf", "an approval is immutable: create another one"),
]))]
pub struct ApprovalSpec {
    /// model is the model's name.
    #[schemars(length(min = 1, max = limits::MODEL_NAME), regex(pattern = limits::NAME_PATTERN))]
    pub model: String,
    /// version is the version's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = limits::NAME_PATTERN))]
    pub version: String,
    /// digest is the digest of the version's artifact, as the version's spec.artifact has it.
    #[schemars(length(max = limits::DIGEST), regex(pattern = limits::DIGEST_PATTERN))]
    pub digest: String,
    /// judgement is the digest of the judgement that is decided on, as the version's status.judgements has it. It names the
    /// gates and what they found: after a change of either, another word is needed.
    #[schemars(length(max = limits::DIGEST), regex(pattern = limits::DIGEST_PATTERN))]
    pub judgement: String,
    /// decision is Approved or Rejected. Of several of one account the newest counts.
    pub decision: Decision,
    /// reason is why, for those who read it later.
    #[schemars(length(min = 1, max = limits::SENTENCE))]
    pub reason: String,
    /// by is the account that creates the Approval; another's is refused.
    pub by: Approver,
    /// onBehalfOf is who decided, where a tool writes for people. It is a claim that nothing proves, and shown as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::ACCOUNT))]
    pub on_behalf_of: Option<String>,
}

/// What somebody decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// The version may serve, as far as this word goes.
    Approved,
    /// It may not.
    Rejected,
}

/// The account that creates an Approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Approver {
    /// user is the account's name, as the API server knows it: kubectl auth whoami shows it.
    #[schemars(length(min = 1, max = limits::ACCOUNT))]
    pub user: String,
    /// groups are those of the account's groups that matter here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = groups)]
    pub groups: Vec<String>,
}

/// Whose approvals a version needs, and how many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalGate {
    /// group is the group of those whose approval counts, as the API server knows it.
    #[schemars(length(min = 1, max = limits::ACCOUNT))]
    pub group: String,
    /// count is how many of them must approve. It is 1 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = limits::APPROVALS))]
    pub count: Option<u32>,
    /// writers are accounts whose Approvals count though they are not of the group, such as a GitOps controller's, as
    /// system:serviceaccount:NAMESPACE:NAME. Whom they write for is a claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = writers)]
    pub writers: Vec<String>,
}

fn groups(schema: &mut Schema) {
    accounts(schema, limits::APPROVER_GROUPS);
}

fn writers(schema: &mut Schema) {
    accounts(schema, limits::WRITERS);
}

fn accounts(schema: &mut Schema, max: usize) {
    set_list(schema, max);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("minLength".into(), 1.into());
        items.insert("maxLength".into(), limits::ACCOUNT.into());
    }
}
