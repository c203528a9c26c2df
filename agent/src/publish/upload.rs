//! Uploads outputs, side by side: their files by their content, then their listings.

use std::fs;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use seatrial_core::contract::{
    Digest, Entry, ExitCode, Listing, MAX_LISTING_BYTES, OutputConfig, ReportedOutput, layout,
};
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

/// What each file has in a listing beside its path, at least, in bytes: a hash, a digit, and the words.
const ENTRY_BYTES: u64 = r#"{"path":"","size":0,"sha256":""},"#.len() as u64 + 64;

/// Refuses names whose listing nobody could read, before anything is sent rather than after hours of sending.
fn check_listing(names: &[String]) -> Result<(), String> {
    let bytes: u64 = names.iter().map(|name| name.len() as u64 + ENTRY_BYTES).sum();
    if bytes > MAX_LISTING_BYTES { Err(too_long(bytes)) } else { Ok(()) }
}

fn too_long(bytes: u64) -> String {
    format!("has a list of files of {bytes} bytes, more than {MAX_LISTING_BYTES}: write fewer files, or shorter names")
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
        check_listing(&files).map_err(bad)?;
        let uploads = files.into_iter().map(|name| self.upload_file(folder, name));
        let entries: Vec<Entry> = stream::iter(uploads).buffer_unordered(FILES).try_collect().await?;
        let files = entries.len() as u64;
        let listing = Listing::new(entries).map_err(|error| bad(format!("has a file that no store takes: {error}")))?;
        let digest = listing.digest();
        let key = self.target.store.key(&layout::artifact(&digest))?;
        let json = listing.canonical_json();
        let bytes = json.len() as u64;
        if bytes > MAX_LISTING_BYTES {
            return Err(bad(too_long(bytes)));
        }
        let json = Bytes::from(json);
        let what = format!("the listing of {}", output.name);
        self.target.outages.wait_out(&what, async || self.target.put(&key, &digest, json.clone()).await).await?;
        tracing::info!(output = output.name, %digest, size = listing.total_size(), files, "the output is uploaded");
        Ok(ReportedOutput { name: output.name.clone(), digest, size: listing.total_size(), files })
    }

    async fn upload_file(&self, folder: &Arc<OutputFolder>, name: String) -> Result<Entry, AgentError> {
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
        Ok(Entry { sha256: file.digest.hex().to_owned(), path: file.name, size })
    }

    /// A file that fits in memory is read once.
    async fn upload_small(
        &self,
        folder: &Arc<OutputFolder>,
        name: String,
        opened: fs::File,
        size: u64,
    ) -> Result<Entry, AgentError> {
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
        Ok(Entry { sha256: digest.hex().to_owned(), path: name, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_files_that_is_too_long_is_refused_by_its_names() {
        let entry = Entry { path: "a".into(), size: 1, sha256: "0".repeat(64) };
        let listed = Listing::new(vec![entry]).map(|listing| listing.canonical_json().len() as u64);
        assert_eq!(listed, Ok(ENTRY_BYTES + 2), "a path of one letter, and brackets rather than a comma");
        let names = |number: usize| vec!["x".repeat(1024); number];
        assert_eq!(check_listing(&names(59_000)), Ok(()));
        let refused = check_listing(&names(60_000)).unwrap_err();
        assert!(refused.contains("write fewer files, or shorter names"), "{refused}");
    }
}
