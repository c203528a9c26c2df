//! What the program that checks data is told: where they are, how they are written, and the rules of a contract. It knows
//! nothing of the document that the rules come from.

mod comparison;
mod profile;
mod report;
mod rule;

use serde::{Deserialize, Serialize};

pub use comparison::{Comparison, Unit};
pub use profile::{BINS, ColumnProfile, MAX_DISTINCT, MAX_FREQUENT, QUANTILES};
pub use report::{
    BrokenRule, CheckMessage, CheckMessageError, CheckReport, CheckSummary, CheckVerdict, MAX_CHECK_MESSAGE_BYTES,
    MAX_CHECK_REPORT_BYTES, MAX_POSITIONS, Position, RuleOutcome, RuleResult,
};
pub use rule::{Concern, NotChecked, Rule, RuleKind, Severity, TextFormat, ValueTest};

/// The version of configs, reports and messages of checks.
pub const CHECK_VERSION: u32 = 1;

/// The size in bytes of a config in JSON: it travels in an environment variable, which Linux bounds to 128 KiB.
pub const MAX_CHECK_CONFIG_BYTES: usize = 96 << 10;

/// The most rules of one input.
pub const MAX_RULES: usize = 1024;

/// What is checked in one pod, as JSON in [`super::CONFIG_VARIABLE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckConfig {
    /// [`CHECK_VERSION`].
    pub version: u32,
    /// The inputs that have a contract.
    pub inputs: Vec<InputCheck>,
    /// The folder that reports are written to, absolute: each as `<input>.json`.
    pub reports: String,
    /// What checking may take.
    #[serde(default)]
    pub limits: CheckLimits,
    /// A file, absolute, where there is nothing to check if it exists: the data are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
}

/// An input and what is agreed about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputCheck {
    /// The input's name.
    pub input: String,
    /// The contract as reports name it, `namespace/name`.
    pub contract: String,
    /// The digest of the contract's document.
    pub revision: String,
    /// The table's name in the contract, which its queries use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The file, or the folder of files, absolute. All files of a folder are one table; folders in it named `column=value` are
    /// columns. Names that begin with `.` or `_` are no data.
    pub path: String,
    /// How the files are written.
    #[serde(default)]
    pub format: DataFormat,
    /// How CSV is written.
    #[serde(default)]
    pub csv: CsvDialect,
    /// The columns that the contract describes.
    pub columns: Vec<Column>,
    /// The rules, each with a name of its own.
    pub rules: Vec<Rule>,
    /// What the contract says and nobody here understands: reports repeat it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_checked: Vec<NotChecked>,
}

/// How files are written. Compression by gzip or zstd is seen from the first bytes, whatever the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataFormat {
    /// Seen from each file: Parquet by its first bytes, JSON lines by a first character `{`, otherwise CSV.
    #[default]
    Auto,
    /// Fields with a separator between them.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// An object on each line.
    JsonLines,
}

/// How CSV is written. Separator, quote and decimal are one ASCII character each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CsvDialect {
    /// What stands between fields.
    pub separator: char,
    /// What stands around fields that hold a separator, doubled within them.
    pub quote: char,
    /// What stands between the whole part of a number and its fraction.
    pub decimal: char,
    /// Whether the first row has the columns' names. Without, the columns are those of the contract, in its order.
    pub header: bool,
    /// The fields that mean no value. An empty field in quotes is the empty text.
    pub null_values: Vec<String>,
    /// How dates are written where a column does not say it, in the pattern letters of Java's `DateTimeFormatter`; absent:
    /// ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
    /// How timestamps are written where a column does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_format: Option<String>,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self {
            separator: ',',
            quote: '"',
            decimal: '.',
            header: true,
            null_values: vec![String::new()],
            date_format: None,
            timestamp_format: None,
        }
    }
}

/// A column that a contract describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    /// Its name in the data, compared letter by letter.
    pub name: String,
    /// How its values are read and compared; absent: as texts where the files have texts, otherwise as they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_type: Option<LogicalType>,
    /// How its dates, times or timestamps are written in texts, in the pattern letters of Java's `DateTimeFormatter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether values of it may stand in reports: only where the contract says that they are not sensitive.
    #[serde(default)]
    pub shown: bool,
}

/// The logical types of the Open Data Contract Standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum LogicalType {
    String,
    Date,
    Timestamp,
    Time,
    Number,
    Integer,
    Boolean,
    Object,
    Array,
}

impl LogicalType {
    /// The type's name in a contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Time => "time",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::Array => "array",
        }
    }
}

/// What checking an input may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CheckLimits {
    /// Bytes of memory; absent: nine tenths of the container's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Where to put what does not fit into memory, absolute; absent: a folder of the system's for temporary files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// Bytes that may lie there at once, of one input. They are looked at several times a second: for so long there may be more.
    pub disk: u64,
    /// Seconds that all inputs may take together.
    pub seconds: u64,
    /// Threads; absent: as many as there are cores. The report is the same for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
}

impl Default for CheckLimits {
    fn default() -> Self {
        Self { memory: None, scratch: None, disk: 4 << 30, seconds: 3600, threads: None }
    }
}

impl CheckConfig {
    /// The config in JSON.
    ///
    /// # Errors
    /// Where it is larger than [`MAX_CHECK_CONFIG_BYTES`]: what to do about it, for people.
    pub fn to_json(&self) -> Result<String, String> {
        let json = serde_json::to_string(self).unwrap_or_default();
        if json.len() <= MAX_CHECK_CONFIG_BYTES {
            return Ok(json);
        }
        Err(format!(
            "the rules take {} bytes together, more than {MAX_CHECK_CONFIG_BYTES}: divide the inputs among several steps, \
             or the tables among several contracts, or shorten lists of valid values and patterns",
            json.len()
        ))
    }
}

#[cfg(test)]
mod tests;
