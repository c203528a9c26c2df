//! Fetches one large object in parts, several at once, into a file that has its size from the beginning. Parts that are there
//! stay when the store becomes unavailable. The hash is computed over the beginning of the file that is there without a gap.

use std::cell::Cell;
use std::fs::File;
use std::future::ready;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use object_store::path::Path as Key;
use seatrial_core::contract::{Digest, Hasher};
use tokio::sync::watch;

use crate::error::AgentError;
use crate::fetch::files::Wanted;
use crate::fetch::version::{Version, fit, replaced};
use crate::flow::{Flow, PARTS};
use crate::hash::{self, blocking};
use crate::pod::volume::set_mode;
use crate::remote::outage::Failure;
use crate::remote::store::Remote;

/// The size of a part, in bytes.
const PART: u64 = 8 << 20;
/// From this size on, several connections are faster than one.
pub(crate) const LARGE: u64 = 2 * PART;
/// How much is written at once, in bytes.
const PIECE: usize = 1 << 20;
/// How much is hashed at once, in bytes.
const HASHED: u64 = 16 << 20;

/// An object that is being fetched.
pub(crate) struct Ranges<'a> {
    path: &'a Path,
    wanted: &'a Wanted,
    what: &'a str,
    size: u64,
    file: Option<Arc<File>>,
    /// The parts that are there.
    there: Vec<bool>,
    /// The version that they are of.
    tag: Option<String>,
    hasher: Hasher,
    hashed: u64,
}

/// Where a part is to come from, and to go to.
struct Source<'a> {
    store: &'a Remote,
    key: &'a Key,
    flow: &'a Flow,
    file: &'a Arc<File>,
    wanted: &'a Wanted,
    what: &'a str,
    path: &'a Path,
}

impl<'a> Ranges<'a> {
    pub(crate) fn new(path: &'a Path, wanted: &'a Wanted, what: &'a str, size: u64) -> Self {
        let parts = usize::try_from(size.div_ceil(PART)).unwrap_or_default();
        Self {
            path,
            wanted,
            what,
            size,
            file: None,
            there: vec![false; parts],
            tag: wanted.tag.clone(),
            hasher: Hasher::new(),
            hashed: 0,
        }
    }

    /// Fetches until all parts are there and hashed, or the store is unavailable.
    pub(crate) async fn go_on(&mut self, store: &Remote, key: &Key, flow: &Flow) -> Result<(), Failure> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(make(self.path, self.size).await?).clone(),
        };
        let (wanted, what, path, size) = (self.wanted, self.what, self.path, self.size);
        let source = Source { store, key, flow, file: &file, wanted, what, path };
        let before = self.count();
        if self.tag.is_none() {
            // All others must be of the version that the first is of.
            match source.bring(range(0, size), None).await {
                Ok(Version::Same(tag)) => self.tag = tag,
                Ok(Version::Other) => return Err(self.begin_anew()),
                Err(failure) => return Err(failure),
            }
            self.set(0);
        }
        let tag = self.tag.clone();
        let missing = (0..).zip(&self.there).filter(|(_, there)| !**there).map(|(number, _)| number);
        let missing: Vec<usize> = missing.collect();
        let (progress, follow) = watch::channel(self.without_gap());
        let (mut trouble, mut is_other) = (None, false);
        let (hasher, hashed) = (&mut self.hasher, &mut self.hashed);
        let there = &mut self.there;
        let transfer = async {
            // What is under way when one part fails may end; no further one begins.
            let stopped = Cell::new(false);
            let (source, tag) = (&source, tag.as_deref());
            let parts = stream::iter(missing).take_while(|_| ready(!stopped.get()));
            let parts = parts.map(|number| async move { (number, source.bring(range(number, size), tag).await) });
            let mut parts = std::pin::pin!(parts.buffer_unordered(PARTS));
            while let Some((number, brought)) = parts.next().await {
                match brought {
                    Ok(Version::Same(_)) => {
                        if let Some(part) = there.get_mut(number) {
                            *part = true;
                        }
                        let _ = progress.send(without_gap(there, size));
                        continue;
                    }
                    Ok(Version::Other) => is_other = true,
                    Err(failure @ Failure::Final(_)) => trouble = Some(failure),
                    Err(failure) => trouble = trouble.take().or(Some(failure)),
                }
                stopped.set(true);
            }
            drop(progress);
        };
        let ((), followed) = tokio::join!(transfer, hash_behind(&file, follow, hasher, hashed, path));
        followed?;
        if is_other {
            return Err(self.begin_anew());
        }
        match trouble {
            None => Ok(()),
            Some(Failure::Outage(why)) if self.count() > before => Err(Failure::Interrupted(why)),
            Some(failure) => Err(failure),
        }
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<(Digest, u64), AgentError> {
        set_mode(self.path, 0o644).map_err(|error| AgentError::writing(self.path, &error))?;
        Ok((self.hasher.digest(), self.hashed))
    }

    /// The object has another version by now.
    fn begin_anew(&mut self) -> Failure {
        self.there.fill(false);
        self.tag = None;
        self.hasher = Hasher::new();
        self.hashed = 0;
        match &self.wanted.tag {
            Some(_) => replaced(self.what).into(),
            None => Failure::Outage("it changed while it was read".into()),
        }
    }

    fn set(&mut self, number: usize) {
        if let Some(part) = self.there.get_mut(number) {
            *part = true;
        }
    }

    fn count(&self) -> usize {
        self.there.iter().filter(|there| **there).count()
    }

    fn without_gap(&self) -> u64 {
        without_gap(&self.there, self.size)
    }
}

/// How many bytes are there from the beginning on.
fn without_gap(there: &[bool], size: u64) -> u64 {
    let parts = there.iter().take_while(|there| **there).count() as u64;
    parts.saturating_mul(PART).min(size)
}

/// The bytes of a part.
fn range(number: usize, size: u64) -> Range<u64> {
    let start = (number as u64).saturating_mul(PART);
    start..start.saturating_add(PART).min(size)
}

/// A file of this size, whose blocks are there: parts that come in any order do not scatter it.
async fn make(path: &Path, size: u64) -> Result<Arc<File>, AgentError> {
    let path = path.to_owned();
    blocking(move || {
        let writing = |error| AgentError::writing(&path, &error);
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path).map_err(writing)?;
        match fallocate(&file, FallocateFlags::empty(), 0, i64::try_from(size).unwrap_or(i64::MAX)) {
            Err(Errno::EOPNOTSUPP) => file.set_len(size).map_err(writing)?,
            other => other.map_err(|error| writing(error.into()))?,
        }
        Ok(Arc::new(file))
    })
    .await
}

/// Hashes what is there without a gap, and ends with whoever says how much that is.
async fn hash_behind(
    file: &Arc<File>,
    mut follow: watch::Receiver<u64>,
    hasher: &mut Hasher,
    hashed: &mut u64,
    path: &Path,
) -> Result<(), AgentError> {
    loop {
        let until = *follow.borrow_and_update();
        if until > *hashed {
            let range = *hashed..until.min(hashed.saturating_add(HASHED));
            let (end, own, path) = (range.end, file.clone(), path.to_owned());
            let mut further = hasher.clone();
            *hasher = blocking(move || {
                hash::range(&own, range, &mut further).map_err(|error| AgentError::writing(&path, &error))?;
                Ok(further)
            })
            .await?;
            *hashed = end;
        } else if follow.changed().await.is_err() && *follow.borrow() == *hashed {
            return Ok(());
        }
    }
}

impl Source<'_> {
    /// Brings a part of the version that a tag names, or of any.
    async fn bring(&self, range: Range<u64>, tag: Option<&str>) -> Result<Version, Failure> {
        let _share = self.flow.receive(Some(range.end - range.start)).await;
        let Some(mut answer) = self.store.read_range(self.key, self.what, range.clone(), tag).await? else {
            return Ok(Version::Other);
        };
        if answer.offset != range.start {
            return Err(Failure::Outage("the server sent another part than was asked for".into()));
        }
        fit(self.wanted, answer.tag.as_deref(), answer.total, self.what)?;
        let (mut at, mut piece) = (range.start, Vec::with_capacity(PIECE));
        while let Some(bytes) = answer.pieces.try_next().await.map_err(Failure::Outage)? {
            if at.saturating_add((piece.len() + bytes.len()) as u64) > range.end {
                return Err(Failure::Outage("the server sent more than was asked for".into()));
            }
            piece.extend_from_slice(&bytes);
            if piece.len() >= PIECE {
                (at, piece) = self.write(at, piece).await?;
            }
        }
        let (at, _) = self.write(at, piece).await?;
        if at < range.end {
            return Err(Failure::Outage("the answer ended too early".into()));
        }
        Ok(Version::Same(answer.tag))
    }

    /// Writes a piece, and gives its room back.
    async fn write(&self, at: u64, mut piece: Vec<u8>) -> Result<(u64, Vec<u8>), AgentError> {
        let (file, path) = (self.file.clone(), self.path.to_owned());
        blocking(move || {
            file.write_all_at(&piece, at).map_err(|error| AgentError::writing(&path, &error))?;
            let next = at.saturating_add(piece.len() as u64);
            piece.clear();
            Ok((next, piece))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_file_and_the_hash_stops_at_the_first_gap() {
        let size = 2 * PART + 5;
        let all: Vec<_> = (0..3).map(|number| range(number, size)).collect();
        assert_eq!(all, [0..PART, PART..2 * PART, 2 * PART..size]);
        for (there, expected) in [
            ([false, true, true], 0),
            ([true, false, true], PART),
            ([true, true, false], 2 * PART),
            ([true, true, true], size),
        ] {
            assert_eq!(without_gap(&there, size), expected);
        }
    }
}
