//! The rows that queries read, in a database that is this process's own and gone with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::ask::{self, Answer};
use super::error::text;
use super::queries::Queries;
use super::rows::{Rows, SqlValue};
use super::schema::{CACHE_KIB, create, declared, limit, quoted};
use crate::check::disk::Disk;
use crate::check::plan::Plan;
use crate::problem::Problem;

/// Other names of the place that SQLite gives a row, of which one is free unless a table has columns of all of them.
const PLACES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// The database.
#[derive(Debug)]
pub(in crate::check) struct Database {
    connection: Connection,
    table: String,
    insert: String,
    width: usize,
    disk: Arc<Disk>,
    /// Pages that were taken of the disk.
    pages: u64,
    problem: Option<Problem>,
}

impl Database {
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
            limit(&connection)?;
            create(&connection, table, &columns.iter().map(|column| declared(column)).collect::<Vec<_>>())?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        };
        let connection = make().map_err(|error| {
            Problem::Failed(format!("SQLite cannot make a table for the contract's queries: {}", text(&error)))
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
        rows.clear();
    }

    fn insert(&mut self, rows: &Rows) -> Result<(), Problem> {
        let failed = |error: rusqlite::Error| {
            Problem::Failed(format!("SQLite cannot keep the rows for the contract's queries: {}", text(&error)))
        };
        let mut insert = self.connection.prepare(&self.insert).map_err(failed)?;
        let has_place = insert.parameter_count() > self.width;
        for (number, (part, row)) in rows.places.iter().enumerate() {
            let place = has_place.then_some(SqlValue::Whole(i64::from(*part) << 32 | i64::from(*row)));
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

    /// Answers all queries until this time.
    pub(in crate::check) fn answers(self, queries: &Queries, until: Instant) -> Vec<Answer> {
        let texts = queries.list.iter().map(|query| query.text.clone()).collect();
        ask::all(self.connection, self.table, texts, ask::Bounds { until, disk: self.disk.bytes() })
    }
}

/// Adds rows to a database that threads share.
pub(in crate::check) fn insert(database: &Mutex<Database>, rows: &mut Rows) {
    if !rows.places.is_empty() {
        database.lock().unwrap_or_else(PoisonError::into_inner).add(rows);
    }
}
