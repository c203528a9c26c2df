//! The files of an input: their paths, sources, and what was fetched of them. There may be millions, so that only what
//! cannot be computed again is kept of each.

use std::cell::RefCell;

use seatrial_core::contract::{Digest, Draft, Entry, ExitCode, Listing, ListingError, MAX_PATHS_BYTES, layout};

use crate::error::AgentError;
use crate::remote::store::{Place, Remote};

/// One file to fetch.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Where it goes, beneath the input's folder.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) place: Place,
    /// Its size in bytes; absent where the server does not say before it sends.
    pub(crate) size: Option<u64>,
    /// What its content must be.
    pub(crate) digest: Option<Digest>,
    /// The tag of the version that a list of several files has of it.
    pub(crate) tag: Option<String>,
}

impl Wanted {
    /// Its name in messages.
    pub(crate) fn shown(&self, prefix: &str) -> String {
        match &self.place {
            Place::Object(key) => format!("{key} in {prefix}"),
            Place::Page(url) => url.to_string(),
        }
    }
}

/// The files of an input.
#[derive(Debug)]
pub(crate) enum Files {
    /// The files of an artifact: paths, sizes and digests are known.
    Listed(Listing),
    /// All objects beneath a key, which ends in `/` unless it is empty.
    Folder { files: RefCell<Draft>, key: String, tags: Tags },
    /// A single one.
    One { file: Box<Wanted>, files: RefCell<Draft> },
}

impl Files {
    /// A single one.
    pub(crate) fn one(file: Wanted) -> Result<Self, ListingError> {
        let mut files = Draft::default();
        let place = files.add(&file.name)?;
        files.set(place, file.size.unwrap_or_default(), None);
        Ok(Self::One { file: Box::new(file), files: RefCell::new(files) })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Listed(listing) => listing.len(),
            Self::Folder { files, .. } | Self::One { files, .. } => files.borrow().len(),
        }
    }

    /// How many bytes of memory all their texts take.
    pub(crate) fn texts_bytes(&self) -> usize {
        match self {
            Self::Listed(listing) => listing.paths_bytes(),
            Self::Folder { files, tags, .. } => files.borrow().paths_bytes().saturating_add(tags.texts.len()),
            Self::One { .. } => 0,
        }
    }

    /// The sum of all sizes that are known.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Listed(listing) => listing.total_size(),
            Self::Folder { files, .. } | Self::One { files, .. } => files.borrow().total_size(),
        }
    }

    /// Calls `each` with all paths in their order, once it is sure that a disk can hold them.
    pub(crate) fn for_each_path(
        &self,
        store: &Remote,
        mut each: impl FnMut(&str) -> Result<(), AgentError>,
    ) -> Result<(), AgentError> {
        match self {
            Self::Listed(listing) => listing.entries().try_for_each(|entry| each(&entry.path)),
            Self::Folder { files, .. } | Self::One { files, .. } => {
                let files = files.borrow();
                let order = files.order().map_err(|error| refused(store, &error))?;
                let mut paths = order.iter().filter_map(|place| files.path(usize::try_from(*place).ok()?));
                paths.try_for_each(each)
            }
        }
    }

    /// The file of a place.
    pub(crate) fn wanted(&self, place: usize, store: &Remote) -> Result<Wanted, AgentError> {
        let none = || AgentError::internal(format!("there is no file {place}"));
        match self {
            Self::Listed(listing) => {
                let Entry { path, size, sha256 } = listing.entry(place).ok_or_else(none)?;
                let digest: Digest = format!("sha256:{sha256}").parse().map_err(|_| none())?;
                let key = store.key(&layout::object(&digest))?;
                Ok(Wanted { name: path, place: Place::Object(key), size: Some(size), digest: Some(digest), tag: None })
            }
            Self::Folder { files, key, tags } => {
                let files = files.borrow();
                let name = files.path(place).ok_or_else(none)?.to_owned();
                let object = object_store::path::Path::parse(format!("{key}{name}"));
                let object = object.map_err(|error| AgentError::internal(error.to_string()))?;
                let (size, tag) = (files.size(place), tags.get(place).map(str::to_owned));
                Ok(Wanted { name, place: Place::Object(object), size, digest: None, tag })
            }
            Self::One { file, .. } => Ok(Wanted::clone(file)),
        }
    }

    /// The file of a place is here, and has this content.
    pub(crate) fn is_here(&self, place: usize, size: u64, digest: &Digest) {
        match self {
            // It has the content that was listed, or would not be here.
            Self::Listed(_) => {}
            Self::Folder { files, .. } | Self::One { files, .. } => files.borrow_mut().set(place, size, Some(digest)),
        }
    }

    /// The listing of all, which are here.
    pub(crate) fn listing(self, store: &Remote) -> Result<Listing, AgentError> {
        match self {
            Self::Listed(listing) => Ok(listing),
            Self::Folder { files, .. } | Self::One { files, .. } => {
                files.into_inner().listing().map_err(|error| refused(store, &error))
            }
        }
    }
}

/// The error of files that no disk, or no memory, can hold.
pub(crate) fn refused(store: &Remote, error: &ListingError) -> AgentError {
    let code = match error {
        ListingError::TooMany | ListingError::TooLong => ExitCode::InputTooLarge,
        _ => ExitCode::CorruptArtifact,
    };
    AgentError::new(code, format!("a file of {} is refused: {error}", store.prefix))
}

/// The tags of versions, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    texts: String,
    ends: Vec<usize>,
}

impl Tags {
    /// Adds the next one, empty where there is none.
    pub(crate) fn push(&mut self, tag: Option<&str>) -> Result<(), ListingError> {
        let tag = tag.unwrap_or_default();
        if self.texts.len().saturating_add(tag.len()) > MAX_PATHS_BYTES {
            return Err(ListingError::TooLong);
        }
        self.texts.push_str(tag);
        self.ends.push(self.texts.len());
        Ok(())
    }

    /// The one of a place.
    pub(crate) fn get(&self, place: usize) -> Option<&str> {
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let tag = self.texts.get(start..*self.ends.get(place)?)?;
        (!tag.is_empty()).then_some(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_their_places() {
        let mut tags = Tags::default();
        [Some("\"a\""), None, Some("\"b\"")].iter().for_each(|tag| tags.push(*tag).unwrap());
        let all: Vec<Option<&str>> = (0..4).map(|place| tags.get(place)).collect();
        assert_eq!(all, [Some("\"a\""), None, Some("\"b\""), None]);
    }
}
