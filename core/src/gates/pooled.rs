//! The table of right and wrong decisions that costs, rates and fairness come from.
//!
//! The threshold of each fold is the one that costs least on the other fold, and is counted on this one; the sum over the
//! folds is the table. So every row counts once, at a threshold that was chosen without it (cross-fitting), and no version
//! is flattered by its own choice. Without costs decisions fall at 0.5.

use seatrial_crds::{ClassCounts, ErrorCosts, FlaggedCounts, FoldPoint, Measurement, StatusQuo, Threshold};

use super::intervals::Proportion;
use crate::decimal::Decimal;
use crate::rational::{self, Rational};

/// Where decisions fall while no costs choose.
const MIDDLE: &str = "0.5";

/// What errors cost, as the owner wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Costs<'a> {
    /// Of a false positive.
    pub(super) false_positive: Rational,
    /// Of a false negative.
    pub(super) false_negative: Rational,
    /// The part of positives where the model serves.
    pub(super) prevalence: Rational,
    /// The unit of both.
    pub(super) unit: &'a str,
    /// What would be done without the model.
    pub(super) status_quo: StatusQuo,
}

impl<'a> Costs<'a> {
    /// The costs that were answered; `None` where they do not apply, or are no numbers.
    pub(super) fn of(answer: &'a ErrorCosts) -> Option<Self> {
        if answer.not_applicable.is_some() {
            return None;
        }
        let number = |text: &Option<String>| rational::parse(text.as_deref()?);
        Some(Self {
            false_positive: number(&answer.false_positive)?,
            false_negative: number(&answer.false_negative)?,
            prevalence: number(&answer.prevalence)?,
            unit: answer.unit.as_deref()?,
            status_quo: answer.status_quo?,
        })
    }

    /// What a missed positive weighs: π·c_FN.
    pub(super) fn miss(&self) -> Rational {
        &self.prevalence * &self.false_negative
    }

    /// What a false alarm weighs: (1−π)·c_FP.
    pub(super) fn alarm(&self) -> Rational {
        (rational::one() - &self.prevalence) * &self.false_positive
    }

    /// The cost for each prediction: π·c_FN·FN/n₁ + (1−π)·c_FP·FP/n₀. It assumes that only the balance of the classes
    /// differs between the evaluation and the service.
    pub(super) fn per_prediction(&self, table: &Table) -> Rational {
        let (missed, alarms) = (table.missed(), table.false_alarms());
        self.miss() * rational::of(missed.part, missed.whole) + self.alarm() * rational::of(alarms.part, alarms.whole)
    }

    /// What each prediction would cost without the model.
    pub(super) fn without_model(&self) -> Rational {
        match self.status_quo {
            StatusQuo::FlagNone => self.miss(),
            StatusQuo::FlagAll => self.alarm(),
        }
    }
}

/// Right and wrong decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    rows: ClassCounts,
    flagged: FlaggedCounts,
}

impl Table {
    /// Of the counts of a whole.
    pub(super) fn new(rows: ClassCounts, flagged: FlaggedCounts) -> Self {
        Self { rows, flagged }
    }

    fn plus(self, other: Self) -> Self {
        let (a, b) = (self.rows, other.rows);
        let (f, g) = (self.flagged, other.flagged);
        Self {
            rows: ClassCounts {
                positives: a.positives.saturating_add(b.positives),
                negatives: a.negatives.saturating_add(b.negatives),
            },
            flagged: FlaggedCounts {
                true_positives: f.true_positives.saturating_add(g.true_positives),
                false_positives: f.false_positives.saturating_add(g.false_positives),
            },
        }
    }

    /// All rows.
    pub(super) fn rows(&self) -> i64 {
        self.rows.positives.saturating_add(self.rows.negatives)
    }

    /// True positives of the positives.
    pub(super) const fn recall(&self) -> Proportion {
        Proportion { part: self.flagged.true_positives, whole: self.rows.positives }
    }

    /// False negatives of the positives.
    pub(super) fn missed(&self) -> Proportion {
        self.recall().complement()
    }

    /// False positives of the negatives.
    pub(super) const fn false_alarms(&self) -> Proportion {
        Proportion { part: self.flagged.false_positives, whole: self.rows.negatives }
    }

    /// Those taken for positive, of all.
    pub(super) fn selected(&self) -> Proportion {
        Proportion {
            part: self.flagged.true_positives.saturating_add(self.flagged.false_positives),
            whole: self.rows(),
        }
    }

    /// True positives of those taken for positive.
    pub(super) fn precision(&self) -> Proportion {
        Proportion { part: self.flagged.true_positives, whole: self.selected().part }
    }

    /// Right decisions, of all.
    pub(super) fn accuracy(&self) -> Proportion {
        let rejected = self.false_alarms().complement().part;
        Proportion { part: self.flagged.true_positives.saturating_add(rejected), whole: self.rows() }
    }

    /// The harmonic mean of precision and recall: 2·TP/(2·TP + FP + FN).
    pub(super) fn f1(&self) -> Rational {
        let hits = self.flagged.true_positives.saturating_mul(2);
        let errors = self.flagged.false_positives.saturating_add(self.missed().part);
        rational::of(hits, hits.saturating_add(errors))
    }
}

/// The tables of all rows and of each group, in the order of the measurement's groups.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pooled {
    /// Of all rows.
    pub(super) all: Table,
    /// Of each group.
    pub(super) groups: Vec<Table>,
}

/// The rows of all folds.
pub(super) fn rows(measurement: &Measurement) -> ClassCounts {
    let rows = measurement.folds.iter().map(|fold| Table::new(fold.rows, FlaggedCounts::default()));
    rows.fold(Table::default(), Table::plus).rows
}

/// Pools the folds. `None` where no decision falls: there are no counts, or the scores are no probabilities and no costs
/// choose.
pub(super) fn pool(measurement: &Measurement, costs: Option<&Costs<'_>>) -> Option<Pooled> {
    let mut pooled = Pooled { all: Table::default(), groups: vec![Table::default(); measurement.groups.len()] };
    for (point, fold) in chosen(measurement, costs)?.into_iter().zip(&measurement.folds) {
        pooled.all = pooled.all.plus(Table::new(fold.rows, point.counted));
        for ((group, rows), flagged) in pooled.groups.iter_mut().zip(&fold.groups).zip(&point.groups) {
            *group = group.plus(Table::new(*rows, *flagged));
        }
    }
    (pooled.all.rows() > 0).then_some(pooled)
}

/// The point of each fold.
pub(super) fn chosen<'a>(measurement: &'a Measurement, costs: Option<&Costs<'_>>) -> Option<Vec<&'a FoldPoint>> {
    let choose = |(number, fold): (usize, &'a seatrial_crds::Fold)| match (fold.points.as_slice(), costs) {
        ([only], _) if measurement.folds.len() == 1 => Some(only),
        (points, Some(costs)) => {
            let other = measurement.folds.get(1_usize.checked_sub(number)?)?;
            cheapest(points, costs, other.rows, |point| point.choosing)
        }
        (points, None) => points.iter().find(|point| is_middle(point.threshold.as_deref())),
    };
    let chosen: Option<Vec<&FoldPoint>> = measurement.folds.iter().enumerate().map(choose).collect();
    chosen.filter(|chosen| !chosen.is_empty())
}

fn is_middle(threshold: Option<&str>) -> bool {
    threshold.and_then(Decimal::parse).is_some_and(|threshold| Some(threshold) == Decimal::parse(MIDDLE))
}

/// The first point with the least cost, of points that speak of the same rows. As the rows are the same, whole numbers suffice to
/// compare: misses and false alarms, each by a weight.
fn cheapest<'a, P>(
    points: &'a [P],
    costs: &Costs<'_>,
    rows: ClassCounts,
    flagged: impl Fn(&P) -> FlaggedCounts,
) -> Option<&'a P> {
    let miss = costs.miss() * rational::of(1, rows.positives);
    let alarm = costs.alarm() * rational::of(1, rows.negatives);
    let (miss, alarm) = (miss.numer() * alarm.denom(), alarm.numer() * miss.denom());
    points.iter().min_by_key(|point| {
        let table = Table::new(rows, flagged(point));
        &miss * table.missed().part + &alarm * table.false_alarms().part
    })
}

/// The threshold that serves, and the range of those that the folds chose.
pub(super) fn threshold(measurement: &Measurement, costs: &Costs<'_>) -> Option<Threshold> {
    let serving = cheapest(&measurement.curve, costs, rows(measurement), |point| point.flagged)?;
    let mut range: Vec<(Decimal, &str)> = chosen(measurement, Some(costs))?
        .into_iter()
        .filter_map(|point| point.threshold.as_deref())
        .filter_map(|text| Some((Decimal::parse(text)?, text)))
        .collect();
    range.sort_by(|one, other| one.0.cmp(&other.0));
    let (lowest, highest) = (range.first()?.1.to_owned(), range.last()?.1.to_owned());
    Some(Threshold { value: serving.threshold.clone(), lowest, highest })
}
