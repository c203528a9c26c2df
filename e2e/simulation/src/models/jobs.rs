//! The Job controller: one pod at a time for each Job, counted by its finalizer, judged by the Job's podFailurePolicy,
//! replaced only once it has ended (`podReplacementPolicy: Failed`). Changes of pods are looked at a second later, in one
//! batch, as Kubernetes does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Model, has_condition, has_ended, is_controlled_by};
use crate::api::{Api, Deletion, Key, Store, by_kind, seconds};

/// How long changes of pods are gathered.
const BATCH: Duration = Duration::from_secs(1);
/// The finalizer of pods that have not been counted.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// The pause before a failed pod is replaced, doubled each time.
const BACKOFF: Duration = Duration::from_secs(10);

/// The controller.
#[derive(Debug, Default)]
pub struct Jobs {
    known: BTreeMap<String, Known>,
}

/// What is known of a Job: what was last seen of its pods, and when to look at it.
#[derive(Debug, Default)]
struct Known {
    pods: String,
    due: Option<Instant>,
    deadline: Option<Instant>,
    not_before: Option<Instant>,
}

impl Known {
    fn next(&self) -> Option<Instant> {
        [self.due, self.deadline].into_iter().flatten().min()
    }
}

type Object = (Key, Arc<Value>);

/// What the Job controller makes of a failed pod.
#[derive(PartialEq)]
enum Verdict {
    Ignored,
    Counted,
    FailsJob(String),
}

impl Model for Jobs {
    fn act(&mut self, api: &Api, now: Instant) -> Option<Instant> {
        let (jobs, pods) = api.look(|store| (all(store, "Job"), all(store, "Pod")));
        self.known.retain(|uid, _| jobs.iter().any(|(_, job)| job["metadata"]["uid"] == uid.as_str()));
        for (key, job) in &jobs {
            let uid = job["metadata"]["uid"].as_str().unwrap_or_default();
            let own: Vec<&Object> = pods.iter().filter(|(_, pod)| is_controlled_by(pod, uid)).collect();
            let versions: Vec<String> =
                own.iter().map(|(_, pod)| pod["metadata"]["resourceVersion"].to_string()).collect();
            let versions = format!("{} {}", job["metadata"]["generation"], versions.join(","));
            let is_new = !self.known.contains_key(uid);
            let known = self.known.entry(uid.to_owned()).or_default();
            if is_new {
                known.due = Some(now);
            } else if known.pods != versions {
                known.due = known.due.or(Some(now + BATCH));
            }
            known.pods = versions;
            if known.next().is_some_and(|due| due <= now) {
                known.due = None;
                known.deadline = None;
                api.change("job-controller", |store| sync(store, key, job, &own, known, now));
            }
        }
        let uids: BTreeSet<&str> = jobs.iter().filter_map(|(_, job)| job["metadata"]["uid"].as_str()).collect();
        for (key, _) in pods.iter().filter(|(_, pod)| is_tracked(pod) && !uids.contains(owner(pod))) {
            api.change("job-controller", |store| let_go(store, key));
        }
        self.known.values().filter_map(Known::next).min()
    }
}

/// The UID of a pod's Job.
fn owner(pod: &Value) -> &str {
    let owners = pod["metadata"]["ownerReferences"].as_array();
    let owner = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
    owner.and_then(|owner| owner["uid"].as_str()).unwrap_or_default()
}

fn all(store: &Store, kind: &'static str) -> Vec<Object> {
    store.of_kind(kind).map(|(key, object)| (key.clone(), object.clone())).collect()
}

fn sync(store: &mut Store, key: &Key, job: &Value, pods: &[&Object], known: &mut Known, now: Instant) {
    if !job["metadata"]["deletionTimestamp"].is_null() {
        pods.iter().for_each(|(key, _)| let_go(store, key));
        return;
    }
    let mut status = job["status"].clone();
    if !status.is_object() {
        status = json!({"startTime": seconds(store.now)});
    }
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let (mut succeeded, mut failed) = (number(&status["succeeded"]), number(&status["failed"]));
    let is_finished = has_condition(job, "Complete") || has_condition(job, "Failed");
    let mut failure: Option<(&str, String)> = None;
    for (_, pod) in pods.iter().filter(|(_, pod)| has_ended(pod) && is_tracked(pod)) {
        if pod["status"]["phase"] == "Succeeded" {
            succeeded += 1;
            continue;
        }
        match judge(job, pod) {
            Verdict::Ignored => {}
            Verdict::Counted => {
                let exponent = u32::try_from(failed).unwrap_or(0).min(5);
                known.not_before = Some(now + BACKOFF * 2_u32.pow(exponent));
                failed += 1;
            }
            Verdict::FailsJob(message) => {
                failed += 1;
                failure = Some(("PodFailurePolicy", message));
            }
        }
    }
    let active =
        pods.iter().filter(|(_, pod)| !has_ended(pod) && pod["metadata"]["deletionTimestamp"].is_null()).count();
    let terminating =
        pods.iter().filter(|(_, pod)| !has_ended(pod) && !pod["metadata"]["deletionTimestamp"].is_null()).count();
    let started = status["startTime"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let deadline = job["spec"]["activeDeadlineSeconds"].as_i64();
    if failed > job["spec"]["backoffLimit"].as_i64().unwrap_or(6) && failure.is_none() {
        failure = Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".into()));
    }
    if let (Some(started), Some(deadline)) = (started, deadline) {
        let left = deadline - (store.now.as_second() - started.as_second());
        if left <= 0 && succeeded == 0 {
            failure = Some(("DeadlineExceeded", "Job was active longer than specified deadline".into()));
        } else if !is_finished {
            known.deadline = Some(now + Duration::from_secs(u64::try_from(left).unwrap_or(0)));
        }
    }
    let is_suspended = job["spec"]["suspend"] == true;
    if !is_finished {
        hold(&mut status, store.now, is_suspended);
        status["succeeded"] = succeeded.into();
        status["failed"] = failed.into();
        status["active"] = active.into();
        status["terminating"] = terminating.into();
        if succeeded > 0 && active + terminating == 0 {
            status["completionTime"] = seconds(store.now);
            end(&mut status, store.now, "Complete", "CompletionsReached", "Reached expected number of succeeded pods");
        } else if let Some((reason, message)) = &failure {
            end(&mut status, store.now, "Failed", reason, message);
        }
    }
    if status != job["status"] {
        write_status(store, key, status);
    }
    for (key, _) in pods.iter().filter(|(_, pod)| has_ended(pod) && is_tracked(pod)) {
        let_go(store, key);
    }
    if is_finished {
        return;
    }
    if failure.is_some() || is_suspended {
        for (key, pod) in pods.iter().filter(|(_, pod)| !has_ended(pod)) {
            if let (Some(resource), true) = (by_kind("Pod"), pod["metadata"]["deletionTimestamp"].is_null()) {
                let _ = store.delete(resource, key, &Deletion::default());
            }
        }
        return;
    }
    if succeeded == 0 && active + terminating == 0 {
        match known.not_before.filter(|at| *at > now) {
            Some(at) => known.due = Some(at),
            None => start_pod(store, key, job),
        }
    }
}

fn is_tracked(pod: &Value) -> bool {
    pod["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|own| own == TRACKING))
}

/// Takes the finalizer from a pod.
fn let_go(store: &mut Store, key: &Key) {
    let (Some(resource), Some(pod)) = (by_kind("Pod"), store.get(key).filter(|pod| is_tracked(pod))) else { return };
    let mut pod = pod.as_ref().clone();
    pod["metadata"]["finalizers"] = json!([]);
    let _ = store.replace(resource, key, pod, false);
}

fn write_status(store: &mut Store, key: &Key, status: Value) {
    let (Some(resource), Some(job)) = (by_kind("Job"), store.get(key)) else { return };
    let mut job = job.as_ref().clone();
    job["status"] = status;
    let _ = store.replace(resource, key, job, true);
}

/// Says whether somebody holds the Job back.
fn hold(status: &mut Value, now: Timestamp, is_suspended: bool) {
    let was_suspended = status["conditions"][0]["type"] == "Suspended" && status["conditions"][0]["status"] == "True";
    if is_suspended == was_suspended {
        return;
    }
    let (value, reason) = if is_suspended { ("True", "JobSuspended") } else { ("False", "JobResumed") };
    let at = seconds(now);
    status["startTime"] = if is_suspended { Value::Null } else { at.clone() };
    status["conditions"] = json!([{
        "type": "Suspended", "status": value, "reason": reason, "message": "", "lastTransitionTime": at, "lastProbeTime": at,
    }]);
}

fn end(status: &mut Value, now: Timestamp, kind: &str, reason: &str, message: &str) {
    let at = seconds(now);
    status["active"] = 0.into();
    status["conditions"] = json!([{
        "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": at, "lastProbeTime": at,
    }]);
}

fn start_pod(store: &mut Store, key: &Key, job: &Value) {
    let Some(resource) = by_kind("Pod") else { return };
    let mut pod = job["spec"]["template"].clone();
    for label in ["batch.kubernetes.io/job-name", "job-name"] {
        pod["metadata"]["labels"][label] = key.name.clone().into();
    }
    pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] = job["metadata"]["uid"].clone();
    pod["metadata"]["generateName"] = format!("{}-", key.name).into();
    pod["metadata"]["finalizers"] = json!([TRACKING]);
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": key.name, "uid": job["metadata"]["uid"], "controller": true,
        "blockOwnerDeletion": true,
    }]);
    let _ = store.create(resource, &key.namespace, pod);
}

/// The first rule that fits.
fn judge(job: &Value, pod: &Value) -> Verdict {
    let statuses = ["initContainerStatuses", "containerStatuses"].into_iter();
    let ends: Vec<(&str, i64)> = statuses
        .flat_map(|list| pod["status"][list].as_array().into_iter().flatten())
        .filter_map(|one| Some((one["name"].as_str()?, one["state"]["terminated"]["exitCode"].as_i64()?)))
        .collect();
    for rule in job["spec"]["podFailurePolicy"]["rules"].as_array().into_iter().flatten() {
        let conditions = rule["onPodConditions"].as_array();
        let by_condition = conditions
            .into_iter()
            .flatten()
            .any(|wanted| has_condition(pod, wanted["type"].as_str().unwrap_or_default()));
        let codes = &rule["onExitCodes"];
        let by_code = ends.iter().find(|(name, code)| {
            *code != 0
                && codes["containerName"].as_str().is_none_or(|wanted| wanted == *name)
                && codes["values"]
                    .as_array()
                    .is_some_and(|values| values.iter().any(|value| value == code) != (codes["operator"] == "NotIn"))
        });
        if !by_condition && by_code.is_none() {
            continue;
        }
        return match rule["action"].as_str() {
            Some("Ignore") => Verdict::Ignored,
            Some("FailJob") => {
                let (name, code) = by_code.copied().unwrap_or_default();
                Verdict::FailsJob(format!(
                    "Container {name} for pod failed with exit code {code} matching FailJob rule"
                ))
            }
            _ => Verdict::Counted,
        };
    }
    Verdict::Counted
}
