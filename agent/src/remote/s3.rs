//! S3: how it is opened, and what it means by its refusals.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, RetryConfig};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use seatrial_core::contract::{Authentication, DEFAULT_REGION, ExitCode, StoreConfig};
use url::Url;

use crate::error::AgentError;
use crate::remote::address::refuse_forbidden;
use crate::remote::client::{self, Trusted};
use crate::remote::connector::{Connector, STALL};
use crate::remote::keys::Keys;
use crate::remote::objects::Objects;
use crate::remote::redirect::Redirects;
use crate::remote::refusal::{Refusal, element, harmless};

/// What S3 and STS answer with a 4xx though it may be different later: clocks are set, tokens are replaced.
const PASSING: [&str; 12] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "InternalError",
    "InvalidIdentityToken",
    "OperationAborted",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "TokenRefreshRequired",
];

/// Opens the bucket of a store's prefix, as its config says. Nothing is sent yet.
pub(crate) fn open(config: &StoreConfig, prefix: &Url, trusted: &Trusted) -> Result<Arc<dyn Objects>, AgentError> {
    let bad = |what: &str| AgentError::new(ExitCode::BadConfiguration, format!("the store {}: {what}", config.prefix));
    let bucket = prefix.host_str().ok_or_else(|| bad("the prefix has no bucket"))?;
    if let Some(endpoint) = &config.endpoint {
        refuse_forbidden(endpoint)?;
    }
    let asked = config.endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
    let redirects = Redirects::of(config, asked.as_ref().unwrap_or(prefix));
    let connector = Connector {
        prompt: client::client(trusted, redirects.clone())?,
        patient: client::patient(trusted, redirects)?,
        stall: STALL,
        classify: refusal,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(config.region.as_deref().unwrap_or(DEFAULT_REGION))
        .with_allow_http(true)
        .with_retry(retry())
        // What TLS keeps from being changed on its way need not be signed, which would hash it once more on either side.
        .with_unsigned_payload(config.endpoint.as_deref().is_none_or(|url| url.starts_with("https://")))
        .with_http_connector(connector);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    let builder = authenticate(builder, &config.authentication)?;
    Ok(Arc::new(builder.build().map_err(|error| bad(&error.to_string()))?))
}

/// Fails where the store needs keys that are not mounted: who only reads learns it before anything is asked of the store.
pub(crate) fn require_keys(config: &StoreConfig) -> Result<(), AgentError> {
    let Authentication::Keys { folder } = &config.authentication else { return Ok(()) };
    let bad = |why| AgentError::new(ExitCode::BadConfiguration, format!("the store {}: {why}", config.prefix));
    Keys::in_folder(folder).read().map(drop).map_err(bad)
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

/// What an answer of S3 or STS that says no means.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    // Other elements hold the key's id, and what its secret signs.
    let (code, words) = (element(&text, "Code").unwrap_or_default(), element(&text, "Message"));
    let named = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
    let region = element(&text, "Region").or(named).map(harmless).filter(|region| !region.is_empty());
    let mut refusal =
        Refusal::of(status).with_words(Some(code), words).with_advice(advice(status, code, region.as_deref()));
    if PASSING.contains(&code) {
        refusal = refusal.passing();
    }
    if code == "NoSuchBucket" {
        refusal = refusal.of_the_bucket();
    }
    refusal
}

/// What to do about a code of S3.
fn advice(status: StatusCode, code: &str, region: Option<&str>) -> Option<String> {
    let advice = match code {
        "RequestTimeTooSkewed" | "RequestExpired" => {
            "the clock of the node, or of the store, is wrong: let both take their time from one source"
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            "the keys have expired: put new ones into the Store's Secret"
        }
        "InvalidAccessKeyId" => "the store knows no such key: correct AWS_ACCESS_KEY_ID in the Store's Secret",
        "SignatureDoesNotMatch" => "the keys do not fit: correct AWS_SECRET_ACCESS_KEY in the Store's Secret",
        "NoSuchBucket" => "the bucket does not exist: correct spec.prefix of the Store, or create the bucket",
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => return Some(other_region(region)),
        _ if status.is_redirection() && region.is_some() => return Some(other_region(region)),
        _ => return None,
    };
    Some(advice.to_owned())
}

fn other_region(region: Option<&str>) -> String {
    match region {
        Some(region) => format!("the bucket is in another region: set spec.region of the Store to {region}"),
        None => "the bucket is in another region, or its endpoint is another: correct spec.region and spec.endpoint of the Store".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(status: StatusCode, code: &str) -> Refusal {
        let body = format!("<Error><Code>{code}</Code><Message>It is so</Message></Error>");
        refusal(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn codes_that_pass_are_told_from_final_ones() {
        for code in ["ExpiredToken", "RequestTimeTooSkewed", "SlowDown"] {
            assert!(s3(StatusCode::FORBIDDEN, code).is_passing(), "{code}");
        }
        assert!(!s3(StatusCode::FORBIDDEN, "AccessDenied").is_passing());
        assert!(s3(StatusCode::NOT_FOUND, "NoSuchBucket").is_of_the_bucket());
        assert!(!s3(StatusCode::NOT_FOUND, "NoSuchKey").is_of_the_bucket());
    }

    /// What is wrong stands in the answer's code or headers: each has words of its own that say what to do.
    #[test]
    fn a_refusal_says_what_to_do_about_it() {
        for (status, code, expected) in [
            (StatusCode::FORBIDDEN, "RequestTimeTooSkewed", "clock"),
            (StatusCode::BAD_REQUEST, "ExpiredToken", "have expired"),
            (StatusCode::NOT_FOUND, "NoSuchBucket", "the bucket does not exist"),
            (StatusCode::FORBIDDEN, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            (StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            (StatusCode::MOVED_PERMANENTLY, "PermanentRedirect", "spec.region"),
        ] {
            let refusal = s3(status, code);
            assert!(refusal.advised().contains(expected), "{}", refusal.advised());
            assert!(refusal.for_reading().contains(expected), "{}", refusal.for_reading());
        }
        let headers = HeaderMap::from_iter([("x-amz-bucket-region".parse().unwrap(), "eu-west-1".parse().unwrap())]);
        let bare = refusal(StatusCode::MOVED_PERMANENTLY, &headers, b"");
        assert!(bare.advised().contains("set spec.region of the Store to eu-west-1"), "{}", bare.advised());
        let body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        let named = refusal(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
        assert!(named.for_reading().contains("eu-west-1"), "{}", named.for_reading());
        assert_eq!(s3(StatusCode::FORBIDDEN, "AccessDenied").advised(), "403 Forbidden, AccessDenied, It is so");
    }

    #[test]
    fn words_are_passed_on_without_keys_and_what_they_sign() {
        let body = b"<Error><Code>SignatureDoesNotMatch</Code><Message>The key AKIAIOSFODNN7EXAMPLE signed=\
            9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 wrongly</Message>\
            <AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 20261124</StringToSign>";
        let text = refusal(StatusCode::FORBIDDEN, &HeaderMap::new(), body).to_string();
        assert_eq!(text, "403 Forbidden, SignatureDoesNotMatch, The key … signed … wrongly");
    }
}
