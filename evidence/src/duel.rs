//! Two versions on the same rows: what the champion decides, and where the version decides alike. Who is right where they differ
//! follows from these counts and from what was measured of the version.

use std::path::Path;

use seatrial_core::contract::{Compared, ComparedFold, DuelConfig, JudgeConfig};
use seatrial_crds::ClassCounts;

use crate::folds::HALF;
use crate::problem::Problem;
use crate::progress;
use crate::ranked::{Counts, wide};
use crate::rows;

/// What is counted of a fold.
struct Tally {
    /// The thresholds of the version, the largest first.
    thresholds: Vec<f64>,
    rows: Counts,
    champion: Counts,
    /// Of the rows that the champion takes for positive, those that the version does from this threshold on and from no
    /// larger one.
    begins: Vec<Counts>,
}

impl Tally {
    fn new(thresholds: Vec<f64>) -> Self {
        let begins = vec![Counts::default(); thresholds.len()];
        Self { thresholds, rows: Counts::default(), champion: Counts::default(), begins }
    }

    fn add(&mut self, positive: bool, score: f64, by_champion: bool) {
        self.rows.add(positive);
        if by_champion {
            self.champion.add(positive);
            let place = self.thresholds.partition_point(|threshold| score < *threshold);
            if let Some(counts) = self.begins.get_mut(place) {
                counts.add(positive);
            }
        }
    }

    fn compared(self) -> ComparedFold {
        let mut both = Counts::default();
        let mut sum = |more: Counts| {
            both = Counts { positives: both.positives + more.positives, negatives: both.negatives + more.negatives };
            both.flagged()
        };
        ComparedFold {
            rows: ClassCounts { positives: wide(self.rows.positives), negatives: wide(self.rows.negatives) },
            champion: self.champion.flagged(),
            both: self.begins.into_iter().map(&mut sum).collect(),
        }
    }
}

/// Compares a version with its champion.
pub(crate) fn compare(config: &JudgeConfig, duel: &DuelConfig) -> Result<Compared, Problem> {
    let failed = |what: &str| Problem::Failed(format!("{what}: let operator and judge be of one release"));
    let positive = config.task.positive_label.as_deref();
    let positive = positive.ok_or_else(|| failed("versions are compared by a binary classification alone"))?;
    let mut evidence = rows::load(config)?;
    if evidence.scored == duel.thresholds.is_empty() {
        return Err(failed("the thresholds do not go with the predictions"));
    }
    let scores: Vec<f64> = evidence.rows.iter().map(|row| row.score).collect();
    let path = Path::new(&duel.predictions);
    let scored = rows::replace_scores(&mut evidence.rows, path, positive, evidence.classes.as_ref())?;
    progress::say_measuring(scores.len());
    let number = |text: &String| text.parse::<f64>().map_err(|_| failed("a threshold is no number"));
    let threshold = match &duel.threshold {
        Some(threshold) if scored => number(threshold)?,
        None if scored && !evidence.rows.iter().all(|row| (0.0..=1.0).contains(&row.score)) => {
            return Err(Problem::Unusable(
                "the champion's scores are no probabilities, and no costs of errors chose a threshold for it"
                    .to_owned(),
            ));
        }
        _ => HALF,
    };
    let mut tallies: Vec<Tally> = if evidence.scored {
        let of_fold = |fold: &Vec<String>| fold.iter().map(number).collect::<Result<_, _>>().map(Tally::new);
        duel.thresholds.iter().map(of_fold).collect::<Result<_, _>>()?
    } else {
        vec![Tally::new(vec![HALF])]
    };
    for (row, score) in evidence.rows.iter().zip(&scores) {
        let fold = if evidence.scored { row.fold() } else { 0 };
        if let Some(tally) = tallies.get_mut(fold) {
            tally.add(row.positive(), *score, row.score >= threshold);
        }
    }
    Ok(Compared { folds: tallies.into_iter().map(Tally::compared).collect() })
}

#[cfg(test)]
mod tests;
