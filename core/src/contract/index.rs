//! Listings that are too long for one object: an index of pieces. The digest is that of the whole listing all the same,
//! so that an artifact has one name, however its listing is cut.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::entry::{ListingError, MAX_FILES};
use super::files::Draft;
use super::listing::{self, Listing};

/// The version of indexes.
const VERSION: u32 = 1;

/// How many files a piece has, and a listing that is not cut.
pub const PIECE_FILES: usize = 10_000;

/// The largest piece or index that is read, in bytes. Pieces of ours have 10 MiB at most, where all paths have 1 KiB.
pub const MAX_PIECE_BYTES: u64 = 64 << 20;

/// What lies at an artifact's key instead of its listing. Its pieces are objects that are named by their content: lists
/// of files, which make the listing one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListingIndex {
    version: u32,
    /// The digests of the pieces, in their order.
    pub pieces: Vec<Digest>,
}

/// What lies at an artifact's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListingObject {
    /// The listing.
    Whole(Listing),
    /// Where it is.
    Index(ListingIndex),
}

impl ListingObject {
    /// Parses a whole listing or an index of pieces.
    ///
    /// # Errors
    /// Where the bytes are neither.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListingError> {
        if bytes.first() != Some(&b'{') {
            return Listing::parse(bytes).map(Self::Whole);
        }
        let malformed = |why: String| ListingError::Malformed(why);
        let index: ListingIndex = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if index.version != VERSION {
            return Err(malformed(format!("an index of version {}, expected {VERSION}", index.version)));
        }
        if index.pieces.len() > MAX_FILES {
            return Err(ListingError::TooMany);
        }
        Ok(Self::Index(index))
    }
}

impl ListingIndex {
    /// An index of these pieces.
    pub fn new(pieces: Vec<Digest>) -> Self {
        Self { version: VERSION, pieces }
    }

    /// As it lies in the store.
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Listing {
    /// The pieces that it is cut into, as they lie in the store; none where it is one object.
    pub fn pieces(&self) -> impl Iterator<Item = Vec<u8>> {
        let files = if self.len() > PIECE_FILES { self.len() } else { 0 };
        (0..files).step_by(PIECE_FILES).map(move |start| {
            let mut json = vec![];
            let written = self.write_files(start..start.saturating_add(PIECE_FILES).min(files), &mut json);
            written.map(|()| json).unwrap_or_default()
        })
    }
}

impl Listing {
    /// The canonical JSON, one slice after the other: all of it together would take as much memory again.
    pub fn slices(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.len().max(1)).step_by(PIECE_FILES).map(|start| {
            let end = start.saturating_add(PIECE_FILES).min(self.len());
            let mut json = vec![];
            let written = self.write_files(start..end, &mut json);
            if let Some(first) = json.first_mut().filter(|_| start > 0) {
                *first = b',';
            }
            if end < self.len() {
                json.pop();
            }
            written.map(|()| json).unwrap_or_default()
        })
    }
}

impl Draft {
    /// Adds the files of a piece.
    ///
    /// # Errors
    /// What is none; too many files.
    pub fn add_piece(&mut self, json: &[u8]) -> Result<(), ListingError> {
        listing::read(json, self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::*;

    fn listing(files: usize) -> Listing {
        let entry = |number: usize| Entry {
            path: format!("{:03}/{number}", number / 1000),
            size: number as u64,
            sha256: Digest::of(&number.to_be_bytes()).hex().into(),
        };
        Listing::new((0..files).map(entry).collect()).unwrap()
    }

    #[test]
    fn pieces_make_the_listing_again() {
        let whole = listing(2 * PIECE_FILES + 1);
        let pieces: Vec<Vec<u8>> = whole.pieces().collect();
        assert_eq!(pieces.len(), 3);
        let index = ListingIndex::new(pieces.iter().map(|piece| Digest::of(piece)).collect());
        assert_eq!(ListingObject::parse(&index.json()), Ok(ListingObject::Index(index)));
        let mut draft = Draft::default();
        pieces.iter().for_each(|piece| draft.add_piece(piece).unwrap());
        let again = draft.listing().unwrap();
        assert_eq!((again.digest(), &again), (Digest::of(&whole.canonical_json()), &whole));
    }

    #[test]
    fn slices_are_the_canonical_json() {
        for files in [0, 1, PIECE_FILES, PIECE_FILES + 1, 3 * PIECE_FILES] {
            let listing = listing(files);
            assert!(listing.slices().collect::<Vec<_>>().concat() == listing.canonical_json(), "{files}");
        }
    }

    #[test]
    fn what_fits_one_object_is_one() {
        assert_eq!(listing(PIECE_FILES).pieces().count(), 0);
        let few = listing(3);
        assert_eq!(ListingObject::parse(&few.canonical_json()), Ok(ListingObject::Whole(few)));
        for json in ["{}", r#"{"version":2,"pieces":[]}"#, r#"{"version":1,"pieces":["x"]}"#, "", "["] {
            assert!(matches!(ListingObject::parse(json.as_bytes()), Err(ListingError::Malformed(_))), "{json}");
        }
    }
}
