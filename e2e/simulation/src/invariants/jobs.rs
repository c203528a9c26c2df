//! Jobs: one for each purpose, recorded before it is created, and none before what it needs.

use serde_json::Value;

use super::{Invariants, controller, is_over, label, run_step};
use crate::api::{Change, Key, Store};
use crate::faults::OPERATOR;

/// A Job that was made for a purpose.
#[derive(Debug)]
pub(super) struct Made {
    /// Who created it.
    creator: String,
    /// Who removed it, if it was removed.
    pub(super) remover: Option<String>,
}

impl Invariants {
    pub(super) fn job(&mut self, store: &Store, change: &Change) {
        let job = &change.new;
        let Some(owner) = controller(job) else { return };
        let (step, attempt) = (label(job, "seatrial.dev/step"), label(job, "seatrial.dev/attempt"));
        if let Some(identity) = identity(job) {
            // After its removal, a Job comes back only by the late write of an operator that died before, or of one that leads
            // beside the remover, or where a person removed it before its creator saw it. What one of two leaders created, the
            // other may remove as a stray, before it comes to want the same.
            let before = self.jobs.insert(identity.clone(), Made { creator: change.actor.clone(), remover: None });
            let is_of_another = |actor: &str| self.leads_twice && actor != change.actor;
            let may_come_back = |made: &Made| {
                made.remover.as_ref().is_some_and(|remover| {
                    !remover.starts_with(OPERATOR)
                        || number_of(remover) > number_of(&change.actor)
                        || is_of_another(remover)
                        || is_of_another(&made.creator)
                })
            };
            if before.is_some_and(|made| !may_come_back(&made)) {
                self.violated(change, &format!("a second Job for {identity}"));
            }
        }
        let name = owner["name"].as_str().unwrap_or_default();
        if owner["kind"] == "ModelVersion" {
            self.judge(store, change, name, attempt.parse().unwrap_or(0));
            return;
        }
        if owner["kind"] == "DataContract" {
            self.check(store, change, name, attempt.parse().unwrap_or(0));
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

    /// A Job that measures a version, or evaluates its champion: its attempt is recorded before it is created, and its creator
    /// has no other under way.
    fn judge(&mut self, store: &Store, change: &Change, version: &str, attempt: u64) {
        self.alone(store, change, "measures");
        let owner = controller(&change.new).map(|owner| owner["uid"].clone()).unwrap_or_default();
        let Some(version) = store.get(&Key::new("ModelVersion", &change.key.namespace, version)) else { return };
        if label(&change.new, "seatrial.dev/component") == "duel" && version["status"]["duel"]["champion"].is_null() {
            self.violated(change, "it evaluates a champion that is not on record");
        }
        let recorded = version["status"]["measuring"]["attempt"].as_u64().unwrap_or(0);
        if version["metadata"]["uid"] == owner && recorded < attempt {
            self.violated(change, &format!("its attempt {attempt} is not recorded, but {recorded}"));
        }
    }

    /// A Job that checks a contract's data: the same.
    fn check(&mut self, store: &Store, change: &Change, contract: &str, attempt: u64) {
        self.alone(store, change, "checks");
        let owner = controller(&change.new).map(|owner| owner["uid"].clone()).unwrap_or_default();
        let Some(contract) = store.get(&Key::new("DataContract", &change.key.namespace, contract)) else { return };
        // What a late write of a dead leader asks for may have ended since, or be asked for no longer.
        let recorded = owner.as_str().and_then(|uid| self.checking.get(uid)).copied().unwrap_or(0);
        if contract["metadata"]["uid"] == owner && recorded < attempt {
            self.violated(change, &format!("its attempt {attempt} is not recorded, but {recorded}"));
        }
    }

    /// A creator has no other Job of the same owner under way.
    fn alone(&mut self, store: &Store, change: &Change, does: &str) {
        let owner = |job: &Value| controller(job).map(|owner| owner["uid"].clone());
        let goes_on = |job: &Value| !is_over(job) && job["metadata"]["deletionTimestamp"].is_null();
        // A Job whose pod has ended well is over, though the Job controller says so a moment later.
        let has_ended_well = |key: &Key| {
            let mut pods = store.of_kind("Pod").filter(|(_, pod)| pod["status"]["phase"] == "Succeeded");
            pods.any(|(_, pod)| controller(pod).is_some_and(|owner| owner["name"] == key.name.as_str()))
        };
        let others = store
            .of_kind("Job")
            .filter(|(key, other)| **key != change.key && owner(other) == owner(&change.new) && goes_on(other))
            .filter(|(key, _)| !has_ended_well(key));
        // The late write of an operator that died may add one, and so may a leader that does not see another yet, or whose
        // deletion of it was lost. It is deleted as soon as it is seen.
        let creator = |key: &Key| self.creators.get(key).map(String::as_str);
        let beside = others.map(|(key, _)| key).find(|key| creator(key) == Some(change.actor.as_str())).cloned();
        if let (Some(other), true) = (beside, self.is_calm) {
            self.violated(change, &format!("it {does} beside {other}"));
        }
        self.creators.insert(change.key.clone(), change.actor.clone());
    }

    /// What a contract's own schedule found comes of a check that ended well, and each time is made up for once.
    pub(super) fn checked(&mut self, change: &Change) {
        let (Some(old), new) = (&change.old, &change.new) else { return };
        let newest = |contract: &Value| contract["status"]["checks"][0].clone();
        let uid = new["metadata"]["uid"].as_str().unwrap_or_default();
        let attempt = new["status"]["checking"]["attempt"].as_u64().unwrap_or(0);
        let most = self.checking.entry(uid.to_owned()).or_default();
        *most = attempt.max(*most);
        let (before, now) = (newest(old), newest(new));
        if before == now || now.is_null() {
            return;
        }
        if !now["tables"][0].is_null() && !self.reported.contains(uid) {
            self.violated(change, "it says what its data are though no check of it ended well");
        }
        // Of one form: later is greater.
        if now["scheduledAt"].as_str() <= before["scheduledAt"].as_str() {
            self.violated(change, "a time of its schedule is made up for twice");
        }
    }

    /// A measurement comes of a judge that ended well, and no attempt to measure is left out.
    pub(super) fn judgement(&mut self, change: &Change) {
        let (Some(old), new) = (&change.old, &change.new) else { return };
        let measured = |version: &Value| version["status"]["measurement"]["key"].clone();
        let uid = new["metadata"]["uid"].as_str().unwrap_or_default();
        if !measured(new).is_null() && measured(new) != measured(old) && !self.judged.contains(uid) {
            self.violated(change, "it has a measurement though no judge of it ended well");
        }
        let attempt = |version: &Value| version["status"]["measuring"]["attempt"].as_u64().unwrap_or(0);
        let is_same = old["status"]["measuring"]["key"] == new["status"]["measuring"]["key"];
        if is_same && attempt(new) > attempt(old) + 1 {
            self.violated(change, "an attempt to measure it is left out");
        }
        self.duel(change, old, new);
    }

    /// Whom a duel is held with is known before anything is done for it, and stays; the champion's predictions come of an
    /// evaluation that ended well.
    fn duel(&mut self, change: &Change, old: &Value, new: &Value) {
        let (before, duel) = (&old["status"]["duel"], &new["status"]["duel"]);
        if !before.is_null() && before["champion"] != duel["champion"] {
            self.violated(change, "its champion is another one");
        }
        let uid = new["metadata"]["uid"].as_str().unwrap_or_default();
        if !duel["predictions"].is_null() && !self.dueled.contains(uid) {
            self.violated(change, "its champion has predictions though no evaluation of it ended well");
        }
    }

    /// The steps that a step needs, by the spec that its run pinned.
    fn needs(&mut self, store: &Store, change: &Change, run: &Value, step: &str) -> Vec<String> {
        let pipeline = run["spec"]["pipeline"].as_str().unwrap_or_default();
        let revision = format!("{pipeline}-c{}", run["status"]["revision"]);
        let key = Key::new("ControllerRevision", &change.key.namespace, &revision);
        let Some(revision) = store.get(&key) else {
            if self.taken_away.contains(&key) {
                return vec![];
            }
            self.violated(change, &format!("the revision {revision} that its run pinned is not there"));
            return vec![];
        };
        let steps = revision["data"]["spec"]["steps"].as_array();
        let inputs = steps.into_iter().flatten().filter(|known| known["name"] == step);
        let inputs = inputs.flat_map(|step| step["inputs"].as_array().into_iter().flatten());
        inputs.filter_map(|input| input["from"]["step"].as_str().map(str::to_owned)).collect()
    }
}

/// What a Job is for: run UID, step, attempt and component; version UID and name for one that measures.
pub(super) fn identity(job: &Value) -> Option<String> {
    let owner = controller(job)?;
    let (step, attempt) = (label(job, "seatrial.dev/step"), label(job, "seatrial.dev/attempt"));
    // The store may be asked more than once what an attempt made, and a version be measured for another Model: each question
    // has a name of its own.
    let role = match label(job, "seatrial.dev/component") {
        role @ ("recover" | "judge" | "check") => {
            format!("{role} {}", job["metadata"]["name"].as_str().unwrap_or_default())
        }
        role => role.to_owned(),
    };
    Some(format!("{} {step} {attempt} {role}", owner["uid"]))
}

/// The number of an operator, which counts those before it.
fn number_of(operator: &str) -> Option<u64> {
    operator.rsplit('-').next()?.parse().ok()
}
