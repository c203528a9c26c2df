//! How the command ended: the container's exit code, and the record that `publish` reads.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::time::Moment;

/// Told to stop, and stopped the command.
const STOPPED: u8 = 241;
/// The command does not exist or is no program.
const COMMAND_NOT_FOUND: u8 = 242;
/// Could not lock, record or start.
pub(crate) const EXEC_FAILED: u8 = 243;
/// The command ran longer than its timeout.
const TIMED_OUT: u8 = 244;
/// The room that is taken for the record before the command starts, in bytes.
const ROOM: usize = 4096;

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Exited,
    TimedOut,
    Stopped,
    NotFound,
    Failed,
}

impl Reason {
    const ALL: [Self; 5] = [Self::Exited, Self::TimedOut, Self::Stopped, Self::NotFound, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            Self::Exited => "Exited",
            Self::TimedOut => "TimedOut",
            Self::Stopped => "Stopped",
            Self::NotFound => "NotFound",
            Self::Failed => "Failed",
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The command's own exit code, 128 + n where signal n ended it.
    pub(crate) code: u8,
    /// The signal that ended it.
    pub(crate) signal: Option<u8>,
    /// Why it ended.
    pub(crate) reason: Reason,
}

impl End {
    /// The end of a command that does not exist or is no program.
    pub(crate) const NOT_FOUND: Self = Self { code: COMMAND_NOT_FOUND, signal: None, reason: Reason::NotFound };
    /// The end of a command that could not be started.
    pub(crate) const FAILED: Self = Self { code: EXEC_FAILED, signal: None, reason: Reason::Failed };

    /// The exit code of the container. Reserved codes of the command's own become 1.
    pub(crate) fn container_code(self) -> u8 {
        match (self.reason, self.code) {
            (Reason::Exited, 64..=80 | 241..=255) => 1,
            (Reason::Exited, code) => code,
            (Reason::TimedOut, _) => TIMED_OUT,
            (Reason::Stopped, _) => STOPPED,
            (Reason::NotFound, _) => COMMAND_NOT_FOUND,
            (Reason::Failed, _) => EXEC_FAILED,
        }
    }

    pub(crate) fn is_success(self) -> bool {
        self.container_code() == 0
    }
}

/// The record of an end, as it is written.
pub(crate) struct Record {
    pub(crate) end: End,
    pub(crate) oom_kills: u64,
    pub(crate) dropped_log_bytes: u64,
    pub(crate) started: Moment,
    pub(crate) finished: Moment,
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let End { code, signal, reason } = self.end;
        let signal = signal.map_or_else(|| "null".to_owned(), |signal| signal.to_string());
        write!(formatter, r#"{{"code":{code},"signal":{signal},"reason":"{}","#, reason.name())?;
        write!(formatter, r#""oomKills":{},"droppedLogBytes":{},"#, self.oom_kills, self.dropped_log_bytes)?;
        write!(formatter, r#""startedAt":"{}","finishedAt":"{}"}}"#, self.started, self.finished)
    }
}

/// The file of the record. Its room on the disk is taken before the command starts: a command that fills the disk can
/// still be put on record.
pub(crate) struct RecordFile {
    draft: PathBuf,
    path: PathBuf,
}

impl RecordFile {
    /// In the folder by which the containers see each other.
    pub(crate) fn reserve(state: &Path) -> io::Result<Self> {
        let draft = state.join("exit.new");
        File::create(&draft)?.write_all(&[b' '; ROOM])?;
        Ok(Self { draft, path: state.join("exit") })
    }

    /// Writes the record under another name first: whoever sees it sees all of it.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let text = record.to_string();
        // The command may have removed the draft.
        let mut file = File::options().create(true).truncate(false).write(true).open(&self.draft)?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        fs::rename(&self.draft, &self.path)
    }
}

/// The container's code of a command that ended before.
pub(crate) fn recorded(state: &Path) -> Option<u8> {
    let text = fs::read_to_string(state.join("exit")).ok()?;
    let code = text.split_once(r#""code":"#)?.1.split(',').next()?.parse().ok()?;
    let name = text.split_once(r#""reason":""#)?.1.split('"').next()?;
    let reason = Reason::ALL.into_iter().find(|reason| reason.name() == name)?;
    Some(End { code, signal: None, reason }.container_code())
}
