//! Rules of fairness: how differently the groups of a slice may fare.
//!
//! Each rate has its own denominator: recall is of the positives, the false-positive rate of the negatives. A group with too
//! few of them decides nothing and is named. Where several pairs or groups are looked at, each interval is wider by
//! Bonferroni's rule, so that the rule as a whole keeps its level of 95 %.

use seatrial_crds::{FairnessRule, Favourable, MeasuredGroup, Measurement, RateMetric, SmallGroups, Verdict};

use super::Finding;
use super::intervals::{Interval, Proportion, difference, ratio, z};
use super::pooled::{Pooled, Table};
use super::wording::{number, rate};

const LEVEL: f64 = 0.95;
/// How many small groups a sentence names.
const NAMED: usize = 5;

/// A group with the rate that is compared.
#[derive(Clone, Debug)]
struct Group<'a> {
    name: &'a str,
    rate: Proportion,
}

/// Judges a rule.
pub(super) fn judge(rule: &FairnessRule, measurement: &Measurement, pooled: &Pooled) -> Finding {
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
        finding.message = format!("{}; {}", finding.message, too_few(rule, &small));
    }
    finding
}

fn name(group: &MeasuredGroup) -> &str {
    if group.value.is_empty() { "(empty)" } else { &group.value }
}

/// The groups with too few rows.
fn too_few(rule: &FairnessRule, small: &[Group<'_>]) -> String {
    let of = denominator(rule.metric);
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
    /// Judges a pair, the larger rate first: how far apart they are, with the interval, and what that comes to.
    fn of(&self, more: &Group<'_>, less: &Group<'_>, z: f64) -> (f64, Interval, Verdict) {
        match self {
            Self::Gap(max) => {
                let range = difference(more.rate, less.rate, z);
                // Which of the two is ahead is not known beforehand.
                let range = Interval { low: range.low.max(0.0), high: range.high.max(-range.low) };
                let verdict = verdict(range.high <= *max, range.low > *max);
                (more.rate.rate() - less.rate.rate(), range, verdict)
            }
            Self::Ratio(min) => {
                let range = ratio(less.rate, more.rate, z);
                let other_way = if range.high > 0.0 { 1.0 / range.high } else { f64::INFINITY };
                let range = Interval { low: range.low.min(other_way), high: range.high.min(1.0) };
                let found = if more.rate.part > 0 { less.rate.rate() / more.rate.rate() } else { 1.0 };
                (found, range, verdict(range.low >= *min, range.high < *min))
            }
        }
    }
}

const fn verdict(holds: bool, is_broken: bool) -> Verdict {
    match (holds, is_broken) {
        (true, _) => Verdict::Passed,
        (_, true) => Verdict::Failed,
        _ => Verdict::Inconclusive,
    }
}

/// Compares each two groups: a pass needs every pair within the bound, a fail some pair beyond it.
fn compare(rule: &FairnessRule, groups: &[Group<'_>], comparison: &Comparison) -> Finding {
    let mut sorted: Vec<&Group<'_>> = groups.iter().collect();
    sorted.sort_by(|one, other| other.rate.rate().total_cmp(&one.rate.rate()));
    let (Some(most), Some(least)) = (sorted.first(), sorted.last().filter(|_| sorted.len() > 1)) else {
        let message = format!("there are no two groups of {} to compare", rule.slice);
        return Finding { verdict: Verdict::Inconclusive, value: None, message };
    };
    let pairs = sorted.len() * (sorted.len() - 1) / 2;
    let z = z(LEVEL, pairs);
    let verdicts: Vec<Verdict> = sorted
        .iter()
        .enumerate()
        .flat_map(|(number, more)| sorted.iter().skip(number + 1).map(move |less| (more, less)))
        .map(|(more, less)| comparison.of(more, less, z).2)
        .collect();
    let verdict = [Verdict::Failed, Verdict::Inconclusive]
        .into_iter()
        .find(|verdict| verdicts.contains(verdict))
        .unwrap_or(Verdict::Passed);
    let (found, range, _) = comparison.of(most, least, z);
    let (apart, bound, allowed) = match comparison {
        Comparison::Gap(max) => (
            format!("{} points apart", number(found * 100.0)),
            format!("between {} and {}", number(range.low * 100.0), number(range.high * 100.0)),
            format!("{} points", number(max * 100.0)),
        ),
        Comparison::Ratio(min) => (
            format!("a ratio of {}", number(found)),
            format!("between {} and {}", number(range.low), number(range.high)),
            number(*min),
        ),
    };
    let within = matches!(comparison, Comparison::Gap(_));
    let says = match (verdict, within) {
        (Verdict::Passed, true) => format!("within the {allowed} that are allowed"),
        (Verdict::Passed, false) => format!("at least the {allowed} that is asked for"),
        (Verdict::Failed, true) => format!("more than the {allowed} that are allowed"),
        (Verdict::Failed, false) => format!("less than the {allowed} that is asked for"),
        (_, true) => format!("too uncertain to say whether they are within {allowed}"),
        (_, false) => format!("too uncertain to say whether it is at least {allowed}"),
    };
    let what = metric_name(rule);
    let message = format!(
        "{what} is {} where {} is {}, and {} where it is {}: {apart} ({bound} at 95 %), {says}",
        counted(most.rate),
        rule.slice,
        most.name,
        counted(least.rate),
        least.name
    );
    Finding { verdict, value: Some(format!("{found:.12}")), message }
}

/// The lowest rate of any group.
fn lowest(rule: &FairnessRule, groups: &[Group<'_>], min: f64) -> Finding {
    let z = z(LEVEL, groups.len());
    let judged = groups.iter().map(|group| (group, group.rate.wilson(z)));
    let judged: Vec<(&Group<'_>, Interval, Verdict)> =
        judged.map(|(group, range)| (group, range, verdict(range.low >= min, range.high < min))).collect();
    let Some((least, range, _)) = judged.iter().min_by(|one, other| one.0.rate.rate().total_cmp(&other.0.rate.rate()))
    else {
        let message = format!("there is no group of {} with enough rows", rule.slice);
        return Finding { verdict: Verdict::Inconclusive, value: None, message };
    };
    let any = |wanted: Verdict| judged.iter().any(|(_, _, verdict)| *verdict == wanted);
    let verdict =
        [Verdict::Failed, Verdict::Inconclusive].into_iter().find(|wanted| any(*wanted)).unwrap_or(Verdict::Passed);
    let says = match verdict {
        Verdict::Passed => format!("at least the {} that are asked for in each group", rate(min)),
        Verdict::Failed => format!("less than the {} that are asked for in each group", rate(min)),
        _ => format!("too uncertain to say whether each group reaches {}", rate(min)),
    };
    let message = format!(
        "{} is lowest where {} is {}: {} (between {} and {} at 95 %), {says}",
        metric_name(rule),
        rule.slice,
        least.name,
        counted(least.rate),
        rate(range.low),
        rate(range.high)
    );
    Finding { verdict, value: Some(format!("{:.12}", least.rate.rate())), message }
}

fn counted(proportion: Proportion) -> String {
    format!("{} ({} of {})", rate(proportion.rate()), proportion.part, proportion.whole)
}

/// The rate that a rule compares. A ratio is one of the favourable outcome: the rate of those who have it, of the same rows.
fn compared(rule: &FairnessRule, table: &Table) -> Proportion {
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

fn metric_name(rule: &FairnessRule) -> String {
    let name = format!("{:?}", rule.metric);
    if rule.min_ratio.is_some() && is_turned(rule) { format!("1 - {name}") } else { name }
}

/// What the rate of a metric is of.
const fn denominator(metric: RateMetric) -> &'static str {
    match metric {
        RateMetric::Recall | RateMetric::FalseNegativeRate => "positives",
        RateMetric::Specificity | RateMetric::FalsePositiveRate => "negatives",
        RateMetric::Precision => "rows taken for positive",
        RateMetric::SelectionRate | RateMetric::Accuracy => "rows",
    }
}
