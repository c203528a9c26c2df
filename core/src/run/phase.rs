//! The phases of a run: waiting, running its steps, finalizing, publishing, ended.
//!
//! Only the last phase ends a run. A failure, like a success, gives the run a [`Conclusion`], and the phases that follow still
//! take place. A phase with nothing to do is passed within the same plan and costs no write.

use crate::conditions::Status;

/// How a run will end: the condition `Succeeded`, decided before the last phase.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conclusion {
    /// The status of the condition `Succeeded`.
    pub(super) status: Status,
    /// Its reason.
    pub(super) reason: &'static str,
    /// Its message.
    pub(super) message: String,
}

impl Conclusion {
    /// The run did not succeed.
    pub(super) const fn failed(reason: &'static str, message: String) -> Self {
        Self { status: Status::False, reason, message }
    }
}

/// The phase of a run that has begun.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Steps run, or may still start.
    Running,
    /// No step runs or will start. What must run whatever became of the steps runs here.
    Finalizing(Conclusion),
    /// All steps succeeded; versions are made of their outputs.
    Publishing(Conclusion),
    /// There is nothing left to do.
    Ended(Conclusion),
}

/// What a phase decides: the run stays in it, or goes to another one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// The run stays in this phase; the reason and the message are those of the condition `Succeeded`.
    Stay(&'static str, String),
    /// Another phase follows at once.
    Go(Phase),
}

impl Next {
    /// Ends the phase of the steps, with the conclusion of the run.
    pub(super) const fn conclude(status: Status, reason: &'static str, message: String) -> Self {
        Self::Go(Phase::Finalizing(Conclusion { status, reason, message }))
    }
}
