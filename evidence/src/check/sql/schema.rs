//! The table that queries read, and what SQLite may take.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use seatrial_core::contract::check::LogicalType;

use crate::check::column::ColumnPlan;

/// Bytes of memory that SQLite takes at most, and those of tables and of what it sorts that it keeps before it spills them.
pub(super) const HEAP: i64 = 256 << 20;
pub(super) const CACHE_KIB: i64 = 64 << 10;
/// Bytes of one text or row.
const MAX_LENGTH: i32 = 64 << 20;
/// Bytes of a pattern of `LIKE`: the time that one takes grows with it.
const MAX_PATTERN: i32 = 1024;

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column as a table declares it: by the affinity of its type SQLite compares its values with others.
pub(super) fn declared(column: &ColumnPlan) -> String {
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
pub(super) fn create(connection: &Connection, table: &str, columns: &[String]) -> rusqlite::Result<()> {
    // A table has a column.
    let columns = if columns.is_empty() { "none INTEGER".to_owned() } else { columns.join(", ") };
    connection.execute(&format!("CREATE TABLE {} ({columns})", quoted(table)), ()).map(drop)
}

/// Takes from a connection what no query needs. What a query may do is said by [`super::authorizer::allow_reading`].
pub(super) fn limit(connection: &Connection) -> rusqlite::Result<()> {
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
    for (kind, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, MAX_LENGTH),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(kind, most)?;
    }
    connection.pragma_update(None, "hard_heap_limit", HEAP)
}
