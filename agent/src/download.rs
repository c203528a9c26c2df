//! Brings one file. What breaks off is gone on with where it broke off, as long as the server has the same version.

use std::path::Path;

use futures::TryStreamExt;
use seatrial_core::contract::{Digest, Entry, ExitCode};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::error::AgentError;
use crate::inputs::Wanted;
use crate::outage::{Failure, Outages};
use crate::space::Space;
use crate::store::{Answer, OpenStore};
use crate::volume::set_mode;

/// Brings it to `path`.
pub(crate) async fn fetch_file(
    path: &Path,
    store: &OpenStore,
    wanted: Wanted,
    space: &Space,
    outages: &Outages,
) -> Result<Entry, AgentError> {
    let what = wanted.shown(&store.prefix);
    let mut download = Download::new(path, &wanted, &what, space);
    outages.wait_out(&what, async || download.go_on(store).await).await?;
    let (digest, size) = (Digest::of_hasher(download.hasher), download.done);
    set_mode(path, 0o644).map_err(|error| AgentError::writing(path, &error))?;
    let sha256 = digest.hex().to_owned();
    if wanted.sha256.as_ref().is_some_and(|expected| *expected != sha256) {
        return Err(damaged(&what));
    }
    Ok(Entry { path: wanted.name, size, sha256 })
}

fn damaged(what: &str) -> AgentError {
    let message = format!("{what} is not what its digest says: it was changed or damaged in the store");
    AgentError::new(ExitCode::CorruptArtifact, message)
}

struct Download<'a> {
    path: &'a Path,
    wanted: &'a Wanted,
    what: &'a str,
    space: &'a Space,
    file: Option<File>,
    hasher: Sha256,
    /// The bytes that are written and hashed.
    done: u64,
    /// The version that they are of.
    tag: Option<String>,
    /// The most that was ever done. Who begins anew again and again comes no further.
    furthest: u64,
    /// The bytes that were taken of the space.
    taken: u64,
}

impl<'a> Download<'a> {
    fn new(path: &'a Path, wanted: &'a Wanted, what: &'a str, space: &'a Space) -> Self {
        // Space for sizes that are known was taken before anything was fetched.
        let taken = wanted.size.unwrap_or_default();
        let hasher = Sha256::new();
        Self { path, wanted, what, space, file: None, hasher, done: 0, tag: None, furthest: 0, taken }
    }

    /// Goes on until the file is whole, or it breaks off again.
    async fn go_on(&mut self, store: &OpenStore) -> Result<(), Failure> {
        let from = self.tag.as_deref().filter(|_| self.done > 0).map(|tag| (self.done, tag));
        let Some(answer) = store.read(&self.wanted.place, self.what, from).await? else {
            self.tag = None;
            return Err(Failure::Outage("it changed while it was read".into()));
        };
        if answer.offset == 0 {
            self.begin().await?;
        } else if answer.offset != self.done {
            self.tag = None;
            return Err(Failure::Outage("the server sent another part than was asked for".into()));
        }
        self.tag = answer.tag.clone();
        self.check_version()?;
        self.check_size(answer.total)?;
        let total = answer.total;
        let broken = self.write(answer).await?;
        if total == Some(self.done) || (total.is_none() && broken.is_none()) {
            return Ok(());
        }
        let why = broken.unwrap_or_else(|| "the answer ended too early".into());
        let is_further = self.done > self.furthest;
        self.furthest = self.furthest.max(self.done);
        Err(if is_further { Failure::Interrupted(why) } else { Failure::Outage(why) })
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        self.file = Some(File::create(self.path).await.map_err(|error| AgentError::writing(self.path, &error))?);
        self.hasher = Sha256::new();
        self.done = 0;
        Ok(())
    }

    /// Compares the version that a server sends with the one that was listed. The files of a folder belong together:
    /// one that was replaced since may not fit to the others.
    fn check_version(&self) -> Result<(), AgentError> {
        let plain = |tag: &str| tag.trim_matches('"').to_owned();
        let (Some(listed), Some(sent)) = (&self.wanted.tag, &self.tag) else { return Ok(()) };
        if plain(listed) == plain(sent) {
            return Ok(());
        }
        let message = format!(
            "{} was replaced between the listing of its folder and the reading: the next try lists anew; let nothing write there while it is read, or name a folder that is written once",
            self.what
        );
        Err(AgentError::new(ExitCode::StoreUnavailable, message))
    }

    /// Compares the size that a server announces with what was listed, and with the space there is.
    fn check_size(&mut self, total: Option<u64>) -> Result<(), Failure> {
        match (total, self.wanted.size) {
            (Some(total), Some(expected)) if total != expected && self.wanted.sha256.is_some() => {
                Err(damaged(self.what).into())
            }
            (Some(total), Some(expected)) if total != expected => {
                // It was replaced between list and read: the next pod lists what is there then.
                Err(Failure::Outage(format!("it has {total} bytes, {expected} were listed")))
            }
            (Some(total), None) => Ok(self.take(total)?),
            _ => Ok(()),
        }
    }

    fn take(&mut self, size: u64) -> Result<(), AgentError> {
        self.space.take(size.saturating_sub(self.taken))?;
        self.taken = self.taken.max(size);
        Ok(())
    }

    /// Writes what comes. Says why, where it broke off.
    async fn write(&mut self, mut answer: Answer) -> Result<Option<String>, Failure> {
        let mut broken = None;
        loop {
            let piece = match answer.pieces.try_next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            };
            let done = self.done.saturating_add(piece.len() as u64);
            // Who announces no size, or sends more than that, is stopped before the disk is full.
            self.take(done)?;
            let file = self.file.as_mut().ok_or_else(|| AgentError::internal("a file is written before it is made"))?;
            file.write_all(&piece).await.map_err(|error| AgentError::writing(self.path, &error))?;
            self.hasher.update(&piece);
            self.done = done;
        }
        if let Some(file) = &mut self.file {
            file.flush().await.map_err(|error| AgentError::writing(self.path, &error))?;
        }
        Ok(broken)
    }
}
