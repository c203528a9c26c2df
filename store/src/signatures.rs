//! Whether this cluster signed a token, by the keys that its API server publishes: what it did not sign costs the API
//! server nothing.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};
use kube::Client;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::keys::is_namespace;
use crate::token_error::{ANSWER, TokenError};

/// Where the API server publishes its keys.
const PATH: &str = "/openid/v1/jwks";
/// After this long the keys are asked for again: a cluster may stop to trust one.
const FRESH: Duration = Duration::from_secs(300);
/// How often they are asked for at most. A token with an unknown key asks, and anybody can make one up.
const AGAIN: Duration = Duration::from_secs(10);
/// What API servers sign with. None of these is a shared secret.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::ES384];

/// Checks the signatures of tokens.
pub(crate) struct Signatures {
    client: Client,
    audience: String,
    published: Mutex<Published>,
}

#[derive(Default)]
struct Published {
    keys: Option<JwkSet>,
    /// When they were asked for, whatever the answer was.
    asked: Option<Instant>,
    /// Why there are none.
    error: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Signatures {
    /// For tokens of this audience.
    pub(crate) fn new(client: Client, audience: String) -> Self {
        Self { client, audience, published: Mutex::default() }
    }

    /// The namespace that a token names, if this cluster signed it for this audience and it has not expired.
    pub(crate) async fn check(&self, token: &str) -> Result<String, TokenError> {
        let header = decode_header(token).map_err(|error| refused(&format!("it is no token: {error}")))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(refused(&format!("{:?} is no signature of an API server", header.alg)));
        }
        let id = header.kid.ok_or_else(|| refused("it does not name its key"))?;
        let key = self.key(&id).await?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.validate_nbf = true;
        let TokenData { claims: Claims { sub }, .. } =
            decode(token, &key, &validation).map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => refused("the token has expired"),
                ErrorKind::InvalidAudience => refused(&format!("it is not for the audience {}", self.audience)),
                ErrorKind::InvalidSignature => refused("this cluster did not sign it"),
                _ => refused(&error.to_string()),
            })?;
        let namespace = service_account(&sub).map(|(namespace, _)| namespace.to_owned());
        namespace.ok_or_else(|| refused(&format!("{sub:?} is no service account")))
    }

    /// The key of this name, among the keys of the day.
    async fn key(&self, id: &str) -> Result<DecodingKey, TokenError> {
        let mut published = self.published.lock().await;
        let age = published.asked.map(|asked| asked.elapsed());
        let is_known = published.keys.as_ref().is_some_and(|keys| keys.find(id).is_some());
        let patience = if is_known { FRESH } else { AGAIN };
        if age.is_none_or(|age| age > patience) {
            published.asked = Some(Instant::now());
            match self.ask().await {
                Ok(keys) => published.keys = Some(keys),
                Err(error) => {
                    tracing::warn!(error, "the keys that the API server signs tokens with cannot be had");
                    published.error = error;
                }
            }
        }
        let Some(keys) = &published.keys else { return Err(TokenError::Unavailable(published.error.clone())) };
        let key = keys.find(id).ok_or_else(|| refused("this cluster has no key of its name"))?;
        DecodingKey::from_jwk(key).map_err(|error| refused(&format!("its key cannot be used: {error}")))
    }

    async fn ask(&self) -> Result<JwkSet, String> {
        let request = http::Request::get(PATH).body(vec![]).map_err(|error| error.to_string())?;
        let text = timeout(ANSWER, self.client.request_text(request)).await;
        let text = text.map_err(|_| format!("{PATH}: no answer for {} s", ANSWER.as_secs()))?;
        let text = text.map_err(|error| format!("{PATH}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{PATH}: {error}"))
    }
}

fn refused(why: &str) -> TokenError {
    TokenError::Refused(format!("the token is refused: {why}"))
}

/// Namespace and name of a service account's user name.
pub(crate) fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (is_namespace(namespace) && !name.is_empty()).then_some((namespace, name))
}
