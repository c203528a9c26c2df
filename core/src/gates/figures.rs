//! What people are shown of a measurement: what each threshold would cost, and the rates of groups with their intervals.
//! They come from the same tables, costs and intervals as the verdicts, and decide nothing. Numbers are floating-point: they
//! are drawn, or rounded.

use seatrial_crds::{DuelMeasurement, FairnessRule, Measurement, ModelSpec, StatusQuo};

use super::fairness;
use super::intervals::{Interval, Proportion, z};
use super::paired::{self, Paired};
use super::pooled::{self, Costs, Pooled, Table};
use super::{costs, rules};
use crate::rational;

/// The level of the intervals.
const LEVEL: f64 = 0.95;

/// A point of the curve of all rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdFigure {
    /// The score from which a row is taken for positive.
    pub threshold: f64,
    /// The rows that are taken for positive.
    pub flagged: i64,
    /// The positives of them.
    pub true_positives: i64,
    /// The part of the positives that is found, from 0 to 1.
    pub recall: f64,
    /// The part of the negatives that is flagged, from 0 to 1.
    pub false_positive_rate: f64,
    /// What each prediction would cost, in the unit of the costs; `None` where errors have no costs.
    pub cost: Option<f64>,
}

/// A part of some rows, with its interval at 95 % (Wilson 1927).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateFigure {
    /// How many are counted.
    pub part: i64,
    /// Of how many.
    pub whole: i64,
    /// The point estimate, from 0 to 1; 0 of nothing.
    pub rate: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// The decisions that costs, or the threshold 0.5, choose, each row counted at a threshold that was chosen without it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionsFigure {
    /// How many rows.
    pub rows: i64,
    /// True positives of the positives.
    pub found: RateFigure,
    /// False positives of the negatives.
    pub alarms: RateFigure,
    /// True positives of those taken for positive.
    pub precision: RateFigure,
}

/// What errors cost for each prediction, in the unit of the costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostFigure {
    /// With the version.
    pub cost: f64,
    /// The lower end of its interval at 95 %.
    pub low: f64,
    /// The upper end of its interval at 95 %.
    pub high: f64,
    /// Without the model.
    pub without_model: f64,
    /// What is done without the model.
    pub status_quo: StatusQuo,
}

/// A group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupFigure {
    /// The column that divides the rows.
    pub slice: String,
    /// The group's value in it.
    pub value: String,
    /// What was decided of its rows.
    pub decisions: DecisionsFigure,
}

/// What a rule of fairness compares, group by group.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleFigure<'a> {
    /// The rule.
    pub rule: &'a FairnessRule,
    /// The metric, as the verdict's sentence names it.
    pub metric: String,
    /// What its denominator is of.
    pub of: &'static str,
    /// Each group's value and rate, in the order of the measurement.
    pub groups: Vec<(String, RateFigure)>,
}

/// Who decides rows of one class rightly: a version, or its champion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairedFigure {
    /// How many rows.
    pub rows: i64,
    /// Both do.
    pub both: i64,
    /// Only the version does.
    pub version: i64,
    /// Only the champion does.
    pub champion: i64,
    /// Neither does.
    pub neither: i64,
}

/// A version and its champion on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuelFigure {
    /// The positives: who finds them is right.
    pub positives: PairedFigure,
    /// The negatives: who does not flag them is right.
    pub negatives: PairedFigure,
}

fn pair(paired: Paired) -> PairedFigure {
    let Paired { both, first, second, neither } = paired;
    PairedFigure { rows: paired.rows(), both, version: first, champion: second, neither }
}

fn rate(proportion: Proportion) -> RateFigure {
    let Interval { low, high } = proportion.wilson(z(LEVEL, 1));
    RateFigure { part: proportion.part, whole: proportion.whole, rate: proportion.rate(), low, high }
}

fn of_table(table: &Table) -> DecisionsFigure {
    DecisionsFigure {
        rows: table.rows(),
        found: rate(table.recall()),
        alarms: rate(table.false_alarms()),
        precision: rate(table.precision()),
    }
}

fn pool(model: &ModelSpec, measurement: &Measurement) -> Option<Pooled> {
    pooled::pool(measurement, costs_of(model).as_ref())
}

fn costs_of(model: &ModelSpec) -> Option<Costs<'_>> {
    model.error_costs.as_ref().and_then(Costs::of)
}

/// The points of the curve of all rows, the largest threshold first. Points whose threshold is no number are left out.
pub fn curve(model: &ModelSpec, measurement: &Measurement) -> Vec<ThresholdFigure> {
    let (costs, rows) = (costs_of(model), pooled::rows(measurement));
    let mut points: Vec<ThresholdFigure> = measurement
        .curve
        .iter()
        .filter_map(|point| {
            let table = Table::new(rows, point.flagged);
            Some(ThresholdFigure {
                threshold: point.threshold.parse::<f64>().ok().filter(|number| number.is_finite())?,
                flagged: table.selected().part,
                true_positives: point.flagged.true_positives,
                recall: table.recall().rate(),
                false_positive_rate: table.false_alarms().rate(),
                cost: costs.as_ref().map(|costs| rational::to_f64(&costs.per_prediction(&table))),
            })
        })
        .collect();
    points.sort_by(|one, other| other.threshold.total_cmp(&one.threshold));
    points
}

/// The decisions at a threshold: those of the smallest one of a curve's points that is not below it; `None` above all of them.
pub fn at(points: &[ThresholdFigure], threshold: f64) -> Option<ThresholdFigure> {
    points.iter().rev().find(|point| point.threshold >= threshold).copied()
}

/// What was decided of all rows; `None` where nobody decides.
pub fn decisions(model: &ModelSpec, measurement: &Measurement) -> Option<DecisionsFigure> {
    Some(of_table(&pool(model, measurement)?.all))
}

/// What errors cost; `None` without costs or decisions.
pub fn cost(model: &ModelSpec, measurement: &Measurement) -> Option<CostFigure> {
    let costs = costs_of(model)?;
    let table = pooled::pool(measurement, Some(&costs))?.all;
    let Interval { low, high } = costs::interval(&costs, &table, costs::LEVEL);
    Some(CostFigure {
        cost: rational::to_f64(&costs.per_prediction(&table)),
        low,
        high,
        without_model: rational::to_f64(&costs.without_model()),
        status_quo: costs.status_quo,
    })
}

/// Who is right in a duel; `None` where nobody decides, or what was counted does not fit what was measured.
pub fn duel(model: &ModelSpec, measurement: &Measurement, duel: &DuelMeasurement) -> Option<DuelFigure> {
    let classes = paired::pool(measurement, duel, costs_of(model).as_ref())?;
    Some(DuelFigure { positives: pair(classes.positives), negatives: pair(classes.negatives) })
}

/// All groups of all slices; none where nobody decides.
pub fn groups(model: &ModelSpec, measurement: &Measurement) -> Vec<GroupFigure> {
    let tables = pool(model, measurement).map(|pooled| pooled.groups).unwrap_or_default();
    let groups = measurement.groups.iter().zip(&tables);
    groups
        .map(|(group, table)| GroupFigure {
            slice: group.slice.clone(),
            value: group.value.clone(),
            decisions: of_table(table),
        })
        .collect()
}

/// What each rule of fairness compares; none where nobody decides.
pub fn fairness_rules<'a>(model: &'a ModelSpec, measurement: &Measurement) -> Vec<RuleFigure<'a>> {
    let Some(pooled) = pool(model, measurement) else { return Vec::new() };
    let groups = |rule: &FairnessRule| {
        let own = measurement.groups.iter().zip(&pooled.groups).filter(|(group, _)| group.slice == rule.slice);
        own.map(|(group, table)| (group.value.clone(), rate(fairness::compared(rule, table)))).collect()
    };
    let figure = |rule: &'a FairnessRule| RuleFigure {
        rule,
        metric: fairness::metric_name(rule),
        of: fairness::denominator(rule.metric),
        groups: groups(rule),
    };
    rules(model).iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{decided, flagged, measurement, model, rows};
    use super::*;
    use seatrial_crds::CurvePoint;
    use serde_json::json;

    /// The table of the documentation: 20 of 100 positives missed, 90 of 900 negatives flagged.
    #[test]
    fn figures_are_those_of_the_verdicts() {
        let spec = model(|spec| {
            spec["fairness"] = json!({"rules": [
                {"name": "r", "slice": "black", "metric": "FalsePositiveRate", "maxGap": "0.1"}]});
        });
        let measured = decided(&[("no", rows(60, 500), flagged(50, 40)), ("yes", rows(40, 400), flagged(30, 50))]);
        let found = cost(&spec, &measured).unwrap();
        assert!((found.cost - 0.373).abs() < 1e-12 && (found.without_model - 1.4).abs() < 1e-12, "{found:?}");
        assert!(found.low < found.cost && found.cost < found.high);
        let all = decisions(&spec, &measured).unwrap();
        assert_eq!((all.rows, all.found.part, all.alarms.part, all.precision.whole), (1000, 80, 90, 170));
        let by_rule = fairness_rules(&spec, &measured);
        let [rule] = by_rule.as_slice() else { panic!("{by_rule:?}") };
        let counts: Vec<_> = rule.groups.iter().map(|(name, rate)| (name.as_str(), rate.part, rate.whole)).collect();
        assert_eq!(counts, [("no", 40, 500), ("yes", 50, 400)]);
        assert_eq!((rule.metric.as_str(), rule.of), ("FalsePositiveRate", "negatives"));
        let found: Vec<_> = groups(&spec, &measured).iter().map(|group| group.decisions.found.part).collect();
        assert_eq!(found, [50, 30]);
    }

    #[test]
    fn a_curve_says_what_each_threshold_costs_and_leaves_out_what_is_no_number() {
        let spec = model(|_| {});
        let mut measured = decided(&[("no", rows(100, 900), flagged(80, 90))]);
        measured.curve = ["0.2", "x", "inf", "0.7"]
            .map(|threshold| CurvePoint { threshold: threshold.into(), flagged: flagged(80, 90) })
            .into();
        let points = curve(&spec, &measured);
        assert_eq!(points.iter().map(|point| point.threshold).collect::<Vec<_>>(), [0.7, 0.2]);
        let found = |threshold| at(&points, threshold).map(|point| point.threshold);
        assert_eq!([0.1, 0.2, 0.3, 0.7, 0.8].map(found), [Some(0.2), Some(0.2), Some(0.7), Some(0.7), None]);
        assert!(points.iter().all(|point| (point.cost.unwrap() - 0.373).abs() < 1e-12 && point.flagged == 170));
    }

    #[test]
    fn nothing_measured_has_no_figures() {
        let (spec, nothing) = (model(|_| {}), measurement(vec![], &[("black", "yes")]));
        assert_eq!((decisions(&spec, &nothing), cost(&spec, &nothing)), (None, None));
        assert!(groups(&spec, &nothing).is_empty() && curve(&spec, &nothing).is_empty());
        assert!(fairness_rules(&spec, &nothing).is_empty());
    }
}
