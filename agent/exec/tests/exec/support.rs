//! The real program against a folder as it is in a pod.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial_core::contract::{Exit, ExitReason};
use tempfile::TempDir;

/// What `fetch` prepares.
pub(crate) fn volume() -> TempDir {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("state")).unwrap();
    fs::create_dir_all(root.path().join("outputs/model")).unwrap();
    File::create(root.path().join("state/lock")).unwrap();
    root
}

pub(crate) fn command(root: &Path, line: &[&str]) -> Command {
    with(root, &[], line)
}

/// With arguments of its own.
pub(crate) fn with(root: &Path, arguments: &[&str], line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial-exec"));
    command.arg("--root").arg(root).args(arguments).arg("--").args(line);
    command
}

pub(crate) fn shell(root: &Path, script: &str) -> Command {
    command(root, &["sh", "-c", script])
}

pub(crate) fn code(mut command: Command) -> i32 {
    command.stderr(Stdio::null()).status().unwrap().code().unwrap()
}

pub(crate) fn record(root: &Path) -> Option<Exit> {
    Some(serde_json::from_slice(&fs::read(root.join("state/exit")).ok()?).unwrap())
}

/// The code, signal and reason on record.
pub(crate) fn end(root: &Path) -> (u8, Option<u8>, ExitReason) {
    let exit = record(root).unwrap();
    (exit.code, exit.signal, exit.reason)
}

pub(crate) fn wait_until(what: &str, mut question: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !question() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

pub(crate) fn is_locked(root: &Path) -> bool {
    let file = File::options().read(true).write(true).open(root.join("state/lock")).unwrap();
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
}
