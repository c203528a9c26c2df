//! What a process that reads data may do: the program tries it in a sandbox of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fs::{File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

const REFUSED: &str = "Operation not permitted (os error 1)";
const NO_FILE: &str = "Permission denied (os error 13)";
const ALLOWED: &str = "allowed";
/// Where this is set, a kernel without Landlock fails the test, rather than that files are not looked at.
const REQUIRE_LANDLOCK: &str = "SEATRIAL_REQUIRE_LANDLOCK";
/// The user that has no rights anywhere.
const NOBODY: u32 = 65_534;

#[test]
fn a_reader_reaches_neither_the_network_nor_programs_nor_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let (read, write) = (folder.path().join("read"), folder.path().join("write"));
    std::fs::create_dir(&read).unwrap();
    std::fs::create_dir(&write).unwrap();
    // All may write to both, so that the sandbox alone tells them apart.
    for (path, mode) in [(folder.path(), 0o755), (read.as_path(), 0o777), (write.as_path(), 0o777)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let program = File::open(env!("CARGO_BIN_EXE_seatrial-evidence")).unwrap();
    // By its descriptor, since another user may not reach its path.
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg("sandbox").args([&read, &write]);
    // Root may do what no container of ours may, such as write any process's memory.
    if std::fs::metadata(folder.path()).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let warned = String::from_utf8(output.stderr).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    // A kernel without Landlock says so, and leaves files to their permissions.
    let has_landlock = !warned.contains("no Landlock");
    assert!(has_landlock || std::env::var_os(REQUIRE_LANDLOCK).is_none(), "{REQUIRE_LANDLOCK} is set: {warned}");
    let file = if has_landlock { NO_FILE } else { ALLOWED };
    let expected = [
        ("write the parent's memory", NO_FILE),
        ("listen to TCP", REFUSED),
        ("send by UDP", REFUSED),
        ("make a pair of sockets", REFUSED),
        ("signal another process", REFUSED),
        ("start another process", REFUSED),
        ("read a file elsewhere", file),
        ("list a folder elsewhere", file),
        ("write beside what is read", file),
        ("list what is to be read", ALLOWED),
        ("write where it may", ALLOWED),
        ("remove what it wrote", ALLOWED),
        ("listen to TCP in a thread", REFUSED),
        ("start a thread", ALLOWED),
        ("become another program", REFUSED),
    ];
    let expected: Vec<String> = expected.iter().map(|(what, came)| format!("{what}: {came}")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{warned}");
    assert!(output.status.success());
}
