//! Where things are beneath the prefix of a store that takes artifacts.
//!
//! ```text
//! <prefix>seatrial/objects/<aa>/<sha256>                  one file's content, by its SHA-256
//! <prefix>seatrial/artifacts/<aa>/<sha256>                an artifact's listing, by its digest
//! <prefix>seatrial/results/<run uid>/<step>/<attempt>     what an attempt made: the record; create-if-absent
//! ```
//! Objects first, listings next, the result last: whatever names a thing is written after the thing. The first two
//! are named by their content, so that writing them twice writes the same.

use super::Digest;

/// The folder of one file's content.
pub fn object(digest: &Digest) -> String {
    by_content("objects", digest)
}

/// The listing of an artifact.
pub fn artifact(digest: &Digest) -> String {
    by_content("artifacts", digest)
}

/// The result of one attempt of a step.
pub fn result(run_uid: &str, step: &str, attempt: u32) -> String {
    format!("seatrial/results/{run_uid}/{step}/{attempt}")
}

fn by_content(folder: &str, digest: &Digest) -> String {
    let hex = digest.hex();
    let shard: String = hex.chars().take(2).collect();
    format!("seatrial/{folder}/{shard}/{hex}")
}
