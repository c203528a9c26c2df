//! What a count is compared with, exactly.

use std::fmt;

use num_bigint::BigInt;
use num_rational::BigRational;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::rational;

/// What a number must be. Bounds are decimals as texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Comparison {
    /// This.
    MustBe(String),
    /// Not this.
    MustNotBe(String),
    /// More.
    MustBeGreaterThan(String),
    /// As much or more.
    MustBeGreaterOrEqualTo(String),
    /// Less.
    MustBeLessThan(String),
    /// As much or less.
    MustBeLessOrEqualTo(String),
    /// Between two numbers, or one of them.
    MustBeBetween(String, String),
    /// Neither between two numbers nor one of them.
    MustNotBeBetween(String, String),
}

/// What a count is given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Rows.
    #[default]
    Rows,
    /// Hundredths of all rows.
    Percent,
}

impl Comparison {
    /// Whether it holds for so many of all rows. None where a bound is no decimal without exponent, or where a share of no
    /// rows is asked for.
    pub fn holds(&self, matched: u64, rows: u64, unit: Unit) -> Option<bool> {
        let found = match unit {
            Unit::Rows => BigRational::from_integer(BigInt::from(matched)),
            Unit::Percent if rows == 0 => return None,
            Unit::Percent => BigRational::new(BigInt::from(matched) * 100, BigInt::from(rows)),
        };
        self.compare(|bound| rational::parse(bound).map(|bound| found.cmp(&bound)))
    }

    /// Whether it holds for a number, as a query gives it. None where one of both is no decimal.
    pub fn holds_for(&self, number: &str) -> Option<bool> {
        let number = Decimal::parse(number)?;
        self.compare(|bound| Decimal::parse(bound).map(|bound| number.cmp(&bound)))
    }

    /// Whether it holds, by how the number compares with each bound.
    fn compare(&self, with: impl Fn(&str) -> Option<std::cmp::Ordering>) -> Option<bool> {
        Some(match self {
            Self::MustBe(bound) => with(bound)?.is_eq(),
            Self::MustNotBe(bound) => with(bound)?.is_ne(),
            Self::MustBeGreaterThan(bound) => with(bound)?.is_gt(),
            Self::MustBeGreaterOrEqualTo(bound) => with(bound)?.is_ge(),
            Self::MustBeLessThan(bound) => with(bound)?.is_lt(),
            Self::MustBeLessOrEqualTo(bound) => with(bound)?.is_le(),
            Self::MustBeBetween(low, high) => with(low)?.is_ge() && with(high)?.is_le(),
            Self::MustNotBeBetween(low, high) => !(with(low)?.is_ge() && with(high)?.is_le()),
        })
    }
}

/// What is expected, for people: `at most 5`.
impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MustBe(bound) => write!(formatter, "{bound}"),
            Self::MustNotBe(bound) => write!(formatter, "not {bound}"),
            Self::MustBeGreaterThan(bound) => write!(formatter, "more than {bound}"),
            Self::MustBeGreaterOrEqualTo(bound) => write!(formatter, "at least {bound}"),
            Self::MustBeLessThan(bound) => write!(formatter, "less than {bound}"),
            Self::MustBeLessOrEqualTo(bound) => write!(formatter, "at most {bound}"),
            Self::MustBeBetween(low, high) => write!(formatter, "from {low} to {high}"),
            Self::MustNotBeBetween(low, high) => write!(formatter, "below {low} or above {high}"),
        }
    }
}
