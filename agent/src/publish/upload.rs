//! Uploads outputs, side by side: their files by their content, then their listings.

use std::cell::RefCell;
use std::fs;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use seatrial_core::contract::{Digest, ExitCode, Listing, ListingIndex, OutputConfig, ReportedOutput, layout};
use seatrial_crds::OutputType;

use crate::error::AgentError;
use crate::flow::FILES;
use crate::hash::{self, blocking};
use crate::pod::volume::Volume;
use crate::publish::folder::OutputFolder;
use crate::publish::parts::{self, PART};
use crate::publish::reader::{File, changed};
use crate::publish::target::Target;

/// Uploads all of them. Where one fails, nothing of the others stays in the middle.
pub(crate) async fn outputs(
    target: &Target<'_>,
    outputs: &[OutputConfig],
    volume: &Volume,
) -> Result<Vec<ReportedOutput>, AgentError> {
    let upload = Upload { target };
    loop {
        let number = target.store.number();
        let uploaded = try_join_all(outputs.iter().map(|output| upload.upload(output, volume))).await;
        if uploaded.is_err() {
            target.abort().await;
        } else if target.store.number() != number {
            // It is another store now: what was uploaded before may be gone with the former one. What is there stays.
            continue;
        }
        return uploaded;
    }
}

struct Upload<'a> {
    target: &'a Target<'a>,
}

impl Upload<'_> {
    /// Uploads an output.
    async fn upload(&self, output: &OutputConfig, volume: &Volume) -> Result<ReportedOutput, AgentError> {
        let folder = OutputFolder::open(&volume.beneath()?, &Volume::relative(&output.folder))?;
        let folder = &Arc::new(folder);
        let bad = |what: String| AgentError::new(ExitCode::BadOutput, format!("the output \"{}\" {what}", output.name));
        let files = folder.files()?;
        if files.is_empty() && output.kind != OutputType::Any {
            let path = folder.path().display();
            return Err(bad(format!("of type {:?} is empty: let the command write into {path}", output.kind)));
        }
        let (count, files) = (files.len(), RefCell::new(files));
        let uploads = (0..count).map(|place| {
            let files = &files;
            async move {
                let name = files.borrow().path(place).unwrap_or_default().to_owned();
                let (digest, size) = self.upload_file(folder, name).await?;
                files.borrow_mut().set(place, size, Some(&digest));
                Ok::<_, AgentError>(())
            }
        });
        stream::iter(uploads).buffer_unordered(FILES).try_collect::<()>().await?;
        let listing = files.into_inner().listing();
        let listing = listing.map_err(|error| bad(format!("has a file that no store takes: {error}")))?;
        let digest = self.upload_listing(&listing, &format!("the listing of {}", output.name)).await?;
        let (size, files) = (listing.total_size(), listing.len() as u64);
        tracing::info!(output = output.name, %digest, size, files, "the output is uploaded");
        Ok(ReportedOutput { name: output.name.clone(), digest, size, files })
    }

    /// Uploads a listing, after all that it names; a long one in pieces, and what names these last.
    async fn upload_listing(&self, listing: &Listing, what: &str) -> Result<Digest, AgentError> {
        let mut pieces = vec![];
        for json in listing.pieces() {
            let piece = Digest::of(&json);
            self.upload_json(&layout::object(&piece), json, what).await?;
            pieces.push(piece);
        }
        let digest = listing.digest();
        let json = if pieces.is_empty() { listing.canonical_json() } else { ListingIndex::new(pieces).json() };
        self.upload_json(&layout::artifact(&digest), json, what).await?;
        Ok(digest)
    }

    async fn upload_json(&self, key: &str, json: Vec<u8>, what: &str) -> Result<(), AgentError> {
        let (key, digest, json) = (self.target.store.key(key)?, Digest::of(&json), Bytes::from(json));
        self.target.outages.wait_out(what, async || self.target.put(&key, &digest, json.clone()).await).await
    }

    async fn upload_file(&self, folder: &Arc<OutputFolder>, name: String) -> Result<(Digest, u64), AgentError> {
        let _place = self.target.flow.file().await;
        let opened = folder.file(&name)?;
        let size = opened.metadata().map_err(|error| folder.unreadable(&name, &error))?.len();
        if size <= PART {
            return self.upload_small(folder, name, opened, size).await;
        }
        let (own, its) = (folder.clone(), name.clone());
        let (digest, size) =
            blocking(move || hash::of_file(&opened).map_err(|error| own.unreadable(&its, &error))).await?;
        let key = self.target.store.key(&layout::object(&digest))?;
        let file = File { folder: folder.clone(), name, digest, size };
        let part = parts::size(&file)?;
        let upload = async || match self.target.holds(&key, &file.digest, size).await? {
            true => Ok(()),
            false => parts::send(self.target, &file, &key, part).await,
        };
        self.target.outages.wait_out(&file.name, upload).await?;
        Ok((file.digest, size))
    }

    /// A file that fits in memory is read once.
    async fn upload_small(
        &self,
        folder: &Arc<OutputFolder>,
        name: String,
        opened: fs::File,
        size: u64,
    ) -> Result<(Digest, u64), AgentError> {
        let _share = self.target.flow.hold(size).await;
        let (own, its) = (folder.clone(), name.clone());
        let (content, digest) = blocking(move || {
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            // It is held to what was taken for it.
            let read = opened.take(size.saturating_add(1)).read_to_end(&mut content);
            read.map_err(|error| own.unreadable(&its, &error))?;
            if content.len() as u64 != size {
                return Err(changed(&own, &its));
            }
            let digest = Digest::of(&content);
            Ok((Bytes::from(content), digest))
        })
        .await?;
        let key = self.target.store.key(&layout::object(&digest))?;
        let put = async || self.target.put(&key, &digest, content.clone()).await;
        self.target.outages.wait_out(&name, put).await?;
        Ok((digest, size))
    }
}
