//! The queries of an input that can be run, and the columns that they read.

use super::prepare;
use crate::check::column::ColumnPlan;

/// The table's name where the contract does not say it.
const TABLE: &str = "data";
/// A query that can be run.
#[derive(Debug)]
pub(in crate::check) struct Query {
    pub(in crate::check) text: String,
    /// The columns that it reads.
    pub(in crate::check) columns: Vec<usize>,
}

/// The queries of an input.
#[derive(Debug, Default)]
pub(in crate::check) struct Queries {
    pub(super) table: String,
    pub(in crate::check) list: Vec<Query>,
    /// The columns that any of them reads, in their order.
    pub(super) columns: Vec<usize>,
}

impl Queries {
    pub(in crate::check) fn new(table: Option<&str>) -> Self {
        Self { table: table.unwrap_or(TABLE).to_owned(), ..Self::default() }
    }

    /// Adds a query; its number. `unreadable` says of each column why its values cannot be read, where they cannot.
    ///
    /// # Errors
    /// Why it cannot be run, for people.
    pub(in crate::check) fn add(
        &mut self,
        query: &str,
        columns: &[ColumnPlan],
        unreadable: &[Option<String>],
    ) -> Result<usize, String> {
        let read = prepare::columns(query, &self.table, columns)?;
        if let Some(why) = read.iter().find_map(|place| unreadable.get(*place).cloned().flatten()) {
            return Err(why);
        }
        self.columns.extend(&read);
        self.columns.sort_unstable();
        self.columns.dedup();
        self.list.push(Query { text: query.to_owned(), columns: read });
        Ok(self.list.len() - 1)
    }
}
