//! What errors of stores mean for a download, and for an upload: retry, or fail with an exit code and a message.

use reqwest::StatusCode;
use seatrial_core::contract::ExitCode;

use crate::error::AgentError;
use crate::remote::address::RefusedName;
use crate::remote::outage::Failure;
use crate::remote::redirect::RefusedRedirect;
use crate::remote::refusal::{Refusal, chain, find};

/// What an error of a store means for whoever reads `what`.
pub(crate) fn reading(what: &str, error: &object_store::Error) -> Failure {
    use object_store::Error;
    let refusal = find::<Refusal>(error);
    match (error, refusal) {
        (_, Some(refusal)) => refused(what, refusal),
        (Error::NotFound { .. }, _) => refused(what, &Refusal::of(StatusCode::NOT_FOUND)),
        // Of a list, it is one key among many: the error names it.
        (Error::InvalidPath { .. }, _) => {
            let why = format!("{what}: {}: rename the object, or name a narrower uri", chain(error));
            AgentError::new(ExitCode::InputNotFound, why).into()
        }
        (other, _) => not_sent(what, other),
    }
}

/// What a server's refusal means for whoever reads `what`.
pub(crate) fn refused(what: &str, refusal: &Refusal) -> Failure {
    if refusal.is_passing() {
        return Failure::Outage(refusal.advised());
    }
    AgentError::new(ExitCode::InputNotFound, format!("{what} {}", refusal.for_reading())).into()
}

/// What it means that there was no answer.
pub(crate) fn not_sent(what: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    match never(error) {
        Some(why) => AgentError::new(ExitCode::InputNotFound, format!("{what} {why}")).into(),
        None => Failure::Outage(chain(error)),
    }
}

/// What an error of a store means for whoever uploads. It says what the reader of a status can act on.
pub(crate) fn uploading(error: &object_store::Error) -> Failure {
    use object_store::Error;
    match (error, find::<Refusal>(error), never(error)) {
        (_, Some(refusal), _) if refusal.is_passing() => Failure::Outage(refusal.advised()),
        (_, Some(refusal), _) => Failure::Refused(refusal.advised()),
        (_, _, Some(why)) => Failure::Refused(why),
        // Of an object that is written, it can only be the bucket.
        (Error::NotFound { .. } | Error::NotImplemented { .. }, ..) => Failure::Refused(chain(error)),
        _ => Failure::Outage(chain(error)),
    }
}

/// Why the agent does not go where it was sent.
fn never(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    find::<RefusedRedirect>(error)
        .map(ToString::to_string)
        .or_else(|| find::<RefusedName>(error).map(|name| format!("cannot be used: {name}")))
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    /// One bad key of many ends the whole list: it must be found.
    #[test]
    fn a_key_that_is_none_is_named() {
        let error = Path::parse("raw/2026//a.csv").unwrap_err();
        let Failure::Final(error) = reading("s3://lake/raw/", &error.into()) else { panic!("an outage") };
        assert_eq!(error.code, ExitCode::InputNotFound);
        assert!(error.message.contains("raw/2026//a.csv"), "{}", error.message);
    }
}
