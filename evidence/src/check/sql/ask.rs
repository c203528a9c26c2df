//! Running one query: its number, or why there is none.

use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode};
use seatrial_core::decimal::exact;

use super::database::HEAP;
use super::prepare::words;

/// What one query may take.
const MOST: Duration = Duration::from_secs(300);
/// Steps of SQLite's between two looks at the clock.
const STEPS: i32 = 10_000;

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::check) enum Answer {
    /// A decimal.
    Number(String),
    /// It says nothing of the data, and would not another time either.
    Nothing(String),
    /// The machine did not suffice.
    Failed(String),
}

/// Runs a query within half of the time that is left, so that others have some, too.
pub(super) fn ask(connection: &mut Connection, query: &str, until: Instant) -> Answer {
    let most = MOST.min(until.saturating_duration_since(Instant::now()) / 2);
    let deadline = Instant::now() + most;
    if let Err(error) = connection.progress_handler(STEPS, Some(move || Instant::now() >= deadline)) {
        return Answer::Failed(words(&error));
    }
    number(connection, query).unwrap_or_else(|error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Answer::Failed(format!(
            "the query took longer than {} s: let it read each row once, or raise the contract's check.timeout",
            most.as_secs().max(1)
        )),
        Some(ErrorCode::OutOfMemory) => {
            Answer::Failed(format!("the query needs more than {} MiB of memory: let it keep less at once", HEAP >> 20))
        }
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Answer::Failed(format!(
            "the query needs more disk than the check may use, or there is none: {}; let it sort and join less",
            words(&error)
        )),
        _ => Answer::Nothing(format!("SQLite cannot answer the query: {}", words(&error))),
    })
}

fn number(connection: &Connection, query: &str) -> Result<Answer, Error> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query(())?;
    let nothing = |why: &str| Answer::Nothing(format!("the query gives {why}, and one number is compared"));
    let Some(first) = rows.next()? else { return Ok(nothing("no row")) };
    let answer = match first.get_ref(0)? {
        ValueRef::Integer(number) => Answer::Number(number.to_string()),
        ValueRef::Real(number) if number.is_finite() => Answer::Number(exact(number)),
        ValueRef::Real(_) => nothing("an infinite number"),
        ValueRef::Null => nothing("null"),
        ValueRef::Text(_) | ValueRef::Blob(_) => nothing("a text"),
    };
    Ok(if rows.next()?.is_some() { nothing("several rows") } else { answer })
}
