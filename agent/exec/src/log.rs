//! The copy of what the command prints: a bounded log in files, written by a thread of its own.
//!
//! The log never delays the command: where the disk is full or slow, pieces of the copy are left out and counted.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time::Moment;

/// The names of the segments, oldest first: the head, and two that rotate.
pub(crate) const HEAD: &str = "head";
const OLDER_TAIL: &str = "tail.1";
const TAIL: &str = "tail";
/// The sizes that they stay within, in bytes.
const HEAD_BYTES: u64 = 8 << 20;
const TAIL_BYTES: u64 = 4 << 20;
/// How much output may wait for the disk, in bytes.
const QUEUE_BYTES: usize = 1 << 20;
/// How long a disk that cannot keep up may hold the command up, once.
const PATIENCE: Duration = Duration::from_millis(250);

/// A piece of output on its way to the disk.
enum Piece {
    Output(&'static str, Moment, Vec<u8>),
    /// So many bytes that found no room.
    Lost(u64),
}

impl Piece {
    fn bytes(&self) -> u64 {
        match self {
            Self::Output(_, _, bytes) => bytes.len() as u64,
            Self::Lost(bytes) => *bytes,
        }
    }
}

#[derive(Default)]
struct Waiting {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// What is being written just now, in bytes.
    writing: u64,
    /// The disk did not keep up; until it has, nothing waits for it.
    slow: bool,
    closed: bool,
    written: bool,
}

/// Output that waits for the disk.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    dropped: AtomicU64,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece of output of a stream.
    pub(crate) fn push(&self, stream: &'static str, bytes: &[u8]) {
        let mut waiting = self.lock();
        let is_full = |waiting: &Waiting| !waiting.closed && waiting.bytes + bytes.len() > QUEUE_BYTES;
        if is_full(&waiting) && !waiting.slow {
            let waited = self.changed.wait_timeout_while(waiting, PATIENCE, |waiting| is_full(waiting));
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            waiting.slow = is_full(&waiting);
        }
        if waiting.closed {
            return;
        }
        if is_full(&waiting) {
            let more = bytes.len() as u64;
            match waiting.pieces.back_mut() {
                Some(Piece::Lost(bytes)) => *bytes += more,
                _ => waiting.pieces.push_back(Piece::Lost(more)),
            }
        } else {
            waiting.bytes += bytes.len();
            waiting.pieces.push_back(Piece::Output(stream, Moment::now(), bytes.to_vec()));
        }
        self.changed.notify_all();
    }

    /// Writes to the folder what is pushed, until [`Self::close`].
    pub(crate) fn write_to(&self, folder: &Path) {
        let mut log = Log::new(folder);
        loop {
            let mut waiting = self.lock();
            waiting.writing = 0;
            let Some(piece) = waiting.pieces.pop_front() else {
                waiting.slow = false;
                if waiting.closed {
                    waiting.written = true;
                    self.changed.notify_all();
                    return;
                }
                drop(self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner));
                continue;
            };
            waiting.writing = piece.bytes();
            if let Piece::Output(_, _, bytes) = &piece {
                waiting.bytes -= bytes.len();
            }
            self.changed.notify_all();
            drop(waiting);
            match piece {
                Piece::Output(stream, time, bytes) => log.write(stream, time, &bytes),
                Piece::Lost(bytes) => log.lose(bytes),
            }
            self.dropped.store(log.dropped, Ordering::Relaxed);
        }
    }

    /// Takes no more, waits so long for what is left to be written, and returns how many bytes are missing for a disk
    /// that was full or slow.
    pub(crate) fn close(&self, patience: Duration) -> u64 {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(waiting, patience, |waiting| !waiting.written);
        let waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        let left: u64 = waiting.pieces.iter().map(Piece::bytes).sum();
        self.dropped.load(Ordering::Relaxed) + waiting.writing + left
    }
}

/// The files.
struct Log {
    folder: PathBuf,
    /// The segment that is written to, and its size.
    segment: Option<(File, u64)>,
    name: &'static str,
    /// How many bytes were printed so far.
    position: u64,
    /// Whether what comes next follows what is written.
    is_contiguous: bool,
    dropped: u64,
}

impl Log {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), segment: None, name: HEAD, position: 0, is_contiguous: false, dropped: 0 }
    }

    fn lose(&mut self, bytes: u64) {
        self.position += bytes;
        self.dropped += bytes;
        self.is_contiguous = false;
    }

    fn write(&mut self, stream: &str, time: Moment, bytes: &[u8]) {
        if self.try_to_write(stream, time, bytes).is_err() {
            self.lose(bytes.len() as u64);
        } else {
            self.position += bytes.len() as u64;
            self.is_contiguous = true;
        }
    }

    fn try_to_write(&mut self, stream: &str, time: Moment, bytes: &[u8]) -> io::Result<()> {
        let mut lines = Vec::with_capacity(bytes.len() + 64);
        let start = format!("{time} {stream} ");
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (tag, text) = line.strip_suffix(b"\n").map_or((b"P ", line), |text| (b"F ", text));
            lines.extend_from_slice(start.as_bytes());
            lines.extend_from_slice(tag);
            lines.extend_from_slice(text);
            lines.push(b'\n');
        }
        let limit = if self.name == HEAD { HEAD_BYTES } else { TAIL_BYTES };
        if self.segment.as_ref().is_some_and(|(_, size)| size + lines.len() as u64 > limit) {
            if self.name == TAIL {
                fs::rename(self.folder.join(TAIL), self.folder.join(OLDER_TAIL))?;
            }
            (self.segment, self.name, self.is_contiguous) = (None, TAIL, false);
        }
        if !self.is_contiguous {
            let place = format!("{time} exec F {}\n", self.position);
            lines.splice(0..0, place.into_bytes());
        }
        let (file, size) = match &mut self.segment {
            Some(segment) => segment,
            None => self.segment.insert((File::create(self.folder.join(self.name))?, 0)),
        };
        if let Err(error) = file.write_all(&lines) {
            // No half line stays: the next one would be a part of it.
            file.set_len(*size)?;
            io::Seek::seek(file, io::SeekFrom::Start(*size))?;
            return Err(error);
        }
        *size += lines.len() as u64;
        Ok(())
    }
}
