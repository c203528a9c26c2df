//! DataContract: a document of the Open Data Contract Standard, and the namespaces that it serves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits;
use crate::schema::{atomic_list, list_map, rule, set_list};
use crate::{CheckVerdict, Time};

/// What a producer of data promises: a document of the Open Data Contract Standard, and who may rely on it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "DataContract",
    plural = "datacontracts",
    namespaced,
    category = "seatrial",
    status = "DataContractStatus",
    derive = "PartialEq",
    doc = "DataContract is what a producer of data promises: a document of the Open Data Contract Standard, and the namespaces that it serves. Steps whose inputs name it read data only after the data were checked by it.",
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(
        name = "Compatible",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Compatible')].status"
    ),
    printcolumn(name = "Honoured", type_ = "string", json_path = ".status.conditions[?(@.type=='Honoured')].status"),
    printcolumn(name = "Fresh", type_ = "string", json_path = ".status.conditions[?(@.type=='Fresh')].status"),
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.ruleCount"),
    printcolumn(name = "Not-Checked", type_ = "integer", json_path = ".status.notCheckedCount"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
pub struct DataContractSpec {
    /// contract is the document: Open Data Contract Standard v3.1 or v3.2, as it stands in its own file, of at most 256 KiB as
    /// JSON. Fields that Seatrial does not know are kept; status.notChecked says which rules nobody checks.
    #[schemars(schema_with = "document")]
    pub contract: Map<String, Value>,
    /// serves are the namespaces whose pipelines may name this contract, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = namespaces)]
    pub serves: Vec<String>,
    /// csv is how CSV files are written, where they are not plain: comma, double quotes, a point in decimals, a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvDialect>,
    /// check is how much a check of data may take, and when the data are checked though no pipeline reads them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<ContractCheck>,
}

/// The document is kept as it is: the standard grows, and its custom properties are open by design. The operator says in a
/// condition what of it is not as the standard demands.
fn document(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn namespaces(schema: &mut Schema) {
    set_list(schema, limits::SERVED_NAMESPACES);
    if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
        items.insert("minLength".into(), 1.into());
        items.insert("maxLength".into(), limits::NAMESPACE.into());
        items.insert("pattern".into(), limits::DNS_LABEL_PATTERN.into());
    }
}

/// How CSV files are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!has(self.separator) || !has(self.quote) || self.separator != self.quote", "separator and quote must differ"),
]))]
pub struct CsvDialect {
    /// separator is the one character between two values; by default a comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1), regex(pattern = limits::SEPARATOR_PATTERN))]
    pub separator: Option<String>,
    /// quote is the one character around a value that holds a separator; by default a double quote. It is doubled within such
    /// a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1), regex(pattern = limits::SEPARATOR_PATTERN))]
    pub quote: Option<String>,
    /// decimalSeparator is Point (the default) or Comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DecimalSeparator")]
    pub decimal_separator: Option<DecimalSeparator>,
    /// header is Present (the default) where each file begins with the columns' names, or Absent: then columns have the order
    /// of the contract's properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CsvHeader")]
    pub header: Option<CsvHeader>,
    /// nullValues are the texts that stand for no value; by default the empty text alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = null_values)]
    pub null_values: Vec<String>,
    /// dateFormat is how dates are written where a property does not say it, in the pattern letters of Java's
    /// DateTimeFormatter, such as dd.MM.yyyy; by default ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::LABEL))]
    pub date_format: Option<String>,
    /// timestampFormat is the same for timestamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::LABEL))]
    pub timestamp_format: Option<String>,
}

fn null_values(schema: &mut Schema) {
    set_list(schema, limits::NULL_VALUES);
    if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
        items.insert("maxLength".into(), limits::LABEL.into());
    }
}

/// What stands between the whole and the fraction of a decimal number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecimalSeparator {
    /// `1234.5`.
    #[default]
    Point,
    /// `1234,5`.
    Comma,
}

/// Whether CSV files begin with the names of their columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CsvHeader {
    /// They do.
    #[default]
    Present,
    /// They do not.
    Absent,
}

/// How much a check of data may take, and when the data are checked though no pipeline reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.schedule) == has(self.data)", "schedule and data go together: when to check, and which data"),
]))]
pub struct ContractCheck {
    /// timeout is how long the check of one input may take, by default 1h. A check that takes longer ends as Error, and the
    /// step does not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = limits::DURATION), regex(pattern = limits::DURATION_PATTERN))]
    pub timeout: Option<String>,
    /// schedule is when data are checked though no pipeline reads them; what came of it are the conditions Honoured and Fresh,
    /// and status.checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CheckSchedule>,
    /// data are the data that the schedule checks, for each schema object where they lie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = checked_data)]
    pub data: Vec<CheckedData>,
}

fn checked_data(schema: &mut Schema) {
    list_map(schema, "schema", limits::CHECKED_TABLES);
    schema.insert("minItems".into(), 1.into());
}

/// When data are checked, as a CronJob has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckSchedule {
    /// cron is the schedule: minute, hour, day of the month, month, day of the week.
    #[schemars(length(min = 1, max = limits::CRON))]
    pub cron: String,
    /// timeZone is the IANA name of the time zone of cron, by default Etc/UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::TIME_ZONE))]
    pub time_zone: Option<String>,
    /// startingDeadline is how late a check may begin that could not begin at its time; without it, the last of those that
    /// were missed is made up for, however late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = limits::DURATION), regex(pattern = limits::DURATION_PATTERN))]
    pub starting_deadline: Option<String>,
}

/// Where the data of a schema object lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckedData {
    /// schema is the name of the schema object.
    #[schemars(length(min = 1, max = limits::CONTRACT_NAME))]
    pub schema: String,
    /// uri is where the data lie: a file, or, where it ends in /, a folder whose files are one table. A Store of the contract's
    /// namespace must reach it.
    #[schemars(length(min = 1, max = limits::URI), regex(pattern = limits::URI_PATTERN))]
    pub uri: String,
}

/// What the operator found out about a contract.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataContractStatus {
    /// observedGeneration is the generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// version is the document's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::CONTRACT_VERSION))]
    pub version: Option<String>,
    /// revision is the digest of the document and of how its files are written: two contracts of one revision check the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DIGEST))]
    pub revision: Option<String>,
    /// schemas are the document's schema objects, as far as data can be checked by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = schemas)]
    pub schemas: Vec<ContractSchema>,
    /// ruleCount is how many rules are checked, those that have no room in rules included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_count: Option<i64>,
    /// rules are the rules that are checked, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules)]
    pub rules: Vec<ContractRule>,
    /// notCheckedCount is how much of the document is not checked, what has no room in notChecked included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_checked_count: Option<i64>,
    /// notChecked are the parts of the document that promise something nobody checks, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = not_checked)]
    pub not_checked: Vec<NotChecked>,
    /// breaking is what of the document concerns those who read the data by an earlier one; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaking: Option<BreakingChange>,
    /// schedule is what the contract's own schedule checks now, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ObservedSchedule>,
    /// checking is the check that is being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checking: Option<Checking>,
    /// checks are what the checks of the contract's own schedule found, the newest first. A check that finds the same data by
    /// the same document again is no new one: it moves the times of the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = checks)]
    pub checks: Vec<ScheduledCheck>,
    /// conditions: Ready (the document is understood, and data may be checked by it), Compatible (nothing of it breaks who reads
    /// the data by an earlier one), Stalled; with a schedule also Honoured (the data keep the contract), and, where the
    /// document says how often data come, Fresh (they do).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

fn schemas(schema: &mut Schema) {
    atomic_list(schema, limits::CONTRACT_SCHEMAS);
}

fn rules(schema: &mut Schema) {
    atomic_list(schema, limits::CONTRACT_RULES_SHOWN);
}

fn not_checked(schema: &mut Schema) {
    atomic_list(schema, limits::NOT_CHECKED_SHOWN);
}

fn checks(schema: &mut Schema) {
    atomic_list(schema, limits::CHECKS);
}

/// What a contract's own schedule checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObservedSchedule {
    /// key is the digest of where the data lie, and of the document.
    #[schemars(length(max = limits::DIGEST))]
    pub key: String,
    /// since is when the operator saw that first: no earlier time is made up for.
    pub since: Time,
}

/// A check that is being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checking {
    /// scheduledAt is the time for which it was due.
    pub scheduled_at: Time,
    /// attempt is the number of the attempt, from 1.
    pub attempt: i64,
    /// message says what holds the attempt up, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: Option<String>,
    /// failedAt is when it failed; another one follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Time>,
}

/// What a check of a contract's own schedule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledCheck {
    /// scheduledAt is the time for which the check was due, the last one that found this.
    pub scheduled_at: Time,
    /// checkedAt is when it was made.
    pub checked_at: Time,
    /// foundAt is when the first check was made that found this.
    pub found_at: Time,
    /// verdict is Passed, Failed, Inconclusive (the data prove nothing) or Error (the check could not be made): the worst of all
    /// tables.
    pub verdict: CheckVerdict,
    /// version is the version of the document.
    #[schemars(length(max = limits::CONTRACT_VERSION))]
    pub version: String,
    /// revision is the document's revision.
    #[schemars(length(max = limits::DIGEST))]
    pub revision: String,
    /// message says why the check could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: Option<String>,
    /// tables are what was found of each table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = checked_tables)]
    pub tables: Vec<CheckedTable>,
}

fn checked_tables(schema: &mut Schema) {
    atomic_list(schema, limits::CHECKED_TABLES);
}

/// What a check found of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckedTable {
    /// schema is the name of the schema object.
    #[schemars(length(max = limits::CONTRACT_NAME))]
    pub schema: String,
    /// verdict is Passed, Failed, Inconclusive or Error.
    pub verdict: CheckVerdict,
    /// rows is how many rows the data have.
    pub rows: i64,
    /// digest is the digest of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DIGEST))]
    pub digest: Option<String>,
    /// unchangedSince is the scheduled time of the first check that found these data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged_since: Option<Time>,
    /// message says what was found.
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: String,
    /// broken are the names of rules that are broken, those of severity error first, as far as there is room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = broken_rules)]
    pub broken: Vec<String>,
    /// report is the digest of the whole report, an artifact in the store that takes the namespace's artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::DIGEST))]
    pub report: Option<String>,
}

fn broken_rules(schema: &mut Schema) {
    atomic_list(schema, limits::BROKEN_RULES_SHOWN);
    if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
        items.insert("maxLength".into(), limits::CONTRACT_NAME.into());
    }
}

/// How a contract's document differs from earlier ones, as far as that concerns who reads the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakingChange {
    /// since is the version of the document before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::CONTRACT_VERSION))]
    pub since: Option<String>,
    /// changeCount is how many changes since then concern readers, those that have no room in changes included.
    pub change_count: i64,
    /// changes are the changes since the document before that concern readers, those that break them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = changes)]
    pub changes: Vec<ContractChange>,
    /// pipelineCount is how many pipelines are concerned, those that have no room in pipelines included.
    pub pipeline_count: i64,
    /// pipelines are the pipelines that read by an earlier document, and that the one of now would break, or may stop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = affected)]
    pub pipelines: Vec<AffectedPipeline>,
}

fn changes(schema: &mut Schema) {
    atomic_list(schema, limits::CONTRACT_CHANGES_SHOWN);
}

fn affected(schema: &mut Schema) {
    atomic_list(schema, limits::AFFECTED_PIPELINES_SHOWN);
}

/// A change of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractChange {
    /// place is the schema object, a column of it with a dot between them, or csv.
    #[schemars(length(max = limits::FIELD_PATH))]
    pub place: String,
    /// effect is Breaks (data may come that could not come before) or MayStop (data that were good before may stop a step).
    pub effect: ContractChangeEffect,
    /// message says what is another.
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: String,
}

/// What a change of a contract means for those who read the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ContractChangeEffect {
    /// Data that were good before may stop a step.
    MayStop,
    /// Data may come that could not come before.
    Breaks,
}

/// A pipeline that a change of a contract concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AffectedPipeline {
    /// namespace is the pipeline's namespace.
    #[schemars(length(max = limits::NAMESPACE))]
    pub namespace: String,
    /// name is the pipeline's name.
    #[schemars(length(max = limits::SUBDOMAIN))]
    pub name: String,
    /// version is the contract's version that the pipeline reads by, or, where it names none, that of the document before.
    #[schemars(length(max = limits::CONTRACT_VERSION))]
    pub version: String,
    /// effect is the worst of the changes for this pipeline: Breaks or MayStop.
    pub effect: ContractChangeEffect,
    /// message names the first changes.
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: String,
}

/// A schema object of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractSchema {
    /// name is the object's name: an input's contract.schema.
    #[schemars(length(max = limits::CONTRACT_NAME))]
    pub name: String,
    /// columns is how many properties it has.
    pub columns: i64,
    /// rules is how many rules are checked.
    pub rules: i64,
}

/// A rule of a contract that is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractRule {
    /// schema is the name of the schema object.
    #[schemars(length(max = limits::CONTRACT_NAME))]
    pub schema: String,
    /// name is what the rule is called in reports.
    #[schemars(length(max = limits::CONTRACT_NAME))]
    pub name: String,
    /// severity is Error, which keeps a step from starting, or Warning.
    pub severity: RuleSeverity,
    /// message says what the rule demands.
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub message: String,
}

/// What a broken rule means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleSeverity {
    /// No step reads the data.
    Error,
    /// It is said, and the step reads them.
    Warning,
}

/// A part of a contract that nobody checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotChecked {
    /// path is where it stands in the document.
    #[schemars(length(max = limits::FIELD_PATH))]
    pub path: String,
    /// reason says why it is not checked.
    #[schemars(length(max = limits::STEP_MESSAGE))]
    pub reason: String,
}
