//! The files of an input, and how each is written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use seatrial_core::contract::check::DataFormat;

use super::plan::Plan;
use crate::problem::{Problem, quoted, reading};

/// Folders within folders.
const MAX_DEPTH: usize = 16;
/// Files of an input.
const MAX_FILES: usize = 100_000;
/// Columns beside the contract's that are remembered, for what may be another name of one that is missing.
const MAX_OTHERS: usize = 256;
const BUFFER: usize = 1 << 18;
/// What Hive names the folder of rows without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// A file.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    /// Its path in the input; empty where the input is one file.
    pub(super) shown: String,
    /// Columns whose value its path says.
    partitions: Vec<(String, Option<String>)>,
}

/// Where a column of the plan is found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Absent,
    /// Among the fields of a record, or the columns of a Parquet.
    Field(usize),
    /// In the file's path; none for null.
    Path(Option<String>),
}

/// What a file's first bytes say.
pub(super) enum Content {
    Parquet,
    Csv(Box<dyn Read + Send>),
    Json(Box<dyn Read + Send>),
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The same file will never be: a predicate.
    Broken(String),
    Failed(Problem),
}

impl Unreadable {
    pub(super) fn of(error: &io::Error) -> Self {
        match reading("the data", error) {
            Problem::Unusable(_) => Self::Broken(format!("is damaged: {error}; write it again")),
            failed @ Problem::Failed(_) => Self::Failed(failed),
        }
    }
}

/// The files of an input, in the order of their paths. Names that begin with `.` or `_` are no data.
pub(super) fn list(path: &Path) -> Result<Vec<DataFile>, Problem> {
    let failed = |error: io::Error| Problem::Failed(format!("the data cannot be read: {error}"));
    if fs::metadata(path).map_err(failed)?.is_file() {
        return Ok(vec![DataFile { path: path.to_owned(), shown: String::new(), partitions: Vec::new() }]);
    }
    let mut files = Vec::new();
    walk(path, &[], &mut Vec::new(), &mut files)?;
    Ok(files)
}

fn walk(
    folder: &Path,
    names: &[String],
    partitions: &mut Vec<(String, Option<String>)>,
    files: &mut Vec<DataFile>,
) -> Result<(), Problem> {
    let failed = |error: io::Error| Problem::Failed(format!("the data cannot be read: {error}"));
    let mut entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) {
            continue;
        }
        let names = [names, std::slice::from_ref(&name)].concat();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && names.len() <= MAX_DEPTH {
            let partition = name
                .split_once('=')
                .map(|(column, value)| (column.to_owned(), Some(value.to_owned()).filter(|value| value != NO_VALUE)));
            let is_partition = partition.is_some();
            partitions.extend(partition);
            walk(&entry.path(), &names, partitions, files)?;
            if is_partition {
                partitions.pop();
            }
        } else if kind.is_file() && files.len() < MAX_FILES {
            let (path, shown) = (entry.path(), names.join("/"));
            files.push(DataFile { path, shown, partitions: partitions.clone() });
        } else {
            let what = match (kind.is_dir(), kind.is_file()) {
                (true, _) => format!("is a folder within more than {MAX_DEPTH} others"),
                (_, true) => format!("is one of more than {MAX_FILES} files"),
                _ => "is neither a file nor a folder".to_owned(),
            };
            return Err(Problem::Unusable(format!("{} {what}", quoted(&names.join("/")))));
        }
    }
    Ok(())
}

/// Opens a file: decompressed, without a byte order mark.
pub(super) fn open(file: &DataFile, format: DataFormat) -> Result<Content, Unreadable> {
    let failed = |error| Unreadable::of(&error);
    let mut content = BufReader::with_capacity(BUFFER, File::open(&file.path).map_err(failed)?);
    let first = content.fill_buf().map_err(failed)?;
    let is_parquet = first.starts_with(b"PAR1");
    let (gzip, zstd) = (first.starts_with(&[0x1f, 0x8b]), first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    if is_parquet && matches!(format, DataFormat::Auto | DataFormat::Parquet) {
        return Ok(Content::Parquet);
    }
    if format == DataFormat::Parquet {
        return Err(Unreadable::Broken("is no Parquet: it does not begin with PAR1".to_owned()));
    }
    let mut content: Box<dyn BufRead + Send> = if gzip {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(content)))
    } else if zstd {
        Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(content).map_err(failed)?))
    } else {
        Box::new(content)
    };
    let mut first = Vec::new();
    content.by_ref().take(4).read_to_end(&mut first).map_err(failed)?;
    if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
        return Err(Unreadable::Broken("is UTF-16: save it in UTF-8".to_owned()));
    }
    if first == b"PAR1" {
        return Err(Unreadable::Broken(
            "is a compressed Parquet: decompress it, Parquet compresses its columns".to_owned(),
        ));
    }
    if let Some(rest) = first.strip_prefix(&[0xef, 0xbb, 0xbf]) {
        first = rest.to_vec();
    }
    // Blanks before the first object.
    let json = match format {
        DataFormat::JsonLines => true,
        DataFormat::Csv | DataFormat::Parquet => false,
        DataFormat::Auto => {
            let mut start = first.trim_ascii_start().first().copied();
            if start.is_none() {
                start = content.fill_buf().map_err(failed)?.trim_ascii_start().first().copied();
            }
            start == Some(b'{')
        }
    };
    let content: Box<dyn Read + Send> = Box::new(io::Cursor::new(first).chain(content));
    Ok(if json { Content::Json(content) } else { Content::Csv(content) })
}

/// What the files say about the plan's columns.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// By column: the first file without it.
    pub(super) absent: Vec<Option<u32>>,
    /// By column: the first file that has it several times.
    pub(super) repeated: Vec<Option<u32>>,
    /// By column: whether some file has it as a list or structure of Parquet.
    pub(super) nested: Vec<bool>,
    /// Columns that are not the plan's.
    pub(super) others: BTreeSet<String>,
    /// Whether there was a header at all.
    pub(super) any: bool,
}

impl Headers {
    pub(super) fn new(plan: &Plan) -> Self {
        let columns = plan.columns.len();
        Self {
            absent: vec![None; columns],
            repeated: vec![None; columns],
            nested: vec![false; columns],
            ..Self::default()
        }
    }

    /// Where the plan's columns are in a file with these columns.
    pub(super) fn sources(&mut self, plan: &Plan, number: u32, file: &DataFile, names: &[String]) -> Vec<Source> {
        self.any = true;
        let planned = |name: &&String| plan.columns.iter().all(|column| column.name != **name);
        let others = names.iter().filter(planned).take(MAX_OTHERS.saturating_sub(self.others.len()));
        self.others.extend(others.cloned());
        let mut sources = Vec::new();
        for ((column, absent), repeated) in plan.columns.iter().zip(&mut self.absent).zip(&mut self.repeated) {
            let mut places = (0..names.len()).filter(|place| names.get(*place) == Some(&column.name));
            let path = file.partitions.iter().rfind(|(name, _)| *name == column.name);
            sources.push(match (places.next(), places.next(), path) {
                (None, _, Some((_, value))) => Source::Path(value.clone()),
                (Some(place), None, _) => Source::Field(place),
                (Some(_), Some(_), _) => {
                    repeated.get_or_insert(number);
                    Source::Absent
                }
                (None, ..) => {
                    absent.get_or_insert(number);
                    Source::Absent
                }
            });
        }
        sources
    }

    /// Where the plan's columns are in a file of JSON lines, whose members are only known once all lines are read.
    pub(super) fn of_lines(&mut self, plan: &Plan, file: &DataFile) -> Vec<Source> {
        self.any = true;
        let source = |name: &str| {
            let path = file.partitions.iter().rfind(|(column, _)| column == name);
            path.map_or(Source::Field(0), |(_, value)| Source::Path(value.clone()))
        };
        plan.columns.iter().map(|column| source(&column.name)).collect()
    }

    /// A column beside the contract's that may be a missing one under another name.
    pub(super) fn alike(&self, name: &str) -> Option<&str> {
        let plain =
            |name: &str| name.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
        let wanted = plain(name);
        let by_letters = self.others.iter().find(|other| plain(other) == wanted);
        let near = || self.others.iter().find(|other| name.len() > 3 && distance(&plain(other), &wanted) <= 2);
        by_letters.or_else(near).map(String::as_str)
    }
}

/// How many letters must be changed, added or taken away to make one text of another (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().take(64).enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (place, theirs) in row.iter_mut().skip(1).zip(&other) {
            let changed = diagonal + usize::from(*theirs != letter);
            diagonal = *place;
            left = changed.min(left + 1).min(*place + 1);
            *place = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
