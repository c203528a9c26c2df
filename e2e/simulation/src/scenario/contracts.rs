//! Data that have to keep a contract.

use serde_json::{Value, json};

use super::ends::{get, until};
use super::objects::own;
use super::{Action, NAMESPACE, Scenario};
use crate::api::{Key, Store};
use crate::models::pods::Fate;

/// A contract of the team's own data, which asks for so many rows.
fn contract(version: &str, rows: u32) -> Action {
    own(
        "DataContract",
        "customers",
        &json!({"contract": {
            "apiVersion": "v3.1.0", "kind": "DataContract", "id": "1", "version": version, "status": "active",
            "schema": [{"name": "customers", "quality": [{"metric": "rowCount", "mustBeGreaterThan": rows}],
                        "properties": [{"name": "id", "logicalType": "integer", "required": true}]}],
        }}),
    )
}

/// Two steps whose inputs keep one contract, and a version of what the second made.
fn pipeline_by_contract(first: &str) -> Action {
    let contract = json!({"name": "customers"});
    own(
        "MLPipeline",
        "churn",
        &json!({
            "image": "churn:1",
            "steps": [
                {"name": first, "command": ["prepare"],
                 "inputs": [{"name": "raw", "uri": "http://data/raw", "contract": contract}],
                 "outputs": [{"name": "train", "type": "Dataset"}]},
                {"name": "train", "command": ["train"],
                 "inputs": [{"name": "train", "from": {"step": first, "output": "train"}, "contract": contract}],
                 "outputs": [{"name": "model", "type": "Model"}]},
            ],
            "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"}}],
        }),
    )
}

/// A contract whose data are checked a minute, three and five minutes after the beginning, and then in a year. The time zone
/// is an hour ahead of UTC then.
fn scheduled_contract(version: &str, uri: &str) -> Action {
    own(
        "DataContract",
        "customers",
        &json!({
            "contract": {
                "apiVersion": "v3.1.0", "kind": "DataContract", "id": "1", "version": version, "status": "active",
                "schema": [{"name": "customers", "properties": [{"name": "id", "logicalType": "integer", "required": true}]}],
                "slaProperties": [{"property": "frequency", "value": 1, "unit": "d"}],
            },
            "check": {"schedule": {"cron": "1,3,5 9 15 1 *", "timeZone": "Europe/Berlin"},
                      "data": [{"schema": "customers", "uri": uri}]},
        }),
    )
}

/// The last of its times.
const LAST_CHECK: &str = "2027-01-15T08:05:00Z";

/// The first pods of checks fail, one is evicted; what is found then breaks the contract, and the last check finds the same data.
fn checked(step: &str, before: usize) -> Fate {
    match (step, before) {
        ("check", 0..=2) => Fate::Fails(1),
        ("check", 3) => Fate::Evicted,
        ("check", _) => Fate::Breaks,
        _ => Fate::Succeeds,
    }
}

/// What is missing until the last check was made and told.
fn last_check(store: &Store) -> Option<String> {
    let contract = store.get(&Key::new("DataContract", NAMESPACE, "customers"));
    let Some(contract) = contract else { return Some("there is no contract".to_owned()) };
    let status = &contract["status"];
    // An operator whose clock was ahead saw the schedule after its times.
    let is_too_late = status["schedule"]["since"].as_str().is_some_and(|since| since >= LAST_CHECK);
    let is_made = status["checks"][0]["scheduledAt"] == LAST_CHECK && status["checking"].is_null();
    let conditions = status["conditions"].as_array();
    let honoured = conditions.into_iter().flatten().find(|condition| condition["type"] == "Honoured");
    let is_told = honoured.is_some_and(|honoured| honoured["reason"] != "NotCheckedYet");
    let is_over = is_too_late || (is_made && is_told);
    (!is_over).then(|| format!("the last check is not made, or not told: {status}"))
}

/// A pipeline that runs for each change of the contract's data.
fn triggered_pipeline() -> Action {
    let contract = json!({"name": "customers"});
    own(
        "MLPipeline",
        "churn",
        &json!({
            "image": "churn:1",
            "steps": [{"name": "train", "command": ["train"],
                       "inputs": [{"name": "raw", "uri": "http://data/raw", "contract": contract}]}],
            "triggers": [{"name": "new-customers", "type": "Data", "data": {"contract": contract}}],
        }),
    )
}

/// The first pod of a check fails.
fn found_later(step: &str, before: usize) -> Fate {
    if step == "check" && before == 0 { Fate::Fails(1) } else { Fate::Succeeds }
}

/// What is missing until the last check was made, and the pipeline ran for what it found, and for nothing else.
fn each_change_once(store: &Store) -> Option<String> {
    if let Some(missing) = last_check(store) {
        return Some(missing);
    }
    let (contract, pipeline) = (get(store, "DataContract", "customers"), get(store, "MLPipeline", "churn"));
    let revision = pipeline["status"]["revision"].as_i64().unwrap_or(0);
    let name = format!("churn-c{revision}");
    if get(store, "MLPipelineRun", &name)["status"]["finishedAt"].is_null() {
        return Some(format!("the run {name} has not ended"));
    }
    let (since, newest) = (&contract["status"]["schedule"]["since"], &contract["status"]["checks"][0]);
    let table = &newest["tables"][0];
    let is_found = table["verdict"] == "Passed" && newest["scheduledAt"].as_str() > since.as_str();
    let borne = &pipeline["status"]["data"][0]["digest"];
    if is_found && *borne != table["digest"] {
        return Some(format!("the pipeline knows the data {borne}, and the contract found {}", table["digest"]));
    }
    // Where nobody knows what the first run read, there is one for the first data, too.
    (revision > 3).then(|| format!("two data started {revision} runs"))
}

/// The data of the step `broken` break their contract.
fn breaking(step: &str, _: usize) -> Fate {
    if step == "broken" { Fate::Breaks } else { Fate::Succeeds }
}

/// What is missing until a run checked all of its inputs by one revision of its contract, and its version names that.
fn one_revision(store: &Store) -> Option<String> {
    let run = store.get(&Key::new("MLPipelineRun", NAMESPACE, "churn-c1"))?;
    let checks: Vec<&Value> = run["status"]["steps"].as_array()?.iter().map(|step| &step["checks"][0]).collect();
    let is_passed = |check: &&Value| check["verdict"] == "Passed" || check["verdict"].is_null();
    let revisions: Vec<&Value> = checks.iter().map(|check| &check["revision"]).collect();
    let is_one = matches!(revisions.as_slice(), [one, other] if one == other && one.is_string());
    if !is_one || !checks.iter().all(is_passed) {
        return Some(format!("the run should have checked its inputs by one revision: {checks:?}"));
    }
    let version = store.get(&Key::new("ModelVersion", NAMESPACE, "churn-v1"))?;
    let named: Vec<&Value> =
        version["spec"]["lineage"]["contracts"].as_array().into_iter().flatten().map(|it| &it["revision"]).collect();
    (named != revisions).then(|| format!("the version should name what its data were checked by: {named:?}"))
}

/// What is missing until a step failed before its command, for its data.
fn never_started(store: &Store) -> Option<String> {
    let run = store.get(&Key::new("MLPipelineRun", NAMESPACE, "churn-c1"))?;
    let step = &run["status"]["steps"][0];
    // Where the pod was gone before it was read, only the Job is left to say that it failed.
    let is_told = step["reason"] == "ContractBroken" && step["checks"][0]["verdict"] == "Failed";
    (!is_told && step["reason"] != "JobFailed").then(|| format!("the data should have failed the step: {step}"))
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "contract",
            actions: vec![
                (0, pipeline_by_contract("prepare")),
                (5, contract("1.0.0", 1)),
                // In the middle of the run.
                (7, contract("2.0.0", 99)),
            ],
            fates: breaking,
            missing: |store| until(store, &[("churn-c1", true)], None).or_else(|| one_revision(store)),
            once: true,
        },
        Scenario {
            name: "broken-contract",
            actions: vec![(0, contract("1.0.0", 1)), (1, pipeline_by_contract("broken"))],
            fates: breaking,
            missing: |store| until(store, &[("churn-c1", false)], None).or_else(|| never_started(store)),
            once: false,
        },
        Scenario {
            name: "scheduled-check",
            // Other data are named while those of the first time are checked.
            actions: vec![
                (0, scheduled_contract("1.0.0", "http://data/old")),
                (66, scheduled_contract("1.0.0", "http://data/raw")),
            ],
            fates: checked,
            missing: last_check,
            once: false,
        },
        Scenario {
            name: "new-data",
            // The first run reads what the first check finds; then there are others.
            actions: vec![
                (0, scheduled_contract("1.0.0", "http://data/raw")),
                (1, triggered_pipeline()),
                (150, scheduled_contract("1.0.0", "http://data/new")),
            ],
            fates: found_later,
            missing: each_change_once,
            once: false,
        },
    ]
}
