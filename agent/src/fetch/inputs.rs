//! Finds out which files an input is made of, before any is fetched.

use std::cell::RefCell;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use seatrial_core::contract::{
    Digest, Draft, ExitCode, InputConfig, InputSource, Listing, ListingError, ListingObject, MAX_PIECE_BYTES, layout,
};

use crate::error::AgentError;
use crate::fetch::files::{Files, Tags, Wanted, refused};
use crate::remote::failure;
use crate::remote::outage::{Failure, Outages};
use crate::remote::refusal;
use crate::remote::store::{Place, Remote};

/// The files of an input.
pub(crate) async fn find(input: &InputConfig, store: &Remote, outages: &Outages) -> Result<Files, AgentError> {
    match &input.source {
        InputSource::Artifact { digest, .. } => listing(digest, store, outages).await.map(Files::Listed),
        InputSource::Uri { uri, .. } => {
            let key = uri.strip_prefix(&store.prefix).ok_or_else(|| {
                let message = format!("{uri} does not begin with its store's prefix {}", store.prefix);
                AgentError::new(ExitCode::BadConfiguration, message)
            })?;
            match (uri.ends_with('/'), store.web()) {
                (true, Some(_)) => {
                    let message = format!("{uri} is a folder, which cannot be listed by HTTP: name one file");
                    Err(AgentError::new(ExitCode::InputNotFound, message))
                }
                (true, None) => folder(uri, key, store, outages).await,
                (false, Some(web)) => {
                    // A web server need not answer HEAD: it says the size once it sends, if at all.
                    let (url, name) = web.file(uri)?;
                    let file = Wanted { name, place: Place::Page(url), size: None, digest: None, tag: None };
                    Files::one(file).map_err(|error| refused(store, &error))
                }
                (false, None) => single(uri, key, store, outages).await,
            }
        }
    }
}

/// The listing of an artifact, verified against its digest.
pub(crate) async fn listing(digest: &Digest, store: &Remote, outages: &Outages) -> Result<Listing, AgentError> {
    let what = format!("the listing of the artifact {digest} in {}", store.prefix);
    let corrupt = |why: String| AgentError::new(ExitCode::CorruptArtifact, format!("{what} {why}"));
    let malformed = |error: ListingError| corrupt(format!("is malformed: {error}"));
    let other = |found: Digest| corrupt(format!("is not what its digest says, but {found}"));
    let bytes = object(&layout::artifact(digest), &what, store, outages).await?;
    if bytes.first() != Some(&b'{') && Digest::of(&bytes) != *digest {
        return Err(other(Digest::of(&bytes)));
    }
    let index = match ListingObject::parse(&bytes).map_err(malformed)? {
        ListingObject::Whole(listing) => return Ok(listing),
        ListingObject::Index(index) => index,
    };
    let mut files = Draft::default();
    for piece in &index.pieces {
        let json = object(&layout::object(piece), &what, store, outages).await?;
        if Digest::of(&json) != *piece {
            return Err(corrupt(format!("has a piece that is not what its digest says: {piece}")));
        }
        files.add_piece(&json).map_err(malformed)?;
    }
    let listing = files.listing().map_err(malformed)?;
    // The digest is that of the whole listing, not of its pieces.
    let found = listing.digest();
    if found == *digest { Ok(listing) } else { Err(other(found)) }
}

/// The whole of an object that holds a listing, or a piece of one.
async fn object(key: &str, what: &str, store: &Remote, outages: &Outages) -> Result<Bytes, AgentError> {
    let key = store.key(key)?;
    outages
        .wait_out(what, async || {
            let answer = store.objects()?.get(&key).await.map_err(|error| failure::reading(what, &error))?;
            if answer.meta.size > MAX_PIECE_BYTES {
                let message = format!("{what} has {} bytes: no artifact of ours is as large", answer.meta.size);
                return Err(AgentError::new(ExitCode::InputTooLarge, message).into());
            }
            answer.bytes().await.map_err(|error| interrupted(&error))
        })
        .await
}

async fn single(uri: &str, key: &str, store: &Remote, outages: &Outages) -> Result<Files, AgentError> {
    let object = store.key(key)?;
    let name = object.filename().unwrap_or("data").to_owned();
    let size = Some(outages.wait_out(uri, async || store.size(&object, uri).await).await?);
    let file = Wanted { name, place: Place::Object(object), size, digest: None, tag: None };
    Files::one(file).map_err(|error| refused(store, &error))
}

async fn folder(uri: &str, key: &str, store: &Remote, outages: &Outages) -> Result<Files, AgentError> {
    let prefix = store.key(key)?;
    let prefix = Some(&prefix).filter(|prefix| !prefix.as_ref().is_empty());
    let base = prefix.map_or_else(String::new, |prefix| format!("{prefix}/"));
    let found = outages
        .wait_out(uri, async || {
            let mut found = Found::default();
            let mut list = store.objects()?.list(prefix);
            while let Some(object) = list.try_next().await.map_err(|error| failure::reading(uri, &error))? {
                let Some(name) = object.location.as_ref().strip_prefix(&base) else { continue };
                found.add(name, object.size, object.e_tag.as_deref()).map_err(|error| match error {
                    ListingError::TooMany | ListingError::TooLong => {
                        let message = format!("{uri} has {error}; or name a narrower uri");
                        AgentError::new(ExitCode::InputTooLarge, message)
                    }
                    error => refused(store, &error),
                })?;
            }
            Ok(found)
        })
        .await?
        .without_marks();
    if found.files.is_empty() {
        let message = format!("there is nothing beneath {uri}: correct the uri, or wait for who writes it");
        return Err(AgentError::new(ExitCode::InputNotFound, message));
    }
    Ok(Files::Folder { files: RefCell::new(found.files), key: base, tags: found.tags })
}

/// The objects that a store listed.
#[derive(Default)]
struct Found {
    files: Draft,
    tags: Tags,
}

impl Found {
    fn add(&mut self, name: &str, size: u64, tag: Option<&str>) -> Result<(), ListingError> {
        let place = self.files.add(name)?;
        self.files.set(place, size, None);
        self.tags.push(tag)
    }

    /// Without the empty objects by which the consoles of object stores represent folders: no file system can hold a file
    /// and a folder of one name.
    fn without_marks(self) -> Self {
        let marks = self.files.marks();
        if marks.is_empty() {
            return self;
        }
        let mut rest = Self::default();
        for place in (0..self.files.len()).filter(|place| !marks.contains(place)) {
            let (name, size) = (self.files.path(place), self.files.size(place));
            // This cannot exceed a bound, since there are fewer files than before.
            let _ = rest.add(name.unwrap_or_default(), size.unwrap_or_default(), self.tags.get(place));
        }
        rest
    }
}

/// An error in the middle of a response. It says nothing about the object, so it counts as an outage.
fn interrupted(error: &object_store::Error) -> Failure {
    Failure::Outage(refusal::chain(error))
}
