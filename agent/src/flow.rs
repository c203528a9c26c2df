//! Bounds how much is transferred at once: all transfers of a pod together hold a bounded number of bytes in memory, however
//! many files there are and however large they are.

use tokio::sync::{Semaphore, SemaphorePermit};

const MIB: u64 = 1 << 20;
/// What is in memory of all transfers together, in bytes: so much of the largest part must fit in it.
pub(crate) const MEMORY: u64 = 96 * MIB;
/// What a connection is taken to hold of what it brings: a piece that is written, one that arrives, and the buffers of
/// the libraries between.
const STREAM: u64 = 4 * MIB;
/// How finely memory is counted, in bytes. The smallest file counts for so much.
const GRAIN: u64 = 256 * 1024;
/// How many files are under way at once. Small ones take most of their time to wait for an answer.
pub(crate) const FILES: usize = 64;
/// How many parts of one file are under way at once.
pub(crate) const PARTS: usize = 16;

/// The budget of a pod's transfers.
#[derive(Debug)]
pub(crate) struct Flow {
    memory: Semaphore,
    files: Semaphore,
}

/// What is given back when this is dropped.
pub(crate) type Share<'a> = Option<SemaphorePermit<'a>>;

impl Flow {
    pub(crate) fn new() -> Self {
        let grains = usize::try_from(MEMORY / GRAIN).unwrap_or_default();
        Self { memory: Semaphore::new(grains), files: Semaphore::new(FILES) }
    }

    /// Waits until one more file may be begun.
    pub(crate) async fn file(&self) -> Share<'_> {
        self.files.acquire().await.ok()
    }

    /// Waits until so many bytes may be held in memory.
    pub(crate) async fn hold(&self, bytes: u64) -> Share<'_> {
        let grains = bytes.clamp(1, MEMORY).div_ceil(GRAIN);
        self.memory.acquire_many(u32::try_from(grains).unwrap_or_default()).await.ok()
    }

    /// Waits until so many bytes may be received that pass through memory in pieces.
    pub(crate) async fn receive(&self, bytes: Option<u64>) -> Share<'_> {
        self.hold(bytes.unwrap_or(STREAM).min(STREAM)).await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_held_at_once_is_bounded() {
        let flow = Flow::new();
        let whole = flow.hold(u64::MAX).await;
        assert!(flow.hold(1).now_or_never().is_none());
        drop(whole);
        let streams: Vec<_> = std::iter::from_fn(|| flow.receive(Some(u64::MAX)).now_or_never()).collect();
        assert_eq!(streams.len() as u64, MEMORY / STREAM);
        let files: Vec<_> = std::iter::from_fn(|| flow.file().now_or_never()).collect();
        assert_eq!(files.len(), FILES);
    }
}
