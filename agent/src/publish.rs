//! `publish`: waits for the command, uploads what it made, and puts the result on record.
//!
//! ```text
//! NotStarted ── STARTED exists ──► Running ── the lock falls ──► Ended ── recorded 0 ──► objects, listings, result
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use seatrial_core::contract::{
    Digest, ExitCode, MAX_FILES, MAX_MESSAGE_BYTES, Message, OutputConfig, PublishConfig, ReportedOutput, paths,
};
use seatrial_crds::OutputType;

use crate::error::AgentError;
use crate::folder::OutputFolder;
use crate::outage::Outages;
use crate::store::{self, OpenStore};
use crate::upload::Target;
use crate::volume::Volume;
use crate::{metrics, wait};

/// How much longer an upload goes on after the pod was told to stop: most of what Kubernetes grants.
const LAST_EFFORT: Duration = Duration::from_secs(25);

/// Does it. A command that failed leaves nothing to do: its own code says what happened.
pub(crate) async fn publish(config: &PublishConfig, volume: &Volume) -> Result<Message, AgentError> {
    let code = wait::unless_stopped(wait::for_command(volume)).await?;
    if code != 0 {
        tracing::info!(code, "the command did not end well: nothing is uploaded");
        return Ok(Message::new());
    }
    tokio::select! {
        done = upload_all(config, volume) => done,
        () = stopped_for_good() => Err(AgentError::stopped()),
    }
}

async fn stopped_for_good() {
    wait::told_to_stop().await;
    tokio::time::sleep(LAST_EFFORT).await;
}

async fn upload_all(config: &PublishConfig, volume: &Volume) -> Result<Message, AgentError> {
    let outages = Outages::new(config.outage_seconds, Some(volume.clone()));
    let store = OpenStore::open(&config.store)?;
    let mut message = Message::new();
    // What is wrong with metrics is found before anything large is sent.
    for output in config.outputs.iter().filter(|output| output.kind == OutputType::Metrics) {
        let file = paths::file_name(output.kind).unwrap_or_default();
        let folder = OutputFolder::open(&volume.beneath()?, &Volume::relative(&output.folder))?;
        metrics::add(&folder, file, &mut message.metrics)?;
    }
    check_room(config, &message.metrics)?;
    let target = Target::new(&store, &outages);
    for output in &config.outputs {
        message.outputs.push(target.upload(output, volume).await?);
    }
    record(&config.result, message, &store, &outages).await
}

/// Whether the message will have room for all, whatever the outputs' sizes come to.
fn check_room(config: &PublishConfig, metrics: &BTreeMap<String, String>) -> Result<(), AgentError> {
    let mut draft = Message::new();
    let longest = |output: &OutputConfig| ReportedOutput {
        name: output.name.clone(),
        digest: Digest::of(b""),
        size: u64::MAX,
        files: MAX_FILES as u64,
    };
    draft.outputs = config.outputs.iter().map(longest).collect();
    let room = MAX_MESSAGE_BYTES.saturating_sub(draft.to_json().len());
    draft.metrics.clone_from(metrics);
    let needed = draft.to_json().len();
    if needed <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    let (count, excess) = (metrics.len(), needed - MAX_MESSAGE_BYTES);
    let message = format!(
        "the {count} metrics of the step take {excess} bytes more than the {room} that its termination message has for them beside its outputs: shorten the names of metrics, or write some to a Report"
    );
    Err(AgentError::new(ExitCode::BadOutput, message))
}

/// Puts the result on record, once for each attempt. Of two pods that believe they are the one, or of two tries whose
/// first answer was lost, one wins; the other adopts what is on record.
async fn record(key: &str, message: Message, store: &OpenStore, outages: &Outages) -> Result<Message, AgentError> {
    let path = store.key(key)?;
    let json = message.to_json();
    let on_record = outages
        .wait_out("the result", async || {
            let objects = store.objects()?;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match objects.put_opts(&path, PutPayload::from(json.clone()), options).await {
                Ok(_) => Ok(None),
                Err(Error::AlreadyExists { .. }) => {
                    let answer = objects.get(&path).await.map_err(|error| store::uploading(&error))?;
                    let bytes = answer.bytes().await.map_err(|error| store::uploading(&error))?;
                    Ok(Some(bytes))
                }
                Err(error) => Err(store::uploading(&error)),
            }
        })
        .await?;
    let Some(bytes) = on_record.filter(|bytes| bytes.as_ref() != json.as_bytes()) else { return Ok(message) };
    tracing::warn!(key, "another pod of this attempt was first: its result counts");
    let text = String::from_utf8_lossy(&bytes);
    Message::parse(&text).map_err(|error| {
        AgentError::new(ExitCode::CorruptArtifact, format!("the result on record at {key} cannot be read: {error}"))
    })
}
