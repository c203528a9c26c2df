//! About how many rows would decide what so many leave open, for people who have to label them.

use super::intervals::{Interval, float};
use super::wording::number;

/// Beyond so many times as many rows, nobody is told to label more.
const MOST: f64 = 100.0;

/// About how many times as many rows would move the bound out of the interval, if the estimate stayed as it is: the width of an
/// interval falls as the square root of the number of rows rises. `None` where the estimate lies at the bound, or nearly so.
pub(super) fn times(estimate: f64, range: Interval, bound: f64) -> Option<f64> {
    let towards = if estimate > bound { estimate - range.low } else { range.high - estimate };
    let times = (towards / (estimate - bound)).powi(2);
    (times.is_finite() && times <= MOST).then_some(times.max(1.0))
}

/// What would decide: `; about 3900 rows in place of 1190 would decide, if the numbers stay alike`.
pub(super) fn rows(times: Option<f64>, rows: i64, what: &str) -> String {
    match times {
        Some(times) => {
            let asked = number(rough(float(rows) * times).max(float(rows.saturating_add(1))));
            format!("; about {asked} {what} in place of {rows} would decide, if the numbers stay alike")
        }
        None => format!("; it lies so near the bound that more {what} would hardly decide"),
    }
}

/// A number of rows, rounded up to two digits.
fn rough(rows: f64) -> f64 {
    let unit = 10_f64.powf((rows.max(1.0).log10().floor() - 1.0).max(0.0));
    (rows / unit).ceil() * unit
}

#[cfg(test)]
mod tests {
    use super::super::intervals::{Proportion, z};
    use super::*;

    /// Of rates on both sides of a bound: so many rows decide, and many fewer do not.
    #[test]
    fn as_many_rows_as_are_named_decide_and_many_fewer_do_not() {
        for (part, whole, bound) in [(60, 100, 0.5), (45, 100, 0.5), (12, 200, 0.1), (480, 500, 0.95), (3, 40, 0.2)] {
            let rate = Proportion { part, whole };
            let range = rate.wilson(z(0.95, 1));
            if range.low > bound || range.high < bound {
                continue;
            }
            let times = times(rate.rate(), range, bound).unwrap();
            let of = |factor: f64| {
                #[expect(clippy::cast_possible_truncation, reason = "small counts")]
                let scaled = |count: i64| (float(count) * factor).round() as i64;
                let range = Proportion { part: scaled(part), whole: scaled(whole) }.wilson(z(0.95, 1));
                range.low > bound || range.high < bound
            };
            assert!(of(times * 1.5) && !of(times * 0.5), "{part} of {whole}, {bound}: {times}");
        }
        let at = Interval { low: 0.4, high: 0.6 };
        assert_eq!((times(0.5, at, 0.5), times(0.501, at, 0.5)), (None, None));
    }

    #[test]
    fn it_is_said_in_numbers_that_nobody_takes_for_exact() {
        assert_eq!(
            rows(Some(3.2), 1190, "rows"),
            "; about 3900 rows in place of 1190 would decide, if the numbers stay alike"
        );
        assert_eq!(rows(None, 7, "labels"), "; it lies so near the bound that more labels would hardly decide");
    }
}
