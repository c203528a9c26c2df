//! The rules that data are checked by.

use serde::{Deserialize, Serialize};

use super::{Comparison, Unit};

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique among the rules of an input: reports and statuses name it.
    pub name: String,
    /// What it means that data break the rule.
    pub severity: Severity,
    /// The dimension of quality that the contract gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// What it demands.
    pub check: RuleKind,
}

/// What it means that data break a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The data are not used.
    Error,
    /// The data are used, and somebody is told.
    Warning,
}

/// What a rule demands. A column is named as the data name it, and is one of [`super::InputCheck::columns`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum RuleKind {
    /// The column is there, once.
    Present {
        /// The column.
        column: String,
    },
    /// Each value is of the column's logical type. Null is of every type.
    Type {
        /// The column.
        column: String,
    },
    /// No value is null.
    Required {
        /// The column.
        column: String,
    },
    /// No two rows have the same value. Nulls are not compared.
    Unique {
        /// The column.
        column: String,
    },
    /// No value of any of the columns is null, and no two rows have the same values in all of them.
    PrimaryKey {
        /// The columns, in the key's order.
        columns: Vec<String>,
    },
    /// Each value passes the test. Nulls are not tested, nor what is not of the column's type, which `Type` counts.
    Values {
        /// The column.
        column: String,
        /// The test.
        test: ValueTest,
    },
    /// How many rows there are.
    RowCount {
        /// What their number must be.
        is: Comparison,
    },
    /// How many rows have null in the column.
    NullValues {
        /// The column.
        column: String,
        /// What their number must be.
        is: Comparison,
        /// What it is counted in.
        #[serde(default)]
        unit: Unit,
    },
    /// How many rows have in the column a value that counts as missing.
    MissingValues {
        /// The column.
        column: String,
        /// The values that count as missing, as texts.
        values: Vec<String>,
        /// Whether null does, too.
        null: bool,
        /// What their number must be.
        is: Comparison,
        /// What it is counted in.
        #[serde(default)]
        unit: Unit,
    },
    /// How many rows have in the column a value that fails one of the tests, or is not of its type. Nulls are not tested.
    InvalidValues {
        /// The column.
        column: String,
        /// The tests.
        tests: Vec<ValueTest>,
        /// What their number must be.
        is: Comparison,
        /// What it is counted in.
        #[serde(default)]
        unit: Unit,
    },
    /// How many rows would have to go so that no two rows have the same values in all columns. Of five rows with two different
    /// keys, three. Rows with null in one of the columns are not compared.
    DuplicateValues {
        /// The columns.
        columns: Vec<String>,
        /// What their number must be.
        is: Comparison,
        /// What it is counted in.
        #[serde(default)]
        unit: Unit,
    },
    /// What a query says about the table [`super::InputCheck::table`], as its one number or boolean.
    Sql {
        /// The query, in SQLite's dialect.
        query: String,
        /// What its number must be; true is 1.
        is: Comparison,
    },
}

/// What a rule is about, the weightiest first: where a column is missing, what is said of values says little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Concern {
    /// Which columns there are.
    Columns,
    /// Of which types their values are.
    Types,
    /// The table as a whole.
    Table,
    /// The values of columns.
    #[default]
    Values,
}

/// A test of one value. Numbers are decimals as texts; dates and timestamps are written in ISO 8601.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "camelCase")]
pub enum ValueTest {
    /// So many characters (Unicode scalar values) at least.
    MinLength(u64),
    /// So many characters at most.
    MaxLength(u64),
    /// A match of the regular expression somewhere in the text; `^` and `$` bind it to the ends.
    Pattern(String),
    /// A text of a known form.
    Format(TextFormat),
    /// One of these texts; numbers, dates and booleans are compared as what they are.
    OneOf(Vec<String>),
    /// At least this.
    Minimum(String),
    /// At most this.
    Maximum(String),
    /// More than this.
    ExclusiveMinimum(String),
    /// Less than this.
    ExclusiveMaximum(String),
    /// A whole multiple of this.
    MultipleOf(String),
    /// So many items of an array at least.
    MinItems(u64),
    /// So many items of an array at most.
    MaxItems(u64),
    /// No two equal items of an array.
    UniqueItems,
    /// So many members of an object at least.
    MinProperties(u64),
    /// So many members of an object at most.
    MaxProperties(u64),
    /// An object with these members.
    RequiredProperties(Vec<String>),
}

/// The forms of texts that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TextFormat {
    /// An address with one `@`, something before it, and a host name behind.
    Email,
    /// 32 hexadecimal digits in five groups.
    Uuid,
    /// A URI with a scheme.
    Uri,
    /// A host name by RFC 1123.
    Hostname,
    /// An address of version 4 in four decimal numbers.
    Ipv4,
    /// An address of version 6.
    Ipv6,
}

/// Something that a contract says and that is not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotChecked {
    /// Where it stands: a rule's name, or a path in the document.
    pub name: String,
    /// Why it is not checked, for people.
    pub reason: String,
}

impl RuleKind {
    /// What the rule is about.
    pub const fn concern(&self) -> Concern {
        match self {
            Self::Present { .. } => Concern::Columns,
            Self::Type { .. } => Concern::Types,
            Self::RowCount { .. } | Self::Sql { .. } => Concern::Table,
            Self::Required { .. }
            | Self::Unique { .. }
            | Self::PrimaryKey { .. }
            | Self::Values { .. }
            | Self::NullValues { .. }
            | Self::MissingValues { .. }
            | Self::InvalidValues { .. }
            | Self::DuplicateValues { .. } => Concern::Values,
        }
    }

    /// The columns that the rule is about.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Present { column }
            | Self::Type { column }
            | Self::Required { column }
            | Self::Unique { column }
            | Self::Values { column, .. }
            | Self::NullValues { column, .. }
            | Self::MissingValues { column, .. }
            | Self::InvalidValues { column, .. } => vec![column],
            Self::PrimaryKey { columns } | Self::DuplicateValues { columns, .. } => {
                columns.iter().map(String::as_str).collect()
            }
            Self::RowCount { .. } | Self::Sql { .. } => vec![],
        }
    }
}
