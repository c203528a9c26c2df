//! One file of an artifact, and what no artifact may have.

use serde::{Deserialize, Serialize};

/// The most files that an artifact, or an input, may have: whoever reads or writes one keeps the list in memory.
pub const MAX_FILES: usize = 2_000_000;

/// The most bytes that all paths of an artifact may have together, for the same reason.
pub const MAX_PATHS_BYTES: usize = 128 << 20;

/// The longest listing in one piece, in bytes of canonical JSON: as long as all paths, twice for what JSON escapes in them,
/// and what each file has besides.
pub const MAX_LISTING_BYTES: u64 = 2 * MAX_PATHS_BYTES as u64 + 128 * MAX_FILES as u64;

/// The longest path of a file in an artifact, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;

/// The longest name of a file or folder, in bytes: no file system of Linux has longer ones.
const MAX_NAME_BYTES: usize = 255;

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The path beneath the artifact's folder: `/` between segments, none empty, none `.` or `..`.
    pub path: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The SHA-256 of the file's content, 64 hexadecimal digits without a prefix.
    pub sha256: String,
}

/// A list of files that is no artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// The text is no JSON of the expected form.
    #[error("the listing is no valid JSON: {0}")]
    Malformed(String),
    /// A path that could leave its folder, or that no store can name.
    #[error(
        "the path \"{0}\" is not allowed in an artifact: use relative paths without empty, \".\" or \"..\" parts, and without names of more than {MAX_NAME_BYTES} bytes"
    )]
    BadPath(String),
    /// A path that is a file and, since another path lies beneath it, a folder.
    #[error("the path \"{0}\" is both a file and a folder, which no disk can hold: rename one of them")]
    FileAndFolder(String),
    /// More files than [`MAX_FILES`].
    #[error("more than {MAX_FILES} files: use fewer and larger ones, or an archive")]
    TooMany,
    /// Longer paths than [`MAX_PATHS_BYTES`].
    #[error("paths of more than {MAX_PATHS_BYTES} bytes together: use fewer files, or shorter names")]
    TooLong,
    /// Two files of one path.
    #[error("the path \"{0}\" is listed twice")]
    Duplicate(String),
    /// A file's hash that is none.
    #[error("the file \"{0}\" has no valid SHA-256")]
    BadHash(String),
    /// The list is not sorted, or written another way: its digest would not be the artifact's.
    #[error("the listing is not in canonical form")]
    NotCanonical,
}

/// Whether a path may stand in a listing.
///
/// # Errors
/// Where it could leave its folder, or no store can name it.
pub(super) fn check_path(path: &str) -> Result<(), ListingError> {
    if path_is_safe(path) { Ok(()) } else { Err(ListingError::BadPath(path.chars().take(200).collect())) }
}

/// True where a path stays beneath its folder on every system and can be an object's key.
fn path_is_safe(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= MAX_PATH_BYTES
        && !path.contains(['\\', '\0'])
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !part.is_empty() && part.len() <= MAX_NAME_BYTES && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store takes longer names than any disk.
    #[test]
    fn a_name_that_no_disk_holds_is_refused() {
        check_path(&format!("a/{}/b", "x".repeat(255))).unwrap();
        let error = check_path(&format!("a/{}/b", "x".repeat(256))).unwrap_err();
        assert!(error.to_string().contains("more than 255 bytes"), "{error}");
    }
}
