//! A diagnostic, for operators and tests: tries what an enclosed process may not do, so that they see what a node refuses.

use std::fs::File;
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use nix::sys::signal::kill;
use nix::unistd::getppid;

use crate::supervise;

/// This program, also where the process may not walk to it.
const PROGRAM: &str = "/proc/self/exe";
/// Bytes of what a trial prints.
const MAX_OUTPUT: u64 = 1 << 16;

/// Starts a trial as `check` and `judge` start what reads data, and prints what it prints.
pub(crate) fn supervised(read: &Path, write: &Path) -> ExitCode {
    let mut command = Command::new(PROGRAM);
    command.arg("sandbox-trial").args([read, write]);
    match supervise::ended(&mut command, MAX_OUTPUT) {
        Ok(ended) if io::stdout().write_all(ended.output.as_bytes()).is_ok() && ended.status.success() => {
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the trial cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Encloses this process, tries, and prints a line for each trial: what came of it.
pub(crate) fn run(read: &Path, write: &Path) -> ExitCode {
    // Before the sandbox, since the parent protects itself from it also where the kernel has no Landlock.
    let memory = format!("/proc/{}/mem", getppid());
    say("write the parent's memory", File::options().read(true).write(true).open(memory));
    if let Err(why) = super::enter(&[read], &[write]) {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let program = || Command::new(PROGRAM);
    say("listen to TCP", TcpListener::bind("127.0.0.1:0"));
    say("send by UDP", UdpSocket::bind("127.0.0.1:0"));
    say("make a pair of sockets", UnixStream::pair());
    say("signal another process", kill(getppid(), None).map_err(io::Error::from));
    say("start another process", program().arg("--version").status());
    say("read a file elsewhere", File::open("/proc/version"));
    say("list a folder elsewhere", std::fs::read_dir("/proc/self"));
    say("write beside what is read", File::create(read.join("trial")));
    say("list what is to be read", std::fs::read_dir(read));
    say("write where it may", File::create(write.join("trial")));
    say("remove what it wrote", std::fs::remove_file(write.join("trial")));
    // The standard library panics where it cannot start one.
    let thread = thread::Builder::new().spawn(|| say("listen to TCP in a thread", TcpListener::bind("127.0.0.1:0")));
    say("start a thread", thread.map(|thread| drop(thread.join())));
    // Last, since it would replace this process.
    say("become another program", Err::<(), _>(program().arg("--version").exec()));
    ExitCode::SUCCESS
}

fn say<T>(what: &str, result: io::Result<T>) {
    match result {
        Ok(_) => println!("{what}: allowed"),
        Err(error) => println!("{what}: {error}"),
    }
}
