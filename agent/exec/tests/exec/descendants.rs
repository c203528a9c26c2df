//! Process trees, where `exec` is not the container's process 1: with a shared process namespace.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{code, end, shell};

/// Whether a process runs: one that has ended and waits to be reaped does not.
fn runs(id: &str) -> bool {
    let state = |status: String| status.lines().find(|line| line.starts_with("State:")).map(|line| line.contains('Z'));
    fs::read_to_string(format!("/proc/{id}/status")).ok().and_then(state) == Some(false)
}

fn id(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(name)).unwrap().trim().to_owned()
}

/// A daemon made itself independent twice, a child hears no SIGTERM; what others started goes on.
#[test]
fn descendants_are_ended_and_others_left_alone() {
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let root = crate::support::volume();
    let script = "echo 'trap \"\" TERM HUP; echo $$ >$1.new; mv $1.new $1; while :; do sleep 0.05; done' >forever
        (setsid sh -c 'sh forever daemon & exit 0' &)
        sh forever child &
        sh -c 'sh forever orphan & exit 0'
        for name in daemon child orphan; do while [ ! -e $name ]; do sleep 0.01; done; done; exit 3";
    let mut command = shell(root.path(), script);
    command.current_dir(root.path());
    assert_eq!(code(command), 3);
    assert_eq!(end(root.path()).0, 3);
    for name in ["daemon", "child", "orphan"] {
        assert!(!runs(&id(root.path(), name)), "{name} still runs");
    }
    assert!(runs(&other.id().to_string()));
    other.kill().unwrap();
    other.wait().unwrap();
}

/// What `exec` adopts it reaps: where it does not, the number of processes grows until none can be started.
#[test]
fn orphans_are_reaped_while_the_command_runs() {
    let root = crate::support::volume();
    let script = "for n in 1 2 3 4 5; do sh -c 'sh -c \"touch orphan-$0\" $0 &' $n; done
        while [ $(ls | grep -c orphan-) -lt 5 ]; do sleep 0.01; done
        for look in $(seq 2000); do
            ended=$(grep -l \"^PPid:.$PPID$\" /proc/[0-9]*/status 2>/dev/null | xargs grep -l '^State:.Z' 2>/dev/null)
            [ -n \"$ended\" ] || exit 0
            sleep 0.01
        done
        exit 1";
    let mut command = shell(root.path(), script);
    command.current_dir(root.path());
    assert_eq!(code(command), 0);
}

/// The group is the test's own. Version 1 of control groups kills one process, and the command lives on.
#[test]
#[ignore = "needs root, for a control group of version 1"]
fn children_that_were_killed_for_memory_are_counted() {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let Some(path) = own.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path) else {
        eprintln!("this machine has version 2, whose file the unit test reads");
        return;
    };
    let group = format!("/sys/fs/cgroup/memory{path}/seatrial-exec-{}", std::process::id());
    fs::create_dir(&group).unwrap();
    fs::write(format!("{group}/memory.limit_in_bytes"), "33554432").unwrap();
    let root = crate::support::volume();
    let exec = env!("CARGO_BIN_EXE_seatrial-exec");
    let script = format!(
        "echo $$ >{group}/cgroup.procs && exec {exec} --root {} -- sh -c 'tail /dev/zero; exit 0'",
        root.path().display()
    );
    assert_eq!(Command::new("sh").args(["-c", &script]).status().unwrap().code(), Some(0));
    assert_eq!(crate::support::record(root.path()).unwrap().oom_kills, 1);
    fs::remove_dir(&group).unwrap();
}
