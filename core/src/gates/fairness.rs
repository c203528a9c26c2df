//! Rules of fairness: how much a rate may differ between the groups of a slice.
//!
//! Each rate has its own denominator: recall is of the positives, the false-positive rate of the negatives. A group with too
//! few of them decides nothing and is named. Where several pairs or groups are looked at, each interval is wider by
//! Bonferroni's rule, so that the rule as a whole keeps its level of 95 %.

use std::cmp::Reverse;

use num_traits::Zero;
use seatrial_crds::{FairnessRule, Favourable, MeasuredGroup, Measurement, RateMetric, SmallGroups, Verdict};

use super::Finding;
use super::enough;
use super::intervals::{Interval, Proportion, difference, ratio, z};
use super::pooled::{Pooled, Table};
use super::wording::{Words, number, rate, shown};
use crate::rational::{self, Rational};

const LEVEL: f64 = 0.95;
/// How many small groups a sentence names.
const NAMED: usize = 5;

/// A group with the rate that is compared.
#[derive(Clone, Debug)]
struct Group<'a> {
    name: &'a str,
    rate: Proportion,
}

/// Judges a rule of fairness.
pub(super) fn judge(rule: &FairnessRule, measurement: &Measurement, pooled: &Pooled, words: Words<'_>) -> Finding {
    let groups: Vec<Group<'_>> = measurement
        .groups
        .iter()
        .zip(&pooled.groups)
        .filter(|(group, _)| group.slice == rule.slice)
        .map(|(group, table)| Group { name: name(group), rate: compared(rule, table) })
        .collect();
    if groups.is_empty() {
        let mut slices: Vec<&str> = measurement.groups.iter().map(|group| group.slice.as_str()).collect();
        slices.dedup();
        let known = if slices.is_empty() { "no slice".to_owned() } else { slices.join(", ") };
        let message =
            format!("the slice \"{}\" was not measured, but {known}: name it in evaluation.slices", rule.slice);
        return Finding { verdict: Verdict::Error, value: None, message };
    }
    let (small, large): (Vec<Group<'_>>, Vec<Group<'_>>) =
        groups.into_iter().partition(|group| group.rate.whole < rule.min_count.max(1));
    let mut finding = decide(rule, &large);
    if !small.is_empty() {
        let blocks = rule.small_groups == SmallGroups::Block;
        if blocks && matches!(finding.verdict, Verdict::Passed | Verdict::Inconclusive) {
            finding.verdict = Verdict::Inconclusive;
        }
        finding.message = format!("{}; {}", finding.message, too_few(rule, &small, words));
    }
    finding
}

fn name(group: &MeasuredGroup) -> &str {
    if group.value.is_empty() { "(empty)" } else { &group.value }
}

/// The groups with too few rows.
fn too_few(rule: &FairnessRule, small: &[Group<'_>], words: Words<'_>) -> String {
    let of = match denominator(rule.metric) {
        "positives" => words.positives(),
        other => other.to_owned(),
    };
    let mut names: Vec<String> =
        small.iter().take(NAMED).map(|group| format!("{} ({})", group.name, group.rate.whole)).collect();
    if small.len() > NAMED {
        names.push(format!("and {} more", small.len() - NAMED));
    }
    format!("too few {of} where {} is {}: {} are needed", rule.slice, names.join(", "), rule.min_count)
}

fn decide(rule: &FairnessRule, groups: &[Group<'_>]) -> Finding {
    let bound = |text: &Option<String>| text.as_deref().map(str::parse::<f64>);
    match (bound(&rule.max_gap), bound(&rule.min_ratio), bound(&rule.min)) {
        (Some(Ok(max)), None, None) => compare(rule, groups, &Comparison::Gap(max)),
        (None, Some(Ok(min)), None) => compare(rule, groups, &Comparison::Ratio(min)),
        (None, None, Some(Ok(min))) => lowest(rule, groups, min),
        _ => Finding {
            verdict: Verdict::Error,
            value: None,
            message: format!("the rule \"{}\" needs one of maxGap, minRatio and min, a decimal", rule.name),
        },
    }
}

/// How two groups are compared.
enum Comparison {
    Gap(f64),
    Ratio(f64),
}

impl Comparison {
    /// Judges a pair, the larger rate first.
    fn of<'a>(&self, more: &'a Group<'a>, less: &'a Group<'a>, z: f64) -> Pair<'a> {
        let (larger, smaller) = (more.rate.exact(), less.rate.exact());
        let (found, range, verdict) = match self {
            Self::Gap(max) => {
                let range = difference(more.rate, less.rate, z);
                // Which of the two is ahead is not known beforehand.
                let range = Interval { low: range.low.max(0.0), high: range.high.max(-range.low) };
                (larger - smaller, range, verdict(range.high <= *max, range.low > *max))
            }
            Self::Ratio(min) => {
                let range = ratio(less.rate, more.rate, z);
                let other_way = if range.high > 0.0 { 1.0 / range.high } else { f64::INFINITY };
                let range = Interval { low: range.low.min(other_way), high: range.high.min(1.0) };
                let found = if larger.is_zero() { rational::one() } else { smaller / larger };
                (found, range, verdict(range.low >= *min, range.high < *min))
            }
        };
        Pair { more, less, found, range, verdict }
    }
}

const fn verdict(holds: bool, is_broken: bool) -> Verdict {
    match (holds, is_broken) {
        (true, _) => Verdict::Passed,
        (_, true) => Verdict::Failed,
        _ => Verdict::Inconclusive,
    }
}

/// Two groups, the larger rate first, and what comparing them says.
struct Pair<'a> {
    more: &'a Group<'a>,
    less: &'a Group<'a>,
    found: Rational,
    range: Interval,
    verdict: Verdict,
}

/// The verdict of all: a pass needs each to hold, a fail one that is broken.
fn of_all(verdicts: impl Iterator<Item = Verdict> + Clone) -> Verdict {
    [Verdict::Failed, Verdict::Inconclusive]
        .into_iter()
        .find(|wanted| verdicts.clone().any(|verdict| verdict == *wanted))
        .unwrap_or(Verdict::Passed)
}

/// Compares each two groups. The sentence names those that are furthest apart of the pairs that decide.
fn compare(rule: &FairnessRule, groups: &[Group<'_>], comparison: &Comparison) -> Finding {
    let mut sorted: Vec<&Group<'_>> = groups.iter().collect();
    sorted.sort_by_key(|group| Reverse(group.rate.exact()));
    let z = z(LEVEL, sorted.len() * sorted.len().saturating_sub(1) / 2);
    let pairs: Vec<Pair<'_>> = sorted
        .iter()
        .enumerate()
        .flat_map(|(number, more)| sorted.iter().skip(number + 1).map(move |less| (*more, *less)))
        .map(|(more, less)| comparison.of(more, less, z))
        .collect();
    let verdict = of_all(pairs.iter().map(|pair| pair.verdict));
    let apart = |one: &&Pair<'_>, other: &&Pair<'_>| match comparison {
        Comparison::Gap(_) => one.found.cmp(&other.found),
        Comparison::Ratio(_) => other.found.cmp(&one.found),
    };
    let Some(pair) = pairs.iter().filter(|pair| pair.verdict == verdict).max_by(apart) else {
        let message = format!("there are no two groups of {} to compare", rule.slice);
        return Finding { verdict: Verdict::Inconclusive, value: None, message };
    };
    let Pair { more, less, found, range, .. } = pair;
    let points = |part: f64| number(part * 100.0);
    let (apart, bound, says) = match comparison {
        Comparison::Gap(max) => (
            format!("{} percentage points apart", points(rational::to_f64(found))),
            format!("between {} and {}", points(range.low), points(range.high)),
            match verdict {
                Verdict::Passed => format!("within the {} that are allowed", points(*max)),
                Verdict::Failed => format!("more than the {} that are allowed", points(*max)),
                _ => format!("too uncertain to say whether they are within {}", points(*max)),
            },
        ),
        Comparison::Ratio(min) => (
            format!("a ratio of {}", shown(found)),
            format!("between {} and {}", number(range.low), number(range.high)),
            match verdict {
                Verdict::Passed => format!("at least the {} that is asked for", number(*min)),
                Verdict::Failed => format!("less than the {} that is asked for", number(*min)),
                _ => format!("too uncertain to say whether it is at least {}", number(*min)),
            },
        ),
    };
    let needed = if verdict == Verdict::Inconclusive {
        let bound = match comparison {
            Comparison::Gap(bound) | Comparison::Ratio(bound) => *bound,
        };
        let times = enough::times(rational::to_f64(found), *range, bound);
        let whole = more.rate.whole.saturating_add(less.rate.whole);
        enough::rows(times, whole, &format!("{} of these two groups", denominator(rule.metric)))
    } else {
        String::new()
    };
    let message = format!(
        "{} is {} where {} is {}, and {} where it is {}: {apart} ({bound} at 95 %), {says}{needed}",
        metric_name(rule),
        counted(more.rate),
        rule.slice,
        more.name,
        counted(less.rate),
        less.name
    );
    Finding { verdict, value: Some(rational::decimal(found)), message }
}

/// The rate of each group by itself. The sentence names the lowest of those that decide.
fn lowest(rule: &FairnessRule, groups: &[Group<'_>], min: f64) -> Finding {
    let z = z(LEVEL, groups.len());
    let judged: Vec<(&Group<'_>, Interval, Verdict)> = groups
        .iter()
        .map(|group| (group, group.rate.wilson(z)))
        .map(|(group, range)| (group, range, verdict(range.low >= min, range.high < min)))
        .collect();
    let verdict = of_all(judged.iter().map(|(_, _, verdict)| *verdict));
    let decisive = judged.iter().filter(|(_, _, own)| *own == verdict);
    let Some((least, range, _)) = decisive.min_by(|one, other| one.0.rate.exact().cmp(&other.0.rate.exact())) else {
        let message = format!("there is no group of {} with enough rows", rule.slice);
        return Finding { verdict: Verdict::Inconclusive, value: None, message };
    };
    let says = match verdict {
        Verdict::Passed => format!("at least the {} that are asked for in each group", rate(min)),
        Verdict::Failed => format!("less than the {} that are asked for in each group", rate(min)),
        _ => format!("too uncertain to say whether each group reaches {}", rate(min)),
    };
    let more = if verdict == Verdict::Inconclusive {
        let times = enough::times(least.rate.rate(), *range, min);
        enough::rows(times, least.rate.whole, &format!("{} of this group", denominator(rule.metric)))
    } else {
        String::new()
    };
    let message = format!(
        "{} is lowest where {} is {}: {} (between {} and {} at 95 %), {says}{more}",
        metric_name(rule),
        rule.slice,
        least.name,
        counted(least.rate),
        rate(range.low),
        rate(range.high)
    );
    Finding { verdict, value: Some(rational::decimal(&least.rate.exact())), message }
}

fn counted(proportion: Proportion) -> String {
    format!("{} ({} of {})", rate(proportion.rate()), proportion.part, proportion.whole)
}

/// The rate that a rule compares. A ratio is one of the favourable outcome: the rate of those who have it, of the same rows.
pub(super) fn compared(rule: &FairnessRule, table: &Table) -> Proportion {
    let rate = match rule.metric {
        RateMetric::Recall => table.recall(),
        RateMetric::Specificity => table.false_alarms().complement(),
        RateMetric::FalsePositiveRate => table.false_alarms(),
        RateMetric::FalseNegativeRate => table.missed(),
        RateMetric::Precision => table.precision(),
        RateMetric::SelectionRate => table.selected(),
        RateMetric::Accuracy => table.accuracy(),
    };
    if rule.min_ratio.is_some() && is_turned(rule) { rate.complement() } else { rate }
}

/// Whether a rate is of those who do not have the favourable outcome.
const fn is_turned(rule: &FairnessRule) -> bool {
    match rule.metric {
        RateMetric::Recall | RateMetric::FalsePositiveRate | RateMetric::SelectionRate => {
            matches!(rule.favourable, Favourable::Negative)
        }
        RateMetric::Specificity | RateMetric::FalseNegativeRate => matches!(rule.favourable, Favourable::Positive),
        RateMetric::Precision | RateMetric::Accuracy => false,
    }
}

/// The name of the metric in sentences.
pub(super) fn metric_name(rule: &FairnessRule) -> String {
    let name = format!("{:?}", rule.metric);
    if rule.min_ratio.is_some() && is_turned(rule) { format!("1 - {name}") } else { name }
}

/// What the rate of a metric is of.
pub(super) const fn denominator(metric: RateMetric) -> &'static str {
    match metric {
        RateMetric::Recall | RateMetric::FalseNegativeRate => "positives",
        RateMetric::Specificity | RateMetric::FalsePositiveRate => "negatives",
        RateMetric::Precision => "rows taken for positive",
        RateMetric::SelectionRate | RateMetric::Accuracy => "rows",
    }
}
