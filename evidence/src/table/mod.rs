//! Tables: CSV, also compressed by gzip, and Parquet, told apart by their first bytes.

mod csv;
mod parquet;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::problem::{Problem, quoted, reading};
use crate::progress::say_reading;

/// The most columns that are read at once: id, score, label and the slices.
pub(crate) const MAX_WANTED: usize = 3 + seatrial_crds::limits::SLICES;

/// After how many rows the log says how many were read.
const PROGRESS: u32 = 1_000_000;

/// A value of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// No value: null.
    Missing,
    /// A text. All values of a CSV are texts.
    Text(&'a str),
    /// An integer.
    Whole(i128),
    /// A floating-point number.
    Number(f64),
    /// A boolean.
    Truth(bool),
}

/// What a row is shown to: its number, from 1, and the values of the columns that were asked for, in that order.
pub(crate) type Visit<'a> = dyn FnMut(u32, &[Cell<'_>]) -> Result<(), Problem> + 'a;

/// A table in a file.
#[derive(Debug)]
pub(crate) struct Table {
    /// What messages call it, a plural: "the predictions".
    pub(crate) name: &'static str,
    path: PathBuf,
    parquet: bool,
    columns: Vec<String>,
}

impl Table {
    /// Opens a table and reads the names of its columns.
    pub(crate) fn open(name: &'static str, path: &Path) -> Result<Self, Problem> {
        say_reading(name);
        let mut magic = Vec::new();
        let file = File::open(path).map_err(|error| reading(name, &error))?;
        file.take(4).read_to_end(&mut magic).map_err(|error| reading(name, &error))?;
        if magic.is_empty() {
            return Err(Problem::Unusable(format!("{name} are an empty file: no header, no rows")));
        }
        let parquet = magic == b"PAR1";
        let columns = if parquet { parquet::columns(name, path)? } else { csv::columns(name, path)? };
        Ok(Self { name, path: path.to_owned(), parquet, columns })
    }

    /// Whether it has a column of this name.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// Refuses a table that lacks a column, or has it twice.
    pub(crate) fn require(&self, column: &str) -> Result<(), Problem> {
        match self.columns.iter().filter(|name| *name == column).count() {
            1 => Ok(()),
            0 => Err(self.lacks(&format!("column {column}"))),
            times => Err(Problem::Unusable(format!("{} have the column {} {times} times", self.name, quoted(column)))),
        }
    }

    /// That a column is missing, with those that there are.
    pub(crate) fn lacks(&self, what: &str) -> Problem {
        let mut there = self.columns.iter().take(20).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        if self.columns.len() > 20 {
            there.push_str(", …");
        }
        let hint = match self.columns.as_slice() {
            [only] if !self.parquet && only.contains([';', '\t', '|']) => "; separate the fields by commas",
            _ => "",
        };
        Problem::Unusable(format!("{} have no {what}; their columns are {there}{hint}", self.name))
    }

    /// Shows each row, in the order of the file.
    pub(crate) fn each(&self, wanted: &[&str], visit: &mut Visit<'_>) -> Result<(), Problem> {
        say_reading(self.name);
        for column in wanted {
            self.require(column)?;
        }
        if self.parquet {
            parquet::each(self.name, &self.path, wanted, visit)
        } else {
            csv::each(self.name, &self.path, wanted, visit)
        }
    }
}

/// The next row's number.
fn next_row(name: &str, row: u32) -> Result<u32, Problem> {
    let next =
        row.checked_add(1).ok_or_else(|| Problem::Unusable(format!("{name} have more than {} rows", u32::MAX)))?;
    if next.is_multiple_of(PROGRESS) {
        eprintln!("{next} rows of {name}");
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
