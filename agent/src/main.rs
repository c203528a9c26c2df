//! What runs beside user code in a pod: fetches inputs, publishes outputs.
fn main() {}
