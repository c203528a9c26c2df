//! Finds out which files an input is made of, before any is fetched.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use seatrial_core::contract::{Digest, Entry, ExitCode, InputConfig, InputSource, Listing, layout};

use crate::error::AgentError;
use crate::outage::{Failure, Outages};
use crate::store::{self, OpenStore};

/// One file to fetch.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Where it goes, beneath the input's folder.
    pub(crate) name: String,
    /// The object.
    pub(crate) object: Path,
    /// Its size in bytes; absent where the server does not say before it sends.
    pub(crate) size: Option<u64>,
    /// What its content must be.
    pub(crate) sha256: Option<String>,
}

/// The files of an input.
pub(crate) async fn find(input: &InputConfig, store: &OpenStore, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    match &input.source {
        InputSource::Artifact { digest, .. } => artifact(digest, store, outages).await,
        InputSource::Uri { uri, .. } => {
            let key = uri.strip_prefix(&store.prefix).ok_or_else(|| {
                let message = format!("{uri} does not begin with its store's prefix {}", store.prefix);
                AgentError::new(ExitCode::BadConfiguration, message)
            })?;
            if !uri.ends_with('/') {
                single(uri, key, store, outages).await
            } else if store.is_http() {
                let message = format!("{uri} is a folder, which cannot be listed by HTTP: name one file");
                Err(AgentError::new(ExitCode::InputNotFound, message))
            } else {
                folder(uri, key, store, outages).await
            }
        }
    }
}

async fn artifact(digest: &Digest, store: &OpenStore, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    let what = format!("the listing of the artifact {digest} in {}", store.prefix);
    let key = store.key(&layout::artifact(digest))?;
    let bytes = outages
        .wait_out(&what, async || {
            let answer = store.objects.get(&key).await.map_err(|error| store::failure(&what, &error))?;
            answer.bytes().await.map_err(|error| store::failure(&what, &error))
        })
        .await?;
    let corrupt = |why: String| AgentError::new(ExitCode::CorruptArtifact, format!("{what} {why}"));
    if Digest::of(&bytes) != *digest {
        return Err(corrupt(format!("is not what its digest says, but {}", Digest::of(&bytes))));
    }
    let listing = Listing::parse(&bytes).map_err(|error| corrupt(format!("is malformed: {error}")))?;
    let wanted = |entry: &Entry| {
        let content: Digest = format!("sha256:{}", entry.sha256).parse().map_err(|_| corrupt("is malformed".into()))?;
        Ok(Wanted {
            name: entry.path.clone(),
            object: store.key(&layout::object(&content))?,
            size: Some(entry.size),
            sha256: Some(entry.sha256.clone()),
        })
    };
    listing.entries().iter().map(wanted).collect()
}

async fn single(uri: &str, key: &str, store: &OpenStore, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    let object = store.key(key)?;
    let name = object.filename().unwrap_or("data").to_owned();
    // A server of plain files need not answer HEAD as S3 does: the size is known once it sends.
    let size = if store.is_http() {
        None
    } else {
        let head = async || store.objects.head(&object).await.map_err(|error| store::failure(uri, &error));
        Some(outages.wait_out(uri, head).await?.size)
    };
    Ok(vec![Wanted { name, object, size, sha256: None }])
}

async fn folder(uri: &str, key: &str, store: &OpenStore, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    let prefix = store.key(key)?;
    let prefix = Some(&prefix).filter(|prefix| !prefix.as_ref().is_empty());
    let found = outages
        .wait_out(uri, async || {
            let list = store.objects.list(prefix).try_collect::<Vec<_>>().await;
            list.map_err(|error| store::failure(uri, &error))
        })
        .await?;
    let base = prefix.map_or(0, |prefix| prefix.as_ref().len() + 1);
    let mut wanted: Vec<Wanted> = vec![];
    for object in found {
        let name = object.location.as_ref().get(base..).unwrap_or_default().to_owned();
        wanted.push(Wanted { name, object: object.location, size: Some(object.size), sha256: None });
    }
    // Consoles mark folders by empty objects of their name, which no file system can hold beside the folder.
    let names: Vec<String> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
    wanted.retain(|wanted| {
        let folder = format!("{}/", wanted.name);
        let is_mark = wanted.size == Some(0) && names.iter().any(|name| name.starts_with(&folder));
        !wanted.name.is_empty() && !is_mark
    });
    if wanted.is_empty() {
        let message = format!("there is nothing beneath {uri}: correct the uri, or wait for who writes it");
        return Err(AgentError::new(ExitCode::InputNotFound, message));
    }
    Ok(wanted)
}

/// For errors of a stream, which say nothing about the object.
pub(crate) fn interrupted(error: &object_store::Error) -> Failure {
    Failure::Outage(store::chain(error))
}
