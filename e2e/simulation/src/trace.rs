//! What happened, line by line: to be read by people, and to be compared byte by byte.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use seatrial_core::contract::Digest;
use serde_json::Value;
use tokio::time::Instant;

use crate::api::{Change, ChangeType};

/// A trace. Clones share their lines.
#[derive(Clone, Debug)]
pub struct Trace {
    began: Instant,
    is_printed: bool,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trace {
    /// An empty trace that begins now, and is perhaps printed as it goes on: so that a simulation that hangs says where.
    pub fn begin(is_printed: bool) -> Self {
        Self { began: Instant::now(), is_printed, lines: Arc::default() }
    }

    /// Adds a line.
    pub fn note(&self, actor: &str, text: &str) {
        let line = format!("{:>10.3} {actor:<22} {text}", self.began.elapsed().as_secs_f64());
        if self.is_printed {
            println!("{line}");
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Adds a change of an object. Renewals of a Lease are left out.
    pub fn note_change(&self, change: &Change) {
        if change.key.kind == "Lease" && change.kind == ChangeType::Modified {
            return;
        }
        let what = match change.kind {
            ChangeType::Added => "creates",
            ChangeType::Modified => "changes",
            ChangeType::Deleted => "removes",
        };
        let digest = Digest::of(change.new.to_string().as_bytes());
        let short = digest.hex().get(..8).unwrap_or_default();
        self.note(&change.actor, &format!("{what} {} [{short}]{}", change.key, summary(change)));
    }

    /// All lines.
    pub fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

/// What a reader wants to know of an object.
fn summary(change: &Change) -> String {
    let (mut text, object) = (String::new(), &change.new);
    for step in object["status"]["steps"].as_array().into_iter().flatten() {
        let (name, state) = (word(&step["name"]), word(&step["state"]));
        let _ = write!(text, " {name}={state}/{}", step["attempt"]);
        if let Some(reason) = step["reason"].as_str() {
            let _ = write!(text, "({reason})");
        }
    }
    for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
        let _ = write!(
            text,
            " {}={}({})",
            word(&condition["type"]),
            word(&condition["status"]),
            word(&condition["reason"])
        );
    }
    if let Some(phase) = object["status"]["phase"].as_str() {
        let _ = write!(text, " phase={phase}");
    }
    if let Some(note) = object["note"].as_str() {
        let _ = write!(text, " \"{note}\"");
    }
    if !object["metadata"]["deletionTimestamp"].is_null() {
        text.push_str(" (is being deleted)");
    }
    text
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
