//! Waits for the user's command, and for the word to stop.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use seatrial_core::contract::{ExitCode, paths};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::AgentError;
use crate::volume::Volume;

/// How often the start of the command is looked for: cheap, and unnoticed beside the start of a container.
const LOOK: Duration = Duration::from_millis(100);

/// Does it, unless the pod is told to stop before it is done.
pub(crate) async fn unless_stopped<T>(task: impl Future<Output = Result<T, AgentError>>) -> Result<T, AgentError> {
    tokio::select! {
        done = task => done,
        () = told_to_stop() => Err(AgentError::stopped()),
    }
}

/// Ends when the pod is told to stop.
pub(crate) async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    terminate.recv().await;
}

/// Waits for the user's command to start and to end, in whatever way, and returns the code that was recorded.
///
/// # Errors
/// Where it ended without a record: it was killed.
pub(crate) async fn for_command(volume: &Volume) -> Result<i32, AgentError> {
    let started = volume.path(paths::STARTED);
    while !started.exists() {
        tokio::time::sleep(LOOK).await;
    }
    let lock = volume.path(paths::LOCK);
    // The lock falls with the command's container, also when that is killed for memory.
    let waited = tokio::task::spawn_blocking(move || take(&lock)).await;
    waited
        .map_err(|error| AgentError::internal(format!("waiting for the command failed: {error}")))?
        .map_err(|error| AgentError::internal(format!("the lock of the command cannot be taken: {error}")))?;
    let recorded = fs::read_to_string(volume.path(paths::EXIT)).ok().and_then(|text| text.trim().parse().ok());
    recorded.ok_or_else(|| {
        AgentError::new(
            ExitCode::StepVanished,
            "the step's process was killed before it could say how it ended: perhaps for memory",
        )
    })
}

fn take(lock: &Path) -> std::io::Result<()> {
    let file = File::options().read(true).write(true).open(lock)?;
    Flock::lock(file, FlockArg::LockExclusive).map(drop).map_err(|(_, error)| error.into())
}
