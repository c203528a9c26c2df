//! A rule that moved, in one line: what it asked for, and what it asks for now.

use crate::contract::check::{RuleKind, ValueTest};
use crate::data_contract::describe::{all, describe, parts, some};

/// Whether two rules ask something of the same: then one of them is the other, moved.
pub(super) fn is_about_the_same(one: &RuleKind, other: &RuleKind) -> bool {
    use RuleKind as K;
    match (one, other) {
        (K::Values { column, test }, K::Values { column: of, test: other }) => column == of && same_end(test, other),
        (K::RowCount { .. }, K::RowCount { .. }) | (K::PrimaryKey { .. }, K::PrimaryKey { .. }) => true,
        (K::NullValues { column, unit, .. }, K::NullValues { column: of, unit: with, .. })
        | (K::MissingValues { column, unit, .. }, K::MissingValues { column: of, unit: with, .. })
        | (K::InvalidValues { column, unit, .. }, K::InvalidValues { column: of, unit: with, .. }) => {
            (column, unit) == (of, with)
        }
        (K::DuplicateValues { columns, unit, .. }, K::DuplicateValues { columns: of, unit: with, .. }) => {
            (columns, unit) == (of, with)
        }
        (K::Sql { query, .. }, K::Sql { query: of, .. }) => query == of,
        _ => false,
    }
}

/// Whether two tests bound values at the same end.
fn same_end(one: &ValueTest, other: &ValueTest) -> bool {
    use ValueTest as T;
    let is_lower = |test: &T| matches!(test, T::Minimum(_) | T::ExclusiveMinimum(_));
    let is_upper = |test: &T| matches!(test, T::Maximum(_) | T::ExclusiveMaximum(_));
    std::mem::discriminant(one) == std::mem::discriminant(other)
        || is_lower(one) && is_lower(other)
        || is_upper(one) && is_upper(other)
}

/// What a rule was, and is.
pub(super) fn moved(old: &RuleKind, new: &RuleKind) -> String {
    if let Some(lists) = lists(old, new) {
        return lists;
    }
    let ((subject, demand), (about, now)) = (parts(old), parts(new));
    match (old, new) {
        (RuleKind::Sql { is, .. }, RuleKind::Sql { is: now, .. }) => {
            format!("the query gives {now}, where it gave {is}")
        }
        (RuleKind::InvalidValues { column, tests, is, .. }, RuleKind::InvalidValues { tests: valid, is: with, .. })
            if tests != valid && is == with =>
        {
            format!("a valid value of {column} {}, and {}", past(&all(tests)), all(valid))
        }
        (RuleKind::InvalidValues { tests, .. }, RuleKind::InvalidValues { tests: valid, .. }) if tests != valid => {
            format!("from now on {}; before, {}", describe(new), describe(old))
        }
        _ if subject == about => format!("{subject} {}, and {now}", past(&demand)),
        _ => format!("from now on {}, where {}", describe(new), describe(old)),
    }
}

/// A demand as it was.
fn past(demand: &str) -> String {
    let (verb, rest) = demand.split_once(' ').unwrap_or((demand, ""));
    let verb = match verb {
        "is" => "was",
        "has" | "have" => "had",
        "matches" => "matched",
        other => other,
    };
    format!("{verb} {rest}")
}

/// What came to a list and what left it, where nothing else is another.
fn lists(old: &RuleKind, new: &RuleKind) -> Option<String> {
    use RuleKind as K;
    match (old, new) {
        (K::Values { column, test: ValueTest::OneOf(before) }, K::Values { test: ValueTest::OneOf(now), .. }) => {
            Some(another(&format!("the values that {column} may have"), before, now))
        }
        (
            K::Values { column, test: ValueTest::RequiredProperties(before) },
            K::Values { test: ValueTest::RequiredProperties(now), .. },
        ) => Some(another(&format!("the members that each value of {column} has"), before, now)),
        (K::InvalidValues { column, tests, is, .. }, K::InvalidValues { tests: valid, is: with, .. }) if is == with => {
            let (before, beside) = list(tests)?;
            let (now, others) = list(valid)?;
            let subject = format!("the valid values of {column}");
            (beside == others && before != now).then(|| another(&subject, before, now))
        }
        (
            K::MissingValues { column, values, null, is, .. },
            K::MissingValues { values: now, null: or_null, is: with, .. },
        ) if (null, is) == (or_null, with) => {
            Some(another(&format!("the values that count as missing in {column}"), values, now))
        }
        _ => None,
    }
}

/// The one list among tests, and the others.
fn list(tests: &[ValueTest]) -> Option<(&Vec<String>, Vec<&ValueTest>)> {
    let (lists, others): (Vec<_>, Vec<_>) = tests.iter().partition(|test| matches!(test, ValueTest::OneOf(_)));
    match lists.as_slice() {
        [ValueTest::OneOf(values)] => Some((values, others)),
        _ => None,
    }
}

/// How a list is another.
fn another(subject: &str, before: &[String], now: &[String]) -> String {
    let beyond = |one: &'_ [String], other: &[String]| -> Option<String> {
        let values: Vec<&String> = one.iter().filter(|value| !other.contains(value)).collect();
        (!values.is_empty()).then(|| some(&values))
    };
    let added = beyond(now, before).map(|values| format!("added {values}"));
    let removed = beyond(before, now).map(|values| format!("removed {values}"));
    let told: Vec<String> = [added, removed].into_iter().flatten().collect();
    if told.is_empty() {
        return format!("{subject} stand in another order");
    }
    format!("{subject} are others: {}", told.join("; "))
}
