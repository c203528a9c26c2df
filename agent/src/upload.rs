//! Uploads one output: its files by their content, then their listing.

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use seatrial_core::contract::{
    Digest, Entry, ExitCode, Listing, MAX_LISTING_BYTES, OutputConfig, ReportedOutput, layout,
};
use seatrial_crds::OutputType;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use crate::error::AgentError;
use crate::folder::OutputFolder;
use crate::hash;
use crate::outage::{Failure, Outages};
use crate::parts::{self, MEMORY, PART};
use crate::store::{self, OpenStore};
use crate::volume::Volume;

/// How many files are uploaded at once.
const PARALLEL: usize = 4;

/// Where an output goes, and what is waited for.
pub(crate) struct Target<'a> {
    pub(crate) store: &'a OpenStore,
    pub(crate) outages: &'a Outages,
    /// What the parts in memory may have together, in MiB.
    memory: Semaphore,
}

/// One file of an output.
pub(crate) struct File<'a> {
    pub(crate) folder: &'a OutputFolder,
    pub(crate) name: &'a str,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl<'a> Target<'a> {
    pub(crate) fn new(store: &'a OpenStore, outages: &'a Outages) -> Self {
        Self { store, outages, memory: Semaphore::new(MEMORY) }
    }

    /// Uploads an output.
    pub(crate) async fn upload(&self, output: &OutputConfig, volume: &Volume) -> Result<ReportedOutput, AgentError> {
        let folder = &OutputFolder::open(&volume.beneath()?, &Volume::relative(&output.folder))?;
        let bad = |what: String| AgentError::new(ExitCode::BadOutput, format!("the output \"{}\" {what}", output.name));
        let files = folder.files()?;
        if files.is_empty() && output.kind != OutputType::Any {
            let path = folder.path().display();
            return Err(bad(format!("of type {:?} is empty: let the command write into {path}", output.kind)));
        }
        let uploads = files.into_iter().map(|name| self.upload_file(folder, name));
        let entries: Vec<Entry> = stream::iter(uploads).buffer_unordered(PARALLEL).try_collect().await?;
        let files = entries.len() as u64;
        let listing = Listing::new(entries).map_err(|error| bad(format!("has a file that no store takes: {error}")))?;
        let digest = listing.digest();
        let key = self.store.key(&layout::artifact(&digest))?;
        let json = listing.canonical_json();
        let bytes = json.len() as u64;
        if bytes > MAX_LISTING_BYTES {
            return Err(bad(format!(
                "has a list of files of {bytes} bytes, more than {MAX_LISTING_BYTES}: write fewer files, or shorter names"
            )));
        }
        self.put_once(&key, bytes, &format!("the listing of {}", output.name), async || {
            self.put(&key, PutPayload::from(json.clone())).await
        })
        .await?;
        tracing::info!(output = output.name, %digest, size = listing.total_size(), files, "the output is uploaded");
        Ok(ReportedOutput { name: output.name.clone(), digest, size: listing.total_size(), files })
    }

    async fn upload_file(&self, folder: &OutputFolder, name: String) -> Result<Entry, AgentError> {
        let (digest, size) = hash::of_output(folder, &name).await?;
        let key = self.store.key(&layout::object(&digest))?;
        let file = File { folder, name: &name, digest, size };
        let part = parts::size(&file)?;
        let _memory = self.memory.acquire_many(parts::mebibytes(part)).await;
        self.put_once(&key, size, &name, async || {
            if size > PART {
                return parts::send(self, &file, &key, part).await;
            }
            let mut reader = Reader::open(&file)?;
            let content = reader.next(PART).await?;
            reader.check()?;
            self.put(&key, PutPayload::from(content)).await
        })
        .await?;
        let sha256 = file.digest.hex().to_owned();
        Ok(Entry { path: name, size, sha256 })
    }

    /// Writes an object that is named by its content, unless it is there.
    async fn put_once(
        &self,
        key: &Path,
        size: u64,
        what: &str,
        mut put: impl AsyncFnMut() -> Result<(), Failure>,
    ) -> Result<(), AgentError> {
        self.outages
            .wait_out(what, async || match self.is_there(key, size).await? {
                Some(true) => Ok(()),
                // Absent, or unknown: writing says more than asking.
                _ => put().await,
            })
            .await
    }

    /// Whether an object of this size is in the store; `None` where the store does not say.
    pub(crate) async fn is_there(&self, key: &Path, size: u64) -> Result<Option<bool>, AgentError> {
        Ok(match self.store.objects()?.head(key).await {
            Ok(there) => Some(there.size == size),
            Err(Error::NotFound { .. }) => Some(false),
            Err(_) => None,
        })
    }

    async fn put(&self, key: &Path, content: PutPayload) -> Result<(), Failure> {
        self.store.objects()?.put(key, content).await.map(drop).map_err(|error| store::uploading(&error))
    }
}

/// Reads a file of the user's in pieces. What is sent is hashed again: a file that changes meanwhile would otherwise be
/// kept under a name that it does not deserve.
pub(crate) struct Reader<'a> {
    file: &'a File<'a>,
    reader: tokio::fs::File,
    hasher: Sha256,
}

impl<'a> Reader<'a> {
    pub(crate) fn open(file: &'a File<'a>) -> Result<Self, AgentError> {
        let reader = tokio::fs::File::from_std(file.folder.file(file.name)?);
        Ok(Self { file, reader, hasher: Sha256::new() })
    }

    /// The next piece; empty at the end.
    pub(crate) async fn next(&mut self, limit: u64) -> Result<Vec<u8>, AgentError> {
        let mut piece = Vec::with_capacity(usize::try_from(limit.min(self.file.size)).unwrap_or_default());
        let read = (&mut self.reader).take(limit).read_to_end(&mut piece).await;
        read.map_err(|error| self.file.folder.unreadable(self.file.name, &error))?;
        self.hasher.update(&piece);
        Ok(piece)
    }

    /// Compares what was read with what was read before.
    pub(crate) fn check(self) -> Result<(), AgentError> {
        if Digest::of_hasher(self.hasher) == self.file.digest {
            return Ok(());
        }
        let path = self.file.folder.path().join(self.file.name);
        let message =
            format!("{} changed while it was uploaded: no process may write after the command ended", path.display());
        Err(AgentError::new(ExitCode::BadOutput, message))
    }
}
