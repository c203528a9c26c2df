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

use super::scheduled::frequency_text;
use super::{Contract, Frequency, Schema, describe};
use crate::contract::check::{Column, Comparison, Rule, RuleKind, Severity, Unit, ValueTest};
use crate::decimal::Decimal;

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
    frequencies(old.frequency, new.frequency, &mut changes);
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

fn frequencies(old: Option<Frequency>, new: Option<Frequency>, changes: &mut Vec<Change>) {
    let (effect, what) = match (old, new) {
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
    changes.push(change("slaProperties[frequency]", what, effect));
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
    rules(old, new, changes);
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

/// Each rule of the old schema object is met by one of the new that rules out as much, or is broken.
fn rules(old: &Schema, new: &Schema, changes: &mut Vec<Change>) {
    let of_gone_column =
        |rule: &Rule| rule.check.columns().into_iter().any(|name| new.columns.iter().all(|column| column.name != name));
    for rule in old.rules.iter().filter(|rule| !of_gone_column(rule)) {
        if matches!(rule.check, RuleKind::Type { .. } | RuleKind::Present { .. }) {
            // Said of the column.
            continue;
        }
        let place = place(old, &rule.check);
        let demand = describe(&rule.check);
        let met = new.rules.iter().filter(|other| implies(&other.check, &rule.check));
        let met: Vec<&Rule> = met.collect();
        let same = met.iter().find(|other| other.check == rule.check);
        match (same, met.first()) {
            (Some(same), _) => severities(&place, &demand, rule, same, changes),
            (None, Some(stricter)) => {
                let what = format!("from now on {}, where {demand}", describe(&stricter.check));
                changes.push(change(&place, what, stops(stricter)));
                severities(&place, &demand, rule, stricter, changes);
            }
            (None, None) => {
                changes.push(change(&place, format!("it is no longer promised that {demand}"), Effect::Breaks))
            }
        }
    }
    for rule in &new.rules {
        let of_new_column =
            rule.check.columns().into_iter().any(|name| old.columns.iter().all(|column| column.name != name));
        let is_known = old.rules.iter().any(|other| other.check == rule.check || implies(&rule.check, &other.check));
        if !of_new_column && !is_known && !matches!(rule.check, RuleKind::Type { .. } | RuleKind::Present { .. }) {
            let what = format!("it is new that {}", describe(&rule.check));
            changes.push(change(&place(new, &rule.check), what, stops(rule)));
        }
    }
}

/// What a rule means that data did not have to keep before.
const fn stops(rule: &Rule) -> Effect {
    match rule.severity {
        Severity::Error => Effect::MayStop,
        Severity::Warning => Effect::Harmless,
    }
}

fn place(schema: &Schema, rule: &RuleKind) -> String {
    match rule.columns().as_slice() {
        [column] => format!("{}.{column}", schema.name),
        _ => schema.name.clone(),
    }
}

fn severities(place: &str, demand: &str, old: &Rule, new: &Rule, changes: &mut Vec<Change>) {
    match (old.severity, new.severity) {
        (Severity::Error, Severity::Warning) => {
            changes.push(change(place, format!("it only warns from now on where not {demand}"), Effect::Breaks));
        }
        (Severity::Warning, Severity::Error) => {
            changes.push(change(place, format!("a step stops from now on where not {demand}"), Effect::MayStop));
        }
        _ => {}
    }
}

/// Whether all data that keep one rule keep the other.
fn implies(one: &RuleKind, other: &RuleKind) -> bool {
    use RuleKind as K;
    if one == other {
        return true;
    }
    match (one, other) {
        (K::PrimaryKey { columns }, K::Required { column }) => columns.contains(column),
        (K::PrimaryKey { columns }, K::Unique { column }) => columns.as_slice() == [column.clone()],
        (K::PrimaryKey { columns }, K::PrimaryKey { columns: others }) => {
            // A shorter key keeps more rows apart; nulls of columns that left the key may come.
            let (mut one, mut other) = (columns.clone(), others.clone());
            one.sort_unstable();
            other.sort_unstable();
            one == other
        }
        (K::Values { column, test }, K::Values { column: of, test: other }) => column == of && tests(test, other),
        (K::RowCount { is }, K::RowCount { is: other }) => narrower(is, other),
        (K::NullValues { column, is, unit }, K::NullValues { column: of, is: other, unit: with }) => {
            (column, unit) == (of, with) && narrower(is, other)
        }
        (K::Required { column }, K::NullValues { column: of, is, .. }) => column == of && is_true_of_none(is),
        (
            K::MissingValues { column, values, null, is, unit },
            K::MissingValues { column: of, values: fewer, null: or_null, is: other, unit: with },
        ) => {
            (column, unit) == (of, with)
                && fewer.iter().all(|value| values.contains(value))
                && (*null || !or_null)
                && is_upper(other)
                && narrower(is, other)
        }
        (
            K::InvalidValues { column, tests: strict, is, unit },
            K::InvalidValues { column: of, tests: loose, is: other, unit: with },
        ) => {
            (column, unit) == (of, with)
                && loose.iter().all(|loose| strict.iter().any(|strict| tests(strict, loose)))
                && (strict == loose || is_upper(other))
                && narrower(is, other)
        }
        (K::DuplicateValues { columns, is, unit }, K::DuplicateValues { columns: of, is: other, unit: with }) => {
            (columns, unit) == (of, with) && narrower(is, other)
        }
        // Of two queries nobody knows which is the stricter.
        (K::Sql { query, is }, K::Sql { query: of, is: other }) => query == of && narrower(is, other),
        _ => false,
    }
}

/// Whether each value that passes one test passes the other.
fn tests(one: &ValueTest, other: &ValueTest) -> bool {
    use ValueTest as T;
    let compare =
        |one: &str, other: &str| Decimal::parse(one).zip(Decimal::parse(other)).map(|(one, other)| one.cmp(&other));
    let least = |one: &str, other: &str| compare(one, other).is_some_and(std::cmp::Ordering::is_ge);
    let most = |one: &str, other: &str| compare(one, other).is_some_and(std::cmp::Ordering::is_le);
    match (one, other) {
        (T::MinLength(one), T::MinLength(other))
        | (T::MinItems(one), T::MinItems(other))
        | (T::MinProperties(one), T::MinProperties(other)) => one >= other,
        (T::MaxLength(one), T::MaxLength(other))
        | (T::MaxItems(one), T::MaxItems(other))
        | (T::MaxProperties(one), T::MaxProperties(other)) => one <= other,
        (T::OneOf(one), T::OneOf(other)) => one.iter().all(|value| other.contains(value)),
        (T::RequiredProperties(one), T::RequiredProperties(other)) => other.iter().all(|name| one.contains(name)),
        (T::Minimum(one) | T::ExclusiveMinimum(one), T::Minimum(other))
        | (T::ExclusiveMinimum(one), T::ExclusiveMinimum(other)) => least(one, other),
        (T::Maximum(one) | T::ExclusiveMaximum(one), T::Maximum(other))
        | (T::ExclusiveMaximum(one), T::ExclusiveMaximum(other)) => most(one, other),
        _ => one == other,
    }
}

/// An end of a range of numbers, and whether it is part of the range; `None` where there is no end.
type End = Option<(Decimal, bool)>;

/// The numbers that a comparison lets pass.
fn range(is: &Comparison) -> Option<(End, End)> {
    let number = |text: &str| Decimal::parse(text);
    Some(match is {
        Comparison::MustBe(bound) => (Some((number(bound)?, true)), Some((number(bound)?, true))),
        Comparison::MustBeGreaterThan(bound) => (Some((number(bound)?, false)), None),
        Comparison::MustBeGreaterOrEqualTo(bound) => (Some((number(bound)?, true)), None),
        Comparison::MustBeLessThan(bound) => (None, Some((number(bound)?, false))),
        Comparison::MustBeLessOrEqualTo(bound) => (None, Some((number(bound)?, true))),
        Comparison::MustBeBetween(low, high) => (Some((number(low)?, true)), Some((number(high)?, true))),
        Comparison::MustNotBe(_) | Comparison::MustNotBeBetween(..) => return None,
    })
}

/// Whether each number that keeps one comparison keeps the other.
fn narrower(one: &Comparison, other: &Comparison) -> bool {
    if one == other {
        return true;
    }
    let (Some((low, high)), Some((lowest, highest))) = (range(one), range(other)) else { return false };
    let inside = |own: End, bound: End, is_low: bool| match (own, bound) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((own, closed)), Some((bound, is_closed))) => {
            let order = if is_low { own.cmp(&bound) } else { bound.cmp(&own) };
            order.is_gt() || order.is_eq() && (is_closed || !closed)
        }
    };
    inside(low, lowest, true) && inside(high, highest, false)
}

/// Whether a comparison bounds a count from above alone: who counts less keeps it.
fn is_upper(is: &Comparison) -> bool {
    match is {
        Comparison::MustBeLessThan(_) | Comparison::MustBeLessOrEqualTo(_) => true,
        Comparison::MustBe(bound) => Decimal::parse(bound) == Decimal::parse("0"),
        _ => false,
    }
}

/// Whether a count of nothing keeps a comparison.
fn is_true_of_none(is: &Comparison) -> bool {
    is.holds(0, 1, Unit::Rows) == Some(true)
}
