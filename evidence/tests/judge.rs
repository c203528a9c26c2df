//! The program itself: its message, its exit code, its child.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use seatrial_core::contract::{CONFIG_VARIABLE, JUDGE_VERSION, JudgeMessage};
use serde_json::json;

/// Runs `judge` on predictions; what it printed, and its message.
fn judge(folder: &Path, predictions: &str, arguments: &[&str]) -> (Output, JudgeMessage) {
    let (table, log) = (folder.join("table"), folder.join("log"));
    std::fs::write(&table, predictions).unwrap();
    let task = json!({"type": "BinaryClassification", "positiveLabel": "1"});
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial-evidence"))
        .arg("judge")
        .args(arguments)
        .env(CONFIG_VARIABLE, json!({"version": JUDGE_VERSION, "task": task, "predictions": table}).to_string())
        .env("SEATRIAL_TERMINATION_LOG", &log)
        .output()
        .unwrap();
    (output, JudgeMessage::parse(&std::fs::read_to_string(&log).unwrap()).unwrap())
}

#[test]
fn a_table_is_measured_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let (output, message) = judge(folder.path(), "id,score,label\na,0.8,1\nb,0.4,0\n", &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("rocAuc 1\n"), "{said}");
    assert!(matches!(message, JudgeMessage::Measured(measured) if measured.rows == 2));
}

#[test]
fn an_unusable_table_is_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let (output, message) = judge(folder.path(), "id,label\na,1\n", &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("unusable: the predictions have no column score"), "{said}");
    assert!(matches!(message, JudgeMessage::Unusable(_)));
}

#[test]
fn a_missing_file_is_a_failure() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let config = json!({"version": JUDGE_VERSION, "task": {"type": "Regression"}, "predictions": "/nowhere/table"});
    let status = Command::new(env!("CARGO_BIN_EXE_seatrial-evidence"))
        .args(["judge", "--termination-log"])
        .arg(log.path())
        .env(CONFIG_VARIABLE, config.to_string())
        .status()
        .unwrap();
    let message = JudgeMessage::parse(&std::fs::read_to_string(log.path()).unwrap()).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(matches!(message, JudgeMessage::Failed(why) if why.contains("cannot be read")));
}

#[test]
fn a_lack_of_memory_is_a_failure_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "id,score,label\n".to_owned();
    for row in 0..400_000 {
        let _ = writeln!(table, "{row},0.5,{}", row % 2);
    }
    let (output, message) = judge(folder.path(), &table, &["--memory", "30000000"]);
    assert_eq!(output.status.code(), Some(1));
    let JudgeMessage::Failed(why) = message else { panic!("{message:?}") };
    assert!(why.contains("ran out of memory while it read the predictions"), "{why}");
    assert!(why.contains("raise the memory"), "{why}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("reading the predictions\n"), "{said}");
}

#[test]
fn the_process_that_reads_is_bounded() {
    // It waits for the other end of a pipe, so that its limits can be looked at.
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let config = json!({"version": JUDGE_VERSION, "task": {"type": "Regression"}, "predictions": pipe});
    let mut child = Command::new(env!("CARGO_BIN_EXE_seatrial-evidence"))
        .args(["measure", "--memory", "300000000"])
        .env(CONFIG_VARIABLE, config.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id()));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(said, "reading the predictions\n");
    let (limits, status) = (limits.unwrap(), status.unwrap());
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp_filters:\t2"), "{status}");
    let of = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("Max core file size"), ["0", "0"]);
    assert_eq!(of("Max address space"), ["300000000", "300000000"]);
}
