//! The rules of an input, arranged by column, so that each value is read once for all of them.

use seatrial_core::contract::check::{InputCheck, LogicalType, RuleKind, ValueTest};

use super::column::{ColumnPlan, Count};
use super::moment::Pattern;
use super::sql::queries::Queries;
use super::test::Test;
use super::value::Reader;

/// How a rule is decided.
#[derive(Debug)]
pub(super) enum Decision {
    Present(usize),
    /// No row may be counted: the count, and the column whose values that are not null it is out of.
    None(Count, usize),
    /// As before, out of all rows.
    NoNull(usize),
    /// A number of rows is compared.
    Compare(Count, usize),
    Rows,
    /// A query's number is compared.
    Query(usize),
    Key {
        key: usize,
        /// Whether nulls are counted, too.
        primary: bool,
        compare: bool,
    },
    NotChecked(String),
}

/// The rules of an input, ready.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) columns: Vec<ColumnPlan>,
    pub(super) counts: usize,
    /// By key: its columns.
    pub(super) keys: Vec<Vec<usize>>,
    pub(super) queries: Queries,
    /// By rule.
    pub(super) decisions: Vec<Decision>,
}

impl Plan {
    pub(super) fn new(input: &InputCheck) -> Self {
        let queries = Queries::new(input.table.as_deref());
        let mut plan = Self { columns: Vec::new(), counts: 0, keys: Vec::new(), queries, decisions: Vec::new() };
        let mut unreadable = Vec::new();
        for column in &input.columns {
            let (reader, why) = reader(column.logical_type, column.format.as_deref(), input);
            let (nulls, mistyped) = (plan.count(), plan.count());
            unreadable.push(why);
            plan.columns.push(ColumnPlan {
                name: column.name.clone(),
                reader,
                shown: column.shown,
                nulls,
                mistyped,
                tests: Vec::new(),
                missing: Vec::new(),
                invalid: Vec::new(),
                keyed: false,
                kept: false,
            });
        }
        for rule in &input.rules {
            let decision = plan.decision(&rule.check, &unreadable).unwrap_or_else(Decision::NotChecked);
            plan.decisions.push(decision);
        }
        plan
    }

    const fn count(&mut self) -> Count {
        self.counts += 1;
        self.counts - 1
    }

    fn decision(&mut self, rule: &RuleKind, unreadable: &[Option<String>]) -> Result<Decision, String> {
        let place = |name: &str| {
            let place = self.columns.iter().position(|column| column.name == name);
            place.ok_or_else(|| format!("the column {name:?} is not among those that the contract describes"))
        };
        let places = rule.columns().into_iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let first = places.first().copied().unwrap_or_default();
        let reads_values = !matches!(
            rule,
            RuleKind::Present { .. }
                | RuleKind::Required { .. }
                | RuleKind::NullValues { .. }
                | RuleKind::MissingValues { .. }
        );
        if reads_values && let Some(why) = places.iter().find_map(|place| unreadable.get(*place).cloned().flatten()) {
            return Err(why);
        }
        if let RuleKind::Sql { query, .. } = rule {
            return self.query(query, unreadable);
        }
        let next = self.counts;
        let Some(column) = self.columns.get_mut(first) else {
            return match rule {
                RuleKind::RowCount { .. } => Ok(Decision::Rows),
                _ => Err("the contract describes no columns".to_owned()),
            };
        };
        Ok(match rule {
            RuleKind::Present { .. } => Decision::Present(first),
            RuleKind::Type { .. } => Decision::None(column.mistyped, first),
            RuleKind::Required { .. } => Decision::NoNull(first),
            RuleKind::Values { test, .. } => {
                column.tests.push((next, Test::new(test, &column.reader)?));
                self.counts += 1;
                Decision::None(next, first)
            }
            RuleKind::NullValues { .. } => Decision::Compare(column.nulls, first),
            RuleKind::MissingValues { values, null, .. } => {
                column.missing.push((next, values.iter().cloned().collect(), *null));
                self.counts += 1;
                Decision::Compare(next, first)
            }
            RuleKind::InvalidValues { tests, .. } => {
                let tests = tests.iter().map(|test: &ValueTest| Test::new(test, &column.reader));
                column.invalid.push((next, tests.collect::<Result<_, _>>()?));
                self.counts += 1;
                Decision::Compare(next, first)
            }
            RuleKind::Unique { .. } | RuleKind::PrimaryKey { .. } | RuleKind::DuplicateValues { .. } => Decision::Key {
                key: self.key(places),
                primary: matches!(rule, RuleKind::PrimaryKey { .. }),
                compare: matches!(rule, RuleKind::DuplicateValues { .. }),
            },
            // A query is decided above.
            RuleKind::RowCount { .. } | RuleKind::Sql { .. } => Decision::Rows,
        })
    }

    /// A query, with the columns that it reads.
    fn query(&mut self, query: &str, unreadable: &[Option<String>]) -> Result<Decision, String> {
        let number = self.queries.add(query, &self.columns, unreadable)?;
        let read = self.queries.list.get(number).map(|query| query.columns.as_slice()).unwrap_or_default();
        for place in read {
            if let Some(column) = self.columns.get_mut(*place) {
                column.kept = true;
            }
        }
        Ok(Decision::Query(number))
    }

    /// The number of a key: rules with the same columns share it.
    fn key(&mut self, columns: Vec<usize>) -> usize {
        for place in &columns {
            if let Some(column) = self.columns.get_mut(*place) {
                column.keyed = true;
            }
        }
        self.keys.iter().position(|key| *key == columns).unwrap_or_else(|| {
            self.keys.push(columns);
            self.keys.len() - 1
        })
    }
}

/// How a column's values are read, and why they cannot be, where they cannot.
fn reader(kind: Option<LogicalType>, format: Option<&str>, input: &InputCheck) -> (Reader, Option<String>) {
    let of_dialect = match kind {
        Some(LogicalType::Date) => input.csv.date_format.as_deref(),
        Some(LogicalType::Timestamp) => input.csv.timestamp_format.as_deref(),
        _ => None,
    };
    let moment = kind.filter(|kind| matches!(kind, LogicalType::Date | LogicalType::Timestamp | LogicalType::Time));
    let (pattern, why) = match (moment, format.or(of_dialect)) {
        (None, _) => (None, None),
        (Some(kind), None) => (Some(Pattern::Iso(kind)), None),
        (Some(_), Some(format)) => match Pattern::new(format) {
            Ok(pattern) => (Some(pattern), None),
            Err(why) => (None, Some(why)),
        },
    };
    let decimal = u8::try_from(input.csv.decimal).unwrap_or(b'.');
    let texts_hold_moments = format.is_some();
    (Reader { kind, decimal, pattern, texts_hold_moments }, why)
}
