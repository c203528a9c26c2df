//! Checks a contract's data on the contract's own schedule, though no pipeline reads them: one attempt after the other, each
//! recorded before its Job is created.
//!
//! What is checked has a key: where the data lie, and the document. With another key nothing is made up for, and what was found
//! before says nothing of it. A check that is due begins when the one before has ended; of several that were
//! missed, the last is made up for. An attempt that failed for an outage is followed by others, three in all; then the check
//! has the verdict Error, and the next one comes at its time.

mod build;
mod findings;
mod job;
mod outcome;
mod problems;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube_core::ResourceExt;
use seatrial_crds::{
    CheckSchedule, CheckedTable, Checking, ContractCheck, DataContract, DataContractSpec, DataContractStatus,
    ObservedSchedule, Time, limits,
};
use serde_json::json;

use self::build::{build, input_name};
use self::outcome::{Found, outcome};
use self::problems::problems_of;
pub use self::problems::schedule_problems;
use super::Contract;
use crate::attempt::reading::Reading;
use crate::attempt::{Cluster, JobState};
use crate::contract::check::{CHECK_VERSION, RuleKind};
use crate::cron::Schedule;
use crate::observed::ContractObserved;
use crate::plan::{Event, Kind, LiveRead, Object, Stage, Write};
use crate::text::plain_within;
use crate::validation::duration;
use crate::{attempt, digest, names};

pub(super) use findings::frequency_text;

/// How soon to look again where time must decide.
const SOON: Duration = Duration::from_secs(5);
/// How soon to look again where a store or the program that checks is missing.
const WAIT: Duration = Duration::from_secs(30);
/// How soon to look again at the latest, so that a clock that is set does not let a check wait.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How far ahead of this clock a recorded time may be. What is further ahead was written by a clock that was wrong, and holds
/// nothing up; what is less far ahead is waited for, so that no check is made twice.
const LONGEST_AHEAD: Duration = Duration::from_secs(24 * 3600);
/// What is to be done about a contract's schedule.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The writes.
    pub(super) stages: Vec<Stage>,
    /// What people are told.
    pub(super) events: Vec<Event>,
    /// What the API server is asked.
    pub(super) live_reads: Vec<LiveRead>,
    /// When to look again even if nothing changes.
    pub(super) requeue_after: Option<Duration>,
}

/// Why nothing can be checked now: a word and a sentence.
type Hindrance = (&'static str, String);

/// The schedule of a contract, with its data, where it has one.
fn scheduled(spec: &DataContractSpec) -> Option<(&ContractCheck, &CheckSchedule)> {
    let check = spec.check.as_ref().filter(|check| !check.data.is_empty())?;
    Some((check, check.schedule.as_ref()?))
}

/// Whether a contract has its data checked on a schedule of its own: then Jobs of it may start.
pub fn is_scheduled(spec: &DataContractSpec) -> bool {
    scheduled(spec).is_some()
}

/// What the newest check found of the data that a contract's schedule checks now, in the contract's order.
pub fn checked_tables(contract: &DataContract) -> &[CheckedTable] {
    let status = contract.status.as_ref().filter(|_| is_scheduled(&contract.spec));
    status.and_then(findings::newest).map(|newest| newest.tables.as_slice()).unwrap_or_default()
}

/// Decides what is next, and records it in the status. `document` is the contract as it is understood, if it is.
pub(super) fn check(
    observed: &ContractObserved,
    document: Option<&Contract>,
    status: &mut DataContractStatus,
    now: Timestamp,
) -> Progress {
    let mut progress = Progress::default();
    let contract = &observed.contract;
    let before = contract.status.clone().unwrap_or_default();
    let Some((check, schedule)) = scheduled(&contract.spec) else {
        // What was found speaks of a schedule that there is no more.
        findings::forget(&mut status.conditions);
        stop_strays(observed, None, &mut progress);
        return progress;
    };
    (status.checks, status.schedule) = (before.checks, before.schedule);
    let hindrance = match ready(observed, document) {
        Ok((document, parsed)) => {
            let key = key(check, document);
            let since = match &status.schedule {
                Some(known) if known.key == key && !is_ahead(known.since.0, now) => {
                    status.checking = before.checking;
                    known.since.0
                }
                _ => {
                    status.schedule = Some(ObservedSchedule { key: key.clone(), since: Time(now) });
                    now
                }
            };
            let deadline = schedule.starting_deadline.as_deref().and_then(duration);
            let subject = Subject { check, document, key: &key, since, deadline, schedule: &parsed };
            go_on(observed, &subject, status, now, &mut progress)
        }
        Err(hindrance) => {
            stop_strays(observed, None, &mut progress);
            Some(hindrance)
        }
    };
    findings::set_conditions(status, document, hindrance.as_ref(), contract.metadata.generation, now);
    progress.events.extend(findings::events(&before.conditions, &status.conditions));
    progress
}

/// What a schedule takes: a document that is understood, a schedule that is one, and something that checks.
fn ready<'a>(
    observed: &ContractObserved,
    document: Option<&'a Contract>,
) -> Result<(&'a Contract, Schedule), Hindrance> {
    let spec = &observed.contract.spec;
    let document = document.ok_or_else(|| {
        ("InvalidContract", "the document is not understood, so that nothing is checked by it".to_owned())
    })?;
    let invalid = |message: String| ("InvalidSchedule", message);
    let problems = problems_of(spec, Some(document));
    if !problems.is_empty() {
        return Err(invalid(crate::validation::summary(&problems)));
    }
    let (_, schedule) = scheduled(spec).ok_or_else(|| invalid("there is no schedule".to_owned()))?;
    let parsed = Schedule::parse(&schedule.cron, schedule.time_zone.as_deref());
    Ok((document, parsed.map_err(|error| invalid(error.to_string()))?))
}

/// Names what is checked.
fn key(check: &ContractCheck, document: &Contract) -> String {
    let parts = json!({"version": CHECK_VERSION, "data": check.data, "revision": document.revision});
    format!("sha256:{}", digest::of_json(&parts))
}

/// What is checked, by what, and when.
struct Subject<'a> {
    check: &'a ContractCheck,
    document: &'a Contract,
    key: &'a str,
    since: Timestamp,
    deadline: Option<Duration>,
    schedule: &'a Schedule,
}

impl Subject<'_> {
    /// Whether the same data may keep the contract today and break it tomorrow: a query may ask what day it is.
    fn may_answer_otherwise(&self) -> bool {
        let tables = self.check.data.iter().filter_map(|data| self.document.schema(Some(&data.schema)).ok());
        tables.into_iter().flat_map(|table| &table.rules).any(|rule| matches!(rule.check, RuleKind::Sql { .. }))
    }
}

/// Goes on with the check under way, or begins one that is due. Returns why one that is due cannot begin.
fn go_on(
    observed: &ContractObserved,
    subject: &Subject<'_>,
    status: &mut DataContractStatus,
    now: Timestamp,
    progress: &mut Progress,
) -> Option<Hindrance> {
    let newest = status.checks.first().map(|newest| newest.scheduled_at.0).filter(|time| !is_ahead(*time, now));
    let last = newest.map_or(subject.since, |newest| newest.max(subject.since));
    let (scheduled_at, number) = match status.checking.clone() {
        Some(Checking { scheduled_at, attempt, failed_at: Some(failed_at), .. }) => {
            let delay = attempt::retry_delay(attempt);
            let left = failed_at.0.as_second() + delay - now.as_second();
            if (1..=delay).contains(&left) {
                progress.requeue_after = Some(Duration::from_secs(left.unsigned_abs()));
                return None;
            }
            (scheduled_at.0, attempt + 1)
        }
        Some(checking) => (checking.scheduled_at.0, checking.attempt),
        None => match subject.schedule.due(last, now, subject.deadline) {
            // What the one before found is on record: its Job has nothing more to do, and may be kept by what somebody injected.
            Some(_) if is_under_way(observed) => {
                stop(observed, is_at_work, progress);
                progress.requeue_after = Some(SOON);
                return None;
            }
            Some(due) => (due, 1),
            None => {
                stop_strays(observed, None, progress);
                progress.requeue_after = Some(until_next(subject.schedule, now));
                return missed(subject, last, now);
            }
        },
    };
    let contract = &observed.contract;
    let uid = contract.metadata.uid.clone().unwrap_or_default();
    let name = names::check(&contract.name_any(), &uid, subject.key, scheduled_at, number);
    stop_strays(observed, Some(&name), progress);
    let mut checking = Checking { scheduled_at: Time(scheduled_at), attempt: number, message: None, failed_at: None };
    let is_recorded = status.checking.as_ref().is_some_and(|before| before.attempt == number);
    let known = findings::known(status.checks.first(), subject.document, subject.since)
        .filter(|_| !subject.may_answer_otherwise());
    let state = if is_recorded { cluster(observed).job_state(&name, now) } else { JobState::Create };
    let failure = match state {
        JobState::Create => {
            match build(observed, subject, &name, number, known) {
                Ok(job) => progress.stages.push(Stage::proceed(vec![Write::Create(Object::Job(Box::new(job)))])),
                Err(hindrance) => {
                    progress.requeue_after = Some(WAIT);
                    return Some(hindrance);
                }
            }
            checking.message = refused(observed, &name);
            status.checking = Some(checking);
            progress.requeue_after = is_recorded.then_some(SOON);
            return None;
        }
        JobState::Exists(found) => match outcome(observed, subject.check, known.as_deref(), found, now) {
            Reading::Running(held) => {
                checking.message = held.map(|held| plain_within(&held, limits::STEP_MESSAGE));
                status.checking = Some(checking);
                progress.requeue_after = Some(Duration::from_secs(60));
                return None;
            }
            Reading::LiveRead => {
                progress.live_reads.push(LiveRead::Job(name));
                progress.requeue_after = Some(SOON);
                return None;
            }
            Reading::Ended(found) => {
                ended(subject, status, scheduled_at, found, now, progress);
                return None;
            }
            Reading::Failed(why) => why,
        },
        JobState::Wait => {
            progress.requeue_after = Some(SOON);
            return None;
        }
        JobState::LiveRead => {
            progress.live_reads.push(LiveRead::Job(name));
            return None;
        }
        JobState::Foreign => format!("another object has the name of the Job \"{name}\": delete it"),
        JobState::Lost => format!("its Job \"{name}\" is gone"),
    };
    if number >= i64::from(limits::CHECK_ATTEMPTS) {
        ended(subject, status, scheduled_at, Found::Nothing(failure), now, progress);
        return None;
    }
    (checking.message, checking.failed_at) = (Some(plain_within(&failure, limits::STEP_MESSAGE)), Some(Time(now)));
    status.checking = Some(checking);
    progress.requeue_after = Some(Duration::from_secs(attempt::retry_delay(number).unsigned_abs()));
    None
}

/// Whether a recorded time is of a clock that was wrong by far.
fn is_ahead(recorded: Timestamp, now: Timestamp) -> bool {
    recorded.duration_since(now) > LONGEST_AHEAD.try_into().unwrap_or_default()
}

/// What is said until the next check, where the last one that was due did not begin within `startingDeadline`.
fn missed(subject: &Subject<'_>, last: Timestamp, now: Timestamp) -> Option<Hindrance> {
    let missed = subject.schedule.due(last, now, None).filter(|_| subject.deadline.is_some())?;
    let next = subject.schedule.next(now).map(|next| format!("; the next check is due at {next}")).unwrap_or_default();
    let message = format!(
        "the check of {missed} did not begin within spec.check.schedule.startingDeadline, and was left out{next}"
    );
    Some(("CheckMissed", message))
}

/// A check has ended: what it found is kept, and the next one comes at its time.
fn ended(
    subject: &Subject<'_>,
    status: &mut DataContractStatus,
    scheduled_at: Timestamp,
    found: Found,
    now: Timestamp,
    progress: &mut Progress,
) {
    status.checking = None;
    findings::keep(&mut status.checks, subject.document, scheduled_at, found, now);
    progress.requeue_after = Some(until_next(subject.schedule, now));
}

fn until_next(schedule: &Schedule, now: Timestamp) -> Duration {
    let next = schedule.next(now).map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
    // Times have whole seconds: none is asked for before it has come.
    next.map_or(LONGEST_WAIT, |wait| (wait + Duration::from_millis(1)).min(LONGEST_WAIT))
}

fn cluster(observed: &ContractObserved) -> Cluster<'_> {
    Cluster {
        owner_uid: observed.contract.metadata.uid.as_deref(),
        jobs: &observed.jobs,
        expectations: &observed.expectations,
        leading_for: observed.leading_for,
        live_reads: &observed.live_reads,
    }
}

/// Why the API server refused the Job, if it did.
fn refused(observed: &ContractObserved, name: &str) -> Option<String> {
    let blocked = observed.blocked.iter().find(|blocked| blocked.kind == Kind::Job && blocked.name == name)?;
    let message = format!("the Job that checks the data cannot be created: {}", blocked.message);
    Some(plain_within(&message, limits::STEP_MESSAGE))
}

/// Whether a Job has neither ended nor been told to.
fn is_at_work(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_none() && !attempt::job_has_ended(job)
}

/// Whether a Job of the contract is at work.
fn is_under_way(observed: &ContractObserved) -> bool {
    observed.jobs.iter().any(|job| cluster(observed).owns(job) && is_at_work(job))
}

/// Deletes Jobs of the contract under way that no attempt names: something else is to be checked, or nothing. One whose pod has
/// said what it found is about to end by itself.
fn stop_strays(observed: &ContractObserved, name: Option<&str>, progress: &mut Progress) {
    let is_stray =
        |job: &Job| is_at_work(job) && job.metadata.name.as_deref() != name && !outcome::has_said(observed, job);
    stop(observed, is_stray, progress);
}

/// Deletes the Jobs of the contract of which this is so.
fn stop(observed: &ContractObserved, which: impl Fn(&Job) -> bool, progress: &mut Progress) {
    let own = observed.jobs.iter().map(AsRef::as_ref).filter(|job: &&Job| cluster(observed).owns(job));
    let delete =
        |job: &Job| Some(Write::Delete { kind: Kind::Job, name: job.name_any(), uid: job.metadata.uid.clone()? });
    let writes: Vec<Write> = own.filter(|job| which(job)).filter_map(delete).collect();
    if !writes.is_empty() {
        progress.stages.push(Stage::proceed(writes));
    }
}
