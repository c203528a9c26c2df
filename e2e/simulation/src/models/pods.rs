//! Scheduler and kubelet: a pod is bound, its init containers run, then its containers; each ends as the [`Fates`] say.
//! Containers of Seatrial's own end with the message that their programs would have written (see [`super::programs`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use seatrial_core::contract::check::CheckVerdict;
use seatrial_core::pods::{ADMIT, CHECK, JUDGE, REPORT};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::programs::{ALIKE, RECOVER, admitted, judged, keep_record, message, recovered, reported};
use super::{Model, condition, has_ended, nodes, set_condition};
use crate::api::{Api, Deletion, Key, Store, by_kind, seconds};

/// The pause after a server's first crash.
const CRASH_PAUSE: Duration = Duration::from_secs(5);

/// How a pod of a step, of a judge, or of a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its command ends well, and its outputs are uploaded.
    Succeeds,
    /// Its command ends with this code.
    Fails(i64),
    /// The data of its inputs break their contract.
    Breaks,
    /// It is evicted in the midst of its work.
    Evicted,
    /// All that belongs to the step ends well; a container that somebody injected goes on.
    Lingers,
    /// As `Succeeds`; its outputs have the same digests whichever pod makes them.
    SucceedsAlike,
    /// Its node stops answering while it works, and is taken out of the cluster so many seconds later.
    NodeLost {
        /// How much later.
        gone_after: u64,
        /// Whether its work is done all the same, and its outputs are uploaded, though the cluster never hears of it.
        finishes: bool,
    },
    /// A server that ends again and again.
    Crashes,
}

/// Says how the pods end: by name of the step (`judge` for those of a version's judge, `duel` for those that evaluate its champion,
/// `check` for those of a contract's own schedule, the version's name for its servers), and how many pods that step of the run,
/// that version or contract had before.
pub type Fates = Box<dyn FnMut(&str, usize) -> Fate + Send>;

/// Scheduler and kubelet.
pub struct Pods {
    fates: Fates,
    /// How long each stage of a pod takes.
    pace: Duration,
    tries: BTreeMap<String, usize>,
    known: BTreeMap<String, Pod>,
}

struct Pod {
    fate: Fate,
    stage: u8,
    due: Instant,
    /// Since when its node has not answered.
    silent: Option<Instant>,
}

impl std::fmt::Debug for Pods {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pods").field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl Pods {
    /// Kubelets whose pods end so.
    pub fn new(pace: Duration, fates: Fates) -> Self {
        Self { fates, pace, tries: BTreeMap::new(), known: BTreeMap::new() }
    }
}

impl Model for Pods {
    fn act(&mut self, api: &Api, now: Instant) -> Option<Instant> {
        let pods: Vec<(Key, Arc<Value>)> =
            api.look(|store| store.of_kind("Pod").map(|(key, pod)| (key.clone(), pod.clone())).collect());
        self.known.retain(|uid, _| pods.iter().any(|(_, pod)| pod["metadata"]["uid"] == uid.as_str()));
        let mut next: Option<Instant> = None;
        for (key, pod) in &pods {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            let is_deleted = !pod["metadata"]["deletionTimestamp"].is_null();
            if has_ended(pod) {
                if is_deleted {
                    api.change("kubelet", |store| remove(store, key));
                }
                continue;
            }
            let (fates, tries, pace) = (&mut self.fates, &mut self.tries, self.pace);
            let known = self.known.entry(uid).or_insert_with(|| {
                let begun = |fate| Pod { fate, stage: 0, due: now + pace, silent: None };
                let label = |name: &str| pod["metadata"]["labels"][name].as_str().unwrap_or_default();
                let (owner, step) = match label("seatrial.dev/component") {
                    "recover" => return begun(Fate::Succeeds),
                    role @ ("judge" | "duel") => (label("seatrial.dev/version"), role.to_owned()),
                    "check" => (label("seatrial.dev/contract"), "check".to_owned()),
                    "server" => ("", api.look(|store| version_of(store, pod))),
                    _ => (label("seatrial.dev/run"), label("seatrial.dev/step").to_owned()),
                };
                let tried = tries.entry(format!("{}/{owner}/{step}", key.namespace)).or_default();
                *tried += 1;
                begun(fates(&step, *tried - 1))
            });
            if let (Fate::NodeLost { gone_after, finishes }, 2..) = (known.fate, known.stage)
                && known.due <= now
            {
                let silent = *known.silent.get_or_insert_with(|| {
                    if finishes {
                        api.change("kubelet", |store| keep_record(store, pod));
                    }
                    now
                });
                let left = nodes::lost(api, key, pod, now - silent, Duration::from_secs(gone_after));
                next = Some(next.map_or(now + left, |next| next.min(now + left)));
                continue;
            }
            // No kubelet knows of a pod that no node took.
            if is_deleted && pod["spec"]["nodeName"].is_null() {
                continue;
            }
            if is_deleted && known.stage < 9 {
                known.stage = 9;
                known.due = now + pace;
                known.fate = Fate::Succeeds;
            }
            if known.due <= now {
                let stage = known.stage;
                let fate = known.fate;
                // One that lingers is ended by a deletion alone.
                known.stage = if stage < 9 { (stage + 1).min(8) } else { stage + 1 };
                known.due = now + pace;
                api.change("kubelet", |store| advance(store, key, pod, stage, fate));
            }
            let is_server = pod["spec"]["restartPolicy"] != "Never";
            // A server that crashes does so three times, with longer and longer pauses.
            let is_settled = if known.fate == Fate::Crashes { 5 } else { 3 };
            if is_server && known.fate == Fate::Crashes && known.stage > 2 {
                known.due = now + CRASH_PAUSE * u32::from(known.stage);
            }
            if !is_server || known.stage < is_settled || is_deleted {
                next = Some(next.map_or(known.due, |next| next.min(known.due)));
            }
        }
        next
    }
}

/// The version that a server's pod serves.
fn version_of(store: &Store, pod: &Value) -> String {
    let owner = pod["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default();
    let deployment =
        store.get(&Key::new("Deployment", pod["metadata"]["namespace"].as_str().unwrap_or_default(), owner));
    let version = deployment.and_then(|it| it["metadata"]["labels"]["seatrial.dev/version"].as_str());
    version.unwrap_or_default().to_owned()
}

fn remove(store: &mut Store, key: &Key) {
    if let Some(resource) = by_kind("Pod") {
        let _ = store.delete(resource, key, &Deletion { grace: Some(0), ..Deletion::default() });
    }
}

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    pod["spec"][list].as_array().into_iter().flatten().filter_map(|container| container["name"].as_str()).collect()
}

/// One stage of a pod's life.
fn advance(store: &mut Store, key: &Key, pod: &Value, stage: u8, fate: Fate) {
    let Some(resource) = by_kind("Pod") else { return };
    let now = store.now;
    let (inits, mains) = (names(pod, "initContainers"), names(pod, "containers"));
    let mut new = pod.clone();
    let is_server = pod["spec"]["restartPolicy"] != "Never";
    match stage {
        0 => {
            new["spec"]["nodeName"] = "node".into();
            if fate == Fate::SucceedsAlike {
                new["metadata"]["annotations"][ALIKE] = "true".into();
            }
            if let Ok(bound) = store.replace(resource, key, new, false) {
                let mut bound = bound.as_ref().clone();
                bound["status"] = json!({"phase": "Pending", "startTime": seconds(now), "conditions": [condition(now, "PodScheduled", "True", "")]});
                let _ = store.replace(resource, key, bound, true);
            }
            return;
        }
        1 => {
            // Where nobody looks at the data, the command starts.
            let breaks = fate == Fate::Breaks && inits.contains(&ADMIT);
            let verdict = if breaks { CheckVerdict::Failed } else { CheckVerdict::Passed };
            let ended = inits.iter().map(|name| match *name {
                CHECK => terminated(now, name, 0, ""),
                ADMIT => terminated(now, name, if breaks { 71 } else { 0 }, &admitted(pod, verdict)),
                name => terminated(now, name, 0, &message(pod, name)),
            });
            new["status"]["initContainerStatuses"] = ended.collect::<Vec<_>>().into();
            if breaks {
                new["status"]["containerStatuses"] =
                    mains.iter().map(|name| not_started(name)).collect::<Vec<_>>().into();
                new["status"]["phase"] = "Failed".into();
                let _ = store.replace(resource, key, new, true);
                return;
            }
            new["status"]["containerStatuses"] = mains.iter().map(|name| running(now, name)).collect::<Vec<_>>().into();
            new["status"]["phase"] = "Running".into();
        }
        2..5 if is_server && fate == Fate::Crashes => {
            let ended = terminated(now, "server", 1, "no such file")["state"].clone();
            for container in new["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
                container["restartCount"] = (stage - 1).into();
                container["lastState"] = ended.clone();
                container["state"] = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}});
            }
            set_condition(&mut new, condition(now, "Ready", "False", "ContainersNotReady"));
        }
        2 if is_server => {
            for container in new["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
                container["ready"] = true.into();
            }
            set_condition(&mut new, condition(now, "Ready", "True", ""));
        }
        2 if mains == [RECOVER] => {
            let (code, text) = recovered(store, pod);
            new["status"]["containerStatuses"] = json!([terminated(now, RECOVER, code, &text)]);
            new["status"]["phase"] = if code == 0 { "Succeeded" } else { "Failed" }.into();
        }
        2 if mains == [JUDGE] && fate != Fate::Evicted => {
            let code = if let Fate::Fails(code) = fate { code } else { 0 };
            new["status"]["containerStatuses"] = json!([terminated(now, JUDGE, code, &judged(pod, code))]);
            new["status"]["phase"] = if code == 0 { "Succeeded" } else { "Failed" }.into();
        }
        2 if mains == [REPORT] && fate != Fate::Evicted => {
            let code = if let Fate::Fails(code) = fate { code } else { 0 };
            let verdict = if fate == Fate::Breaks { CheckVerdict::Failed } else { CheckVerdict::Passed };
            let said = if code == 0 { reported(pod, verdict) } else { String::new() };
            new["status"]["containerStatuses"] = json!([terminated(now, REPORT, code, &said)]);
            new["status"]["phase"] = if code == 0 { "Succeeded" } else { "Failed" }.into();
        }
        2 => {
            let code = match fate {
                Fate::Succeeds
                | Fate::SucceedsAlike
                | Fate::Lingers
                | Fate::Breaks
                | Fate::Crashes
                | Fate::NodeLost { .. } => 0,
                Fate::Fails(code) => code,
                Fate::Evicted => {
                    new["status"]["reason"] = "Evicted".into();
                    set_condition(&mut new, condition(now, "DisruptionTarget", "True", "EvictionByEvictionAPI"));
                    end(&mut new, now, &mains, 241);
                    let _ = store.replace(resource, key, new, true);
                    return;
                }
            };
            let ends = mains.iter().map(|name| match (*name, mains.len()) {
                ("step", _) | (_, 1) => terminated(now, name, code, ""),
                _ => running(now, name),
            });
            new["status"]["containerStatuses"] = ends.collect::<Vec<_>>().into();
        }
        3 if !is_server => {
            let failed = codes(&new).iter().any(|code| *code != 0);
            let code = codes(&new).first().copied().unwrap_or(0);
            let ends = mains.iter().map(|name| match *name {
                "seatrial-publish" if failed => terminated(now, name, 0, ""),
                "seatrial-publish" => terminated(now, name, 0, &message(pod, name)),
                name => terminated(now, name, code, ""),
            });
            let injected = (fate == Fate::Lingers).then(|| running(now, "injected"));
            new["status"]["phase"] = match (failed, &injected) {
                (_, Some(_)) => "Running",
                (true, None) => "Failed",
                (false, None) => "Succeeded",
            }
            .into();
            new["status"]["containerStatuses"] = ends.chain(injected).collect::<Vec<_>>().into();
            if !failed {
                keep_record(store, pod);
            }
        }
        9 => end(&mut new, now, &mains, 241),
        _ => return,
    }
    let _ = store.replace(resource, key, new, true);
}

/// Ends all containers that run.
fn end(pod: &mut Value, now: Timestamp, mains: &[&str], code: i64) {
    let ends = mains.iter().map(|name| terminated(now, name, code, ""));
    pod["status"]["containerStatuses"] = ends.collect::<Vec<_>>().into();
    pod["status"]["phase"] = "Failed".into();
}

fn codes(pod: &Value) -> Vec<i64> {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses.into_iter().flatten().filter_map(|status| status["state"]["terminated"]["exitCode"].as_i64()).collect()
}

fn running(now: Timestamp, name: &str) -> Value {
    json!({"name": name, "image": "image", "imageID": "registry.example.com/image@sha256:1", "ready": false, "restartCount": 0,
           "started": true, "state": {"running": {"startedAt": seconds(now)}}})
}

fn not_started(name: &str) -> Value {
    json!({"name": name, "image": "image", "imageID": "", "ready": false, "restartCount": 0, "started": false,
           "state": {"waiting": {"reason": "PodInitializing"}}})
}

fn terminated(now: Timestamp, name: &str, code: i64, message: &str) -> Value {
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({"name": name, "image": "image", "imageID": "registry.example.com/image@sha256:1", "ready": false, "restartCount": 0,
           "state": {"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": seconds(now),
                                    "finishedAt": seconds(now)}}})
}
