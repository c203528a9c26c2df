//! What the values of a column are like: a description of the data, from the same pass as the rules.

use serde::{Deserialize, Serialize};

/// The most different values that are counted one by one.
pub const MAX_DISTINCT: usize = 1000;
/// The most frequent values that a profile names.
pub const MAX_FREQUENT: usize = 20;
/// The bins of a histogram.
pub const BINS: usize = 20;
/// The shares of the values, in hundredths, that quantiles are given for.
pub const QUANTILES: [u8; 7] = [1, 5, 25, 50, 75, 95, 99];

/// What the values of a column are like. Values stand in it only where the contract says that they are not sensitive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnProfile {
    /// The column.
    pub column: String,
    /// Rows that have it.
    pub rows: u64,
    /// Of them, those with null.
    pub nulls: u64,
    /// Of them, those whose value is not of the column's type.
    pub mistyped: u64,
    /// How many different values there are, null aside; absent where they are more than [`MAX_DISTINCT`], or longer than 64
    /// bytes. Numbers are the same where they have the same nearest floating-point number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<u64>,
    /// The smallest number, or the earliest moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<String>,
    /// The largest number, or the latest moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<String>,
    /// Of numbers, at [`QUANTILES`], by the nearest rank: exact where `distinct` is known, else to within 1 % of the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<String>,
    /// Of numbers: counts in [`BINS`] bins of equal width from the least to the most, to within 1 % of the bins' ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<u64>,
    /// The most frequent values and their rows, the most frequent first; where `distinct` is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frequent: Vec<(String, u64)>,
}
