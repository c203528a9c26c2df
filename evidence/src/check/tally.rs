//! What is counted of rows: sums that come out the same in whatever order parts are added.

use seatrial_core::contract::check::MAX_POSITIONS;

/// Characters of a value that a report shows.
const SHOWN: usize = 64;

/// A row: the part of the data that it is in, and its number there, both from 0. Parts are numbered in the order of the data.
pub(super) type Place = (u32, u32);

/// How many rows are of a kind, and the first of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Hits {
    pub(super) count: u64,
    /// In the order of their places.
    pub(super) first: Vec<(Place, Option<String>)>,
}

impl Hits {
    /// Adds a row behind those that were added before.
    pub(super) fn add(&mut self, place: Place, value: impl FnOnce() -> Option<String>) {
        self.count += 1;
        if self.first.len() < MAX_POSITIONS {
            let value = value().map(|text| {
                let mut short: String = text.chars().take(SHOWN).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                short
            });
            self.first.push((place, value));
        }
    }

    /// Adds those of other parts.
    pub(super) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.sort_by_key(|(place, _)| *place);
        self.first.truncate(MAX_POSITIONS);
    }
}

/// A part of the data, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) file: u32,
    pub(super) rows: u32,
}

/// What makes a table unreadable, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The part, and the row where it has one.
    pub(super) part: u32,
    pub(super) row: Option<u32>,
    pub(super) file: u32,
    /// A predicate: "has a field of more than 1 MiB".
    pub(super) what: String,
}

impl Broken {
    /// The one that stands before the other.
    pub(super) fn earlier(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                let place = |broken: &Self| (broken.part, broken.row.unwrap_or(0));
                Some(if place(&other) < place(&one) { other } else { one })
            }
            (one, other) => one.or(other),
        }
    }
}
