use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use seatrial_core::contract::check::{CheckConfig, CheckLimits, CheckReport, CheckVerdict, RuleOutcome, RuleResult};
use serde_json::{Value, json};

use super::*;

mod of_files;
mod of_queries;
mod of_rules;

/// A check of a path: columns by name, and rules by name.
fn config(path: &Path, columns: &Value, rules: &Value, more: &Value) -> CheckConfig {
    let rules: Vec<Value> = rules
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, check)| json!({"name": name, "severity": "error", "check": check}))
        .collect();
    let mut input = json!({
        "input": "data", "contract": "a/b", "revision": "r", "path": path, "columns": columns, "rules": rules,
    });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    CheckConfig {
        version: CHECK_VERSION,
        inputs: vec![serde_json::from_value(input).unwrap()],
        reports: "/nowhere".into(),
        limits: CheckLimits { threads: Some(2), ..CheckLimits::default() },
        unless: None,
    }
}

fn report(config: &CheckConfig) -> CheckReport {
    checked(config, &config.inputs[0], threads(config), Instant::now() + Duration::from_secs(config.limits.seconds))
}

/// Checks files of a folder.
fn check(files: &[(&str, &[u8])], columns: &Value, rules: &Value, more: &Value) -> CheckReport {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    report(&config(folder.path(), columns, rules, more))
}

/// Checks one CSV.
fn csv(content: &str, columns: &Value, rules: &Value) -> CheckReport {
    check(&[("data.csv", content.as_bytes())], columns, rules, &json!({}))
}

fn rule<'a>(report: &'a CheckReport, name: &str) -> &'a RuleResult {
    report.rules.iter().find(|rule| rule.rule == name).unwrap()
}

fn outcomes(report: &CheckReport) -> BTreeMap<&str, RuleOutcome> {
    report.rules.iter().map(|rule| (rule.rule.as_str(), rule.outcome)).collect()
}

#[test]
fn whatever_ends_the_child_is_an_error_with_advice() {
    let config = config(Path::new("/nowhere"), &json!([]), &json!({}), &json!({}));
    for (script, said) in [
        ("kill -ALRM $$", "took longer"),
        ("kill -KILL $$", "raise the memory"),
        ("echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$", "ran out of memory"),
        ("kill -SEGV $$", "crashed"),
        ("exit 101", "crashed"),
    ] {
        let ended = supervise::ended(Command::new("sh").args(["-c", script]), 100).unwrap();
        assert!(crashed(&config, &ended).contains(said), "{script}");
    }
    let missing = report(&config);
    assert_eq!(missing.verdict, CheckVerdict::Error, "{missing:?}");
}
