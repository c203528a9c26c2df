//! Whether what a server sends is what was listed.

use seatrial_core::contract::ExitCode;

use crate::error::AgentError;
use crate::fetch::files::Wanted;
use crate::remote::outage::Failure;

/// Which version of a file a server sent.
pub(crate) enum Version {
    /// The one that was asked for, with its tag.
    Same(Option<String>),
    Other,
}

/// The error of a file that has another content than its name says.
pub(crate) fn damaged(what: &str) -> AgentError {
    let message = format!("{what} is not what its digest says: it was changed or damaged in the store");
    AgentError::new(ExitCode::CorruptArtifact, message)
}

/// The files of a folder belong together: one that was replaced since may not fit to the others.
pub(crate) fn replaced(what: &str) -> AgentError {
    let message = format!(
        "{what} was replaced between the listing of its folder and the reading: the next try lists anew; let nothing write there while it is read, or name a folder that is written once"
    );
    AgentError::new(ExitCode::StoreUnavailable, message)
}

/// Compares the version and the size that a server sends with those that were listed.
pub(crate) fn fit(wanted: &Wanted, tag: Option<&str>, total: Option<u64>, what: &str) -> Result<(), Failure> {
    if let (Some(listed), Some(sent)) = (&wanted.tag, tag)
        && listed.trim_matches('"') != sent.trim_matches('"')
    {
        return Err(replaced(what).into());
    }
    match (total, wanted.size) {
        (Some(total), Some(expected)) if total != expected && wanted.digest.is_some() => Err(damaged(what).into()),
        (Some(total), Some(expected)) if total != expected => {
            // It was replaced between list and read: the next pod lists what is there then.
            Err(Failure::Outage(format!("it has {total} bytes, {expected} were listed")))
        }
        _ => Ok(()),
    }
}
