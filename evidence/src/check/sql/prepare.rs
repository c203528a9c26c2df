//! Whether a query can be run, and what it reads.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Error};

use super::database::{bound, create, declared};
use crate::check::column::ColumnPlan;

/// Functions that do more than compute.
const REFUSED: [&str; 2] = ["load_extension", "fts3_tokenizer"];
/// Functions that make a table of a JSON text.
const TABLES: [&str; 4] = ["json_each", "json_tree", "jsonb_each", "jsonb_tree"];

/// What a query was found to do.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The names of the columns that it reads.
    columns: BTreeSet<String>,
    /// What else it would do.
    refused: Option<String>,
}

/// The columns that a query reads.
///
/// # Errors
/// Why it cannot be run, for people.
pub(super) fn columns(query: &str, table: &str, columns: &[ColumnPlan]) -> Result<Vec<usize>, String> {
    if query.contains('\0') {
        return Err("the query has a character that no query has".to_owned());
    }
    let own = |error: Error| format!("SQLite cannot make a table of the contract's columns: {}", words(&error));
    let mut connection = Connection::open_in_memory().map_err(own)?;
    bound(&connection).map_err(own)?;
    create(&connection, table, &columns.iter().map(declared).collect::<Vec<_>>()).map_err(own)?;
    let seen = allow_reading(&mut connection, table).map_err(own)?;
    let prepared = connection.prepare(query);
    let statement = match prepared {
        Ok(statement) => statement,
        Err(error) => {
            let refused = seen.lock().unwrap_or_else(PoisonError::into_inner).refused.take();
            return Err(match (refused, error) {
                (Some(what), _) => {
                    format!("a query reads the rows of {table:?} and does nothing else: {what} is refused")
                }
                (None, Error::MultipleStatement) => "a rule has one query, and there are several".to_owned(),
                (None, error) => format!("SQLite does not understand the query: {}", words(&error)),
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
    let seen = std::mem::take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner).columns);
    // Columns that a join compares by their names alone are read without a word.
    let lower = query.to_ascii_lowercase();
    if ["natural", "using"].iter().any(|word| lower.contains(word)) {
        return Ok((0..columns.len()).collect());
    }
    Ok((0..columns.len())
        .filter(|place| columns.get(*place).is_some_and(|column| seen.contains(&column.name)))
        .collect())
}

/// From now on a connection prepares what reads one table and computes, and nothing else.
pub(super) fn allow_reading(connection: &mut Connection, table: &str) -> rusqlite::Result<Arc<Mutex<Seen>>> {
    // A table of such a function is declared at its first use, which is a change.
    for function in TABLES {
        drop(connection.prepare(&format!("SELECT 1 FROM {function}('[]')")));
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (into, table) = (Arc::clone(&seen), table.to_owned());
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
        match refusal(context.action, &table) {
            None => {
                if let AuthAction::Read { table_name, column_name } = context.action
                    && table_name == table
                {
                    seen.columns.insert(column_name.to_owned());
                }
                Authorization::Allow
            }
            Some(what) => {
                seen.refused.get_or_insert(what);
                Authorization::Deny
            }
        }
    }))?;
    Ok(seen)
}

/// What is refused of an action; none where it is allowed.
fn refusal(action: AuthAction<'_>, table: &str) -> Option<String> {
    match action {
        AuthAction::Select | AuthAction::Recursive => None,
        // A table of which no column is read may be one that the query defines itself.
        AuthAction::Read { table_name, column_name } => {
            let is_own = table_name == table || TABLES.contains(&table_name);
            let is_of_query = column_name.is_empty() && !table_name.starts_with("sqlite_");
            (!is_own && !is_of_query).then(|| format!("reading {table_name:?}"))
        }
        AuthAction::Function { function_name } => {
            REFUSED.contains(&function_name).then(|| format!("the function {function_name}"))
        }
        AuthAction::Pragma { .. } => Some("PRAGMA".to_owned()),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Some("another database".to_owned()),
        _ => Some("a change".to_owned()),
    }
}

/// An error in SQLite's own words, without the query.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, .. } | Error::SqliteFailure(_, Some(msg)) => msg.clone(),
        error => error.to_string(),
    }
}
