//! The pod's private volume: what the agent's containers tell each other. The user's code never sees it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use seatrial_core::contract::{ExitCode, PodConfig, ReportedInput, paths};
use serde::Serialize;

use crate::error::AgentError;
use crate::pod::volume::set_mode;

/// The volume, wherever it is mounted.
#[derive(Clone, Debug)]
pub(crate) struct Private {
    root: PathBuf,
}

impl Private {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Leaves for `publish` what the operator wrote, and what was fetched.
    pub(crate) fn save(&self, config: &PodConfig, fetched: &[ReportedInput]) -> Result<(), AgentError> {
        self.write(paths::CONFIG, config)?;
        self.write(paths::FETCHED, &fetched)
    }

    /// What the operator wrote for this pod.
    pub(crate) fn config(&self) -> Result<String, AgentError> {
        self.read(paths::CONFIG)
    }

    /// What `fetch` brought.
    pub(crate) fn fetched(&self) -> Result<Vec<ReportedInput>, AgentError> {
        let text = self.read(paths::FETCHED)?;
        serde_json::from_str(&text).map_err(|error| self.unusable(paths::FETCHED, &error.to_string()))
    }

    /// Shows that the store cannot be used, and why; the newest reason counts.
    pub(crate) fn show_store_away(&self, why: &str) {
        if let Err(error) = fs::write(self.file(paths::STORE_AWAY), why) {
            tracing::warn!(%error, "the outage cannot be shown");
        }
    }

    /// Shows no longer that the store cannot be used.
    pub(crate) fn show_store_back(&self) {
        let _ = fs::remove_file(self.file(paths::STORE_AWAY));
    }

    /// Why the store cannot be used; `None` while it can be.
    pub(crate) fn store_away(&self) -> Option<String> {
        fs::read_to_string(self.file(paths::STORE_AWAY)).ok()
    }

    fn write(&self, path: &str, content: &impl Serialize) -> Result<(), AgentError> {
        let file = self.file(path);
        let json = serde_json::to_vec(content).map_err(io::Error::other);
        json.and_then(|json| fs::write(&file, json))
            .and_then(|()| set_mode(&file, 0o600))
            .map_err(|error| AgentError::writing(&file, &error))
    }

    fn read(&self, path: &str) -> Result<String, AgentError> {
        fs::read_to_string(self.file(path)).map_err(|error| self.unusable(path, &error.to_string()))
    }

    fn file(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path).file_name().unwrap_or_default())
    }

    fn unusable(&self, path: &str, why: &str) -> AgentError {
        let file = self.file(path);
        AgentError::new(ExitCode::BadConfiguration, format!("{}: {why}; fetch leaves it there", file.display()))
    }
}
