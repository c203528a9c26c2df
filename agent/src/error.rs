//! How a task fails.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use seatrial_core::contract::ExitCode;

/// An exit code, and a sentence that says what, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentError {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
}

impl AgentError {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Internal, message)
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ExitCode::Stopped, "the pod was told to stop")
    }

    /// A failure of writing into the pod's volume: a full disk is the data's fault.
    pub(crate) fn writing(path: &Path, error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => Self::new(
                ExitCode::InputTooLarge,
                format!(
                    "the disk is full while writing {}: give the pod more ephemeral storage, or read less data",
                    path.display()
                ),
            ),
            _ => Self::internal(format!("{} cannot be written: {error}", path.display())),
        }
    }

    /// A failure of reading what the user's command left.
    pub(crate) fn reading_output(path: &Path, error: &io::Error) -> Self {
        Self::new(
            ExitCode::BadOutput,
            format!("the output file {} cannot be read: {error}; leave it readable", path.display()),
        )
    }
}
