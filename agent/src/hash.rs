//! Hashes files, and runs blocking work on threads of its own, so that transfers go on meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use seatrial_core::contract::{Digest, Hasher};

use crate::error::AgentError;

/// How much of a file is read at once.
const CHUNK: usize = 1 << 20;

/// Runs blocking work on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentError> + Send + 'static,
) -> Result<T, AgentError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| AgentError::internal(format!("a thread did not end well: {error}")))?
}

/// The SHA-256 of a file from its current position to its end, and the number of these bytes.
pub(crate) fn of_file(mut file: &File) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut size) = (Hasher::new(), 0_u64);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        size = size.saturating_add(bytes.len() as u64);
    }
    Ok((hasher.digest(), size))
}

/// Hashes a range of a file. The file must be long enough.
pub(crate) fn range(file: &File, range: Range<u64>, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = range.start;
    while at < range.end {
        let length = usize::try_from(range.end - at).unwrap_or(CHUNK).min(CHUNK);
        let Some(piece) = buffer.get_mut(..length) else { break };
        file.read_exact_at(piece, at)?;
        hasher.update(piece);
        at = at.saturating_add(length as u64);
    }
    Ok(())
}
