//! Checks data by the rules of a contract.
//!
//! `check` is told what to check by an environment variable, and writes a report for each input; both are fixed in
//! `seatrial_core::contract::check`. The reading itself is done by `check-input`, a child process for each input.

mod column;
mod conclude;
mod csv;
mod disk;
mod files;
mod json;
mod keys;
mod moment;
mod parquet;
mod plan;
mod sketch;
mod sql;
mod tallies;
mod tally;
mod test;
mod value;
mod words;
mod work;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::alarm;
use seatrial_core::contract::CONFIG_VARIABLE;
use seatrial_core::contract::check::{
    CHECK_VERSION, CheckConfig, CheckMessage, CheckReport, CheckVerdict, InputCheck, MAX_CHECK_REPORT_BYTES, MAX_RULES,
};

use crate::problem::Problem;
use crate::sandbox;
use crate::supervise::{self, Ended};

/// The exit code for a config that cannot be read: `EX_USAGE` of sysexits.
const MISUSED: u8 = 64;
/// Of the time of an input, what is left for its report once the queries' time is over.
const FOR_REPORT: Duration = Duration::from_secs(5);
/// The signal of an alarm clock.
const SIGALRM: i32 = 14;

/// Checks all inputs, each in a process of its own, and writes the reports.
pub(crate) fn check(termination_log: &Path) -> ExitCode {
    let config = match configured() {
        Ok(config) => config,
        Err(why) => return say(termination_log, &CheckMessage { checks: vec![], failure: Some(why) }, MISUSED),
    };
    if config.unless.as_ref().is_some_and(|file| Path::new(file).exists()) {
        eprintln!("the data are those that were checked before");
        return say(termination_log, &CheckMessage { checks: vec![], failure: None }, 0);
    }
    let scratch = scratch(&config);
    for folder in [Path::new(&config.reports), &scratch] {
        if let Err(error) = std::fs::create_dir_all(folder) {
            let why = format!("the folder {} cannot be made: {error}", folder.display());
            return say(termination_log, &CheckMessage { checks: vec![], failure: Some(why) }, 1);
        }
    }
    let (begin, most) = (Instant::now(), Duration::from_secs(config.limits.seconds));
    let mut checks = Vec::new();
    for (number, input) in config.inputs.iter().enumerate() {
        let left = most.saturating_sub(begin.elapsed());
        let report = supervised(&config, number, input, left);
        eprintln!("{}: {:?}: {}", input.input, report.verdict, report.sentence);
        let path = Path::new(&config.reports).join(format!("{}.json", input.input));
        if let Err(error) = std::fs::write(&path, report.to_json()) {
            let failure = Some(format!("the report {} cannot be written: {error}", path.display()));
            return say(termination_log, &CheckMessage { checks, failure }, 1);
        }
        checks.push(report.summary());
    }
    say(termination_log, &CheckMessage { checks, failure: None }, 0)
}

/// Writes the termination message, and ends.
fn say(termination_log: &Path, message: &CheckMessage, code: u8) -> ExitCode {
    if let Some(failure) = &message.failure {
        eprintln!("{failure}");
    }
    match std::fs::write(termination_log, message.to_json()) {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            eprintln!("cannot write {}: {error}", termination_log.display());
            ExitCode::FAILURE
        }
    }
}

fn configured() -> Result<CheckConfig, String> {
    let failed = |why: String| format!("{CONFIG_VARIABLE}: {why}");
    let text = std::env::var(CONFIG_VARIABLE).map_err(|error| failed(error.to_string()))?;
    let config: CheckConfig = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    if config.version != CHECK_VERSION {
        return Err(failed(format!(
            "it is of version {}, this program of version {CHECK_VERSION}: let operator and evidence image be of one release",
            config.version
        )));
    }
    if let Some(input) = config.inputs.iter().find(|input| input.rules.len() > MAX_RULES) {
        return Err(failed(format!("the input {} has more than {MAX_RULES} rules", input.input)));
    }
    Ok(config)
}

fn scratch(config: &CheckConfig) -> PathBuf {
    config.limits.scratch.as_ref().map_or_else(std::env::temp_dir, PathBuf::from)
}

/// Checks an input in a process of its own, whose end is a verdict however it comes.
fn supervised(config: &CheckConfig, number: usize, input: &InputCheck, left: Duration) -> CheckReport {
    let error = |why: String| conclude::whole(input, CheckVerdict::Error, why, (0, 0), vec![]);
    if left.is_zero() {
        return error(too_long(config));
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(why) => return error(format!("the check does not find its own program: {why}")),
    };
    let mut command = Command::new(program);
    // Arenas reserve addresses, which are bounded.
    command
        .env("MALLOC_ARENA_MAX", "2")
        // Where SQLite puts what does not fit into memory.
        .env("SQLITE_TMPDIR", scratch(config))
        .arg("check-input")
        .arg(number.to_string())
        .arg(left.as_secs().max(1).to_string());
    let ended = match supervise::ended(&mut command, MAX_CHECK_REPORT_BYTES as u64 + 1) {
        Ok(ended) => ended,
        Err(why) => return error(format!("the check could not start itself: {why}")),
    };
    match serde_json::from_str::<CheckReport>(&ended.output) {
        Ok(report) if ended.status.success() => report,
        _ => error(crashed(config, &ended)),
    }
}

fn too_long(config: &CheckConfig) -> String {
    format!("the check took longer than {} s: raise the contract's check.timeout", config.limits.seconds)
}

fn crashed(config: &CheckConfig, ended: &Ended) -> String {
    use std::os::unix::process::ExitStatusExt;
    match ended.status.signal() {
        Some(SIGALRM) => too_long(config),
        Some(9) => memory("was killed, as where it ran out of memory"),
        _ if ended.no_memory() => memory("ran out of memory"),
        _ => format!(
            "the check crashed ({}): see that the data are not damaged, write them again, and report it with the container's log",
            ended.status
        ),
    }
}

fn memory(how: &str) -> String {
    format!(
        "the check {how}: see that the data are what they should be, or raise the memory of the container seatrial-check"
    )
}

/// Checks one input within bounds, and prints the report: what `check` starts.
pub(crate) fn check_input(number: usize, seconds: u32) -> ExitCode {
    let config = match configured() {
        Ok(config) => config,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(MISUSED);
        }
    };
    let Some(input) = config.inputs.get(number) else { return ExitCode::from(MISUSED) };
    let time = Duration::from_secs(u64::from(seconds));
    let until = Instant::now() + (time - FOR_REPORT.min(time / 4));
    alarm::set(seconds);
    // A file that grows too long is an error of writing it, rather than the end of the process.
    let bounded = SigSet::from(Signal::SIGXFSZ).thread_block().map_err(std::io::Error::from);
    let bounded = bounded.and_then(|()| supervise::limit_memory(config.limits.memory)).and_then(|()| {
        setrlimit(Resource::RLIMIT_FSIZE, config.limits.disk, config.limits.disk)?;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let descriptors = most.min(disk::DESCRIPTORS);
        setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).map_err(std::io::Error::from)
    });
    let bounded = bounded.map_err(|error| format!("the check cannot bound its memory, files and core dumps: {error}"));
    // The container's share of the processors stands in a file, which an enclosed process does not read.
    let (threads, scratch) = (threads(&config), scratch(&config));
    let enclosed = bounded.and_then(|()| sandbox::enter(&[Path::new(&input.path)], &[&scratch]));
    let report = match enclosed {
        Ok(()) => checked(&config, input, threads, until),
        Err(why) => conclude::whole(input, CheckVerdict::Error, why, (0, 0), vec![]),
    };
    match writeln!(std::io::stdout(), "{}", report.to_json()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// How many threads read.
fn threads(config: &CheckConfig) -> usize {
    config.limits.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |threads| usize::try_from(threads).unwrap_or(1),
    )
}

/// Reads an input by so many threads and decides its rules; its queries have until then.
fn checked(config: &CheckConfig, input: &InputCheck, threads: usize, until: Instant) -> CheckReport {
    let (plan, scratch) = (plan::Plan::new(input), scratch(config));
    let checked = files::list(Path::new(&input.path)).and_then(|files| {
        let limits = work::Limits { scratch: &scratch, disk: config.limits.disk, threads, until };
        let outcome = work::run(input, &plan, &files, limits)?;
        Ok(conclude::report(input, &plan, &files, &outcome))
    });
    checked.unwrap_or_else(|problem| {
        let (verdict, why) = match problem {
            Problem::Unusable(why) => (CheckVerdict::Failed, format!("the data cannot be read: {why}")),
            Problem::Failed(why) => (CheckVerdict::Error, why),
        };
        conclude::whole(input, verdict, why, (0, 0), vec![])
    })
}

#[cfg(test)]
mod tests;
