//! What starts a run beside changes of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::schema::rule;

/// What starts a run beside changes of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("(self.type == 'Data') == has(self.data)", "a trigger has exactly the field that its type names: data with type Data"),
]))]
pub struct Trigger {
    /// name is the trigger's name, unique in its pipeline.
    #[schemars(length(min = 1, max = limits::NAME), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
    /// type is what kind of trigger it is: Data.
    #[serde(rename = "type")]
    pub kind: TriggerType,
    /// data says which new data start a run, with type Data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataTrigger>,
}

/// The kinds of triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TriggerType {
    /// New data that keep their contract.
    Data,
}

/// New data, as a contract's own schedule sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataTrigger {
    /// contract is the DataContract whose spec.check.schedule looks for new data. An input by uri must have it. A run starts
    /// once for each change of the data that the contract's check found to be Passed.
    pub contract: WatchedContract,
}

/// A DataContract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchedContract {
    /// namespace is the contract's namespace, as the input names it; by default the pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::NAMESPACE), regex(pattern = limits::DNS_LABEL_PATTERN))]
    pub namespace: Option<String>,
    /// name is the contract's name.
    #[schemars(length(min = 1, max = limits::CONTRACT), regex(pattern = limits::NAME_PATTERN))]
    pub name: String,
}

/// The data that a change was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggeredData {
    /// trigger is the trigger's name.
    #[schemars(length(max = limits::NAME))]
    pub trigger: String,
    /// digest is the digest of the data: that of a table, as the contract's status.checks have it, or of several together.
    #[schemars(length(max = limits::DIGEST))]
    pub digest: String,
}
