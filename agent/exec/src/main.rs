//! Runs a step's command inside the user's own container, whatever image that is.
//!
//! ```text
//! exec [--timeout SECONDS] [--grace SECONDS] [--output NAME]... [--secret-variable NAME]... [--secret-environment]
//!      [--root DIR] [--termination-message FILE] -- COMMAND [ARGUMENT...]
//! ```
//! It holds a lock for as long as it lives, which is how the container that uploads the outputs knows, even after a
//! kill for memory. It makes the outputs' folders, forwards signals and output, keeps a copy of the output and
//! the command's timeout, ends and reaps what the command leaves behind, makes outputs readable, and records how the
//! command ended. Paths and codes are those of
//! `seatrial_core::contract`, repeated here to stay small; a test compares them.

mod arguments;
mod exit;
mod leftovers;
mod log;
mod memory;
mod message;
mod output;
mod outputs;
mod start;
mod supervise;
mod time;

use std::process::ExitCode;

use arguments::Arguments;
use supervise::Supervisor;

fn main() -> ExitCode {
    match Arguments::read(std::env::args_os().skip(1)) {
        Ok(arguments) => ExitCode::from(Supervisor::new(arguments).run()),
        Err(error) => {
            eprintln!("exec: {error}; usage: exec [ARGUMENT...] -- COMMAND [ARGUMENT...]");
            ExitCode::from(exit::EXEC_FAILED)
        }
    }
}
