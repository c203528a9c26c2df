//! Fractions without rounding: costs and rates are decided by what was counted and written, to the digit.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

/// How many digits after the point people are given of a fraction.
const SHOWN_FRACTION: u32 = 12;
/// The longest number that is read; longer ones are refused by the API's schema.
const MAX_DIGITS: usize = 64;

/// A fraction of whole numbers.
pub(crate) type Rational = BigRational;

/// Reads a decimal number without an exponent: `-12.50`. `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<Rational> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let digits = format!("{whole}{fraction}");
    let is_number = !whole.is_empty() && digits.len() <= MAX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: BigInt = is_number.then(|| digits.parse().ok()).flatten()?;
    let scale = BigInt::from(10).pow(u32::try_from(fraction.len()).ok()?);
    let number = Rational::new(number, scale);
    Some(if negative { -number } else { number })
}

/// `part` of `whole`; 0 of nothing.
pub(crate) fn of(part: i64, whole: i64) -> Rational {
    if whole == 0 { Rational::zero() } else { Rational::new(BigInt::from(part), BigInt::from(whole)) }
}

/// A whole number.
pub(crate) fn one() -> Rational {
    Rational::from_integer(BigInt::from(1))
}

/// The nearest floating-point number.
pub(crate) fn to_f64(number: &Rational) -> f64 {
    number.to_f64().unwrap_or(f64::NAN)
}

/// The number as a decimal with at most 12 digits after the point, rounded half away from zero, without zeros at its end.
pub(crate) fn decimal(number: &Rational) -> String {
    let scale = BigInt::from(10).pow(SHOWN_FRACTION);
    let scaled = (number * Rational::from_integer(scale)).round().to_integer();
    text(&scaled)
}

/// The number as a decimal that compares with every decimal of at most 18 digits after the point as the number itself
/// does: cut after 18 digits, with a digit more where something was cut.
pub(crate) fn comparable(number: &Rational) -> String {
    let scaled = number * Rational::from_integer(BigInt::from(10).pow(18));
    let (cut, sign) = (scaled.trunc().to_integer(), if number.is_negative() { "-" } else { "" });
    let digits = format!("{:0>19}", cut.abs().to_string());
    let (whole, fraction) = digits.split_at(digits.len() - 18);
    format!("{sign}{whole}.{fraction}{}", if scaled.is_integer() { "0" } else { "1" })
}

fn text(scaled: &BigInt) -> String {
    let places = SHOWN_FRACTION as usize;
    let sign = if scaled.is_negative() { "-" } else { "" };
    let digits = format!("{:0>width$}", scaled.abs().to_string(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal::Decimal;

    #[test]
    fn decimals_come_back() {
        for (written, shown) in
            [("0.07", "0.07"), ("-12.50", "-12.5"), ("20", "20"), ("0", "0"), ("-0.0000000000004", "0"), ("007", "7")]
        {
            assert_eq!(decimal(&parse(written).unwrap()), shown, "{written}");
        }
        assert_eq!(decimal(&of(2, 3)), "0.666666666667");
        assert_eq!(decimal(&of(-2, 3)), "-0.666666666667");
        for text in ["", "-", ".5", "1e5", "NaN", "1 ", "+1", &"9".repeat(65)] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_cut_still_compares_as_the_number_does() {
        let number = Decimal::parse(&comparable(&of(2, 3))).unwrap();
        assert!(number > Decimal::parse("0.666666666666666666").unwrap());
        assert!(number < Decimal::parse("0.666666666666666667").unwrap());
        assert_eq!(Decimal::parse(&comparable(&of(17, 20))), Decimal::parse("0.85"));
        assert_eq!(Decimal::parse(&comparable(&of(-17, 20))), Decimal::parse("-0.85"));
    }
}
