//! Numbers of tables, and numbers as a measurement has them.

pub(crate) use seatrial_core::decimal::{exact, twelve_digits as rounded};

use crate::problem::{Problem, quoted};
use crate::table::Cell;

/// The largest magnitude of a number of a table: there is a next larger one, and sums of squares of sensible ones are
/// finite.
const LARGEST: f64 = 1e300;

/// Reads a number.
pub(crate) fn read(cell: Cell<'_>, column: &str, row: u32, table: &str) -> Result<f64, Problem> {
    let (number, text) = match cell {
        Cell::Missing => (None, "nothing".to_owned()),
        Cell::Text(text) => (text.trim_ascii().parse().ok(), quoted(text)),
        #[expect(clippy::cast_precision_loss, reason = "the nearest number is meant")]
        Cell::Whole(whole) => (Some(whole as f64), whole.to_string()),
        Cell::Number(number) => (Some(number), number.to_string()),
        Cell::Truth(truth) => (None, truth.to_string()),
    };
    match number {
        // Adding zero turns -0 into 0.
        Some(number) if number.abs() <= LARGEST => Ok(number + 0.0),
        _ => Err(Problem::Unusable(format!(
            "{column} in row {row} of {table} is {text}, not a finite number: write every number, with a decimal point"
        ))),
    }
}

/// A sum that keeps what rounding would lose (Neumaier 1974), so that twelve digits are right after ten million terms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost += if self.sum.abs() >= term.abs() { (self.sum - sum) + term } else { (term - sum) + self.sum };
        self.sum = sum;
    }

    pub(crate) const fn total(self) -> f64 {
        self.sum + self.lost
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<T: IntoIterator<Item = f64>>(terms: T) -> Self {
        let mut sum = Self::default();
        terms.into_iter().for_each(|term| sum.add(term));
        sum
    }
}

/// A count as a floating-point number.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
pub(crate) const fn float(count: usize) -> f64 {
    count as f64
}

/// The mean of terms, and its standard error by the sample's standard deviation: none for fewer than two. The terms are
/// asked for twice.
pub(crate) fn mean<I: Iterator<Item = f64>>(terms: impl Fn() -> I, number: usize) -> (f64, Option<f64>) {
    let mean = terms().collect::<Sum>().total() / float(number);
    let squares = terms().map(|term| (term - mean) * (term - mean)).collect::<Sum>().total();
    (mean, (number > 1).then(|| (squares / float(number - 1) / float(number)).sqrt()))
}

#[cfg(test)]
mod tests {
    use seatrial_core::decimal::Decimal;
    use seatrial_crds::limits;

    use super::*;

    #[test]
    fn numbers_are_plain_decimals_of_twelve_digits() {
        for (number, text) in [
            (0.75, "0.75"),
            (1.0 / 3.0, "0.333333333333"),
            (2.0 / 3.0, "0.666666666667"),
            (-0.0, "0"),
            (1e-7, "0.0000001"),
            (123_456_789_012_345.0, "123456789012000"),
            (1e-30, "1e-30"),
            (-1.5e200, "-1.5e200"),
        ] {
            assert_eq!(rounded(number), text);
        }
        for number in [0.1 + 0.2, 1.0_f64.next_up(), f64::MIN_POSITIVE, 5e-324, -LARGEST, 1e300_f64.next_up()] {
            let text = exact(number);
            assert_eq!(text.parse::<f64>().ok(), Some(number));
            assert!(text.len() <= limits::DECIMAL && Decimal::parse(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_refused_with_its_row() {
        for cell in [
            Cell::Missing,
            Cell::Text(""),
            Cell::Text("NaN"),
            Cell::Text("inf"),
            Cell::Text("0,5"),
            Cell::Text("1e999"),
            Cell::Number(f64::NAN),
            Cell::Number(f64::INFINITY),
            Cell::Truth(true),
        ] {
            let Err(Problem::Unusable(why)) = read(cell, "score", 7, "the predictions") else {
                panic!("{cell:?} is a number");
            };
            assert!(why.contains("row 7"), "{why}");
        }
        assert_eq!(read(Cell::Text(" -0 "), "score", 1, "").map(f64::to_bits), Ok(0.0_f64.to_bits()));
    }

    #[test]
    fn small_terms_are_not_lost() {
        let sum: Sum = [1.0, 1e100, 1.0, -1e100].into_iter().collect();
        assert_eq!(sum.total().to_bits(), 2.0_f64.to_bits());
    }
}
