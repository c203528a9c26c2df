//! The rows that are measured: predictions and labels, joined by their ids.

mod champion;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use seatrial_core::contract::{JudgeConfig, LabelsConfig};
use seatrial_crds::{MeasuredGroup, TaskType};

use crate::classes::{Classes, Groups, GroupsOfRow, comparable};
use crate::problem::{Problem, count, quoted, reading};
use crate::progress::{LABELS, PREDICTIONS};
use crate::table::{Cell, Table};
use crate::{group_names, number};

pub(crate) use champion::replace_scores;

/// Ids that a message names.
const EXAMPLES: usize = 3;

/// The first half of the SHA-256 of an id. Ten million ids have two with the same half with a probability of 10⁻²⁵.
type Key = [u64; 2];

/// A row with its label and its score or prediction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    key: Key,
    /// The number: the score, or the prediction of a regression; 1 or 0 for a prediction of a class.
    pub(crate) score: f64,
    /// The number of a regression; 1 or 0 for the positive label and the other.
    pub(crate) label: f64,
    /// Its number in the table of labels.
    number: u32,
    /// By slice, the number of its group.
    pub(crate) groups: GroupsOfRow,
}

impl Row {
    /// Its fold: the parity of the first byte of its id's hash.
    pub(crate) const fn fold(&self) -> usize {
        let [first, _] = self.key;
        ((first >> 56) & 1) as usize
    }

    pub(crate) fn positive(&self) -> bool {
        self.label > 0.5
    }
}

/// What is measured.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The rows, in the order of their ids' hashes.
    pub(crate) rows: Vec<Row>,
    pub(crate) groups: Vec<MeasuredGroup>,
    /// How many slices there are: so many groups each row has.
    pub(crate) slices: usize,
    /// Whether there are scores, or decisions alone.
    pub(crate) scored: bool,
    /// The classes of the labels, of a binary classification.
    pub(crate) classes: Option<Classes>,
}

/// What is known of a row of the predictions until it is joined.
struct Predicted {
    key: Key,
    score: f64,
    number: u32,
}

/// How the values of a task's columns are read.
enum Reader {
    /// Labels, and decisions where there are no scores.
    Binary {
        labels: Classes,
        predictions: Option<Classes>,
    },
    Regression,
}

impl Reader {
    fn label(&mut self, cell: Cell<'_>, row: u32, table: &str) -> Result<f64, Problem> {
        match self {
            Self::Binary { labels, .. } => labels.is_positive(cell, "label", row, table).map(f64::from),
            Self::Regression => number::read(cell, "label", row, table),
        }
    }

    fn score(&mut self, cell: Cell<'_>, column: &str, row: u32) -> Result<f64, Problem> {
        match self {
            Self::Binary { predictions: Some(classes), .. } => {
                classes.is_positive(cell, "prediction", row, PREDICTIONS).map(f64::from)
            }
            _ => number::read(cell, column, row, PREDICTIONS),
        }
    }

    /// The classes of the labels.
    fn classes(self) -> Option<Classes> {
        match self {
            Self::Binary { labels, .. } => Some(labels),
            Self::Regression => None,
        }
    }

    fn check(&self, table: &str) -> Result<(), Problem> {
        match self {
            Self::Binary { labels, predictions } => {
                labels.check(table)?;
                predictions.as_ref().map_or(Ok(()), |predictions| predictions.check_against(labels, PREDICTIONS))
            }
            Self::Regression => Ok(()),
        }
    }
}

/// Reads and joins the tables.
pub(crate) fn load(config: &JudgeConfig) -> Result<Evidence, Problem> {
    let predictions = Table::open(PREDICTIONS, Path::new(&config.predictions))?;
    let column = decides(&predictions)?;
    let scored = column == "score";
    let mut reader = match (config.task.kind, &config.task.positive_label) {
        (TaskType::BinaryClassification, Some(positive)) => {
            Reader::Binary { labels: Classes::new(positive), predictions: (!scored).then(|| Classes::new(positive)) }
        }
        (TaskType::Regression, _) => Reader::Regression,
        (kind, _) => {
            return Err(Problem::Failed(format!("a task of type {kind:?} without a positive label is not measured")));
        }
    };
    // Groups are those whose decisions are counted: a regression decides nothing.
    let slices: &[String] = if matches!(reader, Reader::Regression) { &[] } else { &config.slices };
    let mut groups = Groups::new(slices);
    let mut rows = match &config.labels {
        None => beside(&predictions, column, slices, &mut reader, &mut groups)?,
        Some(labels) => apart(&predictions, column, labels, slices, &mut reader, &mut groups)?,
    };
    let (mut groups, places) = groups.sorted();
    group_names::shorten(&mut groups);
    for row in &mut rows {
        for group in row.groups.iter_mut().take(slices.len()) {
            *group = places.get(usize::from(*group)).copied().unwrap_or_default();
        }
    }
    Ok(Evidence { rows, groups, slices: slices.len(), scored, classes: reader.classes() })
}

/// The column of a table of predictions that says what is predicted.
fn decides(predictions: &Table) -> Result<&'static str, Problem> {
    predictions.require("id")?;
    match (predictions.has("score"), predictions.has("prediction")) {
        (true, _) => Ok("score"),
        (false, true) => Ok("prediction"),
        (false, false) => Err(predictions.lacks("column score and no column prediction")),
    }
}

/// Labels and slices that stand beside the predictions.
fn beside(
    table: &Table,
    column: &str,
    slices: &[String],
    reader: &mut Reader,
    groups: &mut Groups,
) -> Result<Vec<Row>, Problem> {
    let mut wanted = vec!["id", column, "label"];
    wanted.extend(slices.iter().map(String::as_str));
    let (mut rows, mut ids) = (Vec::new(), Ids::new(PREDICTIONS));
    table.each(&wanted, &mut |number, cells| {
        let [id, score, label, of_slices @ ..] = cells else { return Ok(()) };
        if let Some(key) = ids.key(*id, number)? {
            let score = reader.score(*score, column, number)?;
            let label = reader.label(*label, number, PREDICTIONS)?;
            rows.push(Row { key, score, label, number, groups: groups.of(of_slices, number, PREDICTIONS)? });
        }
        Ok(())
    })?;
    ids.check(rows.len())?;
    reader.check(PREDICTIONS)?;
    rows.sort_unstable_by_key(|row| row.key);
    refuse_repeated(table, "id", &rows, |row| (row.key, row.number))?;
    Ok(rows)
}

/// Labels of the owner's, in a file of their own.
fn apart(
    table: &Table,
    column: &str,
    config: &LabelsConfig,
    slices: &[String],
    reader: &mut Reader,
    groups: &mut Groups,
) -> Result<Vec<Row>, Problem> {
    let labels = Table::open(LABELS, &only_file(Path::new(&config.folder))?)?;
    let mut wanted = vec![config.id.as_str(), config.label.as_str()];
    wanted.extend(slices.iter().map(String::as_str));
    let (mut rows, mut ids) = (Vec::new(), Ids::new(LABELS));
    labels.each(&wanted, &mut |number, cells| {
        let [id, label, of_slices @ ..] = cells else { return Ok(()) };
        if let Some(key) = ids.key(*id, number)? {
            let label = reader.label(*label, number, LABELS)?;
            rows.push(Row { key, score: 0.0, label, number, groups: groups.of(of_slices, number, LABELS)? });
        }
        Ok(())
    })?;
    ids.check(rows.len())?;
    rows.shrink_to_fit();
    rows.sort_unstable_by_key(|row| row.key);
    refuse_repeated(&labels, &config.id, &rows, |row| (row.key, row.number))?;

    let (mut predicted, mut ids) = (Vec::new(), Ids::new(PREDICTIONS));
    table.each(&["id", column], &mut |number, cells| {
        let [id, score] = cells else { return Ok(()) };
        if let Some(key) = ids.key(*id, number)? {
            predicted.push(Predicted { key, score: reader.score(*score, column, number)?, number });
        }
        Ok(())
    })?;
    ids.check(predicted.len())?;
    reader.check(LABELS)?;
    predicted.sort_unstable_by_key(|row| row.key);
    refuse_repeated(table, "id", &predicted, |row| (row.key, row.number))?;
    join(
        &mut rows,
        &predicted,
        |missing| examples(&labels, &config.id, missing),
        |extra| examples(table, "id", extra),
    )?;
    Ok(rows)
}

/// Puts each prediction beside its label. Both are sorted by key; `missing` and `extra` look ids up by the numbers of
/// their rows.
fn join(
    rows: &mut [Row],
    predicted: &[Predicted],
    missing: impl FnOnce(&[u32]) -> Result<Vec<String>, Problem>,
    extra: impl FnOnce(&[u32]) -> Result<Vec<String>, Problem>,
) -> Result<(), Problem> {
    let total = rows.len();
    let (mut without_prediction, mut without_label) = (Found::default(), Found::default());
    let mut rest = predicted.iter().peekable();
    for row in rows {
        while let Some(stray) = rest.next_if(|one| one.key < row.key) {
            without_label.add(stray.number);
        }
        match rest.next_if(|one| one.key == row.key) {
            Some(one) => row.score = one.score,
            None => without_prediction.add(row.number),
        }
    }
    rest.for_each(|stray| without_label.add(stray.number));
    if without_prediction.count == 0 && without_label.count == 0 {
        return Ok(());
    }
    let (mut said, mut of_labels, mut of_predictions) = (Vec::new(), Vec::new(), Vec::new());
    if without_prediction.count > 0 {
        of_labels = missing(&without_prediction.first)?;
        let named = list(&of_labels);
        said.push(format!("{} of {total} labels have no prediction: {named}", without_prediction.count));
    }
    if without_label.count > 0 {
        of_predictions = extra(&without_label.first)?;
        let named = list(&of_predictions);
        said.push(format!("{} of {} predictions have no label: {named}", without_label.count, predicted.len()));
    }
    said.extend(written_otherwise(&of_labels, &of_predictions));
    said.push("predict exactly the rows that the labels name".to_owned());
    Err(Problem::Unusable(said.join("; ")))
}

/// That one table writes integers in another way than the other, as far as the ids tell that have no counterpart.
fn written_otherwise(labels: &[String], predictions: &[String]) -> Option<String> {
    let integer = |id: &&String| id.parse::<i128>().is_ok_and(|number| number.to_string() == **id);
    let alike = |id: &String| Some(comparable(id.trim_ascii())).filter(|alike| alike != id && integer(&alike));
    let (id, alike) = match (labels.iter().any(|id| integer(&id)), predictions.iter().any(|id| integer(&id))) {
        (true, false) => predictions.iter().find_map(|id| Some((id, alike(id)?)))?,
        (false, true) => labels.iter().find_map(|id| Some((id, alike(id)?)))?,
        _ => return None,
    };
    Some(format!(
        "ids are compared as texts, for which {} is not {}: write the integers of both tables alike",
        quoted(id),
        quoted(&alike)
    ))
}

/// Rows with something wrong: how many, and the first few.
#[derive(Default)]
struct Found {
    count: usize,
    first: Vec<u32>,
}

impl Found {
    fn add(&mut self, number: u32) {
        self.count += 1;
        if self.first.len() < EXAMPLES {
            self.first.push(number);
        }
    }
}

/// Refuses ids that stand in several rows.
fn refuse_repeated<T>(table: &Table, column: &str, rows: &[T], of: fn(&T) -> (Key, u32)) -> Result<(), Problem> {
    let mut repeated = Found::default();
    for same in rows.chunk_by(|one, next| of(one).0 == of(next).0) {
        if let [first, _, ..] = same {
            repeated.add(of(first).1);
        }
    }
    if repeated.count == 0 {
        return Ok(());
    }
    let many = count(repeated.count, "id stands", "ids stand");
    let named = list(&examples(table, column, &repeated.first)?);
    Err(Problem::Unusable(format!("{many} in more than one row of {}: {named}; an id names one row", table.name)))
}

/// The ids of rows, looked up a second time since only their hashes are kept.
fn examples(table: &Table, column: &str, numbers: &[u32]) -> Result<Vec<String>, Problem> {
    let mut found = BTreeMap::new();
    table.each(&[column], &mut |number, cells| {
        if let ([id], Some(place)) = (cells, numbers.iter().position(|one| *one == number)) {
            found.insert(
                place,
                match id {
                    Cell::Text(text) => (*text).to_owned(),
                    Cell::Whole(whole) => whole.to_string(),
                    _ => String::new(),
                },
            );
        }
        Ok(())
    })?;
    Ok(found.into_values().collect())
}

/// Ids as a message lists them.
fn list(ids: &[String]) -> String {
    ids.iter().map(|id| quoted(id)).collect::<Vec<_>>().join(", ")
}

/// What turns ids into keys.
struct Ids {
    table: &'static str,
    empty: usize,
    first: u32,
}

impl Ids {
    const fn new(table: &'static str) -> Self {
        Self { table, empty: 0, first: 0 }
    }

    /// The key of an id; none for an empty one.
    fn key(&mut self, cell: Cell<'_>, row: u32) -> Result<Option<Key>, Problem> {
        let written;
        let text = match cell {
            Cell::Missing => "",
            Cell::Text(text) => text,
            Cell::Whole(number) => {
                written = number.to_string();
                &written
            }
            Cell::Number(_) | Cell::Truth(_) => {
                return Err(Problem::Unusable(format!(
                    "the ids of {} are floating-point numbers or booleans, which are not compared: \
                     write them as text or integers",
                    self.table
                )));
            }
        };
        if text.is_empty() {
            self.empty += 1;
            self.first = if self.empty == 1 { row } else { self.first };
            return Ok(None);
        }
        let hash = digest(&SHA256, text.as_bytes());
        let half = |from: usize| {
            hash.as_ref().iter().skip(from).take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
        };
        Ok(Some([half(0), half(8)]))
    }

    /// Refuses a table without rows, or with rows that have no id.
    fn check(&self, rows: usize) -> Result<(), Problem> {
        let table = self.table;
        if self.empty > 0 {
            let many = count(self.empty, "row", "rows");
            return Err(Problem::Unusable(format!(
                "{many} of {table} have no id, the first of them row {}",
                self.first
            )));
        }
        if rows == 0 {
            return Err(Problem::Unusable(format!("{table} have a header but no rows: nothing can be measured")));
        }
        Ok(())
    }
}

/// The one file of a folder.
fn only_file(folder: &Path) -> Result<PathBuf, Problem> {
    let failed = |error| reading(LABELS, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    match files.as_slice() {
        [only] if only.is_file() => Ok(only.clone()),
        _ => Err(Problem::Unusable(format!(
            "what evaluation.uri names holds {}, not one file: name the file itself",
            count(files.len(), "folder or file", "files or folders")
        ))),
    }
}

#[cfg(test)]
mod tests;
