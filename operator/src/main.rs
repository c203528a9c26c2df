//! The controller: observes, plans, records, applies.
fn main() {}
