//! Kills processes that the command left running.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use rustix::process::{self, WaitOptions};

/// How long processes may take to die of SIGKILL. Only one that hangs in the kernel, or belongs to a user whom we may
/// not signal, takes longer; where we are process 1 it ends with us, a moment after the lock falls.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they are gone.
const LOOK: Duration = Duration::from_millis(5);

/// Lets every descendant whose parent ends fall to us, as if we were the container's process 1. With a shared process
/// namespace we are not.
pub(crate) fn adopt() {
    let _ = process::set_child_subreaper(process::Pid::from_raw(1));
}

/// Kills every descendant and waits until none is left. What is not a descendant of ours is left alone, unless the
/// whole container is ours.
pub(crate) fn end() {
    let deadline = Instant::now() + PATIENCE;
    // Repeated: a process may have started another one between two looks, and orphans become our children.
    while Instant::now() < deadline {
        if getpid() == Pid::from_raw(1) {
            if kill(Pid::from_raw(-1), Signal::SIGKILL) == Err(Errno::ESRCH) {
                return;
            }
        } else {
            // Children alone: their ids are not given to another process before we have reaped them.
            for child in children() {
                let _ = kill(child, Signal::SIGKILL);
            }
        }
        loop {
            match process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        sleep(LOOK);
    }
}

/// Our children that run, or have ended and are not reaped yet.
fn children() -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return vec![] };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(getpid().as_raw())).map(Pid::from_raw).collect()
}

/// The parent of a process: the second word behind its name, which may hold anything.
fn parent(id: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{id}/stat")).ok()?;
    let behind_name = stat.rsplit(|byte| *byte == b')').next()?;
    std::str::from_utf8(behind_name).ok()?.split_whitespace().nth(1)?.parse().ok()
}
