//! What an artifact is: the canonical listing of its files, whose digest names it.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};

use super::digest::{Digest, Hasher};
use super::entry::{Entry, ListingError};
use super::files::Draft;

/// How much is hashed at once, in bytes.
const BUFFER: usize = 64 << 10;

/// What an artifact is: its files, sorted by path. Its digest is the SHA-256 of this list as canonical JSON:
/// no white space, members in the order path, size, sha256.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    files: Draft,
    /// The places of the files in the order of their paths.
    order: Vec<u32>,
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

impl Draft {
    /// The listing of all files, whose sizes and hashes are known by now.
    ///
    /// # Errors
    /// A path that stands twice, or is a folder as well.
    pub fn listing(mut self) -> Result<Listing, ListingError> {
        let order = self.order()?;
        self.shrink();
        Ok(Listing { files: self, order })
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
}
