//! What a judge measured of a version: counts and metrics, never a verdict. Gates decide from it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::schema::atomic_list;
use crate::{counts, limits};

/// What a judge measured of a version's predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// key names what was measured: the predictions, the labels, the task and the slices. Another key is another
    /// measurement.
    #[schemars(length(max = limits::DIGEST))]
    pub key: String,
    /// measuredAt is when.
    pub measured_at: Time,
    /// labels says whose labels were compared with: Owner's, or SelfReported ones that stand beside the predictions.
    pub labels: LabelSource,
    /// labelsDigest is the digest of the owner's labels as they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DIGEST))]
    pub labels_digest: Option<String>,
    /// problem is why nothing could be measured; the other fields are empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SENTENCE))]
    pub problem: Option<String>,
    /// rows is how many rows were measured.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rows: i64,
    /// metrics are those that depend on no threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = metrics)]
    pub metrics: Vec<MeasuredMetric>,
    /// groups are the groups of all slices, in the order in which counts name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = groups)]
    pub groups: Vec<MeasuredGroup>,
    /// folds are the parts of the rows, two where there are scores: the threshold for each is chosen on the other. Without
    /// scores there is one, with one point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = folds)]
    pub folds: Vec<Fold>,
    /// curve has points of all rows, from which the threshold that serves is chosen: the score from which a row is taken for positive, and
    /// those that are `flagged` by it, `true positives:false positives`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = points)]
    pub curve: Vec<CurvePoint>,
}

/// Whose labels predictions were compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelSource {
    /// Those that `Model.spec.evaluation` names.
    Owner,
    /// Those of the table of predictions itself, written by who is judged.
    SelfReported,
}

/// A metric that a judge measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredMetric {
    /// name is the metric's name: rocAuc, prAuc, logLoss, brier, calibrationError, mae, rmse, mape, r2,
    /// underprediction, overprediction.
    #[schemars(length(min = 1, max = limits::METRIC_NAME))]
    pub name: String,
    /// value is a decimal.
    #[schemars(length(max = limits::DECIMAL))]
    pub value: String,
    /// standardError is the value's standard error, a decimal; absent where the judge knows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL))]
    pub standard_error: Option<String>,
}

/// A group of rows: those with one value in a slice's column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeasuredGroup {
    /// slice is the column.
    #[schemars(length(max = limits::COLUMN))]
    pub slice: String,
    /// value is the value of the group's rows.
    #[schemars(length(max = limits::LABEL))]
    pub value: String,
}

/// Positives and negatives, by their true labels: `143:1047` in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// How many rows are positive.
    pub positives: i64,
    /// How many rows are negative.
    pub negatives: i64,
}

/// Those that are taken for positive: `67:71` in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlaggedCounts {
    /// How many of them are positive.
    pub true_positives: i64,
    /// How many of them are negative.
    pub false_positives: i64,
}

/// A part of the rows, with counts at thresholds that were chosen on the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fold {
    /// rows are the fold's rows, `positives:negatives` by their true labels.
    pub rows: ClassCounts,
    /// groups are the fold's rows of each group, in the order of the measurement's groups, as rows has them, with a blank between.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "counts::list")]
    #[schemars(schema_with = "counts::list::schema")]
    pub groups: Vec<ClassCounts>,
    /// points are thresholds from the other fold, the largest first: the corners of its convex hull, and 0.5. Each is a score from which
    /// a row is taken for positive, or - where decisions came without scores, and how many are taken at it, `true
    /// positives:false positives`: `choosing` of the other fold, by which the threshold is chosen, `counted` of this fold, and of
    /// its `groups`, in the order of the measurement's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = points)]
    pub points: Vec<FoldPoint>,
}

/// Counts at one threshold: `0.29 choosing 67:71 counted 68:70 groups 30:12 38:58` in objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldPoint {
    /// The score from which a row is taken for positive, a decimal; absent where decisions came without scores.
    pub threshold: Option<String>,
    /// The rows of the other fold that are taken for positive: the threshold is chosen by them.
    pub choosing: FlaggedCounts,
    /// The rows of this fold that are taken for positive.
    pub counted: FlaggedCounts,
    /// The rows of this fold that are taken for positive, by group.
    pub groups: Vec<FlaggedCounts>,
}

/// A point of the curve of all rows: `0.29 flagged 134:141` in objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurvePoint {
    /// The score from which a row is taken for positive, a decimal.
    pub threshold: String,
    /// The rows that are taken for positive.
    pub flagged: FlaggedCounts,
}

/// What a judge counted of a version and its champion on the same rows: who is right where they differ follows from it and
/// from the version's own measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DuelMeasurement {
    /// key names what was compared: the version's measurement, the champion's predictions and its threshold. Another key is
    /// another comparison.
    #[schemars(length(max = limits::DIGEST))]
    pub key: String,
    /// measuredAt is when.
    pub measured_at: Time,
    /// problem is why the two could not be compared; there are no folds then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::SENTENCE))]
    pub problem: Option<String>,
    /// folds are the parts of the rows, as the version's measurement has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = folds)]
    pub folds: Vec<DuelFold>,
}

/// What the champion decides on a part of the rows, and how far the version decides alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DuelFold {
    /// champion are the rows that the champion takes for positive, at its own threshold, `true positives:false positives`.
    pub champion: FlaggedCounts,
    /// both are the rows that both take for positive, for each point of the same fold of the version's measurement, as champion has
    /// them, with a blank between.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "counts::list")]
    #[schemars(schema_with = "counts::list::schema")]
    pub both: Vec<FlaggedCounts>,
}

fn metrics(schema: &mut Schema) {
    atomic_list(schema, limits::MEASURED_METRICS);
}

fn groups(schema: &mut Schema) {
    atomic_list(schema, limits::MEASURED_GROUPS);
}

fn folds(schema: &mut Schema) {
    atomic_list(schema, 2);
}

fn points(schema: &mut Schema) {
    atomic_list(schema, limits::CURVE_POINTS);
}
