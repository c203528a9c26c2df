//! Lock, start, forward, reap, record.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, alarm};

use crate::start::start;
use crate::{leftovers, outputs};

/// Told to stop, and stopped the command.
pub(crate) const STOPPED: u8 = 241;
/// The command does not exist or is no program.
pub(crate) const COMMAND_NOT_FOUND: u8 = 242;
/// Could not lock, record or start.
pub(crate) const EXEC_FAILED: u8 = 243;
/// What is added to the number of the signal that killed a command, as shells do.
const KILLED: i32 = 128;

/// The signals that are passed on to the command.
const FORWARDED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// One run of one command.
pub(crate) struct Supervisor {
    root: PathBuf,
    /// How long the command may take to end after it was told to, in seconds.
    grace: u32,
}

impl Supervisor {
    /// With the pod's shared volume at `root`.
    pub(crate) fn new(root: PathBuf, grace: u32) -> Self {
        Self { root, grace }
    }

    /// Runs the command and returns the exit code for the container.
    pub(crate) fn run(&self, command: &[OsString]) -> u8 {
        // From here on signals wait until they are asked for, so that none is lost before the loop: process 1 does not
        // even die of a SIGTERM that comes too early. The command begins with none held back.
        let mut signals: SigSet = FORWARDED.into_iter().collect();
        signals.add(Signal::SIGCHLD);
        signals.add(Signal::SIGALRM);
        if let Err(error) = signals.thread_block() {
            return fail("signals cannot be held back", &error.into());
        }
        let state = self.root.join("state");
        // The kubelet starts a container again after a crash of the node: what is done stays done.
        if let Some(code) = recorded(&state) {
            return code;
        }
        let lock = match lock(&state.join("lock")) {
            Ok(lock) => lock,
            Err(error) => return fail("the lock cannot be taken", &error),
        };
        if let Err(error) = File::create(state.join("started")) {
            return fail("the start cannot be recorded", &error);
        }
        let code = start(command).map_or_else(|code| code, |child| self.wait(child, &signals));
        // Whatever still runs could write to the outputs while they are made readable, recorded and uploaded.
        leftovers::end();
        outputs::make_readable(&self.root.join("outputs"));
        if let Err(error) = record(&state, code) {
            return fail("the end cannot be recorded", &error);
        }
        drop(lock);
        code
    }

    /// Forwards signals until the command has ended, and reaps every other process that falls to us as process 1. A
    /// command that was told to stop and does not is killed in time for its end to be recorded: after 30 seconds
    /// Kubernetes would kill all, and a deleted pod would look like a failed command.
    fn wait(&self, child: Pid, signals: &SigSet) -> u8 {
        let mut told_to_stop = false;
        loop {
            match signals.wait() {
                Ok(Signal::SIGCHLD) => {
                    if let Some(code) = reap(child) {
                        alarm::cancel();
                        // A command that ends well after it was told to stop did not finish its work.
                        return if told_to_stop { STOPPED } else { code };
                    }
                }
                Ok(Signal::SIGALRM) => {
                    let _ = kill(child, Signal::SIGKILL);
                }
                Ok(signal) => {
                    if matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT) && !told_to_stop {
                        told_to_stop = true;
                        alarm::set(self.grace);
                    }
                    let _ = kill(child, signal);
                }
                Err(_) => {}
            }
        }
    }
}

fn fail(what: &str, error: &io::Error) -> u8 {
    eprintln!("exec: {what}: {error}");
    EXEC_FAILED
}

/// The code of a command that ended before.
fn recorded(state: &Path) -> Option<u8> {
    fs::read_to_string(state.join("exit")).ok()?.trim().parse().ok()
}

/// Takes the lock without waiting: nobody else holds it before the start is recorded.
fn lock(path: &Path) -> io::Result<Flock<File>> {
    let file = File::options().read(true).write(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}

/// Writes the code under another name first: whoever sees the record sees all of it.
fn record(state: &Path, code: u8) -> io::Result<()> {
    let draft = state.join("exit.new");
    fs::write(&draft, code.to_string())?;
    fs::rename(draft, state.join("exit"))
}

/// The command's code, if it is among the processes that ended.
fn reap(child: Pid) -> Option<u8> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => ended = u8::try_from(code & 0xff).ok(),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                ended = u8::try_from(KILLED + signal as i32).ok();
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return ended,
            Ok(_) => {}
        }
    }
}
