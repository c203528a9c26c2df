//! What changed from one revision of a contract to the next, from the view of those who read the data.
//!
//! | Change | Breaks readers | May stop steps |
//! |---|---|---|
//! | a schema object or a column is gone | yes | no |
//! | a column's type, or the format of its dates, is another | yes | yes |
//! | a rule is gone, or only warns from now on | yes: what it ruled out may come | no |
//! | a rule lets more pass than before: a wider bound, more valid values, a shorter key | yes | no |
//! | a rule is another, and neither is known to be the stricter one | yes | yes |
//! | CSV files are written in another way | yes | yes |
//! | new data come more rarely | yes | no |
//! | a schema object is new | no | no: nobody reads it yet |
//! | a column is new, or has a type that it did not have | no | yes: it must be there from now on |
//! | a rule is new, or stricter, or stops a step where it warned | no | yes, unless it only warns |
//!
//! Who reads the data is broken by what could not come before. Who checks the data is stopped by data that were good before.

mod implies;
mod moved;
mod rules;

use super::scheduled::frequency_text;
use super::{Contract, Schema};
use crate::contract::check::Column;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The schema object, or a column of it with a dot between them, or `csv`.
    pub place: String,
    /// What is another, for people.
    pub what: String,
    /// What it means for those who read the data.
    pub effect: Effect,
}

/// What a change means for those who read the data, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing.
    Harmless,
    /// Data that kept the older contract may break the newer one, and then a step stops that did not before.
    MayStop,
    /// They may meet what could not come before.
    Breaks,
}

impl Change {
    /// Whether who reads the data may meet what could not come before.
    pub fn breaks(&self) -> bool {
        self.effect == Effect::Breaks
    }
}

/// What changed of one schema object alone, for who reads that; `None` stands for the only one.
///
/// # Errors
/// The newer contract has no such schema object, or several where none is named: a sentence. Who reads it is broken by that.
pub(super) fn compare_schema(old: &Contract, new: &Contract, name: Option<&str>) -> Result<Vec<Change>, String> {
    let only = |contract: &Contract, schema: &Schema| Contract { schemas: vec![schema.clone()], ..contract.clone() };
    // What the older contract did not have was never read.
    let Ok(older) = old.schema(name) else { return Ok(vec![]) };
    let newer = new.schema(name)?;
    Ok(compare(&only(old, older), &only(new, newer)))
}

/// All changes, in the order of the older contract, then what is new.
pub fn compare(old: &Contract, new: &Contract) -> Vec<Change> {
    let mut changes = vec![];
    if old.csv != new.csv {
        changes.push(change("csv", "CSV files are written in another way", Effect::Breaks));
    }
    for schema in &old.schemas {
        match new.schemas.iter().find(|other| other.name == schema.name) {
            Some(other) => schemas(schema, other, &mut changes),
            None => changes.push(change(&schema.name, "the schema object is gone", Effect::Breaks)),
        }
    }
    for schema in new.schemas.iter().filter(|schema| old.schemas.iter().all(|other| other.name != schema.name)) {
        changes.push(change(&schema.name, "the schema object is new", Effect::Harmless));
    }
    changes
}

fn change(place: &str, what: impl Into<String>, effect: Effect) -> Change {
    Change { place: place.to_owned(), what: what.into(), effect }
}

fn frequencies(old: &Schema, new: &Schema, changes: &mut Vec<Change>) {
    let (effect, what) = match (old.frequency, new.frequency) {
        (Some(old), Some(new)) if old != new => {
            let effect = if new.seconds > old.seconds { Effect::Breaks } else { Effect::Harmless };
            (effect, format!("new data came every {}, and come every {}", frequency_text(old), frequency_text(new)))
        }
        (Some(old), None) => {
            (Effect::Breaks, format!("it is no longer promised that new data come every {}", frequency_text(old)))
        }
        (None, Some(new)) => (Effect::Harmless, format!("it is new that new data come every {}", frequency_text(new))),
        _ => return,
    };
    changes.push(change(&format!("slaProperties[frequency] of {}", new.name), what, effect));
}

fn schemas(old: &Schema, new: &Schema, changes: &mut Vec<Change>) {
    for column in &old.columns {
        let place = format!("{}.{}", old.name, column.name);
        match new.columns.iter().find(|other| other.name == column.name) {
            Some(other) => columns(&place, column, other, changes),
            None => changes.push(change(&place, "the column is gone", Effect::Breaks)),
        }
    }
    for column in new.columns.iter().filter(|column| old.columns.iter().all(|other| other.name != column.name)) {
        changes.push(change(&format!("{}.{}", new.name, column.name), "the column is new", Effect::MayStop));
    }
    frequencies(old, new, changes);
    rules::compare(old, new, changes);
}

fn columns(place: &str, old: &Column, new: &Column, changes: &mut Vec<Change>) {
    let name = |column: &Column| column.logical_type.map_or("any", |kind| kind.name());
    if old.logical_type != new.logical_type {
        // What had no type promised nothing of it.
        let effect = if old.logical_type.is_some() { Effect::Breaks } else { Effect::MayStop };
        changes.push(change(place, format!("the type was {}, and is {}", name(old), name(new)), effect));
    }
    if old.format != new.format {
        changes.push(change(place, "dates are written in another way", Effect::Breaks));
    }
}
