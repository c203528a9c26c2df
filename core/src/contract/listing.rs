//! What an artifact is: the canonical listing of its files, whose digest names it.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::files::Draft;
use super::{Digest, Hasher};

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
pub(super) const MAX_NAME_BYTES: usize = 255;

/// How much is hashed at once, in bytes.
const BUFFER: usize = 64 << 10;

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
#[derive(Clone, Debug, Default)]
pub struct Listing {
    files: Draft,
    /// The places of the files in the order of their paths.
    order: Vec<u32>,
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

impl Listing {
    /// A listing of these files, in any order.
    ///
    /// # Errors
    /// A path that is not allowed, stands twice, or is a folder as well; a malformed hash; too many files.
    pub fn new(entries: Vec<Entry>) -> Result<Self, ListingError> {
        let mut draft = Draft::default();
        entries.iter().try_for_each(|entry| draft.push(entry))?;
        draft.listing()
    }

    pub(super) fn of(files: Draft, order: Vec<u32>) -> Self {
        Self { files, order }
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
        let mut draft = Draft::default();
        read(bytes, &mut draft)?;
        let listing = draft.listing()?;
        // Two digests rather than two texts: one is long enough.
        if listing.digest() == Digest::of(bytes) { Ok(listing) } else { Err(ListingError::NotCanonical) }
    }

    /// The canonical JSON.
    pub fn canonical_json(&self) -> Vec<u8> {
        let mut json = vec![];
        // Strings and numbers always serialize; an empty answer would fail every verification.
        let written = self.write(&mut json);
        written.map(|()| json).unwrap_or_default()
    }

    /// Writes the canonical JSON.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_files(0..self.len(), out)
    }

    /// Writes the canonical JSON of those files that have these numbers, alone.
    pub(super) fn write_files(&self, numbers: Range<usize>, out: &mut impl Write) -> io::Result<()> {
        let first = numbers.start;
        out.write_all(b"[")?;
        for number in numbers {
            if number > first {
                out.write_all(b",")?;
            }
            if let Some(entry) = self.entry(number) {
                serde_json::to_writer(&mut *out, &entry)?;
            }
        }
        out.write_all(b"]")
    }

    /// How many bytes the canonical JSON has.
    pub fn json_bytes(&self) -> u64 {
        let mut counter = Counter(0);
        let written = self.write(&mut counter);
        written.map(|()| counter.0).unwrap_or_default()
    }

    /// The artifact's digest.
    pub fn digest(&self) -> Digest {
        let mut hasher = BufWriter::with_capacity(BUFFER, Hasher::new());
        let written = self.write(&mut hasher).and_then(|()| hasher.into_inner().map_err(io::Error::from));
        written.map(Hasher::digest).unwrap_or_else(|_| Digest::of(b""))
    }

    /// The file of a number, by path.
    pub fn entry(&self, number: usize) -> Option<Entry> {
        self.files.entry(usize::try_from(*self.order.get(number)?).ok()?)
    }

    /// The files, sorted by path.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry> {
        self.order.iter().map(|place| {
            let entry = usize::try_from(*place).ok().and_then(|place| self.files.entry(place));
            entry.unwrap_or_else(|| Entry { path: String::new(), size: 0, sha256: String::new() })
        })
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many bytes all paths have together.
    pub fn paths_bytes(&self) -> usize {
        self.files.paths_bytes()
    }

    /// The sum of all sizes in bytes.
    pub fn total_size(&self) -> u64 {
        self.files.total_size()
    }
}

impl PartialEq for Listing {
    fn eq(&self, other: &Self) -> bool {
        self.entries().eq(other.entries())
    }
}

impl Eq for Listing {}

/// Counts what is written.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a JSON array of files, one after the other, to the end of a draft.
pub(super) fn read(json: &[u8], draft: &mut Draft) -> Result<(), ListingError> {
    let mut refusal = None;
    let mut source = serde_json::Deserializer::from_slice(json);
    let read = Files { draft, refusal: &mut refusal }.deserialize(&mut source).and_then(|()| source.end());
    match (read, refusal) {
        (_, Some(refusal)) => Err(refusal),
        (Err(error), None) => Err(ListingError::Malformed(error.to_string())),
        (Ok(()), None) => Ok(()),
    }
}

struct Files<'a> {
    draft: &'a mut Draft,
    /// Why a file was refused.
    refusal: &'a mut Option<ListingError>,
}

impl<'de> DeserializeSeed<'de> for Files<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Files<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut files: A) -> Result<(), A::Error> {
        while let Some(entry) = files.next_element::<Entry>()? {
            if let Err(refusal) = self.draft.push(&entry) {
                *self.refusal = Some(refusal);
                return Err(A::Error::custom("a file is refused"));
            }
        }
        Ok(())
    }
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
        assert_eq!(one.digest(), Digest::of(&one.canonical_json()));
        assert_eq!((one.json_bytes(), one.total_size()), (one.canonical_json().len() as u64, 6));
    }

    #[test]
    fn canonical_json_is_fixed() {
        let json = String::from_utf8(Listing::new(vec![entry("a")]).unwrap().canonical_json()).unwrap();
        assert_eq!(
            json,
            r#"[{"path":"a","size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]"#
        );
        assert_eq!(Listing::default().canonical_json(), b"[]");
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\0b", "a\nb"] {
            assert!(matches!(Listing::new(vec![entry(path)]), Err(ListingError::BadPath(_))), "{path:?}");
        }
        assert!(matches!(Listing::new(vec![entry("a"), entry("a")]), Err(ListingError::Duplicate(_))));
    }

    #[test]
    fn what_no_disk_can_hold_is_refused() {
        let both = Listing::new(vec![entry("a/b/c"), entry("a/b-"), entry("a/b"), entry("a/d")]);
        assert_eq!(both, Err(ListingError::FileAndFolder("a/b".into())));
        Listing::new(vec![entry("a/b/c"), entry("a/b-"), entry("a/d"), entry("ab")]).unwrap();
    }

    #[test]
    fn another_form_of_the_same_list_is_refused() {
        let mut json = Listing::new(vec![entry("a")]).unwrap().canonical_json();
        json.push(b'\n');
        assert_eq!(Listing::parse(&json), Err(ListingError::NotCanonical));
        let (a, b) = (serde_json::to_string(&entry("a")).unwrap(), serde_json::to_string(&entry("b")).unwrap());
        assert_eq!(Listing::parse(format!("[{b},{a}]").as_bytes()), Err(ListingError::NotCanonical));
        for json in ["[", "{}", "[1]", "[]]"] {
            assert!(matches!(Listing::parse(json.as_bytes()), Err(ListingError::Malformed(_))), "{json}");
        }
    }

    /// A store takes longer names than any disk.
    #[test]
    fn a_name_that_no_disk_holds_is_refused() {
        Listing::check_path(&format!("a/{}/b", "x".repeat(255))).unwrap();
        let error = Listing::check_path(&format!("a/{}/b", "x".repeat(256))).unwrap_err();
        assert!(error.to_string().contains("more than 255 bytes"), "{error}");
    }
}
