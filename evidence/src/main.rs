//! Measures a model version's predictions against labels, and checks data by the rules of a contract ([`check`]).
//!
//! `judge` is told what to measure by an environment variable, and says what came of it in a termination message; both are
//! fixed in `seatrial_core::contract`. It decides nothing. The measuring itself is done by `measure`, a child process.

mod binary;
mod check;
mod classes;
mod duel;
mod folds;
mod group_names;
mod number;
mod problem;
mod progress;
mod ranked;
mod regression;
mod rows;
mod sandbox;
mod supervise;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use seatrial_core::contract::{CONFIG_VARIABLE, JUDGE_VERSION, JudgeConfig, JudgeMessage, Measured};
use seatrial_crds::TaskType;

use problem::Problem;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measures, and writes the termination message.
    Judge {
        /// Where the termination message goes.
        #[arg(long, env = "SEATRIAL_TERMINATION_LOG", default_value = "/dev/termination-log")]
        termination_log: PathBuf,
        /// The memory in bytes that measuring may take; by default nine tenths of the container's.
        #[arg(long)]
        memory: Option<u64>,
    },
    /// Measures, and prints the message: what `judge` starts.
    Measure {
        /// The memory in bytes that it may take.
        #[arg(long)]
        memory: Option<u64>,
    },
    /// Checks data by the rules of contracts, and writes the reports and the termination message.
    Check {
        /// Where the termination message goes.
        #[arg(long, env = "SEATRIAL_TERMINATION_LOG", default_value = "/dev/termination-log")]
        termination_log: PathBuf,
    },
    /// Checks one input, and prints the report: what `check` starts.
    CheckInput {
        /// The input's number in the config, from 0.
        number: usize,
        /// Seconds after which it ends itself.
        seconds: u32,
    },
    /// Says what a process that reads data may do on this machine, by trying it: a diagnostic.
    Sandbox {
        /// A folder that it may read.
        read: PathBuf,
        /// A folder that it may write to, too.
        write: PathBuf,
    },
    /// Locks itself in, and tries: what `sandbox` starts.
    #[command(hide = true)]
    SandboxTrial {
        /// A folder that it may read.
        read: PathBuf,
        /// A folder that it may write to, too.
        write: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Judge { termination_log, memory } => judge(&termination_log, memory),
        Task::Measure { memory } => measure(memory),
        Task::Check { termination_log } => check::check(&termination_log),
        Task::CheckInput { number, seconds } => check::check_input(number, seconds),
        Task::Sandbox { read, write } => sandbox::trial::supervised(&read, &write),
        Task::SandboxTrial { read, write } => sandbox::trial::run(&read, &write),
    }
}

fn judge(termination_log: &Path, memory: Option<u64>) -> ExitCode {
    let message = match std::env::current_exe() {
        Ok(program) => {
            let mut command = Command::new(program);
            command.arg("measure");
            if let Some(memory) = memory {
                command.args(["--memory", &memory.to_string()]);
            }
            supervise::run(&mut command)
        }
        Err(error) => JudgeMessage::Failed(format!("the judge does not find its own program: {error}")),
    };
    say(&message);
    if let Err(error) = std::fs::write(termination_log, message.to_json()) {
        eprintln!("cannot write {}: {error}", termination_log.display());
        return ExitCode::FAILURE;
    }
    match message {
        JudgeMessage::Measured(_) | JudgeMessage::Compared(_) | JudgeMessage::Unusable(_) => ExitCode::SUCCESS,
        JudgeMessage::Failed(_) => ExitCode::FAILURE,
    }
}

/// Says a message to people, on standard error.
fn say(message: &JudgeMessage) {
    match message {
        JudgeMessage::Measured(measured) => {
            eprintln!("measured {} rows", measured.rows);
            for metric in &measured.metrics {
                let error = metric.standard_error.as_ref().map(|error| format!(" (standard error {error})"));
                eprintln!("{} {}{}", metric.name, metric.value, error.unwrap_or_default());
            }
            let points: usize = measured.folds.iter().map(|fold| fold.points.len()).sum();
            eprintln!(
                "{} groups, {} folds with {points} points, {} points of the curve",
                measured.groups.len(),
                measured.folds.len(),
                measured.curve.len()
            );
        }
        JudgeMessage::Compared(compared) => {
            let rows: i64 = compared.folds.iter().map(|fold| fold.rows.positives + fold.rows.negatives).sum();
            eprintln!("compared {rows} rows with those of the champion");
        }
        JudgeMessage::Unusable(why) => eprintln!("unusable: {why}"),
        JudgeMessage::Failed(why) => eprintln!("failed: {why}"),
    }
}

fn measure(memory: Option<u64>) -> ExitCode {
    let message = match supervise::limit_memory(memory) {
        Ok(()) => match configured().and_then(enclosed).and_then(|config| message(&config)) {
            Ok(message) => message,
            Err(Problem::Unusable(why)) => JudgeMessage::Unusable(why),
            Err(Problem::Failed(why)) => JudgeMessage::Failed(why),
        },
        Err(error) => JudgeMessage::Failed(format!("the judge cannot bound its memory and core dumps: {error}")),
    };
    match writeln!(std::io::stdout(), "{}", message.to_json()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What the environment says to measure.
fn configured() -> Result<JudgeConfig, Problem> {
    let failed = |why: String| Problem::Failed(format!("{CONFIG_VARIABLE}: {why}"));
    let text = std::env::var(CONFIG_VARIABLE).map_err(|error| failed(error.to_string()))?;
    let config: JudgeConfig = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    if config.version == JUDGE_VERSION {
        Ok(config)
    } else {
        Err(failed(format!(
            "it is of version {}, this judge of version {JUDGE_VERSION}: let operator and judge be of one release",
            config.version
        )))
    }
}

/// Encloses this process: it reads the tables of its config, and writes nothing.
fn enclosed(config: JudgeConfig) -> Result<JudgeConfig, Problem> {
    let labels = config.labels.iter().map(|labels| Path::new(&labels.folder));
    let champion = config.duel.iter().map(|duel| Path::new(&duel.predictions));
    let tables: Vec<&Path> = [Path::new(&config.predictions)].into_iter().chain(labels).chain(champion).collect();
    sandbox::enter(&tables, &[]).map_err(Problem::Failed)?;
    Ok(config)
}

/// What is to be said: of a version alone, or of a version and its champion.
fn message(config: &JudgeConfig) -> Result<JudgeMessage, Problem> {
    match &config.duel {
        Some(duel) => duel::compare(config, duel).map(JudgeMessage::Compared),
        None => measured(config).map(JudgeMessage::Measured),
    }
}

/// Reads, joins and measures.
fn measured(config: &JudgeConfig) -> Result<Measured, Problem> {
    let evidence = rows::load(config)?;
    progress::say_measuring(evidence.rows.len());
    match config.task.kind {
        TaskType::BinaryClassification => binary::measure(evidence),
        _ => regression::measure(&evidence),
    }
}

#[cfg(test)]
mod testing;
