//! What the store keeps of an attempt: the record of what it made, how each of its pods ended, and what was printed.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use seatrial_core::contract::{AttemptKey, ExitCode, MAX_RECORD_BYTES, Record, StepConfig, Try, layout, log, paths};

use crate::error::AgentError;
use crate::pod::volume::Volume;
use crate::remote::failure;
use crate::remote::outage::Outages;
use crate::remote::store::Remote;

/// How long the upload of a log, and of how a pod ended, may take at most, in seconds: nothing waits for them for longer.
const BEST_EFFORT: u32 = 60;

/// Where it is kept.
pub(crate) struct Keeper {
    pub(crate) store: Remote,
    pub(crate) key: AttemptKey,
    pub(crate) pod_uid: String,
    outputs: Vec<String>,
    /// How long the upload of a log, and of how the pod ended, may take, in seconds.
    patience: u32,
}

impl Keeper {
    pub(crate) fn new(store: Remote, step: &StepConfig, index: u32, pod_uid: String) -> Self {
        let outputs = step.outputs.iter().map(|output| output.name.clone()).collect();
        let patience = BEST_EFFORT.min(step.outage_seconds);
        Self { store, key: step.key(index), pod_uid, outputs, patience }
    }

    /// Writes an attempt's record, if there is none. If two pods of the attempt write at the same time, or the answer to a
    /// first write was lost, one write wins, and the other pod adopts the record that is there.
    pub(crate) async fn record(&self, record: Record, outages: &Outages) -> Result<Record, AgentError> {
        let path = self.store.key(&layout::record(&self.key))?;
        let json = serde_json::to_vec(&record).map_err(|error| AgentError::internal(error.to_string()))?;
        let was_first = outages
            .wait_out("the record", async || {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                match self.store.objects()?.put_opts(&path, PutPayload::from(json.clone()), options).await {
                    Ok(_) => Ok(true),
                    Err(Error::AlreadyExists { .. }) => Ok(false),
                    Err(error) => Err(failure::uploading(&error)),
                }
            })
            .await?;
        if was_first {
            return Ok(record);
        }
        let outputs: Vec<&str> = self.outputs.iter().map(String::as_str).collect();
        let found = read_record(&self.store, &self.key, &outputs, outages).await?.ok_or_else(|| {
            AgentError::new(ExitCode::CorruptArtifact, format!("the record {path} came and went while it was written"))
        })?;
        if found.pod_uid != self.pod_uid {
            tracing::warn!(%path, pod = found.pod_uid, "another pod of this attempt was first: its record counts");
        }
        Ok(found)
    }

    /// Keeps what the command has printed so far. Returns the log's key, or `None` where nothing was printed; a store that
    /// is away is waited for, but not for long.
    ///
    /// # Errors
    /// Why it could not be kept, in a sentence.
    pub(crate) async fn log(&self, volume: &Volume) -> Result<Option<String>, String> {
        let key = layout::log(&self.key, &self.pod_uid);
        let volume = volume.clone();
        let Ok(Some(packed)) = tokio::task::spawn_blocking(move || pack(&volume)).await else { return Ok(None) };
        self.put("the log", &key, packed).await.map(|()| Some(key))
    }

    /// Keeps again and again what the command has printed so far, without end: of a node that dies, nothing else is left.
    pub(crate) async fn log_meanwhile(&self, volume: &Volume, period: Duration) {
        loop {
            tokio::time::sleep(period).await;
            // Why it could not be kept stands in our own log; the next time may be better.
            let _ = self.log(volume).await;
        }
    }

    /// Keeps how this pod ended.
    pub(crate) async fn end(&self, end: &Try) {
        if let Ok(json) = serde_json::to_vec(end) {
            let _ = self.put("how this pod ended", &layout::a_try(&self.key, &self.pod_uid), json).await;
        }
    }

    async fn put(&self, what: &str, key: &str, content: Vec<u8>) -> Result<(), String> {
        let content = PutPayload::from(content);
        let outages = Outages::new(self.patience, None);
        let put = async {
            let path = self.store.key(key)?;
            outages
                .wait_out(what, async || {
                    self.store.objects()?.put(&path, content.clone()).await.map_err(|error| failure::uploading(&error))
                })
                .await
        };
        let patience = Duration::from_secs(u64::from(self.patience));
        let done = match tokio::time::timeout(patience, put).await {
            Ok(done) => done.map(drop).map_err(|error| error.message),
            Err(_) => Err(format!("{what}: the store did not take it within {} s", self.patience)),
        };
        if let Err(error) = &done {
            tracing::warn!(what, error, "it could not be kept");
        }
        done
    }
}

/// The record of an attempt, where there is one that answers to it and to these outputs.
///
/// # Errors
/// Where the store stays away, and where something else lies at the record's key.
pub(crate) async fn read_record(
    store: &Remote,
    key: &AttemptKey,
    outputs: &[&str],
    outages: &Outages,
) -> Result<Option<Record>, AgentError> {
    let path = store.key(&layout::record(key))?;
    let not_ours = |why: String| {
        let message = format!("what lies at {}{path} is not this attempt's record: {why}; remove it", store.prefix);
        AgentError::new(ExitCode::CorruptArtifact, message)
    };
    let bytes = outages
        .wait_out("the record", async || {
            let answer = match store.objects()?.get(&path).await {
                Ok(answer) => answer,
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(failure::reading("the record", &error)),
            };
            // Whoever may write to the store could have put anything there.
            if answer.meta.size > MAX_RECORD_BYTES {
                return Err(not_ours(format!("it has {} bytes", answer.meta.size)).into());
            }
            answer.bytes().await.map(Some).map_err(|error| failure::reading("the record", &error))
        })
        .await?;
    let Some(bytes) = bytes else { return Ok(None) };
    Record::parse(&bytes, key, outputs.iter().copied()).map(Some).map_err(|error| not_ours(error.to_string()))
}

/// The segments of the log, one after the other, compressed; `None` where there are none.
fn pack(volume: &Volume) -> Option<Vec<u8>> {
    // Made by `exec` as the command's user, so opened as all that lies where the user's code may write.
    let folder = volume.beneath().ok()?.folder(&Volume::relative(paths::LOGS)).ok()?;
    let mut packer = GzEncoder::new(vec![], Compression::fast());
    let mut any = false;
    for (segment, limit) in log::SEGMENTS.into_iter().zip([log::HEAD_BYTES, log::TAIL_BYTES, log::TAIL_BYTES]) {
        let Ok(file) = folder.file(Path::new(segment)) else { continue };
        let mut text = vec![];
        if file.take(limit).read_to_end(&mut text).is_ok() && packer.write_all(&text).is_ok() {
            any |= !text.is_empty();
        }
    }
    packer.finish().ok().filter(|_| any)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use flate2::read::GzDecoder;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_segments_of_a_log_are_one_and_links_are_none_of_it() {
        let root = TempDir::new().unwrap();
        let volume = Volume::new(root.path().to_path_buf());
        assert_eq!(pack(&volume), None);
        let folder = volume.path(paths::LOGS);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("head"), "first\n").unwrap();
        fs::write(folder.join("tail"), "last\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("tail.1")).unwrap();
        let mut text = String::new();
        GzDecoder::new(pack(&volume).unwrap().as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "first\nlast\n");
    }
}
