//! Decides for a pipeline: which change it is at, which run it starts, which ended runs go, what its status says.
//!
//! A change is numbered in three writes whose order makes a crash between any two harmless:
//!
//! ```text
//! status.revision = n    refused if the pipeline was read stale: nobody numbers a spec that is gone
//! run <pipeline>-c<n>        its name derives from the change: created twice, it is one run
//! revision <pipeline>-c<n>   last: where it exists, the change is done with, even if its run was deleted since
//! ```
//! New data that a trigger waits for are a change, too: see [`data`].

mod data;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::names::{
    MANAGED_BY, MANAGED_BY_LABEL, PIPELINE_LABEL, PIPELINE_UID_ANNOTATION, REVISION_LABEL, TRIGGER_ANNOTATION,
    TRIGGERED_AT_ANNOTATION,
};
use seatrial_crds::{
    LastRun, MLPipeline, MLPipelineRun, MLPipelineRunSpec, MLPipelineRunStatus, MLPipelineStatus, Purpose,
    TriggeredData,
};

use crate::conditions::{self, Status, types};
use crate::data_contract::{self, ContractProblem, references, resolve};
use crate::observed::PipelineObserved;
use crate::plan::{BlockedReason, Event, EventType, Kind, Object, Plan, Stage, Write};
use crate::run::triggered_revision;
use crate::{names, revision, validation};
use data::{Data, News};

/// How many ended runs of a kind are kept where the pipeline does not say.
const DEFAULT_HISTORY: u32 = 5;

/// The word for a run that is under way and waits for nothing.
const RUNNING: &str = "Running";

/// What a pipeline's spec means for its change number.
enum Change {
    /// The newest revision has this spec.
    None { number: i64 },
    /// The newest revision has this spec, but belongs to a pipeline of the same name that is gone.
    Adopt { number: i64 },
    /// The newest revision has this spec, and is to bear the data that its run read.
    Known { number: i64, data: Data },
    /// It is a new change, made for these data; by the trigger, where new data are all that changed.
    New { number: i64, data: Data, trigger: Option<String> },
}

/// Decides what is done for a pipeline.
pub fn plan(observed: &PipelineObserved, now: Timestamp) -> Plan<MLPipelineStatus> {
    let pipeline = &observed.pipeline;
    if pipeline.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut status = pipeline.status.clone().unwrap_or_default();
    let (mut stages, mut events, mut begins) = (vec![], vec![], None);
    let problems = validation::pipeline(&pipeline.spec);
    let suspended = pipeline.spec.suspend == Some(true);
    let mut unreadable = None;
    if problems.is_empty() && !suspended {
        match change(observed) {
            // Whether the spec is a change is not known. To train everything again without need would be the worse mistake.
            Err(error) => unreadable = Some(error.to_string()),
            Ok(Change::None { number }) => {
                status.revision = Some(number);
                status.data = newest_data(observed);
            }
            Ok(Change::Adopt { number }) => {
                status.revision = Some(number);
                status.data = newest_data(observed);
                stages.push(Stage::stop(adoption(observed, pipeline).into_iter().collect()));
            }
            Ok(Change::Known { number, data }) => {
                (status.revision, status.data) = (Some(number), data::told(&data));
                let known = revision::newest(&observed.revisions).map(|newest| newest.to_object());
                let write = known.map(|mut revision| {
                    data::put(&mut revision, &data);
                    Write::Replace(Object::ControllerRevision(Box::new(revision)))
                });
                stages.push(Stage::stop(write.into_iter().collect()));
            }
            Ok(Change::New { number, data, trigger }) => {
                let is_news = status.revision != Some(number);
                (status.revision, status.data) = (Some(number), data::told(&data));
                if validation::required_parameters(&pipeline.spec).is_empty() {
                    let mut run = run(pipeline, number, now);
                    if let Some(trigger) = trigger {
                        events.extend(is_news.then(|| new_data(&trigger, &run.name_any())));
                        run.metadata.annotations.get_or_insert_default().insert(TRIGGER_ANNOTATION.to_owned(), trigger);
                    }
                    begins = Some(run.name_any());
                    stages.push(Stage::stop(vec![Write::Create(Object::Run(Box::new(run)))]));
                }
                let mut revision = revision::build(pipeline, number);
                data::put(&mut revision, &data);
                stages.push(Stage::stop(vec![Write::Create(Object::ControllerRevision(Box::new(revision)))]));
            }
        }
    }
    status.last_run = match begins {
        // A run that is refused is no run.
        Some(_) if observed.blocked.iter().any(|failure| failure.kind == Kind::Run) => last_run(observed),
        // Told together with the change, so that a run that nothing holds up costs two writes here.
        Some(name) => Some(LastRun { name, reason: RUNNING.to_owned(), finished_at: None }),
        None => last_run(observed).or_else(|| status.last_run.take().map(deleted)),
    };
    let unreadable = unreadable.map(|error| ("RevisionUnreadable", error));
    let accepted = Accepted {
        problems: &problems,
        suspended,
        refused: unreadable.or_else(|| refused(observed)),
        contract: unusable_contract(observed),
    };
    let more = data::said(observed) + &others(observed);
    set_conditions(&mut status, pipeline, &accepted, &more, now);
    set_compatible(&mut status, observed, now);
    let (swept, requeue_after) = sweep::sweep(observed, now);
    stages.push(Stage::proceed(history(observed).into_iter().chain(swept).collect()));
    let changed = Some(&status) != pipeline.status.as_ref();
    Plan { status: changed.then_some(status), stages, events, requeue_after, ..Plan::default() }
        .defer_blocked(&observed.blocked, now)
}

fn change(observed: &PipelineObserved) -> Result<Change, revision::RevisionError> {
    let pipeline = &observed.pipeline;
    let recorded = pipeline.status.as_ref().and_then(|status| status.revision);
    let newest = revision::newest(&observed.revisions);
    let number = newest.map_or(0, |newest| newest.revision);
    if let Some(recorded) = recorded
        && recorded > number
    {
        // Recorded, and then cut off before the revision was written.
        let data = pipeline.status.as_ref().map(|status| data::recorded(&status.data)).unwrap_or_default();
        let spec = newest.and_then(|newest| newest.spec().ok());
        let same = spec.is_some_and(|spec| revision::projection(spec) == revision::projection(&pipeline.spec));
        let trigger = data::differing(&data, newest.map(AsRef::as_ref)).filter(|_| same);
        return Ok(Change::New { number: recorded, data, trigger });
    }
    let spec = newest.map(|newest| newest.spec()).transpose().map_err(Clone::clone)?;
    let same = spec.is_some_and(|spec| revision::projection(spec) == revision::projection(&pipeline.spec));
    let ours = newest.and_then(|newest| newest.pipeline_uid()) == pipeline.metadata.uid.as_deref();
    Ok(match newest.filter(|_| same) {
        Some(_) if !ours && recorded.is_none() => Change::Adopt { number },
        // A run without values for its parameters is nobody's to start.
        Some(newest) if validation::required_parameters(&pipeline.spec).is_empty() => {
            match data::news(observed, newest) {
                News::None => Change::None { number },
                News::Known(data) => Change::Known { number, data },
                News::New(data, trigger) => Change::New { number: number + 1, data, trigger: Some(trigger) },
            }
        }
        Some(_) => Change::None { number },
        None => {
            Change::New { number: number + 1, data: data::current(observed, newest.map(AsRef::as_ref)), trigger: None }
        }
    })
}

/// The data that the newest change was made for.
fn newest_data(observed: &PipelineObserved) -> Vec<TriggeredData> {
    revision::newest(&observed.revisions).map(|newest| data::told(&newest.triggered_data())).unwrap_or_default()
}

/// What people are told of a run that new data start.
fn new_data(trigger: &str, run: &str) -> Event {
    let message = format!("trigger \"{trigger}\": there are new data that keep their contract; the run {run} starts");
    Event { kind: EventType::Normal, reason: "NewData", action: "Trigger", message }
}

/// The newest revision belongs to this pipeline from now on: nothing of it changed.
fn adoption(observed: &PipelineObserved, pipeline: &MLPipeline) -> Option<Write> {
    let mut revision = revision::newest(&observed.revisions)?.to_object();
    let uid = pipeline.metadata.uid.clone()?;
    revision.metadata.annotations.get_or_insert_default().insert(PIPELINE_UID_ANNOTATION.to_owned(), uid);
    Some(Write::Replace(Object::ControllerRevision(Box::new(revision))))
}

/// The run of a change. An annotation says when it was triggered, so that a copy that is applied later can be recognized.
fn run(pipeline: &MLPipeline, number: i64, now: Timestamp) -> MLPipelineRun {
    let name = pipeline.name_any();
    MLPipelineRun {
        metadata: ObjectMeta {
            name: Some(names::revision(&name, number)),
            namespace: pipeline.namespace(),
            labels: Some(BTreeMap::from([
                (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
                (PIPELINE_LABEL.to_owned(), name.clone()),
                (REVISION_LABEL.to_owned(), number.to_string()),
            ])),
            annotations: Some(BTreeMap::from([(
                TRIGGERED_AT_ANNOTATION.to_owned(),
                conditions::whole_seconds(now).to_string(),
            )])),
            owner_references: pipeline.controller_owner_ref(&()).map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        spec: MLPipelineRunSpec { pipeline: name, parameters: vec![], purpose: Some(Purpose::Release) },
        status: None,
    }
}

/// How the newest run stands. One that was made by hand, and that nothing holds up, is told of when it has ended: that
/// it is at work stands in its own status, and is worth no write here.
fn last_run(observed: &PipelineObserved) -> Option<LastRun> {
    let before = observed.pipeline.status.as_ref().and_then(|status| Some(&status.last_run.as_ref()?.name));
    let told = observed.runs.iter().filter(|run| {
        triggered_revision(run).is_some() || progress(run) != RUNNING || run.metadata.name.as_ref() == before
    });
    let newest = told.max_by_key(|run| (run.creation_timestamp(), triggered_revision(run), run.name_any()))?;
    Some(LastRun {
        name: newest.name_any(),
        reason: progress(newest).to_owned(),
        finished_at: newest.status.as_ref().and_then(|status| status.finished_at.clone()),
    })
}

/// How far a run is, in one word. What a run does while nothing holds it up is the same word.
fn progress(run: &MLPipelineRun) -> &str {
    let status = run.status.as_ref();
    match status.and_then(|status| conditions::find(&status.conditions, types::SUCCEEDED)) {
        Some(condition) if condition.reason != "Publishing" => &condition.reason,
        _ => RUNNING,
    }
}

/// The last run when it is gone: one that had not ended never will.
fn deleted(mut last: LastRun) -> LastRun {
    if last.finished_at.is_none() {
        last.reason = "Deleted".to_owned();
    }
    last
}

/// Why the API server refused a write: reason and message of the condition.
fn refused(observed: &PipelineObserved) -> Option<(&'static str, String)> {
    observed.blocked.iter().find_map(|failure| {
        let (kind, name) = (failure.kind.name(), &failure.name);
        match failure.reason {
            BlockedReason::Clash => Some((
                "NameTaken",
                format!("a {kind} named \"{name}\" exists that is not Seatrial's: rename or delete it, or rename the pipeline"),
            )),
            BlockedReason::Refused => {
                Some(("WriteRefused", format!("the API server refused the {kind} \"{name}\": {}", failure.message)))
            }
            BlockedReason::Unavailable => None,
        }
    })
}

/// The first contract of the pipeline's inputs that cannot be used.
fn unusable_contract(observed: &PipelineObserved) -> Option<ContractProblem> {
    let namespace = observed.pipeline.namespace().unwrap_or_default();
    let references = references(&observed.pipeline.spec, &namespace);
    references
        .iter()
        .find_map(|reference| resolve(reference, &namespace, &observed.contracts, &observed.contract_revisions).err())
}

struct Accepted<'a> {
    problems: &'a [validation::Problem],
    suspended: bool,
    refused: Option<(&'static str, String)>,
    /// What is wrong with a contract that an input names.
    contract: Option<ContractProblem>,
}

/// The other pipelines whose versions the same Models have, in words: rarely meant, and numbers of versions do not tell whose
/// they are.
fn others(observed: &PipelineObserved) -> String {
    let name = observed.pipeline.name_any();
    let mut said = String::new();
    for model in &observed.models {
        let publishers = model.status.as_ref().map(|status| status.publishers.as_slice()).unwrap_or_default();
        let others: Vec<&str> = publishers.iter().map(String::as_str).filter(|other| *other != name).collect();
        if !others.is_empty() {
            let others = others.join(", ");
            said += &format!("; the model \"{}\" has versions of other pipelines as well: {others}", model.name_any());
        }
    }
    said
}

fn set_conditions(
    status: &mut MLPipelineStatus,
    pipeline: &MLPipeline,
    accepted: &Accepted<'_>,
    more: &str,
    now: Timestamp,
) {
    let generation = pipeline.metadata.generation;
    status.observed_generation = generation;
    let required = validation::required_parameters(&pipeline.spec);
    let stalled = if !accepted.problems.is_empty() {
        Some(("InvalidSpec", validation::summary(accepted.problems)))
    } else {
        accepted.refused.clone()
    };
    let conditions = &mut status.conditions;
    if let Some((reason, message)) = stalled {
        conditions::set(conditions, types::READY, Status::False, reason, message.clone(), generation, now);
        conditions::set(conditions, types::STALLED, Status::True, reason, message, generation, now);
        return;
    }
    conditions::remove(conditions, types::STALLED);
    if let Some(problem) = &accepted.contract {
        // Its producer may be about to apply it: runs wait for that.
        let message = format!("no run begins: {problem}");
        conditions::set(conditions, types::READY, Status::False, problem.reason, message, generation, now);
        return;
    }
    let (reason, message) = if accepted.suspended {
        ("Suspended", "no run starts while spec.suspend is true".to_owned())
    } else if required.is_empty() {
        ("Accepted", "changes that affect results start runs".to_owned())
    } else {
        let message = format!(
            "changes start no runs, since these parameters have no default: {}; create an MLPipelineRun with values",
            required.join(", ")
        );
        ("ParametersRequired", message)
    };
    conditions::set(conditions, types::READY, Status::True, reason, message + more, generation, now);
}

/// Says whether a contract changed so that who reads by it is broken: before the next run meets that.
fn set_compatible(status: &mut MLPipelineStatus, observed: &PipelineObserved, now: Timestamp) {
    let pipeline = &observed.pipeline;
    let (conditions, generation) = (&mut status.conditions, pipeline.metadata.generation);
    match data_contract::of_pipeline(pipeline, &observed.contracts, &observed.contract_revisions) {
        Some((value, reason, message)) => {
            conditions::set(conditions, types::COMPATIBLE, value, reason, message, generation, now);
        }
        None => conditions::remove(conditions, types::COMPATIBLE),
    }
}

/// The ended runs that changes started, beyond what the pipeline keeps: the oldest go.
fn history(observed: &PipelineObserved) -> Vec<Write> {
    let limits = observed.pipeline.spec.history_limits.unwrap_or_default();
    let uid = observed.pipeline.metadata.uid.as_deref();
    let ours = |run: &MLPipelineRun| {
        run.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
    };
    // Newest first; a change's number breaks ties of one second.
    let beyond = |is_of_kind: &dyn Fn(&MLPipelineRunStatus) -> bool, limit: Option<u32>| {
        let mut runs: Vec<&MLPipelineRun> = observed.runs.iter().map(AsRef::as_ref).filter(|run| ours(run)).collect();
        runs.retain(|run| run.metadata.deletion_timestamp.is_none() && run.status.as_ref().is_some_and(is_of_kind));
        runs.sort_by_key(|run| std::cmp::Reverse((run.creation_timestamp(), triggered_revision(run))));
        let keep = usize::try_from(limit.unwrap_or(DEFAULT_HISTORY)).unwrap_or(usize::MAX);
        runs.into_iter().skip(keep).collect::<Vec<_>>()
    };
    let has = |status: &MLPipelineRunStatus, value| conditions::is(&status.conditions, types::SUCCEEDED, value);
    let is_superseded = |status: &MLPipelineRunStatus| {
        conditions::find(&status.conditions, types::SUCCEEDED).is_some_and(|condition| condition.reason == "Superseded")
    };
    let mut old = beyond(&|status| has(status, Status::True), limits.succeeded);
    // Runs that did nothing push out no failure that somebody may want to look into.
    old.extend(beyond(&|status| has(status, Status::False) && !is_superseded(status), limits.failed));
    old.extend(beyond(&|status| has(status, Status::False) && is_superseded(status), limits.failed));
    // A version vouches for itself by its run until it has been looked at.
    let unread = observed.versions.iter().filter(|version| version.status.is_none());
    let awaited: BTreeSet<&str> = unread.filter_map(|version| version.spec.run()).collect();
    old.retain(|run| run.metadata.name.as_deref().is_none_or(|name| !awaited.contains(name)));
    old.into_iter()
        .map(|run| Write::Delete {
            kind: Kind::Run,
            name: run.name_any(),
            uid: run.metadata.uid.clone().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
