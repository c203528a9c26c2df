//! Dates, times and timestamps in texts, by ISO 8601 or by a pattern of Java's `DateTimeFormatter`.

use seatrial_core::contract::check::LogicalType;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How a date, time or timestamp is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Iso(LogicalType),
    Letters(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What it counts, the fewest digits and the most.
    Digits(Unit, usize, usize),
    /// Two digits of a year of this century.
    ShortYear,
    /// The first three letters of a month's English name.
    MonthName,
    /// Digits of a second's fraction.
    Fraction,
    /// `Z`, `+01:00`, `+0100` or `+01`.
    Zone,
    Literal(char),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// What was read of a text so far.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    seconds: i64,
    nanoseconds: i64,
    zone: i64,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What of it is not known, for people.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), pattern.chars().peekable());
        while let Some(letter) = rest.next() {
            if letter == '\'' {
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(literal) => parts.push(Part::Literal(literal)),
                        None => return Err(format!("the format {pattern:?} opens a quote that is never closed")),
                    }
                }
                continue;
            }
            let mut count = 1;
            while letter.is_ascii_alphabetic() && letter != 'T' && rest.next_if_eq(&letter).is_some() {
                count += 1;
            }
            let digits = |unit| Part::Digits(unit, count, count.max(2));
            parts.push(match (letter, count) {
                ('y' | 'u', 2) => Part::ShortYear,
                ('y' | 'u' | 'Y', 1 | 4) => Part::Digits(Unit::Year, 4, 4),
                ('M' | 'L', 1 | 2) => digits(Unit::Month),
                ('M' | 'L', 3) => Part::MonthName,
                ('d', 1 | 2) => digits(Unit::Day),
                ('D', 2) => digits(Unit::Day),
                ('H', 1 | 2) => digits(Unit::Hour),
                ('m', 1 | 2) => digits(Unit::Minute),
                ('s', 1 | 2) => digits(Unit::Second),
                ('S', _) => Part::Fraction,
                ('X' | 'x' | 'Z', _) => Part::Zone,
                // The standard's own examples have it without quotes.
                ('T', 1) => Part::Literal('T'),
                (letter, _) if letter.is_ascii_alphabetic() => {
                    return Err(format!(
                        "the format {pattern:?} has {}, which is not known",
                        letter.to_string().repeat(count)
                    ));
                }
                (literal, _) => Part::Literal(literal),
            });
        }
        Ok(Self::Letters(parts))
    }

    /// Nanoseconds since 1970, or since midnight for times. None where the text is no such moment.
    pub(super) fn parse(&self, text: &str) -> Option<i128> {
        match self {
            Self::Iso(kind) => iso(*kind, text.as_bytes()),
            Self::Letters(parts) => {
                let (mut fields, mut rest) = (Fields::new(), text.as_bytes());
                for part in parts {
                    fields.read(part, &mut rest)?;
                }
                rest.is_empty().then(|| fields.nanoseconds()).flatten()
            }
        }
    }
}

impl Fields {
    const fn new() -> Self {
        Self { year: 1970, month: 1, day: 1, seconds: 0, nanoseconds: 0, zone: 0 }
    }

    fn read(&mut self, part: &Part, rest: &mut &[u8]) -> Option<()> {
        match part {
            Part::Digits(unit, fewest, most) => {
                let number = digits(rest, *fewest, *most)?;
                match unit {
                    Unit::Year => self.year = number,
                    Unit::Month => self.month = number,
                    Unit::Day => self.day = number,
                    Unit::Hour if number < 24 => self.seconds += number * 3600,
                    Unit::Minute if number < 60 => self.seconds += number * 60,
                    Unit::Second if number < 60 => self.seconds += number,
                    Unit::Hour | Unit::Minute | Unit::Second => return None,
                }
            }
            Part::ShortYear => self.year = 2000 + digits(rest, 2, 2)?,
            Part::MonthName => {
                let (name, after) = rest.split_at_checked(3)?;
                let place = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month.as_bytes()))?;
                self.month = i64::try_from(place).ok()? + 1;
                *rest = after;
            }
            Part::Fraction => self.nanoseconds = fraction(rest)?,
            Part::Zone => self.zone = zone(rest)?,
            Part::Literal(literal) => {
                let mut bytes = [0; 4];
                *rest = rest.strip_prefix(literal.encode_utf8(&mut bytes).as_bytes())?;
            }
        }
        Some(())
    }

    fn nanoseconds(&self) -> Option<i128> {
        let days = days(self.year, self.month, self.day)?;
        Some(i128::from(days) * DAY + i128::from(self.seconds - self.zone) * SECOND + i128::from(self.nanoseconds))
    }
}

/// A number of so many digits, as many as there are.
fn digits(rest: &mut &[u8], fewest: usize, most: usize) -> Option<i64> {
    let count = rest.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    if count < fewest {
        return None;
    }
    let (number, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Digits of a fraction, as nanoseconds; those beyond nine are cut.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at_checked(count)?;
    *rest = after;
    let nine = number.iter().map(|digit| i64::from(digit - b'0')).chain(std::iter::repeat(0)).take(9);
    (count > 0).then(|| nine.fold(0, |sum, digit| sum * 10 + digit))
}

/// Seconds east of Greenwich.
fn zone(rest: &mut &[u8]) -> Option<i64> {
    if let Some(after) = rest.strip_prefix(b"Z").or_else(|| rest.strip_prefix(b"z")) {
        *rest = after;
        return Some(0);
    }
    let (sign, after) = rest.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *rest = after;
    let hours = digits(rest, 2, 2)?;
    let colon = rest.strip_prefix(b":");
    let minutes = match colon {
        Some(after) => {
            *rest = after;
            digits(rest, 2, 2)?
        }
        None if rest.first().is_some_and(u8::is_ascii_digit) => digits(rest, 2, 2)?,
        None => 0,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// By ISO 8601: `2026-11-26`, `2026-11-26T08:30:00.5Z` also with a blank for the `T` and without zone, which is UTC then,
/// `08:30`.
fn iso(kind: LogicalType, text: &[u8]) -> Option<i128> {
    let (mut fields, mut rest) = (Fields::new(), text);
    if kind != LogicalType::Time {
        let date = [
            Part::Digits(Unit::Year, 4, 4),
            Part::Literal('-'),
            Part::Digits(Unit::Month, 2, 2),
            Part::Literal('-'),
            Part::Digits(Unit::Day, 2, 2),
        ];
        for part in &date {
            fields.read(part, &mut rest)?;
        }
    }
    if kind == LogicalType::Timestamp {
        rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?;
    }
    if kind != LogicalType::Date {
        for part in [Part::Digits(Unit::Hour, 2, 2), Part::Literal(':'), Part::Digits(Unit::Minute, 2, 2)] {
            fields.read(&part, &mut rest)?;
        }
        if let Some(after) = rest.strip_prefix(b":") {
            rest = after;
            fields.read(&Part::Digits(Unit::Second, 2, 2), &mut rest)?;
            if let Some(after) = rest.strip_prefix(b".") {
                rest = after;
                fields.nanoseconds = fraction(&mut rest)?;
            }
        }
        if !rest.is_empty() {
            fields.zone = zone(&mut rest)?;
        }
    }
    rest.is_empty().then(|| fields.nanoseconds()).flatten()
}

/// Days since 1970 in the proleptic Gregorian calendar; none where there is no such day. After Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=last).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// A moment as ISO 8601 writes it.
pub(super) fn written(kind: LogicalType, nanoseconds: i128) -> String {
    let (days, of_day) = (nanoseconds.div_euclid(DAY), nanoseconds.rem_euclid(DAY));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    let (seconds, fraction) = (of_day / SECOND, of_day % SECOND);
    let fraction =
        if fraction == 0 { String::new() } else { format!(".{fraction:09}").trim_end_matches('0').to_owned() };
    let time = format!("{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match kind {
        LogicalType::Date => format!("{year:04}-{month:02}-{day:02}"),
        LogicalType::Time => time,
        _ => format!("{year:04}-{month:02}-{day:02}T{time}Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_is_read() {
        for (kind, text, expected) in [
            (LogicalType::Date, "1970-01-02", Some(DAY)),
            (LogicalType::Date, "2000-02-29", Some(11_016 * DAY)),
            (LogicalType::Date, "1900-02-29", None),
            (LogicalType::Date, "2026-13-01", None),
            (LogicalType::Date, "2026-04-31", None),
            (LogicalType::Date, "26-04-01", None),
            (LogicalType::Date, "2026-04-01T00:00:00Z", None),
            (LogicalType::Timestamp, "1970-01-01T00:00:01Z", Some(SECOND)),
            (LogicalType::Timestamp, "1970-01-01 01:00:00.5+01:00", Some(SECOND / 2)),
            (LogicalType::Timestamp, "1969-12-31T23:59:59.999999999", Some(-1)),
            (LogicalType::Timestamp, "1970-01-01T24:00:00Z", None),
            (LogicalType::Timestamp, "1970-01-01", None),
            (LogicalType::Time, "00:01", Some(60 * SECOND)),
            (LogicalType::Time, "00:60:00", None),
            (LogicalType::Time, "x", None),
        ] {
            assert_eq!(Pattern::Iso(kind).parse(text), expected, "{text}");
            if let (Some(nanoseconds), LogicalType::Date) = (expected, kind) {
                assert_eq!(written(kind, nanoseconds), text);
            }
        }
        assert_eq!(written(LogicalType::Timestamp, -1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(written(LogicalType::Time, 60 * SECOND), "00:01:00");
    }

    #[test]
    fn patterns_are_javas() {
        for (pattern, text, same) in [
            ("dd.MM.yyyy", "26.11.2026", Some("2026-11-26")),
            ("d/M/yyyy", "1/12/2026", Some("2026-12-01")),
            ("yyyyMMdd", "20261126", Some("2026-11-26")),
            ("dd-MMM-yy", "26-nov-26", Some("2026-11-26")),
            ("dd.MM.yyyy", "11/26/2026", None),
            ("dd.MM.yyyy", "26.11.2026 ", None),
            ("dd.MM.yyyy", "31.11.2026", None),
        ] {
            let expected = same.and_then(|same| Pattern::Iso(LogicalType::Date).parse(same));
            assert_eq!(Pattern::new(pattern).unwrap().parse(text), expected, "{pattern} {text}");
        }
        let timestamp = |text| Pattern::Iso(LogicalType::Timestamp).parse(text);
        let pattern = Pattern::new("yyyy-MM-ddTHH:mm:ssZ").unwrap();
        assert_eq!(pattern.parse("2024-03-10T14:22:35+10:00"), timestamp("2024-03-10T04:22:35Z"));
        let pattern = Pattern::new("yyyy-MM-dd'T'HH:mm:ss.SSSX").unwrap();
        assert_eq!(pattern.parse("2024-03-10T14:22:35.250Z"), timestamp("2024-03-10T14:22:35.25Z"));
        assert!(Pattern::new("hh:mm a").unwrap_err().contains("not known"));
        assert!(Pattern::new("'T").is_err());
    }
}
