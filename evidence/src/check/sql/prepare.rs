//! Whether a query can be run, and what it reads.

use std::sync::PoisonError;

use rusqlite::{Connection, Error};

use super::authorizer::allow_reading;
use super::error::text;
use super::schema::{create, declared, limit};
use crate::check::column::ColumnPlan;

/// The columns that a query reads.
///
/// # Errors
/// Why it cannot be run, for people.
pub(super) fn columns(query: &str, table: &str, columns: &[ColumnPlan]) -> Result<Vec<usize>, String> {
    if query.contains('\0') {
        return Err("the query has a character that no query has".to_owned());
    }
    let own = |error: Error| format!("SQLite cannot make a table of the contract's columns: {}", text(&error));
    let mut connection = Connection::open_in_memory().map_err(own)?;
    limit(&connection).map_err(own)?;
    create(&connection, table, &columns.iter().map(declared).collect::<Vec<_>>()).map_err(own)?;
    let found = allow_reading(&mut connection, table).map_err(own)?;
    let prepared = connection.prepare(query);
    let statement = match prepared {
        Ok(statement) => statement,
        Err(error) => {
            let refused = found.lock().unwrap_or_else(PoisonError::into_inner).refused.take();
            return Err(match (refused, error) {
                (Some(what), _) => {
                    format!("a query reads the rows of {table:?} and does nothing else: {what} is refused")
                }
                (None, Error::MultipleStatement) => "a rule has one query, and there are several".to_owned(),
                (None, error) => format!("SQLite does not understand the query: {}", text(&error)),
            });
        }
    };
    let values = statement.column_count();
    if values != 1 || statement.is_explain() != 0 {
        return Err(format!("a query gives one number, and this one has {values} columns"));
    }
    if statement.parameter_count() > 0 {
        return Err("the query has parameters, which nobody gives a value".to_owned());
    }
    let read = std::mem::take(&mut found.lock().unwrap_or_else(PoisonError::into_inner).columns);
    // The authorizer is not told of columns that a join compares by their names alone.
    if has_word(query, &["natural", "using"]) {
        return Ok((0..columns.len()).collect());
    }
    Ok((0..columns.len())
        .filter(|place| columns.get(*place).is_some_and(|column| read.contains(&column.name)))
        .collect())
}

/// Whether one of these words stands in a query, whatever its case. In a text, a comment or a name in quotes it counts, too.
fn has_word(query: &str, words: &[&str]) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let mut of_query = query.split(|character| !is_part(character));
    of_query.any(|word| words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
}
