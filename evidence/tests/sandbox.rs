//! What a process that reads data may do: the program tries it in a sandbox of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::process::Command;

const REFUSED: &str = "Operation not permitted (os error 1)";
const NO_FILE: &str = "Permission denied (os error 13)";
const ALLOWED: &str = "allowed";

#[test]
fn a_reader_reaches_neither_the_network_nor_programs_nor_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let (read, write) = (folder.path().join("read"), folder.path().join("write"));
    std::fs::create_dir(&read).unwrap();
    std::fs::create_dir(&write).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_seatrial-evidence")).arg("sandbox").arg(&read).arg(&write).output().unwrap();
    let warned = String::from_utf8(output.stderr).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    // A kernel without Landlock says so, and leaves files to their permissions.
    let file = if warned.contains("no Landlock") { ALLOWED } else { NO_FILE };
    let expected = [
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
