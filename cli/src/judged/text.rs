//! Text for a terminal, and numbers for people.

use jiff::Timestamp;
use seatrial_core::decimal::Decimal;
use seatrial_crds::Time;

/// How many significant digits people are shown of a difference or a size.
const DIGITS: usize = 3;

/// Text of an object without what would move the cursor, start another line or turn the direction of writing.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_odd(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a character controls how others are shown.
pub(super) fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// Columns, each as wide as its widest cell, two spaces apart. The last one ends where its text does.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A size in bytes for people, in powers of 1,024.
pub(super) fn size(bytes: i64) -> String {
    let mut value = match i32::try_from(bytes) {
        Ok(small) if small < 1024 => return format!("{bytes} B"),
        _ => bytes_as_float(bytes) / 1024.0,
    };
    for unit in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            return format!("{} {unit}", number(value));
        }
        value /= 1024.0;
    }
    format!("{} PiB", number(value))
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded to three digits")]
const fn bytes_as_float(bytes: i64) -> f64 {
    bytes as f64
}

/// A number for people.
pub(super) fn number(number: f64) -> String {
    if !number.is_finite() {
        return "no number".to_owned();
    }
    let text = format!("{number:.12}");
    rounded(&text)
}

/// A decimal for people, if it is one; else as it is.
pub(super) fn rounded(text: &str) -> String {
    Decimal::parse(text).map_or_else(|| plain(text), |decimal| decimal.rounded(DIGITS))
}

/// A part of a whole for people: `19.7 %`.
pub(super) fn percent(part: f64) -> String {
    format!("{} %", number(part * 100.0))
}

/// A time for people, in UTC.
pub(super) fn time(time: &Time) -> String {
    time.0.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// How long ago something was: `3d`, `5h`, `12m`.
pub(super) fn ago(time: &Time, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(time.0.as_second()).max(0);
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (days @ 1.., ..) => format!("{days}d"),
        (_, hours @ 1.., _) => format!("{hours}h"),
        (_, _, minutes) => format!("{minutes}m"),
    }
}

/// The beginning of a digest, enough to tell two apart.
pub(super) fn short_digest(digest: &str) -> String {
    plain(digest).chars().take("sha256:".len() + 12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_those_of_people() {
        for (bytes, expected) in [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (5_452_595, "5.2 MiB"), (-1, "-1 B")] {
            assert_eq!(size(bytes), expected);
        }
        assert!(size(i64::MAX).ends_with("PiB"));
        assert_eq!(
            (number(0.123_456), percent(0.1), number(f64::NAN)),
            ("0.123".into(), "10 %".into(), "no number".into())
        );
    }

    #[test]
    fn what_moves_the_cursor_is_replaced() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
        assert_eq!(columns(&[vec!["a".into(), "b".into()], vec!["long".into(), String::new()]]), "a     b\nlong\n");
    }

    #[test]
    fn times_are_said_in_utc_and_ages_in_one_unit() {
        let then = Time(Timestamp::from_second(1_764_000_000).unwrap());
        assert_eq!(time(&then), "2025-11-24 16:00 UTC");
        for (seconds, expected) in [(-5, "0m"), (59, "0m"), (3_599, "59m"), (7_200, "2h"), (200_000, "2d")] {
            assert_eq!(ago(&then, Timestamp::from_second(1_764_000_000 + seconds).unwrap()), expected);
        }
    }
}
