//! What a process that measures says of its progress, and its parent reads: should reading a table end the process, the parent
//! names the table.

/// The table of predictions, as people are told of it.
pub(crate) const PREDICTIONS: &str = "the predictions";
/// The table of the champion's predictions.
pub(crate) const CHAMPION: &str = "the champion's predictions";
/// The table of labels.
pub(crate) const LABELS: &str = "the labels";
/// All tables.
pub(crate) const TABLES: [&str; 3] = [PREDICTIONS, CHAMPION, LABELS];
/// What stands first on a line before a table is read, with the table's name after it.
pub(crate) const READING: &str = "reading ";
/// What stands first on a line once all tables are read.
pub(crate) const MEASURING: &str = "measuring ";

/// Says that a table is read from here on.
pub(crate) fn say_reading(table: &str) {
    eprintln!("{READING}{table}");
}

/// Says that all tables are read.
pub(crate) fn say_measuring(rows: usize) {
    eprintln!("{MEASURING}{rows} rows");
}
