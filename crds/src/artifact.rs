//! An artifact: files in a store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;

/// Files in a store, named by their content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// uri is where the artifact is.
    #[schemars(length(max = limits::URI), regex(pattern = limits::URI_PATTERN))]
    pub uri: String,
    /// digest is the SHA-256 of the canonical list of its files.
    #[schemars(length(max = limits::DIGEST), regex(pattern = limits::DIGEST_PATTERN))]
    pub digest: String,
    /// size is the sum of its files' sizes in bytes.
    #[schemars(range(min = 0))]
    pub size: i64,
}
