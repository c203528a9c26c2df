//! How objects are named, and what happens to them: keys, changes, and deletions.

use std::sync::Arc;

use serde_json::Value;

/// An object's place: kind, namespace (empty where it has none), name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind, as [`super::Resource::kind`]. Both groups of events share one.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of watch events")]
pub enum ChangeType {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The resource version that it made.
    pub version: u64,
    /// Which object.
    pub key: Key,
    /// What happened.
    pub kind: ChangeType,
    /// What it was before.
    pub old: Option<Arc<Value>>,
    /// What it is now; of a deletion, what it was at its end.
    pub new: Arc<Value>,
    /// When, by Tokio's clock.
    pub at: tokio::time::Instant,
    /// Who did it.
    pub actor: String,
}

/// How a deletion is to be done.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// `Background`, `Foreground` or `Orphan`; empty for the default.
    pub propagation: String,
    /// The UID that the object must have.
    pub uid: Option<String>,
    /// The resource version that it must have.
    pub version: Option<String>,
    /// The grace that a pod has, in seconds.
    pub grace: Option<i64>,
}
