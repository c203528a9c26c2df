//! Rules of type `sql`, by SQLite: a query reads one table, which has the rows of the data, and answers with one number.
//!
//! A query is prepared before the data are read, against a table without rows ([`prepare`]): what SQLite does not understand, and what
//! would do more than read that table, is not checked. It tells, too, which columns are read: these alone are kept, in a database of
//! this process's own, while all other rules are counted ([`database`]). Then the queries are run, within time, memory and disk
//! ([`ask`]).

mod ask;
mod authorizer;
mod database;
mod error;
mod prepare;
pub(super) mod queries;
mod rows;
mod schema;

pub(super) use ask::Answer;
pub(super) use database::{Database, insert};
pub(super) use rows::Rows;
