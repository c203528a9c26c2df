//! Where things are beneath the prefix of a store that takes artifacts.
//!
//! ```text
//! <prefix>seatrial/objects/<aa>/<sha256>                  one file's content, by its SHA-256
//! <prefix>seatrial/artifacts/<aa>/<sha256>                an artifact's listing, by its digest; or an index of its pieces, which
//!                                                         are objects
//! <prefix>seatrial/records/<run uid>/<step>/<attempt>/<index>.json            what an attempt made; create-if-absent
//! <prefix>seatrial/tries/<run uid>/<step>/<attempt>/<index>/<pod uid>.json    how a pod of it ended, whatever it came to
//! <prefix>seatrial/tries/<run uid>/<step>/<attempt>/<index>/<pod uid>.log.gz  what its command printed
//! ```
//! Objects are written first, listings next, the record last: each after what it names. Objects and listings are named by their
//! content, so that to write one twice changes nothing.

use super::{AttemptKey, Digest};

/// The folder of one file's content.
pub fn object(digest: &Digest) -> String {
    by_content("objects", digest)
}

/// The listing of an artifact.
pub fn artifact(digest: &Digest) -> String {
    by_content("artifacts", digest)
}

/// The record of one attempt of a step: see [`super::Record`].
pub fn record(attempt: &AttemptKey) -> String {
    format!("seatrial/records/{attempt}.json")
}

/// How one pod of an attempt ended: see [`super::Try`].
pub fn a_try(attempt: &AttemptKey, pod_uid: &str) -> String {
    format!("seatrial/tries/{attempt}/{pod_uid}.json")
}

/// What the command of one pod printed, compressed.
pub fn log(attempt: &AttemptKey, pod_uid: &str) -> String {
    format!("seatrial/tries/{attempt}/{pod_uid}.log.gz")
}

fn by_content(folder: &str, digest: &Digest) -> String {
    let hex = digest.hex();
    let shard: String = hex.chars().take(2).collect();
    format!("seatrial/{folder}/{shard}/{hex}")
}
