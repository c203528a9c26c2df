//! What a rule demands, in words.

use crate::contract::check::{Comparison, RuleKind, TextFormat, Unit, ValueTest};

/// Bytes of a query that are shown.
const SHOWN_QUERY: usize = 120;
/// Values of a list that are shown.
const SHOWN_VALUES: usize = 8;
/// Bytes of a value that are shown.
const SHOWN_VALUE: usize = 40;

/// The demand of a rule in one sentence without its end: `each value of age is at least 18`.
pub fn describe(rule: &RuleKind) -> String {
    let (subject, demand) = parts(rule);
    let valid = match rule {
        RuleKind::InvalidValues { tests, .. } => format!("; a valid one {}", all(tests)),
        _ => String::new(),
    };
    format!("{subject} {demand}{valid}")
}

/// What a rule is about, and what it asks of that: `each value of age`, `is at least 18`. What counts as valid is asked of
/// nothing: it is part of what is counted.
pub(super) fn parts(rule: &RuleKind) -> (String, String) {
    let (subject, demand) = match rule {
        RuleKind::Present { column } => ("there", format!("is a column {column}")),
        RuleKind::Type { column } => return (each(column), "is of its type".to_owned()),
        RuleKind::Required { column } => return (column.clone(), "has a value in each row".to_owned()),
        RuleKind::Unique { column } => ("no two rows", format!("have the same {column}")),
        RuleKind::PrimaryKey { columns } => {
            return (columns.join(", "), "has values in each row, and no two rows have the same".to_owned());
        }
        RuleKind::Values { column, test } => return (each(column), of_test(test)),
        RuleKind::RowCount { is } => ("the number of rows", format!("is {is}")),
        RuleKind::NullValues { column, is, unit } => return counted("rows without a value", column, is, *unit),
        RuleKind::MissingValues { column, is, unit, .. } => {
            return counted("rows with a missing value", column, is, *unit);
        }
        RuleKind::InvalidValues { column, is, unit, .. } => {
            return counted("rows with an invalid value", column, is, *unit);
        }
        RuleKind::DuplicateValues { columns, is, unit } => {
            return counted("rows too many, of equal values", &columns.join(", "), is, *unit);
        }
        RuleKind::Sql { query, is } => {
            let mut query = query.split_whitespace().collect::<Vec<_>>().join(" ");
            crate::text::truncate(&mut query, SHOWN_QUERY);
            ("the query gives", format!("{is}: {query}"))
        }
    };
    (subject.to_owned(), demand)
}

fn each(column: &str) -> String {
    format!("each value of {column}")
}

fn counted(what: &str, column: &str, is: &Comparison, unit: Unit) -> (String, String) {
    match unit {
        Unit::Rows => (format!("the number of {what} of {column}"), format!("is {is}")),
        Unit::Percent => (format!("the part of {what} of {column}"), format!("is {is} %")),
    }
}

/// What all of these tests ask of a value.
pub(super) fn all(tests: &[ValueTest]) -> String {
    tests.iter().map(of_test).collect::<Vec<_>>().join(" and ")
}

/// Some values of a list, each cut.
pub(super) fn some(values: &[&String]) -> String {
    let cut = |value: &&&String| {
        let mut value = (**value).clone();
        crate::text::truncate(&mut value, SHOWN_VALUE);
        value
    };
    let shown: Vec<String> = values.iter().take(SHOWN_VALUES).map(|value| cut(&value)).collect();
    match values.len().saturating_sub(SHOWN_VALUES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn of_test(test: &ValueTest) -> String {
    match test {
        ValueTest::MinLength(length) => format!("has at least {length} characters"),
        ValueTest::MaxLength(length) => format!("has at most {length} characters"),
        ValueTest::Pattern(pattern) => format!("matches {pattern}"),
        ValueTest::Format(format) => format!(
            "is {}",
            match format {
                TextFormat::Email => "an e-mail address",
                TextFormat::Uuid => "a UUID",
                TextFormat::Uri => "a URI",
                TextFormat::Hostname => "a host name",
                TextFormat::Ipv4 => "an IPv4 address",
                TextFormat::Ipv6 => "an IPv6 address",
            }
        ),
        ValueTest::OneOf(values) => format!("is one of {}", some(&values.iter().collect::<Vec<_>>())),
        ValueTest::Minimum(bound) => format!("is at least {bound}"),
        ValueTest::Maximum(bound) => format!("is at most {bound}"),
        ValueTest::ExclusiveMinimum(bound) => format!("is more than {bound}"),
        ValueTest::ExclusiveMaximum(bound) => format!("is less than {bound}"),
        ValueTest::MultipleOf(step) => format!("is a multiple of {step}"),
        ValueTest::MinItems(count) => format!("has at least {count} items"),
        ValueTest::MaxItems(count) => format!("has at most {count} items"),
        ValueTest::UniqueItems => "has no item twice".to_owned(),
        ValueTest::MinProperties(count) => format!("has at least {count} members"),
        ValueTest::MaxProperties(count) => format!("has at most {count} members"),
        ValueTest::RequiredProperties(names) => format!("has the members {}", names.join(", ")),
    }
}
