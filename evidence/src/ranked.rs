//! Rows by falling score, and what depends on their order.

use seatrial_crds::FlaggedCounts;

use crate::rows::Row;

/// Counts of a threshold's two classes: rows that are taken for positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) positives: usize,
    pub(crate) negatives: usize,
}

impl Counts {
    pub(crate) const fn add(&mut self, positive: bool) {
        if positive {
            self.positives += 1;
        } else {
            self.negatives += 1;
        }
    }

    pub(crate) const fn total(self) -> usize {
        self.positives + self.negatives
    }

    pub(crate) fn flagged(self) -> FlaggedCounts {
        FlaggedCounts { true_positives: wide(self.positives), false_positives: wide(self.negatives) }
    }
}

/// A count as the API has it.
pub(crate) fn wide(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Sorts rows by falling score.
pub(crate) fn rank(rows: &mut [Row]) {
    // What equal scores have in common is all that is asked below: their order among each other does not matter.
    rows.sort_unstable_by(|one, other| other.score.total_cmp(&one.score));
}

/// The rows of each score, the largest first.
pub(crate) fn ties(rows: &[Row]) -> impl Iterator<Item = (f64, Counts)> {
    rows.chunk_by(|one, next| one.score.total_cmp(&next.score).is_eq()).filter_map(|same| {
        let mut counts = Counts::default();
        same.iter().for_each(|row| counts.add(row.positive()));
        same.first().map(|row| (row.score, counts))
    })
}

/// A point of a ROC curve: the rows with at least this score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Corner {
    pub(crate) threshold: f64,
    pub(crate) counts: Counts,
}

/// The corners of the convex hull of the ROC curve (Provost and Fawcett 2001), the largest threshold first: from nobody,
/// at the next number above the largest score, to everybody, at the smallest score. Whatever the errors cost, one of them
/// costs least. Rows are ranked; without rows there are none.
pub(crate) fn hull(rows: impl Iterator<Item = (f64, Counts)>) -> Vec<Corner> {
    let mut corners: Vec<Corner> = Vec::new();
    let mut counts = Counts::default();
    for (threshold, more) in rows {
        if corners.is_empty() {
            corners.push(Corner { threshold: threshold.next_up(), counts });
        }
        counts = Counts { positives: counts.positives + more.positives, negatives: counts.negatives + more.negatives };
        let next = Corner { threshold, counts };
        while let [.., before, last] = corners.as_slice() {
            if area(*before, *last, next) > 0 {
                break;
            }
            corners.pop();
        }
        corners.push(next);
    }
    corners
}

/// Twice the area of the triangle of three points, positive where the middle one lies above the line of the others.
fn area(one: Corner, middle: Corner, last: Corner) -> i128 {
    let difference = |from: Corner, to: Corner| {
        let wide = |count: usize| i128::from(wide(count));
        (
            wide(to.counts.negatives) - wide(from.counts.negatives),
            wide(to.counts.positives) - wide(from.counts.positives),
        )
    };
    let ((x1, y1), (x2, y2)) = (difference(one, middle), difference(middle, last));
    y1 * x2 - x1 * y2
}

/// What dropping a corner would cost: the area between it and its neighbours, as a part of the whole square.
#[expect(clippy::cast_precision_loss, reason = "areas are compared with each other, to find the smallest")]
pub(crate) fn loss(one: Corner, middle: Corner, last: Corner, all: Counts) -> f64 {
    let square = wide(all.positives) as f64 * wide(all.negatives) as f64;
    if square > 0.0 { area(one, middle, last).abs() as f64 / square } else { 0.0 }
}

/// At each of some falling thresholds, the rows and of each group the rows with at least that score. Rows are ranked.
pub(crate) fn count<'a>(
    rows: impl Iterator<Item = &'a Row>,
    thresholds: &[f64],
    slices: usize,
    groups: usize,
) -> Vec<(Counts, Vec<Counts>)> {
    let mut rows = rows.peekable();
    let (mut all, mut of_groups) = (Counts::default(), vec![Counts::default(); groups]);
    thresholds
        .iter()
        .map(|threshold| {
            while let Some(row) = rows.next_if(|row| row.score >= *threshold) {
                add(row, &mut all, &mut of_groups, slices);
            }
            (all, of_groups.clone())
        })
        .collect()
}

/// Adds a row to its counts.
pub(crate) fn add(row: &Row, all: &mut Counts, of_groups: &mut [Counts], slices: usize) {
    all.add(row.positive());
    for group in row.groups.iter().take(slices) {
        if let Some(counts) = of_groups.get_mut(usize::from(*group)) {
            counts.add(row.positive());
        }
    }
}
