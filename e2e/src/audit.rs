//! What the operator asked of the API server, by its audit log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// What was asked, with its parameters.
    pub uri: String,
    /// The status of the answer.
    pub code: u64,
}

impl Request {
    /// True where it changes something, or tries to.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// True where it was answered as it was meant.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// The operator's requests since a time, in their order.
///
/// # Errors
/// Where the log cannot be read.
pub fn requests(log: &Path, since: Timestamp) -> std::io::Result<Vec<Request>> {
    let mut found = vec![];
    for file in files(log)? {
        read(&std::fs::read_to_string(file)?, since, &mut found);
    }
    found.sort_by_key(|request| request.at);
    Ok(found)
}

/// The log, and what was set aside of it when it had grown.
fn files(log: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = vec![log.to_owned()];
    if let (Some(folder), Some(stem)) = (log.parent(), log.file_stem()) {
        let begin = format!("{}-", stem.to_string_lossy());
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&begin) {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

fn read(text: &str, since: Timestamp, found: &mut Vec<Request>) {
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
            uri: field("/requestURI"),
            code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
        });
    }
}

/// Writes by verb and resource, counted. Those that were refused, as conflicts are, are counted apart.
pub fn count(requests: &[Request]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| request.is_write()) {
        let refused = if request.is_success() { String::new() } else { format!(" refused ({})", request.code) };
        *counts.entry(format!("{} {}{refused}", request.verb, request.resource)).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_set_aside_is_read_too() {
        let folder = std::env::temp_dir().join(format!("seatrial-audit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let line = |second: u8, code: u16| {
            let user = serde_json::json!({"username": OPERATOR});
            let at = format!("2026-01-01T00:00:0{second}.000000Z");
            let what = serde_json::json!({"resource": "jobs", "namespace": "a", "name": "b"});
            serde_json::json!({
                "stage": "ResponseComplete", "verb": "create", "user": user, "requestReceivedTimestamp": at,
                "objectRef": what, "responseStatus": {"code": code},
            })
            .to_string()
        };
        std::fs::write(
            folder.join("audit-2026-01-01T00-00-02.000.log"),
            format!("{}\n{}\n", line(1, 201), line(2, 409)),
        )
        .unwrap();
        std::fs::write(folder.join("audit.log"), format!("{}\n{{\"half", line(3, 201))).unwrap();
        let found = requests(&folder.join("audit.log"), "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            count(&found),
            BTreeMap::from([("create jobs".to_owned(), 2), ("create jobs refused (409)".to_owned(), 1)])
        );
        assert!(found.is_sorted_by_key(|request| request.at));
    }
}
