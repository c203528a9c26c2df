//! What must hold whatever goes wrong, looked at whenever an object changes.

mod at_rest;
mod jobs;
mod pods;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use seatrial_crds::names::{DATA_ANNOTATION, TRIGGER_ANNOTATION};
use serde_json::Value;

pub use at_rest::left_over;

use crate::api::{Change, ChangeType, Key, Store};
use crate::faults::OPERATOR;
use crate::models::has_condition;

/// The reasons of steps that pods alone can give.
const BY_PODS: [&str; 4] = ["CommandFailed", "CommandNotFound", "Timeout", "ContractBroken"];

/// What was seen so far, and what of it should not have been.
#[derive(Debug, Default)]
pub struct Invariants {
    /// Whether several operators lead at once.
    leads_twice: bool,
    /// Whether no request is lost and no watch is late, unless an operator dies.
    is_calm: bool,
    violations: Vec<String>,
    /// All Jobs by run UID, step, attempt and component.
    jobs: BTreeMap<String, jobs::Made>,
    /// The UIDs of the runs that pods were made for, by the pods' UIDs: their Jobs may be gone.
    runs_of_pods: BTreeMap<String, Value>,
    /// Run UID and step of pods that ended well, and how many did.
    succeeded: BTreeMap<String, usize>,
    /// Run UID and step of pods that failed.
    failed: BTreeSet<String>,
    /// Run UID and model of all versions.
    versions: BTreeSet<String>,
    /// The ModelDeployments that served once.
    serving: BTreeSet<String>,
    /// Who created the Jobs that measure versions.
    creators: BTreeMap<Key, String>,
    /// The UIDs of the versions of which a judge ended well.
    judged: BTreeSet<String>,
    /// The UIDs of the versions whose champion was evaluated well.
    dueled: BTreeSet<String>,
    /// The greatest attempt at a check that each contract, by its UID, had on record.
    checking: BTreeMap<String, u64>,
    /// The UIDs of the contracts of which a check ended well.
    reported: BTreeSet<String>,
    /// The revisions that people deleted.
    taken_away: BTreeSet<Key>,
}

impl Invariants {
    /// Nothing was seen so far. `leads_twice`: several operators lead at once. `is_calm`: no request is lost and no watch is
    /// late, unless an operator dies.
    pub fn new(leads_twice: bool, is_calm: bool) -> Self {
        Self { leads_twice, is_calm, ..Self::default() }
    }

    /// What was violated.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The steps that more than one pod did to its end.
    pub fn repeated(&self) -> Vec<String> {
        self.succeeded.iter().filter(|(_, count)| **count > 1).map(|(step, count)| format!("{step}: {count}")).collect()
    }

    /// Looks at a change.
    pub fn observe(&mut self, store: &Store, change: &Change) {
        match (change.key.kind, change.kind) {
            ("Job", ChangeType::Added) => self.job(store, change),
            ("Job", ChangeType::Deleted) => {
                if let Some(made) = jobs::identity(&change.new).and_then(|job| self.jobs.get_mut(&job)) {
                    made.remover = Some(change.actor.clone());
                }
            }
            ("ControllerRevision", ChangeType::Deleted) if !change.actor.starts_with(OPERATOR) => {
                self.taken_away.insert(change.key.clone());
            }
            ("ControllerRevision", ChangeType::Added) => self.new_data(store, change),
            ("Pod", _) => self.pod(store, change),
            ("MLPipelineRun", ChangeType::Modified) => self.run(store, change),
            ("ModelVersion", ChangeType::Added) => self.version(change),
            ("ModelVersion", ChangeType::Modified) => self.judgement(change),
            ("DataContract", ChangeType::Modified) => self.checked(change),
            ("Service", ChangeType::Added | ChangeType::Modified) => self.service(store, change),
            _ => {}
        }
    }

    fn violated(&mut self, change: &Change, what: &str) {
        self.violations.push(format!("{} by {}: {what}", change.key, change.actor));
    }

    /// A change that new data started is made for others than the one before.
    fn new_data(&mut self, store: &Store, change: &Change) {
        let annotation = |object: Option<&Value>, name: &str| {
            object.map(|object| object["metadata"]["annotations"][name].clone()).unwrap_or_default()
        };
        let run = store.get(&Key::new("MLPipelineRun", &change.key.namespace, &change.key.name)).map(AsRef::as_ref);
        if annotation(run, TRIGGER_ANNOTATION).is_null() {
            return;
        }
        let number = change.new["revision"].as_i64().unwrap_or(0);
        let before = format!("{}-c{}", label(&change.new, "seatrial.dev/pipeline"), number - 1);
        let before = store.get(&Key::new("ControllerRevision", &change.key.namespace, &before)).map(AsRef::as_ref);
        if annotation(before, DATA_ANNOTATION) == annotation(Some(&change.new), DATA_ANNOTATION) {
            self.violated(change, "new data started it, and they are those of the change before");
        }
    }

    fn run(&mut self, store: &Store, change: &Change) {
        let (Some(old), new) = (&change.old, &change.new) else { return };
        let has_ended = |run: &Value| !run["status"]["finishedAt"].is_null();
        if has_ended(old) && old["status"] != new["status"] {
            self.violated(change, "its status changes though it has ended");
        }
        for step in new["status"]["steps"].as_array().into_iter().flatten() {
            let name = step["name"].as_str().unwrap_or_default();
            let before = run_step(old, name);
            let was = before.map(|step| step["state"].clone()).unwrap_or_default();
            if was == "Succeeded" && step["state"] != "Succeeded" {
                self.violated(change, &format!("step {name} had ended well"));
            }
            let is_done = self.is_done(store, &new["metadata"]["uid"], name);
            if step["state"] == "Succeeded" && was != "Succeeded" && !is_done {
                self.violated(change, &format!("no pod of step {name} ended well"));
            }
            let by_pod = step["reason"].as_str().is_some_and(|reason| BY_PODS.contains(&reason));
            let of_step = format!("{} {}/{name}", new["metadata"]["uid"], change.key.name);
            if step["state"] == "Failed" && was != "Failed" && by_pod && !self.failed.contains(&of_step) {
                self.violated(change, &format!("no pod of step {name} failed, but it says {}", step["reason"]));
            }
            if step["attempt"].as_u64() < before.and_then(|step| step["attempt"].as_u64()) {
                self.violated(change, &format!("step {name} goes back to an earlier attempt"));
            }
            let attempts = |step: Option<&Value>| step.and_then(|step| step["attempt"].as_u64()).unwrap_or(0);
            if attempts(Some(step)) > attempts(before) + 1 {
                self.violated(change, &format!("step {name} leaves an attempt out"));
            }
        }
        let steps = new["status"]["steps"].as_array();
        let all = steps.into_iter().flatten().all(|step| step["state"] == "Succeeded");
        if has_condition(new, "Succeeded") && !all {
            self.violated(change, "it succeeded though not all steps did");
        }
    }

    fn version(&mut self, change: &Change) {
        let spec = &change.new["spec"];
        if spec["lineage"]["runUID"].is_null() {
            return;
        }
        let made = format!("{} {}", spec["lineage"]["runUID"], spec["model"]);
        if !self.versions.insert(made.clone()) {
            self.violated(change, &format!("a second version of run and model {made}"));
        }
    }

    /// What must hold at the end, once every run has ended.
    pub fn at_the_end(&mut self, store: &Store) {
        let is_done = |run: &Value, step: &str| self.is_done(store, run, step);
        let contradictions = at_rest::contradictions(store, &is_done);
        self.violations.extend(left_over(store).into_iter().chain(contradictions));
    }

    /// Whether a step of a run, by its UID, was done: a pod of it ended well, or the store has what one made that nobody
    /// heard of.
    fn is_done(&self, store: &Store, run: &Value, step: &str) -> bool {
        let by_pod = self.succeeded.keys().any(|done| {
            done.strip_prefix(&format!("{run} "))
                .is_some_and(|rest| rest.split_once('/').is_some_and(|it| it.1 == step))
        });
        by_pod || store.records.keys().any(|key| key.starts_with(&format!("{run}/\"{step}\"/")))
    }

    /// Something could not be looked at: that is no success.
    pub fn not_looked_at(&mut self, what: &str) {
        self.violations.push(format!("not looked at: {what}"));
    }

    /// Operators wrote an object so often at most in an hour in which nothing happened.
    pub fn quiet(&mut self, changes: &[Change], times: usize) {
        let mut written = BTreeMap::<&Key, usize>::new();
        for change in changes.iter().filter(|change| is_written_by_an_operator(change)) {
            *written.entry(&change.key).or_default() += 1;
        }
        for (key, count) in written.into_iter().filter(|(_, count)| *count > times) {
            self.violations.push(format!("{key}: written {count} times in an hour without an event"));
        }
    }
}

/// Whether an operator made a change that is not the renewal of its lease.
fn is_written_by_an_operator(change: &Change) -> bool {
    change.actor.starts_with(OPERATOR) && change.key.kind != "Lease"
}

/// For how long after its request a pod that was told to end counts as one that may still do something.
const NODE_LOST: i64 = 300;

/// Whether a pod was told to end so long ago that its node must be lost.
fn is_lost(pod: &Value, now: Timestamp) -> bool {
    let metadata = &pod["metadata"];
    let gone_by = metadata["deletionTimestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let asked = gone_by.map(|at| at.as_second() - metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0));
    asked.is_some_and(|asked| now.as_second() - asked >= NODE_LOST)
}

fn is_over(job: &Value) -> bool {
    has_condition(job, "Complete") || has_condition(job, "Failed")
}

fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["labels"][name].as_str().unwrap_or_default()
}

fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

fn run_step<'a>(run: &'a Value, name: &str) -> Option<&'a Value> {
    run["status"]["steps"].as_array()?.iter().find(|step| step["name"] == name)
}
