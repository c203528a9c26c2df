//! The wall clock in the notation that the record and the log use.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, shown as RFC 3339 in UTC with microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    seconds: u64,
    microseconds: u32,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs(), microseconds: since.subsec_micros() }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds / 86400, self.seconds % 86400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let fraction = self.microseconds;
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
    }
}

/// The date of a day counted from 1970, by eras of 400 years that begin in March, so that the leap day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_as_the_contract_reads_them() {
        assert_eq!(Moment { seconds: 0, microseconds: 7 }.to_string(), "1970-01-01T00:00:00.000007Z");
        // Every day until 2200, at another time of day each.
        for day in 0..84_000 {
            let moment = Moment { seconds: day * 86_400 + day % 86_400, microseconds: 123_456 };
            let read: jiff::Timestamp = moment.to_string().parse().unwrap();
            assert_eq!(read.as_microsecond(), i64::try_from(moment.seconds).unwrap() * 1_000_000 + 123_456);
        }
    }
}
