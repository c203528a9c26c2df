//! One pass over the data: one thread divides them into parts, others count the parts' rows.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use seatrial_core::contract::check::InputCheck;

use super::csv::{self, Dialect};
use super::disk::Disk;
use super::files::{self, Content, DataFile, Headers, Source, Unreadable};
use super::json;
use super::keys::{Keys, Repeated};
use super::parquet::Table;
use super::plan::Plan;
use super::sql::{Answer, Database};
use super::tallies::{Refused, Tallies};
use super::tally::{Broken, Part};
use crate::problem::Problem;

/// Bytes of a part of CSV or JSON lines.
const BLOCK: usize = 1 << 20;
/// Bytes of a row of CSV or JSON lines.
const MAX_ROW: usize = 1 << 24;
/// Keys that a thread gathers before it hands them on.
const GATHERED: usize = 8192;

/// What came of the pass.
#[derive(Debug)]
pub(super) struct Outcome<'p> {
    pub(super) tallies: Tallies<'p>,
    /// By key.
    pub(super) repeated: Vec<Repeated>,
    /// By query.
    pub(super) answers: Vec<Answer>,
    pub(super) headers: Headers,
    /// By column: whether some line of JSON lines had it. None where there was none.
    pub(super) seen: Option<Vec<bool>>,
}

/// What reading may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'p> {
    /// The folder for what does not fit into memory.
    pub(super) scratch: &'p Path,
    /// Bytes that may lie there.
    pub(super) disk: u64,
    pub(super) threads: usize,
    /// When the answers of queries must be there.
    pub(super) until: Instant,
}

/// A part of the data.
struct Unit {
    number: u32,
    file: u32,
    sources: Arc<Vec<Source>>,
    kind: Kind,
}

enum Kind {
    Csv { bytes: Vec<u8>, width: usize },
    Json { bytes: Vec<u8> },
    Group { group: usize },
}

/// What the threads share.
struct Shared<'a> {
    plan: &'a Plan,
    files: &'a [DataFile],
    dialect: Dialect,
    scratch: &'a Path,
    disk: Arc<Disk>,
    /// The rows that queries read; none where there are no queries.
    database: Option<Mutex<Database>>,
    keys: Vec<Mutex<Keys>>,
    /// What went wrong with the machine.
    problem: Mutex<Option<Problem>>,
    /// That nothing more needs to be read: all parts before the one that is broken were handed out.
    stop: AtomicBool,
}

/// Reads all files.
pub(super) fn run<'p>(
    input: &'p InputCheck,
    plan: &'p Plan,
    data: &'p [DataFile],
    limits: Limits<'p>,
) -> Result<Outcome<'p>, Problem> {
    let character = |letter: char| u8::try_from(letter).ok().filter(u8::is_ascii);
    let (Some(separator), Some(quote), Some(_)) =
        (character(input.csv.separator), character(input.csv.quote), character(input.csv.decimal))
    else {
        return Err(Problem::Unusable(
            "the separator, quote and decimal point of CSV must be ASCII characters".to_owned(),
        ));
    };
    let Limits { scratch, disk, threads, until } = limits;
    let disk = Arc::new(Disk::new(disk));
    let shared = Shared {
        plan,
        files: data,
        dialect: Dialect { separator, quote, nulls: input.csv.null_values.clone() },
        scratch,
        database: Database::new(plan, &disk)?,
        disk,
        keys: plan.keys.iter().map(|_| Mutex::new(Keys::new())).collect(),
        problem: Mutex::new(None),
        stop: AtomicBool::new(false),
    };
    let (sender, receiver) = sync_channel(threads.max(1));
    let receiver = Mutex::new(receiver);
    let (produced, counted) = thread::scope(|scope| {
        // Fewer threads do the same work; none do none.
        let start = |_| thread::Builder::new().spawn_scoped(scope, || work(&shared, &receiver));
        let mut workers = Vec::new();
        for started in (0..threads.max(1)).map(start) {
            match started {
                Ok(worker) => workers.push(worker),
                Err(error) if workers.is_empty() => {
                    let why =
                        format!("no thread can be started: {error}; raise the memory of the container seatrial-check");
                    return (Err(Problem::Failed(why)), Vec::new());
                }
                Err(_) => break,
            }
        }
        let mut producer = Producer {
            input,
            shared: &shared,
            sender: Some(sender),
            number: 0,
            headers: Headers::new(plan),
            broken: None,
            lines: false,
        };
        let produced =
            producer.all().map(|()| (std::mem::take(&mut producer.headers), producer.broken.take(), producer.lines));
        // The workers end when there is nobody left who sends.
        producer.sender = None;
        let counted: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (produced, counted)
    });
    let (headers, broken, lines) = produced?;
    let mut tallies = Tallies::new(plan, None);
    let mut seen = vec![false; plan.columns.len()];
    for worker in counted {
        let (theirs, theirs_seen) = worker.map_err(|_| {
            Problem::Failed("a thread of the check crashed: report it with the container's log".to_owned())
        })?;
        tallies.merge(theirs);
        seen.iter_mut().zip(theirs_seen).for_each(|(one, other)| *one |= other);
    }
    if let Some(problem) = shared.problem.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(problem);
    }
    tallies.broken = Broken::earlier(tallies.broken.take(), broken);
    tallies.parts.sort_by_key(|part| part.number);
    let (mut repeated, mut answers) = (Vec::new(), Vec::new());
    if tallies.broken.is_none() {
        for keys in shared.keys {
            repeated.push(keys.into_inner().unwrap_or_else(PoisonError::into_inner).repeated()?);
        }
        // Last, so that all other rules are decided, whatever becomes of a query.
        if let Some(database) = shared.database {
            answers = database.into_inner().unwrap_or_else(PoisonError::into_inner).answers(&plan.queries, until);
        }
    }
    Ok(Outcome { tallies, repeated, answers, headers, seen: lines.then_some(seen) })
}

/// Counts parts until there are no more.
fn work<'s>(shared: &'s Shared<'_>, receiver: &Mutex<Receiver<Unit>>) -> (Tallies<'s>, Vec<bool>) {
    let mut tallies = Tallies::new(shared.plan, shared.database.as_ref());
    let mut seen = vec![false; shared.plan.columns.len()];
    let mut open: Option<(u32, Table)> = None;
    loop {
        let unit = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(unit) = unit else { break };
        let counted = match &unit.kind {
            Kind::Csv { bytes, width } => {
                csv::rows(bytes, unit.number, &shared.dialect, *width, &unit.sources, &mut tallies)
            }
            Kind::Json { bytes } => json::rows(bytes, unit.number, &unit.sources, &mut seen, &mut tallies),
            Kind::Group { group } => group_rows(shared, &unit, *group, &mut open, &mut tallies),
        };
        match counted {
            Ok(rows) => tallies.parts.push(Part { number: unit.number, file: unit.file, rows }),
            Err((row, what)) => {
                let broken = Broken { part: unit.number, row: Some(row), file: unit.file, what };
                tallies.broken = Broken::earlier(tallies.broken.take(), Some(broken));
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
        hand_on(shared, &mut tallies, GATHERED);
    }
    hand_on(shared, &mut tallies, 0);
    (tallies, seen)
}

fn group_rows(
    shared: &Shared<'_>,
    unit: &Unit,
    group: usize,
    open: &mut Option<(u32, Table)>,
    tallies: &mut Tallies<'_>,
) -> Result<u32, Refused> {
    let table = match open.take() {
        Some((file, table)) if file == unit.file => table,
        _ => {
            let path = shared.files.get(unit.file as usize).map(|file| file.path.as_path()).unwrap_or(Path::new(""));
            match Table::open(path) {
                Ok(table) => table,
                Err(Unreadable::Broken(what)) => return Err((0, what)),
                Err(Unreadable::Failed(problem)) => {
                    fail(shared, problem);
                    return Ok(0);
                }
            }
        }
    };
    let rows = table.rows(group, unit.number, &unit.sources, tallies);
    *open = Some((unit.file, table));
    rows
}

/// Hands the keys on that a thread has gathered, where they are so many.
fn hand_on(shared: &Shared<'_>, tallies: &mut Tallies<'_>, many: usize) {
    if many == 0 {
        tallies.insert_rows();
    }
    let failed =
        shared.database.as_ref().and_then(|database| database.lock().unwrap_or_else(PoisonError::into_inner).problem());
    if let Some(problem) = failed {
        fail(shared, problem);
    }
    for (gathered, keys) in tallies.keys.iter_mut().zip(&shared.keys) {
        if gathered.len() > many {
            let added = keys.lock().unwrap_or_else(PoisonError::into_inner).add(gathered, shared.scratch, &shared.disk);
            gathered.clear();
            if let Err(problem) = added {
                fail(shared, problem);
            }
        }
    }
}

fn fail(shared: &Shared<'_>, problem: Problem) {
    shared.problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
    shared.stop.store(true, Ordering::Relaxed);
}

/// What divides the data.
struct Producer<'a> {
    input: &'a InputCheck,
    shared: &'a Shared<'a>,
    sender: Option<SyncSender<Unit>>,
    number: u32,
    headers: Headers,
    broken: Option<Broken>,
    /// Whether there were JSON lines.
    lines: bool,
}

impl Producer<'_> {
    fn all(&mut self) -> Result<(), Problem> {
        for (number, file) in self.shared.files.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            match self.file(number, file) {
                Ok(()) => {}
                Err(Unreadable::Broken(what)) => {
                    self.broken = Some(Broken { part: self.number, row: None, file: number, what });
                    break;
                }
                Err(Unreadable::Failed(problem)) => return Err(problem),
            }
            if self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    fn file(&mut self, number: u32, file: &DataFile) -> Result<(), Unreadable> {
        match files::open(file, self.input.format)? {
            Content::Parquet => {
                let table = Table::open(&file.path)?;
                let columns = table.columns();
                let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
                let sources = self.headers.sources(self.shared.plan, number, file, &names);
                for (nested, source) in self.headers.nested.iter_mut().zip(&sources) {
                    *nested |= matches!(source, Source::Field(place) if columns.get(*place).is_some_and(|(_, nested)| *nested));
                }
                let sources = Arc::new(sources);
                for group in 0..table.groups() {
                    if !self.send(number, &sources, Kind::Group { group })? {
                        break;
                    }
                }
                Ok(())
            }
            Content::Csv(content) => self.csv(number, file, content),
            Content::Json(content) => {
                self.lines = true;
                let sources = Arc::new(self.headers.of_lines(self.shared.plan, file));
                let mut blocks = Blocks::new(content);
                while let Some(bytes) = blocks.next(|bytes| memchr::memrchr(b'\n', bytes).map(|at| at + 1))? {
                    if !self.send(number, &sources, Kind::Json { bytes })? {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    fn csv(&mut self, number: u32, file: &DataFile, content: Box<dyn Read + Send>) -> Result<(), Unreadable> {
        let dialect = &self.shared.dialect;
        let mut blocks = Blocks::new(content);
        let ends = |bytes: &[u8]| csv::last_end(bytes, dialect.quote);
        let mut first = blocks.next(ends)?;
        let names = if self.input.csv.header {
            let bytes = first.take().unwrap_or_default();
            let header = csv::header(&bytes, dialect)
                .map_err(|what| Unreadable::Broken(format!("cannot be read: its header {what}")))?;
            let Some((names, end)) = header else {
                return Err(Unreadable::Broken("is empty: it has neither header nor rows".to_owned()));
            };
            first = Some(bytes.get(end..).unwrap_or_default().to_vec());
            names
        } else {
            self.input.columns.iter().map(|column| column.name.clone()).collect()
        };
        let sources = Arc::new(self.headers.sources(self.shared.plan, number, file, &names));
        let width = names.len();
        loop {
            let (block, refused) = match first.take().map_or_else(|| blocks.next(ends), |bytes| Ok(Some(bytes))) {
                Ok(block) => (block, None),
                // What is wrong with the rows that come before is found by who reads them.
                Err(error) => (Some(std::mem::take(&mut blocks.rest)).filter(|rest| !rest.is_empty()), Some(error)),
            };
            let wanted = match block {
                Some(bytes) => self.send(number, &sources, Kind::Csv { bytes, width })?,
                None => false,
            };
            match refused {
                Some(error) => return Err(error),
                None if !wanted => return Ok(()),
                None => {}
            }
        }
    }

    /// Hands a part out; whether more are wanted.
    fn send(&mut self, file: u32, sources: &Arc<Vec<Source>>, kind: Kind) -> Result<bool, Unreadable> {
        let unit = Unit { number: self.number, file, sources: Arc::clone(sources), kind };
        self.number = self
            .number
            .checked_add(1)
            .ok_or_else(|| Unreadable::Broken("has too many parts: divide the data".to_owned()))?;
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(unit).is_ok());
        Ok(sent && !self.shared.stop.load(Ordering::Relaxed))
    }
}

/// A content in blocks of whole rows.
struct Blocks {
    content: Box<dyn Read + Send>,
    rest: Vec<u8>,
    ended: bool,
}

impl Blocks {
    fn new(content: Box<dyn Read + Send>) -> Self {
        Self { content, rest: Vec::new(), ended: false }
    }

    /// The next block; `end` says where the last row of bytes ends.
    fn next(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> Result<Option<Vec<u8>>, Unreadable> {
        let mut wanted = BLOCK;
        loop {
            while !self.ended && self.rest.len() < wanted {
                let missing = (wanted - self.rest.len()) as u64;
                let read = self.content.by_ref().take(missing).read_to_end(&mut self.rest);
                self.ended = read.map_err(|error| Unreadable::of(&error))? == 0;
            }
            if self.ended {
                let last = std::mem::take(&mut self.rest);
                if last.len() > MAX_ROW && end(&last).is_none() {
                    return Err(too_long());
                }
                return Ok(Some(last).filter(|last| !last.is_empty()));
            }
            if let Some(end) = end(&self.rest) {
                let rest = self.rest.split_off(end);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
            if self.rest.len() > MAX_ROW {
                return Err(too_long());
            }
            wanted = (self.rest.len() * 2).min(MAX_ROW + 1);
        }
    }
}

fn too_long() -> Unreadable {
    Unreadable::Broken("has a row that is longer than 16 MiB, or opens a quote that is never closed".to_owned())
}
