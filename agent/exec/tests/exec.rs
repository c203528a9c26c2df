//! The real program against a folder as it is in a pod.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial_core::contract::{ExitCode, paths};
use tempfile::TempDir;

/// What `fetch` prepares.
fn volume() -> TempDir {
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("state")).unwrap();
    fs::create_dir_all(root.path().join("outputs/model")).unwrap();
    File::create(root.path().join("state/lock")).unwrap();
    root
}

fn command(root: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial-exec"));
    command.arg("--root").arg(root).arg("--").args(line);
    command
}

fn shell(root: &Path, script: &str) -> Command {
    command(root, &["sh", "-c", script])
}

fn code(mut command: Command) -> i32 {
    command.stderr(Stdio::null()).status().unwrap().code().unwrap()
}

fn record(root: &Path) -> Option<String> {
    fs::read_to_string(root.join("state/exit")).ok()
}

fn wait_until(what: &str, mut question: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !question() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

fn is_locked(root: &Path) -> bool {
    let file = File::options().read(true).write(true).open(root.join("state/lock")).unwrap();
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
}

#[test]
fn the_commands_code_is_recorded_and_passed_on() {
    for (script, expected) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)] {
        let root = volume();
        assert_eq!(code(shell(root.path(), script)), expected);
        assert_eq!(record(root.path()), Some(expected.to_string()));
        assert!(root.path().join("state/started").exists() && !is_locked(root.path()));
    }
}

#[test]
fn what_has_ended_is_not_run_again() {
    let root = volume();
    assert_eq!(code(shell(root.path(), "exit 7")), 7);
    let again = root.path().join("again");
    assert_eq!(code(shell(root.path(), &format!("touch {}", again.display()))), 7);
    assert!(!again.exists());
}

#[test]
fn a_command_that_does_not_exist_or_is_no_program_says_so() {
    let root = volume();
    let data = root.path().join("data");
    fs::write(&data, "no program").unwrap();
    let executable = root.path().join("executable");
    fs::write(&executable, [0, 1, 2]).unwrap();
    fs::set_permissions(&executable, Permissions::from_mode(0o755)).unwrap();
    for program in ["no-such-program", data.to_str().unwrap(), executable.to_str().unwrap()] {
        let root = volume();
        let output = command(root.path(), &[program]).output().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(ExitCode::CommandNotFound.number())), "{program}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(program));
        assert_eq!(record(root.path()).as_deref(), Some("242"));
    }
}

#[test]
fn without_the_volume_nothing_is_started() {
    let root = TempDir::new().unwrap();
    let touched = root.path().join("touched");
    let code = code(shell(root.path(), &format!("touch {}", touched.display())));
    assert_eq!((code, touched.exists()), (i32::from(ExitCode::ExecFailed.number()), false));
}

#[test]
fn told_to_stop_the_command_is_told_and_the_code_says_so_whatever_it_answers() {
    for answer in [0, 5] {
        let root = volume();
        let told = root.path().join("told");
        let script =
            format!("trap 'touch {}; exit {answer}' TERM; touch ready; while :; do sleep 0.05; done", told.display());
        let mut child = shell(root.path(), &script).current_dir(root.path()).spawn().unwrap();
        wait_until("the command runs", || root.path().join("ready").exists());
        assert!(is_locked(root.path()));
        signal(&child, Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().code(), Some(i32::from(ExitCode::Stopped.number())));
        assert!(told.exists());
        assert_eq!(record(root.path()).as_deref(), Some("241"));
    }
}

#[test]
fn other_signals_reach_the_command_and_stop_nothing() {
    let root = volume();
    let script = "trap 'exit 9' USR1; touch ready; while :; do sleep 0.05; done";
    let mut child = shell(root.path(), script).current_dir(root.path()).spawn().unwrap();
    wait_until("the command runs", || root.path().join("ready").exists());
    signal(&child, Signal::SIGUSR1);
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn the_lock_falls_with_a_kill_and_no_end_is_recorded() {
    let root = volume();
    let mut child = shell(root.path(), "touch ready; exec sleep 60").current_dir(root.path()).spawn().unwrap();
    wait_until("the command runs", || root.path().join("ready").exists());
    assert!(is_locked(root.path()));
    let command = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    // The command itself outlives its parent here, as it does not in a container: it must not hold the lock.
    wait_until("the lock falls", || !is_locked(root.path()));
    assert_eq!(record(root.path()), None);
    kill(Pid::from_raw(command.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn outputs_become_readable_for_others_and_links_are_left_alone() {
    let root = volume();
    let secret = root.path().join("secret");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let script = format!("umask 077; cd outputs/model; mkdir -p a/b; echo x >a/b/c; ln -s {} link", secret.display());
    assert_eq!(
        code({
            let mut command = shell(root.path(), &script);
            command.current_dir(root.path());
            command
        }),
        0
    );
    let mode = |path: &str| fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("outputs/model/a/b/c"), mode("outputs/model/a/b"), mode("secret")), (0o644, 0o755, 0o600));
}

#[test]
fn the_repeated_paths_and_codes_are_those_of_the_contract() {
    assert_eq!(paths::ROOT, "/seatrial");
    let beneath = |path: &str| path.strip_prefix("/seatrial/").map(str::to_owned);
    assert_eq!(
        [paths::LOCK, paths::STARTED, paths::EXIT, paths::OUTPUTS].map(|path| beneath(path).unwrap()),
        ["state/lock", "state/started", "state/exit", "outputs"]
    );
    let numbers = [ExitCode::Stopped, ExitCode::CommandNotFound, ExitCode::ExecFailed].map(ExitCode::number);
    assert_eq!(numbers, [241, 242, 243]);
}
