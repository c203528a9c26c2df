//! Rules in words, for people.

use seatrial_core::contract::check::{Comparison, RuleKind, Unit, ValueTest};

use crate::problem::{count, quoted};

/// What a rule is about.
pub(super) fn about(rule: &RuleKind) -> String {
    let columns = rule.columns();
    match (rule, columns.as_slice()) {
        (RuleKind::Sql { .. }, _) => "the query".to_owned(),
        (_, []) => "the table".to_owned(),
        (_, [one]) => format!("column {}", quoted(one)),
        (_, several) => {
            let names: Vec<String> = several.iter().map(|name| quoted(name)).collect();
            format!("columns {}", names.join(", "))
        }
    }
}

/// What a rule demands, after "expected".
pub(super) fn expected(rule: &RuleKind) -> String {
    let unit = |unit: Unit| match unit {
        Unit::Rows => "rows",
        Unit::Percent => "percent of the rows",
    };
    let compared = |is: &Comparison, of: Unit, what: &str| format!("{is} {} {what}", unit(of));
    match rule {
        RuleKind::Present { .. } => "the column".to_owned(),
        RuleKind::Type { .. } => "values of its type alone".to_owned(),
        RuleKind::Required { .. } => "no nulls".to_owned(),
        RuleKind::Unique { .. } => "no value twice".to_owned(),
        RuleKind::PrimaryKey { .. } => "no nulls, and no key twice".to_owned(),
        RuleKind::Values { test, .. } => wanted(test),
        RuleKind::RowCount { is } => format!("{is} rows"),
        RuleKind::NullValues { is, unit, .. } => compared(is, *unit, "with null"),
        RuleKind::MissingValues { is, unit, .. } => compared(is, *unit, "with a missing value"),
        RuleKind::InvalidValues { is, unit, tests, .. } => {
            let tests: Vec<String> = tests.iter().map(wanted).collect();
            let tests = if tests.is_empty() { String::new() } else { format!(" (valid: {})", tests.join(" and ")) };
            format!("{}{tests}", compared(is, *unit, "with an invalid value"))
        }
        RuleKind::DuplicateValues { is, unit, .. } => compared(is, *unit, "that repeat another"),
        RuleKind::Sql { is, .. } => is.to_string(),
    }
}

/// What a test demands of a value.
fn wanted(test: &ValueTest) -> String {
    match test {
        ValueTest::MinLength(length) => format!("at least {}", plural(*length, "character", "characters")),
        ValueTest::MaxLength(length) => format!("at most {}", plural(*length, "character", "characters")),
        ValueTest::Pattern(pattern) => format!("a match of {}", quoted(pattern)),
        ValueTest::Format(format) => format!("a text of the form {}", format!("{format:?}").to_lowercase()),
        ValueTest::OneOf(values) => {
            let some: Vec<String> = values.iter().take(5).map(|value| quoted(value)).collect();
            let more = if values.len() > 5 { ", …" } else { "" };
            format!("one of {}{more}", some.join(", "))
        }
        ValueTest::Minimum(bound) => format!("at least {bound}"),
        ValueTest::Maximum(bound) => format!("at most {bound}"),
        ValueTest::ExclusiveMinimum(bound) => format!("more than {bound}"),
        ValueTest::ExclusiveMaximum(bound) => format!("less than {bound}"),
        ValueTest::MultipleOf(factor) => format!("multiples of {factor}"),
        ValueTest::MinItems(number) => format!("at least {}", plural(*number, "item", "items")),
        ValueTest::MaxItems(number) => format!("at most {}", plural(*number, "item", "items")),
        ValueTest::UniqueItems => "no item twice".to_owned(),
        ValueTest::MinProperties(number) => format!("at least {}", plural(*number, "member", "members")),
        ValueTest::MaxProperties(number) => format!("at most {}", plural(*number, "member", "members")),
        ValueTest::RequiredProperties(names) => format!("the members {}", names.join(", ")),
    }
}

/// `1 row`, `2 rows`.
pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, many)
}
