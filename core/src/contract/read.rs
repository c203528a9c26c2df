//! What a reader pod is asked for, and how it answers. `kubectl seatrial logs` and `artifact` create such a pod, and read
//! its output.
//!
//! The answer goes to standard output, as bytes:
//! - a log: the compressed text as it lies in the store ([`super::layout::log`]);
//! - an artifact: eight bytes with the length of its listing, big-endian; the listing as canonical JSON;
//!   then, unless only the listing was asked for, the content of each file in the listing's order.
//!
//! Output that ends early is noticed: the reader knows all sizes from the listing, and verifies each file.

use serde::{Deserialize, Serialize};

use super::{AttemptKey, Digest, StoreConfig};

/// What `seatrial-agent read` does, by the environment variable [`super::CONFIG_VARIABLE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadConfig {
    /// [`super::VERSION`].
    pub version: u32,
    /// The store that holds it.
    pub store: StoreConfig,
    /// What is asked for.
    pub what: Reading,
}

/// What is asked of a reader pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum Reading {
    /// An artifact.
    Artifact {
        /// Its digest.
        digest: Digest,
        /// Whether the files' content is left out.
        only_listing: bool,
    },
    /// What the command of an attempt's last pod printed.
    Log {
        /// The attempt.
        attempt: AttemptKey,
    },
}
