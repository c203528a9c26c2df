//! Where pods may run, in Kubernetes' own shape.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::metadata::label_map;
use crate::schema::{atomic_list, null_is_empty};

/// Which nodes, and the nodes of which other pods, are required, preferred or avoided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Affinity {
    /// nodeAffinity says which nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,
    /// podAffinity says beside which pods of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_affinity: Option<PodAffinity>,
    /// podAntiAffinity says away from which pods of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAffinity>,
}

fn terms(schema: &mut Schema) {
    atomic_list(schema, limits::AFFINITY_TERMS);
}

fn required_terms(schema: &mut Schema) {
    terms(schema);
    schema.insert("minItems".into(), 1.into());
}

fn expressions(schema: &mut Schema) {
    atomic_list(schema, limits::SELECTOR_EXPRESSIONS);
}

fn values(schema: &mut Schema) {
    atomic_list(schema, limits::SELECTOR_VALUES);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), 63.into());
    }
}

fn label_keys(schema: &mut Schema) {
    atomic_list(schema, limits::SELECTOR_EXPRESSIONS);
    if let Some(items) = schema.get_mut("items").and_then(serde_json::Value::as_object_mut) {
        items.insert("maxLength".into(), limits::LABEL_KEY.into());
    }
}

/// Which nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAffinity {
    /// requiredDuringSchedulingIgnoredDuringExecution is what a node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
    /// preferredDuringSchedulingIgnoredDuringExecution is what a node had better have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = terms)]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredNodes>,
}

/// Terms, of which a node must fulfil one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// nodeSelectorTerms are the terms; one is enough.
    #[schemars(transform = required_terms)]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Expressions, of which a node must fulfil all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    /// matchExpressions are about the node's labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = expressions)]
    pub match_expressions: Vec<NodeExpression>,
}

/// A demand on a node's label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeExpression {
    /// key is the label's name.
    #[schemars(length(min = 1, max = limits::LABEL_KEY))]
    pub key: String,
    /// operator is In, NotIn, Exists, DoesNotExist, Gt or Lt.
    pub operator: NodeOperator,
    /// values are what it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = values)]
    pub values: Vec<String>,
}

/// How a node's label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeOperator {
    /// The value is one of the values.
    In,
    /// The value is none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// The value, a whole number, is greater.
    Gt,
    /// The value, a whole number, is less.
    Lt,
}

/// A term that is preferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreferredNodes {
    /// weight is how much it counts, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// preference is the term.
    pub preference: NodeSelectorTerm,
}

/// Beside which pods, or away from them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinity {
    /// requiredDuringSchedulingIgnoredDuringExecution are the terms that must be fulfilled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = terms)]
    pub required_during_scheduling_ignored_during_execution: Vec<PodAffinityTerm>,
    /// preferredDuringSchedulingIgnoredDuringExecution are the terms that had better be fulfilled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = terms)]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PreferredPods>,
}

/// Pods, and what counts as being beside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinityTerm {
    /// labelSelector selects the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// topologyKey is the node's label whose equal values count as one place, as kubernetes.io/hostname.
    #[schemars(length(min = 1, max = limits::LABEL_KEY))]
    pub topology_key: String,
}

/// A term that is preferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreferredPods {
    /// weight is how much it counts, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// podAffinityTerm is the term.
    pub pod_affinity_term: PodAffinityTerm,
}

/// What selects pods by their labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// matchLabels are labels and their values; all must fit.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub match_labels: BTreeMap<String, String>,
    /// matchExpressions are further demands; all must fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = expressions)]
    pub match_expressions: Vec<LabelExpression>,
}

/// A demand on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelExpression {
    /// key is the label's name.
    #[schemars(length(min = 1, max = limits::LABEL_KEY))]
    pub key: String,
    /// operator is In, NotIn, Exists or DoesNotExist.
    pub operator: LabelOperator,
    /// values are what it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = values)]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The value is one of the values.
    In,
    /// The value is none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
}

/// How pods are spread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpreadConstraint {
    /// maxSkew is how many pods more one place may have than another.
    #[schemars(range(min = 1, max = 1000))]
    pub max_skew: i32,
    /// topologyKey is the node's label whose equal values count as one place, as topology.kubernetes.io/zone.
    #[schemars(length(min = 1, max = limits::LABEL_KEY))]
    pub topology_key: String,
    /// whenUnsatisfiable is DoNotSchedule or ScheduleAnyway.
    pub when_unsatisfiable: UnsatisfiableAction,
    /// labelSelector selects the pods that are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// matchLabelKeys are labels whose values, as the pod has them, must be equal as well, such as pod-template-hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = label_keys)]
    pub match_label_keys: Vec<String>,
}

/// What becomes of a pod that cannot be spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnsatisfiableAction {
    /// It waits.
    DoNotSchedule,
    /// It is placed all the same.
    ScheduleAnyway,
}
