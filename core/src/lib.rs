//! Seatrial's decisions, and the contract between operator and agent.
//!
//! Everything here is a pure function of what was observed and of the time that is passed in: no client, no clock,
//! no randomness, no I/O.

pub mod contract;
