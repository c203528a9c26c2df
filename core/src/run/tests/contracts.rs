//! Inputs that are checked by contracts: what a run pins, what its pods have, and what becomes of a step whose data are
//! broken.

use std::sync::Arc;

use seatrial_crds::{CheckVerdict, DataContract, StepState};
use serde_json::{Value, from_value, json};

use super::fixture::*;
use super::*;
use crate::contract::check::{self, BrokenRule, CheckConfig, CheckMessage, CheckSummary, RuleKind, Severity};
use crate::plan::Object;
use crate::platform::Judge;
use crate::revision;

/// The producer's contract, with so many rows that there must be.
fn contract(rows: u32, version: &str, serves: &[&str]) -> Arc<DataContract> {
    Arc::new(
        from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract",
            "metadata": {"name": "customers", "namespace": "billing", "uid": "contract-uid"},
            "spec": {
                "serves": serves, "csv": {"separator": ";"}, "check": {"timeout": "5m"},
                "contract": {
                    "apiVersion": "v3.1.0", "kind": "DataContract", "id": "1", "version": version, "status": "active",
                    "schema": [{"name": "t", "properties": [{"name": "id", "required": true}],
                                "quality": [{"metric": "rowCount", "mustBeGreaterThan": rows}]}],
                },
            },
        }))
        .unwrap(),
    )
}

/// A pipeline whose first step reads what the contract is about.
fn fixture(contracts: &[Arc<DataContract>]) -> Fixture {
    let mut spec = training();
    spec["steps"][0]["inputs"][0]["contract"] = json!({"namespace": "billing", "name": "customers"});
    let mut fixture = Fixture::new(spec);
    fixture.observed.contracts = contracts.to_vec();
    let platform = Arc::make_mut(&mut fixture.observed.platform);
    platform.judge = Some(Judge { image: "evidence:1".into(), ..Judge::default() });
    fixture
}

/// What the program that checks is told.
fn config(fixture: &Fixture) -> CheckConfig {
    let job = fixture.job("prepare");
    let pod = job.spec.as_ref().unwrap().template.spec.clone().unwrap();
    let checker =
        pod.init_containers.unwrap().into_iter().find(|container| container.name == "seatrial-check").unwrap();
    serde_json::from_str(checker.env.unwrap()[0].value.as_deref().unwrap()).unwrap()
}

fn rows_asked_for(config: &CheckConfig) -> String {
    let rule = config.inputs[0].rules.iter().find_map(|rule| match &rule.check {
        RuleKind::RowCount { is } => Some(is.to_string()),
        _ => None,
    });
    rule.unwrap()
}

fn summary(verdict: check::CheckVerdict, errors: u64, warnings: u64) -> CheckSummary {
    let severity = if errors > 0 { Severity::Error } else { Severity::Warning };
    let broken = BrokenRule { rule: "rowCount".into(), severity, sentence: "there are 3 rows".into() };
    CheckSummary {
        input: "raw".into(),
        verdict,
        sentence: "rowCount is broken: there are 3 rows, and there must be more than 10".into(),
        rows: 3,
        rules: 4,
        errors,
        warnings,
        not_checked: 0,
        broken: if errors + warnings > 0 { vec![broken] } else { vec![] },
        report: Some(Digest::of(b"report")),
    }
}

/// Lets the pod of the first step end before its command.
fn end_in_admit(fixture: &mut Fixture, code: i32, message: &str) {
    let waits = json!({"name": "step", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                       "state": {"waiting": {"reason": "PodInitializing"}}});
    fixture.pod(
        "prepare",
        json!({"phase": "Failed", "initContainerStatuses": [
            ended("seatrial-fetch", 0, &messages().0.to_json()), ended("seatrial-check", 0, ""), ended("seatrial-admit", code, message),
        ], "containerStatuses": [waits]}),
    );
    fixture.end_job("prepare", json!({"type": "Failed", "status": "True", "message": "pod failure policy"}));
}

/// What ends the run stands in its status: how the first step stands.
fn failed(fixture: &mut Fixture) -> (String, String, Option<CheckVerdict>) {
    fixture.settle();
    let step = fixture.step("prepare");
    assert_eq!(step.state, StepState::Failed);
    assert_eq!(fixture.stands().0, "StepFailed");
    (step.reason.clone().unwrap(), step.message.clone().unwrap(), step.checks[0].verdict)
}

#[test]
fn a_run_pins_its_contracts_before_it_begins_and_a_later_change_is_not_its_own() {
    let mut fixture = fixture(&[contract(10, "1.0.0", &["growth"])]);
    let first = plan(&fixture.observed, at(0));
    assert_eq!(first.status, None, "nothing is said of what takes a moment");
    let created: Vec<&str> = first.writes().map(|write| write.subject().1).collect();
    assert_eq!(created, ["churn-c1-contracts"]);
    fixture.settle();
    let check = &fixture.step("prepare").checks[0];
    assert_eq!((check.contract.as_str(), check.version.as_str(), check.verdict), ("billing/customers", "1.0.0", None));
    let told = config(&fixture);
    assert_eq!(rows_asked_for(&told), "more than 10");
    assert_eq!((told.inputs[0].path.as_str(), told.inputs[0].csv.separator), ("/seatrial/inputs/raw", ';'));
    assert_eq!((told.limits.seconds, told.inputs[0].revision == check.revision), (300, true));
    // The producer asks for more from now on, and the step is tried again under another name.
    fixture.observed.contracts = vec![contract(99, "2.0.0", &["growth"])];
    fixture.observed.jobs.clear();
    fixture.observed.live_reads.insert(fixture.step("prepare").job.clone().unwrap(), at(100));
    fixture.change_leader();
    fixture.now = 200;
    for _ in 0..6 {
        fixture.pass(usize::MAX);
        fixture.answer_questions();
        fixture.now += 100;
        let names: Vec<String> = fixture.jobs_created.clone();
        for name in names {
            fixture.observed.live_reads.insert(name, at(fixture.now));
        }
    }
    assert_eq!(fixture.step("prepare").attempt, Some(2), "{:?}", fixture.step("prepare"));
    assert_eq!(rows_asked_for(&config(&fixture)), "more than 10");
}

#[test]
fn a_contract_that_changes_while_a_run_waits_is_pinned_anew() {
    let mut fixture = fixture(&[contract(10, "1.0.0", &["growth"])]);
    fixture.pass(usize::MAX);
    assert!(fixture.observed.pinned.is_some() && fixture.observed.run.status.is_none());
    fixture.observed.contracts = vec![contract(20, "1.1.0", &["growth"])];
    fixture.settle();
    assert_eq!(
        (rows_asked_for(&config(&fixture)).as_str(), fixture.step("prepare").checks[0].version.as_str()),
        ("more than 20", "1.1.0")
    );
}

#[test]
fn a_run_does_not_begin_while_a_contract_cannot_be_used() {
    let invalid = {
        let mut contract = contract(1, "1.0.0", &["growth"]).as_ref().clone();
        contract.spec.contract.remove("version");
        Arc::new(contract)
    };
    let named = |field: &str, value: Value| {
        let mut spec = training();
        spec["steps"][0]["inputs"][0]["contract"] = json!({"namespace": "billing", "name": "customers", field: value});
        spec
    };
    let plain = || named("namespace", json!("billing"));
    let table = [
        (plain(), vec![], "ContractNotFound", "that serves the namespace growth"),
        // Whether it exists is nobody's business whom it does not serve.
        (plain(), vec![contract(1, "1.0.0", &["other"])], "ContractNotFound", "that serves the namespace growth"),
        (plain(), vec![invalid], "InvalidContract", "version: is required"),
        (
            named("version", json!("2.0.0")),
            vec![contract(1, "1.0.0", &["growth"])],
            "ContractMismatch",
            "has version 1.0.0",
        ),
        (named("schema", json!("u")), vec![contract(1, "1.0.0", &["growth"])], "ContractMismatch", "it has t"),
    ];
    for (spec, contracts, reason, message) in table {
        let mut fixture = fixture(&contracts);
        let mut pipeline = fixture.observed.pipeline.take().unwrap().as_ref().clone();
        pipeline.spec = from_value(spec).unwrap();
        fixture.observed.revision = Some(Arc::new(revision::build(&pipeline, 1).into()));
        fixture.observed.pipeline = Some(Arc::new(pipeline));
        fixture.settle();
        let stands = fixture.stands();
        assert!(stands.0 == reason && stands.1.contains(message), "{stands:?}");
        assert!(fixture.jobs_created.is_empty() && fixture.status().started_at.is_none());
        // It goes on by itself once the producer has seen to it.
        if contracts.is_empty() {
            fixture.observed.contracts = vec![contract(1, "1.0.0", &["growth"])];
            fixture.settle();
            assert_eq!(fixture.jobs_created.len(), 1);
        }
    }
}

#[test]
fn the_checker_has_no_way_into_a_store_and_the_command_no_way_to_the_reports() {
    let mut fixture = fixture(&[contract(10, "1.0.0", &["growth"])]);
    fixture.settle();
    let job = fixture.job("prepare");
    let spec = job.spec.clone().unwrap();
    let pod = spec.template.spec.unwrap();
    let init = pod.init_containers.clone().unwrap();
    let names: Vec<&str> = init.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["seatrial-fetch", "seatrial-check", "seatrial-admit"]);
    let mounts = |container: &k8s_openapi::api::core::v1::Container| -> Vec<(String, bool)> {
        let mounts = container.volume_mounts.iter().flatten();
        mounts.map(|mount| (mount.mount_path.clone(), mount.read_only == Some(true))).collect()
    };
    assert_eq!(mounts(&init[1]), [("/seatrial".to_owned(), true), ("/seatrial-checks".to_owned(), false)]);
    assert_eq!(init[1].image.as_deref(), Some("evidence:1"));
    assert!(mounts(&init[2]).contains(&("/seatrial-checks".to_owned(), true)), "{:?}", mounts(&init[2]));
    for container in &pod.containers {
        assert!(mounts(container).iter().all(|(path, _)| path != "/seatrial-checks"), "{}", container.name);
    }
    // What is broken is not tried again.
    let rules = spec.pod_failure_policy.unwrap().rules;
    let fails = rules.iter().find(|rule| {
        let codes = rule.on_exit_codes.as_ref();
        rule.action == "FailJob" && codes.is_some_and(|codes| codes.container_name.as_deref() == Some("seatrial-admit"))
    });
    assert_eq!(fails.unwrap().on_exit_codes.as_ref().unwrap().values, [64, 71, 72, 75]);
    // A step without contracts has none of this.
    let mut plain = Fixture::new(training());
    plain.settle();
    let pod = plain.job("prepare").spec.clone().unwrap().template.spec.unwrap();
    assert_eq!(
        (pod.init_containers.unwrap().len(), pod.volumes.unwrap().iter().any(|it| it.name == "seatrial-checks")),
        (1, false)
    );
}

#[test]
fn broken_data_fail_the_step_and_the_status_says_which_rule() {
    let table = [
        (71, check::CheckVerdict::Failed, "ContractBroken", CheckVerdict::Failed),
        (72, check::CheckVerdict::Inconclusive, "ContractUnproven", CheckVerdict::Inconclusive),
        (75, check::CheckVerdict::Error, "CheckFailed", CheckVerdict::Error),
    ];
    for (code, verdict, reason, told) in table {
        let mut fixture = fixture(&[contract(10, "1.0.0", &["growth"])]);
        fixture.settle();
        let message = CheckMessage { checks: vec![summary(verdict, 1, 0)], failure: None };
        end_in_admit(&mut fixture, code, &message.to_json());
        let (found, sentence, verdict) = failed(&mut fixture);
        assert_eq!((found.as_str(), verdict), (reason, Some(told)));
        assert!(sentence.contains("input \"raw\": rowCount is broken: there are 3 rows"), "{sentence}");
        let see = "; see: kubectl seatrial artifact get churn-c1/prepare/check.raw";
        assert!(sentence.ends_with(see), "{sentence}");
        let (_, stands) = fixture.stands();
        assert!(stands.ends_with(see), "{stands}");
        let check = &fixture.step("prepare").checks[0];
        assert_eq!((check.rows, check.broken.as_slice()), (Some(3), ["rowCount".to_owned()].as_slice()));
        assert!(check.report.as_ref().unwrap().starts_with("sha256:"));
        assert_eq!(fixture.jobs_created.len(), 1);
    }
}

#[test]
fn a_checker_that_crashes_or_says_nothing_admits_nothing() {
    let mut crashed = fixture(&[contract(10, "1.0.0", &["growth"])]);
    crashed.settle();
    crashed.pod(
        "prepare",
        json!({"phase": "Failed", "initContainerStatuses": [ended("seatrial-fetch", 0, ""), ended("seatrial-check", 137, "")]}),
    );
    crashed.end_job("prepare", json!({"type": "Failed", "status": "True", "message": "x"}));
    let (reason, message, verdict) = failed(&mut crashed);
    assert_eq!((reason.as_str(), verdict), ("CheckFailed", None));
    assert!(message.contains("killed for memory"), "{message}");
    let mut silent = fixture(&[contract(10, "1.0.0", &["growth"])]);
    silent.settle();
    end_in_admit(&mut silent, 71, "no JSON\u{1b}[2J");
    let (reason, message, _) = failed(&mut silent);
    assert_eq!(reason, "ContractBroken");
    assert!(!message.contains("see:"), "there is no report: {message}");
}

#[test]
fn good_data_let_the_step_run_and_the_version_names_the_contract() {
    let mut fixture = fixture(&[contract(10, "1.0.0", &["growth"])]);
    fixture.settle();
    let message = CheckMessage { checks: vec![summary(check::CheckVerdict::Passed, 0, 1)], failure: None };
    let (fetched, published) = messages();
    fixture.pod(
        "prepare",
        json!({"phase": "Succeeded",
               "initContainerStatuses": [ended("seatrial-fetch", 0, &fetched.to_json()), ended("seatrial-check", 0, ""),
                                         ended("seatrial-admit", 0, &message.to_json())],
               "containerStatuses": [ended("step", 0, ""), ended("seatrial-publish", 0, &published.to_json())]}),
    );
    fixture.end_job("prepare", json!({"type": "Complete", "status": "True"}));
    let told = plan(&fixture.observed, at(0)).events;
    assert_eq!(told.iter().map(|event| event.reason).collect::<Vec<_>>(), ["ContractWarning"]);
    fixture.settle();
    let step = fixture.step("prepare");
    assert_eq!((step.state, step.checks[0].verdict), (StepState::Succeeded, Some(CheckVerdict::Passed)));
    assert_eq!(step.reason.as_deref(), Some("ContractWarning"));
    assert_eq!(
        step.message.as_deref(),
        Some(
            "step \"prepare\": the data of its input \"raw\" break a rule of their contract that only warns: there are 3 rows; see: kubectl seatrial artifact get churn-c1/prepare/check.raw"
        )
    );
    fixture.succeed("train");
    fixture.settle();
    let lineage = fixture.observed.versions[0].spec.lineage.clone().unwrap();
    let named = &lineage.contracts[0];
    assert_eq!(
        (named.step.as_str(), named.input.as_str(), named.contract.as_str()),
        ("prepare", "raw", "billing/customers")
    );
    assert_eq!(
        (lineage.contracts.len(), named.revision.as_str()),
        (1, fixture.step("prepare").checks[0].revision.as_str())
    );
}

#[test]
fn nothing_is_started_unchecked() {
    // Nobody checks data here.
    let mut unchecked = fixture(&[contract(10, "1.0.0", &["growth"])]);
    Arc::make_mut(&mut unchecked.observed.platform).judge = None;
    unchecked.settle();
    assert_eq!((unchecked.step("prepare").reason.as_deref(), unchecked.jobs_created.len()), (Some("NoChecker"), 0));
    // Somebody deleted what the run pinned.
    let mut lost = fixture(&[contract(10, "1.0.0", &["growth"])]);
    lost.pass(usize::MAX);
    let pinned = lost.observed.pinned.clone();
    let begun = plan(&lost.observed, at(0)).status.unwrap();
    Arc::make_mut(&mut lost.observed.run).status = Some(begun);
    let run = Arc::make_mut(&mut lost.observed.run);
    for step in &mut run.status.as_mut().unwrap().steps {
        *step = step::pending(&step.name);
    }
    lost.observed.pinned = None;
    lost.settle();
    assert_eq!((lost.step("prepare").reason.as_deref(), lost.jobs_created.len()), (Some("ContractsLost"), 0));
    // A foreign object of the name is no pin.
    let mut foreign = fixture(&[contract(10, "1.0.0", &["growth"])]);
    let mut object = pinned.unwrap().as_ref().clone();
    object.metadata.owner_references = None;
    foreign.observed.pinned = Some(Arc::new(object));
    foreign.settle();
    assert_eq!((foreign.stands().0, foreign.jobs_created.len()), ("NameTaken", 0));
}

#[test]
fn what_pins_is_the_runs_own_and_goes_with_it() {
    let fixture = fixture(&[contract(10, "1.0.0", &["growth"])]);
    let plan = plan(&fixture.observed, at(0));
    let Some(Write::Create(Object::ControllerRevision(pinned))) = plan.writes().next().cloned() else {
        panic!("{plan:?}");
    };
    assert!(fixture.observed.run.metadata.uid.as_ref() == Some(&pinned.metadata.owner_references.unwrap()[0].uid));
    // It is none of the pipeline's revisions.
    assert!(!pinned.metadata.labels.unwrap().contains_key(seatrial_crds::names::PIPELINE_LABEL));
}
