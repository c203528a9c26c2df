//! Makes one file of the parts of an upload, so that a crash in the middle harms nothing.
//!
//! ```text
//! <upload>/plan       which parts, in which order, of which size: written before anything is changed, and never changed
//! <upload>/whole      parts in their places, and those that were copied to theirs
//! <upload>/copied     how many of the parts that were not in their place the whole holds, on the disk
//! <upload>/part-N     removed once it is counted there
//! <upload>/gathered   instead of the whole where its places are wrong: a copy of all parts, once it is complete
//! ```
//!
//! Parts that came to their place are not touched. Whoever goes on after a crash keeps what is certain and copies the
//! others again. What does not add up is given up: the client is told that there is no such upload, and sends it anew.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::checksums::{self, composite};
use super::parts::{self, part_file, whole_file};
use super::plan::{Plan, Planned, keep};
use super::volume::is_full;
use crate::durable::sync;

/// How much is copied before it is put on the disk and its parts are removed, in bytes: the room that a join needs
/// beside the parts.
const STEP: u64 = 64 << 20;

/// All parts in one file, on the disk.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) file: PathBuf,
    pub(super) size: u64,
    /// How many bytes were copied for it.
    pub(super) copied: u64,
}

/// Why there is no whole.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may be tried again.
    Storage(io::Error),
    /// The folder holds something else than the plan says: it was completed, or its disk lost something.
    Lost,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

/// What must be there, since the plan says so.
fn expected<T>(found: io::Result<T>) -> Result<T, Failure> {
    found.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Lost,
        _ => Failure::Storage(error),
    })
}

impl Plan {
    /// Puts the parts together, or goes on with it.
    pub(super) fn join(&self, upload: &Path) -> Result<Joined, Failure> {
        let path = self.file(upload);
        let (file, copied) = if self.is_in_place() { self.complete(upload)? } else { self.gather(upload, &path)? };
        // A file that is an object already, since a crash came, keeps its time.
        if file.metadata()?.len() != self.size() {
            file.set_len(self.size())?;
        }
        checksums::keep(&file, composite(self.parts.iter().map(|part| part.sum.as_deref())).as_deref())?;
        file.sync_all()?;
        sync(upload)?;
        Ok(Joined { file: path, size: self.size(), copied })
    }

    /// Copies to the whole what came to no place in it.
    fn complete(&self, upload: &Path) -> Result<(File, u64), Failure> {
        let file = expected(File::options().read(true).write(true).open(whole_file(upload)))?;
        let length = file.metadata()?.len();
        let held = match fs::read_to_string(upload.join("copied")) {
            Ok(text) => text.parse().map_err(|_| Failure::Lost)?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0_usize,
            Err(error) => return Err(error.into()),
        };
        let mut copy = Copy { file, upload, held, open: vec![], copied: 0 };
        let mut before = 0_usize;
        for (part, start) in self.placed() {
            let is_there = part.offset.is_some() || before < held;
            if is_there && length < start.saturating_add(part.size) {
                return Err(Failure::Lost);
            }
            if !is_there {
                copy.add(part, start)?;
            }
            before = before.saturating_add(usize::from(part.offset.is_none()));
        }
        Ok((copy.file, copy.copied))
    }

    /// Copies all parts, from wherever they are, unless that was done. They stay until the upload ends.
    fn gather(&self, upload: &Path, path: &Path) -> Result<(File, u64), Failure> {
        match File::options().write(true).open(path) {
            // It may be an object already, which is never changed.
            Ok(file) => return Ok((file, 0)),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Err(_) => {}
        }
        let mut whole = expected(File::open(whole_file(upload)))?;
        let draft = upload.join("gathered.new");
        let mut file = File::create(&draft)?;
        for part in &self.parts {
            let copied = match part.offset {
                Some(offset) => {
                    whole.seek(SeekFrom::Start(offset))?;
                    io::copy(&mut whole.by_ref().take(part.size), &mut file)?
                }
                None => io::copy(&mut expected(File::open(part_file(upload, part.number)))?, &mut file)?,
            };
            if copied != part.size {
                return Err(Failure::Lost);
            }
        }
        file.sync_all()?;
        fs::rename(draft, path)?;
        Ok((file, self.size()))
    }
}

/// Copies parts to their places.
struct Copy<'a> {
    file: File,
    upload: &'a Path,
    /// How many parts the whole holds, on the disk.
    held: usize,
    /// The parts whose bytes may not be on the disk yet.
    open: Vec<&'a Planned>,
    copied: u64,
}

impl<'a> Copy<'a> {
    fn add(&mut self, part: &'a Planned, start: u64) -> Result<(), Failure> {
        match self.copy(part, start) {
            // Parts that it holds already make room.
            Err(Failure::Storage(error)) if is_full(&error) && !self.open.is_empty() => {
                // What was copied of this one takes room that the rest needs.
                parts::clear(&self.file, start, part.size);
                self.settle()?;
                self.copy(part, start)?;
            }
            other => other?,
        }
        self.copied = self.copied.saturating_add(part.size);
        self.open.push(part);
        if self.open.iter().map(|part| part.size).sum::<u64>() >= STEP {
            self.settle()?;
        }
        Ok(())
    }

    fn copy(&mut self, part: &Planned, start: u64) -> Result<(), Failure> {
        let mut source = expected(File::open(part_file(self.upload, part.number)))?;
        if source.metadata()?.len() != part.size {
            return Err(Failure::Lost);
        }
        self.file.seek(SeekFrom::Start(start))?;
        // The kernel copies, without a way through this process.
        let copied = io::copy(&mut source, &mut self.file)?;
        if copied == part.size { Ok(()) } else { Err(Failure::Lost) }
    }

    /// Puts on the disk what was copied, says so there, and removes the parts.
    fn settle(&mut self) -> Result<(), Failure> {
        self.file.sync_all()?;
        self.held = self.held.saturating_add(self.open.len());
        keep(self.upload, "copied", self.held.to_string().as_bytes())?;
        for part in self.open.drain(..) {
            fs::remove_file(part_file(self.upload, part.number))?;
        }
        Ok(())
    }
}
