//! `fetch`: fetches every input into its folder, and puts the program `exec` on the volume.

mod download;
mod files;
pub(crate) mod inputs;
mod ranges;
mod space;
mod version;
mod written;

use std::fs;
use std::path::Path;

use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use seatrial_core::contract::{
    ExitCode, InputConfig, KnownInput, Listing, MAX_FILES, MAX_PATHS_BYTES, Message, PodConfig, ReportedInput,
    StoreConfig,
};

use crate::error::AgentError;
use crate::fetch::download::Way;
use crate::fetch::files::Files;
use crate::fetch::space::Space;
use crate::flow::{FILES, Flow};
use crate::pod::private::Private;
use crate::pod::volume::{Volume, make_folder};
use crate::remote::outage::Outages;
use crate::remote::store::Remote;

/// Fetches all inputs of the pod's config, and verifies them.
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
    // This container has no keys for a store that only outputs go to.
    let is_read = |store: &&StoreConfig| config.inputs.iter().any(|input| prefix_of(input) == store.prefix);
    let stores = config.stores.iter().filter(is_read).map(Remote::open_to_read).collect::<Result<Vec<_>, _>>()?;
    let mut plan = vec![];
    for input in &config.inputs {
        let store = store_of(input, &stores)?;
        plan.push((input, store, inputs::find(input, store, &outages).await?));
        let files = plan.iter().map(|(_, _, files): &(_, _, Files)| (files.len(), files.texts_bytes()));
        check_number(files.fold((0, 0), |(files, texts), (more, longer)| (files + more, texts + longer)))?;
    }
    for (input, ..) in &plan {
        clear(&volume.path(&input.folder))?;
    }
    let space = Space::measure(volume)?;
    // What cannot fit is refused before hours are spent on it.
    space.take(plan.iter().map(|(_, _, files)| files.size()).fold(0, u64::saturating_add))?;
    let (flow, mut message) = (Flow::new(), Message::new());
    let way = &Way { flow: &flow, space: &space, outages: &outages };
    let fetches = plan.into_iter().map(|(input, store, files)| async move {
        let listing = fetch_input(&volume.path(&input.folder), store, files, way).await?;
        let (digest, size) = (listing.digest(), listing.total_size());
        tracing::info!(input = input.name, %digest, size, files = listing.len(), "the input is here");
        Ok(ReportedInput { name: input.name.clone(), digest, size })
    });
    message.inputs = try_join_all(fetches).await?;
    if config.step.is_some() {
        private.save(config, &message.inputs)?;
    }
    if !config.known.is_empty() {
        let is_known = is_known(&config.known, &message.inputs);
        tracing::info!(is_known, "the data were compared with those that were checked before");
        volume.say_unchanged(is_known)?;
    }
    Ok(message)
}

/// Whether all inputs are as they were.
fn is_known(known: &[KnownInput], inputs: &[ReportedInput]) -> bool {
    let is_same = |input: &ReportedInput| known.iter().any(|it| it.name == input.name && it.digest == input.digest);
    inputs.iter().all(is_same)
}

/// Refuses more files than this container's memory holds. The bound is for the lists of all inputs together.
fn check_number((files, texts): (usize, usize)) -> Result<(), AgentError> {
    if files <= MAX_FILES && texts <= MAX_PATHS_BYTES {
        return Ok(());
    }
    let message = format!(
        "the inputs of the step have {files} files or more, whose names and versions have {texts} bytes; {MAX_FILES} and {MAX_PATHS_BYTES} are the most for all inputs together: keep the data in fewer and larger files, or read it in several steps"
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

/// Removes what an earlier start of this container left of its inputs: files that may be incomplete, and that take the space
/// which the next try needs.
fn clear(folder: &Path) -> Result<(), AgentError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(AgentError::writing(folder, &error)),
        _ => make_folder(folder, 0o755),
    }
}

async fn fetch_input(folder: &Path, store: &Remote, files: Files, way: &Way<'_>) -> Result<Listing, AgentError> {
    // All names are checked before the first becomes a path.
    let mut made = String::new();
    files.for_each_path(store, |path| {
        let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| *above != made) else { return Ok(()) };
        made = above.to_owned();
        // Parent folders are created first.
        let ends = above.match_indices('/').map(|(at, _)| at).chain([above.len()]);
        ends.filter_map(|end| above.get(..end)).try_for_each(|beneath| make_folder(&folder.join(beneath), 0o755))
    })?;
    let fetches = (0..files.len()).map(|place| {
        let files = &files;
        async move {
            let wanted = files.wanted(place, store)?;
            let path = folder.join(&wanted.name);
            let (digest, size) = download::fetch_file(&path, store, wanted, way).await?;
            files.is_here(place, size, &digest);
            Ok::<_, AgentError>(())
        }
    });
    stream::iter(fetches).buffer_unordered(FILES).try_collect::<()>().await?;
    files.listing(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_all_inputs_together_are_bounded() {
        check_number((MAX_FILES, MAX_PATHS_BYTES)).unwrap();
        check_number((1, MAX_PATHS_BYTES + 1)).unwrap_err();
        let error = check_number((MAX_FILES + 1, 1)).unwrap_err();
        assert_eq!(error.code, ExitCode::InputTooLarge);
        assert!(error.message.contains("2000001 files"), "{}", error.message);
    }
}
