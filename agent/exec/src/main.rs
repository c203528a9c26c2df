//! Runs a step's command inside the user's own container, whatever image that is.
//!
//! ```text
//! exec [--root DIR] [--grace SECONDS] -- COMMAND [ARGUMENT...]
//! ```
//! It holds a lock for as long as it lives, which is how the container that uploads the outputs knows, even after a
//! kill for memory. It forwards signals, ends and reaps what the command leaves behind, makes outputs readable, and
//! records how the command ended. Paths and codes are those of `seatrial_core::contract`, repeated here to stay small;
//! a test compares them.

mod leftovers;
mod outputs;
mod start;
mod supervise;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use supervise::Supervisor;

/// The mount point of the pod's shared volume.
const ROOT: &str = "/seatrial";
/// How long a command may take to end after it was told to, in seconds: most of the 30 that Kubernetes grants.
const GRACE: u32 = 25;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let mut root = PathBuf::from(ROOT);
    let mut grace = GRACE;
    let command: Vec<OsString> = loop {
        match arguments.next() {
            Some(argument) if argument == "--" => break arguments.collect(),
            Some(argument) if argument == "--root" => root = arguments.next().unwrap_or_default().into(),
            Some(argument) if argument == "--grace" => {
                let seconds = arguments.next().and_then(|text| text.to_str().and_then(|text| text.parse().ok()));
                grace = seconds.filter(|seconds| *seconds > 0).unwrap_or(GRACE);
            }
            _ => {
                eprintln!("exec: usage: exec -- COMMAND [ARGUMENT...]");
                return ExitCode::from(supervise::EXEC_FAILED);
            }
        }
    };
    ExitCode::from(Supervisor::new(root, grace).run(&command))
}
