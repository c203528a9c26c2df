//! One simulation: a cluster, people, pods, and operators that die and are followed by others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use seatrial_core::platform::{DefaultStore, Judge, Platform};
use seatrial_operator::{Clock, Observability, Options, run};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, Deletion, Key, Store, by_kind};
use crate::faults::{Faults, OPERATOR, Plan, SECOND, Second};
use crate::invariants::{Invariants, left_over};
use crate::models::deployments::Deployments;
use crate::models::garbage::Garbage;
use crate::models::jobs::Jobs;
use crate::models::nodes::Unscheduled;
use crate::models::pods::{Fates, Pods};
use crate::models::{self, Model};
use crate::scenario::{APPROVALS, Action, NAMESPACE, Scenario};
use crate::trace::Trace;
use crate::wait::{wait_until, wait_until_still};

/// The time of day at which each simulation begins.
const BEGINNING: i64 = 1_800_000_000;
/// How long a simulation may take, after the last that people do, where at most one operator dies.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long people wait in a storm for what may never come of it.
const AWAITED_IN_STORM: Duration = Duration::from_secs(200);
/// How long it may take after a storm: what is held up is given up after an hour.
const PATIENCE_AFTER_STORM: Duration = Duration::from_secs(2 * 3600);
/// The longest time that an operator waits before it tries again: so long nothing may happen though something is to come.
const BACKOFF: Duration = Duration::from_secs(330);
/// The longest time until an operator looks at a schedule again: what became due while its clock was wrong, in a storm, is made up
/// for then.
const LOOKED_AT: Duration = Duration::from_secs(630);
/// How long after its end the Jobs of a run are kept.
const JOBS_KEPT: u32 = 30;
/// How long it may take until what became needless is gone, once all runs have ended.
const CLEANED: Duration = Duration::from_secs(60);
/// How long nothing happens where all is done.
const STILL: Duration = Duration::from_secs(60);
/// How long nothing may be written, or next to nothing, where nothing happens.
const QUIET: Duration = Duration::from_secs(3600);
/// How long it takes until another operator is started.
const RESTART: Duration = Duration::from_secs(1);

/// How a simulation ended.
#[derive(Debug)]
pub struct Outcome {
    /// What must not have happened.
    pub violations: Vec<String>,
    /// What happened.
    pub trace: String,
    /// How often operators wrote.
    pub writes: u64,
    /// How long it took, as the simulated clock has it.
    pub took: Duration,
}

impl Outcome {
    /// One that could not even begin.
    pub fn failed(why: String) -> Self {
        Self { violations: vec![why], trace: String::new(), writes: 0, took: Duration::ZERO }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Until everything has come to its end.
    End,
    /// Also an hour in which nothing happens: each object may be written once, where what is remembered for an hour is
    /// forgotten.
    Hour,
    /// Also a second hour, in which nothing may be written.
    QuietHour,
}

/// Plays a scenario.
///
/// # Errors
/// No runtime can be made.
pub fn simulate(scenario: &Scenario, plan: &Plan, depth: Depth) -> std::io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(play(scenario, plan.clone(), depth)))
}

async fn play(scenario: &Scenario, plan: Plan, depth: Depth) -> Outcome {
    let began = Instant::now();
    let trace = Trace::begin(plan.is_printed);
    let (storm, second) = (plan.storm.unwrap_or_default(), plan.second);
    let (is_calm, is_late) = (plan.storm.is_none(), matches!(plan.crash, Some((_, crate::faults::Moment::Late(_)))));
    let faults = Faults::new(plan, trace.clone());
    let api = Api::new(Timestamp::from_second(BEGINNING).unwrap_or_default(), Some(faults.clone()));
    api.add_namespace(NAMESPACE);
    let invariants = Arc::new(Mutex::new(Invariants::new(second.is_some(), is_calm)));
    api.observe({
        let (trace, invariants) = (trace.clone(), invariants.clone());
        move |store, change| {
            trace.note_change(change);
            let mut invariants = invariants.lock().unwrap_or_else(PoisonError::into_inner);
            let known = invariants.violations().len();
            invariants.observe(store, change);
            for violation in invariants.violations().iter().skip(known) {
                trace.note("VIOLATION", violation);
            }
        }
    });
    let controllers: Vec<Box<dyn Model>> = vec![
        Box::new(Jobs::default()),
        Box::new(Pods::new(faults.pace(), fates(scenario, &faults))),
        Box::new(Deployments),
        Box::new(Unscheduled::default()),
        Box::new(Garbage::default()),
    ];
    let controllers = tokio::spawn(models::run(api.clone(), controllers));
    let operators = tokio::spawn(operate(api.clone(), faults.clone(), trace.clone(), OPERATOR));
    let others = second.map(|second| tokio::spawn(lead_beside(api.clone(), faults.clone(), trace.clone(), second)));

    let acting = Duration::from_secs(scenario.actions.iter().map(|(second, _)| *second).max().unwrap_or(0));
    let patience = acting * 4 + if is_calm { PATIENCE } else { storm + PATIENCE_AFTER_STORM };
    let (mut moved, mut acted) = ((0, began), began);
    let mut actions = scenario.actions.iter().peekable();
    // People act, and look at what came of it, at each second of the simulated clock.
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let missing = loop {
        seconds.tick().await;
        let is_due = |second: u64, action: &Action, since: Instant| {
            began.elapsed().as_secs() >= second * faults.stretch()
                && (api.look(|store| action.may_begin(store)) || (!is_calm && since.elapsed() >= AWAITED_IN_STORM))
        };
        while let Some((_, action)) = actions.next_if(|(second, action)| is_due(*second, action, acted)) {
            action.carry_out(&api);
            acted = Instant::now();
        }
        meddle(&api, &faults);
        let missing = api.look(|store| if is_calm { (scenario.missing)(store) } else { under_way(store) });
        let version = api.look(Store::version_without_leases);
        if moved.0 != version {
            moved = (version, Instant::now());
        }
        let is_still = is_calm || moved.1.elapsed() >= BACKOFF;
        let is_scheduled =
            api.look(|store| store.of_kind("DataContract").any(|(_, it)| !it["spec"]["check"].is_null()));
        let looked_at = if !is_calm && is_scheduled { LOOKED_AT } else { Duration::ZERO };
        let is_over = actions.peek().is_none() && began.elapsed() >= storm + looked_at && is_still && missing.is_none();
        if is_over || began.elapsed() > patience {
            break missing;
        }
    };
    wait_until(&api, CLEANED, |store| left_over(store).is_empty()).await;
    wait_until_still(&api, STILL, PATIENCE).await;
    let took = began.elapsed();
    api.look(|store| invariants.lock().unwrap_or_else(PoisonError::into_inner).at_the_end(store));
    for (least, times) in [(Depth::Hour, 1), (Depth::QuietHour, 0)] {
        if depth >= least {
            let before = api.look(Store::version);
            tokio::time::sleep(QUIET).await;
            api.look(|store| {
                let mut invariants = invariants.lock().unwrap_or_else(PoisonError::into_inner);
                match store.since(before) {
                    Ok(changes) => invariants.quiet(changes, times),
                    Err(_) => invariants.not_looked_at("the hour without an event: its history is gone"),
                }
            });
        }
    }
    operators.abort();
    others.inspect(tokio::task::JoinHandle::abort);
    controllers.abort();
    let invariants = invariants.lock().unwrap_or_else(PoisonError::into_inner);
    let mut violations = invariants.violations().to_vec();
    if let Some((_, Action::Await(what, _))) = actions.next() {
        violations.push(format!("it never came that {what}"));
    }
    if let Some(missing) = missing {
        violations.push(format!("at the end {missing}"));
    }
    if is_calm && !is_late && scenario.once {
        violations.extend(invariants.repeated().iter().map(|step| format!("done more than once: {step}")));
    }
    Outcome { violations, trace: trace.text(), writes: faults.writes(), took }
}

/// After a storm it is enough that every run and every check ends, and that every version has a verdict: how and which, nobody can
/// say.
fn under_way(store: &Store) -> Option<String> {
    let run = store.of_kind("MLPipelineRun").find(|(_, run)| run["status"]["finishedAt"].is_null());
    let pending = |version: &Value| [Value::Null, json!("Pending")].contains(&version["status"]["verdict"]);
    let version = store.of_kind("ModelVersion").find(|(_, version)| pending(version));
    let checked = store.of_kind("DataContract").find(|(_, contract)| !contract["status"]["checking"].is_null());
    run.or(version).or(checked).map(|(key, _)| format!("{key} has not come to its end"))
}

/// How the pods end: as the scenario says, where nothing worse befalls them.
fn fates(scenario: &Scenario, faults: &Arc<Faults>) -> Fates {
    let (planned, faults) = (scenario.fates, faults.clone());
    Box::new(move |step, before| faults.grief(step, before).unwrap_or_else(|| planned(step, before)))
}

/// Somebody deletes Jobs and pods by hand.
fn meddle(api: &Api, faults: &Faults) {
    let all: Vec<Key> = api.look(|store| {
        ["Job", "Pod"]
            .into_iter()
            .flat_map(|kind| store.of_kind(kind))
            .filter(|(_, object)| object["metadata"]["labels"]["seatrial.dev/component"] == "step")
            .map(|(key, _)| key.clone())
            .collect()
    });
    let chosen = faults
        .mischief(u64::try_from(all.len()).unwrap_or(0))
        .and_then(|number| all.get(usize::try_from(number).ok()?).cloned());
    if let Some(key) = chosen.or_else(|| faults.overtaken())
        && let Some(resource) = by_kind(key.kind)
    {
        let how = Deletion { propagation: "Background".into(), ..Deletion::default() };
        let _ = api.change("meddler", |store| store.delete(resource, &key, &how));
    }
}

/// Operators that lead beside the others, for a while.
async fn lead_beside(api: Api, faults: Arc<Faults>, trace: Trace, second: Second) {
    let leading = operate(api, faults.clone(), trace, SECOND);
    if tokio::time::timeout(second.leads_for, leading).await.is_err() {
        faults.die_all(SECOND, "DIES: it has led beside another");
    }
}

/// Operators, one after the other, as a Deployment with one replica starts them. Those with the same beginning of their names
/// want the same Lease.
async fn operate(api: Api, faults: Arc<Faults>, trace: Trace, called: &'static str) {
    for life in 1_u32.. {
        let name = format!("{called}{life}");
        faults.lives(&name);
        let clock = {
            let (api, faults) = (api.clone(), faults.clone());
            move || {
                let now = api.now();
                now.saturating_add(SignedDuration::from_secs(faults.skew())).unwrap_or(now)
            }
        };
        let options =
            Options { platform: platform(), lease_name: called.to_owned(), ..Options::new(&name, Clock::new(clock)) };
        let observability = Observability::new();
        let client = api.client(&name);
        tokio::select! {
            biased;
            () = faults.crash(&name) => {}
            ended = run(client, options, &observability, std::future::pending()) => {
                trace.note(&name, &format!("ends: {}", ended.map_or_else(|error| error.to_string(), |()| "well".to_owned())));
            }
        }
        tokio::time::sleep_until(Instant::now() + RESTART).await;
    }
}

fn platform() -> Platform {
    Platform {
        agent_image: "agent:1".into(),
        default_store: Some(DefaultStore {
            endpoint: "https://store".into(),
            audience: "seatrial-store".into(),
            certificate_authority: Some("pem".into()),
            authority_is_published: true,
        }),
        readable_prefixes: vec!["http://data/".into()],
        run_as_non_root: true,
        judge: Some(Judge { image: "evidence:1".into(), ..Judge::default() }),
        ttl_seconds_after_finished: Some(JOBS_KEPT),
        approval_policy: Some(APPROVALS.into()),
        ..Platform::default()
    }
}
