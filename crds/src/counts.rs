//! Counts as texts: one line for each threshold of a curve, rather than a dozen, so that people find a version's verdict beside
//! what it was made of. Nothing is rounded; who reads them back has the same counts.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits;
use crate::measurement::{ClassCounts, CurvePoint, FlaggedCounts, FoldPoint};

/// Two counts, as [`pair`] reads them.
const PAIR: &str = "[0-9]{1,19}:[0-9]{1,19}";
/// What stands in place of a threshold where decisions came without scores.
const NO_THRESHOLD: &str = "-";

/// What cannot be read as counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCounts(String);

impl Display for NoCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is none of the counts that a judge made", self.0)
    }
}

impl std::error::Error for NoCounts {}

fn pair(text: &str) -> Result<(i64, i64), NoCounts> {
    let count = |text: &str| text.parse().ok().filter(|count| *count >= 0);
    let counts = text.split_once(':').and_then(|(one, other)| Some((count(one)?, count(other)?)));
    counts.ok_or_else(|| NoCounts(text.to_owned()))
}

impl Display for ClassCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.positives, self.negatives)
    }
}

impl FromStr for ClassCounts {
    type Err = NoCounts;

    fn from_str(text: &str) -> Result<Self, NoCounts> {
        pair(text).map(|(positives, negatives)| Self { positives, negatives })
    }
}

impl Display for FlaggedCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.true_positives, self.false_positives)
    }
}

impl FromStr for FlaggedCounts {
    type Err = NoCounts;

    fn from_str(text: &str) -> Result<Self, NoCounts> {
        pair(text).map(|(true_positives, false_positives)| Self { true_positives, false_positives })
    }
}

impl Display for CurvePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} flagged {}", self.threshold, self.flagged)
    }
}

impl FromStr for CurvePoint {
    type Err = NoCounts;

    fn from_str(text: &str) -> Result<Self, NoCounts> {
        let (threshold, flagged) = text.split_once(" flagged ").ok_or_else(|| NoCounts(text.to_owned()))?;
        Ok(Self { threshold: threshold.to_owned(), flagged: flagged.parse()? })
    }
}

impl Display for FoldPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threshold = self.threshold.as_deref().unwrap_or(NO_THRESHOLD);
        write!(f, "{threshold} choosing {} counted {}", self.choosing, self.counted)?;
        if self.groups.is_empty() { Ok(()) } else { write!(f, " groups {}", joined(&self.groups)) }
    }
}

impl FromStr for FoldPoint {
    type Err = NoCounts;

    fn from_str(text: &str) -> Result<Self, NoCounts> {
        let odd = || NoCounts(text.to_owned());
        let (threshold, counts) = text.split_once(" choosing ").ok_or_else(odd)?;
        let (choosing, counts) = counts.split_once(" counted ").ok_or_else(odd)?;
        let (counted, groups) = counts.split_once(" groups ").unwrap_or((counts, ""));
        Ok(Self {
            threshold: (threshold != NO_THRESHOLD).then(|| threshold.to_owned()),
            choosing: choosing.parse()?,
            counted: counted.parse()?,
            groups: parted(groups)?,
        })
    }
}

fn joined<T: Display>(counts: &[T]) -> String {
    counts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn parted<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    text.split_whitespace().map(str::parse).collect()
}

/// A type that stands as its text in objects.
macro_rules! as_text {
    ($kind:ident, $most:expr, $pattern:expr) => {
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "maxLength": $most, "pattern": $pattern})
            }
        }
    };
}

as_text!(ClassCounts, limits::COUNTS, format!("^{PAIR}$"));
as_text!(FlaggedCounts, limits::COUNTS, format!("^{PAIR}$"));
as_text!(CurvePoint, limits::DECIMAL + limits::COUNTS + 16, format!("^[^ ]+ flagged {PAIR}$"));
as_text!(
    FoldPoint,
    limits::DECIMAL + (limits::COUNTS + 1) * (limits::MEASURED_GROUPS + 2) + 32,
    format!("^[^ ]+ choosing {PAIR} counted {PAIR}( groups {PAIR}( {PAIR})*)?$")
);

/// A list of counts as one text.
pub(crate) mod list {
    use super::{
        Cow, Deserialize, Deserializer, Display, Error, FromStr, NoCounts, PAIR, Schema, SchemaGenerator, Serializer,
        joined, json_schema, limits, parted,
    };

    pub(crate) fn serialize<T: Display, S: Serializer>(counts: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&joined(counts))
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err = NoCounts>,
        D: Deserializer<'de>,
    {
        parted(&Cow::<'_, str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
        let most = limits::MEASURED_GROUPS.max(limits::CURVE_POINTS) * (limits::COUNTS + 1);
        json_schema!({"type": "string", "maxLength": most, "pattern": format!("^{PAIR}( {PAIR})*$")})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;
    use crate::measurement::{DuelFold, Fold};

    fn flagged(true_positives: i64, false_positives: i64) -> FlaggedCounts {
        FlaggedCounts { true_positives, false_positives }
    }

    /// Nothing of a measurement is lost or rounded on its way into an object and back.
    #[test]
    fn counts_stand_as_short_texts_and_come_back_as_they_were() {
        let rows = |positives, negatives| ClassCounts { positives, negatives };
        let point = |threshold: Option<&str>, groups| FoldPoint {
            threshold: threshold.map(str::to_owned),
            choosing: flagged(67, 71),
            counted: flagged(i64::MAX, 0),
            groups,
        };
        let fold = Fold {
            rows: rows(143, 1047),
            groups: vec![rows(60, 700), rows(83, 347)],
            points: vec![point(Some("0.2943884241712368"), vec![flagged(3, 4), flagged(5, 6)]), point(None, vec![])],
        };
        let text = json!({
            "rows": "143:1047", "groups": "60:700 83:347",
            "points": [
                "0.2943884241712368 choosing 67:71 counted 9223372036854775807:0 groups 3:4 5:6",
                "- choosing 67:71 counted 9223372036854775807:0",
            ],
        });
        assert_eq!(to_value(&fold).unwrap(), text);
        assert_eq!(from_value::<Fold>(text).unwrap(), fold);
        let curve = CurvePoint { threshold: "1e-7".into(), flagged: flagged(1, 2) };
        assert_eq!(to_value(&curve).unwrap(), json!("1e-7 flagged 1:2"));
        assert_eq!(from_value::<CurvePoint>(json!("1e-7 flagged 1:2")).unwrap(), curve);
        let duel = DuelFold { champion: flagged(7, 8), both: vec![flagged(5, 1), flagged(0, 0)] };
        assert_eq!(to_value(&duel).unwrap(), json!({"champion": "7:8", "both": "5:1 0:0"}));
        assert_eq!(from_value::<DuelFold>(json!({"champion": "7:8", "both": "5:1 0:0"})).unwrap(), duel);
    }

    #[test]
    fn what_no_judge_counted_is_refused_and_named() {
        for text in ["", "1", "1:", ":1", "1:2:3", "-1:2", "1:99999999999999999999", "one:2"] {
            assert!(text.parse::<FlaggedCounts>().is_err(), "{text}");
        }
        for text in ["0.5", "0.5 choosing 1:2", "0.5 counted 1:2", "0.5 choosing 1:2 counted 3:4 groups 5"] {
            assert!(text.parse::<FoldPoint>().is_err(), "{text}");
        }
        let error = from_value::<CurvePoint>(json!("0.5 found 1:2")).unwrap_err().to_string();
        assert!(error.contains("0.5 found 1:2"), "{error}");
    }
}
