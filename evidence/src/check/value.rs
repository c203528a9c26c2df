//! Values as files hold them, and as a contract's types read them.

use std::cmp::Ordering;
use std::io::Write as _;

use num_bigint::BigInt;
use seatrial_core::contract::check::LogicalType;
use seatrial_core::decimal::{Decimal, exact};
use serde_json::{Map, Value as Json};

use super::moment::Pattern;

/// The largest exponent that is read exactly: beyond it, no floating-point number has values.
const MAX_EXPONENT: i64 = 400;
/// Relative distance at which floating-point numbers decide how two numbers compare: far above their rounding.
const NEAR: f64 = 1e-9;

/// A value as a file holds it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Null,
    /// A text that stands for a value of any type: all that CSV has.
    Raw(&'a str),
    /// A text that is one.
    Text(&'a str),
    Whole(i128),
    Float(f64),
    /// Unscaled, and digits after the point.
    Decimal(i128, u32),
    Truth(bool),
    /// Nanoseconds: of a day since 1970, of a timestamp since then, of a time since midnight.
    Moment(LogicalType, i128),
    Array(&'a [Json]),
    Object(&'a Map<String, Json>),
    /// A list or structure of Parquet, which is not looked into.
    Nested(LogicalType),
}

/// A value as its column's type reads it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Typed<'a> {
    Text(&'a str),
    Number(Number<'a>),
    Truth(bool),
    Moment(i128),
    Array(&'a [Json]),
    Object(&'a Map<String, Json>),
    Nested,
}

/// How a column's values are read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) kind: Option<LogicalType>,
    /// What stands between whole part and fraction of a number in a raw text.
    pub(super) decimal: u8,
    /// How its dates, times or timestamps are written.
    pub(super) pattern: Option<Pattern>,
    /// Whether texts that are texts hold dates, times or timestamps: where the contract says how.
    pub(super) texts_hold_moments: bool,
}

impl Reader {
    /// The value; none where it is not of the column's type. Null is asked for before.
    pub(super) fn read<'a>(&self, cell: Cell<'a>) -> Option<Typed<'a>> {
        let Some(kind) = self.kind else { return Some(untyped(cell)) };
        match (kind, cell) {
            (LogicalType::String, Cell::Raw(text) | Cell::Text(text)) => Some(Typed::Text(text)),
            (LogicalType::Number, Cell::Raw(text)) => Number::parse(text, self.decimal, true).map(Typed::Number),
            (LogicalType::Integer, Cell::Raw(text)) => Number::parse(text, self.decimal, false).map(Typed::Number),
            (LogicalType::Number, Cell::Float(number)) => {
                number.is_finite().then_some(Typed::Number(Number { near: number, exact: Exact::Float(number) }))
            }
            (LogicalType::Number | LogicalType::Integer, Cell::Whole(number)) => {
                Some(Typed::Number(Number::scaled(number, 0)))
            }
            (LogicalType::Number, Cell::Decimal(unscaled, scale)) => {
                Some(Typed::Number(Number::scaled(unscaled, scale)))
            }
            (LogicalType::Integer, Cell::Decimal(unscaled, 0)) => Some(Typed::Number(Number::scaled(unscaled, 0))),
            (LogicalType::Boolean, Cell::Truth(truth)) => Some(Typed::Truth(truth)),
            (LogicalType::Boolean, Cell::Raw(text)) => truth(text).map(Typed::Truth),
            (LogicalType::Date | LogicalType::Timestamp | LogicalType::Time, _) => self.moment(kind, cell),
            (LogicalType::Array, Cell::Array(items)) => Some(Typed::Array(items)),
            (LogicalType::Object, Cell::Object(members)) => Some(Typed::Object(members)),
            (LogicalType::Array | LogicalType::Object, Cell::Nested(found)) if found == kind => Some(Typed::Nested),
            _ => None,
        }
    }

    fn moment<'a>(&self, kind: LogicalType, cell: Cell<'a>) -> Option<Typed<'a>> {
        match cell {
            Cell::Moment(found, nanoseconds) if found == kind => Some(Typed::Moment(nanoseconds)),
            Cell::Raw(text) => self.pattern.as_ref()?.parse(text).map(Typed::Moment),
            Cell::Text(text) if self.texts_hold_moments => self.pattern.as_ref()?.parse(text).map(Typed::Moment),
            _ => None,
        }
    }
}

/// A value of a column whose type the contract does not say.
fn untyped(cell: Cell<'_>) -> Typed<'_> {
    match cell {
        Cell::Null => Typed::Text(""),
        Cell::Raw(text) | Cell::Text(text) => Typed::Text(text),
        Cell::Whole(number) => Typed::Number(Number::scaled(number, 0)),
        Cell::Float(number) => Typed::Number(Number { near: number, exact: Exact::Float(number) }),
        Cell::Decimal(unscaled, scale) => Typed::Number(Number::scaled(unscaled, scale)),
        Cell::Truth(truth) => Typed::Truth(truth),
        Cell::Moment(_, nanoseconds) => Typed::Moment(nanoseconds),
        Cell::Array(items) => Typed::Array(items),
        Cell::Object(members) => Typed::Object(members),
        Cell::Nested(_) => Typed::Nested,
    }
}

fn truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") { Some(true) } else { text.eq_ignore_ascii_case("false").then_some(false) }
}

/// A number, exact however it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    /// The nearest floating-point number, or one beside it.
    pub(super) near: f64,
    exact: Exact<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Exact<'a> {
    /// Unscaled, and digits after the point.
    Scaled(i128, u32),
    /// A floating-point number: the shortest decimal that reads as it.
    Float(f64),
    /// A decimal that is longer, with what stands between whole part and fraction.
    Text(&'a str, u8),
}

impl<'a> Number<'a> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_wrap,
        reason = "the nearest number is meant; scales are small"
    )]
    fn scaled(unscaled: i128, scale: u32) -> Self {
        // Smaller integers are turned into floating-point numbers by one instruction.
        let near = i64::try_from(unscaled).map_or(unscaled as f64, |unscaled| unscaled as f64);
        let near = if scale == 0 { near } else { near / 10_f64.powi(scale as i32) };
        Self { near, exact: Exact::Scaled(unscaled, scale) }
    }

    /// Reads `-12.50`, `+7`, and `1e-30` where there may be a fraction. None for anything else, also for blanks around it.
    pub(super) fn parse(text: &'a str, decimal: u8, fraction: bool) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, digits) = match bytes.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, bytes),
        };
        let (mut mantissa, mut scale, mut before, mut after, mut point) = (0_i64, 0_u32, 0_u32, 0_u32, false);
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    // Eighteen digits have room; longer numbers are compared as texts.
                    if before + after < 18 {
                        mantissa = mantissa * 10 + i64::from(byte - b'0');
                    }
                    if point {
                        after += 1;
                        scale += 1;
                    } else {
                        before += 1;
                    }
                }
                _ if *byte == decimal && fraction && !point => point = true,
                b'e' | b'E' if fraction => return Self::long(text, decimal),
                _ => return None,
            }
        }
        if before == 0 || (point && after == 0) {
            return None;
        }
        if before + after > 18 {
            return Self::long(text, decimal);
        }
        Some(Self::scaled(i128::from(if negative { -mantissa } else { mantissa }), scale))
    }

    fn long(text: &'a str, decimal: u8) -> Option<Self> {
        let exact = Exact::Text(text, decimal);
        let plain = exact.decimal();
        Decimal::parse(&plain)?;
        let near: f64 = plain.parse().ok()?;
        near.is_finite().then_some(Self { near, exact })
    }

    /// The number, where it is a whole one that has room.
    pub(super) fn whole(&self) -> Option<i64> {
        match self.exact {
            Exact::Scaled(unscaled, 0) => i64::try_from(unscaled).ok(),
            Exact::Text(text, _) => text.parse().ok(),
            Exact::Scaled(..) | Exact::Float(_) => None,
        }
    }

    /// How it compares with a bound.
    pub(super) fn compare(&self, bound: &Bound) -> Ordering {
        if let (Exact::Scaled(one, scale), Some((other, of_bound))) = (self.exact, bound.scaled)
            && scale == of_bound
        {
            return one.cmp(&other);
        }
        if (self.near - bound.near).abs() > NEAR * self.near.abs().max(bound.near.abs()) {
            return self.near.total_cmp(&bound.near);
        }
        // Both were read as numbers before.
        Decimal::parse(&self.exact.decimal()).map_or(Ordering::Equal, |number| number.cmp(&bound.decimal))
    }

    /// Whether it is a whole multiple.
    pub(super) fn is_multiple_of(&self, factor: &Bound) -> bool {
        let text = self.exact.decimal();
        let (Some((number, scale)), Some((factor, of_factor))) = (parts(&text), parts(&factor.text)) else {
            return false;
        };
        let most = scale.max(of_factor);
        let whole = |number: BigInt, scale: i64| {
            u32::try_from(most - scale).ok().map(|power| number * BigInt::from(10).pow(power))
        };
        match (whole(number, scale), whole(factor, of_factor)) {
            (Some(number), Some(factor)) if factor != BigInt::ZERO => number % factor == BigInt::ZERO,
            _ => false,
        }
    }

    /// The same bytes for the same number, however it is written.
    pub(super) fn key(&self, into: &mut Vec<u8>) {
        let (unscaled, scale) = match self.exact {
            Exact::Scaled(mut unscaled, mut scale) => {
                while scale > 0 && unscaled % 10 == 0 {
                    (unscaled, scale) = (unscaled / 10, scale - 1);
                }
                // Nearly all numbers, written as the long ones below.
                let _ = write!(into, "{unscaled}e{scale}");
                return;
            }
            exact => match parts(&exact.decimal()) {
                Some((mut unscaled, mut scale)) => {
                    while unscaled != BigInt::ZERO && &unscaled % 10 == BigInt::ZERO {
                        (unscaled, scale) = (unscaled / 10, scale - 1);
                    }
                    (unscaled, scale)
                }
                None => (BigInt::ZERO, i64::MAX),
            },
        };
        // Whole numbers with zeros at their ends, so that both ways of above agree.
        let (mut unscaled, mut scale) = (unscaled, scale);
        while (-MAX_EXPONENT..0).contains(&scale) {
            (unscaled, scale) = (unscaled * 10, scale + 1);
        }
        if unscaled == BigInt::ZERO {
            scale = 0;
        }
        into.extend_from_slice(unscaled.to_string().as_bytes());
        into.push(b'e');
        into.extend_from_slice(scale.to_string().as_bytes());
    }
}

impl Exact<'_> {
    fn decimal(self) -> String {
        match self {
            Self::Scaled(unscaled, 0) => unscaled.to_string(),
            Self::Scaled(unscaled, scale) => format!("{unscaled}e-{scale}"),
            Self::Float(number) => exact(number),
            Self::Text(text, b'.') => text.to_owned(),
            Self::Text(text, decimal) => text.replace(char::from(decimal), "."),
        }
    }
}

/// Digits as a whole number, and how many of them stand after the point.
fn parts(text: &str) -> Option<(BigInt, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = i64::try_from(fraction.len()).ok()? - exponent;
    (scale.abs() <= MAX_EXPONENT).then_some(())?;
    Some((format!("{whole}{fraction}").parse().ok()?, scale))
}

/// A number of a rule.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    text: String,
    decimal: Decimal,
    near: f64,
    scaled: Option<(i128, u32)>,
}

impl Bound {
    /// Reads a decimal.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = Number::parse(text, b'.', true)?;
        let scaled = if let Exact::Scaled(unscaled, scale) = number.exact { Some((unscaled, scale)) } else { None };
        Some(Self { text: text.to_owned(), decimal: Decimal::parse(text)?, near: number.near, scaled })
    }
}

impl Typed<'_> {
    /// The same bytes for the same value of a column.
    pub(super) fn key(&self, into: &mut Vec<u8>) {
        match self {
            Self::Text(text) => into.extend_from_slice(text.as_bytes()),
            Self::Number(number) => number.key(into),
            Self::Truth(truth) => into.push(u8::from(*truth)),
            Self::Moment(nanoseconds) => into.extend_from_slice(&nanoseconds.to_be_bytes()),
            Self::Array(items) => items.iter().for_each(|item| json_key(item, into)),
            Self::Object(members) => members.iter().for_each(|(name, member)| {
                into.extend_from_slice(name.as_bytes());
                into.push(b':');
                json_key(member, into);
            }),
            Self::Nested => {}
        }
    }
}

/// Members of objects are in the order of their names.
fn json_key(value: &Json, into: &mut Vec<u8>) {
    into.extend_from_slice(value.to_string().as_bytes());
    into.push(b',');
}

/// A value as a report shows it, whole.
pub(super) fn shown(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Raw(text) | Cell::Text(text) => text.to_owned(),
        Cell::Whole(number) => number.to_string(),
        Cell::Float(number) => exact(number),
        Cell::Decimal(unscaled, scale) => Decimal::parse(&Exact::Scaled(unscaled, scale).decimal())
            .map_or_else(|| unscaled.to_string(), |decimal| decimal.rounded(40)),
        Cell::Truth(truth) => truth.to_string(),
        Cell::Moment(kind, nanoseconds) => super::moment::written(kind, nanoseconds),
        Cell::Array(items) => Json::from(items.to_vec()).to_string(),
        Cell::Object(members) => Json::from(members.clone()).to_string(),
        Cell::Nested(kind) => format!("an {}", kind.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::parse(text, b'.', true).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_what_people_write() {
        for text in ["0", "-1", "+7", "007", "12.50", "1e3", "-2.5E-7", "123456789012345678901234567890.5"] {
            assert!(Number::parse(text, b'.', true).is_some(), "{text}");
        }
        for text in
            ["", "-", "+", ".", "1.", ".5", "1,5", " 1", "1 ", "1e", "e5", "NaN", "inf", "1.2.3", "--1", "0x1", "1e999"]
        {
            assert!(Number::parse(text, b'.', true).is_none(), "{text}");
        }
        assert!(Number::parse("1,5", b',', true).is_some() && Number::parse("1.5", b',', true).is_none());
        for text in ["1.0", "1e3", "1.5", "abc"] {
            assert!(Number::parse(text, b'.', false).is_none(), "{text}");
        }
        assert!(Number::parse("123456789012345678901234567890", b'.', false).is_some());
    }

    #[test]
    fn numbers_are_compared_to_the_digit() {
        for (text, bound, order) in [
            ("1", "1.0", Ordering::Equal),
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("0.1", "0.10000000000000000001", Ordering::Less),
            ("-3", "-2", Ordering::Less),
            ("1e400", "5", Ordering::Greater),
            ("1e-30", "0", Ordering::Greater),
            ("0.30", "0.3", Ordering::Equal),
        ] {
            let Some(number) = Number::parse(text, b'.', true) else { continue };
            assert_eq!(number.compare(&Bound::parse(bound).unwrap()), order, "{text} and {bound}");
        }
        let third = Number { near: 0.1, exact: Exact::Float(0.1) };
        assert_eq!(third.compare(&Bound::parse("0.1").unwrap()), Ordering::Equal);
    }

    #[test]
    fn multiples_are_exact() {
        for (text, factor, is) in [
            ("0.3", "0.1", true),
            ("0.35", "0.1", false),
            ("10", "5", true),
            ("-10", "5", true),
            ("0", "7", true),
            ("1e3", "8", true),
            ("7", "0", false),
            ("100000000000000000000000000007", "7", false),
        ] {
            assert_eq!(number(text).is_multiple_of(&Bound::parse(factor).unwrap()), is, "{text} of {factor}");
        }
    }

    #[test]
    fn equal_numbers_have_equal_keys() {
        let key = |number: Number<'_>| {
            let mut bytes = vec![];
            number.key(&mut bytes);
            bytes
        };
        for (one, other) in [("1", "1.0"), ("100", "1e2"), ("0", "-0.00"), ("12.50", "+12.5"), ("1.5e1", "15")] {
            assert_eq!(key(number(one)), key(number(other)), "{one} and {other}");
        }
        assert_ne!(key(number("1")), key(number("10")));
        assert_eq!(key(Number { near: 2.5, exact: Exact::Float(2.5) }), key(number("2.50")));
    }
}
