//! What the command prints: forwarded to the container's own streams first, then kept.
//!
//! The command writes to pipes, as it does in any container. Only a terminal that reads slowly holds it up. One that
//! went away does not end it: its output is still read, and kept.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::log::Queue;
use crate::message::Tail;

/// How much is read at once, in bytes: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// The stack of a thread, in bytes.
const STACK: usize = 64 << 10;
/// How long after the command's end its output is waited for: a process that holds the pipe must not hold us.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a terminal that does not block is left alone when it takes nothing.
const AGAIN: Duration = Duration::from_millis(1);

/// The ends of the pipes that the command writes to.
pub(crate) struct Ends {
    pub(crate) stdout: PipeWriter,
    pub(crate) stderr: PipeWriter,
}

/// The other ends, read until the command and all that it started have closed theirs.
pub(crate) struct Output {
    queue: Arc<Queue>,
    tails: [Arc<Mutex<Tail>>; 2],
    done: Receiver<()>,
}

impl Output {
    /// Begins to read. `logs` is the folder of the log, `longest_secret` the bytes that the longest secret has.
    pub(crate) fn open(logs: &Path, longest_secret: usize) -> io::Result<(Self, Ends)> {
        let queue = Arc::new(Queue::default());
        let tail = || Arc::new(Mutex::new(Tail::new(longest_secret)));
        let tails = [tail(), tail()];
        let [of_stdout, of_stderr] = &tails;
        let (say_done, done) = channel();
        let (copies, folder) = (Arc::clone(&queue), logs.to_path_buf());
        // A folder that cannot be made is a log that is dropped, and said so.
        let _ = std::fs::create_dir(logs);
        Builder::new().stack_size(STACK).spawn(move || copies.write_to(&folder))?;
        let read = |stream: &'static str, to: BorrowedFd<'_>, tail: &Arc<Mutex<Tail>>| -> io::Result<PipeWriter> {
            let (reader, writer) = io::pipe()?;
            let terminal = File::from(to.try_clone_to_owned()?);
            let (queue, tail, say_done) = (Arc::clone(&queue), Arc::clone(tail), say_done.clone());
            Builder::new().stack_size(STACK).spawn(move || {
                forward(reader, terminal, |bytes| {
                    tail.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
                    queue.push(stream, bytes);
                });
                let _ = say_done.send(());
            })?;
            Ok(writer)
        };
        let ends = Ends {
            stdout: read("stdout", io::stdout().as_fd(), of_stdout)?,
            stderr: read("stderr", io::stderr().as_fd(), of_stderr)?,
        };
        Ok((Self { queue, tails, done }, ends))
    }

    /// Waits for the rest, for a second at most. Returns the last that was printed to either stream, and how many bytes
    /// are missing in the log for a disk that was full or slow.
    pub(crate) fn drain(self) -> ([String; 2], u64) {
        let deadline = Instant::now() + DRAIN;
        let left = || deadline.saturating_duration_since(Instant::now());
        for _ in 0..2 {
            let _ = self.done.recv_timeout(left());
        }
        let dropped = self.queue.close(left());
        let last = self.tails.map(|tail| tail.lock().unwrap_or_else(PoisonError::into_inner).text());
        (last, dropped)
    }
}

fn forward(mut reader: PipeReader, terminal: File, mut keep: impl FnMut(&[u8])) {
    let mut terminal = Some(terminal);
    let mut chunk = vec![0; CHUNK];
    loop {
        let bytes = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => chunk.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if terminal.as_mut().is_some_and(|open| write_all(open, bytes).is_err()) {
            terminal = None;
        }
        keep(bytes);
    }
}

fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
