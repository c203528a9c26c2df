//! `publish`: waits for the command, uploads what it made, and puts the result on record.
//!
//! ```text
//! NotStarted ── STARTED exists ──► Running ── the lock falls ──► Ended ── recorded 0 ──► objects, listings, result
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use seatrial_core::contract::{ExitCode, Message, PublishConfig, ReportedMetric, paths};
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
        let mut metrics = BTreeMap::new();
        metrics::add(&folder, file, &mut metrics)?;
        let reported = |(name, value)| ReportedMetric { output: output.name.clone(), name, value };
        message.metrics.extend(metrics.into_iter().map(reported));
    }
    let target = Target::new(&store, &outages);
    for output in &config.outputs {
        message.outputs.push(target.upload(output, volume).await?);
    }
    record(&config.result, message, &store, &outages).await
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
