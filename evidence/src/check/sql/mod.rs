//! Rules of type `sql`, by SQLite: a query reads one table, which has the rows of the data, and answers with one number.
//!
//! A query is prepared before the data are read, against a table without rows: what SQLite does not understand, and what would do
//! more than read that table, is not checked. It tells, too, which columns are read: these alone are kept, in a database of this
//! process's own, while all other rules are counted ([`store`]). Then the queries are run, within time, memory and disk ([`ask`]).

mod ask;
mod prepare;
mod store;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use seatrial_core::contract::check::LogicalType;

pub(super) use ask::Answer;
pub(super) use store::{Rows, Store, hand_on};

use super::plan::ColumnPlan;

/// The table's name where the contract does not say it.
const TABLE: &str = "data";
/// Bytes of memory that SQLite takes at most, and those that it keeps of tables and of what it sorts.
const HEAP: i64 = 256 << 20;
const CACHE_KIB: i64 = 64 << 10;
/// Bytes of one text or row.
const MAX_LENGTH: i32 = 64 << 20;
/// Bytes of a pattern of `LIKE`: the time that one takes grows with it.
const MAX_PATTERN: i32 = 1024;

/// A query that can be run.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) text: String,
    /// The columns that it reads.
    pub(super) columns: Vec<usize>,
}

/// The queries of an input.
#[derive(Debug, Default)]
pub(super) struct Queries {
    table: String,
    pub(super) list: Vec<Query>,
    /// The columns that any of them reads, in their order.
    columns: Vec<usize>,
}

impl Queries {
    pub(super) fn new(table: Option<&str>) -> Self {
        Self { table: table.unwrap_or(TABLE).to_owned(), ..Self::default() }
    }

    /// Adds a query; its number. `unreadable` says of each column why its values cannot be read, where they cannot.
    ///
    /// # Errors
    /// Why it cannot be run, for people.
    pub(super) fn add(
        &mut self,
        query: &str,
        columns: &[ColumnPlan],
        unreadable: &[Option<String>],
    ) -> Result<usize, String> {
        let read = prepare::columns(query, &self.table, columns)?;
        if let Some(why) = read.iter().find_map(|place| unreadable.get(*place).cloned().flatten()) {
            return Err(why);
        }
        self.columns.extend(&read);
        self.columns.sort_unstable();
        self.columns.dedup();
        self.list.push(Query { text: query.to_owned(), columns: read });
        Ok(self.list.len() - 1)
    }
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column as a table declares it: by its type SQLite knows how it compares its values with others.
fn declared(column: &ColumnPlan) -> String {
    let affinity = match column.reader.kind {
        Some(LogicalType::Integer | LogicalType::Boolean) => "INTEGER",
        Some(LogicalType::Number) => "REAL",
        // What looks like a number is one, where the contract does not say what it is.
        None => "NUMERIC",
        Some(_) => "TEXT",
    };
    format!("{} {affinity}", quoted(&column.name))
}

/// Makes the table.
fn create(connection: &Connection, table: &str, columns: &[String]) -> rusqlite::Result<()> {
    // A table has a column.
    let columns = if columns.is_empty() { "none INTEGER".to_owned() } else { columns.join(", ") };
    connection.execute(&format!("CREATE TABLE {} ({columns})", quoted(table)), ()).map(drop)
}

/// Takes from a connection what no query needs. What a query may do is said by [`prepare::allow_reading`].
fn bound(connection: &Connection) -> rusqlite::Result<()> {
    for (config, on) in [
        // A text in double quotes is a name, and no text where there is no such column.
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
    ] {
        connection.set_db_config(config, on)?;
    }
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, MAX_LENGTH),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    connection.pragma_update(None, "hard_heap_limit", HEAP)
}
