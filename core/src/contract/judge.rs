//! What a judge's container is told, and what it says: the judge measures, and decides nothing.

use seatrial_crds::{
    ClassCounts, CurvePoint, FlaggedCounts, Fold, FoldPoint, MeasuredGroup, MeasuredMetric, Task, limits,
};
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;

/// The version of the judge's config and of its message. It is part of what names a measurement: a judge that measures
/// otherwise measures again.
pub const JUDGE_VERSION: u32 = 1;

/// The size in bytes that a judge's message stays within: what Kubernetes allows one container of a pod with three, of
/// which a mesh may have injected one.
pub const MAX_JUDGE_BYTES: usize = 4000;

/// What a judge is told, as JSON in [`super::CONFIG_VARIABLE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JudgeConfig {
    /// [`JUDGE_VERSION`].
    pub version: u32,
    /// What the model decides.
    pub task: Task,
    /// The file of the predictions, absolute.
    pub predictions: String,
    /// The owner's labels; absent: they stand in the predictions, in the column `label`, and slices beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelsConfig>,
    /// The columns that divide the rows into groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
}

/// Where the owner's labels are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelsConfig {
    /// The folder that holds the labels' one file, absolute.
    pub folder: String,
    /// The column whose values name the rows.
    pub id: String,
    /// The column of the labels.
    pub label: String,
}

/// What a judge says at its end, as its container's termination message.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgeMessage {
    /// What it measured.
    Measured(Measured),
    /// Why the tables cannot be measured, for people: the same tables will never be.
    Unusable(String),
    /// What else went wrong: another attempt may succeed.
    Failed(String),
}

/// What a judge measured, as [`seatrial_crds::Measurement`] has it.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Measurement")]
pub struct Measured {
    pub rows: i64,
    pub metrics: Vec<MeasuredMetric>,
    pub groups: Vec<MeasuredGroup>,
    pub folds: Vec<Fold>,
    pub curve: Vec<CurvePoint>,
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeMessageError {
    /// It is no JSON of the expected form.
    #[error("the judge's message is malformed: {0}")]
    Malformed(String),
    /// It is of another version.
    #[error("the judge's message is of version {0}, expected {JUDGE_VERSION}")]
    OtherVersion(u32),
}

/// Two counts: true and false positives, or positives and negatives.
type Pair = (i64, i64);

/// A message as it is written: members by position, so that some fifty points of a few groups have room.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    n: i64,
    /// Metrics: name, value, standard error or nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    m: Vec<(String, String, String)>,
    /// Groups: slice and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    g: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    f: Vec<WireFold>,
    /// The curve: threshold and counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    c: Vec<(String, i64, i64)>,
}

/// A fold: rows, rows of each group, and points with threshold, choosing, counted and the counts of each group, flat.
#[derive(Serialize, Deserialize)]
struct WireFold(Pair, Vec<i64>, Vec<(Option<String>, Pair, Pair, Vec<i64>)>);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl JudgeMessage {
    /// Reads a termination message.
    ///
    /// # Errors
    /// Anything but JSON of this version whose counts fit each other.
    pub fn parse(text: &str) -> Result<Self, JudgeMessageError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let malformed = |error: serde_json::Error| JudgeMessageError::Malformed(error.to_string());
        let Version { v } = serde_json::from_str(text).map_err(malformed)?;
        if v != JUDGE_VERSION {
            return Err(JudgeMessageError::OtherVersion(v));
        }
        let wire: Wire = serde_json::from_str(text).map_err(malformed)?;
        match (wire.unusable, wire.failed) {
            (Some(why), _) => Ok(Self::Unusable(why)),
            (None, Some(why)) => Ok(Self::Failed(why)),
            (None, None) => {
                let metric = |(name, value, error): (String, String, String)| MeasuredMetric {
                    name,
                    value,
                    standard_error: (!error.is_empty()).then_some(error),
                };
                let measured = Measured {
                    rows: wire.n,
                    metrics: wire.m.into_iter().map(metric).collect(),
                    groups: wire.g.into_iter().map(|(slice, value)| MeasuredGroup { slice, value }).collect(),
                    folds: wire.f.into_iter().map(fold).collect(),
                    curve: wire
                        .c
                        .into_iter()
                        .map(|(threshold, t, f)| CurvePoint { threshold, flagged: flagged((t, f)) })
                        .collect(),
                };
                measured.check().map_err(JudgeMessageError::Malformed)?;
                Ok(Self::Measured(measured))
            }
        }
    }

    /// The JSON that is written. A judge gives fewer points where it is longer than [`MAX_JUDGE_BYTES`]; a text is cut.
    pub fn to_json(&self) -> String {
        let mut wire =
            Wire { v: JUDGE_VERSION, unusable: None, failed: None, n: 0, m: vec![], g: vec![], f: vec![], c: vec![] };
        let text = |why: &str| {
            let mut why = why.to_owned();
            crate::text::truncate(&mut why, limits::SENTENCE);
            Some(why)
        };
        match self {
            Self::Unusable(why) => wire.unusable = text(why),
            Self::Failed(why) => wire.failed = text(why),
            Self::Measured(measured) => {
                wire.n = measured.rows;
                wire.m = measured
                    .metrics
                    .iter()
                    .map(|m| (m.name.clone(), m.value.clone(), m.standard_error.clone().unwrap_or_default()))
                    .collect();
                wire.g = measured.groups.iter().map(|group| (group.slice.clone(), group.value.clone())).collect();
                wire.f = measured.folds.iter().map(wire_fold).collect();
                wire.c = measured
                    .curve
                    .iter()
                    .map(|p| (p.threshold.clone(), p.flagged.true_positives, p.flagged.false_positives))
                    .collect();
            }
        }
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

impl Measured {
    /// Whether the numbers fit each other: as many counts as groups, nobody flagged who is not there, bounds kept. Gates
    /// rely on it, and the API server refuses a whole status for one text that is too long.
    fn check(&self) -> Result<(), String> {
        self.check_texts()?;
        let bounds = [
            (self.metrics.len(), limits::MEASURED_METRICS, "metrics"),
            (self.groups.len(), limits::MEASURED_GROUPS, "groups"),
            (self.folds.len(), 2, "folds"),
            (self.curve.len(), limits::CURVE_POINTS, "points of the curve"),
        ];
        for (count, most, what) in bounds {
            if count > most {
                return Err(format!("{count} {what} are more than {most}"));
            }
        }
        let within = |flagged: &FlaggedCounts, rows: &ClassCounts| {
            (0..=rows.positives).contains(&flagged.true_positives)
                && (0..=rows.negatives).contains(&flagged.false_positives)
        };
        for (number, fold) in self.folds.iter().enumerate() {
            let choosing = self.folds.get(1 - number).map(|other| other.rows).unwrap_or_default();
            let points = fold.points.iter().all(|point| {
                within(&point.counted, &fold.rows)
                    && within(&point.choosing, &choosing)
                    && point.groups.len() == self.groups.len()
                    && point.groups.iter().zip(&fold.groups).all(|(flagged, rows)| within(flagged, rows))
            });
            let counted = |rows: &ClassCounts| rows.positives >= 0 && rows.negatives >= 0;
            let sound = fold.groups.len() == self.groups.len()
                && fold.points.len() <= limits::CURVE_POINTS
                && std::iter::once(&fold.rows).chain(&fold.groups).all(counted)
                && points;
            if !sound {
                return Err(format!("the counts of fold {number} do not fit each other"));
            }
        }
        let rows = self.folds.iter().map(|fold| fold.rows).fold(ClassCounts::default(), |sum, rows| ClassCounts {
            positives: sum.positives.saturating_add(rows.positives),
            negatives: sum.negatives.saturating_add(rows.negatives),
        });
        if self.curve.iter().all(|point| within(&point.flagged, &rows)) {
            Ok(())
        } else {
            Err("the counts of the curve do not fit the folds".to_owned())
        }
    }
}

impl Measured {
    /// Whether names and decimals are such as a status may have.
    fn check_texts(&self) -> Result<(), String> {
        let decimal = |text: &str| text.len() <= limits::DECIMAL && Decimal::parse(text).is_some();
        let metric = |metric: &MeasuredMetric| {
            (1..=limits::METRIC_NAME).contains(&metric.name.len())
                && decimal(&metric.value)
                && metric.standard_error.as_deref().is_none_or(decimal)
        };
        let group = |group: &MeasuredGroup| group.slice.len() <= limits::COLUMN && group.value.len() <= limits::LABEL;
        let thresholds = self.folds.iter().flat_map(|fold| &fold.points).filter_map(|point| point.threshold.as_deref());
        let mut thresholds = thresholds.chain(self.curve.iter().map(|point| point.threshold.as_str()));
        let checks = [
            (self.rows >= 0, "the number of rows is negative"),
            (self.metrics.iter().all(metric), "a metric has no short name, or no number for a value"),
            (self.groups.iter().all(group), "a group's name is too long"),
            (thresholds.all(decimal), "a threshold is no short number"),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err((*problem).to_owned()),
            None => Ok(()),
        }
    }
}

const fn flagged((true_positives, false_positives): Pair) -> FlaggedCounts {
    FlaggedCounts { true_positives, false_positives }
}

fn fold(WireFold(rows, groups, points): WireFold) -> Fold {
    let (positives, negatives) = rows;
    let group = |pair: &[i64]| ClassCounts {
        positives: pair.first().copied().unwrap_or_default(),
        negatives: pair.get(1).copied().unwrap_or_default(),
    };
    let of_group =
        |pair: &[i64]| flagged((pair.first().copied().unwrap_or_default(), pair.get(1).copied().unwrap_or_default()));
    let point = |(threshold, choosing, counted, groups): (Option<String>, Pair, Pair, Vec<i64>)| FoldPoint {
        threshold,
        choosing: flagged(choosing),
        counted: flagged(counted),
        groups: groups.chunks(2).map(of_group).collect(),
    };
    Fold {
        rows: ClassCounts { positives, negatives },
        groups: groups.chunks(2).map(group).collect(),
        points: points.into_iter().map(point).collect(),
    }
}

fn wire_fold(fold: &Fold) -> WireFold {
    let pair = |flagged: &FlaggedCounts| (flagged.true_positives, flagged.false_positives);
    let point = |point: &FoldPoint| {
        let groups = point.groups.iter().flat_map(|group| [group.true_positives, group.false_positives]).collect();
        (point.threshold.clone(), pair(&point.choosing), pair(&point.counted), groups)
    };
    WireFold(
        (fold.rows.positives, fold.rows.negatives),
        fold.groups.iter().flat_map(|group| [group.positives, group.negatives]).collect(),
        fold.points.iter().map(point).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let counts = |positives, negatives| ClassCounts { positives, negatives };
        let point = |threshold: &str| FoldPoint {
            threshold: Some(threshold.into()),
            choosing: flagged((3, 1)),
            counted: flagged((2, 2)),
            groups: vec![flagged((1, 0)), flagged((1, 2))],
        };
        let fold =
            |points: Vec<FoldPoint>| Fold { rows: counts(4, 6), groups: vec![counts(1, 3), counts(3, 3)], points };
        Measured {
            rows: 20,
            metrics: vec![MeasuredMetric {
                name: "rocAuc".into(),
                value: "0.81".into(),
                standard_error: Some("0.02".into()),
            }],
            groups: vec![
                MeasuredGroup { slice: "black".into(), value: "no".into() },
                MeasuredGroup { slice: "black".into(), value: "yes".into() },
            ],
            folds: vec![fold(vec![point("0.5"), point("0.25")]), fold(vec![point("0.5")])],
            curve: vec![CurvePoint { threshold: "0.5".into(), flagged: flagged((5, 3)) }],
        }
    }

    #[test]
    fn a_message_comes_back() {
        let messages = [
            JudgeMessage::Measured(measured()),
            JudgeMessage::Unusable("two rows have the id 7".into()),
            JudgeMessage::Failed("no memory".into()),
        ];
        for message in messages {
            assert_eq!(JudgeMessage::parse(&message.to_json()), Ok(message));
        }
    }

    #[test]
    fn counts_that_do_not_fit_each_other_are_refused() {
        let refused: [fn(&mut Measured); 13] = [
            |m| m.rows = -1,
            |m| {
                m.folds[0] =
                    Fold { rows: ClassCounts { positives: -1, negatives: 1 }, points: vec![], ..m.folds[0].clone() }
            },
            |m| m.metrics[0].value = "NaN".into(),
            |m| m.metrics[0].standard_error = Some("0".repeat(limits::DECIMAL + 1)),
            |m| m.metrics[0].name = "n".repeat(limits::METRIC_NAME + 1),
            |m| m.groups[0].value = "g".repeat(limits::LABEL + 1),
            |m| m.folds[0].points[0].threshold = Some("inf".into()),
            |m| m.curve[0].threshold = "high".into(),
            |m| m.folds[0].points[0].counted.true_positives = 5,
            |m| m.folds[1].points[0].choosing.false_positives = 7,
            |m| m.folds[0].points[1].groups.truncate(1),
            |m| m.folds[0].groups[0].negatives = 1_i64.wrapping_neg(),
            |m| m.curve[0].flagged.true_positives = 9,
        ];
        for (number, change) in refused.into_iter().enumerate() {
            let mut measured = measured();
            change(&mut measured);
            let parsed = JudgeMessage::parse(&JudgeMessage::Measured(measured).to_json());
            assert!(matches!(parsed, Err(JudgeMessageError::Malformed(_))), "{number}: {parsed:?}");
        }
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        assert_eq!(JudgeMessage::parse(r#"{"v":7,"n":"x"}"#), Err(JudgeMessageError::OtherVersion(7)));
        assert!(matches!(JudgeMessage::parse("Killed"), Err(JudgeMessageError::Malformed(_))));
    }
}
