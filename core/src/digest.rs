//! Digests of decisions' inputs, and the short hashes in names.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a value's JSON, as 64 hexadecimal digits. Maps must be ordered (`BTreeMap`), as all of ours are.
pub fn of_json<T: Serialize>(value: &T) -> String {
    // Values of ours always serialize; the empty text would only make two such values equal.
    hex::encode(Sha256::digest(serde_json::to_vec(value).unwrap_or_default()))
}

/// The first ten hexadecimal digits of the SHA-256 of all parts, each with its length before it, so that `ab`, `c`
/// and `a`, `bc` differ.
pub fn short(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize()).chars().take(10).collect()
}
