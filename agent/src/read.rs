//! `read`: sends an artifact or a log from the store to standard output, for a person who asks by a reader pod.

use futures::TryStreamExt;
use object_store::ObjectStore;
use seatrial_core::contract::{AttemptKey, Digest, ExitCode, ReadConfig, Reading, layout};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::error::AgentError;
use crate::fetch::inputs;
use crate::remote::failure;
use crate::remote::outage::{Failure, Outages};
use crate::remote::store::{Place, Remote};

/// How long to wait for a store that is unavailable, in seconds: a person waits meanwhile.
const OUTAGE: u32 = 60;

/// Sends what is asked for to standard output. The form of the answer is described in `core/src/contract/read.rs`.
///
/// # Errors
/// Where there is no such thing, the store cannot be used, or nobody reads any more.
pub(crate) async fn read(config: &ReadConfig, out: &mut (impl AsyncWrite + Unpin)) -> Result<(), AgentError> {
    let store = Remote::open_to_read(&config.store)?;
    let outages = Outages::new(OUTAGE, None);
    match &config.what {
        Reading::Artifact { digest, only_listing } => {
            let listing = inputs::listing(digest, &store, &outages).await?;
            send(out, &listing.json_bytes().to_be_bytes()).await?;
            for slice in listing.slices() {
                send(out, &slice).await?;
            }
            for entry in listing.entries().filter(|_| !only_listing) {
                let content: Digest =
                    format!("sha256:{}", entry.sha256).parse().map_err(|_| corrupt(&entry.path, "its hash is none"))?;
                let sent = copy(&layout::object(&content), &entry.path, &store, &outages, out).await?;
                if sent != entry.size {
                    return Err(corrupt(&entry.path, &format!("it has {sent} bytes instead of {}", entry.size)));
                }
            }
        }
        Reading::Log { attempt } => {
            let key = newest_log(attempt, &store, &outages).await?;
            copy(&key, "the log", &store, &outages, out).await?;
        }
    }
    out.flush().await.map_err(|error| unread(&error))
}

/// The key of the log of the attempt's pod that ended last.
async fn newest_log(attempt: &AttemptKey, store: &Remote, outages: &Outages) -> Result<String, AgentError> {
    let what = format!("the log of {attempt}");
    let folder = layout::log(attempt, "");
    let folder = folder.rsplit_once('/').map_or(folder.as_str(), |(folder, _)| folder).to_owned();
    let prefix = store.key(&folder)?;
    let newest = outages
        .wait_out(&what, async || {
            let mut newest = None;
            let mut list = store.objects()?.list(Some(&prefix));
            while let Some(object) = list.try_next().await.map_err(|error| failure::reading(&what, &error))? {
                let is_log = object.location.as_ref().ends_with(".log.gz");
                let at = (object.last_modified, object.location);
                if is_log && newest.as_ref().is_none_or(|newest| *newest < at) {
                    newest = Some(at);
                }
            }
            Ok(newest)
        })
        .await?;
    let name = newest.as_ref().and_then(|(_, location)| location.filename());
    let missing =
        || AgentError::new(ExitCode::InputNotFound, format!("there is no log of {attempt} in {}", store.prefix));
    Ok(format!("{folder}/{}", name.ok_or_else(missing)?))
}

/// Sends one object, going on where an answer broke off. Says how many bytes it has.
async fn copy(
    key: &str,
    what: &str,
    store: &Remote,
    outages: &Outages,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<u64, AgentError> {
    let place = Place::Object(store.key(key)?);
    let (mut done, mut tag): (u64, Option<String>) = (0, None);
    outages
        .wait_out(what, async || {
            if done > 0 && tag.is_none() {
                return Err(corrupt(what, "the store cannot go on where it broke off").into());
            }
            let from = tag.as_deref().filter(|_| done > 0).map(|tag| (done, tag));
            let answer = store.read(&place, what, from).await?;
            let mut answer = answer.ok_or_else(|| corrupt(what, "it changed while it was read"))?;
            if answer.offset != done {
                return Err(corrupt(what, "the store sent another part than was asked for").into());
            }
            tag = answer.tag.take();
            let before = done;
            loop {
                match answer.pieces.try_next().await {
                    Ok(Some(piece)) => {
                        send(out, &piece).await?;
                        done += u64::try_from(piece.len()).unwrap_or_default();
                    }
                    Ok(None) if answer.total.is_none_or(|total| total == done) => return Ok(()),
                    Ok(None) => return Err(broken(done > before, "the answer ended too early".into())),
                    Err(why) => return Err(broken(done > before, why)),
                }
            }
        })
        .await?;
    Ok(done)
}

fn broken(came_further: bool, why: String) -> Failure {
    if came_further { Failure::Interrupted(why) } else { Failure::Outage(why) }
}

fn corrupt(what: &str, why: &str) -> AgentError {
    AgentError::new(ExitCode::CorruptArtifact, format!("{what}: {why}"))
}

async fn send(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), AgentError> {
    out.write_all(bytes).await.map_err(|error| unread(&error))
}

fn unread(error: &std::io::Error) -> AgentError {
    AgentError::new(ExitCode::Stopped, format!("nobody reads any more: {error}"))
}
