//! Waits for the user's command, and for SIGTERM.
//!
//! `started`, `lock` and `exit` tell how far the command is. They lie in a folder that the user's code may write to,
//! since `exec` writes there as the same user. What that code can do with it is bounded:
//!
//! - The folder and the lock are the agent's own, made before the user's code runs, and the folder's sticky bit keeps
//!   others from renaming or removing what is not theirs. A folder or lock in their place belongs to another user and
//!   is refused, so that nothing is uploaded before `exec` has let the lock go; by then it has ended every other
//!   process of its container. Only code that runs as the agent's own user could do otherwise, by choice of its image.
//! - `started` and `exit` can be forged. A forged `started` makes us wait for the lock a moment earlier. A forged
//!   `exit` is overwritten by `exec`; where `exec` is killed before it can, a step that failed could leave outputs on
//!   record as if it had ended well. That harms the step itself alone: its author, who could as well have written any
//!   output, and ended with 0.
//! - None of it leads to credentials, whoever runs as whom and whatever runs meanwhile: all that is read or uploaded is
//!   opened beneath the volume, through no link (see [`crate::pod::beneath`]), and the volume holds none.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;
use seatrial_core::contract::{Exit, ExitCode, paths};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::AgentError;
use crate::pod::beneath::Beneath;
use crate::pod::volume::Volume;

/// How often the start of the command is looked for: cheap, and unnoticed beside the start of a container.
const LOOK: Duration = Duration::from_millis(100);
/// The longest record of a command's end, in bytes.
const EXIT_BYTES: u64 = 4096;

/// Runs a task, unless the pod is told to stop before the task is done.
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

/// Whether the pod was told to stop (SIGTERM). Once this listens, the signal no longer ends the process.
#[derive(Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) fn listen() -> Result<Self, AgentError> {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| AgentError::internal(format!("the word to stop cannot be listened for: {error}")))?;
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            terminate.recv().await;
            tracing::info!("the pod is told to stop");
            let _ = tell.send(true);
            tell.closed().await;
        });
        Ok(Self(told))
    }

    /// Ends when the pod was told to stop.
    pub(crate) async fn told(&self) {
        if self.0.clone().wait_for(|told| *told).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Whether the command has begun.
pub(crate) fn has_started(volume: &Volume) -> bool {
    own_state(volume).is_ok_and(|state| state.is_some_and(|state| state.has(name(paths::STARTED))))
}

/// Waits for the user's command to start and to end, in whatever way, and returns how it ended.
///
/// # Errors
/// Where it ended without a record: it was killed. Where the folder that tells has been replaced.
pub(crate) async fn for_command(volume: &Volume) -> Result<Exit, AgentError> {
    let state = loop {
        if let Some(state) = own_state(volume)? {
            break state;
        }
        tokio::time::sleep(LOOK).await;
    };
    while !state.has(name(paths::STARTED)) {
        tokio::time::sleep(LOOK).await;
    }
    let lock = own_lock(&state)?;
    // The lock falls with the command's container, also when that is killed for memory.
    let waited = tokio::task::spawn_blocking(move || Flock::lock(lock, FlockArg::LockExclusive).map(drop)).await;
    waited
        .map_err(|error| AgentError::internal(format!("waiting for the command failed: {error}")))?
        .map_err(|(_, error)| AgentError::internal(format!("the lock of the command cannot be taken: {error}")))?;
    recorded(&state).ok_or_else(|| {
        AgentError::new(
            ExitCode::StepVanished,
            "the step's process was killed before it could say how it ended: perhaps for memory",
        )
    })
}

/// The folder by which the containers see each other, once it is there.
fn own_state(volume: &Volume) -> Result<Option<Beneath>, AgentError> {
    let state = match volume.beneath()?.folder(&Volume::relative(paths::STATE)) {
        Ok(state) => state,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(replaced(paths::STATE, &error.to_string())),
    };
    let stat = state.stat().map_err(|error| replaced(paths::STATE, &error.to_string()))?;
    // Without the sticky bit whoever may write to it may rename what is in it.
    let others_may_rename = stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0;
    if stat.st_uid != geteuid().as_raw() || others_may_rename {
        return Err(replaced(paths::STATE, "it is not as the agent made it"));
    }
    Ok(Some(state))
}

fn own_lock(state: &Beneath) -> Result<File, AgentError> {
    let lock = state
        .regular(Path::new(name(paths::LOCK)), OFlag::O_RDWR)
        .and_then(|lock| Ok((lock.metadata()?.uid(), lock)))
        .map_err(|error| replaced(paths::LOCK, &error.to_string()))?;
    match lock {
        (owner, lock) if owner == geteuid().as_raw() => Ok(lock),
        _ => Err(replaced(paths::LOCK, "it is not as the agent made it")),
    }
}

fn recorded(state: &Beneath) -> Option<Exit> {
    let mut text = String::new();
    state.file(Path::new(name(paths::EXIT))).ok()?.take(EXIT_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn replaced(path: &str, why: &str) -> AgentError {
    let message =
        format!("{path} cannot be used: {why}; the command must write to the paths in its OUTPUT_ variables alone");
    AgentError::new(ExitCode::BadOutput, message)
}
