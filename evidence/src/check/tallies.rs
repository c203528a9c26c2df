//! Applying a plan to rows.

use std::sync::Mutex;

use super::keys::hash;
use super::plan::Plan;
use super::sketch::Sketch;
use super::sql::{self, Database, Rows};
use super::tally::{Broken, Hits, Part, Place};
use super::value::{Cell, Typed, shown};

/// Why a part cannot be read: the row in it, and a predicate.
pub(super) type Refused = (u32, String);

/// What a thread has counted.
#[derive(Debug)]
pub(super) struct Tallies<'p> {
    pub(super) plan: &'p Plan,
    pub(super) hits: Vec<Hits>,
    /// By column.
    pub(super) sketches: Vec<Sketch>,
    /// By key: what is not handed on yet.
    pub(super) keys: Vec<Vec<([u8; 16], Place)>>,
    /// What queries read of the rows and is not in their database yet.
    pub(super) kept: Rows,
    database: Option<&'p Mutex<Database>>,
    pub(super) parts: Vec<Part>,
    pub(super) broken: Option<Broken>,
    /// The keys of the current row's columns, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<Option<(usize, usize)>>,
    key: Vec<u8>,
}

impl<'p> Tallies<'p> {
    pub(super) fn new(plan: &'p Plan, database: Option<&'p Mutex<Database>>) -> Self {
        Self {
            plan,
            hits: vec![Hits::default(); plan.counts],
            sketches: vec![Sketch::default(); plan.columns.len()],
            keys: vec![Vec::new(); plan.keys.len()],
            kept: Rows::default(),
            database,
            parts: Vec::new(),
            broken: None,
            bytes: Vec::new(),
            ends: vec![None; plan.columns.len()],
            key: Vec::new(),
        }
    }

    /// Counts a row. `cells` are those of the plan's columns; none where the file has no such column.
    pub(super) fn row<'c>(&mut self, place: Place, cells: impl Iterator<Item = Option<Cell<'c>>>) {
        self.bytes.clear();
        let columns = self.plan.columns.iter().zip(&mut self.ends).zip(&mut self.sketches);
        for (((column, end), sketch), cell) in columns.zip(cells) {
            *end = None;
            let kept = &mut self.kept;
            let mut keep = |cell: Cell<'_>, value: Option<&Typed<'_>>| {
                if column.kept {
                    kept.value(column.reader.kind, cell, value);
                }
            };
            let Some(cell) = cell else {
                keep(Cell::Null, None);
                continue;
            };
            let hits = &mut self.hits;
            let mut hit = |count: usize| {
                if let Some(hits) = hits.get_mut(count) {
                    hits.add(place, || (column.shown && !matches!(cell, Cell::Null)).then(|| shown(cell)));
                }
            };
            for (count, values, null) in &column.missing {
                let missing = match cell {
                    Cell::Null => *null,
                    Cell::Raw(text) | Cell::Text(text) => values.contains(text),
                    other => values.contains(&shown(other)),
                };
                if missing {
                    hit(*count);
                }
            }
            sketch.rows += 1;
            if matches!(cell, Cell::Null) {
                hit(column.nulls);
                keep(cell, None);
                continue;
            }
            let start = self.bytes.len();
            match column.reader.read(cell) {
                Some(value) => {
                    sketch.add(cell, &value);
                    keep(cell, Some(&value));
                    column.tests.iter().filter(|(_, test)| !test.passes(&value)).for_each(|(count, _)| hit(*count));
                    for (count, tests) in &column.invalid {
                        if !tests.iter().all(|test| test.passes(&value)) {
                            hit(*count);
                        }
                    }
                    if column.keyed {
                        value.key(&mut self.bytes);
                    }
                }
                None => {
                    hit(column.mistyped);
                    keep(cell, None);
                    column.invalid.iter().for_each(|(count, _)| hit(*count));
                    if column.keyed {
                        // What is of no type differs from all that is.
                        self.bytes.push(0xff);
                        self.bytes.extend_from_slice(shown(cell).as_bytes());
                    }
                }
            }
            if column.keyed {
                *end = Some((start, self.bytes.len()));
            }
        }
        for (columns, keys) in self.plan.keys.iter().zip(&mut self.keys) {
            self.key.clear();
            let whole = columns.iter().all(|column| {
                let Some((start, end)) = self.ends.get(*column).copied().flatten() else { return false };
                self.key.extend_from_slice(&((end - start) as u64).to_le_bytes());
                self.key.extend_from_slice(self.bytes.get(start..end).unwrap_or_default());
                true
            });
            if whole {
                keys.push((hash(&self.key), place));
            }
        }
        if self.database.is_some() && self.kept.end(place) {
            self.insert_rows();
        }
    }

    /// Adds what queries read to their database.
    pub(super) fn insert_rows(&mut self) {
        if let Some(database) = self.database {
            sql::insert(database, &mut self.kept);
        }
    }

    /// Adds what another thread counted of other parts.
    pub(super) fn merge(&mut self, other: Tallies<'_>) {
        self.hits.iter_mut().zip(other.hits).for_each(|(one, other)| one.merge(other));
        self.sketches.iter_mut().zip(other.sketches).for_each(|(one, other)| one.merge(other));
        self.parts.extend(other.parts);
        self.broken = Broken::earlier(self.broken.take(), other.broken);
    }
}
