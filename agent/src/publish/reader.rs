//! Files of an output that are uploaded in parts.

use std::fs;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use seatrial_core::contract::{Digest, ExitCode, Hasher};

use crate::error::AgentError;
use crate::hash::blocking;
use crate::publish::buffers::Buffers;
use crate::publish::folder::OutputFolder;

/// One file of an output.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) folder: Arc<OutputFolder>,
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Reads a file of the user's in pieces. What is sent is hashed again: a file that changes meanwhile would otherwise be
/// kept under a name that it does not deserve.
pub(crate) struct Reader {
    file: File,
    buffers: Buffers,
    reader: fs::File,
    hasher: Hasher,
}

impl Reader {
    pub(crate) async fn open(file: &File, buffers: &Buffers) -> Result<Self, AgentError> {
        let (file, buffers) = (file.clone(), buffers.clone());
        blocking(move || {
            let reader = file.folder.file(&file.name)?;
            Ok(Self { file, buffers, reader, hasher: Hasher::new() })
        })
        .await
    }

    /// The next piece; empty at the end.
    pub(crate) async fn next(mut self, limit: u64) -> Result<(Self, Bytes), AgentError> {
        blocking(move || {
            let mut piece = self.buffers.take(usize::try_from(limit).unwrap_or_default());
            let read = (&mut self.reader).take(limit).read_to_end(&mut piece);
            read.map_err(|error| self.file.folder.unreadable(&self.file.name, &error))?;
            self.hasher.update(&piece);
            let piece = self.buffers.content(piece);
            Ok((self, piece))
        })
        .await
    }

    /// Compares what was read with what was read before.
    pub(crate) fn check(self) -> Result<(), AgentError> {
        if self.hasher.digest() == self.file.digest { Ok(()) } else { Err(self.file.changed()) }
    }
}

impl File {
    /// The error of one that somebody still writes to.
    pub(crate) fn changed(&self) -> AgentError {
        changed(&self.folder, &self.name)
    }
}

/// The error of a file that somebody still writes to.
pub(crate) fn changed(folder: &OutputFolder, name: &str) -> AgentError {
    let path = folder.path().join(name);
    let message =
        format!("{} changed while it was uploaded: no process may write after the command ended", path.display());
    AgentError::new(ExitCode::BadOutput, message)
}
