//! Has a version's predictions measured.
//!
//! A measurement is asked for by a key, which names the predictions, the labels, the task and the slices. Costs, bounds and
//! prevalence are not part of it: another bound starts no new measurement.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::{Artifact, Evidence, LabelSource, Measurement, Model, ModelVersionStatus, OutputType, Task, Time};
use serde_json::json;

use super::attempts::{Attempted, Attempts, Progress, Words};
use super::judge_job::{ChampionTable, JudgeJob, LABELS, Labels, Table};
use crate::attempt::is_pod_of;
use crate::attempt::reading::{Reading, Waits, failed, fetch_failure, killed_for_memory, unsaid};
use crate::contract::{Compared, InputSource, JUDGE_VERSION, JudgeMessage, Measured, Message};
use crate::observed::VersionObserved;
use crate::pod_state::terminated;
use crate::pods::{FETCH, JUDGE};
use crate::stores::{self, StoreProblem};
use crate::{digest, gates, names};

/// What is known of the version's predictions.
#[derive(Debug)]
pub(super) enum Known {
    /// They are measured: the status has it.
    Measured,
    /// They are being measured; the sentence says how it stands.
    Pending(String),
    /// They cannot be measured; the sentence says why.
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
    progress: &mut Progress,
) -> Known {
    let (task, evidence) = match subject(observed, model) {
        Ok(subject) => subject,
        Err(why) => return Known::Unavailable(why),
    };
    let key = key(model, task, evidence);
    if status.measurement.as_ref().is_some_and(|measurement| measurement.key == key) {
        return Known::Measured;
    }
    let attempts = Attempts {
        observed,
        now,
        key: &key,
        first: 1,
        words: Words { subject: "the predictions".to_owned(), be: "are", done: "measured" },
        name: &|uid, number| names::judge(&observed.version.name_any(), uid, &key, number),
        build: &|name, number| build(observed, model, (task, evidence), name, number),
        read: &|job| {
            outcome(observed, job, now).and_then(|told| match told {
                Told::Measured(measured, labels) => Reading::Ended((Ok(measured), labels)),
                Told::Unusable(why, labels) => Reading::Ended((Err(why), labels)),
                Told::Compared(..) => Reading::Failed("the judge compared, and measured nothing".to_owned()),
            })
        },
    };
    match attempts.go_on(status, progress) {
        Attempted::Pending(how) => Known::Pending(how),
        Attempted::Failing(why) => Known::Unmeasured(why),
        Attempted::Ended((found, labels_digest)) => {
            status.measurement = Some(measurement(&key, source(model), labels_digest, found, now));
            Known::Measured
        }
    }
}

/// What is to be measured; or why nothing is.
pub(super) fn subject<'a>(observed: &'a VersionObserved, model: &'a Model) -> Result<(&'a Task, &'a Evidence), String> {
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
        "task": gates::judged_task(task),
        "evaluation": model.spec.evaluation,
        "slices": gates::slices(&model.spec),
    });
    format!("sha256:{}", digest::of_json(&parts))
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
    job(observed, model, (task, evidence), gates::slices(&model.spec), None, name, attempt)
}

/// Where an artifact of the version's namespace is.
pub(super) fn table(observed: &VersionObserved, artifact: &Artifact) -> Result<Table, StoreProblem> {
    let namespace = observed.version.namespace().unwrap_or_default();
    let digest = artifact.digest.parse().map_err(|_| StoreProblem::NotAnArtifact(artifact.digest.clone()))?;
    let store = stores::for_artifact(&artifact.uri, &digest, &namespace, &observed.stores, &observed.platform)?;
    let source = InputSource::Artifact { store: store.config.prefix.clone(), digest };
    Ok(Table { source, store })
}

/// The Job of a judge.
pub(super) fn job(
    observed: &VersionObserved,
    model: &Model,
    (task, evidence): (&Task, &Evidence),
    slices: Vec<String>,
    champion: Option<ChampionTable>,
    name: &str,
    attempt: i64,
) -> Result<Job, StoreProblem> {
    let version = &observed.version;
    let (platform, own) = (&observed.platform, &observed.stores);
    let namespace = version.namespace().unwrap_or_default();
    let invalid = || StoreProblem::NotAnArtifact(evidence.artifact.digest.clone());
    let predictions = table(observed, &evidence.artifact)?;
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
        slices,
        predictions,
        champion,
        labels: labels.transpose()?,
        judge: platform.judge.as_ref().ok_or(StoreProblem::NotReady)?,
        platform,
    };
    Ok(judge_job.job())
}

/// How the judge is spoken of.
const WAITS: Waits = Waits { cannot: "cannot be measured yet", program: "the judge" };

/// What a judge told, with the digest of the owner's labels.
pub(super) enum Told {
    /// The predictions are measured.
    Measured(Measured, Option<String>),
    /// The version is compared with its champion.
    Compared(Compared, Option<String>),
    /// The tables cannot be measured.
    Unusable(String, Option<String>),
}

/// What became of a judge's Job.
pub(super) fn outcome(observed: &VersionObserved, job: &Job, now: Timestamp) -> Reading<Told> {
    let pods: Vec<&Pod> = observed.pods.iter().map(AsRef::as_ref).filter(|pod| is_pod_of(pod, job)).collect();
    let confirmed = observed.live_reads.get(&job.name_any()).copied();
    pods.iter().find_map(|pod| said(pod)).unwrap_or_else(|| unsaid(job, &pods, confirmed, WAITS, failure, now))
}

/// What a judge that came to its end said.
fn said(pod: &Pod) -> Option<Reading<Told>> {
    let end = terminated(pod, JUDGE).filter(|end| end.exit_code == 0)?;
    let message = end.message.as_deref()?;
    let labels = terminated(pod, FETCH)
        .and_then(|end| Message::parse(end.message.as_deref()?).ok())
        .and_then(|message| message.inputs.into_iter().find(|input| input.name == LABELS))
        .map(|input| input.digest.to_string());
    Some(match JudgeMessage::parse(message) {
        Ok(JudgeMessage::Measured(measured)) => Reading::Ended(Told::Measured(measured, labels)),
        Ok(JudgeMessage::Compared(compared)) => Reading::Ended(Told::Compared(compared, labels)),
        Ok(JudgeMessage::Unusable(why)) => Reading::Ended(Told::Unusable(why, labels)),
        Ok(JudgeMessage::Failed(why)) => Reading::Failed(why),
        Err(error) => Reading::Failed(error.to_string()),
    })
}

/// Why a pod failed, told by the container whose fault it was.
fn failure(pod: &Pod) -> Option<String> {
    let Some(end) = failed(pod, JUDGE) else { return fetch_failure(pod) };
    let said = || match JudgeMessage::parse(end.message.as_deref().unwrap_or_default()) {
        Ok(JudgeMessage::Failed(why) | JudgeMessage::Unusable(why)) => why,
        _ => format!("the judge ended with exit code {}", end.exit_code),
    };
    Some(killed_for_memory("the judge", end).unwrap_or_else(said))
}
