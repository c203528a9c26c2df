//! The store's own STS: `AssumeRoleWithWebIdentity`, after
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>. The role that is asked for
//! makes no difference: what a token may do follows from its namespace.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::keys::{Credentials, Keys, Namespace};
use crate::limits::Limits;
use crate::reviewed::Reviewed;
use crate::tokens::{TokenError, Tokens};

/// The longest body that is read, in bytes. A token has some 1,500.
const BODY: usize = 32 * 1024;
const ACTION: &str = "AssumeRoleWithWebIdentity";

/// The STS endpoint.
pub struct Sts {
    tokens: Arc<dyn Tokens>,
    keys: Keys,
    reviews: Semaphore,
    reviewed: Reviewed,
    limits: Limits,
}

impl Sts {
    /// Keys for those whose tokens are good.
    pub fn new(tokens: Arc<dyn Tokens>, keys: Keys, limits: Limits) -> Self {
        Self { tokens, keys, reviews: Semaphore::new(limits.reviews), reviewed: Reviewed::default(), limits }
    }

    /// Everybody can ask. What the cluster signed is a question to the API server, not too many at once, and not again
    /// for a moment; anything else is refused before.
    async fn namespace(&self, token: &str) -> Result<Namespace, TokenError> {
        self.tokens.check(token).await?;
        if let Some(namespace) = self.reviewed.get(token, Instant::now()) {
            return Ok(namespace);
        }
        let Ok(Ok(_place)) = timeout(self.limits.queue, self.reviews.acquire()).await else {
            return Err(TokenError::Busy);
        };
        let namespace = self.tokens.namespace(token).await?;
        self.reviewed.keep(token, &namespace, Instant::now());
        Ok(namespace)
    }
}

#[async_trait::async_trait]
impl S3Route for Sts {
    fn is_match(&self, method: &Method, uri: &Uri, headers: &HeaderMap, _: &mut http::Extensions) -> bool {
        let form = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        let asks = uri.query().is_some_and(|query| query.contains("Action="));
        uri.path() == "/" && (method == Method::POST || method == Method::GET) && (form || asks)
    }

    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        // The token alone proves the namespace.
        Ok(())
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let mut parameters = parameters(request.uri.query().unwrap_or_default().as_bytes());
        match timeout(self.limits.first, request.input.store_all_limited(BODY)).await {
            Ok(Ok(body)) => parameters.extend(self::parameters(&body)),
            Ok(Err(_)) => {
                return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge", "the body is too large"));
            }
            Err(_) => return Ok(refusal(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "the body takes too long")),
        }
        let parameter = |name: &str| parameters.get(name).map(|value| value.trim()).unwrap_or_default();
        if parameter("Action") != ACTION {
            return Ok(refusal(StatusCode::BAD_REQUEST, "InvalidAction", &format!("the one action is {ACTION}")));
        }
        match self.namespace(parameter("WebIdentityToken")).await {
            Ok(namespace) => {
                tracing::debug!(namespace = namespace.name, uid = namespace.uid, "keys are issued");
                Ok(grant(&self.keys.issue(&namespace, Timestamp::now()), &namespace.name))
            }
            Err(TokenError::Refused(why)) => {
                tracing::info!(why, "a token is refused");
                Ok(refusal(StatusCode::BAD_REQUEST, "InvalidIdentityToken", &why))
            }
            Err(TokenError::Busy) => {
                tracing::warn!("too many tokens are to be checked at once");
                let message = "too many tokens are to be checked at once: ask again in a moment";
                Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", message))
            }
            Err(TokenError::Unavailable(why)) => {
                tracing::warn!(why, "a token cannot be checked");
                Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "tokens cannot be checked now"))
            }
        }
    }
}

fn parameters(encoded: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(encoded).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn grant(keys: &Credentials, namespace: &str) -> S3Response<Body> {
    let Credentials { access_key, secret, expiry } = keys;
    answer(
        StatusCode::OK,
        format!(
            r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{namespace}</SessionToken><Expiration>{expiry:.0}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"#
        ),
    )
}

fn refusal(status: StatusCode, code: &str, message: &str) -> S3Response<Body> {
    let message = message.replace('&', "&amp;").replace('<', "&lt;");
    answer(
        status,
        format!(
            r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"#
        ),
    )
}

fn answer(status: StatusCode, xml: String) -> S3Response<Body> {
    let mut response = S3Response::with_status(Body::from(xml), status);
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use tempfile::TempDir;
    use tokio::sync::Notify;

    use super::*;

    /// An API server that answers when it is told to.
    #[derive(Default)]
    struct Slow(Notify);

    #[async_trait::async_trait]
    impl Tokens for Slow {
        async fn check(&self, token: &str) -> Result<(), TokenError> {
            let is_signed = !token.starts_with("junk");
            is_signed.then_some(()).ok_or_else(|| TokenError::Refused("it is junk".to_owned()))
        }

        async fn namespace(&self, _: &str) -> Result<Namespace, TokenError> {
            self.0.notified().await;
            Ok(Namespace { name: "growth".to_owned(), uid: "0".to_owned() })
        }
    }

    fn request(token: &str) -> S3Request<Body> {
        S3Request {
            input: Body::from(format!("Action=AssumeRoleWithWebIdentity&WebIdentityToken={token}")),
            method: Method::POST,
            uri: Uri::from_static("/"),
            headers: HeaderMap::new(),
            extensions: http::Extensions::new(),
            credentials: None,
            region: None,
            service: None,
            trailing_headers: None,
        }
    }

    #[tokio::test]
    async fn a_flood_of_tokens_waits_for_a_moment_and_is_told_to_slow_down() {
        let folder = TempDir::new().unwrap();
        let slow = Arc::new(Slow::default());
        let limits = Limits { reviews: 1, queue: Duration::from_millis(50), ..Limits::default() };
        let sts = Sts::new(slow.clone(), Keys::open(folder.path()).unwrap(), limits);
        let mut first = std::pin::pin!(sts.call(request("x")));
        assert!(first.as_mut().now_or_never().is_none(), "its token is being checked");
        for _ in 0..1000 {
            let junk = sts.call(request("junk")).await.unwrap();
            assert_eq!(junk.status, Some(StatusCode::BAD_REQUEST), "it waits for no place");
        }
        let mut second = sts.call(request("y")).await.unwrap();
        assert_eq!(second.status, Some(StatusCode::SERVICE_UNAVAILABLE));
        let text = second.output.store_all_limited(1000).await.unwrap();
        assert!(String::from_utf8_lossy(&text).contains("<Code>SlowDown</Code>"), "{text:?}");
        slow.0.notify_one();
        assert_eq!(first.await.unwrap().status, Some(StatusCode::OK));
        slow.0.notify_one();
        assert_eq!(sts.call(request("y")).await.unwrap().status, Some(StatusCode::OK), "the place is free again");
        // Nobody notifies the API server any more: it is not asked about either of them again.
        for token in ["x", "y"] {
            assert_eq!(sts.call(request(token)).await.unwrap().status, Some(StatusCode::OK));
        }
    }
}
