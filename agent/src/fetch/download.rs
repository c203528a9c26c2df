//! Fetches one file. A transfer that breaks off is resumed where it broke off, as long as the server has the same version.

use std::path::Path;

use futures::TryStreamExt;
use seatrial_core::contract::Digest;

use crate::error::AgentError;
use crate::fetch::files::Wanted;
use crate::fetch::ranges::{LARGE, Ranges};
use crate::fetch::space::Space;
use crate::fetch::version::{damaged, fit};
use crate::fetch::written::Written;
use crate::flow::Flow;
use crate::remote::answer::Answer;
use crate::remote::outage::{Failure, Outages};
use crate::remote::store::{Place, Remote};

/// What the downloads of a pod share: memory, disk space, and the time for outages.
pub(crate) struct Way<'a> {
    pub(crate) flow: &'a Flow,
    pub(crate) space: &'a Space,
    pub(crate) outages: &'a Outages,
}

/// Brings it to `path`.
pub(crate) async fn fetch_file(
    path: &Path,
    store: &Remote,
    wanted: Wanted,
    way: &Way<'_>,
) -> Result<(Digest, u64), AgentError> {
    let _place = way.flow.file().await;
    let what = wanted.shown(&store.prefix);
    let (digest, size) = match (&wanted.place, wanted.size) {
        (Place::Object(key), Some(size)) if size > LARGE => {
            let mut ranges = Ranges::new(path, &wanted, &what, size);
            way.outages.wait_out(&what, async || ranges.go_on(store, key, way.flow).await).await?;
            ranges.end()?
        }
        _ => {
            let mut download = Download::new(path, &wanted, &what, way.space);
            let go_on = async || {
                let _share = way.flow.receive(wanted.size).await;
                download.go_on(store).await
            };
            way.outages.wait_out(&what, go_on).await?;
            download.end().await?
        }
    };
    if wanted.digest.as_ref().is_some_and(|expected| *expected != digest) {
        return Err(damaged(&what));
    }
    Ok((digest, size))
}

struct Download<'a> {
    path: &'a Path,
    wanted: &'a Wanted,
    what: &'a str,
    space: &'a Space,
    /// What is written; nothing only while a piece of it is, or where that failed.
    written: Option<Written>,
    /// The version that it is of.
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
        Self { path, wanted, what, space, written: None, tag: None, furthest: 0, taken }
    }

    fn done(&self) -> u64 {
        self.written.as_ref().map_or(0, |written| written.done)
    }

    /// Goes on until the file is whole, or it breaks off again.
    async fn go_on(&mut self, store: &Remote) -> Result<(), Failure> {
        let done = self.done();
        let from = self.tag.as_deref().filter(|_| done > 0).map(|tag| (done, tag));
        let Some(answer) = store.read(&self.wanted.place, self.what, from).await? else {
            self.tag = None;
            return Err(Failure::Outage("it changed while it was read".into()));
        };
        if answer.offset == 0 {
            self.written = Some(Written::new(self.path));
        } else if answer.offset != done {
            self.tag = None;
            return Err(Failure::Outage("the server sent another part than was asked for".into()));
        }
        self.tag = answer.tag.clone();
        fit(self.wanted, answer.tag.as_deref(), answer.total, self.what)?;
        let total = answer.total;
        if let (Some(total), None) = (total, self.wanted.size) {
            self.take(total)?;
        }
        let broken = self.write(answer).await?;
        let done = self.done();
        if total == Some(done) || (total.is_none() && broken.is_none()) {
            return Ok(());
        }
        let why = broken.unwrap_or_else(|| "the answer ended too early".into());
        let is_further = done > self.furthest;
        self.furthest = self.furthest.max(done);
        Err(if is_further { Failure::Interrupted(why) } else { Failure::Outage(why) })
    }

    fn take(&mut self, size: u64) -> Result<(), AgentError> {
        self.space.take(size.saturating_sub(self.taken))?;
        self.taken = self.taken.max(size);
        Ok(())
    }

    /// Writes what comes. Says why, where it broke off.
    async fn write(&mut self, mut answer: Answer) -> Result<Option<String>, Failure> {
        loop {
            let piece = match answer.pieces.try_next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error)),
            };
            // Who announces no size, or sends more than that, is stopped before the disk is full.
            self.take(self.done().saturating_add(piece.len() as u64))?;
            let written = self.written.take().ok_or_else(unmade)?;
            self.written = Some(written.push(&piece).await?);
        }
    }

    async fn end(self) -> Result<(Digest, u64), AgentError> {
        self.written.ok_or_else(unmade)?.end().await
    }
}

fn unmade() -> AgentError {
    AgentError::internal("a file is written before it is made")
}
