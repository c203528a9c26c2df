//! What a rule demands, in words.

use crate::contract::check::{Comparison, RuleKind, TextFormat, Unit, ValueTest};

/// Bytes of a query that are shown.
const SHOWN_QUERY: usize = 120;

/// The demand of a rule in one sentence without its end: `age is at least 18`.
pub fn describe(rule: &RuleKind) -> String {
    match rule {
        RuleKind::Present { column } => format!("there is a column {column}"),
        RuleKind::Type { column } => format!("each value of {column} is of its type"),
        RuleKind::Required { column } => format!("{column} has a value in each row"),
        RuleKind::Unique { column } => format!("no two rows have the same {column}"),
        RuleKind::PrimaryKey { columns } => {
            format!("{} has values in each row, and no two rows have the same", columns.join(", "))
        }
        RuleKind::Values { column, test } => format!("each value of {column} {}", of_test(test)),
        RuleKind::RowCount { is } => format!("the number of rows is {is}"),
        RuleKind::NullValues { column, is, unit } => counted("rows without a value", column, is, *unit),
        RuleKind::MissingValues { column, is, unit, .. } => counted("rows with a missing value", column, is, *unit),
        RuleKind::InvalidValues { column, tests, is, unit } => {
            let valid: Vec<String> = tests.iter().map(of_test).collect();
            let counted = counted("rows with an invalid value", column, is, *unit);
            format!("{counted}; a valid one {}", valid.join(" and "))
        }
        RuleKind::DuplicateValues { columns, is, unit } => {
            counted("rows too many, of equal values", &columns.join(", "), is, *unit)
        }
        RuleKind::Sql { query, is } => {
            let mut query = query.split_whitespace().collect::<Vec<_>>().join(" ");
            crate::text::truncate(&mut query, SHOWN_QUERY);
            format!("the query gives {is}: {query}")
        }
    }
}

fn counted(what: &str, column: &str, is: &Comparison, unit: Unit) -> String {
    match unit {
        Unit::Rows => format!("the number of {what} of {column} is {is}"),
        Unit::Percent => format!("the part of {what} of {column} is {is} %"),
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
        ValueTest::OneOf(values) => format!("is one of {}", values.join(", ")),
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
