//! Reading of data in a child process: what a crafted table does to a decoder ends the child, and the parent says so.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use seatrial_core::contract::JudgeMessage;

use crate::progress::{MEASURING, READING, TABLES};

/// Where the limit of the container's memory stands: version 2 of control groups, and version 1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Bytes of a message that are read at most.
const MAX_OUTPUT: u64 = 1 << 16;
/// What the standard library says last where memory is short.
const NO_MEMORY: &str = "memory allocation of";
/// Bytes of a line that are looked at.
const MAX_LINE: usize = 256;

/// Bounds this process: no core dump, which would hold the rows of people, and memory of so many bytes, or of 90% of the
/// container's, so that a lack of it is an error of this process rather than the end of its container.
pub(crate) fn limit_memory(bytes: Option<u64>) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let Some(bytes) = bytes.or_else(|| container_memory().map(|limit| limit / 10 * 9)) else { return Ok(()) };
    setrlimit(Resource::RLIMIT_AS, bytes, bytes).map_err(io::Error::from)
}

/// The container's limit; none where there is none.
fn container_memory() -> Option<u64> {
    let read = |path: &&str| std::fs::read_to_string(Path::new(path)).ok()?.trim().parse::<u64>().ok();
    // Without a limit version 2 says `max`, and version 1 a number beyond any machine.
    LIMITS.iter().find_map(read).filter(|limit| *limit < 1 << 60)
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it printed, cut.
    pub(crate) output: String,
    said: Said,
}

impl Ended {
    /// Whether it said that memory is short.
    pub(crate) const fn no_memory(&self) -> bool {
        self.said.no_memory
    }
}

/// Runs a program to its end, and reads so many bytes of what it prints.
///
/// Before, it makes this process one that is not dumpable: no process of the same user opens its memory, `/proc/<id>/mem`, which
/// a child that crafted data took over could otherwise overwrite where the kernel has no Landlock. The child is dumpable again.
pub(crate) fn ended(command: &mut Command, bytes: u64) -> io::Result<Ended> {
    set_dumpable(false)?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let said = child.stderr.take().map(|stderr| thread::spawn(move || pass_on(stderr)));
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take()
        && let Err(error) = stdout.take(bytes).read_to_string(&mut output)
    {
        output = format!("(unreadable: {error})");
    }
    let status = child.wait()?;
    let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
    Ok(Ended { status, output, said })
}

/// Runs a program that measures, and reads its message.
pub(crate) fn run(command: &mut Command) -> JudgeMessage {
    match ended(command, MAX_OUTPUT) {
        Err(error) => JudgeMessage::Failed(format!("the judge could not start itself: {error}")),
        Ok(Ended { status, output, said }) => match JudgeMessage::parse(&output) {
            Ok(message) if status.success() => message,
            _ => JudgeMessage::Failed(crashed(status, &said)),
        },
    }
}

/// What a child said on standard error, as far as it explains its end.
#[derive(Debug, Default)]
struct Said {
    /// That memory is short.
    no_memory: bool,
    /// Which table it was reading.
    reading: Option<&'static str>,
}

impl Said {
    fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        self.no_memory |= line.contains(NO_MEMORY);
        if let Some(table) = line.strip_prefix(READING) {
            // Texts of a table may stand in an error: only names of our own are repeated.
            self.reading = TABLES.into_iter().find(|name| *name == table);
        } else if line.starts_with(MEASURING) {
            self.reading = None;
        }
    }
}

/// Passes on what a child says on standard error, and takes from it what explains its end.
fn pass_on(mut stderr: impl Read) -> Said {
    let (mut buffer, mut line, mut said) = ([0_u8; 4096], Vec::new(), Said::default());
    while let Ok(length @ 1..) = stderr.read(&mut buffer) {
        let piece = buffer.get(..length).unwrap_or_default();
        // Nobody is left to tell where this cannot be written.
        let _ = io::stderr().write_all(piece);
        for byte in piece {
            if *byte == b'\n' {
                said.line(&line);
                line.clear();
            } else if line.len() < MAX_LINE {
                line.push(*byte);
            }
        }
    }
    said.line(&line);
    said
}

fn crashed(status: ExitStatus, said: &Said) -> String {
    use std::os::unix::process::ExitStatusExt;
    let place = said.reading.map_or_else(|| "while it measured".to_owned(), |table| format!("while it read {table}"));
    let killed = status.signal() == Some(9);
    if said.no_memory || killed {
        let how =
            if killed && !said.no_memory { "was killed, as where it ran out of memory," } else { "ran out of memory" };
        format!(
            "the judge {how} {place}: check that the tables are what they should be, \
             or raise the memory of the judge's container, judge.resources in the chart's values"
        )
    } else {
        let table = said.reading.unwrap_or("the tables");
        format!(
            "the judge crashed ({status}) {place}: check that {table} are not damaged, write them again, as CSV where they \
             are Parquet, and report it with the container's log"
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
            ("echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$", "judge.resources"),
            ("echo reading the labels >&2; echo reading the predictions >&2; kill -SEGV $$", "read the predictions"),
            ("echo reading the labels >&2; kill -KILL $$", "read the labels"),
            ("echo reading the labels >&2; echo measuring 7 rows >&2; kill -SEGV $$", "while it measured"),
            ("echo reading forged names >&2; kill -SEGV $$", "while it measured"),
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
