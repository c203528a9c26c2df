//! One store, whoever provides it: S3 or a plain web server by now.

use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStoreExt};
use reqwest::StatusCode;
use seatrial_core::contract::{ExitCode, StoreConfig};
use url::Url;

use crate::error::AgentError;
use crate::remote::answer::Answer;
use crate::remote::failure::reading;
use crate::remote::objects::{Objects, Opened};
use crate::remote::outage::Failure;
use crate::remote::refusal::{Refusal, chain, find};
use crate::remote::s3;
use crate::remote::web::Web;

/// A store, and the folder of it that keys are relative to.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) prefix: String,
    access: Access,
    /// What of the prefix belongs to the keys.
    folder: String,
}

#[derive(Clone, Debug)]
enum Access {
    Objects(Box<Opened>),
    /// Single files at URLs: neither keys nor lists nor, often, sizes.
    Web(Web),
}

/// Where a file is in its store.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Object(Path),
    Page(Url),
}

impl Remote {
    /// Opens it to read from, at once: what keys it needs must be there.
    pub(crate) fn open_to_read(config: &StoreConfig) -> Result<Self, AgentError> {
        s3::require_keys(config)?;
        Self::open(config)
    }

    /// Opens it. Nothing is sent yet, and keys that are not there may come until something is. A further provider is a
    /// file beside `s3.rs` and an arm here.
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, AgentError> {
        let bad =
            |what: &str| AgentError::new(ExitCode::BadConfiguration, format!("the store {}: {what}", config.prefix));
        let url = Url::parse(&config.prefix).map_err(|error| bad(&error.to_string()))?;
        let folder = url.path().trim_start_matches('/').to_owned();
        let access = match url.scheme() {
            "s3" => Access::Objects(Box::new(Opened::new(config, url, s3::open)?)),
            "http" | "https" => Access::Web(Web::open(config, url)?),
            other => return Err(bad(&format!("no store is reached by {other}://"))),
        };
        Ok(Self { prefix: config.prefix.clone(), access, folder })
    }

    /// Where there is nothing but single files to be read.
    pub(crate) fn web(&self) -> Option<&Web> {
        match &self.access {
            Access::Objects(_) => None,
            Access::Web(web) => Some(web),
        }
    }

    /// The objects of the store, as they are to be reached now: to be asked for before each request.
    ///
    /// # Errors
    /// Where it has none, or nobody knows yet whom to trust.
    pub(crate) fn objects(&self) -> Result<Arc<dyn Objects>, Failure> {
        match &self.access {
            Access::Objects(objects) => objects.now(),
            Access::Web(_) => {
                let message = format!("{} is a web server, which holds no artifacts: use an s3:// prefix", self.prefix);
                Err(AgentError::new(ExitCode::BadConfiguration, message).into())
            }
        }
    }

    /// How often it was opened anew since authorities changed. What was written before that may be in another store.
    pub(crate) fn number(&self) -> u64 {
        match &self.access {
            Access::Objects(objects) => objects.number(),
            Access::Web(_) => 0,
        }
    }

    /// The object of a key beneath the prefix.
    pub(crate) fn key(&self, key: &str) -> Result<Path, AgentError> {
        let whole = format!("{}{key}", self.folder);
        Path::parse(&whole)
            .map_err(|error| AgentError::new(ExitCode::InputNotFound, format!("{whole} is no valid key: {error}")))
    }

    /// The size of an object.
    pub(crate) async fn size(&self, key: &Path, what: &str) -> Result<u64, Failure> {
        let objects = self.objects()?;
        let error = match objects.head(key).await {
            Ok(object) => return Ok(object.size),
            Err(error) => error,
        };
        // The answer to a HEAD has no text that could say why. One that may be read has one.
        match objects.get(key).await {
            Ok(answer) => Ok(answer.meta.size),
            Err(explained) if find::<Refusal>(&explained).is_some() => Err(reading(what, &explained)),
            Err(_) => Err(reading(what, &error)),
        }
    }

    /// Asks for a file, or for what is left of it after so many bytes of the version that the tag names. `None` where
    /// there is no such rest: the file has changed.
    pub(crate) async fn read(
        &self,
        place: &Place,
        what: &str,
        from: Option<(u64, &str)>,
    ) -> Result<Option<Answer>, Failure> {
        let key = match (place, &self.access) {
            (Place::Page(url), Access::Web(web)) => return web.read(url, what, from).await,
            (Place::Object(key), _) => key,
            (Place::Page(url), _) => return Err(AgentError::internal(format!("{url} is no object")).into()),
        };
        let range = from.map(|(offset, _)| GetRange::Offset(offset));
        self.ask(key, what, range, from.map(|(_, tag)| tag)).await
    }

    /// Asks for a range of an object, of the version that a tag names, or of any. `None` where there is no such range
    /// of it any more.
    pub(crate) async fn read_range(
        &self,
        key: &Path,
        what: &str,
        range: Range<u64>,
        tag: Option<&str>,
    ) -> Result<Option<Answer>, Failure> {
        self.ask(key, what, Some(GetRange::Bounded(range)), tag).await
    }

    async fn ask(
        &self,
        key: &Path,
        what: &str,
        range: Option<GetRange>,
        tag: Option<&str>,
    ) -> Result<Option<Answer>, Failure> {
        let is_part = range.is_some();
        let options = GetOptions { range, if_match: tag.map(str::to_owned), ..GetOptions::default() };
        let answer = match self.objects()?.get_opts(key, options).await {
            Ok(answer) => answer,
            Err(object_store::Error::Precondition { .. }) if tag.is_some() => return Ok(None),
            Err(error) if is_part && status(&error) == Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                return Ok(None);
            }
            Err(error) => return Err(reading(what, &error)),
        };
        let (offset, total, tag) = (answer.range.start, Some(answer.meta.size), answer.meta.e_tag.clone());
        let pieces = answer.into_stream().map_err(|error| chain(&error)).boxed();
        Ok(Some(Answer { offset, total, tag, pieces }))
    }
}

fn status(error: &object_store::Error) -> Option<StatusCode> {
    find::<Refusal>(error).map(|refusal| refusal.status)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use seatrial_core::contract::{Authentication, Authorities};

    use super::*;

    fn config(prefix: &str) -> StoreConfig {
        StoreConfig {
            name: None,
            prefix: prefix.into(),
            endpoint: None,
            region: None,
            authentication: Authentication::Anonymous,
            authorities: Authorities::Public,
            redirect_hosts: vec![],
        }
    }

    /// Nothing but opening a store knows its provider: here one that is none of those that people name.
    #[tokio::test]
    async fn any_provider_of_objects_is_read_in_one_way() {
        let config = config("memory://bucket/folder/");
        let url = Url::parse(&config.prefix).unwrap();
        let opened = Opened::new(&config, url, |_, _, _| Ok(Arc::new(InMemory::new()))).unwrap();
        let access = Access::Objects(Box::new(opened));
        let store = Remote { prefix: config.prefix, access, folder: "folder/".into() };
        let key = store.key("a").unwrap();
        let objects = store.objects().unwrap_or_else(|_| panic!("no objects"));
        objects.put(&key, "content".into()).await.unwrap();
        let Ok(size) = store.size(&key, "a").await else { panic!("no size") };
        let Ok(Some(answer)) = store.read(&Place::Object(key.clone()), "a", None).await else { panic!("no answer") };
        let tag = answer.tag.unwrap();
        let whole: Vec<_> = answer.pieces.try_collect().await.unwrap();
        assert_eq!((size, whole.concat().as_slice()), (7, b"content".as_slice()));
        let Ok(Some(part)) = store.read_range(&key, "a", 3..7, Some(&tag)).await else { panic!("no part") };
        let pieces: Vec<_> = part.pieces.try_collect().await.unwrap();
        assert_eq!((part.offset, pieces.concat().as_slice()), (3, b"tent".as_slice()));
        objects.put(&key, "another".into()).await.unwrap();
        assert!(matches!(store.read_range(&key, "a", 3..7, Some(&tag)).await, Ok(None)), "the version is gone");
    }

    #[test]
    fn a_store_is_opened_by_its_scheme() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        assert!(Remote::open(&config("s3://lake/raw/")).unwrap().objects().is_ok());
        let web = Remote::open(&config("https://host/raw/")).unwrap();
        assert!(web.web().is_some());
        let Err(Failure::Final(error)) = web.objects() else { panic!("a web server has no objects") };
        assert_eq!(error.code, ExitCode::BadConfiguration);
        let error = Remote::open(&config("ftp://host/raw/")).unwrap_err();
        assert!(error.message.contains("no store is reached by ftp://"), "{}", error.message);
    }
}
