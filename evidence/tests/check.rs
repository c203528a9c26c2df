//! The program itself: reports, message, exit codes, and what bounds the child.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use seatrial_core::contract::CONFIG_VARIABLE;
use seatrial_core::contract::check::{CHECK_VERSION, CheckMessage, CheckReport, CheckVerdict, RuleOutcome};
use serde_json::{Value, json};

/// Runs `check` in a folder, whose files `good` and `bad` are two inputs.
fn check(folder: &Path, limits: &Value) -> (Output, CheckMessage) {
    let input = |name: &str| {
        json!({
            "input": name, "contract": "a/b", "revision": "r", "path": folder.join(name),
            "columns": [{"name": "a", "logicalType": "integer"}],
            "rules": [
                {"name": "type", "severity": "error", "check": {"type": "type", "column": "a"}},
                {"name": "unique", "severity": "error", "check": {"type": "unique", "column": "a"}},
            ],
        })
    };
    let config = json!({
        "version": CHECK_VERSION, "inputs": [input("good"), input("bad")], "reports": folder.join("reports"), "limits": limits,
    });
    run(folder, &config.to_string())
}

fn run(folder: &Path, config: &str) -> (Output, CheckMessage) {
    let log = folder.join("log");
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial-evidence"))
        .arg("check")
        .env(CONFIG_VARIABLE, config)
        .env("SEATRIAL_TERMINATION_LOG", &log)
        .output()
        .unwrap();
    (output, CheckMessage::parse(&std::fs::read_to_string(&log).unwrap()).unwrap())
}

#[test]
fn each_input_has_a_report_and_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good"), "a\n1\n2\n").unwrap();
    std::fs::write(folder.path().join("bad"), "a\n1\nx\n").unwrap();
    let scratch = folder.path().join("scratch");
    let (output, message) = check(folder.path(), &json!({"scratch": scratch}));
    assert!(output.status.success(), "{output:?}");
    let verdicts: Vec<_> = message.checks.iter().map(|check| (check.input.as_str(), check.verdict)).collect();
    assert_eq!(verdicts, [("good", CheckVerdict::Passed), ("bad", CheckVerdict::Failed)]);
    let report = std::fs::read_to_string(folder.path().join("reports/bad.json")).unwrap();
    let report: CheckReport = serde_json::from_str(&report).unwrap();
    assert_eq!((report.verdict, report.rows, report.rules[0].positions[0].row), (CheckVerdict::Failed, 2, 2));
    assert!(scratch.is_dir());
}

#[test]
fn a_lack_of_memory_or_time_or_disk_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let many: String = (0..300_000).map(|row| format!("{row}\n")).collect();
    std::fs::write(folder.path().join("good"), format!("a\n{many}")).unwrap();
    std::fs::write(folder.path().join("bad"), "a\n1\n").unwrap();
    for (limits, said) in [
        (json!({"memory": 20_000_000}), "raise the memory of the container"),
        (json!({"disk": 1000}), "of disk that the check"),
        (json!({"seconds": 0}), "took longer than 0 s"),
    ] {
        let (output, message) = check(folder.path(), &limits);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(message.checks[0].verdict, CheckVerdict::Error, "{limits}");
        assert!(message.checks[0].sentence.contains(said), "{limits}: {}", message.checks[0].sentence);
    }
}

/// Checks one file by queries, each by its name with a severity and its text; the table is `t`, and each is to give 0.
fn asked(folder: &Path, content: &str, queries: &[(&str, &str, &str)], limits: &Value) -> CheckReport {
    std::fs::write(folder.join("data"), content).unwrap();
    let query = |(name, severity, text): &(&str, &str, &str)| {
        let check = json!({"type": "sql", "query": text, "is": {"mustBe": "0"}});
        json!({"name": name, "severity": severity, "check": check})
    };
    let mut rules: Vec<Value> = queries.iter().map(query).collect();
    let rows = json!({"type": "rowCount", "is": {"mustBeGreaterThan": "0"}});
    rules.push(json!({"name": "rows", "severity": "error", "check": rows}));
    let config = json!({
        "version": CHECK_VERSION, "reports": folder.join("reports"), "limits": limits,
        "inputs": [{
            "input": "data", "contract": "a/b", "revision": "r", "path": folder.join("data"), "table": "t",
            "columns": [{"name": "a", "logicalType": "integer"}], "rules": rules,
        }],
    });
    let (output, _) = run(folder, &config.to_string());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_str(&std::fs::read_to_string(folder.join("reports/data.json")).unwrap()).unwrap()
}

#[test]
fn temporary_files_and_memory_of_a_query_are_bounded_together() {
    let folder = tempfile::tempdir().unwrap();
    let many: String = (0..200_000).map(|row| format!("{row}\n")).collect();
    // Each table has less than the disk, and all together more.
    let tables: Vec<String> =
        (0..12).map(|number| format!("t{number} AS MATERIALIZED (SELECT hex(zeroblob(64)) AS x, a FROM t)")).collect();
    let joined: Vec<String> = (0..12)
        .map(|number| format!("(SELECT COUNT(*) FROM t{number} AS x, t{number} AS y WHERE x.a = y.a AND x.a < 9)"))
        .collect();
    let files = format!("WITH {} SELECT {}", tables.join(", "), joined.join(" + "));
    let texts = ["hex(zeroblob(30000000))"; 8].join(", ");
    let memory = format!("SELECT length(max({texts})) FROM t LIMIT 1");
    for (query, limits, said) in [
        (files.as_str(), json!({"disk": 100 << 20, "scratch": folder.path()}), "more than the 100 MiB of disk"),
        (&memory, json!({}), "more than 256 MiB of memory"),
    ] {
        let report = asked(folder.path(), &format!("a\n{many}"), &[("greedy", "error", query)], &limits);
        assert_eq!(report.verdict, CheckVerdict::Error, "{report:?}");
        assert!(report.sentence.contains(said) && report.sentence.contains("greedy"), "{}", report.sentence);
    }
}

#[test]
fn a_query_that_does_not_look_at_the_clock_costs_no_other_rule_its_verdict() {
    // One step of SQLite's, of hours.
    let endless = "SELECT instr(hex(zeroblob(10000000)), hex(zeroblob(4000000)) || '1') FROM t LIMIT 1";
    let verdicts = ["warning", "error"].map(|severity| {
        std::thread::spawn(move || {
            let folder = tempfile::tempdir().unwrap();
            let queries =
                [("before", "error", "SELECT 0"), ("endless", severity, endless), ("behind", "warning", "SELECT 0")];
            asked(folder.path(), "a\n1\n", &queries, &json!({"seconds": 8}))
        })
    });
    let [warning, error] = verdicts.map(|report| report.join().unwrap());
    let of = |report: &CheckReport| report.rules.iter().map(|rule| rule.outcome).collect::<Vec<_>>();
    assert_eq!(of(&warning), [RuleOutcome::Held, RuleOutcome::NotChecked, RuleOutcome::NotChecked, RuleOutcome::Held]);
    assert_eq!(warning.verdict, CheckVerdict::Passed);
    assert!(warning.rules[1].sentence.contains("did not end in the time"), "{:?}", warning.rules[1]);
    assert!(warning.rules[2].sentence.contains("a query before this one"), "{:?}", warning.rules[2]);
    assert_eq!(of(&error), [RuleOutcome::Held, RuleOutcome::Inconclusive, RuleOutcome::NotChecked, RuleOutcome::Held]);
    assert_eq!(error.verdict, CheckVerdict::Error);
    assert!(error.sentence.contains("endless") && error.sentence.contains("check.timeout"), "{}", error.sentence);
}

#[test]
fn a_child_that_waits_for_ever_is_ended_by_its_clock() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), "a\n1\n").unwrap();
    // Nobody reads the report to its end, which is longer than a pipe holds.
    let rule = |number| json!({"name": format!("rule {number}"), "severity": "error", "check": {"type": "type", "column": "a"}});
    let config = json!({
        "version": CHECK_VERSION, "reports": "/nowhere",
        "inputs": [{
            "input": "data", "contract": "a/b", "revision": "r", "path": folder.path().join("data"),
            "columns": [{"name": "a"}], "rules": (0..1000).map(rule).collect::<Vec<_>>(),
        }],
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_seatrial-evidence"))
        .args(["check-input", "0", "1"])
        .env(CONFIG_VARIABLE, config.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    // It has read the data, in the sandbox: with two filters of system calls, which nothing takes off.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp_filters:\t2"), "{status}");
    // Waiting closes standard input alone.
    assert_eq!(child.wait().unwrap().signal(), Some(14));
}

#[test]
fn a_config_that_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (output, message) = run(folder.path(), "{}");
    assert_eq!(output.status.code(), Some(64));
    assert!(message.failure.unwrap().contains(CONFIG_VARIABLE));
    let old = json!({"version": 99, "inputs": [], "reports": "/nowhere"}).to_string();
    let (output, message) = run(folder.path(), &old);
    assert_eq!(output.status.code(), Some(64));
    assert!(message.failure.unwrap().contains("one release"));
}
