//! What a product owner answers about a model: what it decides, what its errors cost, whom it must treat alike, and who
//! asks it.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::LabelSelector;
use crate::limits;
use crate::schema::{atomic_list, list_map, rule};

/// What a model decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("(self.type == 'BinaryClassification') == has(self.positiveLabel)", "positiveLabel goes with type BinaryClassification: say which label is the positive one"),
    rule("!has(self.positiveMeans) || self.type == 'BinaryClassification'", "positiveMeans goes with type BinaryClassification: it says what its positiveLabel means"),
]))]
pub struct Task {
    /// type is what kind of task it is: BinaryClassification, Regression or Other. What is Other is judged by the metrics
    /// that its steps write, never from predictions.
    #[serde(rename = "type")]
    pub kind: TaskType,
    /// positiveLabel is the label of those whom the model is to find, as the data has it, with type BinaryClassification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::LABEL))]
    pub positive_label: Option<String>,
    /// positiveMeans says in the owner's words what a row with the positive label is, as a short noun: `denied application`.
    /// Sentences and the model card use it. It changes no verdict, and nothing is judged or measured again for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::POSITIVE_MEANS))]
    pub positive_means: Option<String>,
}

/// The kinds of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaskType {
    /// One of two labels.
    BinaryClassification,
    /// A number.
    Regression,
    /// Anything else.
    Other,
}

/// The owner's labels, which predictions are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// uri is where the labels are: one file, CSV or Parquet, beneath the prefix of a Store of the namespace.
    #[schemars(length(max = limits::URI), regex(pattern = limits::URI_PATTERN))]
    pub uri: String,
    /// id is the column whose values name the rows; predictions have the same values in their column id.
    #[schemars(length(min = 1, max = limits::COLUMN))]
    pub id: String,
    /// label is the column with the true labels.
    #[schemars(length(min = 1, max = limits::COLUMN))]
    pub label: String,
    /// slices are the columns that divide the rows into groups, which fairness rules name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = slices)]
    pub slices: Vec<String>,
}

fn slices(schema: &mut Schema) {
    atomic_list(schema, limits::SLICES);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("minLength".into(), 1.into());
        items.insert("maxLength".into(), limits::COLUMN.into());
    }
}

/// Why a question does not apply to a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotApplicable {
    /// reason is a sentence that says why.
    #[schemars(length(min = 1, max = limits::SENTENCE))]
    pub reason: String,
}

/// What the errors of a binary classification cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.notApplicable) || (has(self.falsePositive) && has(self.falseNegative) && has(self.unit) && has(self.prevalence) && has(self.statusQuo))", "errorCosts needs falsePositive, falseNegative, unit, prevalence and statusQuo, or notApplicable with a reason"),
    rule("!has(self.notApplicable) || !(has(self.falsePositive) || has(self.falseNegative) || has(self.unit) || has(self.prevalence) || has(self.statusQuo))", "errorCosts has notApplicable or the costs, not both"),
]))]
pub struct ErrorCosts {
    /// notApplicable says why errors have no costs of these two kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<NotApplicable>,
    /// falsePositive is what it costs to take one for positive who is not, a decimal that is not negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::AMOUNT_PATTERN))]
    pub false_positive: Option<String>,
    /// falseNegative is what it costs to miss one who is positive, a decimal that is not negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::AMOUNT_PATTERN))]
    pub false_negative: Option<String>,
    /// unit is the unit of both costs: EUR, minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::UNIT))]
    pub unit: Option<String>,
    /// prevalence is the part of positives where the model serves, a decimal between 0 and 1, both excluded. The data that
    /// a version is judged on may have another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::PROPORTION_PATTERN))]
    pub prevalence: Option<String>,
    /// statusQuo is what would be done without the model: FlagNone takes nobody for positive, FlagAll everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "StatusQuo")]
    pub status_quo: Option<StatusQuo>,
}

/// What would be done without a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StatusQuo {
    /// Nobody is taken for positive.
    FlagNone,
    /// Everybody is taken for positive.
    FlagAll,
}

/// Which groups a model must treat alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.notApplicable) != (has(self.rules) && size(self.rules) > 0)", "fairness has rules or notApplicable with a reason, and not both"),
]))]
pub struct Fairness {
    /// notApplicable says why there are no groups to treat alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<NotApplicable>,
    /// rules compare the groups of a slice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules)]
    pub rules: Vec<FairnessRule>,
}

fn rules(schema: &mut Schema) {
    list_map(schema, "name", limits::FAIRNESS_RULES);
}

/// A bound on how differently the groups of a slice may fare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("[has(self.maxGap), has(self.minRatio), has(self.min)].filter(x, x).size() == 1", "a fairness rule has exactly one of maxGap, minRatio and min"),
]))]
pub struct FairnessRule {
    /// name is the rule's name, unique in its model.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// slice is the column of the evaluation that divides the rows into groups.
    #[schemars(length(min = 1, max = limits::COLUMN))]
    pub slice: String,
    /// metric is the rate that is compared: Recall, Specificity, FalsePositiveRate, FalseNegativeRate, Precision,
    /// SelectionRate or Accuracy.
    pub metric: RateMetric,
    /// maxGap is the largest difference that is allowed between any two groups, a decimal between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::PROPORTION_PATTERN))]
    pub max_gap: Option<String>,
    /// minRatio is the smallest ratio that is allowed between any two groups, the smaller rate over the larger, a decimal
    /// between 0 and 1. Where the favourable outcome is Negative, the rates of a SelectionRate are those of the negatives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::PROPORTION_PATTERN))]
    pub min_ratio: Option<String>,
    /// min is the smallest rate that is allowed in any group, a decimal between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::PROPORTION_PATTERN))]
    pub min: Option<String>,
    /// favourable is the outcome that people wish for: Positive or Negative. Ratios are of rates of the favourable outcome.
    #[serde(default)]
    #[schemars(with = "Favourable")]
    pub favourable: Favourable,
    /// minCount is how many rows the rate of a group must be of, at least.
    #[serde(default = "min_count")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_count: i64,
    /// smallGroups says what a group with fewer rows means: Block makes the rule Inconclusive, Report only names the group.
    #[serde(default)]
    #[schemars(with = "SmallGroups")]
    pub small_groups: SmallGroups,
}

const fn min_count() -> i64 {
    100
}

/// The rates that groups are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RateMetric {
    /// True positives of the positives.
    Recall,
    /// True negatives of the negatives.
    Specificity,
    /// False positives of the negatives.
    FalsePositiveRate,
    /// False negatives of the positives.
    FalseNegativeRate,
    /// True positives of those taken for positive.
    Precision,
    /// Those taken for positive, of all.
    SelectionRate,
    /// Right decisions, of all.
    Accuracy,
}

/// The outcome that people wish for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Favourable {
    /// To be taken for positive.
    #[default]
    Positive,
    /// Not to be taken for positive.
    Negative,
}

/// What a group with too few rows means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SmallGroups {
    /// The rule is Inconclusive.
    #[default]
    Block,
    /// The group is named, and the others decide.
    Report,
}

/// Who asks a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consumer {
    /// name is the consumer's name, unique in its model.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// namespace is where its pods are; absent: the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = limits::DNS_LABEL_PATTERN))]
    pub namespace: Option<String>,
    /// podSelector selects its pods; absent: all pods of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
}

/// A bound of what the errors of a version cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostGate {
    /// maxPerPrediction is the most that errors may cost for each prediction, in the unit of errorCosts, a decimal.
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::AMOUNT_PATTERN))]
    pub max_per_prediction: String,
    /// confidence is the level at which the bound must hold, a decimal such as 0.95; absent: the point estimate decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::CONFIDENCE_PATTERN))]
    pub confidence: Option<String>,
}

/// How a version must compare with the champion: the version in service, else the newest release that passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChampionGate {
    /// metric is what both are compared by: Cost (what errors cost for each prediction, by errorCosts), Accuracy, Recall or
    /// Specificity.
    pub metric: ChampionMetric,
    /// minGain is by how much the version must be better, a decimal: in the unit of errorCosts with metric Cost, else a
    /// difference of rates. The lower end of the gain's interval must be above it. Where it is negative, a version may be so
    /// much worse: without that, one that is as good as the champion never passes.
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::DECIMAL_PATTERN))]
    pub min_gain: String,
    /// confidence is the level of the gain's interval, a decimal; absent: 0.95.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DECIMAL), regex(pattern = limits::CONFIDENCE_PATTERN))]
    pub confidence: Option<String>,
}

/// What a version and the champion are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChampionMetric {
    /// What errors cost, for each prediction.
    Cost,
    /// Right decisions, of all.
    Accuracy,
    /// True positives of the positives.
    Recall,
    /// True negatives of the negatives.
    Specificity,
}

pub(crate) fn consumers(schema: &mut Schema) {
    list_map(schema, "name", limits::CONSUMERS);
}
