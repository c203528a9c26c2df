//! Rows on their way to the database.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use seatrial_core::contract::check::LogicalType;

use crate::check::moment::written;
use crate::check::tally::Place;
use crate::check::value::{Cell, Typed};

/// Bytes of rows that a thread gathers before it hands them on.
const GATHERED: usize = 1 << 18;
/// What a value takes beside its text, about.
const VALUE: usize = 32;
/// A value as SQLite keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SqlValue {
    Null,
    Whole(i64),
    Real(f64),
    Text(String),
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Whole(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// A value as queries see it. Timestamps are written as SQL and SQLite's own functions do, in UTC.
fn sql_value(kind: Option<LogicalType>, cell: Cell<'_>, value: &Typed<'_>) -> SqlValue {
    match value {
        Typed::Text(text) => SqlValue::Text((*text).to_owned()),
        Typed::Number(number) => number.whole().map_or(SqlValue::Real(number.near), SqlValue::Whole),
        Typed::Truth(truth) => SqlValue::Whole(i64::from(*truth)),
        Typed::Moment(nanoseconds) => {
            let found = if let Cell::Moment(found, _) = cell { Some(found) } else { None };
            let kind = kind.or(found).unwrap_or(LogicalType::Timestamp);
            let text = written(kind, *nanoseconds);
            SqlValue::Text(if kind == LogicalType::Timestamp {
                text.trim_end_matches('Z').replacen('T', " ", 1)
            } else {
                text
            })
        }
        Typed::Array(items) => serde_json::to_string(items).map_or(SqlValue::Null, SqlValue::Text),
        Typed::Object(members) => serde_json::to_string(members).map_or(SqlValue::Null, SqlValue::Text),
        Typed::Nested => SqlValue::Null,
    }
}

/// Rows that a thread has gathered.
#[derive(Debug, Default)]
pub(in crate::check) struct Rows {
    pub(super) places: Vec<Place>,
    /// The values of one row after those of another.
    pub(super) values: Vec<SqlValue>,
    bytes: usize,
}

impl Rows {
    /// Adds the next value of a row.
    pub(in crate::check) fn value(&mut self, kind: Option<LogicalType>, cell: Cell<'_>, value: Option<&Typed<'_>>) {
        let value = value.map_or(SqlValue::Null, |value| sql_value(kind, cell, value));
        if let SqlValue::Text(text) = &value {
            self.bytes += text.len();
        }
        self.values.push(value);
    }

    /// Ends a row; whether so many are gathered that they must be handed on.
    pub(in crate::check) fn end(&mut self, place: Place) -> bool {
        self.places.push(place);
        self.bytes + VALUE * (self.values.len() + self.places.len()) > GATHERED
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.values.clear();
        self.bytes = 0;
    }
}
