//! What errors cost: the answer `errorCosts` against what would be done without the model, and gates of type `Cost`.

use num_traits::{Signed, Zero};
use seatrial_crds::{CostGate, StatusQuo, Verdict};

use super::Finding;
use super::enough;
use super::intervals::{Interval, weighted_sum, z};
use super::pooled::{Costs, Pooled, Table};
use super::wording::{Words, level, number, percent, rate, shown};
use crate::rational;

/// The level at which the answer is judged.
pub(super) const LEVEL: &str = "0.95";

/// What is said where nobody knows what errors cost.
pub(super) const UNKNOWN: &str = "the Model does not say what errors cost: answer spec.errorCosts";

/// Fewer rows of a class prove nothing about costs: the intervals of two rates are not to be trusted.
pub(super) const MIN_CLASS: i64 = 10;

/// Judges the answer: a version must save something against what would be done without it, by more than chance explains.
pub(super) fn judge_answer(costs: &Costs<'_>, pooled: &Pooled, words: Words<'_>) -> Finding {
    let without = costs.without_model();
    let saving = &without - costs.per_prediction(&pooled.all);
    let cost = interval(costs, &pooled.all, LEVEL);
    let limit = rational::to_f64(&without);
    let range = Interval { low: limit - cost.high, high: limit - cost.low };
    let few = too_few(pooled.all.missed().whole, pooled.all.false_alarms().whole);
    let verdict = if few.is_some() {
        Verdict::Inconclusive
    } else if range.low > 0.0 {
        Verdict::Passed
    } else if range.high <= 0.0 {
        Verdict::Failed
    } else {
        Verdict::Inconclusive
    };
    let unit = costs.unit;
    let against = match costs.status_quo {
        StatusQuo::FlagNone => "flagging nobody",
        StatusQuo::FlagAll => "flagging everybody",
    };
    let amount = shown(&saving.abs());
    let what = if saving.is_negative() {
        format!("costs {amount} {unit} more for each prediction than {against}")
    } else if saving.is_zero() {
        format!("saves nothing against {against}")
    } else {
        format!("saves {amount} {unit} for each prediction against {against}")
    };
    let doubt = match (few, verdict) {
        (Some(few), _) => format!(": {few}"),
        (None, Verdict::Inconclusive) => {
            let times = enough::times(rational::to_f64(&saving), range, 0.0);
            format!(": too little evidence to tell it from nothing{}", enough::rows(times, pooled.all.rows(), "rows"))
        }
        _ => String::new(),
    };
    let message = format!(
        "{what} (saving between {} and {} {unit} at {}; {}){doubt}{}",
        number(range.low),
        number(range.high),
        percent(LEVEL),
        basis(costs, &pooled.all, words),
        cheaper_alike(costs, &pooled.all)
    );
    Finding { verdict, value: Some(rational::decimal(&saving)), message }
}

/// What is said where treating everybody alike, the other way than the owner does without the model, costs less than the version.
fn cheaper_alike(costs: &Costs<'_>, table: &Table) -> String {
    let (alike, cost) = match costs.status_quo {
        StatusQuo::FlagNone => ("flagging everybody", costs.alarm()),
        StatusQuo::FlagAll => ("flagging nobody", costs.miss()),
    };
    let own = costs.per_prediction(table);
    if cost >= own {
        return String::new();
    }
    format!("; {alike} would cost {} {}, less than the {} of this version", shown(&cost), costs.unit, shown(&own))
}

/// Judges a gate of type `Cost`.
pub(super) fn judge_gate(gate: &CostGate, costs: &Costs<'_>, pooled: &Pooled, words: Words<'_>) -> Finding {
    let cost = costs.per_prediction(&pooled.all);
    let value = Some(rational::decimal(&cost));
    let (max, unit) = (&gate.max_per_prediction, costs.unit);
    let Some(limit) = rational::parse(max) else {
        let message = format!("maxPerPrediction is \"{max}\", which is no number");
        return Finding { verdict: Verdict::Error, value, message };
    };
    let (verdict, range, more) = match gate.confidence.as_deref() {
        // A class without rows has no rate.
        None if pooled.all.missed().whole <= 0 || pooled.all.false_alarms().whole <= 0 => {
            (Verdict::Inconclusive, String::new(), String::new())
        }
        None => (if cost <= limit { Verdict::Passed } else { Verdict::Failed }, String::new(), String::new()),
        Some(confidence) => {
            let few = too_few(pooled.all.missed().whole, pooled.all.false_alarms().whole);
            let range = interval(costs, &pooled.all, confidence);
            let limit = rational::to_f64(&limit);
            let verdict = if few.is_some() {
                Verdict::Inconclusive
            } else if range.high <= limit {
                Verdict::Passed
            } else if range.low > limit {
                Verdict::Failed
            } else {
                Verdict::Inconclusive
            };
            let text = format!("between {} and {} at {}; ", number(range.low), number(range.high), percent(confidence));
            let more = match few {
                Some(few) => format!("; {few}"),
                None if verdict == Verdict::Inconclusive => {
                    let times = enough::times(rational::to_f64(&cost), range, limit);
                    enough::rows(times, pooled.all.rows(), "rows")
                }
                None => String::new(),
            };
            (verdict, text, more)
        }
    };
    let says = match verdict {
        Verdict::Passed => format!("at most the {max} that are allowed"),
        Verdict::Failed => format!("more than the {max} that are allowed"),
        _ => format!("too uncertain to say whether it is at most {max}"),
    };
    let message = format!(
        "errors cost {} {unit} for each prediction ({range}{}), {says}{more}",
        shown(&cost),
        basis(costs, &pooled.all, words)
    );
    Finding { verdict, value, message }
}

/// Why so many rows prove nothing; `None` where they may.
pub(super) fn too_few(positives: i64, negatives: i64) -> Option<String> {
    (positives < MIN_CLASS || negatives < MIN_CLASS)
        .then(|| format!("{positives} positives and {negatives} negatives are too few, {MIN_CLASS} of each are needed"))
}

/// The interval of what errors cost for each prediction.
pub(super) fn interval(costs: &Costs<'_>, table: &Table, confidence: &str) -> Interval {
    let (miss, alarm) = (rational::to_f64(&costs.miss()), rational::to_f64(&costs.alarm()));
    weighted_sum(miss, table.missed(), alarm, table.false_alarms(), z(level(confidence), 1))
}

/// What a cost was computed from.
fn basis(costs: &Costs<'_>, table: &Table, words: Words<'_>) -> String {
    let (missed, alarms) = (table.missed(), table.false_alarms());
    format!(
        "{} of {} {} missed, {} of {} negatives flagged, where {} are positive",
        missed.part,
        missed.whole,
        words.positives(),
        alarms.part,
        alarms.whole,
        rate(rational::to_f64(&costs.prevalence))
    )
}
