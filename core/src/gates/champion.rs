//! Gates of type `Champion`: they compare a version with the one in service, on the same rows. They decide from the counts of a
//! duel, so that another bound starts no Job.

use num_traits::{One, Signed, Zero};
use seatrial_crds::{ChampionGate, ChampionMetric, Duel, GateType, Measurement, ModelSpec, TaskType, Verdict};

use super::costs::{self, LEVEL, MIN_CLASS};
use super::enough;
use super::intervals::{Interval, z};
use super::paired::{self, Classes, Paired};
use super::pooled::Costs;
use super::wording::{Words, level, number, percent, rate, shown};
use super::{Finding, Known, applies};
use crate::rational::{self, Rational};

/// What is known of a version's duel.
#[derive(Clone, Debug, PartialEq)]
pub enum DuelState<'a> {
    /// It is over, or there is no champion.
    Over(&'a Duel),
    /// It is being held; the sentence says how it stands.
    Pending(String),
    /// It cannot be held for now; the sentence says why.
    Unavailable(String),
    /// It can never be held; the sentence says why.
    Impossible(String),
}

impl<'a> DuelState<'a> {
    /// The state of a duel in a status.
    pub fn of(duel: Option<&'a Duel>) -> Self {
        match duel {
            Some(duel) if is_over(duel) => Self::Over(duel),
            _ => Self::Pending("the champion is being evaluated on the same data".to_owned()),
        }
    }
}

/// Whether there is nothing more to be done for a duel.
const fn is_over(duel: &Duel) -> bool {
    duel.champion.is_none() || duel.problem.is_some() || duel.measurement.is_some()
}

/// Whether a Model asks for duels.
pub fn asks_for_duel(model: &ModelSpec) -> bool {
    model.gates.iter().any(|gate| gate.kind == GateType::Champion)
}

/// Judges a gate of type `Champion` for a version of these files.
pub(super) fn judge(gate: Option<&ChampionGate>, files: &str, known: &Known<'_>, duel: &DuelState<'_>) -> Finding {
    let error = |message: &str| Finding::without_value(Verdict::Error, message.to_owned());
    let Some(gate) = gate else {
        return error("the gate does not say how to compare with the champion: set its field champion");
    };
    let Some(bar) = rational::parse(&gate.min_gain) else {
        return error(&format!("minGain is \"{}\", which is no number", gate.min_gain));
    };
    if gate.metric == ChampionMetric::Cost && known.costs.is_none() {
        return error(costs::UNKNOWN);
    }
    known.decide(|measurement, _| match duel {
        DuelState::Over(duel) => over(gate, &bar, known, measurement, (duel, files)),
        DuelState::Pending(how) => Finding::without_value(Verdict::Pending, how.clone()),
        DuelState::Unavailable(why) => Finding::without_value(Verdict::Inconclusive, why.clone()),
        DuelState::Impossible(why) => Finding::without_value(Verdict::Error, why.clone()),
    })
}

fn over(
    gate: &ChampionGate,
    bar: &Rational,
    known: &Known<'_>,
    measurement: &Measurement,
    (duel, files): (&Duel, &str),
) -> Finding {
    let costs = known.costs.as_ref();
    let undecided = |message: String| Finding::without_value(Verdict::Inconclusive, message);
    let Some(champion) = &duel.champion else {
        let message = "FirstVersion: there was no champion to compare with when it was judged";
        return Finding::without_value(Verdict::Passed, message.to_owned());
    };
    let name = &champion.version;
    let problem = duel.problem.as_ref().or_else(|| duel.measurement.as_ref()?.problem.as_ref());
    if let Some(problem) = problem {
        return undecided(format!("the champion {name} could not be compared with: {problem}"));
    }
    let pooled = duel.measurement.as_ref().and_then(|counted| paired::pool(measurement, counted, costs));
    let Some(classes) = pooled else {
        return undecided(format!("what was counted of the champion {name} does not fit what was measured"));
    };
    let confidence = gate.confidence.as_deref().unwrap_or(LEVEL);
    let contest = Contest { gate, costs, words: known.words, name, classes };
    let (gain, range) = (contest.gain(), contest.interval(z(level(confidence), 1)));
    let limit = rational::to_f64(bar);
    let few = contest.too_few();
    let verdict = if few.is_some() {
        Verdict::Inconclusive
    } else if range.low > limit {
        Verdict::Passed
    } else if range.high <= limit {
        Verdict::Failed
    } else {
        Verdict::Inconclusive
    };
    let unit = contest.unit();
    let more = if few.is_none() && verdict == Verdict::Inconclusive {
        let times = enough::times(rational::to_f64(&gain), range, limit);
        enough::rows(times, contest.rows().rows(), contest.what())
    } else {
        String::new()
    };
    let before = match duel.judged_before {
        None | Some(0) => String::new(),
        Some(1) => "; 1 version was judged on the same labels before".to_owned(),
        Some(count) => format!("; {count} versions were judged on the same labels before"),
    };
    // What is gained by another line through the same scores is no better model.
    let same = if champion.artifact.digest == files {
        let at = champion.threshold.as_deref().map_or_else(
            || "0.5".to_owned(),
            |threshold| rational::parse(threshold).map_or_else(|| threshold.to_owned(), |value| shown(&value)),
        );
        format!("; both have the same files, with which {name} decides at the threshold {at}")
    } else {
        String::new()
    };
    let message = format!(
        "{} (gain between {} and {}{unit} at {}; {}), {}{more}{same}{before}",
        contest.sentence(&gain),
        number(range.low),
        number(range.high),
        percent(confidence),
        contest.basis(),
        few.unwrap_or_else(|| says(verdict, bar, &unit)),
    );
    Finding { verdict, value: Some(rational::decimal(&gain)), message }
}

/// A version and its champion, by the metric of a gate.
struct Contest<'a> {
    gate: &'a ChampionGate,
    costs: Option<&'a Costs<'a>>,
    words: Words<'a>,
    name: &'a str,
    classes: Classes,
}

impl Contest<'_> {
    /// The rows that the metric is of; for costs there are two kinds.
    fn rows(&self) -> Paired {
        match self.gate.metric {
            ChampionMetric::Recall => self.classes.positives,
            ChampionMetric::Specificity => self.classes.negatives,
            ChampionMetric::Accuracy | ChampionMetric::Cost => self.classes.all(),
        }
    }

    /// The costs, where the metric is that.
    fn costs(&self) -> Option<&Costs<'_>> {
        self.costs.filter(|_| self.gate.metric == ChampionMetric::Cost)
    }

    /// By how much the version is better.
    fn gain(&self) -> Rational {
        let Classes { positives, negatives } = self.classes;
        match self.costs() {
            Some(costs) => costs.miss() * positives.difference() + costs.alarm() * negatives.difference(),
            None => self.rows().difference(),
        }
    }

    fn interval(&self, z: f64) -> Interval {
        let Classes { positives, negatives } = self.classes;
        match self.costs() {
            Some(costs) => {
                let (miss, alarm) = (rational::to_f64(&costs.miss()), rational::to_f64(&costs.alarm()));
                paired::weighted_sum(miss, positives, alarm, negatives, z)
            }
            None => self.rows().interval(z),
        }
    }

    /// Why there are too few rows to decide; `None` where there are enough.
    fn too_few(&self) -> Option<String> {
        let Classes { positives, negatives } = self.classes;
        if self.gate.metric == ChampionMetric::Cost {
            return costs::too_few(positives.rows(), negatives.rows());
        }
        let rows = self.rows().rows();
        (rows < MIN_CLASS).then(|| format!("{rows} {} are too few, {MIN_CLASS} are needed", self.what()))
    }

    /// What the metric is of.
    const fn what(&self) -> &'static str {
        match self.gate.metric {
            ChampionMetric::Recall => "positives",
            ChampionMetric::Specificity => "negatives",
            ChampionMetric::Accuracy | ChampionMetric::Cost => "rows",
        }
    }

    /// The unit of the gain, with a blank before it; nothing for a rate.
    fn unit(&self) -> String {
        self.costs().map(|costs| format!(" {}", costs.unit)).unwrap_or_default()
    }

    fn sentence(&self, gain: &Rational) -> String {
        let (amount, name) = (shown(&gain.abs()), self.name);
        if let Some(costs) = self.costs() {
            let unit = costs.unit;
            return if gain.is_zero() {
                format!("costs as much as the champion {name}")
            } else if gain.is_positive() {
                format!("saves {amount} {unit} for each prediction against the champion {name}")
            } else {
                format!("costs {amount} {unit} more for each prediction than the champion {name}")
            };
        }
        let what = match self.gate.metric {
            ChampionMetric::Recall => "recall",
            ChampionMetric::Specificity => "specificity",
            ChampionMetric::Accuracy | ChampionMetric::Cost => "accuracy",
        };
        if gain.is_zero() {
            format!("its {what} is that of the champion {name}")
        } else {
            let side = if gain.is_positive() { "above" } else { "below" };
            format!("its {what} is {amount} {side} that of the champion {name}")
        }
    }

    /// The counts of the rows where the two differ, in words.
    fn basis(&self) -> String {
        let Classes { positives, negatives } = self.classes;
        let name = self.name;
        let found = format!(
            "of {} {} it alone finds {} and {name} alone {}",
            positives.rows(),
            self.words.positives(),
            positives.first,
            positives.second
        );
        // The one that alone is right about a negative does not flag it. So the other one alone flags it.
        let flagged = format!(
            "of {} negatives it alone flags {} and {name} alone {}",
            negatives.rows(),
            negatives.second,
            negatives.first
        );
        match (self.gate.metric, self.costs()) {
            (ChampionMetric::Recall, _) => found,
            (ChampionMetric::Specificity, _) => flagged,
            (_, Some(costs)) => {
                format!("{found}; {flagged}; where {} are positive", rate(rational::to_f64(&costs.prevalence)))
            }
            (_, None) => format!("{found}; {flagged}"),
        }
    }
}

/// What a verdict says about `minGain`, in words.
fn says(verdict: Verdict, bar: &Rational, unit: &str) -> String {
    let amount = format!("{}{unit}", shown(&bar.abs()));
    let (met, unmet) = if bar.is_zero() {
        ("better by more than chance explains".to_owned(), "not better".to_owned())
    } else if bar.is_negative() {
        (
            format!("not worse by more than the {amount} that are allowed"),
            format!("worse by more than the {amount} that are allowed"),
        )
    } else {
        (
            format!("better by more than the {amount} that are asked for"),
            format!("not better by the {amount} that are asked for"),
        )
    };
    match verdict {
        Verdict::Passed => met,
        Verdict::Failed => unmet,
        _ => format!("too uncertain to say whether it is {met}"),
    }
}

/// Why no version can ever pass a gate; `None` where one may.
pub(super) fn problem(model: &ModelSpec, name: &str, gate: &ChampionGate) -> Option<String> {
    if model.task.as_ref().is_none_or(|task| task.kind != TaskType::BinaryClassification) {
        return Some(format!(
            "the gate \"{name}\" compares decisions with those of the champion: set spec.task to type BinaryClassification"
        ));
    }
    let is_cost = gate.metric == ChampionMetric::Cost;
    if is_cost && !applies(model) {
        return Some(format!(
            "the gate \"{name}\" compares what errors cost, and spec.errorCosts does not say what they do"
        ));
    }
    let most = match model.error_costs.as_ref().filter(|_| is_cost) {
        Some(answer) => Costs::of(answer).map(|costs| costs.miss() + costs.alarm())?,
        None => Rational::one(),
    };
    let bar = rational::parse(&gate.min_gain)?;
    (bar >= most).then(|| {
        format!(
            "no version passes the gate \"{name}\": nothing gains more than {}, and minGain is {}",
            shown(&most),
            gate.min_gain
        )
    })
}

#[cfg(test)]
mod tests;
