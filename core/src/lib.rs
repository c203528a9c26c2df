//! Seatrial's decisions, and the contract between operator and agent.
//!
//! Everything here is a pure function of what was observed and of the time that is passed in: no client, no clock,
//! no randomness, no I/O.

pub mod approvals;
pub(crate) mod attempt;
pub mod authority;
pub mod conditions;
pub mod contract;
pub mod cron;
pub mod data_contract;
pub mod decimal;
pub mod deployment;
pub mod digest;
pub mod gates;
mod last_words;
pub mod model;
pub mod names;
pub mod observed;
pub mod pipeline;
pub mod plan;
pub mod platform;
mod pod_state;
pub mod pods;
pub mod quantity;
mod rational;
pub mod reader;
pub mod revision;
pub mod run;
pub mod stores;
mod text;
pub mod trust;
pub mod validation;
pub mod version;
