//! What a version was judged to be: verdicts, the duel with its champion, and the threshold that costs choose. These are
//! parts of the status of a ModelVersion.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::limits;
use crate::measurement::{DuelMeasurement, LabelSource};
use crate::model::GateType;
use crate::schema::atomic_list;

fn gates(schema: &mut Schema) {
    atomic_list(schema, limits::VERDICTS);
}

fn overruled_gates(schema: &mut Schema) {
    atomic_list(schema, limits::VERDICTS);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), limits::VERDICT_NAME.into());
    }
}

/// A version's duel with the champion. Whom it is held with is recorded before any Job starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Duel {
    /// pinnedAt is when the champion was looked for.
    pub pinned_at: Time,
    /// champion is the version that served then, else the newest release that passed; absent where there was no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<Champion>,
    /// judgedBefore is how many versions of the model had been judged on the same labels before this one: whoever tries often
    /// enough wins by chance. Absent where the labels are not the owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub judged_before: Option<i64>,
    /// evaluations counts the Jobs that let the version's evaluation step evaluate the champion.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub evaluations: i64,
    /// predictions are what the champion says of each row, as that step wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<Artifact>,
    /// measurement is what a judge counted of both. Gates decide from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<DuelMeasurement>,
    /// problem is why the champion could not be evaluated, where another try would come to the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SENTENCE))]
    pub problem: Option<String>,
}

/// The version that another one must be a match for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Champion {
    /// version is the version's name.
    #[schemars(length(max = limits::RUN_NAME))]
    pub version: String,
    /// artifact is the version's files.
    pub artifact: Artifact,
    /// threshold is the score from which it takes somebody for positive: the one that it serves with. Absent: 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL))]
    pub threshold: Option<String>,
}

/// An attempt to measure a version. It is recorded before its Job is created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measuring {
    /// key names what is measured, as the measurement's.
    #[schemars(length(max = limits::DIGEST))]
    pub key: String,
    /// attempt counts the Jobs for this key, from 1.
    #[schemars(range(min = 1, max = 1000))]
    pub attempt: i64,
    /// failure is why the attempt ended without a measurement; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SENTENCE))]
    pub failure: Option<String>,
    /// failedAt is when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
}

/// The threshold that the costs of errors choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// value is the one that serves: chosen on all rows, a decimal.
    #[schemars(length(max = limits::DECIMAL))]
    pub value: String,
    /// lowest is the lowest of those that were chosen on parts of the rows, a decimal.
    #[schemars(length(max = limits::DECIMAL))]
    pub lowest: String,
    /// highest is the highest of those that were chosen on parts of the rows, a decimal.
    #[schemars(length(max = limits::DECIMAL))]
    pub highest: String,
}

/// What a version, or a gate of it, was judged to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Every gate is met.
    Passed,
    /// A gate is not met.
    Failed,
    /// There is too little evidence.
    Inconclusive,
    /// Evidence is missing or malformed.
    Error,
    /// It is being measured.
    Pending,
    /// All else is met, and people who are asked to approve it have not done so yet.
    AwaitingApproval,
    /// A gate is not met, and the owner waives it for a while; of a whole: all else is met.
    Waived,
    /// All is met, but only since the Model changed: under an earlier state of it, it was not.
    Held,
    /// There is no Model, it judges by nothing, or it leaves a question open.
    Unjudged,
}

/// One judgement by one state of the Model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// judgedAt is when.
    pub judged_at: Time,
    /// gatesDigest names what was judged by: the answers, the budget and the gates. Another digest means another judgement.
    #[schemars(length(max = limits::DIGEST))]
    pub gates_digest: String,
    /// gatesRevision is the ControllerRevision that has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub gates_revision: Option<String>,
    /// digest names the judgement by what it found: the version's files, what was judged by, and each gate's verdict and value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DIGEST))]
    pub digest: Option<String>,
    /// overrules is what the version was judged to be under an earlier state of the Model, where it did not pass then. A
    /// version that passes now is Held for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrules: Option<Overruled>,
    /// verdict is the whole's.
    pub verdict: Verdict,
    /// labels says whose labels the measurement compared with; absent where nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LabelSource")]
    pub labels: Option<LabelSource>,
    /// measurement is Unavailable where the predictions could not be measured, for an outage for one; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MeasurementState")]
    pub measurement: Option<MeasurementState>,
    /// gates are the single gates' verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = gates)]
    pub gates: Vec<GateJudgement>,
}

/// How a measurement stands that a judgement did without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MeasurementState {
    /// Several attempts failed; it is tried again.
    Unavailable,
}

/// What a version was judged to be under an earlier state of its Model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overruled {
    /// judgedAt is when.
    pub judged_at: Time,
    /// gatesRevision is the ControllerRevision that has what was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub gates_revision: Option<String>,
    /// verdict is what it was.
    pub verdict: Verdict,
    /// gates are what was not met, by name, under this state of the Model and those before it that the version did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = overruled_gates)]
    pub gates: Vec<String>,
}

/// One gate's verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateJudgement {
    /// name is the gate's name; for an answer its field: `errorCosts`, `fairness.<rule>`, `consumers`, `budget.maxSize`;
    /// `leakage` says whether the evidence was made of what the model was trained on.
    #[schemars(length(max = limits::VERDICT_NAME))]
    pub name: String,
    /// type is the gate's type; absent for an answer.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GateType")]
    pub kind: Option<GateType>,
    /// verdict is the gate's.
    pub verdict: Verdict,
    /// value is what was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL))]
    pub value: Option<String>,
    /// message is a sentence for the product owner.
    #[schemars(length(max = limits::SENTENCE))]
    pub message: String,
}
