//! Runs the command: takes the lock, starts it, forwards signals, reaps processes, and records the end.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, alarm};
use rustix::process::{self, WaitOptions};

use crate::arguments::Arguments;
use crate::exit::{EXEC_FAILED, End, Reason, Record, RecordFile, recorded};
use crate::memory::oom_kills;
use crate::message::Secrets;
use crate::output::Output;
use crate::start::start;
use crate::time::Moment;
use crate::{leftovers, message, outputs};

/// What is added to the number of the signal that killed a command, as shells do.
const KILLED: i32 = 128;

/// The signals that are passed on to the command.
const FORWARDED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// One run of one command.
pub(crate) struct Supervisor {
    arguments: Arguments,
}

impl Supervisor {
    pub(crate) fn new(arguments: Arguments) -> Self {
        Self { arguments }
    }

    /// Runs the command and returns the exit code for the container.
    pub(crate) fn run(&self) -> u8 {
        // From here on signals wait until they are asked for, so that none is lost before the loop: process 1 does not
        // even die of a SIGTERM that comes too early. The command begins with none held back.
        let mut signals: SigSet = FORWARDED.into_iter().collect();
        signals.add(Signal::SIGCHLD);
        signals.add(Signal::SIGALRM);
        if let Err(error) = signals.thread_block() {
            return fail("signals cannot be held back", &error.into());
        }
        let state = self.arguments.root.join("state");
        // The kubelet starts a container again after a crash of the node: what is done stays done.
        if let Some(code) = recorded(&state) {
            return code;
        }
        let lock = match lock(&state.join("lock")) {
            Ok(lock) => lock,
            Err(error) => return fail("the lock cannot be taken", &error),
        };
        let file = match RecordFile::reserve(&state) {
            Ok(file) => file,
            Err(error) => return fail("the record of the command's end has no room", &error),
        };
        if let Err(error) = File::create(state.join("started")) {
            return fail("the start cannot be recorded", &error);
        }
        let (root, arguments) = (&self.arguments.root, &self.arguments);
        let outputs = root.join("outputs");
        if let Err(error) = outputs::make(&outputs, &arguments.outputs) {
            return fail("the folder of an output cannot be made", &error);
        }
        let secrets = self.secrets();
        let (output, ends) = match Output::open(&state.join("logs"), secrets.longest()) {
            Ok(opened) => opened,
            Err(error) => return fail("the command's output cannot be read", &error),
        };
        leftovers::adopt();
        let killed_before = oom_kills();
        let started = Moment::now();
        let end = start(&arguments.command, ends).map_or_else(|end| end, |child| self.wait(child, &signals));
        let finished = Moment::now();
        // What was made is read after a failure, too, but nothing waits long for it.
        let deadline = (!end.is_success()).then(|| Instant::now() + Duration::from_secs(arguments.grace.into()));
        // Whatever still runs could write to the outputs while they are made readable, recorded and uploaded.
        leftovers::end();
        let (last, dropped_log_bytes) = output.drain();
        outputs::make_readable(&outputs, deadline);
        let last = (!end.is_success()).then_some(&last);
        // A Secret that was renewed meanwhile has new values.
        if let Err(error) = message::write(&arguments.termination_message, &secrets.and(self.secrets()), last) {
            eprintln!("exec: the termination message cannot be written: {error}");
        }
        let oom_kills = oom_kills().saturating_sub(killed_before);
        let record = Record { end, oom_kills, dropped_log_bytes, started, finished };
        if let Err(error) = file.write(&record) {
            return fail("the end cannot be recorded", &error);
        }
        drop(lock);
        end.container_code()
    }

    /// The Secrets that the command was given.
    fn secrets(&self) -> Secrets {
        let arguments = &self.arguments;
        Secrets::of_environment(variables(), &arguments.secret_variables, arguments.secret_environment)
            .and(Secrets::of_mounts(&arguments.secret_mounts))
    }

    /// Forwards signals until the command has ended, and reaps every orphan that becomes our child.
    ///
    /// A command that was told to stop, or has run longer than it may, and does not end within the grace, is killed in
    /// time for its end to be recorded: Kubernetes would kill all, and a deleted pod would look like a failed command.
    fn wait(&self, child: Pid, signals: &SigSet) -> End {
        // Why the command was told to stop, where it was.
        let mut told: Option<Reason> = None;
        if let Some(timeout) = self.arguments.timeout {
            alarm::set(timeout);
        }
        loop {
            match signals.wait() {
                Ok(Signal::SIGCHLD) => {
                    if let Some(end) = reap(child) {
                        alarm::cancel();
                        // A command that ends well after it was told to stop did not finish its work.
                        return End { reason: told.unwrap_or(end.reason), ..end };
                    }
                }
                Ok(Signal::SIGALRM) if told.is_some() => {
                    let _ = kill(child, Signal::SIGKILL);
                }
                Ok(Signal::SIGALRM) => {
                    told = Some(Reason::TimedOut);
                    alarm::set(self.arguments.grace);
                    let _ = kill(child, Signal::SIGTERM);
                }
                Ok(signal) => {
                    if matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT) && told.is_none() {
                        told = Some(Reason::Stopped);
                        alarm::set(self.arguments.grace);
                    }
                    let _ = kill(child, signal);
                }
                Err(_) => {}
            }
        }
    }
}

/// The environment, as far as it is text.
fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn fail(what: &str, error: &io::Error) -> u8 {
    eprintln!("exec: {what}: {error}");
    EXEC_FAILED
}

/// Takes the lock without waiting: nobody else holds it before the start is recorded.
fn lock(path: &Path) -> io::Result<Flock<File>> {
    let file = File::options().read(true).write(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}

/// The command's end, if it is among the processes that ended.
fn reap(child: Pid) -> Option<End> {
    let mut ended = None;
    // Not by `nix`, which takes an end by a real-time signal for an error.
    while let Ok(Some((pid, status))) = process::wait(WaitOptions::NOHANG) {
        if pid.as_raw_pid() == child.as_raw() {
            let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
            let signal = status.terminating_signal();
            let code = signal.map_or(status.exit_status(), |signal| Some(KILLED + signal)).unwrap_or(KILLED);
            ended = Some(End { code: byte(code), signal: signal.map(byte), reason: Reason::Exited });
        }
    }
    ended
}
