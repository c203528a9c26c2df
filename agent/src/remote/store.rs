//! One store, opened as its config says.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{BackoffConfig, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig};
use reqwest::StatusCode;
use seatrial_core::contract::{Authentication, DEFAULT_REGION, ExitCode, StoreConfig};
use url::Url;

use crate::error::AgentError;
use crate::remote::address::{is_forbidden, literal};
use crate::remote::answer::Answer;
use crate::remote::client::{self, Connector};
use crate::remote::failure::{is_of_the_bucket, reading};
use crate::remote::keys::Keys;
use crate::remote::outage::Failure;
use crate::remote::redirect::Redirects;
use crate::remote::refusal::{Refusal, chain, find};
use crate::remote::web::Web;

/// A store, and the folder of it that keys are relative to.
#[derive(Clone, Debug)]
pub(crate) struct OpenStore {
    pub(crate) prefix: String,
    access: Access,
    /// What of the prefix belongs to the keys.
    folder: String,
}

#[derive(Clone, Debug)]
enum Access {
    Objects(Arc<AmazonS3>),
    Web(Web),
}

/// Where a file is in its store.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Object(Path),
    Page(Url),
}

impl OpenStore {
    /// Opens it to read from, at once: what keys it needs must be there.
    pub(crate) fn open_to_read(config: &StoreConfig) -> Result<Self, AgentError> {
        if let Authentication::Keys { folder } = &config.authentication {
            let bad = |why| AgentError::new(ExitCode::BadConfiguration, format!("the store {}: {why}", config.prefix));
            Keys::in_folder(folder).read().map_err(bad)?;
        }
        Self::open(config)
    }

    /// Opens it. Nothing is sent yet, and keys that are not there may come until something is.
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, AgentError> {
        let bad =
            |what: &str| AgentError::new(ExitCode::BadConfiguration, format!("the store {}: {what}", config.prefix));
        let url = Url::parse(&config.prefix).map_err(|error| bad(&error.to_string()))?;
        let host = url.host_str().ok_or_else(|| bad("the prefix has no host or bucket"))?.to_owned();
        let folder = url.path().trim_start_matches('/').to_owned();
        let is_web = url.scheme() != "s3";
        for url in [Some(url.as_str()).filter(|_| is_web), config.endpoint.as_deref()].into_iter().flatten() {
            refuse_forbidden(url)?;
        }
        let authority = config.certificate_authority.as_deref();
        let asked = config.endpoint.as_deref().filter(|_| !is_web).and_then(|endpoint| Url::parse(endpoint).ok());
        let redirects = Redirects::of(config, asked.as_ref().unwrap_or(&url));
        let client = client::client(authority, redirects.clone())?;
        let access = if is_web {
            Access::Web(Web::new(client, url))
        } else {
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(host)
                .with_region(config.region.as_deref().unwrap_or(DEFAULT_REGION))
                .with_allow_http(true)
                .with_retry(retry())
                // What TLS keeps from being changed on its way need not be signed, which would hash it once more on
                // either side.
                .with_unsigned_payload(config.endpoint.as_deref().is_none_or(|url| url.starts_with("https://")))
                .with_http_connector(Connector { prompt: client, patient: client::patient(authority, redirects)? });
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
            }
            let builder = authenticate(builder, &config.authentication)?;
            Access::Objects(Arc::new(builder.build().map_err(|error| bad(&error.to_string()))?))
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

    /// The objects of an S3 store.
    pub(crate) fn objects(&self) -> Result<&AmazonS3, AgentError> {
        match &self.access {
            Access::Objects(objects) => Ok(objects),
            Access::Web(_) => {
                let message = format!("{} is a web server, which holds no artifacts: use an s3:// prefix", self.prefix);
                Err(AgentError::new(ExitCode::BadConfiguration, message))
            }
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
            Err(explained) if find::<Refusal>(&explained).is_some() || is_of_the_bucket(&explained) => {
                Err(reading(what, &explained))
            }
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

fn authenticate(builder: AmazonS3Builder, how: &Authentication) -> Result<AmazonS3Builder, AgentError> {
    Ok(match how {
        Authentication::Anonymous => builder.with_skip_signature(true),
        Authentication::Keys { folder } => builder.with_credentials(Arc::new(Keys::in_folder(folder))),
        Authentication::WebIdentity { token_file, sts_endpoint, role } => {
            if !sts_endpoint.starts_with("https://") {
                let message = format!("the token is sent by https alone, not to {sts_endpoint}");
                return Err(AgentError::new(ExitCode::BadConfiguration, message));
            }
            refuse_forbidden(sts_endpoint)?;
            builder
                .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file)
                .with_config(AmazonS3ConfigKey::RoleArn, role)
                .with_config(AmazonS3ConfigKey::RoleSessionName, "seatrial")
                .with_config(AmazonS3ConfigKey::StsEndpoint, sts_endpoint)
        }
    })
}

/// The library's own patience is short: longer outages are ours to wait out, and to show.
fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 2, retry_timeout: Duration::from_secs(20) }
}

fn refuse_forbidden(url: &str) -> Result<(), AgentError> {
    let address = Url::parse(url).ok().and_then(|url| literal(&url));
    if address.is_some_and(is_forbidden) {
        let message = format!("{url} names a link-local address or a metadata service, which is never used");
        return Err(AgentError::new(ExitCode::InputNotFound, message));
    }
    Ok(())
}
