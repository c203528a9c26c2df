//! Bounds for clients: connections, waiting times and sizes. They hold for everybody who can reach the store, with keys or
//! without.

use std::sync::Arc;
use std::time::Duration;

use s3s::config::{S3Config, StaticConfigProvider};

/// The largest XML body in bytes: the list of 10,000 parts has some 2 MB.
const XML: usize = 4 << 20;

/// The bounds for clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are served at once. Others wait until one ends.
    pub connections: usize,
    /// How long a client may take for its handshake, and then for its first request.
    pub first: Duration,
    /// How long a connection may lie without a request. Clients keep theirs for 90 s: who closes first must not be the
    /// store.
    pub idle: Duration,
    /// How long a client may neither send the next piece of a body nor take the next of an answer.
    pub stall: Duration,
    /// How many tokens are checked at once.
    pub reviews: usize,
    /// How long a token may wait until it is checked.
    pub queue: Duration,
    /// How many bytes the bucket of a namespace may hold, if that is bounded.
    pub namespace_quota: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            first: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            stall: Duration::from_secs(120),
            reviews: 16,
            queue: Duration::from_secs(2),
            namespace_quota: None,
        }
    }
}

/// What the library may keep in memory of one request. Forms never reach it.
pub(crate) fn protocol() -> Arc<StaticConfigProvider> {
    let mut config = S3Config::default();
    config.xml_max_body_size = XML;
    config.post_object_max_file_size = 0;
    config.form_max_field_size = 0;
    config.form_max_fields_size = 0;
    config.form_max_parts = 0;
    Arc::new(StaticConfigProvider::new(Arc::new(config)))
}
