//! What can go wrong between clients and the API: an [`Interceptor`] says it for each request and each watch.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::request::Request;
use super::status::Refusal;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub struct Handling {
    /// How long it travels.
    pub there: Duration,
    /// What it does.
    pub effect: Effect,
    /// What the client hears.
    pub reply: Reply,
    /// How long the answer travels.
    pub back: Duration,
}

/// What a request does.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// What it asks for.
    Applied,
    /// The same, but later, whatever became of its sender.
    AppliedAfter(Duration),
    /// Nothing.
    Nothing,
}

/// What the client hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The answer.
    Answer,
    /// Another answer.
    Refused(Refusal),
    /// That the connection broke.
    Broken,
    /// Nothing, ever.
    Never,
}

impl Handling {
    /// All goes well.
    pub fn well(there: Duration, back: Duration) -> Self {
        Self { there, effect: Effect::Applied, reply: Reply::Answer, back }
    }
}

/// Stands between clients and the API: decides what goes wrong.
pub trait Interceptor: Send + Sync {
    /// Changes a request of this client on its way.
    fn rewrite(&self, _actor: &str, _request: &mut Request) {}
    /// What becomes of a request of this client.
    fn handling(&self, actor: &str, request: &Request) -> Handling;
    /// It has been handled: the effect is there, the answer is not on its way yet.
    fn handled(&self, actor: &str, request: &Request, answer: &Result<Arc<Value>, Refusal>);
    /// How late this client's watches of a kind are.
    fn lag(&self, actor: &str, kind: &str) -> Duration;
    /// Whether a watch that was opened then has died without a word.
    fn is_silent(&self, actor: &str, kind: &str, opened: Instant) -> bool;
}

/// Lets everything pass, at once.
pub(super) struct Nothing;

impl Interceptor for Nothing {
    fn handling(&self, _: &str, _: &Request) -> Handling {
        Handling::well(Duration::ZERO, Duration::ZERO)
    }
    fn handled(&self, _: &str, _: &Request, _: &Result<Arc<Value>, Refusal>) {}
    fn lag(&self, _: &str, _: &str) -> Duration {
        Duration::ZERO
    }
    fn is_silent(&self, _: &str, _: &str, _: Instant) -> bool {
        false
    }
}
