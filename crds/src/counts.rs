//! Counts as texts: one line for each threshold of a curve, rather than a dozen, so that people find a version's verdict beside
//! what it was made of. Nothing is rounded; who reads them back has the same counts.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits;

/// Positives and negatives, by their true labels: `143:1047` in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// How many rows are positive.
    pub positives: i64,
    /// How many rows are negative.
    pub negatives: i64,
}

/// Those that are taken for positive: `67:71` in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlaggedCounts {
    /// How many of them are positive.
    pub true_positives: i64,
    /// How many of them are negative.
    pub false_positives: i64,
}

/// Counts at one threshold: `0.29 choosing 67:71 counted 68:70 groups 30:12 38:58` in objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldPoint {
    /// The score from which a row is taken for positive, a decimal; absent where decisions came without scores.
    pub threshold: Option<String>,
    /// The rows of the other fold that are taken for positive: the threshold is chosen by them.
    pub choosing: FlaggedCounts,
    /// The rows of this fold that are taken for positive.
    pub counted: FlaggedCounts,
    /// The rows of this fold that are taken for positive, by group.
    pub groups: Vec<FlaggedCounts>,
}

/// A point of the curve of all rows: `0.29 flagged 134:141` in objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurvePoint {
    /// The score from which a row is taken for positive, a decimal.
    pub threshold: String,
    /// The rows that are taken for positive.
    pub flagged: FlaggedCounts,
}

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
    use serde_json::{from_value, json};

    use super::*;

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
