//! Finds out which files an input is made of, before any is fetched.

use std::collections::HashSet;

use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use seatrial_core::contract::{
    Digest, Entry, ExitCode, InputConfig, InputSource, Listing, MAX_FILES, MAX_LISTING_BYTES, layout,
};

use crate::error::AgentError;
use crate::remote::failure;
use crate::remote::outage::{Failure, Outages};
use crate::remote::refusal;
use crate::remote::store::{Place, Remote};

/// One file to fetch.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Where it goes, beneath the input's folder.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) place: Place,
    /// Its size in bytes; absent where the server does not say before it sends.
    pub(crate) size: Option<u64>,
    /// What its content must be.
    pub(crate) sha256: Option<String>,
    /// The tag of the version that a list of several files has of it.
    pub(crate) tag: Option<String>,
}

impl Wanted {
    /// What people call it.
    pub(crate) fn shown(&self, prefix: &str) -> String {
        match &self.place {
            Place::Object(key) => format!("{key} in {prefix}"),
            Place::Page(url) => url.to_string(),
        }
    }
}

/// The files of an input.
pub(crate) async fn find(input: &InputConfig, store: &Remote, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    match &input.source {
        InputSource::Artifact { digest, .. } => artifact(digest, store, outages).await,
        InputSource::Uri { uri, .. } => {
            let key = uri.strip_prefix(&store.prefix).ok_or_else(|| {
                let message = format!("{uri} does not begin with its store's prefix {}", store.prefix);
                AgentError::new(ExitCode::BadConfiguration, message)
            })?;
            match (uri.ends_with('/'), store.web()) {
                (true, Some(_)) => {
                    let message = format!("{uri} is a folder, which cannot be listed by HTTP: name one file");
                    Err(AgentError::new(ExitCode::InputNotFound, message))
                }
                (true, None) => folder(uri, key, store, outages).await,
                (false, Some(web)) => {
                    // A web server need not answer HEAD: it says the size once it sends, if at all.
                    let (url, name) = web.file(uri)?;
                    Ok(vec![Wanted { name, place: Place::Page(url), size: None, sha256: None, tag: None }])
                }
                (false, None) => object(uri, key, store, outages).await,
            }
        }
    }
}

/// The listing of an artifact, verified against its digest.
pub(crate) async fn listing(digest: &Digest, store: &Remote, outages: &Outages) -> Result<Listing, AgentError> {
    let what = format!("the listing of the artifact {digest} in {}", store.prefix);
    let key = store.key(&layout::artifact(digest))?;
    let bytes = outages
        .wait_out(&what, async || {
            let answer = store.objects()?.get(&key).await.map_err(|error| failure::reading(&what, &error))?;
            if answer.meta.size > MAX_LISTING_BYTES {
                let message = format!("{what} has {} bytes: no artifact of ours is as large", answer.meta.size);
                return Err(AgentError::new(ExitCode::InputTooLarge, message).into());
            }
            answer.bytes().await.map_err(|error| interrupted(&error))
        })
        .await?;
    let corrupt = |why: String| AgentError::new(ExitCode::CorruptArtifact, format!("{what} {why}"));
    if Digest::of(&bytes) != *digest {
        return Err(corrupt(format!("is not what its digest says, but {}", Digest::of(&bytes))));
    }
    Listing::parse(&bytes).map_err(|error| corrupt(format!("is malformed: {error}")))
}

async fn artifact(digest: &Digest, store: &Remote, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    let listing = listing(digest, store, outages).await?;
    let corrupt = |path: &str| {
        let message = format!("the artifact {digest} in {}: the hash of {path} is none", store.prefix);
        AgentError::new(ExitCode::CorruptArtifact, message)
    };
    let wanted = |entry: &Entry| {
        let content: Digest = format!("sha256:{}", entry.sha256).parse().map_err(|_| corrupt(&entry.path))?;
        Ok(Wanted {
            name: entry.path.clone(),
            place: Place::Object(store.key(&layout::object(&content))?),
            size: Some(entry.size),
            sha256: Some(entry.sha256.clone()),
            tag: None,
        })
    };
    listing.entries().iter().map(wanted).collect()
}

async fn object(uri: &str, key: &str, store: &Remote, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    let object = store.key(key)?;
    let name = object.filename().unwrap_or("data").to_owned();
    let size = Some(outages.wait_out(uri, async || store.size(&object, uri).await).await?);
    Ok(vec![Wanted { name, place: Place::Object(object), size, sha256: None, tag: None }])
}

async fn folder(uri: &str, key: &str, store: &Remote, outages: &Outages) -> Result<Vec<Wanted>, AgentError> {
    let prefix = store.key(key)?;
    let prefix = Some(&prefix).filter(|prefix| !prefix.as_ref().is_empty());
    let found = outages
        .wait_out(uri, async || {
            let mut found: Vec<ObjectMeta> = vec![];
            let mut list = store.objects()?.list(prefix);
            while let Some(object) = list.try_next().await.map_err(|error| failure::reading(uri, &error))? {
                if found.len() >= MAX_FILES {
                    let message = format!(
                        "{uri} has more than {MAX_FILES} files: name a narrower uri, or keep the data in fewer and larger files"
                    );
                    return Err(AgentError::new(ExitCode::InputTooLarge, message).into());
                }
                found.push(object);
            }
            Ok(found)
        })
        .await?;
    let base = prefix.map_or(0, |prefix| prefix.as_ref().len() + 1);
    let mut wanted: Vec<Wanted> = vec![];
    for object in found {
        let name = object.location.as_ref().get(base..).unwrap_or_default().to_owned();
        let (place, size) = (Place::Object(object.location), Some(object.size));
        wanted.push(Wanted { name, place, size, sha256: None, tag: object.e_tag });
    }
    let wanted = without_marks(wanted);
    if wanted.is_empty() {
        let message = format!("there is nothing beneath {uri}: correct the uri, or wait for who writes it");
        return Err(AgentError::new(ExitCode::InputNotFound, message));
    }
    Ok(wanted)
}

/// Consoles mark folders by empty objects of their name, which no file system can hold beside the folder.
fn without_marks(mut wanted: Vec<Wanted>) -> Vec<Wanted> {
    let mut folders: HashSet<String> = HashSet::new();
    for wanted in &wanted {
        // From the innermost out: the folders above a known one are known.
        let above = wanted.name.rmatch_indices('/').filter_map(|(at, _)| wanted.name.get(..at));
        for folder in above {
            if !folders.insert(folder.to_owned()) {
                break;
            }
        }
    }
    wanted.retain(|wanted| {
        let is_mark = wanted.size == Some(0) && folders.contains(&wanted.name);
        !is_mark && !wanted.name.is_empty()
    });
    wanted
}

/// For errors of a stream, which say nothing about the object.
fn interrupted(error: &object_store::Error) -> Failure {
    Failure::Outage(refusal::chain(error))
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    #[test]
    fn marks_of_folders_are_left_out() {
        let wanted = |(name, size): (&str, u64)| Wanted {
            name: name.into(),
            place: Place::Object(Path::from(name)),
            size: Some(size),
            sha256: None,
            tag: None,
        };
        let all = [("", 0), ("a", 0), ("a/b", 0), ("a/b/c", 1), ("d", 0), ("e", 2), ("e/f", 1), ("a-", 0)];
        let left: Vec<String> = without_marks(all.map(wanted).to_vec()).into_iter().map(|wanted| wanted.name).collect();
        // `e` holds data and is a folder: no mark, and refused by name when the listing is made.
        assert_eq!(left, ["a/b/c", "d", "e", "e/f", "a-"]);
    }
}
