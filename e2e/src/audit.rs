//! What the operator asked of the API server, by its audit log.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

/// The operator, as the API server knows it.
pub const OPERATOR: &str = "system:serviceaccount:seatrial-system:seatrial-operator";

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it arrived.
    pub at: Timestamp,
    /// `create`, `update`, `list` and so on.
    pub verb: String,
    /// The resource, with the subresource after a `/`.
    pub resource: String,
    /// The namespace; empty where there is none.
    pub namespace: String,
    /// The name; empty for lists and watches.
    pub name: String,
}

impl Request {
    /// True where it changes something, or tries to.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// The operator's requests since a time, in their order.
///
/// # Errors
/// Where the log cannot be read.
pub fn requests(log: &Path, since: Timestamp) -> std::io::Result<Vec<Request>> {
    let text = std::fs::read_to_string(log)?;
    let mut found = vec![];
    for line in text.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let field = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let at = field("/requestReceivedTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let is_end = field("/stage") != "ResponseStarted";
        if field("/user/username") != OPERATOR || at < since || !is_end {
            continue;
        }
        let subresource = field("/objectRef/subresource");
        let end = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        found.push(Request {
            at,
            verb: field("/verb"),
            resource: format!("{}{end}", field("/objectRef/resource")),
            namespace: field("/objectRef/namespace"),
            name: field("/objectRef/name"),
        });
    }
    Ok(found)
}

/// Writes by verb and resource, counted.
pub fn count(requests: &[Request]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| request.is_write()) {
        *counts.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
    }
    counts
}
