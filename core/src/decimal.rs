//! Decimal numbers, compared exactly: a metric and the bound of a gate are never turned into floating-point numbers,
//! which would let 9007199254740992 pass for 9007199254740993.

use std::cmp::Ordering;

/// A finite decimal number: `0.d₁d₂d₃… × 10^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// -1, 0 or 1.
    sign: i8,
    /// The significant digits, without zeros at either end. Empty for zero.
    digits: Vec<u8>,
    /// The position of the decimal point, counted from the first digit.
    exponent: i64,
}

/// A number as a decimal with so many digits that reading it gives the same number, without exponent unless it is long.
pub fn exact(number: f64) -> String {
    let plain = number.to_string();
    if plain.len() <= 24 { plain } else { format!("{number:e}") }
}

/// A number as a decimal of twelve significant digits, as measurements have them.
pub fn twelve_digits(number: f64) -> String {
    exact(format!("{number:.11e}").parse::<f64>().unwrap_or(number) + 0.0)
}

impl Decimal {
    /// Reads a number as JSON and Kubernetes write them: `-12.50`, `1e-30`. `None` for anything else, also for `NaN`.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let rest = rest.strip_prefix('+').filter(|_| !negative).unwrap_or(rest);
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            // The bound keeps the sums below from overflowing; nobody measures beyond it.
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i64>().ok().filter(|exponent| exponent.abs() < 1_000_000_000)?)
            }
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let leading = all.iter().take_while(|digit| **digit == 0).count();
        let trailing = all.iter().rev().take_while(|digit| **digit == 0).count();
        let digits: Vec<u8> = all.get(leading..all.len().saturating_sub(trailing)).unwrap_or_default().to_vec();
        if digits.is_empty() {
            return Some(Self { sign: 0, digits, exponent: 0 });
        }
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
        Some(Self { sign: if negative { -1 } else { 1 }, digits, exponent: point + exponent })
    }

    /// The number for people, with at most so many significant digits: `0.81234567` becomes `0.8123`. Whole numbers
    /// stay as they are, as long as they fit on a line.
    pub fn rounded(&self, significant: usize) -> String {
        let digits_before_point = usize::try_from(self.exponent).unwrap_or(0);
        let keep = if digits_before_point <= 18 { significant.max(digits_before_point) } else { significant };
        let mut digits: Vec<u8> = self.digits.iter().take(keep).copied().collect();
        let mut exponent = self.exponent;
        if self.digits.get(keep).is_some_and(|next| *next >= 5) {
            let nines = digits.iter().rev().take_while(|digit| **digit == 9).count();
            digits.truncate(digits.len() - nines);
            match digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    digits.push(1);
                    exponent += 1;
                }
            }
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self { sign: self.sign, digits, exponent }.text()
    }

    /// The number without an exponent where that is short, else with one.
    fn text(&self) -> String {
        let minus = if self.sign < 0 { "-" } else { "" };
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        match self.exponent {
            _ if self.sign == 0 => "0".to_owned(),
            point @ -5..=0 => format!("{minus}0.{}{digits}", zeros(-point)),
            point @ 1..=18 if point >= length => format!("{minus}{digits}{}", zeros(point - length)),
            point @ 1..=18 => {
                let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
                format!("{minus}{whole}.{fraction}")
            }
            point => {
                let (first, rest) = digits.split_at(1);
                let rest = if rest.is_empty() { String::new() } else { format!(".{rest}") };
                format!("{minus}{first}{rest}e{}", point - 1)
            }
        }
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sign.cmp(&other.sign).then_with(|| match self.sign {
            0 => Ordering::Equal,
            1 => self.compare_magnitude(other),
            _ => other.compare_magnitude(self),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_compared_digit_by_digit() {
        let ascending = [
            "-1e400",
            "-10",
            "-9.99",
            "-1",
            "-1e-30",
            "0",
            "1e-400",
            "1e-30",
            "0.1",
            "0.10000000000000000001",
            "0.85",
            "1",
            "9.99",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e300",
        ];
        for (index, smaller) in ascending.iter().enumerate() {
            for larger in ascending.iter().skip(index + 1) {
                assert!(number(smaller) < number(larger), "{smaller} < {larger}");
                assert!(number(larger) > number(smaller), "{larger} > {smaller}");
            }
        }
        for (one, same) in [("1", "1.0"), ("1e2", "100"), ("-0.0", "0"), ("00.50", "5E-1"), ("0.85", "+0.850")] {
            assert_eq!(number(one), number(same), "{one} = {same}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "NaN", "inf", "-", ".", "1.", ".5", "1e", "0x1", "1 ", "1,5", "--1", "-+1", "1e99999999999"] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn people_read_four_digits() {
        for (text, expected) in [
            ("0.8123456789012345", "0.8123"),
            ("0.99996", "1"),
            ("2381", "2381"),
            ("123456.789", "123457"),
            ("9007199254740993", "9007199254740993"),
            ("1e-30", "1e-30"),
            ("-0.00012345", "-0.0001235"),
            ("0", "0"),
            ("1.23456e25", "1.235e25"),
            ("120", "120"),
            ("99.996", "100"),
            ("0.5", "0.5"),
        ] {
            assert_eq!(number(text).rounded(4), expected, "{text}");
        }
    }
}
