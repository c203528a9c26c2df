//! Where outputs go: objects that are named by their content, in one store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use seatrial_core::contract::{Digest, Hasher};

use crate::flow::Flow;
use crate::publish::buffers::Buffers;
use crate::remote::failure;
use crate::remote::outage::{Failure, Outages};
use crate::remote::refusal::chain;
use crate::remote::store::Remote;

/// How long the store may take to forget what was not ended.
const ABORT: Duration = Duration::from_secs(10);

/// Where an output goes, and what is waited for.
pub(crate) struct Target<'a> {
    pub(crate) store: &'a Remote,
    pub(crate) outages: &'a Outages,
    pub(crate) flow: Flow,
    pub(crate) buffers: Buffers,
    /// The uploads in parts that are under way, by their names.
    open: Mutex<BTreeMap<String, Path>>,
}

impl<'a> Target<'a> {
    pub(crate) fn new(store: &'a Remote, outages: &'a Outages) -> Self {
        Self { store, outages, flow: Flow::new(), buffers: Buffers::default(), open: Mutex::default() }
    }

    /// An upload in parts has begun.
    pub(crate) fn begin(&self, key: &Path, id: &str) {
        self.open().insert(id.to_owned(), key.clone());
    }

    /// It has ended, in whatever way.
    pub(crate) fn end(&self, id: &str) {
        self.open().remove(id);
    }

    /// Aborts the uploads that were left in the middle, whatever stopped them: a store charges for their parts.
    pub(crate) async fn abort(&self) {
        let open = std::mem::take(&mut *self.open());
        let Ok(objects) = self.store.objects() else { return };
        let objects = &objects;
        let aborts = open.iter().map(|(id, key)| async move { objects.abort_multipart(key, id).await });
        let aborted = tokio::time::timeout(ABORT, join_all(aborts)).await.unwrap_or_default();
        if aborted.iter().filter(|done| done.is_ok()).count() < open.len() {
            tracing::warn!("uploads that were not ended could not be aborted: a lifecycle rule of the bucket should");
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Path>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an object that is named by its content. One that is there already is left alone if it has that content,
    /// and replaced if it has another: else every later publish would rely on it, and every fetch refuse it.
    pub(crate) async fn put(&self, key: &Path, digest: &Digest, content: Bytes) -> Result<(), Failure> {
        let objects = self.store.objects()?;
        let size = content.len() as u64;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match objects.put_opts(key, PutPayload::from(content.clone()), create).await {
            Ok(_) => return Ok(()),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(failure::uploading(&error)),
        }
        if self.holds(key, digest, size).await? {
            return Ok(());
        }
        objects.put(key, PutPayload::from(content)).await.map(drop).map_err(|error| failure::uploading(&error))
    }

    /// Whether an object is in the store and has this content. It is read: a size says nothing of what a disk has lost,
    /// or of what somebody else has put there.
    pub(crate) async fn holds(&self, key: &Path, digest: &Digest, size: u64) -> Result<bool, Failure> {
        let answer = match self.store.objects()?.get(key).await {
            Ok(answer) => answer,
            Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => match failure::uploading(&error) {
                // Whose keys may write but not read writes once more.
                Failure::Refused(_) => return Ok(false),
                other => return Err(other),
            },
        };
        let mut hasher = Hasher::new();
        let is_of_its_size = answer.meta.size == size;
        if is_of_its_size {
            let mut pieces = answer.into_stream();
            while let Some(piece) = pieces.try_next().await.map_err(|error| Failure::Outage(chain(&error)))? {
                hasher.update(&piece);
            }
        }
        let holds = is_of_its_size && hasher.digest() == *digest;
        if !holds {
            tracing::warn!(%key, "the object in the store is not what its name says: it is replaced");
        }
        Ok(holds)
    }
}
