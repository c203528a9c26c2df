//! What `admit` makes of the reports about a step's inputs: whether the command starts, and what lies in the store.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::PathBuf;

use seatrial_core::contract::check::{
    CHECK_VERSION, CheckMessage, CheckReport, CheckVerdict, Concern, RuleOutcome, RuleResult, Severity,
};
use seatrial_core::contract::{AdmitConfig, AdmittedInput, ExitCode, VERSION, layout};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{Pod, on_disk, publish_config, store};

fn result(severity: Severity, outcome: RuleOutcome) -> RuleResult {
    RuleResult {
        rule: "age.minimum".into(),
        severity,
        concern: Concern::Values,
        dimension: None,
        outcome,
        expected: "at least 0".into(),
        found: "-1".into(),
        matched: Some(1),
        of: Some(10),
        positions: vec![],
        sentence: "age is below 0 in 1 of 10 rows".into(),
    }
}

fn report(input: &str, rules: Vec<RuleResult>) -> CheckReport {
    CheckReport {
        version: CHECK_VERSION,
        input: input.into(),
        contract: "billing/customers".into(),
        revision: "sha256:1".into(),
        verdict: CheckReport::verdict_of(&rules),
        sentence: "what was found".into(),
        rows: 10,
        files: 1,
        rules,
        not_checked: vec![],
        profile: vec![],
    }
}

/// A pod whose `fetch` is done, and the folder of its reports.
fn pod(server: &LocalStore) -> (Pod, PathBuf) {
    let pod = Pod::new("growth");
    let config = publish_config(pod.own_store(server), &[("x", OutputType::Any)]);
    fs::write(pod.private().join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
    let reports = pod.private().join("reports");
    fs::create_dir(&reports).unwrap();
    (pod, reports)
}

async fn admit(pod: &Pod, reports: &std::path::Path, inputs: &[&str]) -> (ExitCode, CheckMessage) {
    decide("admit", pod, reports, inputs).await
}

/// What the agent's task makes of the reports.
async fn decide(task: &str, pod: &Pod, reports: &std::path::Path, inputs: &[&str]) -> (ExitCode, CheckMessage) {
    let input = |input: &&str| AdmittedInput {
        input: (*input).to_owned(),
        contract: "billing/customers".into(),
        revision: "sha256:1".into(),
    };
    let config = AdmitConfig {
        version: VERSION,
        reports: reports.display().to_string(),
        inputs: inputs.iter().map(input).collect(),
        outage_seconds: 2,
    };
    let (code, text) = pod.end_with_text(pod.start(task, &config)).await;
    (code, CheckMessage::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn write(reports: &std::path::Path, report: &CheckReport) {
    fs::write(reports.join(format!("{}.json", report.input)), report.to_json()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_data_that_keep_their_contract_are_admitted_and_reports_are_kept() {
    let (data, server) = store().await;
    let error = |outcome| result(Severity::Error, outcome);
    for (rules, code) in [
        (vec![error(RuleOutcome::Held)], ExitCode::Success),
        (vec![error(RuleOutcome::Held), result(Severity::Warning, RuleOutcome::Broken)], ExitCode::Success),
        (vec![error(RuleOutcome::Held), error(RuleOutcome::Broken)], ExitCode::ContractBroken),
        (vec![error(RuleOutcome::Inconclusive)], ExitCode::ContractUnproven),
    ] {
        let (pod, reports) = pod(&server);
        let report = report("raw", rules);
        write(&reports, &report);
        let (ended, message) = admit(&pod, &reports, &["raw"]).await;
        assert_eq!((ended, message.checks[0].verdict), (code, report.verdict));
        let digest = message.checks[0].report.clone().unwrap();
        assert!(on_disk(&data, &layout::artifact(&digest)).exists(), "the report's listing is not in the store");
    }
    // Of several inputs one that is broken is enough.
    let (pod, reports) = pod(&server);
    write(&reports, &report("a", vec![error(RuleOutcome::Held)]));
    write(&reports, &report("b", vec![error(RuleOutcome::Broken)]));
    let (ended, message) = admit(&pod, &reports, &["a", "b"]).await;
    assert_eq!((ended, message.checks.len()), (ExitCode::ContractBroken, 2));
    assert_eq!(message.checks[1].broken[0].rule, "age.minimum");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_report_about_the_input_admits_nothing() {
    let (_data, server) = store().await;
    let good = || report("raw", vec![result(Severity::Error, RuleOutcome::Held)]);
    let forged: Vec<(&str, Option<String>)> = vec![
        ("there is no report", None),
        ("malformed", Some("{}".into())),
        ("malformed", Some("\0".repeat(10))),
        ("larger than", Some(" ".repeat(2 << 20))),
        ("something else", Some(CheckReport { revision: "sha256:2".into(), ..good() }.to_json())),
        ("something else", Some(CheckReport { contract: "billing/other".into(), ..good() }.to_json())),
        ("something else", Some(CheckReport { input: "other".into(), ..good() }.to_json())),
        ("of version 99", Some(CheckReport { version: 99, ..good() }.to_json())),
        (
            "its rules say otherwise",
            Some(
                CheckReport {
                    verdict: CheckVerdict::Passed,
                    ..report("raw", vec![result(Severity::Error, RuleOutcome::Broken)])
                }
                .to_json(),
            ),
        ),
    ];
    for (why, text) in forged {
        let (pod, reports) = pod(&server);
        if let Some(text) = text {
            fs::write(reports.join("raw.json"), text).unwrap();
        }
        let (ended, message) = admit(&pod, &reports, &["raw"]).await;
        assert_eq!((ended, message.checks[0].verdict), (ExitCode::CheckFailed, CheckVerdict::Error), "{why}");
        assert!(message.checks[0].sentence.contains(why), "{why}: {}", message.checks[0].sentence);
    }
    // A link may lead to what the container alone can read.
    let (pod, reports) = pod(&server);
    write(&reports, &report("hidden", vec![]));
    std::os::unix::fs::symlink(reports.join("hidden.json"), reports.join("raw.json")).unwrap();
    assert_eq!(admit(&pod, &reports, &["raw"]).await.0, ExitCode::CheckFailed);
}

/// Where no command waits, what was found is all that was asked for: a Job fails only where nothing could be said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_nobody_waits_for_fails_nothing() {
    let (data, server) = store().await;
    let (pod, reports) = pod(&server);
    write(&reports, &report("raw", vec![result(Severity::Error, RuleOutcome::Broken)]));
    let (ended, message) = decide("report", &pod, &reports, &["raw", "other"]).await;
    let verdicts: Vec<CheckVerdict> = message.checks.iter().map(|check| check.verdict).collect();
    assert_eq!((ended, verdicts), (ExitCode::Success, vec![CheckVerdict::Failed, CheckVerdict::Error]));
    assert!(on_disk(&data, &layout::artifact(message.checks[0].report.as_ref().unwrap())).exists());
    fs::remove_file(pod.private().join("config.json")).unwrap();
    assert_ne!(decide("report", &pod, &reports, &["raw"]).await.0, ExitCode::Success);
    // `fetch` found what is known: nobody looked at it.
    let unchanged = pod.path("/seatrial/state/unchanged");
    fs::create_dir_all(unchanged.parent().unwrap()).unwrap();
    fs::write(unchanged, "").unwrap();
    let (ended, message) = decide("report", &pod, &reports, &["raw"]).await;
    assert_eq!((ended, message), (ExitCode::Success, CheckMessage { checks: vec![], failure: None }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_changes_no_verdict() {
    let (_data, server) = store().await;
    let (pod, reports) = pod(&server);
    write(&reports, &report("raw", vec![result(Severity::Error, RuleOutcome::Broken)]));
    let config = pod.private().join("config.json");
    let elsewhere = fs::read_to_string(&config).unwrap().replace(&server.endpoint(), "https://127.0.0.1:1");
    fs::write(&config, elsewhere).unwrap();
    let (ended, message) = admit(&pod, &reports, &["raw"]).await;
    assert_eq!((ended, message.checks[0].report.clone()), (ExitCode::ContractBroken, None));
}
