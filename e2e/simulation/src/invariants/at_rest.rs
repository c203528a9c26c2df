//! What statuses say once everything has come to rest, held against the objects that they speak of.

use serde_json::Value;

use super::{controller, is_lost, is_over, label};
use crate::api::{Key, Store, by_kind};
use crate::models::{has_condition, has_ended};

/// What has not come to its end: runs, and the Jobs and pods of runs, judges, duels and checks.
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
    let works = |pod: &Value| ["step", "judge", "duel", "check"].contains(&label(pod, "seatrial.dev/component"));
    for (key, pod) in store.of_kind("Pod").filter(|(_, pod)| works(pod) && !is_lost(pod, store.now)) {
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

/// Where a status contradicts what it speaks of. `is_done` says whether a pod of a run's step, by their UID and name, ended
/// well.
pub(super) fn contradictions(store: &Store, is_done: &dyn Fn(&Value, &str) -> bool) -> Vec<String> {
    let mut found = vec![];
    type Check<'a> = &'a dyn Fn(&Store, &Key, &Value) -> Vec<String>;
    let of_run = |store: &Store, key: &Key, run: &Value| run_contradicts(store, key, run, is_done);
    let checks: [(&'static str, Check<'_>); 4] = [
        ("MLPipelineRun", &of_run),
        ("MLPipeline", &pipeline_contradicts),
        ("ModelDeployment", &deployment_contradicts),
        ("Model", &model_contradicts),
    ];
    for (kind, check) in checks {
        for (key, object) in store.of_kind(kind).filter(|(_, object)| object["metadata"]["deletionTimestamp"].is_null())
        {
            found.extend(check(store, key, object).into_iter().map(|what| format!("{key} at rest: {what}")));
        }
    }
    found
}

fn run_contradicts(store: &Store, key: &Key, run: &Value, is_done: &dyn Fn(&Value, &str) -> bool) -> Vec<String> {
    let mut found = vec![];
    let uid = &run["metadata"]["uid"];
    let ended = condition(run, "Succeeded");
    if ended["status"] == "True" || ended["status"] == "False" {
        if run["status"]["finishedAt"].is_null() {
            found.push("it says how it ended, but not when".to_owned());
        }
    } else if !run["status"]["finishedAt"].is_null() {
        found.push(format!("it has ended, but does not say how: {ended}"));
    }
    for step in run["status"]["steps"].as_array().into_iter().flatten() {
        let (name, state) = (text(&step["name"]), text(&step["state"]));
        let job = step["job"].as_str().and_then(|job| store.get(&Key::new("Job", &key.namespace, job)));
        let job = job.filter(|job| controller(job).is_some_and(|owner| &owner["uid"] == uid));
        let is = |what: &str| job.is_some_and(|job| has_condition(job, what));
        // How the whole ended ends steps too, whatever their Jobs come to. A newer change ends what waits, whatever for.
        let by_run = step["reason"] == ended["reason"] || ended["reason"] == "Superseded";
        match state {
            "Succeeded" if !is_done(uid, name) => {
                found.push(format!("step {name} succeeded, but no pod of it ended well"))
            }
            "Succeeded" if is("Failed") && !is_done(uid, name) => {
                found.push(format!("step {name} succeeded, but its Job failed"));
            }
            "Failed" if is("Complete") && !by_run => {
                found.push(format!("step {name} failed ({}), but its Job is complete", step["reason"]));
            }
            "Running" | "Pending" if !run["status"]["finishedAt"].is_null() => {
                found.push(format!("step {name} is {state} in a run that has ended"));
            }
            "Skipped" if !step["job"].is_null() => found.push(format!("step {name} was skipped, but has a Job")),
            _ => {}
        }
    }
    found
}

fn pipeline_contradicts(store: &Store, key: &Key, pipeline: &Value) -> Vec<String> {
    let last = &pipeline["status"]["lastRun"];
    let Some(name) = last["name"].as_str() else { return vec![] };
    let (says, at) = (text(&last["reason"]), &last["finishedAt"]);
    let Some(run) = store.get(&Key::new("MLPipelineRun", &key.namespace, name)) else {
        let is_told = says == "Deleted" || !at.is_null();
        return if is_told { vec![] } else { vec![format!("its last run {name} is gone, but it says {says}")] };
    };
    let (is, ended) = (text(&condition(run, "Succeeded")["reason"]), &run["status"]["finishedAt"]);
    if says == is && at == ended { vec![] } else { vec![format!("its last run {name} is {is}, but it says {says}")] }
}

fn deployment_contradicts(store: &Store, key: &Key, deployment: &Value) -> Vec<String> {
    let mut found = vec![];
    let status = &deployment["status"];
    let uid = &deployment["metadata"]["uid"];
    let owned = |object: &Value| controller(object).is_some_and(|owner| &owner["uid"] == uid);
    let children: Vec<&Value> =
        store.of_kind("Deployment").map(|(_, child)| child.as_ref()).filter(|child| owned(child)).collect();
    let service = store.get(&Key::new("Service", &key.namespace, &key.name)).filter(|service| owned(service));
    let routed = service.map(|service| label(service, "seatrial.dev/version")).unwrap_or_default();
    if let Some(served) = status["servedVersion"].as_str()
        && routed != served
    {
        found.push(format!("it says that {served} serves, but its Service leads to \"{routed}\""));
    }
    let versions = status["versions"].as_array().cloned().unwrap_or_default();
    for child in &children {
        let version = label(child, "seatrial.dev/version");
        let Some(said) = versions.iter().find(|said| said["name"] == version) else {
            found.push(format!("there are servers of {version}, of which it says nothing"));
            continue;
        };
        let count = |value: &Value| value.as_i64().unwrap_or(0);
        let (ready, wanted) = (&child["status"]["availableReplicas"], &child["spec"]["replicas"]);
        if count(&said["readyReplicas"]) != count(ready) || count(&said["replicas"]) != count(wanted) {
            found.push(format!("of {version} {ready} of {wanted} servers are ready, but it says {said}"));
        }
    }
    let serving = service.map_or(0, |service| ready_behind(store, &key.namespace, service));
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let says = |kind: &str| condition(deployment, kind)["status"] == "True";
    if says("Ready") && (serving as u64) < wanted {
        found.push(format!("it is Ready, but {serving} of {wanted} servers are"));
    }
    let serves = !status["servedVersion"].is_null();
    if serves && says("Available") != (serving > 0) {
        found.push(format!("it is Available: {}, but {serving} servers are ready", says("Available")));
    }
    if status["observedGeneration"] != deployment["metadata"]["generation"] {
        found.push("it speaks of an earlier spec".to_owned());
    }
    found
}

fn model_contradicts(store: &Store, key: &Key, model: &Value) -> Vec<String> {
    let serving: Vec<(String, &Value)> = store
        .of_kind("ModelDeployment")
        .filter(|(other, it)| other.namespace == key.namespace && it["spec"]["model"] == key.name.as_str())
        .filter(|(_, it)| !it["status"]["servedVersion"].is_null() && it["metadata"]["deletionTimestamp"].is_null())
        .map(|(other, it)| (other.name.clone(), &it["status"]["servedVersion"]))
        .collect();
    let said: Vec<(String, &Value)> = model["status"]["serving"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|serving| (text(&serving["deployment"]).to_owned(), &serving["version"]))
        .collect();
    if serving == said { vec![] } else { vec![format!("{serving:?} serve, but it says {said:?}")] }
}

/// How many pods that are ready a Service leads to.
pub(super) fn ready_behind(store: &Store, namespace: &str, service: &Value) -> usize {
    let selector = service["spec"]["selector"].as_object();
    let selects = |pod: &Value| {
        selector.is_some_and(|terms| terms.iter().all(|(key, value)| &pod["metadata"]["labels"][key] == value))
    };
    let serves = |key: &Key, pod: &Value| {
        key.namespace == namespace
            && selects(pod)
            && has_condition(pod, "Ready")
            && pod["metadata"]["deletionTimestamp"].is_null()
    };
    store.of_kind("Pod").filter(|(key, pod)| serves(key, pod)).count()
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let all = object["status"]["conditions"].as_array();
    all.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
