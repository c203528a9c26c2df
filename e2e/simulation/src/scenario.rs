//! What people do, what becomes of the pods, and what must have come of it in the end.

use serde_json::{Value, json};

use crate::api::{Api, Deletion, Key, Store, by_kind};
use crate::models::has_condition;
use crate::models::pods::Fate;

/// The namespace of all that a scenario makes.
pub const NAMESPACE: &str = "growth";

/// What a person does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Creates an object, or changes its spec.
    Apply(Value),
    /// Deletes an object.
    Delete(&'static str, &'static str),
    /// Deletes an object, and creates it again from a file that says everything but its status, as backups do.
    Restore(&'static str, &'static str),
}

/// A scenario.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What people do, at which second.
    pub actions: Vec<(u64, Action)>,
    /// How the pods of a step end, by the number of pods that it had before.
    pub fates: fn(&str, usize) -> Fate,
    /// What is still missing of its end.
    pub missing: fn(&Store) -> Option<String>,
    /// Whether each step is done by one pod alone, where no reply of the pods' own is lost.
    pub once: bool,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Action {
    /// Does it.
    pub fn carry_out(&self, api: &Api) {
        match self {
            Self::Apply(object) => apply(api, object),
            Self::Delete(kind, name) => {
                let Some(resource) = by_kind(kind) else { return };
                let key = Key::new(resource.kind, NAMESPACE, name);
                let how = Deletion { propagation: "Background".into(), ..Deletion::default() };
                let _ = api.change("person", |store| store.delete(resource, &key, &how));
            }
            Self::Restore(kind, name) => {
                let Some(resource) = by_kind(kind) else { return };
                let key = Key::new(resource.kind, NAMESPACE, name);
                let how = Deletion { propagation: "Background".into(), ..Deletion::default() };
                let _ = api.change("person", |store| {
                    let Some(object) = store.get(&key).cloned() else { return Ok(()) };
                    let mut copy = json!({"apiVersion": object["apiVersion"], "kind": kind, "spec": object["spec"]});
                    for field in ["name", "labels", "annotations"] {
                        copy["metadata"][field] = object["metadata"][field].clone();
                    }
                    store.delete(resource, &key, &how)?;
                    store.create(resource, NAMESPACE, copy).map(|_| ())
                });
            }
        }
    }
}

fn apply(api: &Api, object: &Value) {
    let Some(resource) = object["kind"].as_str().and_then(by_kind) else { return };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let key = Key::new(resource.kind, NAMESPACE, name);
    let _ = api.change("person", |store| match store.get(&key) {
        None => store.create(resource, NAMESPACE, object.clone()),
        Some(_) => store.merge(resource, &key, &json!({"spec": object["spec"]}), false),
    });
}

fn own(kind: &str, name: &str, spec: &Value) -> Action {
    Action::Apply(
        json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}),
    )
}

/// Two steps, the second of which trains, and a version of what it made.
fn pipeline(image: &str) -> Action {
    own(
        "MLPipeline",
        "churn",
        &json!({
            "image": image,
            "steps": [
                {"name": "prepare", "command": ["prepare"], "inputs": [{"name": "raw", "uri": "http://data/raw"}],
                 "outputs": [{"name": "train", "type": "Dataset"}]},
                {"name": "train", "command": ["train"], "retry": {"limit": 2},
                 "inputs": [{"name": "train", "from": {"step": "prepare", "output": "train"}}],
                 "outputs": [{"name": "model", "type": "Model"}, {"name": "metrics", "type": "Metrics"}]},
            ],
            "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                           "evidence": [{"step": "train", "output": "metrics"}]}],
        }),
    )
}

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

fn model() -> Action {
    own(
        "Model",
        "churn",
        &json!({
            "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "Find who leaves", "uses": ["Realtime"],
            "errorCosts": {"notApplicable": {"reason": "x"}}, "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
            "gates": [{"name": "good", "type": "Metric", "metric": {"name": "auc", "min": "0.8"}}],
        }),
    )
}

/// One step that scores, a version of what it made, and costs by which the version is judged.
fn judged() -> Vec<(u64, Action)> {
    let pipeline = own(
        "MLPipeline",
        "churn",
        &json!({
            "image": "churn:1",
            "steps": [{"name": "train", "command": ["train"], "inputs": [{"name": "raw", "uri": "http://data/raw"}],
                       "outputs": [{"name": "model", "type": "Model"}, {"name": "scored", "type": "Predictions"}]}],
            "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                           "evidence": [{"step": "train", "output": "scored"}]}],
        }),
    );
    let model = |miss: &str, label: &str| {
        own(
            "Model",
            "churn",
            &json!({
                "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "Find who leaves", "uses": ["Realtime"],
                "task": {"type": "BinaryClassification", "positiveLabel": "1"},
                "evaluation": {"uri": "http://data/labels.csv", "id": "customer", "label": label},
                "errorCosts": {"falsePositive": "1", "falseNegative": miss, "unit": "EUR", "prevalence": "0.07", "statusQuo": "FlagNone"},
                "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
            }),
        )
    };
    // Another cost measures nothing again; another label does, also while a Job goes on that measures by the former.
    vec![
        (0, model("20", "churned")),
        (0, deployment()),
        (1, pipeline),
        (12, model("20", "moved")),
        (40, model("30", "moved")),
        (200, model("30", "left")),
    ]
}

/// The first Job that measures fails by its pods, and a pod of the second is evicted.
fn unmeasured(step: &str, before: usize) -> Fate {
    match (step, before) {
        ("judge", 0..=2) => Fate::Fails(1),
        ("judge", 3) => Fate::Evicted,
        _ => Fate::Succeeds,
    }
}

/// What is missing until version 1 of the model is judged by these labels.
fn judgement(store: &Store, label: &str) -> Option<String> {
    let version = store.get(&Key::new("ModelVersion", NAMESPACE, "churn-v1"));
    let Some(version) = version else { return Some("there is no version churn-v1".to_owned()) };
    let status = &version["status"];
    if !status["measuring"].is_null() || status["measurement"]["key"].is_null() || !has_condition(version, "Passed") {
        return Some(format!("churn-v1 is not judged, but {status}"));
    }
    let model = store.get(&Key::new("Model", NAMESPACE, "churn"));
    let is_newest = model.is_some_and(|model| model["spec"]["evaluation"]["label"] == label);
    (!is_newest).then(|| format!("the labels are not \"{label}\" yet"))
}

fn deployment() -> Action {
    own("ModelDeployment", "churn", &json!({"model": "churn", "server": {"image": "server:1", "port": 8080}}))
}

fn run(name: &str) -> Action {
    own("MLPipelineRun", name, &json!({"pipeline": "churn"}))
}

fn well(_: &str, _: usize) -> Fate {
    Fate::Succeeds
}

/// The first pods of `train` come to grief: one fails, one is evicted.
fn troubled(step: &str, before: usize) -> Fate {
    match (step, before) {
        ("train", 0) => Fate::Fails(1),
        ("train", 1) => Fate::Evicted,
        _ => Fate::Succeeds,
    }
}

fn hopeless(step: &str, _: usize) -> Fate {
    if step == "train" { Fate::Fails(3) } else { Fate::Succeeds }
}

/// Somebody injects a container that never ends into the pods of `train`.
fn injected(step: &str, _: usize) -> Fate {
    if step == "train" { Fate::Lingers } else { Fate::Succeeds }
}

/// What is missing until these runs have ended so, and this version is served.
fn until(store: &Store, runs: &[(&str, bool)], served: Option<&str>) -> Option<String> {
    for (name, well) in runs {
        let Some(run) = store.get(&Key::new("MLPipelineRun", NAMESPACE, name)) else {
            return Some(format!("there is no run {name}"));
        };
        if run["status"]["finishedAt"].is_null() {
            return Some(format!("run {name} has not ended"));
        }
        if has_condition(run, "Succeeded") != *well {
            return Some(format!("run {name} should have ended {}", if *well { "well" } else { "badly" }));
        }
    }
    let version = served?;
    let bundle = store.get(&Key::new("ConfigMap", NAMESPACE, "seatrial-trust-bundle"));
    if bundle.is_none_or(|bundle| bundle["data"]["ca.crt"] != "pem") {
        return Some("the namespace does not say whom agents trust".to_owned());
    }
    let service = store.get(&Key::new("Service", NAMESPACE, "churn"));
    let found = service.and_then(|service| service["metadata"]["labels"]["seatrial.dev/version"].as_str());
    if found != Some(version) {
        return Some(format!("{version} is not served, but {}", found.unwrap_or("nothing")));
    }
    let deployment = store.get(&Key::new("ModelDeployment", NAMESPACE, "churn"));
    deployment
        .is_none_or(|deployment| !has_condition(deployment, "Ready"))
        .then(|| "the ModelDeployment is not ready".to_owned())
}

/// All scenarios: together they use every feature.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "release",
            actions: vec![(0, model()), (0, deployment()), (1, pipeline("churn:1"))],
            fates: well,
            missing: |store| until(store, &[("churn-c1", true)], Some("churn-v1")),
            once: true,
        },
        Scenario {
            name: "change",
            actions: vec![(0, pipeline("churn:1")), (0, model()), (0, deployment()), (60, pipeline("churn:2"))],
            fates: well,
            missing: |store| until(store, &[("churn-c1", true), ("churn-c2", true)], Some("churn-v2")),
            once: true,
        },
        Scenario {
            name: "retries",
            actions: vec![(0, pipeline("churn:1"))],
            fates: troubled,
            missing: |store| until(store, &[("churn-c1", true)], None),
            once: true,
        },
        Scenario {
            name: "failure",
            actions: vec![(0, pipeline("churn:1"))],
            fates: hopeless,
            missing: |store| until(store, &[("churn-c1", false)], None),
            once: false,
        },
        Scenario {
            name: "injected",
            actions: vec![(0, pipeline("churn:1"))],
            fates: injected,
            missing: |store| until(store, &[("churn-c1", true)], None),
            once: true,
        },
        Scenario {
            name: "by-hand",
            actions: vec![(0, pipeline("churn:1")), (2, run("one")), (2, run("two")), (40, pipeline("churn:2"))],
            fates: well,
            missing: |store| {
                until(store, &[("churn-c1", true), ("one", true), ("two", true), ("churn-c2", true)], None)
            },
            once: true,
        },
        Scenario {
            name: "deletions",
            actions: vec![
                (0, pipeline("churn:1")),
                (1, run("one")),
                (4, Action::Delete("MLPipelineRun", "one")),
                (90, Action::Delete("MLPipeline", "churn")),
                (100, pipeline("churn:2")),
            ],
            fates: well,
            missing: |store| until(store, &[("churn-c2", true)], None),
            once: true,
        },
        Scenario {
            name: "restored-run",
            actions: vec![
                (0, pipeline("churn:1")),
                (0, model()),
                (0, deployment()),
                (60, pipeline("churn:2")),
                (700, Action::Restore("MLPipelineRun", "churn-c1")),
            ],
            fates: well,
            missing: |store| {
                let runs = [("churn-c1", false), ("churn-c2", true)];
                until(store, &runs, Some("churn-v2")).or_else(|| {
                    let run = store.get(&Key::new("MLPipelineRun", NAMESPACE, "churn-c1"))?;
                    let is_restored = run["status"].to_string().contains("\"Restored\"");
                    (!is_restored).then(|| "churn-c1 should have ended as Restored".to_owned())
                })
            },
            once: true,
        },
        Scenario {
            name: "restored-pipeline",
            actions: vec![
                (0, pipeline("churn:1")),
                (0, model()),
                (0, deployment()),
                (200, Action::Restore("MLPipeline", "churn")),
                (260, pipeline("churn:2")),
            ],
            fates: well,
            missing: |store| {
                until(store, &[("churn-c2", true)], Some("churn-v2")).or_else(|| {
                    let third = store.get(&Key::new("MLPipelineRun", NAMESPACE, "churn-c3"));
                    third.map(|_| "the restored pipeline started a run".to_owned())
                })
            },
            once: true,
        },
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
            name: "judged",
            actions: judged(),
            fates: unmeasured,
            missing: |store| until(store, &[("churn-c1", true)], Some("churn-v1")).or_else(|| judgement(store, "left")),
            once: true,
        },
    ]
}
