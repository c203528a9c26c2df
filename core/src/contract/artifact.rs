//! Artifacts: digests, and the canonical listing of files whose digest names an artifact.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// A SHA-256, written `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no digest: expected sha256: and 64 lower-case hexadecimal digits")]
pub struct DigestError(String);

impl Digest {
    /// The digest of bytes that are at hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(ring::digest::digest(&SHA256, bytes)))
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// The shortest text: 43 characters of unpadded URL-safe Base64.
    pub(super) fn short(&self) -> String {
        URL_SAFE_NO_PAD.encode(hex::decode(&self.0).unwrap_or_default())
    }

    /// The digest of such a text.
    pub(super) fn from_short(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(hex::encode(bytes)))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) => {
                Ok(Self(hex.to_owned()))
            }
            _ => Err(DigestError(text.chars().take(100).collect())),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.0)
    }
}

/// Computes a digest of what is given to it piece by piece.
#[derive(Clone)]
pub struct Hasher(Context);

impl Hasher {
    /// One that was given nothing yet.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    pub fn digest(self) -> Digest {
        Digest(hex::encode(self.0.finish()))
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a hasher")
    }
}

impl io::Write for Hasher {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The most files that an artifact, or an input, may have: whoever reads or writes one keeps the list in memory.
pub const MAX_FILES: usize = 200_000;

/// The longest listing, in bytes of canonical JSON.
pub const MAX_LISTING_BYTES: u64 = 64 << 20;

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

/// What an artifact is: its files, sorted by path. Its digest is the SHA-256 of this list as canonical JSON:
/// no white space, members in the order path, size, sha256.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Listing(Vec<Entry>);

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
    #[error("{0} files are more than the {MAX_FILES} that an artifact may have: use fewer and larger ones")]
    TooMany(usize),
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

impl Listing {
    /// A listing of these files, in any order.
    ///
    /// # Errors
    /// A path that is not allowed, stands twice, or is a folder as well; a malformed hash; too many files.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, ListingError> {
        if entries.len() > MAX_FILES {
            return Err(ListingError::TooMany(entries.len()));
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let mut previous: Option<&str> = None;
        for entry in &entries {
            Self::check_path(&entry.path)?;
            if previous == Some(entry.path.as_str()) {
                return Err(ListingError::Duplicate(entry.path.clone()));
            }
            if format!("sha256:{}", entry.sha256).parse::<Digest>().is_err() {
                return Err(ListingError::BadHash(entry.path.clone()));
            }
            previous = Some(&entry.path);
        }
        let files: HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        let folders = entries.iter().flat_map(|entry| folders(&entry.path));
        if let Some(both) = folders.into_iter().find(|folder| files.contains(folder)) {
            return Err(ListingError::FileAndFolder(both.to_owned()));
        }
        Ok(Self(entries))
    }

    /// Whether a path may stand in a listing.
    ///
    /// # Errors
    /// Where it could leave its folder, or no store can name it.
    pub fn check_path(path: &str) -> Result<(), ListingError> {
        if path_is_safe(path) { Ok(()) } else { Err(ListingError::BadPath(path.chars().take(200).collect())) }
    }

    /// Reads a listing and insists on its canonical form, so that bytes and listing have one digest.
    ///
    /// # Errors
    /// Whatever [`Listing::new`] refuses, malformed JSON, and any other form than the canonical one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListingError> {
        let entries: Vec<Entry> =
            serde_json::from_slice(bytes).map_err(|error| ListingError::Malformed(error.to_string()))?;
        let listing = Self::new(entries)?;
        if listing.canonical_json() == bytes { Ok(listing) } else { Err(ListingError::NotCanonical) }
    }

    /// The canonical JSON.
    pub fn canonical_json(&self) -> Vec<u8> {
        // A list of strings and integers always serializes; an empty answer would fail every verification.
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// The artifact's digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical_json())
    }

    /// The files, sorted by path.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The sum of all sizes in bytes.
    pub fn total_size(&self) -> u64 {
        self.0.iter().fold(0, |sum, entry| sum.saturating_add(entry.size))
    }
}

/// The folders that a path lies in, as paths: `a` and `a/b` of `a/b/c`.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
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

    fn entry(path: &str) -> Entry {
        Entry { path: path.into(), size: 3, sha256: Digest::of(b"abc").hex().into() }
    }

    #[test]
    fn digest_does_not_depend_on_the_order_of_files() {
        let one = Listing::new(vec![entry("b"), entry("a/c")]).unwrap();
        let two = Listing::new(vec![entry("a/c"), entry("b")]).unwrap();
        assert_eq!(one.digest(), two.digest());
        assert_eq!(Listing::parse(&one.canonical_json()).unwrap(), one);
    }

    #[test]
    fn canonical_json_is_fixed() {
        let json = String::from_utf8(Listing::new(vec![entry("a")]).unwrap().canonical_json()).unwrap();
        assert_eq!(
            json,
            r#"[{"path":"a","size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]"#
        );
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\0b", "a\nb"] {
            assert!(matches!(Listing::new(vec![entry(path)]), Err(ListingError::BadPath(_))), "{path:?}");
        }
        assert!(matches!(Listing::new(vec![entry("a"), entry("a")]), Err(ListingError::Duplicate(_))));
    }

    #[test]
    fn what_no_disk_or_memory_can_hold_is_refused() {
        let both = Listing::new(vec![entry("a/b/c"), entry("a/b-"), entry("a/b"), entry("a/d")]);
        assert_eq!(both, Err(ListingError::FileAndFolder("a/b".into())));
        Listing::new(vec![entry("a/b/c"), entry("a/b-"), entry("a/d"), entry("ab")]).unwrap();
        let many = (0..=MAX_FILES).map(|number| entry(&number.to_string())).collect();
        assert_eq!(Listing::new(many), Err(ListingError::TooMany(MAX_FILES + 1)));
    }

    #[test]
    fn another_form_of_the_same_list_is_refused() {
        let mut json = Listing::new(vec![entry("a")]).unwrap().canonical_json();
        json.push(b'\n');
        assert_eq!(Listing::parse(&json), Err(ListingError::NotCanonical));
    }

    /// A store takes longer names than any disk.
    #[test]
    fn a_name_that_no_disk_holds_is_refused() {
        Listing::check_path(&format!("a/{}/b", "x".repeat(255))).unwrap();
        let error = Listing::check_path(&format!("a/{}/b", "x".repeat(256))).unwrap_err();
        assert!(error.to_string().contains("more than 255 bytes"), "{error}");
    }
}
