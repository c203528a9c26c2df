//! Pods: at most one of a step at work, and always one that serves where one did.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::at_rest::ready_behind;
use super::{Invariants, controller, is_lost, label};
use crate::api::{Change, Key, Store};

impl Invariants {
    pub(super) fn pod(&mut self, store: &Store, change: &Change) {
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
                            // What a node does that was given up, nobody can say.
                            && !is_lost(other, store.now)
                            // Of two leaders, one may ask the store what an attempt made that the other has just begun.
                            && (!self.leads_twice || label(other, "seatrial.dev/component") == "step")
                            && run(other) == run(pod)
                            && run_of_pod(&self.runs_of_pods, store, other) == own
                    });
                    // Two leaders for minutes, while each loses requests and sees everything late, may each begin an attempt: the
                    // record of one comes between the record and the write of the other.
                    if (self.is_calm || !self.leads_twice)
                        && let Some((other, _)) = others.next()
                    {
                        let what = format!("it runs beside {other} of the same step");
                        self.violated(change, &what);
                    }
                }
                if has_failed(pod) {
                    self.failed.insert(format!("{own} {}", run(pod)));
                }
                if is_done(pod) && !change.old.as_ref().is_some_and(|old| is_done(old)) {
                    *self.succeeded.entry(format!("{own} {}", run(pod))).or_default() += 1;
                }
            }
            "server" => self.serving(store, change),
            role @ ("judge" | "duel") if pod["status"]["phase"] == "Succeeded" => {
                let job = controller(pod).and_then(|owner| owner["name"].as_str()).unwrap_or_default();
                let job = store.get(&Key::new("Job", &change.key.namespace, job));
                let version = job.and_then(|job| controller(job)).and_then(|owner| owner["uid"].as_str());
                let done = if role == "judge" { &mut self.judged } else { &mut self.dueled };
                done.extend(version.map(str::to_owned));
            }
            "check" if pod["status"]["phase"] == "Succeeded" => {
                let job = controller(pod).and_then(|owner| owner["name"].as_str()).unwrap_or_default();
                let job = store.get(&Key::new("Job", &change.key.namespace, job));
                let contract = job.and_then(|job| controller(job)).and_then(|owner| owner["uid"].as_str());
                self.reported.extend(contract.map(str::to_owned));
            }
            _ => {}
        }
    }

    /// A ModelDeployment that served goes on serving: its Service has a pod that is ready.
    fn serving(&mut self, store: &Store, change: &Change) {
        let name = label(&change.new, "seatrial.dev/deployment").to_owned();
        self.served(store, change, &name);
    }

    pub(super) fn service(&mut self, store: &Store, change: &Change) {
        let name = label(&change.new, "seatrial.dev/deployment").to_owned();
        self.served(store, change, &name);
    }

    fn served(&mut self, store: &Store, change: &Change, name: &str) {
        let namespace = &change.key.namespace;
        let wanted = store.get(&Key::new("ModelDeployment", namespace, name));
        let serves_nothing =
            |wanted: &Value| !wanted["metadata"]["deletionTimestamp"].is_null() || wanted["spec"]["replicas"] == 0;
        if wanted.is_none_or(|wanted| serves_nothing(wanted)) {
            self.serving.remove(name);
            return;
        }
        let Some(service) = store.get(&Key::new("Service", namespace, name)) else { return };
        let serves = ready_behind(store, namespace, service) > 0;
        if serves {
            self.serving.insert(name.to_owned());
        } else if self.serving.remove(name) && (self.is_calm || !self.leads_twice) {
            // Two leaders whose caches are late, each of another kind, may lead a Service back to servers that the other deletes.
            self.violated(change, &format!("nothing serves for {name} any more"));
        }
    }
}

/// Whether a pod of a step has failed, whatever goes on in it.
fn has_failed(pod: &Value) -> bool {
    let statuses = ["initContainerStatuses", "containerStatuses"].into_iter();
    let all = statuses.flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
    let fails = |container: &Value| container["state"]["terminated"]["exitCode"].as_i64().is_some_and(|code| code != 0);
    pod["status"]["phase"] == "Failed" || all.into_iter().any(fails)
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
