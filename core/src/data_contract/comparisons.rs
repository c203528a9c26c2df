//! What a rule of quality asks of a number: the comparisons, and how much it matters.

use super::Draft;
use super::fields::{Fields, decimal};
use crate::contract::check::{Comparison, RuleKind, Severity};
use crate::decimal::Decimal;

/// The operators of the standard.
pub(super) const OPERATORS: &[&str] = &[
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
];

/// Adds a rule for each of these comparisons.
pub(super) fn each(
    fields: Fields<'_>,
    name: &str,
    comparisons: Vec<Comparison>,
    draft: &mut Draft,
    check: impl Fn(Comparison) -> RuleKind,
) {
    if comparisons.is_empty() && draft.problems.is_empty() {
        draft.not_checked(
            fields.path,
            "it says nothing that the number must be: give it mustBe, mustBeLessThan or the like",
        );
    }
    let severity = severity(fields, draft);
    let dimension = fields.text("dimension", draft).map(|dimension| dimension.chars().take(32).collect::<String>());
    for comparison in comparisons {
        draft.rule(name, severity, dimension.clone(), check(comparison));
    }
}

/// The standard leaves the words open. What does not say that it matters little keeps a step from starting.
fn severity(fields: Fields<'_>, draft: &mut Draft) -> Severity {
    let said = fields.text("severity", draft).unwrap_or_default().to_ascii_lowercase();
    match said.as_str() {
        "warning" | "warn" | "info" | "information" | "notice" | "low" | "minor" | "trivial" => Severity::Warning,
        _ => Severity::Error,
    }
}

/// A comparison with one number.
type OfBound = fn(String) -> Comparison;
/// A comparison with two.
type OfBounds = fn(String, String) -> Comparison;

/// The comparisons that are asked for; `number` reads the bound of those with one.
pub(super) fn comparisons<'a>(
    fields: Fields<'a>,
    number: impl Fn(Fields<'a>, &str, &mut Draft) -> Option<String>,
    draft: &mut Draft,
) -> Vec<Comparison> {
    let mut found = vec![];
    let plain: [(&str, OfBound); 6] = [
        ("mustBe", Comparison::MustBe),
        ("mustNotBe", Comparison::MustNotBe),
        ("mustBeGreaterThan", Comparison::MustBeGreaterThan),
        ("mustBeGreaterOrEqualTo", Comparison::MustBeGreaterOrEqualTo),
        ("mustBeLessThan", Comparison::MustBeLessThan),
        ("mustBeLessOrEqualTo", Comparison::MustBeLessOrEqualTo),
    ];
    for (operator, comparison) in plain {
        found.extend(number(fields, operator, draft).map(comparison));
    }
    let ranges: [(&str, OfBounds); 2] =
        [("mustBeBetween", Comparison::MustBeBetween), ("mustNotBeBetween", Comparison::MustNotBeBetween)];
    for (operator, comparison) in ranges {
        if fields.get(operator).is_none() {
            continue;
        }
        let bounds: Option<Vec<String>> = fields.list(operator, draft).iter().map(decimal).collect();
        match bounds.as_deref() {
            Some([low, high]) if Decimal::parse(low) <= Decimal::parse(high) => {
                found.push(comparison(low.clone(), high.clone()));
            }
            Some([low, high]) => {
                draft.problem(fields.at(operator), format!("{low} is greater than {high}: no number is between"));
            }
            _ => draft.problem(fields.at(operator), "must be two numbers: [1, 10]"),
        }
    }
    found
}
