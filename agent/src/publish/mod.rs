//! `publish`: waits for the command, keeps what it printed, uploads what it made, and puts that on record.
//!
//! ```text
//! NotStarted ── STARTED exists ──► Running ── the lock falls ──► Ended ── after success ──► objects, listings, record
//!                                                                     └─ always ──► log, how the pod ended
//! ```
//! When the pod is told to stop, `exec` ends the command within its grace. An upload that has begun goes on as long as it makes
//! progress, since the work of the step would be lost without it.

pub(crate) mod buffers;
pub(crate) mod folder;
pub(crate) mod kept;
pub(crate) mod metrics;
pub(crate) mod parts;
pub(crate) mod reader;
pub(crate) mod target;
pub(crate) mod upload;
pub(crate) mod wait;

use std::time::Duration;

use jiff::Timestamp;
use metrics::Members;
use seatrial_core::contract::{
    Exit, ExitCode, Message, PodConfig, RECORD_VERSION, Record, ReportedMetric, ReportedOutput, StepConfig, Try, paths,
};
use seatrial_crds::{OutputType, limits};

use crate::error::AgentError;
use crate::pod::private::Private;
use crate::pod::volume::Volume;
use crate::publish::folder::OutputFolder;
use crate::publish::kept::Keeper;
use crate::publish::target::Target;
use crate::publish::wait::Stop;
use crate::remote::outage::Outages;
use crate::remote::store::Remote;

/// Waits for the command and uploads what it made. Of a command that failed no output is uploaded: its exit code says what
/// happened. After the pod was told to stop, an upload without progress is given up when `last_effort` is over.
pub(crate) async fn publish(
    config: &PodConfig,
    volume: &Volume,
    private: &Private,
    last_effort: Duration,
) -> Result<Message, AgentError> {
    let step = config.step.as_ref().ok_or_else(|| {
        AgentError::new(ExitCode::BadConfiguration, "the config names no step: publish runs beside one")
    })?;
    let stop = Stop::listen()?;
    let keeper = match keeper(config, step) {
        // Nothing later depends on what such a step leaves: it needs no store.
        Err(error) if step.outputs.is_empty() => {
            tracing::warn!(error = error.message, "the log cannot be kept");
            None
        }
        keeper => keeper?,
    };
    let exit = tokio::select! {
        exit = wait::for_command(volume) => exit,
        () = stopped_before_the_start(volume, &stop) => return Err(AgentError::stopped()),
        () = log_meanwhile(step, keeper.as_ref(), volume) => return Err(AgentError::internal("the log has no end")),
    };
    let exit = match exit {
        Ok(exit) if exit.is_success() => exit,
        exit => {
            keep_failure(step, keeper.as_ref(), volume, &exit).await;
            let exit = exit?;
            tracing::info!(code = exit.code, "the command did not end well: nothing is uploaded");
            return Ok(Message { oom_kills: exit.oom_kills, ..Message::new() });
        }
    };
    let Some(keeper) = keeper else { return Ok(Message { oom_kills: exit.oom_kills, ..Message::new() }) };
    if step.outputs.is_empty() {
        let log = keeper.log(volume).await.unwrap_or(None);
        keeper.end(&ended(step, &keeper, Some(exit.clone()), log)).await;
        return Ok(Message { oom_kills: exit.oom_kills, ..Message::new() });
    }
    let outages = Outages::new(step.outage_seconds, Some(private.clone()));
    let inputs = private.fetched()?;
    let target = Target::new(&keeper.store, &outages);
    let (made, log) = tokio::join!(
        async {
            tokio::select! {
                made = upload_all(step, &target, volume) => made,
                () = given_up(&stop, &outages, last_effort) => {
                    target.abort().await;
                    Err(AgentError::stopped())
                }
            }
        },
        keeper.log(volume)
    );
    let mut made = match made {
        Ok(made) => made,
        Err(error) => {
            let log = log.unwrap_or(None);
            keeper.end(&ended(step, &keeper, Some(exit), log).ended(error.code, &error.message)).await;
            return Err(error);
        }
    };
    // A store that was away for longer than a log is waited for has come back by now: it took the outputs.
    let log = match log {
        Err(_) => keeper.log(volume).await,
        log => log,
    };
    let log = log.unwrap_or_else(|why| {
        made.notes.push(format!("the log was dropped: {why}"));
        None
    });
    let ended = ended(step, &keeper, Some(exit.clone()), log.clone());
    let record = Record {
        version: RECORD_VERSION,
        key: keeper.key.clone(),
        pod_uid: keeper.pod_uid.clone(),
        image: step.image.clone(),
        inputs,
        outputs: made.outputs,
        metrics: made.metrics,
        exit,
        written_at: Timestamp::now(),
        log,
        notes: made.notes,
    };
    let record = keeper.record(record, &outages).await?;
    keeper.end(&ended).await;
    let mut message = record.message();
    // What a status can show: the record has all.
    message.metrics.truncate(limits::METRICS);
    message.inputs.clear();
    Ok(message)
}

/// Where the attempt's record, log and end go; `None` where there is no store for them.
fn keeper(config: &PodConfig, step: &StepConfig) -> Result<Option<Keeper>, AgentError> {
    let Some(prefix) = &step.store else { return Ok(None) };
    let store = config.stores.iter().find(|store| &store.prefix == prefix).ok_or_else(|| {
        AgentError::new(
            ExitCode::BadConfiguration,
            format!("the config names the store {prefix}, which it does not describe"),
        )
    })?;
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let index = variable(paths::INDEX_VARIABLE).parse().unwrap_or(0);
    let pod_uid = Some(variable(paths::POD_UID_VARIABLE)).filter(|uid| !uid.is_empty());
    let pod_uid = pod_uid.unwrap_or_else(|| "unknown".to_owned());
    Ok(Some(Keeper::new(Remote::open(store)?, step, index, pod_uid)))
}

/// Keeps the log while the command runs; never ends.
async fn log_meanwhile(step: &StepConfig, keeper: Option<&Keeper>, volume: &Volume) {
    match keeper {
        Some(keeper) => keeper.log_meanwhile(volume, Duration::from_secs(u64::from(step.log_seconds))).await,
        None => std::future::pending().await,
    }
}

/// Ends when the pod is told to stop and the command has not begun: then it never will.
async fn stopped_before_the_start(volume: &Volume, stop: &Stop) {
    stop.told().await;
    if wait::has_started(volume) {
        std::future::pending().await
    }
}

/// Ends when the pod was told to stop and an upload has come no further for long since.
async fn given_up(stop: &Stop, outages: &Outages, last_effort: Duration) {
    stop.told().await;
    while !outages.lasts(last_effort) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn keep_failure(step: &StepConfig, keeper: Option<&Keeper>, volume: &Volume, exit: &Result<Exit, AgentError>) {
    let Some(keeper) = keeper else { return };
    let log = keeper.log(volume).await.unwrap_or(None);
    let end = match exit {
        Ok(exit) => ended(step, keeper, Some(exit.clone()), log),
        Err(error) => ended(step, keeper, None, log).ended(error.code, &error.message),
    };
    keeper.end(&end).await;
}

fn ended(step: &StepConfig, keeper: &Keeper, exit: Option<Exit>, log: Option<String>) -> Try {
    Try {
        version: RECORD_VERSION,
        key: keeper.key.clone(),
        pod_uid: keeper.pod_uid.clone(),
        image: step.image.clone(),
        exit,
        reason: ExitCode::Success.name().to_owned(),
        message: String::new(),
        written_at: Timestamp::now(),
        log,
    }
}

/// What came of the command.
#[derive(Default)]
struct Made {
    outputs: Vec<ReportedOutput>,
    metrics: Vec<ReportedMetric>,
    /// What was left out, and why.
    notes: Vec<String>,
}

async fn upload_all(step: &StepConfig, target: &Target<'_>, volume: &Volume) -> Result<Made, AgentError> {
    let mut made = Made::default();
    // What is no number stands last: it takes no room from a metric.
    let mut rest = vec![];
    // What is wrong with metrics is found before anything large is sent.
    for output in step.outputs.iter().filter(|output| output.kind == OutputType::Metrics) {
        let file = paths::file_name(output.kind).unwrap_or_default();
        let folder = OutputFolder::open(&volume.beneath()?, &Volume::relative(&output.folder))?;
        let Members { numbers, others } = metrics::read(&folder, file, &mut made.notes)?;
        let reported = |(name, value)| ReportedMetric { output: output.name.clone(), name, value };
        made.metrics.extend(numbers.into_iter().map(reported));
        rest.extend(others.into_iter().map(reported));
    }
    made.metrics.extend(rest);
    made.outputs = upload::outputs(target, &step.outputs, volume).await?;
    for note in &made.notes {
        tracing::warn!(note, "a value is no metric");
    }
    Ok(made)
}
