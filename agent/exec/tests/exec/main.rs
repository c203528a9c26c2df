//! The real program against a folder as it is in a pod.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod descendants;
mod message;
mod outputs;
mod streams;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial_core::contract::{ExitCode, ExitReason, GRACE_SECONDS, log, paths};
use support::{code, command, end, is_locked, record, shell, signal, volume, wait_until, with};
use tempfile::TempDir;

#[test]
fn the_commands_code_is_recorded_and_passed_on() {
    for (script, expected, signal) in
        [("exit 0", 0, None), ("exit 3", 3, None), ("kill -9 $$", 137, Some(9)), ("kill -40 $$", 168, Some(40))]
    {
        let root = volume();
        assert_eq!(code(shell(root.path(), script)), i32::from(expected));
        assert_eq!(end(root.path()), (expected, signal, ExitReason::Exited));
        let record = record(root.path()).unwrap();
        assert!(record.started_at <= record.finished_at);
        assert!(root.path().join("state/started").exists() && !is_locked(root.path()));
    }
}

/// The Job controller sees the number alone: a command's own 241 would be a disruption, its 65 a corrupt artifact.
#[test]
fn reserved_codes_are_recorded_and_become_1_outside() {
    for own in 0..=u8::MAX {
        let root = volume();
        let outside = code(shell(root.path(), &format!("exit {own}")));
        assert_eq!(end(root.path()), (own, None, ExitReason::Exited));
        assert_eq!(outside, if ExitCode::is_reserved(own) { 1 } else { i32::from(own) }, "{own}");
        assert_eq!(outside, i32::from(record(root.path()).unwrap().container_code()));
        // A container that is started again ends as before.
        assert_eq!(code(shell(root.path(), "exit 99")), outside);
    }
}

/// A timeout spends the command's time alone, whatever the command makes of the word to stop.
#[test]
fn a_command_that_runs_too_long_is_told_and_then_killed() {
    for (answer, expected) in [("exit 0", (0, None)), (":", (137, Some(9)))] {
        let root = volume();
        let script = format!("trap 'touch told; {answer}' TERM; while :; do sleep 0.05; done");
        let mut command = with(root.path(), &["--timeout", "1", "--grace", "1"], &["sh", "-c", &script]);
        let begun = Instant::now();
        let code = command.current_dir(root.path()).status().unwrap().code();
        assert_eq!(code, Some(i32::from(ExitCode::TimedOut.number())));
        assert!(root.path().join("told").exists() && begun.elapsed() >= Duration::from_secs(1));
        assert_eq!(end(root.path()), (expected.0, expected.1, ExitReason::TimedOut));
        assert!(!record(root.path()).unwrap().is_success());
    }
}

#[test]
fn a_command_that_ends_within_its_timeout_is_left_alone() {
    let root = volume();
    assert_eq!(with(root.path(), &["--timeout", "600"], &["true"]).status().unwrap().code(), Some(0));
    assert_eq!(end(root.path()), (0, None, ExitReason::Exited));
}

#[test]
fn the_command_begins_with_no_signal_held_back_or_ignored() {
    let root = volume();
    // Not by a shell, which clears the mask for itself. What is ignored before `exec`, as in some background jobs, stays so.
    let line = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    let said = |mut command: Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let mut directly = Command::new(line[0]);
    directly.args(&line[1..]);
    let under_exec = said(command(root.path(), &line));
    assert_eq!(under_exec, said(directly));
    assert!(under_exec.contains("SigBlk:\t0000000000000000"), "{under_exec}");
}

#[test]
fn the_environment_arrives_as_it_is() {
    let root = volume();
    let output = command(root.path(), &["sh", "-c", "echo $A"]).env("A", "x=y z").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "x=y z\n");
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
        assert_eq!(end(root.path()), (242, None, ExitReason::NotFound));
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
        assert_eq!(end(root.path()), (answer, None, ExitReason::Stopped));
    }
}

/// A pod that is deleted by hand must look like that, whatever the command makes of the word to stop.
#[test]
fn a_command_that_does_not_stop_is_killed_and_its_end_recorded() {
    let root = volume();
    let script = "trap '' TERM; touch ready; exec sleep 600";
    let mut command = with(root.path(), &["--grace", "1"], &["sh", "-c", script]);
    let mut child = command.current_dir(root.path()).spawn().unwrap();
    wait_until("the command runs", || root.path().join("ready").exists());
    signal(&child, Signal::SIGTERM);
    let mut code = None;
    wait_until("it ends", || {
        code = child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    assert_eq!(code, Some(Some(i32::from(ExitCode::Stopped.number()))));
    assert_eq!(end(root.path()), (137, Some(9), ExitReason::Stopped));
}

/// As in a container, where it is process 1.
fn as_process_1(root: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", env!("CARGO_BIN_EXE_seatrial-exec"), "--root"]);
    command.arg(root).args(["--", "sh", "-c", script]).current_dir(root);
    command
}

/// What the command left running writes no more once outputs are made readable, and so not when the end is recorded:
/// neither a child of the command, nor one that made itself independent.
#[test]
#[ignore = "needs root, for a PID namespace"]
fn what_the_command_left_running_is_gone_before_its_end_is_recorded() {
    let root = volume();
    // The folder's mode changes first; so many files then take long enough for whoever still runs to notice.
    let writer = "trap '' TERM HUP; touch $0; while [ $(stat -c %a outputs/model) = 700 ]; do :; done; touch too-late";
    let script = format!(
        "umask 077; chmod 700 outputs/model; (cd outputs/model; seq 20000 | xargs touch)
        sh -c \"{}\" child & setsid sh -c \"{}\" orphan &
        while [ ! -e child ] || [ ! -e orphan ]; do sleep 0.01; done; exit 3",
        writer.replace('$', "\\$"),
        writer.replace('$', "\\$"),
    );
    assert_eq!(code(as_process_1(root.path(), &script)), 3);
    assert_eq!(end(root.path()), (3, None, ExitReason::Exited));
    assert_eq!(fs::metadata(root.path().join("outputs/model")).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(root.path().join("orphan").exists() && !root.path().join("too-late").exists());
}

/// Orphans fall to process 1: where it does not reap them, their number grows until none can be started.
#[test]
#[ignore = "needs root, for a PID namespace"]
fn orphans_are_reaped_while_the_command_runs() {
    let root = volume();
    // Each inner shell ends before its child does, which then falls to process 1. A zombie would stay in /proc.
    let script = "for n in 1 2 3 4 5; do sh -c 'sh -c \"sleep 0.01; touch orphan-$0\" $0 &' $n; done
        while [ $(ls | grep -c orphan-) -lt 5 ]; do sleep 0.01; done
        for look in $(seq 2000); do grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null || exit 0; sleep 0.01; done
        exit 1";
    assert_eq!(code(as_process_1(root.path(), script)), 0);
}

#[test]
#[ignore = "needs root, for a PID namespace"]
fn process_1_is_told_to_stop_and_stops_all() {
    let root = volume();
    let mut child =
        as_process_1(root.path(), "setsid sleep 600 & trap 'exit 0' TERM; touch ready; while :; do sleep 0.05; done")
            .spawn()
            .unwrap();
    wait_until("the command runs", || root.path().join("ready").exists());
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    kill(Pid::from_raw(children.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(i32::from(ExitCode::Stopped.number())));
    assert_eq!(end(root.path()).2, ExitReason::Stopped);
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
        [paths::LOCK, paths::STARTED, paths::EXIT, paths::LOGS, paths::OUTPUTS].map(|path| beneath(path).unwrap()),
        ["state/lock", "state/started", "state/exit", "state/logs", "outputs"]
    );
    assert_eq!(log::SEGMENTS, ["head", "tail.1", "tail"]);
    let codes = [ExitCode::Stopped, ExitCode::CommandNotFound, ExitCode::ExecFailed, ExitCode::TimedOut];
    assert_eq!(codes.map(ExitCode::number), [241, 242, 243, 244]);
    assert_eq!(GRACE_SECONDS, 25);
}
