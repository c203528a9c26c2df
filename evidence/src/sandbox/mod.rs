//! What a process gives up for good before it reads data of unknown origin, so that a decoder that crafted data take over
//! reaches nothing: no network, no other program, no other process, and no file but those that it was started for.
//!
//! The filter of system calls ([`system_calls`]) is required. The bounds of files ([`files`]) are the kernel's Landlock, which
//! not every kernel has. Without it a process could still write another one's memory by its file below `/proc`: who starts such a
//! process protects itself from that ([`crate::supervise`]).

mod files;
mod system_calls;
pub(crate) mod trial;

use std::path::Path;

use files::Files;

/// Encloses this process: it reads only what lies beneath some paths, and writes only beneath others. Comes before any thread
/// is started, since a kernel may bound the files of the calling thread and of those alone that it starts.
///
/// # Errors
/// Why the process is not enclosed, and what to do, for people. It must read nothing then.
pub(crate) fn enter(read: &[&Path], write: &[&Path]) -> Result<(), String> {
    match files::restrict(read, write) {
        Ok(Files::Bounded) => {}
        Ok(Files::Unbounded) => {
            eprintln!("this kernel has no Landlock: which files are opened is left to their permissions")
        }
        Err(why) => return Err(format!("the files that data are read from cannot be told from others: {why}")),
    }
    system_calls::filter().map_err(|why| {
        format!(
            "the kernel refuses the filter of system calls that keeps readers of data from the network and from other \
             programs: {why}; use nodes whose kernel has seccomp (CONFIG_SECCOMP_FILTER)"
        )
    })
}
