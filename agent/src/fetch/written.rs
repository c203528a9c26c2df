//! A file of an input that is written from its beginning on, and hashed on the way.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use seatrial_core::contract::{Digest, Hasher};

use crate::error::AgentError;
use crate::hash::blocking;
use crate::pod::volume::set_mode;

/// How much is written at once, in bytes. A file that is not larger takes one turn of a thread.
const PIECE: usize = 1 << 20;

/// The file, made with its first piece.
#[derive(Debug)]
pub(crate) struct Written {
    path: PathBuf,
    file: Option<File>,
    hasher: Hasher,
    piece: Vec<u8>,
    /// The bytes that were given to it.
    pub(crate) done: u64,
}

impl Written {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, hasher: Hasher::new(), piece: vec![], done: 0 }
    }

    /// Takes what comes next.
    pub(crate) async fn push(mut self, bytes: &[u8]) -> Result<Self, AgentError> {
        self.piece.extend_from_slice(bytes);
        self.done = self.done.saturating_add(bytes.len() as u64);
        if self.piece.len() < PIECE { Ok(self) } else { blocking(move || self.settle()).await }
    }

    /// Ends it.
    pub(crate) async fn end(self) -> Result<(Digest, u64), AgentError> {
        let whole = blocking(move || {
            let whole = self.settle()?;
            set_mode(&whole.path, 0o644).map_err(|error| AgentError::writing(&whole.path, &error))?;
            Ok(whole)
        });
        let whole = whole.await?;
        Ok((whole.hasher.digest(), whole.done))
    }

    fn settle(mut self) -> Result<Self, AgentError> {
        let writing = |error| AgentError::writing(&self.path, &error);
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::create(&self.path).map_err(writing)?),
        };
        file.write_all(&self.piece).map_err(writing)?;
        self.hasher.update(&self.piece);
        self.piece.clear();
        Ok(self)
    }
}
