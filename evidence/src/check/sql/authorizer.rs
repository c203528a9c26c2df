//! What a query may do: an authorizer, which SQLite asks of each action while it prepares a statement.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Functions that do more than compute.
const REFUSED: [&str; 2] = ["load_extension", "fts3_tokenizer"];
/// Functions that make a table of a JSON text.
const TABLES: [&str; 4] = ["json_each", "json_tree", "jsonb_each", "jsonb_tree"];

/// What a query was found to do.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The names of the columns that it reads.
    pub(super) columns: BTreeSet<String>,
    /// What else it would do.
    pub(super) refused: Option<String>,
}

/// From now on a connection prepares what reads one table and computes, and nothing else.
///
/// `COUNT(*)` reads no column, so that SQLite asks for its table alone: any name is allowed there but SQLite's own, since it may be
/// one that the query defines itself. No other table exists, and reading a column of one would be refused.
pub(super) fn allow_reading(connection: &mut Connection, table: &str) -> rusqlite::Result<Arc<Mutex<Found>>> {
    // A table of such a function is declared at its first use, which is a change.
    for function in TABLES {
        drop(connection.prepare(&format!("SELECT 1 FROM {function}('[]')")));
    }
    let found = Arc::new(Mutex::new(Found::default()));
    let (into, table) = (Arc::clone(&found), table.to_owned());
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        let mut found = into.lock().unwrap_or_else(PoisonError::into_inner);
        match refusal(context.action, &table) {
            None => {
                if let AuthAction::Read { table_name, column_name } = context.action
                    && table_name == table
                {
                    found.columns.insert(column_name.to_owned());
                }
                Authorization::Allow
            }
            Some(what) => {
                found.refused.get_or_insert(what);
                Authorization::Deny
            }
        }
    }))?;
    Ok(found)
}

/// What is refused of an action; none where it is allowed.
fn refusal(action: AuthAction<'_>, table: &str) -> Option<String> {
    match action {
        AuthAction::Select | AuthAction::Recursive => None,
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
