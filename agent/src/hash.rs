//! Hashing while bytes pass by.

use seatrial_core::contract::Digest;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;

use crate::error::AgentError;
use crate::folder::OutputFolder;

/// How much of a file is read at once.
const CHUNK: usize = 1 << 20;

/// The SHA-256 of a file of the user's, and its size.
pub(crate) async fn of_output(folder: &OutputFolder, name: &str) -> Result<(Digest, u64), AgentError> {
    let mut file = tokio::fs::File::from_std(folder.file(name)?);
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer).await.map_err(|error| folder.unreadable(name, &error))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        size = size.saturating_add(bytes.len() as u64);
    }
    Ok((Digest::of_hasher(hasher), size))
}
