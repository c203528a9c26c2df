//! Checks the signature of a service-account token by the keys (JWKS) that the API server publishes. Only a token that this
//! cluster signed leads to a TokenReview, so that made-up tokens cost the API server nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};
use kube::Client;
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

use crate::keys::is_namespace;
use crate::token_error::{ANSWER, TokenError};

/// Where the API server publishes its keys.
const PATH: &str = "/openid/v1/jwks";
/// After this time the keys are fetched again: the cluster may have withdrawn one.
const FRESH: Duration = Duration::from_secs(300);
/// The shortest time between two requests for keys. A token with an unknown key leads to one, and anybody can make such a
/// token.
const AGAIN: Duration = Duration::from_secs(10);
/// The algorithms that API servers sign with. None of them uses a shared secret.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::ES384];

/// Checks the signatures of tokens.
pub(crate) struct Signatures {
    client: Client,
    audience: String,
    published: Mutex<Published>,
    /// Locked while the API server is asked.
    asking: AsyncMutex<()>,
}

#[derive(Clone, Default)]
struct Published {
    keys: Option<Arc<JwkSet>>,
    /// When they were asked for, whatever the answer was.
    asked: Option<Instant>,
    /// Why there are none.
    error: String,
}

impl Published {
    fn knows(&self, id: &str) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.find(id).is_some())
    }

    /// Whether the keys are too old to answer for this one.
    fn must_ask(&self, id: &str) -> bool {
        let patience = if self.knows(id) { FRESH } else { AGAIN };
        self.asked.is_none_or(|asked| asked.elapsed() > patience)
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Signatures {
    /// For tokens of this audience.
    pub(crate) fn new(client: Client, audience: String) -> Self {
        Self { client, audience, published: Mutex::default(), asking: AsyncMutex::default() }
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

    /// The key with this id.
    async fn key(&self, id: &str) -> Result<DecodingKey, TokenError> {
        let mut published = self.published();
        if published.must_ask(id) {
            // A token with a known key does not wait while another request asks: otherwise a slow API server, or made-up ids
            // of keys, would delay everybody.
            let asking = if published.knows(id) { self.asking.try_lock().ok() } else { Some(self.asking.lock().await) };
            published = self.published();
            if asking.is_some() && published.must_ask(id) {
                self.change(|published| published.asked = Some(Instant::now()));
                let answer = self.ask().await;
                self.change(|published| match answer {
                    Ok(keys) => published.keys = Some(Arc::new(keys)),
                    Err(error) => {
                        tracing::warn!(error, "the keys that the API server signs tokens with cannot be had");
                        published.error = error;
                    }
                });
                published = self.published();
            }
        }
        let Some(keys) = &published.keys else { return Err(TokenError::Unavailable(published.error)) };
        let key = keys.find(id).ok_or_else(|| refused("this cluster has no key of its name"))?;
        DecodingKey::from_jwk(key).map_err(|error| refused(&format!("its key cannot be used: {error}")))
    }

    fn published(&self) -> Published {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.published.lock().unwrap_or_else(PoisonError::into_inner));
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    const KEYS: &str =
        r#"{"keys": [{"kty": "RSA", "kid": "first", "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB"}]}"#;

    /// An API server that answers once, and never again.
    fn signatures() -> Signatures {
        let asked = AtomicUsize::new(0);
        let service = tower::service_fn(move |_: Request<Body>| {
            let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if !is_first {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(Response::new(Body::from(KEYS.as_bytes().to_vec())))
            }
        });
        Signatures::new(Client::new(service, "default"), "seatrial-store".into())
    }

    /// Anybody can make up the name of a key, and keys grow old: neither makes those wait whose key is known.
    #[tokio::test(start_paused = true)]
    async fn a_known_key_does_not_wait_while_another_is_asked_for() {
        let signatures = Arc::new(signatures());
        assert!(signatures.key("first").await.is_ok());
        tokio::time::advance(FRESH + AGAIN).await;
        let asker = signatures.clone();
        let asking = tokio::spawn(async move { asker.key("second").await.is_ok() });
        while signatures.asking.try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(timeout(ANSWER / 10, signatures.key("first")).await.is_ok_and(|key| key.is_ok()));
        assert!(!asking.await.unwrap());
    }
}
