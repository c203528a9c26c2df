//! Digests that tell whether the inputs of a decision changed, and the short hashes in names. Digests of files are in
//! `contract/digest.rs`.

use ring::digest::{Context, SHA256, digest};
use serde::Serialize;

/// The SHA-256 of a value's JSON, as 64 hexadecimal digits. Maps must be ordered (`BTreeMap`), as all of ours are.
pub fn of_json<T: Serialize>(value: &T) -> String {
    // Our types always serialize. If one did not, its digest would be that of an empty text.
    hex::encode(digest(&SHA256, &serde_json::to_vec(value).unwrap_or_default()))
}

/// The first ten hexadecimal digits of the SHA-256 of all parts, each with its length before it, so that `ab`, `c`
/// and `a`, `bc` differ.
pub fn short(parts: &[&str]) -> String {
    let mut hasher = Context::new(&SHA256);
    for part in parts {
        hasher.update(&part.len().to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finish()).chars().take(10).collect()
}
