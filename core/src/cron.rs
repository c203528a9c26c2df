//! When something is due by a schedule: cron in a time zone, as a CronJob of Kubernetes has it.
//!
//! The rules of time zones are compiled in, so that the operator, whose image has none, and `lint` on a person's machine know
//! the same.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The time zone of a schedule that names none.
pub const DEFAULT_TIME_ZONE: &str = "Etc/UTC";

/// A schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is no cron.
    #[error("\"{0}\" is no schedule ({1}): write five fields, such as \"0 6 * * *\" for each day at six")]
    Cron(String, String),
    /// It is never due.
    #[error("\"{0}\" is never due: no month has such a day")]
    Never(String),
    /// There is no such time zone.
    #[error("\"{0}\" is no time zone: write one of the IANA names, such as Europe/Berlin")]
    TimeZone(String),
}

impl ScheduleError {
    /// Whether the time zone is what is wrong.
    pub const fn is_of_time_zone(&self) -> bool {
        matches!(self, Self::TimeZone(_))
    }
}

impl Schedule {
    /// Reads a schedule of five fields.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(cron: &str, time_zone: Option<&str>) -> Result<Self, ScheduleError> {
        let name = time_zone.unwrap_or(DEFAULT_TIME_ZONE);
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| ScheduleError::TimeZone(name.to_owned()))?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(cron).map_err(|error| ScheduleError::Cron(cron.to_owned(), error.to_string()))?;
        let schedule = Self { cron: parsed, zone };
        // A leap year comes within eight years of any day, also around 1900.
        match schedule.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(cron.to_owned())),
        }
    }

    /// The first time after another.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
        Some(next.timestamp())
    }

    /// The last time that is later than `since` and not later than `now`: of several that were missed, one is made up for.
    /// None is due that is longer ago than `deadline`.
    pub fn due(&self, since: Timestamp, now: Timestamp, deadline: Option<Duration>) -> Option<Timestamp> {
        let last = self.cron.find_previous_occurrence(&now.to_zoned(self.zone.clone()), true).ok()?.timestamp();
        let age = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        (last > since && deadline.is_none_or(|deadline| age <= deadline)).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn schedules_are_read_or_the_mistake_is_named() {
        for cron in
            ["0 6 * * *", "*/15 * * * *", "0 3 * * MON-FRI", "0 0 29 2 *", "@daily", "30 4 1,15 * *", "0 0 L * *"]
        {
            Schedule::parse(cron, Some("Europe/Berlin")).unwrap_or_else(|error| panic!("{cron}: {error}"));
        }
        let table = [
            ("", None, "is no schedule"),
            ("0 6 * *", None, "write five fields"),
            ("0 0 6 * * *", None, "write five fields"),
            ("60 6 * * *", None, "is no schedule"),
            ("x 6 * * *", None, "is no schedule"),
            ("* * * * * *", None, "is no schedule"),
            ("@reboot", None, "is no schedule"),
            ("0 0 30 2 *", None, "is never due"),
            ("0 6 * * *", Some("Europe/Bern lin"), "is no time zone"),
            ("0 6 * * *", Some("../etc/passwd"), "is no time zone"),
        ];
        for (cron, zone, message) in table {
            let error = Schedule::parse(cron, zone).unwrap_err();
            assert!(error.to_string().contains(message), "{cron}: {error}");
            assert_eq!(error.is_of_time_zone(), message == "is no time zone");
        }
    }

    #[test]
    fn of_the_times_that_were_missed_the_last_is_due() {
        let daily = Schedule::parse("0 6 * * *", Some("Europe/Berlin")).unwrap();
        let since = at("2026-01-01T12:00:00Z");
        let hour = Some(Duration::from_secs(3600));
        let table = [
            ("2026-01-01T12:00:00Z", None, None),
            ("2026-01-02T04:59:59Z", None, None),
            // Six in Berlin, in winter.
            ("2026-01-02T05:00:00Z", None, Some("2026-01-02T05:00:00Z")),
            ("2026-01-02T18:00:00Z", None, Some("2026-01-02T05:00:00Z")),
            ("2026-01-09T04:00:00Z", None, Some("2026-01-08T05:00:00Z")),
            ("2026-01-09T05:59:59Z", hour, Some("2026-01-09T05:00:00Z")),
            ("2026-01-09T06:00:01Z", hour, None),
            // And in summer.
            ("2026-07-09T04:00:00Z", None, Some("2026-07-09T04:00:00Z")),
        ];
        for (now, deadline, due) in table {
            assert_eq!(daily.due(since, at(now), deadline), due.map(at), "{now}");
        }
        assert_eq!(
            daily.due(at("2026-01-02T05:00:00Z"), at("2026-01-02T18:00:00Z"), None),
            None,
            "it was made already"
        );
        assert_eq!(daily.next(at("2026-01-02T05:00:00Z")), Some(at("2026-01-03T05:00:00Z")));
    }

    /// A day has one half past two, whatever becomes of the clock.
    #[test]
    fn a_clock_that_changes_leaves_no_day_out_and_makes_none_twice() {
        let nightly = Schedule::parse("30 2 * * *", Some("Europe/Berlin")).unwrap();
        let mut times = vec![at("2026-01-01T00:00:00Z")];
        for _ in 0..365 {
            times.push(nightly.next(times[times.len() - 1]).unwrap());
        }
        let days: std::collections::BTreeSet<_> =
            times[1..].iter().map(|time| time.to_zoned(nightly.zone.clone()).date()).collect();
        assert_eq!(days.len(), 365);
        for time in &times[1..] {
            assert_eq!(nightly.due(at("2025-01-01T00:00:00Z"), *time, None), Some(*time));
        }
    }
}
