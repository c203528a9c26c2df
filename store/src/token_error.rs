//! Why a token is worth nothing, and how long an answer about one is waited for.

use std::time::Duration;

/// How long the API server may take to answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// Why a token is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no valid token for this store.
    #[error("{0}")]
    Refused(String),
    /// Whoever could say so cannot be asked.
    #[error("the API server cannot be asked about the token: {0}")]
    Unavailable(String),
    /// Too many others are asked about already.
    #[error("too many tokens are to be checked at once")]
    Busy,
}
