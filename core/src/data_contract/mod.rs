//! Reads documents of the Open Data Contract Standard (v3.1 and v3.2) into rules that data can be checked by, and decides for
//! a DataContract what its status says.
//!
//! Nothing of a document is passed over in silence: what is not as the standard demands is a [`Problem`], and what nobody
//! checks is listed with the reason ([`NotChecked`]). The program that checks data gets the rules alone
//! ([`crate::contract::check::InputCheck`]) and knows nothing of documents.

mod breaking;
mod compare;
mod comparisons;
mod describe;
mod document;
mod fields;
mod history;
mod options;
mod plan;
mod property;
mod quality;
mod query;
mod resolve;
mod scheduled;

use std::collections::{BTreeMap, BTreeSet};

use seatrial_crds::{CsvDialect, CsvHeader, DataContractSpec, DecimalSeparator, limits};
use serde_json::json;

pub use breaking::of_pipeline;
pub use compare::{Change, Effect, compare};
pub use describe::describe;
pub use plan::{plan, verdict_of_check};
pub(crate) use resolve::find;
pub use resolve::{AgreedContract, ContractProblem, references, resolve, whole};
pub use scheduled::{checked_tables, is_scheduled, schedule_problems};

use crate::contract::check::{self, Column, NotChecked, Rule, RuleKind};
use crate::digest;
use crate::validation::{Problem, duration, problem};

/// The size in bytes of one schema object's rules in JSON. They travel in the pod that checks data, beside those of the
/// step's other inputs.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// The most properties of a schema object.
pub const MAX_COLUMNS: usize = 1024;

/// A contract as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The document's version.
    pub version: String,
    /// The digest of the document and of how its files are written.
    pub revision: String,
    /// How CSV files are written.
    pub csv: check::CsvDialect,
    /// Its schema objects, in the document's order.
    pub schemas: Vec<Schema>,
    /// What the document promises beside its schema objects, and nobody checks.
    pub not_checked: Vec<NotChecked>,
}

/// How often new data come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frequency {
    /// The longest time between two changes of the data, in seconds.
    pub seconds: i64,
}

/// A schema object: a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// Its columns, in the document's order.
    pub columns: Vec<Column>,
    /// Its rules, each with a name of its own.
    pub rules: Vec<Rule>,
    /// How often new data come, where the document says it.
    pub frequency: Option<Frequency>,
    /// What it promises and nobody checks.
    pub not_checked: Vec<NotChecked>,
}

impl Contract {
    /// The schema object of a name, or the only one where no name is given.
    ///
    /// # Errors
    /// There is none of the name, or no name and several: a sentence that lists them.
    pub fn schema(&self, name: Option<&str>) -> Result<&Schema, String> {
        let names = || self.schemas.iter().map(|schema| schema.name.as_str()).collect::<Vec<_>>().join(", ");
        match (name, self.schemas.as_slice()) {
            (Some(name), schemas) => schemas
                .iter()
                .find(|schema| schema.name == name)
                .ok_or_else(|| format!("it has no schema object \"{name}\"; it has {}", names())),
            (None, [only]) => Ok(only),
            (None, _) => Err(format!("it has several schema objects: name one of {} as contract.schema", names())),
        }
    }
}

/// Reads a DataContract's spec.
///
/// # Errors
/// All that is not as the standard demands, or contradicts itself.
pub fn read(spec: &DataContractSpec) -> Result<Contract, Vec<Problem>> {
    let size = serde_json::to_vec(&spec.contract).map_or(usize::MAX, |json| json.len());
    if size > limits::CONTRACT_DOCUMENT {
        let message = format!(
            "takes {size} bytes as JSON, more than {}: divide it, or move long descriptions into pages that it links to",
            limits::CONTRACT_DOCUMENT
        );
        return Err(vec![problem("spec.contract", message)]);
    }
    let mut draft = Draft::default();
    check_csv(spec, &mut draft);
    let version = document::root(&spec.contract, &mut draft);
    let mut schemas = document::schemas(&spec.contract, &mut draft);
    document::service_levels(&spec.contract, is_scheduled(spec), &mut schemas, &mut draft);
    if !draft.problems.is_empty() {
        return Err(draft.problems);
    }
    let revision = format!("sha256:{}", digest::of_json(&json!({"contract": spec.contract, "csv": spec.csv})));
    let csv = dialect(spec.csv.as_ref());
    Ok(Contract { version, revision, csv, schemas, not_checked: draft.not_checked })
}

fn check_csv(spec: &DataContractSpec, draft: &mut Draft) {
    let dialect = dialect(spec.csv.as_ref());
    if dialect.separator == dialect.quote {
        draft.problem("spec.csv.quote", "is the separator as well: one of both must differ");
    }
    if dialect.separator == dialect.decimal {
        let message = "is the decimal separator as well: set another, such as ;, or decimalSeparator: Point";
        draft.problem("spec.csv.separator", message);
    }
    if let Some(timeout) = spec.check.as_ref().and_then(|check| check.timeout.as_deref())
        && duration(timeout).is_none_or(|timeout| timeout.is_zero())
    {
        draft.problem("spec.check.timeout", format!("\"{timeout}\" is no length of time: write 30m or 2h"));
    }
}

/// How CSV files are written, as the program that checks them is told.
pub fn dialect(csv: Option<&CsvDialect>) -> check::CsvDialect {
    let plain = check::CsvDialect::default();
    let Some(csv) = csv else { return plain };
    let first =
        |text: &Option<String>, otherwise| text.as_ref().and_then(|text| text.chars().next()).unwrap_or(otherwise);
    check::CsvDialect {
        separator: first(&csv.separator, plain.separator),
        quote: first(&csv.quote, plain.quote),
        decimal: match csv.decimal_separator.unwrap_or_default() {
            DecimalSeparator::Point => '.',
            DecimalSeparator::Comma => ',',
        },
        header: csv.header.unwrap_or_default() == CsvHeader::Present,
        null_values: if csv.null_values.is_empty() { plain.null_values } else { csv.null_values.clone() },
        date_format: csv.date_format.clone(),
        timestamp_format: csv.timestamp_format.clone(),
    }
}

/// What is found while a document is read.
#[derive(Debug, Default)]
struct Draft {
    /// The name of the schema object that is read.
    schema: String,
    problems: Vec<Problem>,
    not_checked: Vec<NotChecked>,
    rules: Vec<Rule>,
    names: BTreeSet<String>,
    /// The columns by the names that the document gives the properties.
    columns: BTreeMap<String, String>,
}

/// The most problems that are told of one document, and the most parts that are listed as not checked: the document itself
/// is bounded, what is said of it must be, too.
const MAX_TOLD: usize = 256;

impl Draft {
    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() < MAX_TOLD {
            self.problems.push(problem(path, message));
        }
    }

    fn not_checked(&mut self, path: &str, reason: impl Into<String>) {
        if self.not_checked.len() < MAX_TOLD {
            let mut name = path.to_owned();
            crate::text::truncate(&mut name, limits::FIELD_PATH);
            self.not_checked.push(NotChecked { name, reason: reason.into() });
        } else if let Some(last) = self.not_checked.last_mut() {
            "and more: the document says more that is not checked than is listed here".clone_into(&mut last.reason);
        }
    }

    /// Adds a rule under a name that no other has.
    fn rule(&mut self, name: &str, severity: check::Severity, dimension: Option<String>, check: RuleKind) {
        let mut unique = name.to_owned();
        crate::text::truncate(&mut unique, limits::CONTRACT_NAME);
        let mut number = 2;
        while !self.names.insert(unique.clone()) {
            let suffix = format!("-{number}");
            name.clone_into(&mut unique);
            crate::text::truncate(&mut unique, limits::CONTRACT_NAME - suffix.len());
            unique.push_str(&suffix);
            number += 1;
        }
        self.rules.push(Rule { name: unique, severity, dimension, check });
    }
}

#[cfg(test)]
mod compare_tests;
#[cfg(test)]
mod tests;
