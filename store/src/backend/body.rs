//! Writes request bodies to files, and checks their sums.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use s3s::{S3Result, StdError, s3_error};

use super::checksums::{self, Expected, Sums};
use super::files::Draft;
use super::slots::Slot;
use super::volume::storage;

/// How much of a body is written at once, in bytes. So much is in memory for each that is under way.
const PIECE: usize = 256 * 1024;

/// The body of a request.
pub(super) struct Body<S> {
    pub(super) stream: Option<S>,
    /// Its length by the request's header.
    pub(super) length: Option<i64>,
    /// The sums that the request's header gives.
    pub(super) sums: Expected,
}

impl<S> Body<S>
where
    S: Stream<Item = Result<Bytes, StdError>> + Unpin,
{
    /// Writes it to where a file stands, and waits until it and its SHA-256 are on the disk. Gives its bytes.
    pub(super) async fn fill(self, file: File) -> S3Result<u64> {
        Ok(self.write(file, None, keep_sum).await?.0)
    }

    /// Writes it to where a file stands, which may be a part's place, does what is to be done with its SHA-256, and waits
    /// until it is on the disk. Gives its bytes and the sum.
    pub(super) async fn write(
        self,
        file: File,
        slot: Option<Arc<Slot>>,
        end: impl FnOnce(&File, Option<&str>) -> S3Result<()> + Send + 'static,
    ) -> S3Result<(u64, Option<String>)> {
        let (mut piece, mut open) = (Vec::new(), Open { file, slot, sums: self.sums.start() });
        let mut reader = Reader { stream: self.stream, length: self.length, size: 0 };
        while let Some(next) = reader.next().await? {
            piece.extend_from_slice(&next);
            if piece.len() >= PIECE {
                (open, piece) = blocking(move || open.write(piece)).await?;
            }
        }
        let sum = blocking(move || open.write(piece)?.0.end(end)).await?;
        Ok((reader.size, sum))
    }

    /// True where it is kept in memory until it is whole, and then becomes an object in one step.
    pub(super) fn is_small(&self) -> bool {
        self.length.and_then(|length| usize::try_from(length).ok()).is_some_and(|length| length <= PIECE)
    }

    /// Reads all of a small one.
    pub(super) async fn read(self) -> S3Result<Small> {
        let mut content = Vec::new();
        let mut reader = Reader { stream: self.stream, length: self.length, size: 0 };
        while let Some(next) = reader.next().await? {
            content.extend_from_slice(&next);
        }
        Ok(Small { content, sums: self.sums })
    }
}

/// All of a body.
#[derive(Debug)]
pub(super) struct Small {
    content: Vec<u8>,
    sums: Expected,
}

impl Small {
    /// Its draft, on the disk with its SHA-256, and its bytes. It blocks.
    pub(super) fn draft(self, folder: &Path) -> S3Result<(Draft, u64)> {
        let size = self.content.len() as u64;
        let (draft, file) = Draft::create(folder)?;
        Open { file, slot: None, sums: self.sums.start() }.write(self.content)?.0.end(keep_sum)?;
        Ok((draft, size))
    }
}

fn keep_sum(file: &File, sum: Option<&str>) -> S3Result<()> {
    sum.map_or(Ok(()), |sum| checksums::keep(file, Some(sum)).map_err(storage))
}

/// Reads a body that has as many bytes as its header says.
struct Reader<S> {
    stream: Option<S>,
    length: Option<i64>,
    size: u64,
}

impl<S> Reader<S>
where
    S: Stream<Item = Result<Bytes, StdError>> + Unpin,
{
    async fn next(&mut self) -> S3Result<Option<Bytes>> {
        let next = match &mut self.stream {
            Some(stream) => stream.next().await.transpose(),
            None => Ok(None),
        };
        let next = next.map_err(|error| s3_error!(IncompleteBody, "the body ended early: {error}"))?;
        self.size = self.size.saturating_add(next.as_ref().map_or(0, |next| next.len() as u64));
        let Some(length) = self.length else { return Ok(next) };
        // Behind a part's place is another part's.
        let is_too_long = i64::try_from(self.size).map_or(true, |size| size > length);
        if is_too_long || (next.is_none() && u64::try_from(length) != Ok(self.size)) {
            let size = self.size;
            return Err(s3_error!(IncompleteBody, "the body has {size} bytes, not as many as its header says"));
        }
        Ok(next)
    }
}

/// A file that is written to.
struct Open {
    file: File,
    /// The place that it is written to: kept while a piece is written, also if nobody waits for that any more.
    slot: Option<Arc<Slot>>,
    /// Of what was written.
    sums: Sums,
}

impl Open {
    /// Writes a piece, and gives its room back.
    fn write(mut self, mut piece: Vec<u8>) -> S3Result<(Self, Vec<u8>)> {
        self.sums.update(&piece);
        let entered = self.slot.as_ref().map(|slot| slot.enter()).transpose()?;
        self.file.write_all(&piece).map_err(storage)?;
        drop(entered);
        piece.clear();
        Ok((self, piece))
    }

    /// Checks the sums, and puts on the disk what is kept of them with the content.
    fn end(self, end: impl FnOnce(&File, Option<&str>) -> S3Result<()>) -> S3Result<Option<String>> {
        let sum = self.sums.check()?;
        end(&self.file, sum.as_deref())?;
        // By the file that it was written through: another one would not hear of its errors.
        self.file.sync_all().map_err(storage)?;
        Ok(sum)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> S3Result<T> + Send + 'static) -> S3Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| s3_error!(error, InternalError))?
}
