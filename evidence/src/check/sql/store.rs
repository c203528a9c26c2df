//! The rows that queries read, in a database that is this process's own and gone with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, params_from_iter};
use seatrial_core::contract::check::LogicalType;

use super::ask::{self, Answer};
use super::database::{CACHE_KIB, bound, create, declared, quoted};
use super::prepare::{self, words};
use super::queries::Queries;
use crate::check::keys::Disk;
use crate::check::moment::written;
use crate::check::plan::Plan;
use crate::check::tally::Place;
use crate::check::value::{Cell, Typed};
use crate::problem::Problem;

/// Bytes of rows that a thread gathers before it hands them on.
const GATHERED: usize = 1 << 18;
/// What a value takes beside its text, about.
const VALUE: usize = 32;
/// Other names of the place that SQLite gives a row, of which one is free unless a table has columns of all of them.
const PLACES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A value as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    Null,
    Whole(i64),
    Real(f64),
    Text(String),
}

impl ToSql for Kept {
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
pub(super) fn kept(kind: Option<LogicalType>, cell: Cell<'_>, value: &Typed<'_>) -> Kept {
    match value {
        Typed::Text(text) => Kept::Text((*text).to_owned()),
        Typed::Number(number) => number.whole().map_or(Kept::Real(number.near), Kept::Whole),
        Typed::Truth(truth) => Kept::Whole(i64::from(*truth)),
        Typed::Moment(nanoseconds) => {
            let found = if let Cell::Moment(found, _) = cell { Some(found) } else { None };
            let kind = kind.or(found).unwrap_or(LogicalType::Timestamp);
            let text = written(kind, *nanoseconds);
            Kept::Text(if kind == LogicalType::Timestamp {
                text.trim_end_matches('Z').replacen('T', " ", 1)
            } else {
                text
            })
        }
        Typed::Array(items) => serde_json::to_string(items).map_or(Kept::Null, Kept::Text),
        Typed::Object(members) => serde_json::to_string(members).map_or(Kept::Null, Kept::Text),
        Typed::Nested => Kept::Null,
    }
}

/// Rows that a thread has gathered.
#[derive(Debug, Default)]
pub(in crate::check) struct Rows {
    places: Vec<Place>,
    /// The values of one row after those of another.
    values: Vec<Kept>,
    bytes: usize,
}

impl Rows {
    /// Adds the next value of a row.
    pub(in crate::check) fn value(&mut self, kind: Option<LogicalType>, cell: Cell<'_>, value: Option<&Typed<'_>>) {
        let value = value.map_or(Kept::Null, |value| kept(kind, cell, value));
        if let Kept::Text(text) = &value {
            self.bytes += text.len();
        }
        self.values.push(value);
    }

    /// Ends a row; whether so many are gathered that they must be handed on.
    pub(in crate::check) fn end(&mut self, place: Place) -> bool {
        self.places.push(place);
        self.bytes + VALUE * (self.values.len() + self.places.len()) > GATHERED
    }
}

/// The database.
#[derive(Debug)]
pub(in crate::check) struct Store {
    connection: Connection,
    table: String,
    insert: String,
    width: usize,
    disk: Arc<Disk>,
    /// Pages that were taken of the disk.
    pages: u64,
    problem: Option<Problem>,
}

impl Store {
    /// Makes it; none where there are no queries.
    pub(in crate::check) fn new(plan: &Plan, disk: &Arc<Disk>) -> Result<Option<Mutex<Self>>, Problem> {
        let Queries { table, list, columns } = &plan.queries;
        if list.is_empty() {
            return Ok(None);
        }
        let columns: Vec<_> = columns.iter().filter_map(|place| plan.columns.get(*place)).collect();
        let make = || -> rusqlite::Result<Connection> {
            // A database without a name lies in memory as far as the cache reaches, then in a file without a name.
            let flags =
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags("", flags)?;
            // Whoever crashes starts from the data again.
            connection.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            connection.pragma_update(None, "temp_store", "FILE")?;
            bound(&connection)?;
            create(&connection, table, &columns.iter().map(|column| declared(column)).collect::<Vec<_>>())?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        };
        let connection = make().map_err(|error| {
            Problem::Failed(format!("SQLite cannot make a table for the contract's queries: {}", words(&error)))
        })?;
        // By their places, so that no answer depends on the order in which threads hand rows on.
        let is_free = |name: &&&str| columns.iter().all(|column| !column.name.eq_ignore_ascii_case(name));
        let place = PLACES.iter().find(is_free).map(|name| (*name).to_owned());
        let names: Vec<String> = place.into_iter().chain(columns.iter().map(|column| quoted(&column.name))).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO {} ({}) VALUES ({marks})", quoted(table), names.join(", "));
        let (table, width, disk) = (table.clone(), columns.len(), Arc::clone(disk));
        Ok(Some(Mutex::new(Self { connection, table, insert, width, disk, pages: 0, problem: None })))
    }

    /// Adds rows. Once that went wrong, none are added any more.
    pub(in crate::check) fn add(&mut self, rows: &mut Rows) {
        if self.problem.is_none() {
            self.problem = self.insert(rows).err();
        }
        rows.places.clear();
        rows.values.clear();
        rows.bytes = 0;
    }

    fn insert(&mut self, rows: &Rows) -> Result<(), Problem> {
        let failed = |error: rusqlite::Error| {
            Problem::Failed(format!("SQLite cannot keep the rows for the contract's queries: {}", words(&error)))
        };
        let mut insert = self.connection.prepare(&self.insert).map_err(failed)?;
        let has_place = insert.parameter_count() > self.width;
        for (number, (part, row)) in rows.places.iter().enumerate() {
            let place = has_place.then_some(Kept::Whole(i64::from(*part) << 32 | i64::from(*row)));
            let first = number * self.width;
            let row = rows.values.get(first..first + self.width).unwrap_or_default();
            insert.execute(params_from_iter(place.iter().chain(row))).map_err(failed)?;
        }
        drop(insert);
        let page =
            |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
        let (pages, size) = (page("page_count")?.unsigned_abs(), page("page_size")?.unsigned_abs());
        self.disk.take(pages.saturating_sub(self.pages) * size, "the rows that the contract's queries read")?;
        self.pages = pages;
        Ok(())
    }

    /// What went wrong with the machine, once.
    pub(in crate::check) fn problem(&mut self) -> Option<Problem> {
        self.problem.take()
    }

    /// Runs all queries, within this time.
    pub(in crate::check) fn answers(&mut self, queries: &Queries, until: Instant) -> Vec<Answer> {
        match prepare::allow_reading(&mut self.connection, &self.table) {
            Ok(_) => queries.list.iter().map(|query| ask::ask(&mut self.connection, &query.text, until)).collect(),
            Err(error) => queries.list.iter().map(|_| Answer::Failed(words(&error))).collect(),
        }
    }
}

/// Hands rows on.
pub(in crate::check) fn hand_on(store: &Mutex<Store>, rows: &mut Rows) {
    if !rows.places.is_empty() {
        store.lock().unwrap_or_else(PoisonError::into_inner).add(rows);
    }
}
