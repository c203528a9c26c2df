//! Which rule rules out at least what another does.

use crate::contract::check::{Comparison, RuleKind, Unit, ValueTest};
use crate::decimal::Decimal;

/// Whether all data that keep one rule keep the other.
pub(super) fn implies(one: &RuleKind, other: &RuleKind) -> bool {
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
    let (Some((low, high)), Some((lowest, highest))) = (range(one), range(other)) else {
        return avoids(one, other);
    };
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

/// The numbers that a comparison rules out, from one to the other, where it lets all others pass.
fn gap(is: &Comparison) -> Option<(Decimal, Decimal)> {
    let number = |text: &str| Decimal::parse(text);
    match is {
        Comparison::MustNotBe(bound) => Some((number(bound)?, number(bound)?)),
        Comparison::MustNotBeBetween(low, high) => Some((number(low)?, number(high)?)),
        _ => None,
    }
}

/// Whether each number that keeps one comparison is none of those that the other rules out.
fn avoids(one: &Comparison, other: &Comparison) -> bool {
    let Some((low, high)) = gap(other) else { return false };
    if let Some((from, to)) = gap(one) {
        return from <= low && high <= to;
    }
    let Some((least, most)) = range(one) else { return false };
    let is_above = least.is_some_and(|(least, closed)| least > high || least == high && !closed);
    let is_below = most.is_some_and(|(most, closed)| most < low || most == low && !closed);
    is_above || is_below
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
