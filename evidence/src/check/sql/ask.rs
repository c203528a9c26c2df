//! Running queries: the number of each, or why there is none.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode};
use seatrial_core::decimal::exact;

use super::authorizer::allow_reading;
use super::error::text;
use super::schema::HEAP;
use crate::check::disk::temporary_bytes;

/// What one query may take.
const MOST: Duration = Duration::from_secs(300);
/// Steps of SQLite's between two looks at the clock.
const STEPS: i32 = 10_000;
/// Between two looks at temporary files.
const LOOK: Duration = Duration::from_millis(200);

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

/// What all queries of an input may take together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// When the answers must be there.
    pub(super) until: Instant,
    /// Bytes of files, those of the database among them.
    pub(super) disk: u64,
}

/// Runs all queries, one after the other, in a thread that is left behind when their time is over: SQLite looks at no clock within
/// one of its steps, and a step on long texts may take hours.
pub(super) fn all(connection: Connection, table: String, queries: Vec<String>, bounds: Bounds) -> Vec<Answer> {
    let (count, (sender, receiver)) = (queries.len(), channel());
    if let Err(error) = thread::Builder::new().spawn(move || each(connection, &table, &queries, bounds, &sender)) {
        return vec![Answer::Failed(format!("no thread can be started: {error}")); count];
    }
    let mut answers = Vec::new();
    while answers.len() < count {
        let (under_way, behind) = match receiver.recv_timeout(bounds.until.saturating_duration_since(Instant::now())) {
            Ok(answer) => {
                answers.push(answer);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => (
                "the query did not end in the time that the check has: let it compare and search shorter texts, or raise the \
                 contract's check.timeout",
                "a query before this one took all the time that the check has",
            ),
            Err(RecvTimeoutError::Disconnected) => (
                "SQLite crashed: report it with the container's log",
                "SQLite crashed by a query before this one: report it with the container's log",
            ),
        };
        answers.push(Answer::Failed(under_way.to_owned()));
        answers.resize(count, Answer::Failed(behind.to_owned()));
    }
    answers
}

/// Runs queries until nobody waits for their answers any more.
fn each(mut connection: Connection, table: &str, queries: &[String], bounds: Bounds, answers: &Sender<Answer>) {
    let allowed = allow_reading(&mut connection, table);
    for query in queries {
        let answer = match &allowed {
            Ok(_) => ask(&mut connection, query, bounds),
            Err(error) => Answer::Failed(text(error)),
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

/// Why a query is interrupted.
#[derive(Clone, Copy, Debug)]
enum Exceeded {
    Time,
    Disk,
}

/// Runs a query within half of the time that is left, so that others have some, too.
fn ask(connection: &mut Connection, query: &str, bounds: Bounds) -> Answer {
    let most = MOST.min(bounds.until.saturating_duration_since(Instant::now()) / 2);
    let exceeded = Arc::new(OnceLock::new());
    if let Err(error) = connection.progress_handler(STEPS, Some(watch(Instant::now() + most, bounds.disk, &exceeded))) {
        return Answer::Failed(text(&error));
    }
    let disk = format!(
        "the query needs more than the {} MiB of disk that the check of an input may use: let it sort, group and join less",
        bounds.disk >> 20
    );
    number(connection, query).unwrap_or_else(|error| match (error.sqlite_error_code(), exceeded.get()) {
        (Some(ErrorCode::OperationInterrupted), Some(Exceeded::Disk)) => Answer::Failed(disk),
        (Some(ErrorCode::OperationInterrupted), _) => Answer::Failed(format!(
            "the query took longer than {} s: let it read each row once, or raise the contract's check.timeout",
            most.as_secs().max(1)
        )),
        (Some(ErrorCode::OutOfMemory), _) => {
            Answer::Failed(format!("the query needs more than {} MiB of memory: let it keep less at once", HEAP >> 20))
        }
        (Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen), _) => {
            Answer::Failed(format!("{disk}, or see whether the node has that much ({})", text(&error)))
        }
        _ => Answer::Nothing(format!("SQLite cannot answer the query: {}", text(&error))),
    })
}

/// Whether a query is to be interrupted, as SQLite asks now and then, and why.
fn watch(deadline: Instant, disk: u64, exceeded: &Arc<OnceLock<Exceeded>>) -> impl FnMut() -> bool + use<> {
    let (mut look, exceeded) = (Instant::now(), Arc::clone(exceeded));
    move || {
        let now = Instant::now();
        if now >= deadline {
            exceeded.get_or_init(|| Exceeded::Time);
        } else if now >= look {
            look = now + LOOK;
            if temporary_bytes() > disk {
                exceeded.get_or_init(|| Exceeded::Disk);
            }
        }
        exceeded.get().is_some()
    }
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
