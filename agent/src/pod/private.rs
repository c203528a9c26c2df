//! The pod's private volume: files by which the agent's containers pass data to each other. It is not mounted into the user's
//! container.

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

    /// Saves the pod's config and the list of fetched inputs for `publish`.
    pub(crate) fn save(&self, config: &PodConfig, fetched: &[ReportedInput]) -> Result<(), AgentError> {
        self.write(paths::CONFIG, config)?;
        self.write(paths::FETCHED, &fetched)
    }

    /// The pod's config, as the operator wrote it.
    pub(crate) fn config(&self) -> Result<String, AgentError> {
        self.read(paths::CONFIG)
    }

    /// The inputs that `fetch` has fetched.
    pub(crate) fn fetched(&self) -> Result<Vec<ReportedInput>, AgentError> {
        let text = self.read(paths::FETCHED)?;
        serde_json::from_str(&text).map_err(|error| self.unusable(paths::FETCHED, &error.to_string()))
    }

    /// Shows to `probe` that the store is unavailable, and why; the newest reason counts.
    pub(crate) fn show_store_unavailable(&self, why: &str) {
        if let Err(error) = fs::write(self.file(paths::STORE_UNAVAILABLE), why) {
            tracing::warn!(%error, "the outage cannot be shown");
        }
    }

    /// Shows to `probe` that the store is available again.
    pub(crate) fn show_store_available(&self) {
        let _ = fs::remove_file(self.file(paths::STORE_UNAVAILABLE));
    }

    /// Why the store is unavailable; `None` while it is available.
    pub(crate) fn store_unavailable(&self) -> Option<String> {
        fs::read_to_string(self.file(paths::STORE_UNAVAILABLE)).ok()
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
