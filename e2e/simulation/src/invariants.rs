//! What must hold whatever goes wrong, looked at whenever an object changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::api::{Change, ChangeType, Key, Store, by_kind};
use crate::faults::OPERATOR;
use crate::models::{has_condition, has_ended};

/// What was seen so far, and what of it should not have been.
#[derive(Debug, Default)]
pub struct Invariants {
    /// Whether several operators lead at once.
    leads_twice: bool,
    /// Whether no request is lost and no watch is late, unless an operator dies.
    is_calm: bool,
    violations: Vec<String>,
    /// Run UID, step, attempt and component of all Jobs, and who removed them.
    jobs: BTreeMap<String, Option<String>>,
    /// The UIDs of the runs that pods were made for, by the pods' UIDs: their Jobs may be gone.
    runs_of_pods: BTreeMap<String, Value>,
    /// Run UID and step of pods that ended well, and how many did.
    succeeded: BTreeMap<String, usize>,
    /// Run UID and model of all versions.
    versions: BTreeSet<String>,
    /// The ModelDeployments that served once.
    serving: BTreeSet<String>,
    /// Who created the Jobs that measure versions.
    creators: BTreeMap<Key, String>,
    /// The UIDs of the versions of which a judge ended well.
    judged: BTreeSet<String>,
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
                if let Some(remover) = identity(&change.new).and_then(|job| self.jobs.get_mut(&job)) {
                    *remover = Some(change.actor.clone());
                }
            }
            ("Pod", _) => self.pod(store, change),
            ("MLPipelineRun", ChangeType::Modified) => self.run(change),
            ("ModelVersion", ChangeType::Added) => self.version(change),
            ("ModelVersion", ChangeType::Modified) => self.judgement(change),
            ("Service", ChangeType::Added | ChangeType::Modified) => self.service(store, change),
            _ => {}
        }
    }

    fn violated(&mut self, change: &Change, what: &str) {
        self.violations.push(format!("{} by {}: {what}", change.key, change.actor));
    }

    fn job(&mut self, store: &Store, change: &Change) {
        let job = &change.new;
        let Some(owner) = controller(job) else { return };
        let (step, attempt) = (label(job, "seatrial.dev/step"), label(job, "seatrial.dev/attempt"));
        if let Some(identity) = identity(job) {
            // After its removal, a Job comes back only by the late write of an operator that died before, or of one that leads
            // beside the remover, or where a person removed it before its creator saw it.
            let before = self.jobs.insert(identity.clone(), None);
            let is_later = |remover: &str| {
                number_of(remover) > number_of(&change.actor) || (self.leads_twice && remover != change.actor)
            };
            let may_come_back = |remover: &String| !remover.starts_with(OPERATOR) || is_later(remover);
            if before.is_some_and(|remover| !remover.as_ref().is_some_and(may_come_back)) {
                self.violated(change, &format!("a second Job for {identity}"));
            }
        }
        let name = owner["name"].as_str().unwrap_or_default();
        if owner["kind"] == "ModelVersion" {
            self.judge(store, change, name, attempt.parse().unwrap_or(0));
            return;
        }
        let Some(run) = store.get(&Key::new("MLPipelineRun", &change.key.namespace, name)) else { return };
        if run["metadata"]["uid"] != owner["uid"] || label(job, "seatrial.dev/component") != "step" {
            return;
        }
        let recorded = run_step(run, step).map(|step| step["attempt"].as_u64().unwrap_or(0)).unwrap_or_default();
        if recorded < attempt.parse().unwrap_or(0) {
            self.violated(change, &format!("its attempt {attempt} is not recorded, but {recorded}"));
        }
        for needed in self.needs(store, change, run, step) {
            if run_step(run, &needed).is_none_or(|step| step["state"] != "Succeeded") {
                self.violated(change, &format!("step {step} starts before {needed}, which it needs, has ended well"));
            }
        }
    }

    /// A Job that measures a version: its attempt is recorded before it is created, and its creator has no other
    /// under way.
    fn judge(&mut self, store: &Store, change: &Change, version: &str, attempt: u64) {
        let owner = |job: &Value| controller(job).map(|owner| owner["uid"].clone());
        let goes_on = |job: &Value| !is_over(job) && job["metadata"]["deletionTimestamp"].is_null();
        let others = store
            .of_kind("Job")
            .filter(|(key, other)| **key != change.key && owner(other) == owner(&change.new) && goes_on(other));
        // The late write of an operator that died may add one, and so may a leader that does not see another yet, or whose
        // deletion of it was lost. It is deleted as soon as it is seen.
        let creator = |key: &Key| self.creators.get(key).map(String::as_str);
        let beside = others.map(|(key, _)| key).find(|key| creator(key) == Some(change.actor.as_str())).cloned();
        if let (Some(other), true) = (beside, self.is_calm) {
            self.violated(change, &format!("it measures beside {other}"));
        }
        self.creators.insert(change.key.clone(), change.actor.clone());
        let Some(version) = store.get(&Key::new("ModelVersion", &change.key.namespace, version)) else { return };
        let recorded = version["status"]["measuring"]["attempt"].as_u64().unwrap_or(0);
        if version["metadata"]["uid"] == owner(&change.new).unwrap_or_default() && recorded < attempt {
            self.violated(change, &format!("its attempt {attempt} is not recorded, but {recorded}"));
        }
    }

    /// A measurement comes of a judge that ended well, and no attempt to measure is left out.
    fn judgement(&mut self, change: &Change) {
        let (Some(old), new) = (&change.old, &change.new) else { return };
        let measured = |version: &Value| version["status"]["measurement"]["key"].clone();
        let uid = new["metadata"]["uid"].as_str().unwrap_or_default();
        if !measured(new).is_null() && measured(new) != measured(old) && !self.judged.contains(uid) {
            self.violated(change, "it has a measurement though no judge of it ended well");
        }
        let attempt = |version: &Value| version["status"]["measuring"]["attempt"].as_u64().unwrap_or(0);
        if attempt(new) > attempt(old) + 1 {
            self.violated(change, "an attempt to measure it is left out");
        }
    }

    /// The steps that a step needs, by the spec that its run pinned.
    fn needs(&mut self, store: &Store, change: &Change, run: &Value, step: &str) -> Vec<String> {
        let pipeline = run["spec"]["pipeline"].as_str().unwrap_or_default();
        let revision = format!("{pipeline}-c{}", run["status"]["revision"]);
        let Some(revision) = store.get(&Key::new("ControllerRevision", &change.key.namespace, &revision)) else {
            self.violated(change, &format!("the revision {revision} that its run pinned is not there"));
            return vec![];
        };
        let steps = revision["data"]["spec"]["steps"].as_array();
        let inputs = steps.into_iter().flatten().filter(|known| known["name"] == step);
        let inputs = inputs.flat_map(|step| step["inputs"].as_array().into_iter().flatten());
        inputs.filter_map(|input| input["from"]["step"].as_str().map(str::to_owned)).collect()
    }

    fn pod(&mut self, store: &Store, change: &Change) {
        let pod = &change.new;
        match label(pod, "seatrial.dev/component") {
            "step" => {
                let run =
                    |pod: &Value| format!("{}/{}", label(pod, "seatrial.dev/run"), label(pod, "seatrial.dev/step"));
                let own = run_of_pod(&self.runs_of_pods, store, pod);
                let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                self.runs_of_pods.entry(uid).or_insert_with(|| own.clone());
                let runs = |pod: &Value| pod["status"]["phase"] == "Running";
                if runs(pod) && change.old.as_ref().is_none_or(|old| !runs(old)) {
                    let mut others = store.of_kind("Pod").filter(|(key, other)| {
                        key.name != change.key.name
                            && key.namespace == change.key.namespace
                            && runs(other)
                            // Of two leaders, one may ask the store what an attempt made that the other has just begun.
                            && (!self.leads_twice || label(other, "seatrial.dev/component") == "step")
                            && run(other) == run(pod)
                            && run_of_pod(&self.runs_of_pods, store, other) == own
                    });
                    if let Some((other, _)) = others.next() {
                        let what = format!("it runs beside {other} of the same step");
                        self.violated(change, &what);
                    }
                }
                if is_done(pod) && !change.old.as_ref().is_some_and(|old| is_done(old)) {
                    *self.succeeded.entry(format!("{own} {}", run(pod))).or_default() += 1;
                }
            }
            "server" => self.serving(store, change),
            "judge" if pod["status"]["phase"] == "Succeeded" => {
                let job = controller(pod).and_then(|owner| owner["name"].as_str()).unwrap_or_default();
                let job = store.get(&Key::new("Job", &change.key.namespace, job));
                let version = job.and_then(|job| controller(job)).and_then(|owner| owner["uid"].as_str());
                self.judged.extend(version.map(str::to_owned));
            }
            _ => {}
        }
    }

    fn run(&mut self, change: &Change) {
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
            let done = format!("{} {}/{name}", new["metadata"]["uid"], change.key.name);
            if step["state"] == "Succeeded" && was != "Succeeded" && !self.succeeded.contains_key(&done) {
                self.violated(change, &format!("no pod of step {name} ended well"));
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

    /// A ModelDeployment that served goes on serving: its Service has a pod that is ready.
    fn serving(&mut self, store: &Store, change: &Change) {
        let name = label(&change.new, "seatrial.dev/deployment").to_owned();
        self.served(store, change, &name);
    }

    fn service(&mut self, store: &Store, change: &Change) {
        let name = label(&change.new, "seatrial.dev/deployment").to_owned();
        self.served(store, change, &name);
    }

    fn served(&mut self, store: &Store, change: &Change, name: &str) {
        let namespace = &change.key.namespace;
        let wanted = store.get(&Key::new("ModelDeployment", namespace, name));
        if wanted.is_none_or(|wanted| !wanted["metadata"]["deletionTimestamp"].is_null()) {
            self.serving.remove(name);
            return;
        }
        let Some(service) = store.get(&Key::new("Service", namespace, name)) else { return };
        let selector = service["spec"]["selector"].as_object();
        let selects = |pod: &Value| {
            selector.is_some_and(|terms| terms.iter().all(|(key, value)| &pod["metadata"]["labels"][key] == value))
        };
        let serves = store.of_kind("Pod").any(|(key, pod)| {
            &key.namespace == namespace
                && selects(pod)
                && has_condition(pod, "Ready")
                && pod["metadata"]["deletionTimestamp"].is_null()
        });
        if serves {
            self.serving.insert(name.to_owned());
        } else if self.serving.remove(name) && (self.is_calm || !self.leads_twice) {
            // Two leaders whose caches are late, each of another kind, may lead a Service back to servers that the other deletes.
            self.violated(change, &format!("nothing serves for {name} any more"));
        }
    }

    /// What must hold at the end, once every run has ended.
    pub fn at_the_end(&mut self, store: &Store) {
        self.violations.extend(left_over(store));
    }

    /// Something could not be looked at: that is no success.
    pub fn not_looked_at(&mut self, what: &str) {
        self.violations.push(format!("not looked at: {what}"));
    }

    /// The changes that operators made in a time in which nothing happened.
    pub fn quiet(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| is_written_by_an_operator(change)).take(5) {
            self.violations.push(format!("{} by {}: written in an hour without an event", change.key, change.actor));
        }
    }
}

/// Whether an operator made a change that is not the renewal of its lease.
pub fn is_written_by_an_operator(change: &Change) -> bool {
    change.actor.starts_with(OPERATOR) && change.key.kind != "Lease"
}

/// What has not come to its end: runs, and the Jobs and pods of runs and of judges.
pub fn left_over(store: &Store) -> Vec<String> {
    let mut left = vec![];
    for (key, job) in store.of_kind("Job") {
        let owner = controller(job).and_then(|owner| {
            let resource = by_kind(owner["kind"].as_str()?)?;
            store.get(&Key::new(resource.kind, &key.namespace, owner["name"].as_str()?))
        });
        if owner.is_none() || !is_over(job) {
            left.push(format!("{key} is left over at the end"));
        }
    }
    let works = |pod: &Value| ["step", "judge"].contains(&label(pod, "seatrial.dev/component"));
    for (key, pod) in store.of_kind("Pod").filter(|(_, pod)| works(pod)) {
        if !has_ended(pod) {
            left.push(format!("{key} lives at the end"));
        } else if controller(pod).is_none() {
            left.push(format!("{key} belongs to nobody at the end"));
        }
    }
    for (key, run) in store.of_kind("MLPipelineRun") {
        if run["status"]["finishedAt"].is_null() {
            left.push(format!("{key} has not ended"));
        }
    }
    left
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

/// What a Job is for: run UID, step, attempt and component; version UID and name for one that measures.
fn identity(job: &Value) -> Option<String> {
    let owner = controller(job)?;
    let (step, attempt) = (label(job, "seatrial.dev/step"), label(job, "seatrial.dev/attempt"));
    // The store may be asked more than once what an attempt made, and a version be measured for another Model: each question
    // has a name of its own.
    let role = match label(job, "seatrial.dev/component") {
        role @ ("recover" | "judge") => format!("{role} {}", job["metadata"]["name"].as_str().unwrap_or_default()),
        role => role.to_owned(),
    };
    Some(format!("{} {step} {attempt} {role}", owner["uid"]))
}

/// The number of an operator, which counts those before it.
fn number_of(operator: &str) -> Option<u64> {
    operator.rsplit('-').next()?.parse().ok()
}

/// Whether a pod of a step has ended well, whatever else somebody injected goes on in it.
fn is_done(pod: &Value) -> bool {
    let containers = pod["status"]["containerStatuses"].as_array();
    let ended = |name: &str| {
        containers.into_iter().flatten().any(|container| {
            container["name"] == name && container["state"]["terminated"]["exitCode"].as_i64() == Some(0)
        })
    };
    ended("step") && ended("seatrial-publish")
}

/// The UID of the run whose Job a pod belongs to, as JSON; `known` has it by the pods' UIDs.
fn run_of_pod(known: &BTreeMap<String, Value>, store: &Store, pod: &Value) -> Value {
    if let Some(run) = pod["metadata"]["uid"].as_str().and_then(|uid| known.get(uid)) {
        return run.clone();
    }
    let job = controller(pod).and_then(|owner| owner["name"].as_str()).unwrap_or_default();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let job: Option<&Arc<Value>> = store.get(&Key::new("Job", namespace, job));
    job.and_then(|job| controller(job)).map(|owner| owner["uid"].clone()).unwrap_or_default()
}
