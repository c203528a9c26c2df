//! `fetch`: brings every input to its folder, and puts `exec` beside them.

use std::fs;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use seatrial_core::contract::{Digest, Entry, ExitCode, FetchConfig, InputConfig, Listing, Message, ReportedInput};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::error::AgentError;
use crate::inputs::{self, Wanted};
use crate::outage::{Failure, Outages};
use crate::store::{self, OpenStore};
use crate::volume::{Volume, make_folder, set_mode};

/// How many files are fetched at once. With what each holds in memory at a time, this bounds the whole.
const PARALLEL: usize = 8;

/// Does it.
pub(crate) async fn fetch(config: &FetchConfig, volume: &Volume, exec: &Path) -> Result<Message, AgentError> {
    if config.prepare_exec {
        volume.prepare(exec, &config.outputs)?;
    }
    let outages = Outages::new(config.outage_seconds, None);
    let stores = config.stores.iter().map(OpenStore::open).collect::<Result<Vec<_>, _>>()?;
    let mut plan = vec![];
    for input in &config.inputs {
        let store = store_of(input, &stores)?;
        plan.push((input, store, inputs::find(input, store, &outages).await?));
    }
    check_space(&plan, volume)?;
    let mut message = Message::new();
    for (input, store, wanted) in plan {
        let listing = fetch_input(&volume.path(&input.folder), store, wanted, &outages).await?;
        let (digest, size) = (listing.digest(), listing.total_size());
        tracing::info!(input = input.name, %digest, size, files = listing.entries().len(), "the input is here");
        message.inputs.push(ReportedInput { name: input.name.clone(), digest, size });
    }
    Ok(message)
}

fn store_of<'a>(input: &InputConfig, stores: &'a [OpenStore]) -> Result<&'a OpenStore, AgentError> {
    use seatrial_core::contract::InputSource::{Artifact, Uri};
    let (Artifact { store: prefix, .. } | Uri { store: prefix, .. }) = &input.source;
    stores.iter().find(|store| &store.prefix == prefix).ok_or_else(|| {
        let message = format!("the input \"{}\" names the store {prefix}, which is not described", input.name);
        AgentError::new(ExitCode::BadConfiguration, message)
    })
}

/// Refuses what cannot fit before hours are spent on it.
fn check_space(plan: &[(&InputConfig, &OpenStore, Vec<Wanted>)], volume: &Volume) -> Result<(), AgentError> {
    let sizes = plan.iter().flat_map(|(_, _, wanted)| wanted).filter_map(|wanted| wanted.size);
    let needed = sizes.fold(0_u64, u64::saturating_add);
    let free = volume.free_bytes()?;
    if needed <= free {
        return Ok(());
    }
    let message = format!(
        "the inputs have {needed} bytes, the pod's disk has room for {free}: read less data, or use nodes with larger disks"
    );
    Err(AgentError::new(ExitCode::InputTooLarge, message))
}

async fn fetch_input(
    folder: &Path,
    store: &OpenStore,
    wanted: Vec<Wanted>,
    outages: &Outages,
) -> Result<Listing, AgentError> {
    // What an earlier start of this container left is of no use: it may be half a file.
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(AgentError::writing(folder, &error)),
        _ => make_folder(folder, 0o755)?,
    }
    let names = wanted.iter().map(|wanted| Entry {
        path: wanted.name.clone(),
        size: 0,
        sha256: wanted.sha256.clone().unwrap_or_else(|| Digest::of(b"").hex().to_owned()),
    });
    // All names are checked before the first becomes a path.
    let refused =
        |error| AgentError::new(ExitCode::CorruptArtifact, format!("a file of {} is refused: {error}", store.prefix));
    Listing::new(names.collect()).map_err(refused)?;
    for wanted in &wanted {
        let path = folder.join(&wanted.name);
        let mut above: Vec<&Path> = path.ancestors().skip(1).take_while(|above| above.starts_with(folder)).collect();
        above.reverse();
        above.into_iter().filter(|above| *above != folder).try_for_each(|above| make_folder(above, 0o755))?;
    }
    let fetches = wanted.into_iter().map(|wanted| {
        let path = folder.join(&wanted.name);
        async move { fetch_file(path, store, wanted, outages).await }
    });
    let entries: Vec<Entry> = stream::iter(fetches).buffer_unordered(PARALLEL).try_collect().await?;
    Listing::new(entries).map_err(refused)
}

async fn fetch_file(path: PathBuf, store: &OpenStore, wanted: Wanted, outages: &Outages) -> Result<Entry, AgentError> {
    let what = format!("{} in {}", wanted.object, store.prefix);
    let (digest, size) = outages.wait_out(&what, async || stream_to(&path, store, &wanted, &what).await).await?;
    set_mode(&path, 0o644).map_err(|error| AgentError::writing(&path, &error))?;
    let sha256 = digest.hex().to_owned();
    if wanted.sha256.as_ref().is_some_and(|expected| *expected != sha256) {
        let message = format!("{what} is not what its digest says: it was changed or damaged in the store");
        return Err(AgentError::new(ExitCode::CorruptArtifact, message));
    }
    Ok(Entry { path: wanted.name, size, sha256 })
}

/// Writes an object to a file, a piece at a time. Started again, it writes from the beginning.
async fn stream_to(path: &Path, store: &OpenStore, wanted: &Wanted, what: &str) -> Result<(Digest, u64), Failure> {
    let writing = |error: std::io::Error| AgentError::writing(path, &error);
    let answer = store.objects.get(&wanted.object).await.map_err(|error| store::failure(what, &error))?;
    let mut pieces = answer.into_stream();
    let mut file = File::create(path).await.map_err(writing)?;
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    while let Some(piece) = pieces.try_next().await.map_err(|error| inputs::interrupted(&error))? {
        hasher.update(&piece);
        size = size.saturating_add(piece.len() as u64);
        file.write_all(&piece).await.map_err(writing)?;
    }
    file.flush().await.map_err(writing)?;
    match wanted.size {
        Some(expected) if expected != size && wanted.sha256.is_none() => {
            // It was replaced between list and read: what is there now is read again.
            Err(Failure::Outage(format!("{what} has {size} bytes, {expected} were listed")))
        }
        _ => Ok((Digest::of_hasher(hasher), size)),
    }
}
