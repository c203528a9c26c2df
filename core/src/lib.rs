//! Seatrial's decisions as pure functions, and the contract between operator and agent.
