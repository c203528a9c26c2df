//! Two versions on the same rows: who is right where they differ, and intervals of the difference.

use seatrial_crds::{ClassCounts, DuelMeasurement, FlaggedCounts, FoldPoint, Measurement};

use super::intervals::{Interval, Proportion, float};
use super::pooled::{self, Costs};
use crate::rational::{self, Rational};

/// How often each of two is right on the same rows. Only the rows where they differ tell them apart (McNemar 1947,
/// Psychometrika 12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paired {
    /// Both are right.
    pub(super) both: i64,
    /// Only the first is.
    pub(super) first: i64,
    /// Only the second is.
    pub(super) second: i64,
    /// Neither is.
    pub(super) neither: i64,
}

impl Paired {
    /// All rows.
    pub(super) fn rows(self) -> i64 {
        [self.first, self.second, self.neither].into_iter().fold(self.both, i64::saturating_add)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            both: self.both.saturating_add(other.both),
            first: self.first.saturating_add(other.first),
            second: self.second.saturating_add(other.second),
            neither: self.neither.saturating_add(other.neither),
        }
    }

    /// The first rate less the second; 0 of nothing.
    pub(super) fn difference(self) -> Rational {
        rational::of(self.first.saturating_sub(self.second), self.rows())
    }

    /// Its interval (Newcombe 1998, Statistics in Medicine 17, 2635–2650, method 10): Wilson's of both rates, squared and
    /// added, less what the two have in common, which is taken to be a little less than it looks.
    pub(super) fn interval(self, z: f64) -> Interval {
        let whole = self.rows();
        let rate = |part: i64| Proportion { part, whole };
        let (one, other) = (rate(self.both.saturating_add(self.first)), rate(self.both.saturating_add(self.second)));
        let (p, q) = (one.rate(), other.rate());
        let (first, second) = (one.wilson(z), other.wilson(z));
        let phi = self.correlation();
        let half = |own: f64, theirs: f64| (own * own - 2.0 * phi * own * theirs + theirs * theirs).max(0.0).sqrt();
        Interval {
            low: p - q - half(p - first.low, second.high - q),
            high: p - q + half(first.high - p, q - second.low),
        }
    }

    /// The correlation of the two, as method 10 corrects it; 0 where one of them is always or never right.
    fn correlation(self) -> f64 {
        let [both, first, second, neither] = [self.both, self.first, self.second, self.neither].map(float);
        let margins = (both + first) * (second + neither) * (both + second) * (first + neither);
        let excess = both * neither - first * second;
        let corrected = if excess > 0.0 { (excess - (both + first + second + neither) / 2.0).max(0.0) } else { excess };
        if margins > 0.0 { corrected / margins.sqrt() } else { 0.0 }
    }
}

/// `a` times one difference plus `b` times another, of rows that are independent; neither factor is negative. The method of
/// variance estimates recovery (Zou and Donner 2008, Statistics in Medicine 27), from the differences' own intervals.
pub(super) fn weighted_sum(a: f64, first: Paired, b: f64, second: Paired, z: f64) -> Interval {
    let (one, other) = (first.interval(z), second.interval(z));
    let (p, q) = (rational::to_f64(&first.difference()), rational::to_f64(&second.difference()));
    let estimate = a * p + b * q;
    let below = (a * (p - one.low)).hypot(b * (q - other.low));
    let above = (a * (one.high - p)).hypot(b * (other.high - q));
    Interval { low: estimate - below, high: estimate + above }
}

/// A version, the first, and its champion, by the true class of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes {
    /// Of the positives: who takes them for positive is right.
    pub(super) positives: Paired,
    /// Of the negatives: who does not is right.
    pub(super) negatives: Paired,
}

impl Classes {
    fn of(rows: ClassCounts, version: FlaggedCounts, champion: FlaggedCounts, both: FlaggedCounts) -> Option<Self> {
        // Who is taken for positive, by both, by one alone, and by neither.
        let of = |rows: i64, version: i64, champion: i64, both: i64| {
            let (first, second) = (version.checked_sub(both)?, champion.checked_sub(both)?);
            let neither = rows.checked_sub(both)?.checked_sub(first)?.checked_sub(second)?;
            (both >= 0 && first >= 0 && second >= 0 && neither >= 0).then_some(Paired { both, first, second, neither })
        };
        let taken = of(rows.negatives, version.false_positives, champion.false_positives, both.false_positives)?;
        let spared = Paired { both: taken.neither, first: taken.second, second: taken.first, neither: taken.both };
        let positives = of(rows.positives, version.true_positives, champion.true_positives, both.true_positives)?;
        Some(Self { positives, negatives: spared })
    }

    /// All rows.
    pub(super) fn all(&self) -> Paired {
        self.positives.plus(self.negatives)
    }
}

/// Whether what was counted of a duel fits what was measured of the version.
pub(crate) fn fits(measurement: &Measurement, duel: &DuelMeasurement) -> bool {
    let of_fold = |(fold, duel): (&seatrial_crds::Fold, &seatrial_crds::DuelFold)| {
        fold.points.len() == duel.both.len()
            && fold
                .points
                .iter()
                .zip(&duel.both)
                .all(|(point, both)| Classes::of(fold.rows, point.counted, duel.champion, *both).is_some())
    };
    measurement.folds.len() == duel.folds.len() && measurement.folds.iter().zip(&duel.folds).all(of_fold)
}

/// The version at the thresholds that the costs choose, each fold's by the other, and the champion at its own. `None` where
/// no decision falls, or the two do not fit each other.
pub(super) fn pool(measurement: &Measurement, duel: &DuelMeasurement, costs: Option<&Costs<'_>>) -> Option<Classes> {
    let chosen = pooled::chosen(measurement, costs)?;
    let mut all = Classes::default();
    if measurement.folds.len() != duel.folds.len() {
        return None;
    }
    for ((point, fold), duel) in chosen.into_iter().zip(&measurement.folds).zip(&duel.folds) {
        let place = fold.points.iter().position(|known: &FoldPoint| std::ptr::eq(known, point))?;
        let classes = Classes::of(fold.rows, point.counted, duel.champion, *duel.both.get(place)?)?;
        all = Classes {
            positives: all.positives.plus(classes.positives),
            negatives: all.negatives.plus(classes.negatives),
        };
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{flagged, rows};
    use super::super::intervals::z;
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-5, "{found} is not {expected}");
    }

    /// The first table of Newcombe's paper on pairs, two of Fagerland, Lydersen and Laake 2013 (airways, responses), and two
    /// where nobody differs.
    #[test]
    fn intervals_are_those_of_their_papers() {
        for (cells, low, high) in [
            ([36, 12, 2, 0], 0.0569, 0.3404),
            ([1, 1, 7, 12], -0.5069, -0.0256),
            ([59, 6, 16, 80], -0.1186, -0.0046),
            ([80, 0, 0, 20], -0.0294, 0.0294),
            ([54, 0, 0, 0], -0.0664, 0.0664),
        ] {
            let [both, first, second, neither] = cells;
            let found = Paired { both, first, second, neither }.interval(z(0.95, 1));
            near(found.low, low);
            near(found.high, high);
        }
        let nothing = Paired::default().interval(z(0.95, 1));
        assert!(nothing.low <= -1.0 && nothing.high >= 1.0, "{nothing:?}");
    }

    /// 10 positives: the version finds 7, the champion 6, both 5. 20 negatives: it flags 4, the champion 3, both 1.
    #[test]
    fn cells_are_those_that_a_person_counts() {
        let found = Classes::of(rows(10, 20), flagged(7, 4), flagged(6, 3), flagged(5, 1)).unwrap();
        assert_eq!(found.positives, Paired { both: 5, first: 2, second: 1, neither: 2 });
        // Spared by both are 20 - (4 + 3 - 1); the version alone spares the 2 that only the champion flags.
        assert_eq!(found.negatives, Paired { both: 14, first: 2, second: 3, neither: 1 });
        assert_eq!(found.all(), Paired { both: 19, first: 4, second: 4, neither: 3 });
        for both in [flagged(7, 1), flagged(5, 4), flagged(2, 1), flagged(-1, 0)] {
            assert_eq!(Classes::of(rows(10, 20), flagged(7, 4), flagged(6, 3), both), None, "{both:?}");
        }
    }
}
