//! Labels of two classes, and groups of rows.

use std::collections::BTreeMap;

use seatrial_crds::{MeasuredGroup, limits};

use crate::problem::{Problem, quoted};
use crate::table::Cell;

/// Groups that a row may belong to: one for each slice.
pub(crate) type GroupsOfRow = [u8; limits::SLICES];

/// The classes of a column of labels.
#[derive(Debug)]
pub(crate) struct Classes {
    positive: String,
    /// The classes that occurred, as they are compared.
    seen: Vec<String>,
    /// Texts that occurred, and whether they are the positive label: what is looked up for each row.
    known: Vec<(String, bool)>,
}

impl Classes {
    pub(crate) fn new(positive: &str) -> Self {
        Self { positive: comparable(positive), seen: Vec::new(), known: Vec::new() }
    }

    /// Whether a value is the positive label; an error where it is none, or the third that occurs.
    pub(crate) fn is_positive(&mut self, cell: Cell<'_>, what: &str, row: u32, table: &str) -> Result<bool, Problem> {
        if let Cell::Text(text) = cell
            && let Some((_, positive)) = self.known.iter().find(|(known, _)| known == text)
        {
            return Ok(*positive);
        }
        let class = class(cell)
            .filter(|class| !class.is_empty())
            .ok_or_else(|| Problem::Unusable(format!("row {row} of {table} has no {what}")))?;
        let positive = class == self.positive;
        if !self.seen.contains(&class) {
            self.seen.push(class);
            if self.seen.len() > 2 {
                let named = self.named();
                return Err(Problem::Unusable(format!(
                    "{table} have more than two values of {what}, among them {named}: a binary classification has two"
                )));
            }
        }
        if let Cell::Text(text) = cell
            && self.known.len() < 64
        {
            self.known.push((text.to_owned(), positive));
        }
        Ok(positive)
    }

    /// Refuses labels of one class, and those among which the positive one does not occur.
    pub(crate) fn check(&self, table: &str) -> Result<(), Problem> {
        let (named, positive) = (self.named(), quoted(&self.positive));
        if let [only] = self.seen.as_slice() {
            let only = quoted(only);
            return Err(Problem::Unusable(format!(
                "every row of {table} has the label {only}: measuring takes rows with the positive label {positive} and rows without"
            )));
        }
        if self.seen.contains(&self.positive) {
            Ok(())
        } else {
            Err(Problem::Unusable(format!(
                "no row of {table} has the positive label {positive}; the labels are {named}: correct task.positiveLabel or the table"
            )))
        }
    }

    /// Refuses predictions of a class that no label has.
    pub(crate) fn check_against(&self, labels: &Self, table: &str) -> Result<(), Problem> {
        match self.seen.iter().find(|class| !labels.seen.contains(class)) {
            None => Ok(()),
            Some(stray) => Err(Problem::Unusable(format!(
                "{table} have the prediction {}, which no row has as its label; the labels are {}",
                quoted(stray),
                labels.named()
            ))),
        }
    }

    fn named(&self) -> String {
        let mut seen: Vec<_> = self.seen.iter().map(|class| quoted(class)).collect();
        seen.sort_unstable();
        seen.join(", ")
    }
}

/// A label in the form in which labels are compared: integers without zeros around them, booleans in lower case.
fn class(cell: Cell<'_>) -> Option<String> {
    match cell {
        Cell::Missing => None,
        Cell::Text(text) => Some(comparable(text)),
        Cell::Whole(number) => Some(number.to_string()),
        Cell::Number(number) if number.is_nan() => None,
        Cell::Number(number) => Some(comparable(&format!("{number:?}"))),
        Cell::Truth(truth) => Some(truth.to_string()),
    }
}

/// A text that is the same for texts of the same integer, or boolean.
pub(crate) fn comparable(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !fraction.is_empty()
        && fraction.bytes().all(|byte| byte == b'0')
        && let Ok(number) = whole.parse::<i128>()
    {
        return number.to_string();
    }
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return text.to_ascii_lowercase();
    }
    text.to_owned()
}

/// The groups of all slices, by number as they occur.
#[derive(Debug)]
pub(crate) struct Groups {
    slices: Vec<(String, BTreeMap<String, u8>)>,
    count: u8,
}

impl Groups {
    pub(crate) fn new(slices: &[String]) -> Self {
        Self { slices: slices.iter().map(|slice| (slice.clone(), BTreeMap::new())).collect(), count: 0 }
    }

    /// The groups of a row, by the values of the slices' columns.
    pub(crate) fn of(&mut self, cells: &[Cell<'_>], row: u32, table: &str) -> Result<GroupsOfRow, Problem> {
        let mut groups = GroupsOfRow::default();
        for ((group, (slice, values)), cell) in groups.iter_mut().zip(&mut self.slices).zip(cells) {
            let written;
            let value = match cell {
                Cell::Missing => "",
                Cell::Text(text) => text,
                Cell::Number(number) if number.is_nan() => "",
                Cell::Whole(number) => {
                    written = number.to_string();
                    &written
                }
                Cell::Number(number) => {
                    written = format!("{number:?}");
                    &written
                }
                Cell::Truth(truth) => {
                    if *truth {
                        "true"
                    } else {
                        "false"
                    }
                }
            };
            *group = match values.get(value) {
                Some(known) => *known,
                None => {
                    if value.len() > limits::LABEL {
                        return Err(Problem::Unusable(format!(
                            "row {row} of {table} has a value of more than {} bytes in the slice {}: {}",
                            limits::LABEL,
                            quoted(slice),
                            quoted(value)
                        )));
                    }
                    if usize::from(self.count) >= limits::MEASURED_GROUPS {
                        return Err(Problem::Unusable(format!(
                            "the slices have more than {} groups, with row {row} of {table}: {} has the value {}; \
                             name columns with fewer values",
                            limits::MEASURED_GROUPS,
                            quoted(slice),
                            quoted(value)
                        )));
                    }
                    let number = self.count;
                    self.count += 1;
                    values.insert(value.to_owned(), number);
                    number
                }
            };
        }
        Ok(groups)
    }

    /// The groups sorted by slice and value, and for each number given so far its place among them.
    pub(crate) fn sorted(self) -> (Vec<MeasuredGroup>, Vec<u8>) {
        let mut all: Vec<(MeasuredGroup, u8)> = Vec::new();
        for (slice, values) in self.slices {
            all.extend(
                values.into_iter().map(|(value, number)| (MeasuredGroup { slice: slice.clone(), value }, number)),
            );
        }
        all.sort_by(|(one, _), (other, _)| (&one.slice, &one.value).cmp(&(&other.slice, &other.value)));
        let mut places = vec![0_u8; all.len()];
        for (place, (_, number)) in all.iter().enumerate() {
            if let (Some(slot), Ok(place)) = (places.get_mut(usize::from(*number)), u8::try_from(place)) {
                *slot = place;
            }
        }
        (all.into_iter().map(|(group, _)| group).collect(), places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_booleans_are_compared_by_what_they_mean() {
        for (one, other) in [("1", "1.0"), ("01", "1"), ("True", "true"), ("-0", "0"), ("+3.00", "3")] {
            assert_eq!(comparable(one), comparable(other), "{one} = {other}");
        }
        for (one, other) in [("1", "1.5"), ("1.", "1"), ("yes", "Yes"), ("1", "true"), (" 1", "1")] {
            assert_ne!(comparable(one), comparable(other), "{one} and {other}");
        }
        let one = Some("1".to_owned());
        assert_eq!(class(Cell::Whole(1)), one);
        assert_eq!(class(Cell::Number(1.0)), one);
        assert_eq!(class(Cell::Truth(true)), Some("true".to_owned()));
        assert_eq!(class(Cell::Number(f64::NAN)), None);
    }
}
