//! What a judge counts of a version and its champion.

use seatrial_crds::{ClassCounts, FlaggedCounts, limits};

/// What a judge counted of a version and its champion, by fold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The folds, as the version's measurement has them.
    pub folds: Vec<ComparedFold>,
}

/// What it counted of a part of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComparedFold {
    /// The rows.
    pub rows: ClassCounts,
    /// Those that the champion takes for positive.
    pub champion: FlaggedCounts,
    /// Those that both take for positive, for each threshold of the version.
    pub both: Vec<FlaggedCounts>,
}

/// Positives and negatives of the rows, of those that the champion takes for positive, and of those that both do.
pub(super) type WireFold = ((i64, i64), (i64, i64), Vec<(i64, i64)>);

impl Compared {
    /// Reads folds; `None` where they do not fit each other.
    pub(super) fn read(folds: Vec<WireFold>) -> Option<Self> {
        let flagged = |(true_positives, false_positives): (i64, i64)| FlaggedCounts { true_positives, false_positives };
        let fold = |((positives, negatives), champion, both): WireFold| ComparedFold {
            rows: ClassCounts { positives, negatives },
            champion: flagged(champion),
            both: both.into_iter().map(flagged).collect(),
        };
        let compared = Self { folds: folds.into_iter().map(fold).collect() };
        let is_sound = (1..=2).contains(&compared.folds.len()) && compared.folds.iter().all(ComparedFold::is_sound);
        is_sound.then_some(compared)
    }

    /// The folds as a message has them.
    pub(super) fn write(&self) -> Vec<WireFold> {
        let pair = |counts: &FlaggedCounts| (counts.true_positives, counts.false_positives);
        let fold = |fold: &ComparedFold| {
            let rows = (fold.rows.positives, fold.rows.negatives);
            (rows, pair(&fold.champion), fold.both.iter().map(pair).collect())
        };
        self.folds.iter().map(fold).collect()
    }
}

impl ComparedFold {
    /// Whether there are thresholds, and no count is larger than the rows that it is of.
    fn is_sound(&self) -> bool {
        let Self { rows, champion, both } = self;
        let within = |counts: &FlaggedCounts, positives: i64, negatives: i64| {
            (0..=positives).contains(&counts.true_positives) && (0..=negatives).contains(&counts.false_positives)
        };
        (1..=limits::CURVE_POINTS).contains(&both.len())
            && within(champion, rows.positives, rows.negatives)
            && both.iter().all(|both| within(both, champion.true_positives, champion.false_positives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{JudgeMessage, JudgeMessageError, MAX_JUDGE_BYTES};

    const fn flagged((true_positives, false_positives): (i64, i64)) -> FlaggedCounts {
        FlaggedCounts { true_positives, false_positives }
    }

    fn round(compared: Compared) -> Result<JudgeMessage, JudgeMessageError> {
        JudgeMessage::parse(&JudgeMessage::Compared(compared).to_json())
    }

    /// Folds with so many thresholds, of so many rows in a thousand millions.
    fn compared(thresholds: usize, of: i64) -> Compared {
        let rows = ClassCounts { positives: of, negatives: of };
        let fold = ComparedFold { rows, champion: flagged((of, of)), both: vec![flagged((of, of)); thresholds] };
        Compared { folds: vec![fold.clone(), fold] }
    }

    #[test]
    fn a_comparison_comes_back_and_the_largest_has_room() {
        assert_eq!(round(compared(2, 1)), Ok(JudgeMessage::Compared(compared(2, 1))));
        let largest = JudgeMessage::Compared(compared(limits::CURVE_POINTS, 999_999_999));
        let text = largest.to_json();
        assert!(text.len() <= MAX_JUDGE_BYTES, "{} bytes", text.len());
        assert_eq!(JudgeMessage::parse(&text), Ok(largest));
    }

    #[test]
    fn a_comparison_that_does_not_fit_itself_is_refused() {
        let refused: [fn(&mut Compared); 6] = [
            |c| c.folds.clear(),
            |c| c.folds.push(c.folds[0].clone()),
            |c| c.folds[0].both.clear(),
            |c| c.folds[1].champion.true_positives = 11,
            |c| c.folds[1].both[0].false_positives = 11,
            |c| c.folds[0].both[1].true_positives = -1,
        ];
        for (number, change) in refused.into_iter().enumerate() {
            let mut compared = compared(2, 10);
            change(&mut compared);
            let parsed = round(compared);
            assert!(matches!(parsed, Err(JudgeMessageError::Malformed(_))), "{number}: {parsed:?}");
        }
    }
}
