//! Errors of SQLite as people read them.

use rusqlite::Error;

/// An error in SQLite's own words, without the query.
pub(super) fn text(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, .. } | Error::SqliteFailure(_, Some(msg)) => msg.clone(),
        error => error.to_string(),
    }
}
