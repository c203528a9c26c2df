//! `fetch`: brings every input to its folder, and puts `exec` beside them.

mod download;
pub(crate) mod inputs;
mod ranges;
mod space;
mod version;
mod written;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use seatrial_core::contract::{
    Digest, Entry, ExitCode, InputConfig, Listing, Message, PodConfig, ReportedInput, StoreConfig,
};

use crate::error::AgentError;
use crate::fetch::download::Way;
use crate::fetch::inputs::Wanted;
use crate::fetch::space::Space;
use crate::flow::{FILES, Flow};
use crate::pod::private::Private;
use crate::pod::volume::{Volume, make_folder};
use crate::remote::outage::Outages;
use crate::remote::store::Remote;

/// How many files all inputs of a pod may have together, since the list of all is kept in memory.
const MAX_FILES_OF_ALL: usize = 500_000;

/// Does it.
pub(crate) async fn fetch(
    config: &PodConfig,
    volume: &Volume,
    private: &Private,
    exec: &Path,
) -> Result<Message, AgentError> {
    if config.step.is_some() {
        volume.prepare(exec)?;
    }
    let outages = Outages::new(config.outage_seconds, None);
    // This container has no access to the store that only outputs go to.
    let is_read = |store: &&StoreConfig| config.inputs.iter().any(|input| prefix_of(input) == store.prefix);
    let stores = config.stores.iter().filter(is_read).map(Remote::open_to_read).collect::<Result<Vec<_>, _>>()?;
    let mut plan = vec![];
    for input in &config.inputs {
        let store = store_of(input, &stores)?;
        plan.push((input, store, inputs::find(input, store, &outages).await?));
        check_number(plan.iter().map(|(_, _, wanted)| wanted.len()).sum())?;
    }
    for (input, ..) in &plan {
        clear(&volume.path(&input.folder))?;
    }
    let space = Space::measure(volume)?;
    // What cannot fit is refused before hours are spent on it.
    let sizes = plan.iter().flat_map(|(_, _, wanted)| wanted).filter_map(|wanted| wanted.size);
    space.take(sizes.fold(0, u64::saturating_add))?;
    let (flow, mut message) = (Flow::new(), Message::new());
    let way = &Way { flow: &flow, space: &space, outages: &outages };
    let fetches = plan.into_iter().map(|(input, store, wanted)| async move {
        let listing = fetch_input(&volume.path(&input.folder), store, wanted, way).await?;
        let (digest, size) = (listing.digest(), listing.total_size());
        tracing::info!(input = input.name, %digest, size, files = listing.entries().len(), "the input is here");
        Ok(ReportedInput { name: input.name.clone(), digest, size })
    });
    message.inputs = try_join_all(fetches).await?;
    if config.step.is_some() {
        private.save(config, &message.inputs)?;
    }
    Ok(message)
}

/// What the memory of this container holds: all lists together, whichever input they are of.
fn check_number(files: usize) -> Result<(), AgentError> {
    if files <= MAX_FILES_OF_ALL {
        return Ok(());
    }
    let message = format!(
        "the inputs of the step have {files} files or more, {MAX_FILES_OF_ALL} are the most for all of them together: keep the data in fewer and larger files, or read it in several steps"
    );
    Err(AgentError::new(ExitCode::InputTooLarge, message))
}

/// The prefix of the store that an input is in.
fn prefix_of(input: &InputConfig) -> &str {
    use seatrial_core::contract::InputSource::{Artifact, Uri};
    let (Artifact { store, .. } | Uri { store, .. }) = &input.source;
    store
}

fn store_of<'a>(input: &InputConfig, stores: &'a [Remote]) -> Result<&'a Remote, AgentError> {
    let prefix = prefix_of(input);
    stores.iter().find(|store| store.prefix == prefix).ok_or_else(|| {
        let message = format!("the input \"{}\" names the store {prefix}, which is not described", input.name);
        AgentError::new(ExitCode::BadConfiguration, message)
    })
}

/// Removes what an earlier start of this container left of its inputs. It is of no use, since it may be half a file, and
/// takes the space that the next try needs.
fn clear(folder: &Path) -> Result<(), AgentError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(AgentError::writing(folder, &error)),
        _ => make_folder(folder, 0o755),
    }
}

async fn fetch_input(folder: &Path, store: &Remote, wanted: Vec<Wanted>, way: &Way<'_>) -> Result<Listing, AgentError> {
    let names = wanted.iter().map(|wanted| Entry {
        path: wanted.name.clone(),
        size: 0,
        sha256: wanted.sha256.clone().unwrap_or_else(|| Digest::of(b"").hex().to_owned()),
    });
    // All names are checked before the first becomes a path.
    let refused =
        |error| AgentError::new(ExitCode::CorruptArtifact, format!("a file of {} is refused: {error}", store.prefix));
    Listing::new(names.collect()).map_err(refused)?;
    let paths = wanted.iter().map(|wanted| Path::new(&wanted.name));
    // Those above come first.
    let folders: BTreeSet<&Path> = paths.flat_map(|path| path.ancestors().skip(1)).collect();
    folders.into_iter().try_for_each(|beneath| make_folder(&folder.join(beneath), 0o755))?;
    let fetches = wanted.into_iter().map(|wanted| {
        let path = folder.join(&wanted.name);
        async move { download::fetch_file(&path, store, wanted, way).await }
    });
    let entries: Vec<Entry> = stream::iter(fetches).buffer_unordered(FILES).try_collect().await?;
    Listing::new(entries).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_all_inputs_together_are_bounded() {
        check_number(MAX_FILES_OF_ALL).unwrap();
        let error = check_number(MAX_FILES_OF_ALL + 1).unwrap_err();
        assert_eq!(error.code, ExitCode::InputTooLarge);
        assert!(error.message.contains("500001 files"), "{}", error.message);
    }
}
