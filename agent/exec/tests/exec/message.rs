//! The termination message.

use std::fs;
use std::path::Path;

use crate::support::{volume, with};

/// Runs it with an empty file of the message; the code and the message.
fn run(root: &Path, arguments: &[&str], script: &str) -> (Option<i32>, String) {
    let file = root.join("message");
    fs::write(&file, "").unwrap();
    let mut all = vec!["--termination-message", file.to_str().unwrap()];
    all.extend(arguments);
    let mut command = with(root, &all, &["sh", "-c", script]);
    command.env("TOKEN", "hunter22").env("MESSAGE", &file);
    let output = command.output().unwrap();
    (output.status.code(), fs::read_to_string(&file).unwrap())
}

#[test]
fn the_last_lines_of_a_failed_command_are_left_without_secrets_and_colours() {
    let root = volume();
    let script = "seq 100000; printf '10%%\\r99%%\\n'; printf '\\033[31mrefused: %s\\033[0m\\n' $TOKEN >&2; exit 4";
    let (code, message) = run(root.path(), &["--secret-variable", "TOKEN"], script);
    assert_eq!(code, Some(4));
    assert!(message.len() <= 1024 && message.contains("refused: ***") && message.contains("99%"), "{message}");
    assert!(!message.contains("hunter22") && !message.contains('\u{1b}') && !message.contains('\r'), "{message}");
}

#[test]
fn a_command_that_ended_well_leaves_no_message() {
    let root = volume();
    assert_eq!(run(root.path(), &[], "echo fine"), (Some(0), String::new()));
}

#[test]
fn a_message_of_the_commands_own_stays_and_is_masked() {
    for code in [0, 5] {
        let root = volume();
        let script = format!("echo noise; printf '\\033[1mown %s' $TOKEN >$MESSAGE; exit {code}");
        let (ended, message) = run(root.path(), &["--secret-environment"], &script);
        assert_eq!((ended, message.as_str()), (Some(code), "own ***"));
    }
}

#[test]
fn why_a_command_did_not_start_is_said() {
    let root = volume();
    let file = root.path().join("message");
    fs::write(&file, "").unwrap();
    let status = with(root.path(), &["--termination-message", file.to_str().unwrap()], &["no-such-program"]).status();
    assert_eq!(status.unwrap().code(), Some(242));
    assert!(fs::read_to_string(&file).unwrap().contains("exec: no-such-program cannot be started"));
}
