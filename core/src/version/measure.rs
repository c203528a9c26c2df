//! Has a version's predictions measured: one attempt after the other, each recorded before its Job is created.
//!
//! A measurement is asked for by a key, which names the predictions, the labels, the task and the slices. Costs, bounds and
//! prevalence are not part of it: another bar measures nothing again. An attempt that failed is followed by another, after
//! a time that doubles up to an hour, without end: stores and quotas come back.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::{
    Evidence, LabelSource, Measurement, Measuring, Model, ModelVersionStatus, OutputType, Task, Time, limits,
};
use serde_json::json;

use super::judge_job::{JudgeJob, LABELS, Labels, Table};
use crate::attempt::{Cluster, JobState, is_pod_of};
use crate::contract::{InputSource, JUDGE_VERSION, JudgeMessage, Measured, Message};
use crate::observed::VersionObserved;
use crate::plan::{Kind, LiveRead, Object, Stage, Write};
use crate::pod_state::{cannot_start, phase, statuses, terminated, unschedulable};
use crate::pods::{FETCH, JUDGE};
use crate::stores::{self, StoreProblem};
use crate::{digest, gates, names, text};

/// How soon to look again where time must decide.
const SOON: Duration = Duration::from_secs(5);
/// How soon to look again where a store is missing.
const STORE_WAIT: Duration = Duration::from_secs(30);
/// The time after the first failed attempt, in seconds; it doubles.
const FIRST_DELAY: i64 = 30;
/// The longest time between two attempts, in seconds.
const LONGEST_DELAY: i64 = 3600;

/// What is to be done so that a version is measured.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The writes.
    pub(super) stages: Vec<Stage>,
    /// What the API server is asked.
    pub(super) live_reads: Vec<LiveRead>,
    /// When to look again even if nothing changes.
    pub(super) requeue_after: Option<Duration>,
}

/// What is known of the version's predictions.
#[derive(Debug)]
pub(super) enum Known {
    /// They are measured: the status has it.
    Measured,
    /// They are being measured; the sentence says how it stands.
    Pending(String),
    /// They cannot be; the sentence says why.
    Unavailable(String),
    /// Several attempts failed, and there will be more; the sentence says why.
    Unmeasured(String),
}

/// Decides what is next, and records it in the status.
pub(super) fn measure(
    observed: &VersionObserved,
    model: &Model,
    status: &mut ModelVersionStatus,
    now: Timestamp,
) -> (Known, Progress) {
    let mut progress = Progress::default();
    let (task, evidence) = match subject(observed, model) {
        Ok(subject) => subject,
        Err(why) => {
            stop_strays(observed, None, &mut progress);
            return (Known::Unavailable(why), progress);
        }
    };
    let key = key(model, task, evidence);
    if status.measurement.as_ref().is_some_and(|measurement| measurement.key == key) {
        stop_strays(observed, None, &mut progress);
        return (Known::Measured, progress);
    }
    let known = attempt(observed, model, status, &key, (task, evidence), now, &mut progress);
    (known, progress)
}

/// What is to be measured; or why nothing is.
fn subject<'a>(observed: &'a VersionObserved, model: &'a Model) -> Result<(&'a Task, &'a Evidence), String> {
    let version = &observed.version;
    if !gates::needs_measurement(&model.spec, &version.spec) {
        let is_measured = model.spec.task.as_ref().is_some_and(|task| task.kind != seatrial_crds::TaskType::Other);
        return Err(if is_measured {
            "the version has no predictions: let a step write an output of type Predictions, and name it as evidence"
        } else {
            "the Model does not say what it decides: set spec.task to have predictions measured"
        }
        .to_owned());
    }
    let task = model.spec.task.as_ref().ok_or("the Model has no task")?;
    let is_table = |evidence: &&Evidence| evidence.kind == Some(OutputType::Predictions);
    let tables: Vec<&Evidence> = version.spec.evidence.iter().filter(is_table).collect();
    match tables.as_slice() {
        [table] if observed.platform.judge.is_some() => Ok((task, *table)),
        [_] => Err("this installation measures nothing: ask the platform team to set judge.enabled".to_owned()),
        several => {
            let names: Vec<String> = several.iter().map(|e| format!("{}.{}", e.step, e.output)).collect();
            Err(format!("the version has several outputs of type Predictions ({}): name one", names.join(", ")))
        }
    }
}

/// Names what is measured.
fn key(model: &Model, task: &Task, evidence: &Evidence) -> String {
    let parts = json!({
        "judge": JUDGE_VERSION,
        "predictions": evidence.artifact.digest,
        "task": task,
        "evaluation": model.spec.evaluation,
        "slices": gates::slices(&model.spec),
    });
    format!("sha256:{}", digest::of_json(&parts))
}

/// Goes on with the newest attempt for a key, or begins one.
fn attempt(
    observed: &VersionObserved,
    model: &Model,
    status: &mut ModelVersionStatus,
    key: &str,
    subject: (&Task, &Evidence),
    now: Timestamp,
    progress: &mut Progress,
) -> Known {
    let before = status.measuring.clone().filter(|measuring| measuring.key == key);
    let number = match &before {
        None => 1,
        Some(Measuring { attempt, failure: Some(failure), failed_at, .. }) => {
            let next = failed_at.as_ref().map_or(0, |at| at.0.as_second() + delay(*attempt));
            let left = next - now.as_second();
            if left > 0 {
                progress.requeue_after = Some(Duration::from_secs(left.unsigned_abs()));
                return failed(*attempt, failure);
            }
            attempt.saturating_add(1).min(1000)
        }
        Some(measuring) => measuring.attempt,
    };
    let version = &observed.version;
    let uid = version.metadata.uid.clone().unwrap_or_default();
    let name = names::judge(&version.name_any(), &uid, key, number);
    stop_strays(observed, Some(&name), progress);
    let job = || build(observed, model, subject, &name, number);
    let starts = before.as_ref().is_none_or(|before| before.attempt != number);
    if starts {
        return match job() {
            Ok(job) => {
                status.measuring =
                    Some(Measuring { key: key.to_owned(), attempt: number, failure: None, failed_at: None });
                progress.stages.push(Stage::proceed(vec![Write::Create(Object::Job(Box::new(job)))]));
                Known::Pending(measuring_text(number))
            }
            Err(problem) => {
                progress.requeue_after = Some(STORE_WAIT);
                Known::Pending(waiting_text(&problem))
            }
        };
    }
    let failure = match cluster(observed).job_state(&name, now) {
        JobState::Exists(found) => match outcome(observed, found) {
            Outcome::Running(held) => {
                progress.requeue_after = Some(Duration::from_secs(60));
                return Known::Pending(held.unwrap_or_else(|| measuring_text(number)));
            }
            Outcome::Measured(measured, labels_digest) => {
                let labels = source(model);
                status.measurement = Some(measurement(key, labels, labels_digest, Ok(measured), now));
                status.measuring = None;
                return Known::Measured;
            }
            Outcome::Unusable(why, labels_digest) => {
                status.measurement = Some(measurement(key, source(model), labels_digest, Err(why), now));
                status.measuring = None;
                return Known::Measured;
            }
            Outcome::Failed(why) => why,
        },
        JobState::Create => match job() {
            Ok(job) => {
                progress.stages.push(Stage::proceed(vec![Write::Create(Object::Job(Box::new(job)))]));
                progress.requeue_after = Some(SOON);
                return Known::Pending(refused(observed, &name).unwrap_or_else(|| measuring_text(number)));
            }
            Err(problem) => {
                progress.requeue_after = Some(STORE_WAIT);
                return Known::Pending(waiting_text(&problem));
            }
        },
        JobState::Wait => {
            progress.requeue_after = Some(SOON);
            return Known::Pending(measuring_text(number));
        }
        JobState::LiveRead => {
            progress.live_reads.push(LiveRead::Job(name));
            return Known::Pending(measuring_text(number));
        }
        JobState::Foreign => format!("another object has the name of the Job \"{name}\": delete it"),
        JobState::Lost => format!("its Job \"{name}\" is gone"),
    };
    let mut failure = failure;
    text::truncate(&mut failure, limits::SENTENCE);
    let known = failed(number, &failure);
    status.measuring =
        Some(Measuring { key: key.to_owned(), attempt: number, failure: Some(failure), failed_at: Some(Time(now)) });
    progress.requeue_after = Some(Duration::from_secs(delay(number).unsigned_abs()));
    known
}

fn waiting_text(problem: &StoreProblem) -> String {
    format!("the predictions cannot be measured yet: {problem}")
}

fn measuring_text(attempt: i64) -> String {
    match attempt {
        1 => "the predictions are being measured".to_owned(),
        number => format!("the predictions are being measured (attempt {number})"),
    }
}

/// What is known after an attempt failed: some more are worth waiting for.
fn failed(attempt: i64, failure: &str) -> Known {
    if attempt < i64::from(limits::MEASURING_ATTEMPTS) {
        Known::Pending(format!("the predictions could not be measured and will be tried again: {failure}"))
    } else {
        Known::Unmeasured(format!("the predictions could not be measured; it is tried every hour: {failure}"))
    }
}

/// The time between an attempt's failure and the next attempt, in seconds.
fn delay(attempt: i64) -> i64 {
    let doublings = u32::try_from(attempt.clamp(1, 20) - 1).unwrap_or(0);
    FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY)
}

fn source(model: &Model) -> LabelSource {
    if model.spec.evaluation.is_some() { LabelSource::Owner } else { LabelSource::SelfReported }
}

fn measurement(
    key: &str,
    labels: LabelSource,
    labels_digest: Option<String>,
    found: Result<Measured, String>,
    now: Timestamp,
) -> Measurement {
    let (measured, problem) = match found {
        Ok(measured) => (measured, None),
        Err(why) => (Measured::default(), Some(why)),
    };
    let Measured { rows, metrics, groups, folds, curve } = measured;
    Measurement {
        key: key.to_owned(),
        measured_at: Time(now),
        labels,
        labels_digest,
        problem,
        rows,
        metrics,
        groups,
        folds,
        curve,
    }
}

/// The Job of an attempt.
fn build(
    observed: &VersionObserved,
    model: &Model,
    (task, evidence): (&Task, &Evidence),
    name: &str,
    attempt: i64,
) -> Result<Job, StoreProblem> {
    let version = &observed.version;
    let (platform, own) = (&observed.platform, &observed.stores);
    let namespace = version.namespace().unwrap_or_default();
    let invalid = || StoreProblem::NotAnArtifact(evidence.artifact.digest.clone());
    let digest = evidence.artifact.digest.parse().map_err(|_| invalid())?;
    let store = stores::for_artifact(&evidence.artifact.uri, &digest, &namespace, own, platform)?;
    let source = InputSource::Artifact { store: store.config.prefix.clone(), digest };
    let predictions = Table { source, store };
    let evaluation = model.spec.evaluation.as_ref();
    let labels = evaluation.map(|evaluation| {
        let store = stores::for_uri(&evaluation.uri, &namespace, own, platform)?;
        let source = InputSource::Uri { store: store.config.prefix.clone(), uri: evaluation.uri.clone() };
        let table = Table { source, store };
        Ok(Labels { table, id: evaluation.id.clone(), label: evaluation.label.clone() })
    });
    let judge_job = JudgeJob {
        name: name.to_owned(),
        owner: version.controller_owner_ref(&()).ok_or_else(invalid)?,
        namespace: namespace.clone(),
        model: &version.spec.model,
        attempt,
        task,
        slices: gates::slices(&model.spec),
        predictions,
        labels: labels.transpose()?,
        judge: platform.judge.as_ref().ok_or(StoreProblem::NotReady)?,
        platform,
    };
    Ok(judge_job.job())
}

fn cluster(observed: &VersionObserved) -> Cluster<'_> {
    Cluster {
        owner_uid: observed.version.metadata.uid.as_deref(),
        jobs: &observed.jobs,
        expectations: &observed.expectations,
        leading_for: observed.leading_for,
        live_reads: &observed.live_reads,
    }
}

/// Why the API server refused the Job, if it did.
fn refused(observed: &VersionObserved, name: &str) -> Option<String> {
    let blocked = observed.blocked.iter().find(|blocked| blocked.kind == Kind::Job && blocked.name == name)?;
    Some(format!("the Job that measures the predictions cannot be created: {}", blocked.message))
}

/// Deletes Jobs of the version under way that no attempt names: another key is asked for, or nothing. A Job whose judge has
/// ended well is about to end by itself; one whose pod came to grief starts another.
fn stop_strays(observed: &VersionObserved, name: Option<&str>, progress: &mut Progress) {
    let has_measured = |pod: &Pod| terminated(pod, JUDGE).is_some_and(|end| end.exit_code == 0);
    let stray = |job: &&Job| {
        cluster(observed).owns(job)
            && job.metadata.deletion_timestamp.is_none()
            && !crate::attempt::job_has_ended(job)
            && job.metadata.name.as_deref() != name
            && !observed.pods.iter().any(|pod| is_pod_of(pod, job) && has_measured(pod))
    };
    let writes: Vec<Write> = observed
        .jobs
        .iter()
        .map(AsRef::as_ref)
        .filter(stray)
        .filter_map(|job| Some(Write::Delete { kind: Kind::Job, name: job.name_any(), uid: job.metadata.uid.clone()? }))
        .collect();
    if !writes.is_empty() {
        progress.stages.push(Stage::proceed(writes));
    }
}

/// What became of an attempt.
enum Outcome {
    /// It goes on; the sentence says what holds it up.
    Running(Option<String>),
    /// The predictions are measured.
    Measured(Measured, Option<String>),
    /// The tables cannot be measured.
    Unusable(String, Option<String>),
    /// Something else went wrong.
    Failed(String),
}

fn outcome(observed: &VersionObserved, job: &Job) -> Outcome {
    let pods: Vec<&Pod> = observed.pods.iter().map(AsRef::as_ref).filter(|pod| is_pod_of(pod, job)).collect();
    if let Some(outcome) = pods.iter().find_map(|pod| said(pod)) {
        return outcome;
    }
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let ended = conditions.filter(|condition| condition.status == "True").find_map(|condition| {
        let message = condition.message.clone().unwrap_or_default();
        match condition.type_.as_str() {
            "Complete" => Some("its Job is complete, and what it said is lost".to_owned()),
            "Failed" => Some(format!("its Job failed: {message}")),
            _ => None,
        }
    });
    match ended {
        Some(ended) => Outcome::Failed(pods.iter().find_map(|pod| failure(pod)).unwrap_or(ended)),
        None => Outcome::Running(pods.iter().find_map(|pod| held(pod))),
    }
}

/// What a judge that came to its end said.
fn said(pod: &Pod) -> Option<Outcome> {
    let end = terminated(pod, JUDGE).filter(|end| end.exit_code == 0)?;
    let labels = terminated(pod, FETCH)
        .and_then(|end| Message::parse(end.message.as_deref()?).ok())
        .and_then(|message| message.inputs.into_iter().find(|input| input.name == LABELS))
        .map(|input| input.digest.to_string());
    Some(match JudgeMessage::parse(end.message.as_deref().unwrap_or_default()) {
        Ok(JudgeMessage::Measured(measured)) => Outcome::Measured(measured, labels),
        Ok(JudgeMessage::Unusable(why)) => Outcome::Unusable(why, labels),
        Ok(JudgeMessage::Failed(why)) => Outcome::Failed(why),
        Err(error) => Outcome::Failed(error.to_string()),
    })
}

/// Why a pod failed, told by the container whose fault it was.
fn failure(pod: &Pod) -> Option<String> {
    if let Some(end) = terminated(pod, JUDGE).filter(|end| end.exit_code != 0) {
        if end.reason.as_deref() == Some("OOMKilled") {
            return Some("the judge was killed for memory: ask the platform team to raise judge.resources".to_owned());
        }
        return match JudgeMessage::parse(end.message.as_deref().unwrap_or_default()) {
            Ok(JudgeMessage::Failed(why) | JudgeMessage::Unusable(why)) => Some(why),
            _ => Some(format!("the judge ended with exit code {}", end.exit_code)),
        };
    }
    let end = terminated(pod, FETCH).filter(|end| end.exit_code != 0)?;
    let message = Message::parse(end.message.as_deref().unwrap_or_default()).ok();
    let failure = message.and_then(|message| message.failure).map(|failure| failure.message);
    Some(failure.unwrap_or_else(|| format!("the tables could not be fetched (exit code {})", end.exit_code)))
}

/// What holds a pod up.
fn held(pod: &Pod) -> Option<String> {
    if phase(pod) != "Pending" {
        return None;
    }
    let cannot = statuses(pod).find_map(cannot_start).map(|(_, what)| format!("cannot be measured yet: {what}"));
    cannot.or_else(|| unschedulable(pod).map(|_| "the judge waits for a node".to_owned()))
}
