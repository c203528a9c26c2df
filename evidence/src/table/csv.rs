//! CSV by RFC 4180: fields separated by commas, quoted by `"` where they hold a comma, a quote or an end of line.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::{Cell, MAX_WANTED, Visit, next_row};
use crate::problem::{Problem, quoted, reading};

/// Bytes of one field.
const MAX_FIELD: usize = 1 << 20;
/// Bytes of one row.
const MAX_ROW: usize = 1 << 24;
/// Fields of one row.
const MAX_FIELDS: usize = 10_000;

const BUFFER: usize = 1 << 18;

/// The names of the columns.
pub(super) fn columns(name: &str, path: &Path) -> Result<Vec<String>, Problem> {
    let mut records = Records::new(name, open(name, path)?);
    if !records.next()? {
        return Err(Problem::Unusable(format!("{name} have neither header nor rows")));
    }
    (0..records.ends.len())
        .map(|field| {
            std::str::from_utf8(records.field(field)).map(str::to_owned).map_err(|_| {
                Problem::Unusable(format!(
                    "the header of {name} is not UTF-8: save the file as CSV in UTF-8, or as Parquet"
                ))
            })
        })
        .collect()
}

/// Shows each row.
pub(super) fn each(name: &str, path: &Path, wanted: &[&str], visit: &mut Visit<'_>) -> Result<(), Problem> {
    let mut records = Records::new(name, open(name, path)?);
    records.next()?;
    let width = records.ends.len();
    let position = |column: &&str| (0..width).find(|field| records.field(*field) == column.as_bytes());
    let places: Vec<usize> = wanted.iter().filter_map(position).take(MAX_WANTED).collect();
    let mut row = 0_u32;
    while records.next()? {
        row = next_row(name, row)?;
        if records.ends.len() != width {
            let found = records.ends.len();
            return Err(Problem::Unusable(format!("row {row} of {name} has {found} fields, the header {width}")));
        }
        let mut cells = [Cell::Missing; MAX_WANTED];
        for ((cell, place), column) in cells.iter_mut().zip(&places).zip(wanted) {
            let text = std::str::from_utf8(records.field(*place)).map_err(|_| {
                Problem::Unusable(format!("column {} in row {row} of {name} is not UTF-8", quoted(column)))
            })?;
            *cell = Cell::Text(text);
        }
        visit(row, cells.get(..places.len()).unwrap_or_default())?;
    }
    Ok(())
}

/// The content, decompressed, without a byte order mark.
fn open(name: &str, path: &Path) -> Result<Box<dyn BufRead>, Problem> {
    let failed = |error| reading(name, &error);
    let mut file = BufReader::with_capacity(BUFFER, File::open(path).map_err(failed)?);
    let compressed = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let mut content: Box<dyn BufRead> =
        if compressed { Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file))) } else { Box::new(file) };
    let mut first = Vec::new();
    content.by_ref().take(3).read_to_end(&mut first).map_err(failed)?;
    if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::Unusable(format!("{name} are UTF-16: save the file as CSV in UTF-8, or as Parquet")));
    }
    if first == [0xef, 0xbb, 0xbf] {
        first.clear();
    }
    Ok(Box::new(Cursor::new(first).chain(content)))
}

/// Where in a field the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before its first byte.
    Start,
    /// In one without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind what may be the closing quote.
    Closed,
    /// Behind a closing quote and a carriage return.
    Return,
}

/// The records of a CSV, one at a time.
struct Records<'a, R> {
    name: &'a str,
    input: R,
    /// The fields of the current record, one after the other.
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// How many records came, with the header.
    read: u64,
}

impl<'a, R: BufRead> Records<'a, R> {
    const fn new(name: &'a str, input: R) -> Self {
        Self { name, input, bytes: Vec::new(), ends: Vec::new(), read: 0 }
    }

    fn field(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or_default());
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Reads the next record that is no empty line; false at the end.
    fn next(&mut self) -> Result<bool, Problem> {
        loop {
            let (more, quoted) = self.read()?;
            if !more {
                return Ok(false);
            }
            if quoted || self.ends.len() > 1 || !self.bytes.is_empty() {
                self.read += 1;
                return Ok(true);
            }
        }
    }

    fn refused(&self, what: &str) -> Problem {
        let place = match self.read {
            0 => format!("the header of {}", self.name),
            row => format!("row {row} of {}", self.name),
        };
        Problem::Unusable(format!("{place} {what}"))
    }

    /// Reads one record: whether there was one, and whether a field of it was quoted.
    fn read(&mut self) -> Result<(bool, bool), Problem> {
        self.bytes.clear();
        self.ends.clear();
        let (mut state, mut quoted, mut start) = (State::Start, false, 0);
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(reading(self.name, &error)),
            };
            if buffer.is_empty() {
                if state == State::Quoted {
                    return Err(self.refused("opens a quote that is never closed"));
                }
                if state == State::Start && self.ends.is_empty() {
                    return Ok((false, false));
                }
                self.end_of_record(state, start);
                return Ok((true, quoted));
            }
            let (mut used, mut ended, mut wrong) = (0, false, None);
            for byte in buffer {
                used += 1;
                state = match (state, *byte) {
                    (State::Quoted, b'"') => State::Closed,
                    (State::Closed, b'"') => {
                        self.bytes.push(b'"');
                        State::Quoted
                    }
                    (State::Start | State::Plain | State::Closed, b',') => {
                        start = self.bytes.len();
                        self.ends.push(start);
                        State::Start
                    }
                    (State::Start | State::Plain | State::Closed | State::Return, b'\n') => {
                        ended = true;
                        break;
                    }
                    (State::Start, b'"') => {
                        quoted = true;
                        State::Quoted
                    }
                    (State::Closed, b'\r') => State::Return,
                    (State::Closed | State::Return, _) => {
                        wrong = Some("has text behind a closing quote");
                        break;
                    }
                    (State::Plain, b'"') => {
                        wrong = Some("has a quote within a field that does not begin with one");
                        break;
                    }
                    (before, byte) => {
                        self.bytes.push(byte);
                        if before == State::Quoted { State::Quoted } else { State::Plain }
                    }
                };
                if self.bytes.len() - start > MAX_FIELD {
                    wrong = Some("has a field of more than 1 MiB");
                    break;
                }
            }
            self.input.consume(used);
            if self.bytes.len() > MAX_ROW {
                wrong = Some("is longer than 16 MiB");
            }
            if self.ends.len() >= MAX_FIELDS {
                wrong = Some("has more than 10000 fields");
            }
            if let Some(what) = wrong {
                return Err(self.refused(what));
            }
            if ended {
                self.end_of_record(state, start);
                return Ok((true, quoted));
            }
        }
    }

    fn end_of_record(&mut self, state: State, start: usize) {
        if state == State::Plain && self.bytes.len() > start && self.bytes.last() == Some(&b'\r') {
            self.bytes.pop();
        }
        self.ends.push(self.bytes.len());
    }
}
