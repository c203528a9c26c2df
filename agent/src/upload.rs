//! Uploads one output: its files by their content, then their listing.

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use seatrial_core::contract::{Digest, Entry, ExitCode, Listing, OutputConfig, ReportedOutput, layout};
use seatrial_crds::OutputType;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;

use crate::error::AgentError;
use crate::folder::OutputFolder;
use crate::hash;
use crate::outage::{Failure, Outages};
use crate::store::{self, OpenStore};
use crate::volume::Volume;

/// How many files are uploaded at once.
const PARALLEL: usize = 4;
/// The size of a part in bytes. Files up to it go in one piece. S3 takes 10,000 parts: the largest file has 80 GB.
const PART: usize = 8 << 20;

/// One file of an output.
struct File<'a> {
    folder: &'a OutputFolder,
    name: &'a str,
}

/// Uploads it.
pub(crate) async fn upload(
    output: &OutputConfig,
    volume: &Volume,
    store: &OpenStore,
    outages: &Outages,
) -> Result<ReportedOutput, AgentError> {
    let folder = &OutputFolder::open(&volume.beneath()?, &Volume::relative(&output.folder))?;
    let files = folder.files()?;
    if files.is_empty() && output.kind != OutputType::Any {
        let message = format!(
            "the output \"{}\" of type {:?} is empty: let the command write into {}",
            output.name,
            output.kind,
            folder.path().display()
        );
        return Err(AgentError::new(ExitCode::BadOutput, message));
    }
    let uploads = files.into_iter().map(|name| upload_file(folder, name, store, outages));
    let entries: Vec<Entry> = stream::iter(uploads).buffer_unordered(PARALLEL).try_collect().await?;
    let files = entries.len() as u64;
    let listing = Listing::new(entries).map_err(|error| {
        AgentError::new(
            ExitCode::BadOutput,
            format!("the output \"{}\" has a file that no store takes: {error}", output.name),
        )
    })?;
    let digest = listing.digest();
    let key = store.key(&layout::artifact(&digest))?;
    let json = listing.canonical_json();
    put_once(&key, json.len() as u64, &format!("the listing of {}", output.name), store, outages, async || {
        let payload = PutPayload::from(json.clone());
        store.objects.put(&key, payload).await.map(drop).map_err(|error| uploading(&error))
    })
    .await?;
    tracing::info!(output = output.name, %digest, size = listing.total_size(), files, "the output is uploaded");
    Ok(ReportedOutput { name: output.name.clone(), digest, size: listing.total_size(), files })
}

async fn upload_file(
    folder: &OutputFolder,
    name: String,
    store: &OpenStore,
    outages: &Outages,
) -> Result<Entry, AgentError> {
    let (digest, size) = hash::of_output(folder, &name).await?;
    let key = store.key(&layout::object(&digest))?;
    let file = File { folder, name: &name };
    put_once(&key, size, &name, store, outages, async || send(&file, &key, &digest, size, store).await).await?;
    Ok(Entry { path: name, size, sha256: digest.hex().to_owned() })
}

/// Writes an object that is named by its content, unless it is there.
async fn put_once(
    key: &Path,
    size: u64,
    what: &str,
    store: &OpenStore,
    outages: &Outages,
    mut put: impl AsyncFnMut() -> Result<(), Failure>,
) -> Result<(), AgentError> {
    outages
        .wait_out(what, async || match store.objects.head(key).await {
            Ok(there) if there.size == size => Ok(()),
            // Absent, or unknown: writing says more than asking.
            _ => put().await,
        })
        .await
}

/// Sends a file in one piece or in parts. What is sent is hashed again: a file that changes meanwhile would otherwise
/// be kept under a name that it does not deserve.
async fn send(file: &File<'_>, key: &Path, digest: &Digest, size: u64, store: &OpenStore) -> Result<(), Failure> {
    let mut reader = tokio::fs::File::from_std(file.folder.file(file.name)?);
    let mut hasher = Sha256::new();
    let mut part = read_part(&mut reader, file).await?;
    hasher.update(&part);
    if size <= PART as u64 {
        check(file, digest, hasher)?;
        let put = store.objects.put(key, PutPayload::from(part)).await;
        return put.map(drop).map_err(|error| uploading(&error));
    }
    let mut upload = store.objects.put_multipart(key).await.map_err(|error| uploading(&error))?;
    while !part.is_empty() {
        if let Err(error) = upload.put_part(PutPayload::from(part)).await {
            return abandon(upload, uploading(&error)).await;
        }
        part = match read_part(&mut reader, file).await {
            Ok(part) => part,
            Err(error) => return abandon(upload, error.into()).await,
        };
        hasher.update(&part);
    }
    if let Err(error) = check(file, digest, hasher) {
        return abandon(upload, error.into()).await;
    }
    upload.complete().await.map(drop).map_err(|error| uploading(&error))
}

async fn abandon(mut upload: Box<dyn MultipartUpload>, failure: Failure) -> Result<(), Failure> {
    // What remains of it is the store's to sweep.
    let _ = upload.abort().await;
    Err(failure)
}

fn check(file: &File<'_>, digest: &Digest, hasher: Sha256) -> Result<(), AgentError> {
    if Digest::of_hasher(hasher) == *digest {
        return Ok(());
    }
    let message = format!(
        "{} changed while it was uploaded: no process may write after the command ended",
        file.folder.path().join(file.name).display()
    );
    Err(AgentError::new(ExitCode::BadOutput, message))
}

async fn read_part(reader: &mut tokio::fs::File, file: &File<'_>) -> Result<Vec<u8>, AgentError> {
    let mut part = Vec::new();
    let read = reader.take(PART as u64).read_to_end(&mut part).await;
    read.map_err(|error| file.folder.unreadable(file.name, &error))?;
    Ok(part)
}

/// A store that does not take the work of hours may take it later, whatever it says now.
pub(crate) fn uploading(error: &object_store::Error) -> Failure {
    Failure::Outage(store::chain(error))
}
