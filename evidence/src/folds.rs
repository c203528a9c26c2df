//! Counts at thresholds: each fold's at those of the other, and the curve of all rows.

use seatrial_core::contract::{JudgeMessage, MAX_JUDGE_BYTES, Measured};
use seatrial_crds::{ClassCounts, CurvePoint, Fold, FoldPoint, limits};

use crate::number::exact;
use crate::problem::Problem;
use crate::ranked::{self, Corner, Counts, wide};
use crate::rows::{Evidence, Row};

/// Counts of groups that the points of a fold have at most: a version's status has all of them.
const GROUP_COUNTS: usize = 768;
/// The threshold that is always there where scores are probabilities.
pub(crate) const HALF: f64 = 0.5;

/// Counts of rows by class, of all and of each group.
fn classes<'a>(rows: impl Iterator<Item = &'a Row>, evidence: &Evidence) -> (Counts, Vec<Counts>) {
    let (mut all, mut groups) = (Counts::default(), vec![Counts::default(); evidence.groups.len()]);
    rows.for_each(|row| ranked::add(row, &mut all, &mut groups, evidence.slices));
    (all, groups)
}

fn class_counts(counts: Counts) -> ClassCounts {
    ClassCounts { positives: wide(counts.positives), negatives: wide(counts.negatives) }
}

/// The one fold of decisions without scores.
pub(crate) fn decisions(evidence: &Evidence) -> Fold {
    let (rows, groups) = classes(evidence.rows.iter(), evidence);
    let (counted, of_groups) = classes(evidence.rows.iter().filter(|row| row.score > HALF), evidence);
    Fold {
        rows: class_counts(rows),
        groups: groups.into_iter().map(class_counts).collect(),
        points: vec![FoldPoint {
            threshold: None,
            counted: counted.flagged(),
            groups: of_groups.into_iter().map(Counts::flagged).collect(),
            choosing: Counts::default().flagged(),
        }],
    }
}

/// A list of points that may be thinned: corners, and with them the threshold 0.5.
struct List {
    points: Vec<(Corner, Kind)>,
    all: Counts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A corner of the hull.
    Corner,
    /// The threshold 0.5, which is no corner.
    Half,
    /// A corner at the threshold 0.5.
    Both,
}

impl List {
    /// The corners of ranked rows, and 0.5 where it is asked for.
    fn new(rows: &[Row], half: bool) -> Self {
        let mut points: Vec<_> =
            ranked::hull(ranked::ties(rows)).into_iter().map(|corner| (corner, Kind::Corner)).collect();
        let mut all = Counts::default();
        rows.iter().for_each(|row| all.add(row.positive()));
        if half {
            let place = points.partition_point(|(corner, _)| corner.threshold > HALF);
            match points.get_mut(place) {
                Some((corner, kind)) if corner.threshold == HALF => *kind = Kind::Both,
                _ => {
                    let mut counts = Counts::default();
                    rows.iter().filter(|row| row.score >= HALF).for_each(|row| counts.add(row.positive()));
                    points.insert(place, (Corner { threshold: HALF, counts }, Kind::Half));
                }
            }
        }
        Self { points, all }
    }

    /// The corner whose loss is smallest, with that loss: neither an end nor 0.5.
    fn smallest(&self) -> Option<(f64, usize)> {
        let hull: Vec<_> = self.points.iter().enumerate().filter(|(_, (_, kind))| *kind != Kind::Half).collect();
        hull.windows(3)
            .filter_map(|three| match three {
                [(_, (one, _)), (place, (middle, Kind::Corner)), (_, (last, _))] => {
                    Some((ranked::loss(*one, *middle, *last, self.all), *place))
                }
                _ => None,
            })
            .min_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    fn thresholds(&self) -> Vec<f64> {
        self.points.iter().map(|(corner, _)| corner.threshold).collect()
    }
}

/// Adds folds and curve to what was measured of scores, with so many points as there is room for. Rows are ranked.
pub(crate) fn add(measured: &mut Measured, evidence: &Evidence, probabilities: bool) -> Result<(), Problem> {
    let of_fold =
        |number: usize| -> Vec<Row> { evidence.rows.iter().filter(|row| row.fold() == number).copied().collect() };
    // The lists of the folds' points, each of the other fold's corners, and that of all rows.
    let mut lists = Vec::with_capacity(3);
    for number in 0..2 {
        let rows = of_fold(1 - number);
        // A fold without rows has no thresholds to give.
        let source =
            if rows.is_empty() { List::new(&ends(evidence), probabilities) } else { List::new(&rows, probabilities) };
        let all = if rows.is_empty() { Counts::default() } else { source.all };
        lists.push(List { all, ..source });
    }
    lists.push(List::new(&evidence.rows, probabilities));
    for (number, list) in lists.iter_mut().enumerate() {
        // The curve, the last list, knows no groups.
        let groups = if number < 2 { evidence.groups.len() } else { 0 };
        let most = limits::CURVE_POINTS.min(GROUP_COUNTS.checked_div(groups).unwrap_or(limits::CURVE_POINTS));
        while list.points.len() > most {
            let Some((_, place)) = list.smallest() else { break };
            list.points.remove(place);
        }
    }
    for number in 0..2 {
        let rows = || evidence.rows.iter().filter(|row| row.fold() == number);
        let others = evidence.rows.iter().filter(|row| row.fold() != number);
        let (all, groups) = classes(rows(), evidence);
        let thresholds = lists.get(number).map(List::thresholds).unwrap_or_default();
        let counted = ranked::count(rows(), &thresholds, evidence.slices, evidence.groups.len());
        let choosing = ranked::count(others, &thresholds, 0, 0);
        let points = thresholds.iter().zip(counted).zip(choosing).map(|((threshold, counted), choosing)| FoldPoint {
            threshold: Some(exact(*threshold)),
            choosing: choosing.0.flagged(),
            counted: counted.0.flagged(),
            groups: counted.1.into_iter().map(Counts::flagged).collect(),
        });
        measured.folds.push(Fold {
            rows: class_counts(all),
            groups: groups.into_iter().map(class_counts).collect(),
            points: points.collect(),
        });
    }
    if let Some(curve) = lists.last() {
        measured.curve = curve
            .points
            .iter()
            .map(|(corner, _)| CurvePoint { threshold: exact(corner.threshold), flagged: corner.counts.flagged() })
            .collect();
    }
    fit(measured, &mut lists)
}

/// The rows with the largest and the smallest score.
fn ends(evidence: &Evidence) -> Vec<Row> {
    [evidence.rows.first(), evidence.rows.last()].into_iter().flatten().copied().collect()
}

/// Drops points until the message has room for the rest: each time the corner whose loss is smallest.
fn fit(measured: &mut Measured, lists: &mut [List]) -> Result<(), Problem> {
    while JudgeMessage::Measured(measured.clone()).to_json().len() > MAX_JUDGE_BYTES {
        let smallest = lists
            .iter()
            .enumerate()
            .filter_map(|(list, points)| points.smallest().map(|(loss, place)| (loss, list, place)))
            .min_by(|(one, ..), (other, ..)| one.total_cmp(other));
        let Some((_, list, place)) = smallest else { return Err(no_room(measured)) };
        if let Some(points) = lists.get_mut(list) {
            points.points.remove(place);
        }
        match measured.folds.get_mut(list) {
            Some(fold) => drop(fold.points.remove(place)),
            None => drop(measured.curve.remove(place)),
        }
    }
    Ok(())
}

/// That groups leave no room.
pub(crate) fn no_room(measured: &Measured) -> Problem {
    Problem::Unusable(format!(
        "the counts of {} groups do not fit into {MAX_JUDGE_BYTES} bytes: name fewer slices, or columns with fewer values",
        measured.groups.len()
    ))
}
