//! What verdicts, gates and metrics mean, in words that ask for no knowledge of statistics.

use seatrial_core::gates;
use seatrial_crds::{
    ChampionGate, ChampionMetric, ErrorCosts, FairnessRule, Gate, ModelSpec, StatusQuo, Task, TaskType, Verdict,
};

use crate::judged::text::{number, percent, rounded};

/// A sign that is read without colour, the class of its colour, and the word.
pub(super) fn verdict(verdict: Option<Verdict>) -> (&'static str, &'static str, String) {
    let (sign, class) = match verdict {
        Some(Verdict::Passed) => ("✓", "good"),
        Some(Verdict::Failed | Verdict::Error) => ("✗", "bad"),
        _ => ("?", "doubt"),
    };
    (sign, class, verdict.map_or_else(|| "Not judged yet".to_owned(), |verdict| format!("{verdict:?}")))
}

/// What a verdict of the whole means.
pub(super) const fn meaning(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Passed) => "It meets everything that the owner asks for.",
        Some(Verdict::Failed) => "It does not meet what the owner asks for.",
        Some(Verdict::Error) => "Something that is needed to judge it is missing or malformed.",
        Some(Verdict::Inconclusive) => "There is too little evidence to say whether it meets what is asked for.",
        Some(Verdict::Pending) => "Its predictions are being measured.",
        Some(Verdict::AwaitingApproval) => {
            "All else is met, and people who are asked to approve it have not done so yet."
        }
        Some(Verdict::Waived) => "It does not meet everything, and the owner lets it pass for a while.",
        Some(Verdict::Held) => {
            "It meets everything, but only since the owner asks for something else: it waits for a newer version that passes."
        }
        Some(Verdict::Unjudged) => "Nothing is asked of it yet, or a question to the owner is open.",
        None => "Nobody has judged it yet.",
    }
}

/// What the gate of a judgement asks, by its name.
pub(super) fn asked(model: &ModelSpec, name: &str) -> String {
    if let Some(gate) = model.gates.iter().find(|gate| gate.name == name) {
        return gate_asks(gate, model);
    }
    if let Some(rule) = name.strip_prefix(gates::FAIRNESS).and_then(|rest| rest.strip_prefix('.')) {
        let mut rules = model.fairness.iter().flat_map(|fairness| &fairness.rules);
        return rules.find(|known| known.name == rule).map_or_else(gone, rule_asks);
    }
    match (name, &model.budget) {
        (gates::ERROR_COSTS, _) => match model.error_costs.as_ref().and_then(|costs| costs.status_quo) {
            Some(status_quo) => format!("It is worth having: its errors cost less than {}", without(status_quo)),
            None => "The owner says what errors cost".to_owned(),
        },
        (gates::leakage::LEAKAGE, _) => "It was not judged by what it was trained on".to_owned(),
        (gates::FAIRNESS, _) => "The owner says whom the model must treat alike".to_owned(),
        (gates::CONSUMERS, _) => "The owner says who asks the model".to_owned(),
        (gates::MAX_SIZE, Some(budget)) => match &budget.max_size {
            Some(size) => format!("Its files take at most {}", size.0),
            None => gone(),
        },
        _ => gone(),
    }
}

fn gone() -> String {
    "The Model does not ask this any more".to_owned()
}

fn gate_asks(gate: &Gate, model: &ModelSpec) -> String {
    let confidence = |level: &Option<String>| match level {
        Some(level) => match level.parse::<f64>() {
            Ok(level) => format!(", with a confidence of {}", percent(level)),
            Err(_) => format!(", with a confidence of {level}"),
        },
        None => String::new(),
    };
    match (&gate.metric, &gate.cost) {
        (Some(metric), _) => {
            let bounds = match (&metric.min, &metric.max) {
                (Some(min), Some(max)) => format!("between {min} and {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, Some(max)) => format!("at most {max}"),
                (None, None) => "without a bound".to_owned(),
            };
            let means = match self::metric(&metric.name) {
                "" => String::new(),
                means => format!(". {} says {means}", metric.name),
            };
            format!("{} is {bounds}{}{means}", metric.name, confidence(&metric.confidence))
        }
        (None, Some(cost)) => {
            let unit = model.error_costs.as_ref().and_then(|costs| costs.unit.as_deref()).unwrap_or_default();
            format!(
                "Errors cost at most {} for each prediction, counted in {unit}{}",
                cost.max_per_prediction,
                confidence(&cost.confidence)
            )
        }
        (None, None) => match (&gate.approval, &gate.champion) {
            (Some(approval), _) => {
                format!("{} of the group {} approve it", approval.count.unwrap_or(1), approval.group)
            }
            (None, Some(champion)) => {
                format!("{}{}", champion_asks(champion, model), confidence(&champion.confidence))
            }
            (None, None) => format!("A gate of type {:?}", gate.kind),
        },
    }
}

/// How a version must compare with the champion.
fn champion_asks(gate: &ChampionGate, model: &ModelSpec) -> String {
    let what = match gate.metric {
        ChampionMetric::Cost => "what its errors cost for each prediction",
        ChampionMetric::Accuracy => "its part of right decisions",
        ChampionMetric::Recall => "the part of the positives that it finds",
        ChampionMetric::Specificity => "the part of the negatives that it leaves alone",
    };
    let unit = model.error_costs.as_ref().and_then(|costs| costs.unit.as_deref());
    let unit = unit.filter(|_| gate.metric == ChampionMetric::Cost).map(|unit| format!(" {unit}")).unwrap_or_default();
    let gain = gate.min_gain.trim_start_matches('-');
    match (gate.min_gain.starts_with('-'), gate.min_gain.bytes().any(|byte| (b'1'..=b'9').contains(&byte))) {
        (_, false) => format!("It is better than the champion by {what}"),
        (true, true) => format!("It is at most {gain}{unit} worse than the champion by {what}"),
        (false, true) => format!("It is more than {gain}{unit} better than the champion by {what}"),
    }
}

/// What a rule of fairness asks.
pub(super) fn rule_asks(rule: &FairnessRule) -> String {
    let metric = rate_in_words(&format!("{:?}", rule.metric));
    let points = |text: &str| text.parse::<f64>().map_or_else(|_| text.to_owned(), percent);
    let gap_points = |text: &str| {
        text.parse::<f64>().map_or_else(|_| text.to_owned(), |gap| format!("{} percentage points", number(gap * 100.0)))
    };
    match (&rule.max_gap, &rule.min_ratio, &rule.min) {
        (Some(gap), ..) => {
            format!("The part {metric} differs by at most {} between any two groups of {}", gap_points(gap), rule.slice)
        }
        (_, Some(ratio), _) => {
            format!(
                "Of any two groups of {}, the smaller part {metric} is at least {} of the larger",
                rule.slice,
                points(ratio)
            )
        }
        (.., Some(min)) => format!("The part {metric} is at least {} in each group of {}", points(min), rule.slice),
        _ => format!("A rule about {}", rule.slice),
    }
}

/// What a rate counts.
pub(super) fn rate_in_words(metric: &str) -> String {
    match metric {
        "Recall" => "of the positives that is found",
        "FalseNegativeRate" => "of the positives that is missed",
        "FalsePositiveRate" => "of the negatives that is wrongly flagged",
        "Specificity" => "of the negatives that is rightly left alone",
        "Precision" => "of the flagged that is positive",
        "SelectionRate" => "of all that is flagged",
        "Accuracy" => "of all that is decided rightly",
        other => return format!("({other})"),
    }
    .to_owned()
}

/// What is done without the model.
pub(super) const fn without(status_quo: StatusQuo) -> &'static str {
    match status_quo {
        StatusQuo::FlagNone => "flagging nobody",
        StatusQuo::FlagAll => "flagging everybody",
    }
}

/// The answer what errors cost, in words. `None` where it is no whole answer.
pub(super) fn costs(costs: &ErrorCosts) -> Option<String> {
    let unit = costs.unit.as_deref()?;
    let prevalence = costs.prevalence.as_deref()?;
    let prevalence = prevalence.parse::<f64>().map_or_else(|_| prevalence.to_owned(), percent);
    Some(format!(
        "Counted in {unit}, a false alarm costs {}, and a miss {}. Where the model serves, {prevalence} are positive. Without the model, one would go on {}.",
        rounded(costs.false_positive.as_deref()?),
        rounded(costs.false_negative.as_deref()?),
        without(costs.status_quo?)
    ))
}

/// What a metric says; empty for one that only its author knows.
pub(super) fn metric(name: &str) -> &'static str {
    match name {
        "rocAuc" => "how often a positive row scores above a negative one: 0.5 is chance, 1 is perfect",
        "prAuc" => "how pure the flagged are, over all thresholds: 1 is perfect",
        "logLoss" => "how far scores are from the truth, confident errors counting most: 0 is perfect",
        "brier" => "how far scores are from the truth, squared: 0 is perfect",
        "calibrationError" => "how far scores are from what happens as often: 0 is perfect",
        "accuracy" => "the part of decisions that are right",
        "precision" => "the part of the flagged that are positive",
        "recall" => "the part of the positives that are found",
        "specificity" => "the part of the negatives that are rightly left alone",
        "f1" => "how well precision and recall do together: 1 is perfect",
        "cost" => "what its errors cost for each prediction",
        "pinball" => "how far predicted quantiles are off: 0 is perfect",
        "underprediction" => "by how much predictions are too low on average",
        "overprediction" => "by how much predictions are too high on average",
        "mae" => "how far predictions are off on average",
        "rmse" => "how far predictions are off, large errors counting more",
        "mape" => "how far predictions are off on average, as a part of the true value",
        "r2" => "how much better than always predicting the mean: 1 is perfect, 0 is no better",
        _ => "",
    }
}

/// The one number that says most, with what it says: `rocAuc=0.85 of churn-v6, which says how often …`.
pub(super) fn headline(headline: &str, of: Option<&str>) -> String {
    let of = of.map(|version| format!(" of {version}")).unwrap_or_default();
    let name = headline.split_once('=').map_or(headline, |(name, _)| name);
    match metric(name) {
        "" => format!("{headline}{of}"),
        means => format!("{headline}{of}, which says {means}"),
    }
}

/// What a row with the positive label is, in the owner's words, else by its label; `None` where a task has no positive rows.
pub(super) fn positive(task: Option<&Task>) -> Option<String> {
    let task = task.filter(|task| task.kind == TaskType::BinaryClassification)?;
    let label = task.positive_label.as_ref().map(|label| format!("\u{201c}{label}\u{201d}"));
    task.positive_means.as_ref().map(|means| format!("\u{201c}{means}\u{201d}")).or(label)
}

/// A count with a comma between thousands.
pub(super) fn count(counted: i64) -> String {
    let digits = counted.unsigned_abs().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if counted < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_parted() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (-7_200_000, "-7,200,000")] {
            assert_eq!(count(number), expected);
        }
        assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
    }

    /// Who reads a gate knows no metric by its name.
    #[test]
    fn each_metric_that_a_judge_measures_has_a_word() {
        let binary = ["rocAuc", "prAuc", "logLoss", "brier", "calibrationError", "accuracy", "precision", "recall"];
        let others = ["specificity", "f1", "mae", "rmse", "mape", "r2", "pinball", "underprediction", "overprediction"];
        for name in binary.into_iter().chain(others) {
            assert!(!metric(name).is_empty(), "{name}");
            let gate = serde_json::json!({"name": "g", "type": "Metric", "metric": {"name": name, "min": "0.7"}});
            let model = serde_json::json!({"owner": {"team": "t", "contact": "c"}, "objective": "o", "uses": ["Batch"], "gates": [gate]});
            let model: ModelSpec = serde_json::from_value(model).unwrap();
            assert_eq!(asked(&model, "g"), format!("{name} is at least 0.7. {name} says {}", metric(name)));
        }
        assert_eq!(headline("lift=3", Some("churn-v6")), "lift=3 of churn-v6");
    }
}
