//! One store, opened as its config says.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use seatrial_core::contract::{Authentication, ExitCode, StoreConfig};
use url::Url;

use crate::client::{self, Connector};
use crate::error::AgentError;
use crate::outage::Failure;

/// The region where a Store names none; services that are not AWS take any.
const REGION: &str = "us-east-1";

/// A store, and the folder of it that keys are relative to.
#[derive(Clone, Debug)]
pub(crate) struct OpenStore {
    pub(crate) prefix: String,
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// What of the prefix belongs to the keys.
    folder: String,
    is_http: bool,
}

impl OpenStore {
    /// Opens it. Nothing is sent yet.
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, AgentError> {
        let bad =
            |what: &str| AgentError::new(ExitCode::BadConfiguration, format!("the store {}: {what}", config.prefix));
        let url = Url::parse(&config.prefix).map_err(|error| bad(&error.to_string()))?;
        let host = url.host_str().ok_or_else(|| bad("the prefix has no host or bucket"))?.to_owned();
        let folder = url.path().trim_start_matches('/').to_owned();
        let is_http = url.scheme() != "s3";
        for url in [Some(url.as_str()).filter(|_| is_http), config.endpoint.as_deref()].into_iter().flatten() {
            refuse_forbidden(url)?;
        }
        let connector = Connector(client::client(config.certificate_authority.as_deref())?);
        let objects: Arc<dyn ObjectStore> = if is_http {
            // The library puts a slash of its own between the URL and a path.
            let base = config.prefix.trim_end_matches('/');
            let builder = HttpBuilder::new().with_url(base).with_retry(retry()).with_http_connector(connector);
            Arc::new(builder.build().map_err(|error| bad(&error.to_string()))?)
        } else {
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(host)
                .with_region(config.region.as_deref().unwrap_or(REGION))
                .with_allow_http(true)
                .with_retry(retry())
                .with_http_connector(connector);
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
            }
            Arc::new(authenticate(builder, &config.authentication)?.build().map_err(|error| bad(&error.to_string()))?)
        };
        Ok(Self {
            prefix: config.prefix.clone(),
            objects,
            folder: if is_http { String::new() } else { folder },
            is_http,
        })
    }

    /// True where there is nothing but single files to be read.
    pub(crate) fn is_http(&self) -> bool {
        self.is_http
    }

    /// The object of a key beneath the prefix.
    pub(crate) fn key(&self, key: &str) -> Result<Path, AgentError> {
        let whole = format!("{}{key}", self.folder);
        let path = if self.is_http { Path::from_url_path(&whole) } else { Path::parse(&whole) };
        path.map_err(|error| AgentError::new(ExitCode::InputNotFound, format!("{whole} is no valid key: {error}")))
    }
}

fn authenticate(builder: AmazonS3Builder, how: &Authentication) -> Result<AmazonS3Builder, AgentError> {
    Ok(match how {
        Authentication::Anonymous => builder.with_skip_signature(true),
        Authentication::Keys { variable_prefix } => {
            let variable = |suffix: &str| std::env::var(format!("{variable_prefix}_{suffix}")).ok();
            let (Some(id), Some(secret)) = (variable("ACCESS_KEY_ID"), variable("SECRET_ACCESS_KEY")) else {
                let message =
                    "the Secret of the Store has no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in it";
                return Err(AgentError::new(ExitCode::BadConfiguration, message));
            };
            let builder = builder.with_access_key_id(id.trim()).with_secret_access_key(secret.trim());
            match variable("SESSION_TOKEN") {
                Some(token) => builder.with_token(token.trim()),
                None => builder,
            }
        }
        Authentication::WebIdentity { token_file, sts_endpoint, role } => {
            if !sts_endpoint.starts_with("https://") {
                let message = format!("the token is sent by https alone, not to {sts_endpoint}");
                return Err(AgentError::new(ExitCode::BadConfiguration, message));
            }
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
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    if literal.is_some_and(client::is_forbidden) {
        let message = format!("{url} names a link-local address or a metadata service, which is never used");
        return Err(AgentError::new(ExitCode::InputNotFound, message));
    }
    Ok(())
}

/// What an error of a store means for whoever reads `what`.
pub(crate) fn failure(what: &str, error: &object_store::Error) -> Failure {
    use object_store::Error;
    let not_found = |why: &str| Failure::Final(AgentError::new(ExitCode::InputNotFound, format!("{what} {why}")));
    let refused = "may not be read: look at the Store's credentials and at the bucket's policy";
    match error {
        Error::NotFound { .. } => not_found("does not exist: correct the uri, or wait for who writes it"),
        Error::PermissionDenied { .. } => not_found(refused),
        Error::InvalidPath { .. } => not_found("is no valid key"),
        other => match chain(other) {
            // The library has a variant for objects that are refused, but none for lists.
            text if text.contains("403 Forbidden") => not_found(refused),
            text => Failure::Outage(text),
        },
    }
}

/// An error with its causes: the first alone rarely says why.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
