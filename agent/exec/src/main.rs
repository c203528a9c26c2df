//! The small program that runs a step's command under a lock and records how it ended.
fn main() {}
