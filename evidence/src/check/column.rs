//! What is done with the values of a column.

use std::collections::HashSet;

use super::test::Test;
use super::value::Reader;

/// The number of a count among those of an input.
pub(super) type Count = usize;

/// What is done with the values of a column.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub(super) name: String,
    pub(super) reader: Reader,
    pub(super) shown: bool,
    /// Counts the nulls.
    pub(super) nulls: Count,
    /// Counts what is not of the column's type.
    pub(super) mistyped: Count,
    /// Each counts the values that fail its test.
    pub(super) tests: Vec<(Count, Test)>,
    /// Each counts the values that are missing by its list, and whether nulls are.
    pub(super) missing: Vec<(Count, HashSet<String>, bool)>,
    /// Each counts the values that fail one of its tests or are not of the type.
    pub(super) invalid: Vec<(Count, Vec<Test>)>,
    /// Whether its values are part of a key.
    pub(super) keyed: bool,
    /// Whether its values are kept for queries.
    pub(super) kept: bool,
}
