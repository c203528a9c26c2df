//! kubectl plugin: lints manifests, computes digests.
fn main() {}
