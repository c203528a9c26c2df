//! Tries what an enclosed process may not do, so that people and tests see what a node refuses.

use std::fs::File;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use nix::sys::signal::kill;
use nix::unistd::getppid;

/// Encloses this process, tries, and prints a line for each attempt: what came of it.
pub(crate) fn attempt(read: &Path, write: &Path) -> ExitCode {
    if let Err(why) = super::enter(&[read], &[write]) {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    let program = || Command::new("/proc/self/exe");
    say("listen to TCP", TcpListener::bind("127.0.0.1:0"));
    say("send by UDP", UdpSocket::bind("127.0.0.1:0"));
    say("make a pair of sockets", UnixStream::pair());
    say("signal another process", kill(getppid(), None).map_err(io::Error::from));
    say("start another process", program().arg("--version").status());
    say("read a file elsewhere", File::open("/proc/version"));
    say("list a folder elsewhere", std::fs::read_dir("/proc/self"));
    say("write beside what is read", File::create(read.join("attempt")));
    say("list what is to be read", std::fs::read_dir(read));
    say("write where it may", File::create(write.join("attempt")));
    say("remove what it wrote", std::fs::remove_file(write.join("attempt")));
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
