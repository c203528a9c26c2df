//! Ends what the command left running.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

/// How long processes may take to die of SIGKILL. Only one that hangs in the kernel, or belongs to a user whom we may
/// not signal, takes longer; it ends with process 1, a moment after the lock falls.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they are gone.
const LOOK: Duration = Duration::from_millis(5);

/// Kills every other process of the container and waits until none is left. Where we are not its process 1, what runs
/// beside us is not ours to kill.
pub(crate) fn end() {
    if getpid() != Pid::from_raw(1) {
        return;
    }
    let everyone = Pid::from_raw(-1);
    let deadline = Instant::now() + PATIENCE;
    // Again and again: a process may have started another between two looks.
    while kill(everyone, Signal::SIGKILL) != Err(Errno::ESRCH) && Instant::now() < deadline {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
        sleep(LOOK);
    }
}
