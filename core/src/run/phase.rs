//! The phases of a run: waiting, running its steps, finalizing, publishing, ended.
//!
//! Nothing ends a run but the last phase. What decides how a run ends concludes it, and the phases in between still come.
//! A phase with nothing to do is passed through within the same plan and costs no write.

use crate::conditions::Status;

/// How a run ends, decided before it does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conclusion {
    /// The status of the condition `Succeeded`.
    pub(super) status: Status,
    /// One word.
    pub(super) reason: &'static str,
    /// A sentence.
    pub(super) message: String,
}

impl Conclusion {
    /// The run did not succeed.
    pub(super) const fn failed(reason: &'static str, message: String) -> Self {
        Self { status: Status::False, reason, message }
    }
}

/// Where a run that has begun stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Steps run, or may still start.
    Running,
    /// The steps are concluded.
    Finalizing(Conclusion),
    /// All steps are done; versions are made of what they made.
    Publishing(Conclusion),
    /// There is nothing left to do.
    Ended(Conclusion),
}

/// What a phase comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// It goes on, for this reason and with this message.
    Stay(&'static str, String),
    /// Another one follows at once.
    Go(Phase),
}

impl Next {
    /// The steps are concluded.
    pub(super) const fn conclude(status: Status, reason: &'static str, message: String) -> Self {
        Self::Go(Phase::Finalizing(Conclusion { status, reason, message }))
    }
}
