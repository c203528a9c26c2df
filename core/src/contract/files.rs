//! The files of an artifact, kept in little memory: each takes its path and some fifty bytes.

use std::collections::HashSet;

use super::digest::Digest;
use super::entry::{Entry, ListingError, MAX_FILES, MAX_PATHS_BYTES, check_path};

/// Files in the order in which they were found. Their sizes and hashes may come later.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// All paths, one behind the other.
    paths: String,
    /// Where each path ends.
    ends: Vec<u32>,
    sizes: Vec<u64>,
    hashes: Vec<[u8; 32]>,
}

impl Draft {
    /// Adds a file, and gives the place that it has from now on.
    ///
    /// # Errors
    /// A path that is not allowed; too many files.
    pub fn add(&mut self, path: &str) -> Result<usize, ListingError> {
        self.add_within(path, MAX_FILES, MAX_PATHS_BYTES)
    }

    fn add_within(&mut self, path: &str, files: usize, paths_bytes: usize) -> Result<usize, ListingError> {
        check_path(path)?;
        let place = self.ends.len();
        if place >= files {
            return Err(ListingError::TooMany);
        }
        let end = self.paths.len().saturating_add(path.len());
        let end = Some(end).filter(|end| *end <= paths_bytes).and_then(|end| u32::try_from(end).ok());
        self.ends.push(end.ok_or(ListingError::TooLong)?);
        self.paths.push_str(path);
        self.sizes.push(0);
        self.hashes.push([0; 32]);
        Ok(place)
    }

    /// Adds a file of which all is known.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), ListingError> {
        let bad = || ListingError::BadHash(entry.path.clone());
        let digest = format!("sha256:{}", entry.sha256).parse().map_err(|_| bad())?;
        let place = self.add(&entry.path)?;
        self.set(place, entry.size, Some(&digest));
        Ok(())
    }

    /// What the file of a place has, as far as that is known.
    pub fn set(&mut self, place: usize, size: u64, digest: Option<&Digest>) {
        if let Some(of) = self.sizes.get_mut(place) {
            *of = size;
        }
        if let (Some(of), Some(digest)) = (self.hashes.get_mut(place), digest) {
            *of = digest.bytes();
        }
    }

    /// The path of a place.
    pub fn path(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.paths.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// The size of a place, in bytes.
    pub fn size(&self, place: usize) -> Option<u64> {
        self.sizes.get(place).copied()
    }

    pub(super) fn entry(&self, place: usize) -> Option<Entry> {
        let sha256 = hex::encode(self.hashes.get(place)?);
        Some(Entry { path: self.path(place)?.to_owned(), size: self.size(place)?, sha256 })
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes all paths have together.
    pub fn paths_bytes(&self) -> usize {
        self.paths.len()
    }

    /// The sum of all sizes in bytes.
    pub fn total_size(&self) -> u64 {
        self.sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))
    }

    /// Gives back the memory that no further file needs.
    pub(super) fn shrink(&mut self) {
        self.paths.shrink_to_fit();
    }

    fn at(&self, place: u32) -> &str {
        usize::try_from(place).ok().and_then(|place| self.path(place)).unwrap_or_default()
    }

    fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(self.len()).unwrap_or_default()).collect();
        order.sort_unstable_by(|a, b| self.at(*a).cmp(self.at(*b)));
        order
    }

    /// The places of empty files that have the name of a folder. Consoles of object stores create them to represent folders,
    /// and no file system can hold both.
    pub fn marks(&self) -> HashSet<usize> {
        let order = self.sorted();
        let is_folder = |path: &str| {
            let folder = format!("{path}/");
            let first = order.partition_point(|place| self.at(*place) < folder.as_str());
            order.get(first).is_some_and(|place| self.at(*place).starts_with(&folder))
        };
        let empty = (0..self.len()).filter(|place| self.size(*place) == Some(0));
        empty.filter(|place| self.path(*place).is_some_and(is_folder)).collect()
    }

    /// The places in the order of their paths.
    ///
    /// # Errors
    /// A path that stands twice, or is a folder as well.
    pub fn order(&self) -> Result<Vec<u32>, ListingError> {
        let path = |place: &u32| self.at(*place);
        let order = self.sorted();
        let mut before = "";
        for place in &order {
            let own = path(place);
            if own == before {
                return Err(ListingError::Duplicate(own.to_owned()));
            }
            // Folders that the path before lies in as well were looked for with it.
            for folder in folders(own).filter(|folder| !is_in(before, folder)) {
                if order.binary_search_by(|place| path(place).cmp(folder)).is_ok() {
                    return Err(ListingError::FileAndFolder(folder.to_owned()));
                }
            }
            before = own;
        }
        Ok(order)
    }
}

/// The folders that a path lies in, as paths: `a` and `a/b` of `a/b/c`.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// True where a path lies in a folder.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_places_and_are_listed_by_path() {
        let mut draft = Draft::default();
        let places: Vec<usize> = ["b", "a/c", "a-"].iter().map(|path| draft.add(path).unwrap()).collect();
        assert_eq!((places, draft.path(1), draft.path(3)), (vec![0, 1, 2], Some("a/c"), None));
        draft.set(1, 7, Some(&Digest::of(b"c")));
        draft.set(3, 7, None);
        assert_eq!((draft.size(0), draft.size(1), draft.total_size()), (Some(0), Some(7), 7));
        let listing = draft.listing().unwrap();
        let paths: Vec<String> = listing.entries().map(|entry| entry.path).collect();
        assert_eq!(paths, ["a-", "a/c", "b"]);
        assert_eq!(listing.entry(1).unwrap().sha256, Digest::of(b"c").hex());
    }

    #[test]
    fn marks_of_folders_are_known() {
        let mut draft = Draft::default();
        let all = [("a", 0), ("a/b", 0), ("a/b/c", 1), ("d", 0), ("e", 2), ("e/f", 1), ("a-", 0)];
        for (path, size) in all {
            let place = draft.add(path).unwrap();
            draft.set(place, size, None);
        }
        // `e` holds data and is a folder: no mark, and refused by name when the files are ordered.
        assert_eq!(draft.marks(), HashSet::from([0, 1]));
    }

    #[test]
    fn what_no_memory_can_hold_is_refused() {
        let mut draft = Draft::default();
        assert_eq!(draft.add_within("a/b", 2, 5), Ok(0));
        assert_eq!(draft.add_within("c/d", 2, 5), Err(ListingError::TooLong));
        assert_eq!(draft.add_within("cd", 2, 5), Ok(1));
        assert_eq!(draft.add_within("e", 2, 9), Err(ListingError::TooMany));
        assert_eq!((draft.len(), draft.paths_bytes(), draft.path(1)), (2, 5, Some("cd")));
    }
}
