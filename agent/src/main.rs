//! `seatrial-agent`, the program that runs beside user code in a pod. Its tasks:
//!
//! - `fetch` brings the inputs before the user's command starts;
//! - `admit` decides by the reports about checked inputs whether the user's command starts;
//! - `report` says what a check found that no step waits for, on a contract's own schedule;
//! - `publish` waits for the command to end, keeps what it printed, and uploads its outputs where it ended well;
//! - `recover` reads the record of an attempt whose report is lost;
//! - `read` sends an artifact or a log to a person who asks by a reader pod, in which `hold` waits to be ended;
//! - `probe` says whether `publish` can reach the store.
//!
//! `fetch` and `recover` get their config by an environment variable, `publish` by a file that `fetch` leaves for it. Each
//! reports by its exit code and a termination message. The formats are in `seatrial_core::contract`.

mod admit;
mod error;
mod fetch;
mod flow;
mod hash;
mod pod;
mod probe;
mod publish;
mod read;
mod recover;
mod remote;

use std::path::{Path, PathBuf};
use std::process::exit;
use std::time::Duration;

use clap::{Parser, Subcommand};
use seatrial_core::contract::check::CheckMessage;
use seatrial_core::contract::{
    AdmitConfig, CONFIG_VARIABLE, ExitCode, MAX_RECOVERED_BYTES, Message, PodConfig, VERSION, paths,
};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use error::AgentError;
use pod::private::Private;
use pod::volume::Volume;
use publish::wait;

/// How many threads move data, at most.
const WORKERS: usize = 8;
/// How many threads read, write and hash files, at most.
const BLOCKING: usize = 16;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Where the pod's shared volume is mounted.
    #[arg(long, global = true, default_value = seatrial_core::contract::paths::ROOT)]
    root: PathBuf,
    /// Where the volume is mounted that the agent's containers share among themselves.
    #[arg(long, global = true, default_value = seatrial_core::contract::paths::PRIVATE)]
    private: PathBuf,
    /// Where the termination message goes.
    #[arg(long, global = true, default_value = "/dev/termination-log")]
    termination_log: PathBuf,
    /// How long `publish` waits for an upload that comes no further after the pod was told to stop, in seconds.
    #[arg(long, global = true, default_value_t = 600)]
    last_effort: u64,
    /// The program that `fetch` puts on the shared volume.
    #[arg(long, global = true, default_value = seatrial_core::contract::paths::EXEC_IN_IMAGE)]
    exec: PathBuf,
    #[command(subcommand)]
    task: Task,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Task {
    /// Brings the inputs.
    Fetch,
    /// Decides whether the command starts, by the reports about checked inputs.
    Admit,
    /// Says what the reports about checked data say, which no command waits for.
    Report,
    /// Uploads the outputs once the command has ended well.
    Publish,
    /// Reads the record of an attempt.
    Recover,
    /// Sends an artifact or a log to standard output.
    Read,
    /// Waits to be told to stop: a reader pod has it as its main program.
    Hold,
    /// Fails while `publish` cannot reach the store.
    Probe,
}

fn main() {
    let arguments = Arguments::parse();
    let volume = Volume::new(arguments.root.clone());
    if matches!(arguments.task, Task::Probe) {
        exit(probe::probe(&Private::new(arguments.private.clone())));
    }
    let filter = EnvFilter::try_from_env("SEATRIAL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    // This fails only where a provider is installed already, and then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let private = Private::new(arguments.private.clone());
    if matches!(arguments.task, Task::Admit | Task::Report) {
        let is_report = matches!(arguments.task, Task::Report);
        let (code, message) = match is_report && volume.is_unchanged() {
            true => (ExitCode::Success, CheckMessage { checks: vec![], failure: None }),
            false => admit(&private),
        };
        say(&arguments.termination_log, &message.to_json());
        // What was found is said, and that is all that was asked for: data that break their contract are no failed Job.
        let is_told = is_report && message.failure.is_none();
        exit(if is_told { 0 } else { i32::from(code.number()) });
    }
    let done = run(&arguments, &volume, &private);
    let (code, message) = match done {
        Ok(message) => (ExitCode::Success, message),
        Err(error) => {
            tracing::error!(code = error.code.name(), error = error.message, "the task failed");
            (error.code, Message::failed(error.code, error.message))
        }
    };
    if matches!(arguments.task, Task::Read) {
        // A second program in its container, whose message is not its own.
        exit(i32::from(code.number()));
    }
    // A pod that asks for a record has one container of ours alone, so that there is more room for what it says.
    let json = match arguments.task {
        Task::Recover => message.to_json_within(MAX_RECOVERED_BYTES),
        _ => message.to_json(),
    };
    say(&arguments.termination_log, &json);
    // Not a return: a thread may still wait for the lock of a command that goes on.
    exit(i32::from(code.number()));
}

/// Leaves what the container says.
fn say(file: &Path, json: &str) {
    if let Err(error) = std::fs::write(file, json) {
        tracing::warn!(%error, file = %file.display(), "the termination message could not be written");
    }
}

/// Reads the reports about the data, as `admit` and `report` do: how the container ends, and what it says.
fn admit(private: &Private) -> (ExitCode, CheckMessage) {
    let admitted = (|| {
        let config: AdmitConfig = read(CONFIG_VARIABLE, &variable()?)?;
        let pod: PodConfig = read(paths::CONFIG, &private.config()?)?;
        runtime()?.block_on(wait::unless_stopped(async { Ok(admit::admit(&config, &pod).await) }))
    })();
    admitted.unwrap_or_else(|error| {
        tracing::error!(code = error.code.name(), error = error.message, "the task failed");
        (error.code, CheckMessage { checks: vec![], failure: Some(error.message) })
    })
}

fn run(arguments: &Arguments, volume: &Volume, private: &Private) -> Result<Message, AgentError> {
    let runtime = runtime()?;
    match arguments.task {
        Task::Fetch => {
            let config = read(CONFIG_VARIABLE, &variable()?)?;
            runtime.block_on(wait::unless_stopped(fetch::fetch(&config, volume, private, &arguments.exec)))
        }
        Task::Publish => {
            let config = read(paths::CONFIG, &private.config()?)?;
            let last_effort = Duration::from_secs(arguments.last_effort);
            runtime.block_on(publish::publish(&config, volume, private, last_effort))
        }
        Task::Recover => {
            let config = read(CONFIG_VARIABLE, &variable()?)?;
            runtime.block_on(wait::unless_stopped(recover::recover(&config)))
        }
        Task::Read => {
            let config = read(CONFIG_VARIABLE, &variable()?)?;
            let reading = async {
                let mut out = tokio::io::stdout();
                read::read(&config, &mut out).await
            };
            runtime.block_on(wait::unless_stopped(reading)).map(|()| Message::new())
        }
        Task::Hold => {
            runtime.block_on(wait::told_to_stop());
            Ok(Message::new())
        }
        Task::Probe | Task::Admit | Task::Report => Ok(Message::new()),
    }
}

fn runtime() -> Result<Runtime, AgentError> {
    // TLS and hashes are work for all cores; what blocks gets threads for as long as it does.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, WORKERS))
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()
        .map_err(|error| AgentError::internal(format!("the asynchronous runtime does not start: {error}")))
}

fn variable() -> Result<String, AgentError> {
    let bad =
        |_| AgentError::new(ExitCode::BadConfiguration, format!("{CONFIG_VARIABLE} is not set: the operator sets it"));
    std::env::var(CONFIG_VARIABLE).map_err(bad)
}

/// What the operator wrote, found at `place`.
fn read<C: DeserializeOwned>(place: &str, text: &str) -> Result<C, AgentError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let bad = |what: String| AgentError::new(ExitCode::BadConfiguration, format!("{place} {what}"));
    let Version { version } = serde_json::from_str(text).map_err(|error| bad(format!("is malformed: {error}")))?;
    if version != VERSION {
        return Err(bad(format!(
            "is of version {version}, this agent knows {VERSION}: let the operator and the agent be of one release"
        )));
    }
    serde_json::from_str(text).map_err(|error| bad(format!("is malformed: {error}")))
}
