//! Uploads one output: its files by their content, then their listing.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
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
use crate::refusal::chain;
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
        let json = Bytes::from(json);
        let what = format!("the listing of {}", output.name);
        self.outages.wait_out(&what, async || self.put(&key, &digest, json.clone()).await).await?;
        tracing::info!(output = output.name, %digest, size = listing.total_size(), files, "the output is uploaded");
        Ok(ReportedOutput { name: output.name.clone(), digest, size: listing.total_size(), files })
    }

    async fn upload_file(&self, folder: &OutputFolder, name: String) -> Result<Entry, AgentError> {
        let (digest, size) = hash::of_output(folder, &name).await?;
        let key = self.store.key(&layout::object(&digest))?;
        let file = File { folder, name: &name, digest, size };
        let part = parts::size(&file)?;
        let _memory = self.memory.acquire_many(parts::mebibytes(part)).await;
        let upload = async || {
            if size > PART {
                return match self.holds(&key, &file.digest, size).await? {
                    true => Ok(()),
                    false => parts::send(self, &file, &key, part).await,
                };
            }
            let mut reader = Reader::open(&file)?;
            let content = reader.next(PART).await?;
            reader.check()?;
            self.put(&key, &file.digest, content.into()).await
        };
        self.outages.wait_out(&name, upload).await?;
        let sha256 = file.digest.hex().to_owned();
        Ok(Entry { path: name, size, sha256 })
    }

    /// Writes an object that is named by its content. One that is there already is left alone if it has that content,
    /// and replaced if it has another: else every later publish would rely on it, and every fetch refuse it.
    async fn put(&self, key: &Path, digest: &Digest, content: Bytes) -> Result<(), Failure> {
        let objects = self.store.objects()?;
        let size = content.len() as u64;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match objects.put_opts(key, PutPayload::from(content.clone()), create).await {
            Ok(_) => return Ok(()),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(store::uploading(&error)),
        }
        if self.holds(key, digest, size).await? {
            return Ok(());
        }
        objects.put(key, PutPayload::from(content)).await.map(drop).map_err(|error| store::uploading(&error))
    }

    /// Whether an object is in the store and has this content. It is read: a size says nothing of what a disk has lost,
    /// or of what somebody else has put there.
    pub(crate) async fn holds(&self, key: &Path, digest: &Digest, size: u64) -> Result<bool, Failure> {
        let answer = match self.store.objects()?.get(key).await {
            Ok(answer) => answer,
            Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => match store::uploading(&error) {
                // Whose keys may write but not read writes once more.
                Failure::Refused(_) => return Ok(false),
                other => return Err(other),
            },
        };
        let mut hasher = Sha256::new();
        let is_of_its_size = answer.meta.size == size;
        if is_of_its_size {
            let mut pieces = answer.into_stream();
            while let Some(piece) = pieces.try_next().await.map_err(|error| Failure::Outage(chain(&error)))? {
                hasher.update(&piece);
            }
        }
        let holds = is_of_its_size && Digest::of_hasher(hasher) == *digest;
        if !holds {
            tracing::warn!(%key, "the object in the store is not what its name says: it is replaced");
        }
        Ok(holds)
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
