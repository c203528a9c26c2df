//! Starts the command with the signal mask of a new process: no signal is blocked, none ignored.
//!
//! The standard library is not used for it: its children inherit the signals that their parent blocks, so that the command
//! would never receive SIGTERM.

use std::ffi::{CString, OsString};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

use crate::exit::End;
use crate::output::Ends;

/// Starts it, printing to these ends; the end that is recorded where that fails. Why it fails is printed there, too.
pub(crate) fn start(command: &[OsString], mut ends: Ends) -> Result<Pid, End> {
    let Some(program) = command.first() else {
        let _ = writeln!(ends.stderr, "exec: there is no command: set the step's command");
        return Err(End::NOT_FOUND);
    };
    spawn(command, &ends).map_err(|error| {
        let _ = writeln!(ends.stderr, "exec: {} cannot be started: {error}", program.display());
        match error {
            Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ENOEXEC | Errno::EINVAL => End::NOT_FOUND,
            _ => End::FAILED,
        }
    })
}

fn spawn(command: &[OsString], ends: &Ends) -> nix::Result<Pid> {
    let text = |text: OsString| CString::new(text.into_vec()).map_err(|_| Errno::EINVAL);
    let words = command.iter().cloned().map(text).collect::<Result<Vec<_>, _>>()?;
    let variables = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        text(name)
    });
    let variables = variables.collect::<Result<Vec<_>, _>>()?;
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_sigmask(&SigSet::empty())?;
    // The Rust runtime ignores it, which a child inherits.
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    let program = words.first().ok_or(Errno::ENOENT)?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(ends.stdout.as_raw_fd(), libc::STDOUT_FILENO)?;
    files.add_dup2(ends.stderr.as_raw_fd(), libc::STDERR_FILENO)?;
    posix_spawnp(program, &files, &attributes, &words, &variables)
}
