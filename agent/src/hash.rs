//! Hashing while bytes pass by.

use std::path::Path;

use seatrial_core::contract::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;

use crate::error::AgentError;
use crate::folder;

/// How much of a file is read at once.
pub(crate) const CHUNK: usize = 1 << 20;

/// The SHA-256 of a file of the user's, and its size.
pub(crate) async fn of_output(path: &Path) -> Result<(Digest, u64), AgentError> {
    let mut file = folder::open_output(path).await?;
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer).await.map_err(|error| AgentError::reading_output(path, &error))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        size = size.saturating_add(bytes.len() as u64);
    }
    Ok((Digest::of_hasher(hasher), size))
}
