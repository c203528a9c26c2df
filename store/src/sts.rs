//! The store's own STS: `AssumeRoleWithWebIdentity`, after
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>. The role that is asked for
//! makes no difference: what a token may do follows from its namespace.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result};

use crate::keys::{Credentials, Keys};
use crate::tokens::{TokenError, Tokens};

/// The longest body that is read, in bytes. A token has some 1,500.
const BODY: usize = 32 * 1024;
const ACTION: &str = "AssumeRoleWithWebIdentity";

/// The endpoint.
pub struct Sts {
    /// Who says whose tokens are.
    pub tokens: Arc<dyn Tokens>,
    /// Who makes keys.
    pub keys: Keys,
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
        // The token is the proof.
        Ok(())
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let mut parameters = parameters(request.uri.query().unwrap_or_default().as_bytes());
        match request.input.store_all_limited(BODY).await {
            Ok(body) => parameters.extend(self::parameters(&body)),
            Err(_) => return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge", "the body is too large")),
        }
        let parameter = |name: &str| parameters.get(name).map(|value| value.trim()).unwrap_or_default();
        if parameter("Action") != ACTION {
            return Ok(refusal(StatusCode::BAD_REQUEST, "InvalidAction", &format!("the one action is {ACTION}")));
        }
        match self.tokens.namespace(parameter("WebIdentityToken")).await {
            Ok(namespace) => {
                tracing::debug!(namespace, "keys are issued");
                Ok(grant(&self.keys.issue(&namespace, Timestamp::now()), &namespace))
            }
            Err(TokenError::Refused(why)) => {
                tracing::info!(why, "a token is refused");
                Ok(refusal(StatusCode::BAD_REQUEST, "InvalidIdentityToken", &why))
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
