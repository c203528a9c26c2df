//! What a real cluster did to a run's Jobs and pods, done again in the simulation: the operator must come to the same end.
//!
//! `tests/recordings/record` makes the recordings. Each has what people wrote, the events of Jobs and pods in their order,
//! and how the run and its versions stood at the end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use seatrial_core::platform::{DefaultStore, Platform};
use seatrial_operator::{Clock, Observability, Options, run};
use seatrial_simulation::api::{Api, Deletion, Key, Store, by_kind};
use seatrial_simulation::models::garbage::Garbage;
use seatrial_simulation::models::{self, Model};
use seatrial_simulation::wait::wait_until;
use serde_json::{Value, json};
use tokio::time::Instant;

const NAMESPACE: &str = "growth";

/// Job controller, scheduler and kubelet: they do what they did.
struct Recorded {
    events: VecDeque<Value>,
    /// The Jobs here by the names of the recorded ones.
    jobs: BTreeMap<String, Key>,
}

/// What tells a Job or its pods: the labels that do not depend on UIDs.
fn purpose(object: &Value) -> [Value; 4] {
    ["run", "step", "attempt", "component"]
        .map(|label| object["metadata"]["labels"][format!("seatrial.dev/{label}")].clone())
}

impl Recorded {
    /// The Job here that a recorded one stands for; `None` while the operator has not created it.
    fn job(&mut self, store: &Store, name: &str, recorded: &Value) -> Option<Key> {
        if let Some(known) = self.jobs.get(name) {
            return Some(known.clone());
        }
        let taken: Vec<&Key> = self.jobs.values().collect();
        let (key, _) =
            store.of_kind("Job").find(|(key, job)| purpose(job) == purpose(recorded) && !taken.contains(key))?;
        self.jobs.insert(name.to_owned(), key.clone());
        Some(key.clone())
    }

    /// Does what an event says. False where it must wait for the operator.
    fn replay(&mut self, store: &mut Store, event: &Value) -> bool {
        let object = &event["object"];
        let name = object["metadata"]["name"].as_str().unwrap();
        let is_gone = event["type"] == "DELETED";
        if object["kind"] == "Job" {
            // Its end is the operator's doing, or the garbage collector's.
            let Some(key) = self.job(store, name, object) else { return is_gone };
            if let (Some(job), false) = (store.get(&key).cloned(), is_gone) {
                let mut job = job.as_ref().clone();
                job["status"] = object["status"].clone();
                store.replace(by_kind("Job").unwrap(), &key, job, true).unwrap();
            }
            return true;
        }
        let owner = object["metadata"]["ownerReferences"][0]["name"].as_str().unwrap();
        let Some(job) = self.job(store, owner, object) else { return is_gone };
        let (resource, key) = (by_kind("Pod").unwrap(), Key::new("Pod", NAMESPACE, name));
        let now_gone = Deletion { grace: Some(0), ..Deletion::default() };
        if is_gone {
            let _ = store.delete(resource, &key, &now_gone);
            return true;
        }
        if store.get(&key).is_none() {
            let Some(uid) = store.get(&job).map(|job| job["metadata"]["uid"].clone()) else { return true };
            let mut pod = object.clone();
            let metadata = pod["metadata"].as_object_mut().unwrap();
            metadata.retain(|field, _| ["name", "labels", "ownerReferences"].contains(&field.as_str()));
            let reference = &mut pod["metadata"]["ownerReferences"][0];
            (reference["name"], reference["uid"]) = (job.name.clone().into(), uid);
            store.create(resource, NAMESPACE, pod).unwrap();
        }
        if let Some(pod) = store.get(&key).cloned() {
            let mut pod = pod.as_ref().clone();
            pod["spec"] = object["spec"].clone();
            store.replace(resource, &key, pod, false).unwrap();
        }
        if !object["metadata"]["deletionTimestamp"].is_null() {
            let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64();
            let _ = store.delete(resource, &key, &Deletion { grace, ..Deletion::default() });
        }
        if let Some(pod) = store.get(&key).cloned() {
            let mut pod = pod.as_ref().clone();
            pod["status"] = object["status"].clone();
            store.replace(resource, &key, pod, true).unwrap();
        }
        true
    }
}

impl Model for Recorded {
    fn act(&mut self, api: &Api, now: Instant) -> Option<Instant> {
        let event = self.events.pop_front()?;
        if !api.change("recorded", |store| self.replay(store, &event)) {
            self.events.push_front(event);
            return None;
        }
        // One after the other, so that the operator sees each.
        Some(now + Duration::from_millis(200))
    }
}

/// How a run and its versions stand, without what differs each time: times, and names and UIDs of pods and Jobs.
fn standing(run: &Value, versions: &[Value]) -> Value {
    let part = |object: &Value, fields: &[&str]| -> Value {
        fields
            .iter()
            .map(|field| ((*field).to_owned(), object[*field].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let steps = run["status"]["steps"].as_array().unwrap();
    let step = |step: &Value| {
        let interruptions: Vec<&Value> =
            step["interruptions"].as_array().into_iter().flatten().map(|one| &one["reason"]).collect();
        let known = ["name", "state", "attempt", "reason", "imageDigest", "inputs", "outputs", "metrics"];
        json!([part(step, &known), interruptions])
    };
    let succeeded =
        run["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Succeeded").unwrap();
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            json!([
                version["metadata"]["name"],
                part(&version["spec"], &["model", "number", "purpose", "metrics"]),
                version["spec"]["artifact"]["digest"],
                version["status"]["verdict"],
            ])
        })
        .collect();
    json!({
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "succeeded": part(succeeded, &["status", "reason"]),
        "versions": versions,
    })
}

/// The platform's default store, as the recorded cluster's chart has it.
fn platform() -> Platform {
    let store = DefaultStore {
        endpoint: "https://store".into(),
        audience: "seatrial-store".into(),
        certificate_authority: Some("pem".into()),
        authority_is_published: true,
    };
    Platform { agent_image: "agent:1".into(), default_store: Some(store), run_as_non_root: true, ..Platform::default() }
}

async fn replayed(recording: &Value) -> Value {
    // Containers have begun and ended by the recorded clock.
    let began = recording["end"]["run"]["metadata"]["creationTimestamp"].as_str().unwrap();
    let api = Api::new(began.parse::<Timestamp>().unwrap(), None);
    api.add_namespace(NAMESPACE);
    for object in recording["people"].as_array().unwrap() {
        let resource = by_kind(object["kind"].as_str().unwrap()).unwrap();
        api.change("person", |store| store.create(resource, NAMESPACE, object.clone())).unwrap();
    }
    let events = recording["events"].as_array().unwrap().iter().cloned().collect();
    let controllers: Vec<Box<dyn Model>> =
        vec![Box::new(Recorded { events, jobs: BTreeMap::new() }), Box::new(Garbage::default())];
    let controllers = tokio::spawn(models::run(api.clone(), controllers));
    let clock = Clock::new({
        let api = api.clone();
        move || api.now()
    });
    let options = Options { platform: platform(), ..Options::new("operator-1", clock) };
    let (client, observability) = (api.client("operator-1"), Observability::new());
    let operator = tokio::spawn(async move { run(client, options, &observability, std::future::pending()).await });

    let name = recording["end"]["run"]["metadata"]["name"].as_str().unwrap();
    let run = Key::new("MLPipelineRun", NAMESPACE, name);
    let versions = |store: &Store| -> Vec<Value> {
        store.of_kind("ModelVersion").map(|(_, version)| version.as_ref().clone()).collect()
    };
    let has_ended = |store: &Store| {
        store.get(&run).is_some_and(|run| !run["status"]["finishedAt"].is_null())
            && versions(store).iter().all(|version| !version["status"]["verdict"].is_null())
    };
    let ends = wait_until(&api, Duration::from_secs(1800), has_ended).await;
    assert!(ends, "the run does not end: {:#?}", api.look(|store| store.get(&run).cloned()));
    controllers.abort();
    operator.abort();
    api.look(|store| standing(store.get(&run).unwrap(), &versions(store)))
}

#[tokio::test(start_paused = true)]
async fn what_a_real_cluster_did_leads_to_the_same_end() {
    let mut played = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let recording: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let end = &recording["end"];
        let recorded = standing(&end["run"], end["versions"].as_array().unwrap());
        assert_eq!(replayed(&recording).await, recorded, "{}", path.display());
        played += 1;
    }
    assert!(played > 0, "there are no recordings");
}
