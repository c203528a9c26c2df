//! Measuring in a child process: what a crafted table does to a decoder ends the child, and the parent says so.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::resource::{Resource, setrlimit};
use seatrial_core::contract::JudgeMessage;

/// Where the limit of the container's memory stands: version 2 of control groups, and version 1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Bytes of a message that are read at most.
const MAX_OUTPUT: u64 = 1 << 16;
/// What the standard library says last where memory is short.
const NO_MEMORY: &[u8] = b"memory allocation of";

/// Bounds this process's memory: to so many bytes, or to 90% of the container's, so that a lack of memory is an error of
/// this process rather than the end of its container.
pub(crate) fn bound_memory(bytes: Option<u64>) -> io::Result<()> {
    let Some(bytes) = bytes.or_else(|| container_memory().map(|limit| limit / 10 * 9)) else { return Ok(()) };
    setrlimit(Resource::RLIMIT_AS, bytes, bytes).map_err(io::Error::from)
}

/// The container's limit; none where there is none.
fn container_memory() -> Option<u64> {
    let read = |path: &&str| std::fs::read_to_string(Path::new(path)).ok()?.trim().parse::<u64>().ok();
    // Without a limit version 2 says `max`, and version 1 a number beyond any machine.
    LIMITS.iter().find_map(read).filter(|limit| *limit < 1 << 60)
}

/// Runs a program that measures, and reads its message.
pub(crate) fn run(command: &mut Command) -> JudgeMessage {
    let failed = |error: io::Error| JudgeMessage::Failed(format!("the judge could not start itself: {error}"));
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return failed(error),
    };
    let said = child.stderr.take().map(|stderr| thread::spawn(move || pass_on(stderr)));
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take()
        && let Err(error) = stdout.take(MAX_OUTPUT).read_to_string(&mut output)
    {
        output = format!("(unreadable: {error})");
    }
    let status = match child.wait() {
        Ok(status) => status,
        Err(error) => return failed(error),
    };
    let no_memory = said.and_then(|said| said.join().ok()).unwrap_or_default();
    if status.success()
        && let Ok(message) = JudgeMessage::parse(&output)
    {
        return message;
    }
    JudgeMessage::Failed(crashed(status, no_memory))
}

/// Passes on what a child says on standard error; whether it says that memory is short.
fn pass_on(mut stderr: impl Read) -> bool {
    let (mut buffer, mut last, mut no_memory) = ([0_u8; 4096], Vec::new(), false);
    while let Ok(length @ 1..) = stderr.read(&mut buffer) {
        let piece = buffer.get(..length).unwrap_or_default();
        // Nobody is left to tell where this cannot be written.
        let _ = io::stderr().write_all(piece);
        last.extend_from_slice(piece);
        no_memory |= last.windows(NO_MEMORY.len()).any(|window| window == NO_MEMORY);
        last.drain(..last.len().saturating_sub(NO_MEMORY.len()));
    }
    no_memory
}

fn crashed(status: ExitStatus, no_memory: bool) -> String {
    use std::os::unix::process::ExitStatusExt;
    let killed = status.signal() == Some(9);
    if no_memory || killed {
        let how = if killed && !no_memory { "was killed, as where it ran out of memory," } else { "ran out of memory" };
        format!(
            "the judge {how} while it read the tables: check that they are what they should be, \
             or raise the memory of the judge's container"
        )
    } else {
        format!(
            "the judge crashed ({status}) while it read the tables: check that they are not damaged, \
             and report it with the container's log"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> JudgeMessage {
        run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn whatever_ends_the_child_is_a_failure_with_advice() {
        for (script, said) in [
            ("kill -SEGV $$", "crashed"),
            ("exit 101", "crashed"),
            ("echo nonsense", "crashed"),
            ("echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$", "ran out of memory"),
            ("kill -KILL $$", "killed"),
        ] {
            let JudgeMessage::Failed(why) = shell(script) else { panic!("{script}") };
            assert!(why.contains(said) && why.contains("check"), "{script}: {why}");
        }
    }

    #[test]
    fn a_message_is_passed_on() {
        let message = JudgeMessage::Unusable("no rows".into());
        assert_eq!(shell(&format!("echo '{}'", message.to_json())), message);
    }
}
