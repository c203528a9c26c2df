//! Rules in words, for people.

use seatrial_core::contract::check::{
    CheckReport, CheckVerdict, Comparison, LogicalType, Position, Rule, RuleKind, RuleOutcome, RuleResult, Severity,
    Unit, ValueTest,
};
use seatrial_core::decimal::Decimal;

use crate::problem::{count, quoted};

/// How many broken rules are named beside the first.
const NAMED: usize = 2;

/// The verdict in a sentence.
pub(super) fn overall(verdict: CheckVerdict, rules: &[RuleResult], rows: u64) -> String {
    let of = |severity, outcome| rules.iter().filter(move |rule| rule.severity == severity && rule.outcome == outcome);
    let number = |count: usize| count as u64;
    let rows = plural(rows, "row", "rows");
    match verdict {
        CheckVerdict::Failed => {
            let broken = CheckReport::broken(rules, Severity::Error);
            let are = if broken.len() == 1 { "is" } else { "are" };
            let rules = plural(number(rules.len()), "rule", "rules");
            format!("{} of {rules} {are} broken: {}", broken.len(), named(&broken))
        }
        CheckVerdict::Inconclusive => {
            let undecided = number(of(Severity::Error, RuleOutcome::Inconclusive).count());
            let rules = plural(undecided, "rule has", "rules have");
            let first = of(Severity::Error, RuleOutcome::Inconclusive).next();
            let first = first.map(|rule| rule.sentence.as_str()).unwrap_or_default();
            format!("{rows} prove nothing where {rules} nothing to judge: {first}")
        }
        CheckVerdict::Passed | CheckVerdict::Error => {
            let held = number(rules.iter().filter(|rule| rule.outcome == RuleOutcome::Held).count());
            let warnings = CheckReport::broken(rules, Severity::Warning);
            let kept = format!("{rows} keep {}", plural(held, "rule", "rules"));
            if warnings.is_empty() {
                return kept;
            }
            let are = plural(number(warnings.len()), "rule of severity warning is", "rules of severity warning are");
            format!("{kept}; {are} broken: {}", named(&warnings))
        }
    }
}

/// What is said of broken rules: the first in a sentence, some of the others by their names.
fn named(broken: &[&RuleResult]) -> String {
    let Some((first, others)) = broken.split_first() else { return String::new() };
    let names: Vec<String> = others.iter().take(NAMED).map(|rule| quoted(&rule.rule)).collect();
    let more = match others.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    if names.is_empty() {
        first.sentence.clone()
    } else {
        format!("{}; and {}{more}", first.sentence, names.join(", "))
    }
}

/// What came of a rule in one sentence: what was found, and what was expected.
pub(super) fn sentence(
    rule: &Rule,
    outcome: RuleOutcome,
    found: &str,
    expected: &str,
    first: Option<&Position>,
) -> String {
    let about = about(&rule.check);
    match (outcome, &rule.check) {
        (RuleOutcome::NotChecked, _) => format!("{about} is not checked: {found}"),
        (RuleOutcome::Inconclusive, _) => format!("{about} is not decided: {found}"),
        (_, RuleKind::RowCount { .. }) => format!("{about} has {found}; expected {expected}"),
        (_, RuleKind::Sql { .. }) => format!("{about} {} gives {found}; expected {expected}", quoted(&rule.name)),
        // What was expected is what is missing.
        (RuleOutcome::Broken, RuleKind::Present { .. }) => format!("{about}: {found}"),
        (RuleOutcome::Broken, _) => {
            let first = first.map(|first| format!(", {}", place(first))).unwrap_or_default();
            format!("{about}: {found}{first}; expected {expected}")
        }
        (RuleOutcome::Held, _) => format!("{about}: {found}; expected {expected}"),
    }
}

/// A position as a sentence has it.
fn place(position: &Position) -> String {
    let file = position.file.as_ref().map(|file| format!(" of {}", quoted(file))).unwrap_or_default();
    let value = position.value.as_ref().map(|value| format!(" with {}", quoted(value))).unwrap_or_default();
    format!("the first in row {}{file}{value}", position.row)
}

/// So many rows of all that have something: `3 of 10 rows have null`.
pub(super) fn rows_with(matched: u64, of: u64, what: &str) -> String {
    let have = if matched == 1 { "has" } else { "have" };
    format!("{matched} of {} {have} {what}", plural(of, "row", "rows"))
}

/// The same, with their part of all where the rule is about that.
pub(super) fn counted_rows(rule: &RuleKind, matched: u64, of: u64) -> String {
    let (unit, what) = match rule {
        RuleKind::NullValues { unit, .. } => (*unit, "null"),
        RuleKind::MissingValues { unit, .. } => (*unit, "a missing value"),
        RuleKind::InvalidValues { unit, .. } => (*unit, "an invalid value"),
        RuleKind::DuplicateValues { unit, .. } => (*unit, "the values of another row"),
        _ => (Unit::Rows, "such a value"),
    };
    match unit {
        Unit::Percent if of > 0 => {
            let hundredths = (u128::from(matched) * 10_000 + u128::from(of) / 2) / u128::from(of);
            let part = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            let part = part.trim_end_matches('0').trim_end_matches('.');
            let have = if matched == 1 { "has" } else { "have" };
            format!("{matched} of {} ({part} %) {have} {what}", plural(of, "row", "rows"))
        }
        _ => rows_with(matched, of, what),
    }
}

/// What rows have that fail a test, after "have".
pub(super) fn failing(test: &ValueTest) -> String {
    match test {
        ValueTest::MinLength(length) => format!("less than {}", plural(*length, "character", "characters")),
        ValueTest::MaxLength(length) => format!("more than {}", plural(*length, "character", "characters")),
        ValueTest::Pattern(pattern) => format!("no match of {}", quoted(pattern)),
        ValueTest::Format(format) => format!("no text of the form {}", format!("{format:?}").to_lowercase()),
        ValueTest::OneOf(_) => "another value".to_owned(),
        ValueTest::Minimum(bound) => format!("less than {bound}"),
        ValueTest::Maximum(bound) => format!("more than {bound}"),
        ValueTest::ExclusiveMinimum(bound) => format!("{bound} or less"),
        ValueTest::ExclusiveMaximum(bound) => format!("{bound} or more"),
        ValueTest::MultipleOf(factor) => format!("no multiple of {factor}"),
        ValueTest::MinItems(number) => format!("less than {}", plural(*number, "item", "items")),
        ValueTest::MaxItems(number) => format!("more than {}", plural(*number, "item", "items")),
        ValueTest::UniqueItems => "an item twice".to_owned(),
        ValueTest::MinProperties(number) => format!("less than {}", plural(*number, "member", "members")),
        ValueTest::MaxProperties(number) => format!("more than {}", plural(*number, "member", "members")),
        ValueTest::RequiredProperties(_) => "not all of the members".to_owned(),
    }
}

/// What a rule is about.
fn about(rule: &RuleKind) -> String {
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

/// What a rule demands, after "expected"; `kind` is the type of its column.
pub(super) fn expected(rule: &RuleKind, kind: Option<LogicalType>) -> String {
    let compared = |is: &Comparison, of: Unit, what: &str| format!("{} {what}", number_of_rows(is, of));
    match rule {
        RuleKind::Present { .. } => "the column".to_owned(),
        RuleKind::Type { .. } => match kind {
            Some(kind) => format!("values of the type {} alone", kind.name()),
            None => "values of its type alone".to_owned(),
        },
        RuleKind::Required { .. } => "no nulls".to_owned(),
        RuleKind::Unique { .. } => "no value twice".to_owned(),
        RuleKind::PrimaryKey { .. } => "no nulls, and no key twice".to_owned(),
        RuleKind::Values { test, .. } => wanted(test),
        RuleKind::RowCount { is } => number_of_rows(is, Unit::Rows),
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

/// `at most 5 rows`, `no rows`, `less than 5 percent of the rows`.
fn number_of_rows(is: &Comparison, unit: Unit) -> String {
    match (is, unit) {
        (Comparison::MustBe(bound), _) if Decimal::parse(bound) == Decimal::parse("0") => "no rows".to_owned(),
        (_, Unit::Percent) => format!("{is} percent of the rows"),
        (_, Unit::Rows) => {
            let is = is.to_string();
            let is_one = is.rsplit(' ').next() == Some("1");
            format!("{is} {}", if is_one { "row" } else { "rows" })
        }
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
