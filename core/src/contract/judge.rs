//! The config and the termination message of a judge's container. The judge measures, and decides nothing.

use seatrial_crds::{ClassCounts, CurvePoint, FlaggedCounts, Fold, MeasuredGroup, MeasuredMetric, Task, limits};
use serde::{Deserialize, Serialize};

use super::compared::{Compared, WireFold};
use super::counts::Counts;
use crate::decimal::Decimal;

/// The version of the judge's config and of its message. It is part of what names a measurement: a judge that measures
/// otherwise measures again.
pub const JUDGE_VERSION: u32 = 2;

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
    /// The champion: the version is compared with it, and nothing else is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duel: Option<DuelConfig>,
}

/// Whom a version is compared with, and at which thresholds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DuelConfig {
    /// The file of the champion's predictions, absolute.
    pub predictions: String,
    /// The score from which the champion takes a row for positive; absent: 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// Those at which the version was measured, by fold, the largest first; none where its predictions are decisions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Vec<String>>,
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
    /// What it counted of a version and its champion.
    Compared(Compared),
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

/// A message as it is written.
#[derive(Default, Serialize, Deserialize)]
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
    /// Groups: slice, and its values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    g: Vec<(String, Vec<String>)>,
    /// The counts of folds and curve, packed; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<String>,
    /// Folds of a version and its champion; absent where nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<Vec<WireFold>>,
}

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
        match (wire.unusable, wire.failed, wire.d) {
            (Some(why), ..) => Ok(Self::Unusable(why)),
            (None, Some(why), _) => Ok(Self::Failed(why)),
            (None, None, Some(folds)) => {
                let unsound =
                    || JudgeMessageError::Malformed("its counts of two versions do not fit each other".to_owned());
                Compared::read(folds).map(Self::Compared).ok_or_else(unsound)
            }
            (None, None, None) => {
                let metric = |(name, value, error): (String, String, String)| MeasuredMetric {
                    name,
                    value,
                    standard_error: (!error.is_empty()).then_some(error),
                };
                let of_slice = |(slice, values): (String, Vec<String>)| {
                    values.into_iter().map(move |value| MeasuredGroup { slice: slice.clone(), value })
                };
                let groups: Vec<MeasuredGroup> = wire.g.into_iter().flat_map(of_slice).collect();
                if groups.len() > limits::MEASURED_GROUPS {
                    return Err(JudgeMessageError::Malformed(format!("{} groups are too many", groups.len())));
                }
                let no_counts = || JudgeMessageError::Malformed("its counts cannot be read".to_owned());
                let counts = match wire.b {
                    Some(text) => Counts::unpack(&text, wire.n, &groups).ok_or_else(no_counts)?,
                    None => Counts::default(),
                };
                let metrics = wire.m.into_iter().map(metric).collect();
                let Counts { folds, curve } = counts;
                let measured = Measured { rows: wire.n, metrics, groups, folds, curve };
                measured.check().map_err(JudgeMessageError::Malformed)?;
                Ok(Self::Measured(measured))
            }
        }
    }

    /// The JSON that is written. A judge gives fewer points where it is longer than [`MAX_JUDGE_BYTES`]; a text is cut.
    pub fn to_json(&self) -> String {
        let mut wire = Wire { v: JUDGE_VERSION, ..Wire::default() };
        let text = |why: &str| {
            let mut why = why.to_owned();
            crate::text::truncate(&mut why, limits::SENTENCE);
            Some(why)
        };
        match self {
            Self::Unusable(why) => wire.unusable = text(why),
            Self::Failed(why) => wire.failed = text(why),
            Self::Compared(compared) => wire.d = Some(compared.write()),
            Self::Measured(measured) => {
                let Measured { rows, metrics, groups, folds, curve } = measured;
                let counts = Counts { folds: folds.clone(), curve: curve.clone() };
                let is_empty = counts == Counts::default();
                match counts.pack(*rows, groups).filter(|_| *rows >= 0) {
                    Some(packed) => wire.b = Some(packed).filter(|_| !is_empty),
                    None => {
                        wire.failed = text("what the judge counted does not fit each other: report it with its log")
                    }
                }
                wire.n = *rows;
                wire.m = metrics
                    .iter()
                    .map(|m| (m.name.clone(), m.value.clone(), m.standard_error.clone().unwrap_or_default()))
                    .collect();
                let of_slice = |same: &[MeasuredGroup]| {
                    let slice = same.first().map(|group| group.slice.clone()).unwrap_or_default();
                    (slice, same.iter().map(|group| group.value.clone()).collect())
                };
                wire.g = groups.chunk_by(|one, next| one.slice == next.slice).map(of_slice).collect();
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

#[cfg(test)]
mod tests {
    use seatrial_crds::FoldPoint;

    use super::*;

    const fn flagged((true_positives, false_positives): (i64, i64)) -> FlaggedCounts {
        FlaggedCounts { true_positives, false_positives }
    }

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
    fn what_does_not_fit_each_other_is_refused() {
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
            // Counts are not even written.
            let is_refused = matches!(parsed, Err(JudgeMessageError::Malformed(_)) | Ok(JudgeMessage::Failed(_)));
            assert!(is_refused, "{number}: {parsed:?}");
        }
    }

    /// What the API allows at most: eight slices with long names, 64 groups, two thousand million rows, and the three points of
    /// each fold that no judge leaves out.
    #[test]
    fn the_largest_measurement_has_room() {
        let half = 1_i64 << 29;
        let slices = i64::try_from(limits::SLICES).unwrap();
        let each = i64::try_from(limits::MEASURED_GROUPS).unwrap() / slices;
        let group =
            |number: i64| MeasuredGroup { slice: format!("{:a<63}", number / each), value: format!("{number:02}…#") };
        let groups: Vec<_> = (0..slices * each).map(group).collect();
        let point = |threshold: &str, of: i64| FoldPoint {
            threshold: Some(threshold.into()),
            choosing: flagged((half / 8 * of, half / 8 * of)),
            counted: flagged((half / 8 * of, half / 8 * of)),
            groups: groups.iter().map(|_| flagged((half / 8 / each * of, half / 8 / each * of))).collect(),
        };
        let rows = |count: i64| ClassCounts { positives: count, negatives: count };
        let fold = Fold {
            rows: rows(half),
            groups: groups.iter().map(|_| rows(half / each)).collect(),
            points: vec![point("0.9999999999999999", 0), point("0.5", 3), point("0.0000000000000001", 8)],
        };
        let point =
            |threshold: &str, count: i64| CurvePoint { threshold: threshold.into(), flagged: flagged((count, count)) };
        let metric = |name: &str| MeasuredMetric {
            name: name.into(),
            value: "0.123456789012".into(),
            standard_error: Some("0.000123456789012".into()),
        };
        let measured = Measured {
            rows: 4 * half,
            metrics: ["rocAuc", "prAuc", "logLoss", "brier", "calibrationError"].map(metric).to_vec(),
            groups: groups.clone(),
            folds: vec![fold.clone(), fold],
            curve: vec![point("0.9999999999999999", 0), point("0.5", half), point("0.0000000000000001", 2 * half)],
        };
        let text = JudgeMessage::Measured(measured.clone()).to_json();
        assert!(text.len() <= MAX_JUDGE_BYTES, "{} bytes", text.len());
        assert_eq!(JudgeMessage::parse(&text), Ok(JudgeMessage::Measured(measured)));
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        assert_eq!(JudgeMessage::parse(r#"{"v":7,"n":"x"}"#), Err(JudgeMessageError::OtherVersion(7)));
        assert!(matches!(JudgeMessage::parse("Killed"), Err(JudgeMessageError::Malformed(_))));
    }
}
