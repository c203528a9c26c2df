//! Whose token it is.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::keys::{Namespace, is_namespace};
use crate::signatures::{Signatures, service_account};
use crate::token_error::ANSWER;
pub use crate::token_error::TokenError;

/// Says whose tokens are.
#[async_trait::async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// Refuses what nobody need be asked about.
    async fn check(&self, token: &str) -> Result<(), TokenError>;

    /// The namespace of the service account that a token belongs to.
    async fn namespace(&self, token: &str) -> Result<Namespace, TokenError>;
}

/// Asks the API server.
pub struct ApiServer {
    client: Client,
    audience: String,
    signatures: Signatures,
}

impl ApiServer {
    /// For tokens of this audience.
    pub fn new(client: Client, audience: String) -> Self {
        let signatures = Signatures::new(client.clone(), audience.clone());
        Self { client, audience, signatures }
    }

    async fn review(&self, token: &str) -> Result<String, TokenError> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![self.audience.clone()]) },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = answered(api.create(&PostParams::default(), &review)).await?;
        judge(answer.status.unwrap_or_default(), &self.audience)
    }

    async fn uid(&self, namespace: &str) -> Result<String, TokenError> {
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let uid = match answered(api.get_opt(namespace)).await? {
            Some(found) => found.metadata.uid,
            None => {
                return Err(TokenError::Refused(format!("the token is refused: there is no namespace {namespace}")));
            }
        };
        let uid = uid.filter(|uid| is_namespace(uid));
        uid.ok_or_else(|| TokenError::Unavailable(format!("the namespace {namespace} has no UID")))
    }
}

#[async_trait::async_trait]
impl Tokens for ApiServer {
    async fn check(&self, token: &str) -> Result<(), TokenError> {
        if token.is_empty() {
            return Err(TokenError::Refused("there is no WebIdentityToken".to_owned()));
        }
        self.signatures.check(token).await.map(drop)
    }

    async fn namespace(&self, token: &str) -> Result<Namespace, TokenError> {
        let named = self.signatures.check(token).await?;
        // Before and after: while the account that the review speaks of exists, its namespace is not made again.
        let uid = self.uid(&named).await?;
        let name = self.review(token).await?;
        if name != named || self.uid(&name).await? != uid {
            return Err(TokenError::Unavailable(format!("the namespace {named} was made again meanwhile")));
        }
        Ok(Namespace { name, uid })
    }
}

/// An answer of the API server, in time.
async fn answered<T>(asking: impl Future<Output = Result<T, kube::Error>>) -> Result<T, TokenError> {
    match timeout(ANSWER, asking).await {
        Ok(answer) => answer.map_err(|error| TokenError::Unavailable(error.to_string())),
        Err(_) => Err(TokenError::Unavailable(format!("it said nothing for {} s", ANSWER.as_secs()))),
    }
}

/// What the API server's answer means. One that does not know audiences names none: its word is not enough, since any
/// token of the cluster would do.
fn judge(answer: TokenReviewStatus, audience: &str) -> Result<String, TokenError> {
    let is_ours = answer.audiences.unwrap_or_default().iter().any(|named| named == audience);
    if answer.authenticated != Some(true) || answer.error.as_ref().is_some_and(|error| !error.is_empty()) {
        let why = answer.error.unwrap_or_else(|| "it is not valid in this cluster".to_owned());
        return Err(TokenError::Refused(format!("the token is refused: {why}")));
    }
    if !is_ours {
        return Err(TokenError::Refused(format!("the token is refused: it is not for the audience {audience}")));
    }
    let user = answer.user.and_then(|user| user.username).unwrap_or_default();
    let namespace = service_account(&user).map(|(namespace, _)| namespace.to_owned());
    namespace.ok_or_else(|| TokenError::Refused(format!("the token is refused: {user:?} is no service account")))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    /// What the API server says of a good token.
    fn good() -> TokenReviewStatus {
        TokenReviewStatus {
            audiences: Some(vec!["seatrial-store".into()]),
            authenticated: Some(true),
            error: None,
            user: user("system:serviceaccount:growth:default"),
        }
    }

    fn user(name: &str) -> Option<UserInfo> {
        Some(UserInfo { username: Some(name.into()), ..UserInfo::default() })
    }

    #[test]
    fn a_service_accounts_token_opens_its_namespace() {
        assert_eq!(judge(good(), "seatrial-store"), Ok("growth".to_owned()));
        let several = TokenReviewStatus { audiences: Some(vec!["other".into(), "seatrial-store".into()]), ..good() };
        assert_eq!(judge(several, "seatrial-store"), Ok("growth".to_owned()));
    }

    #[test]
    fn no_other_token_opens_anything() {
        let expired = "[invalid bearer token, token has expired]";
        let unauthenticated = TokenReviewStatus { authenticated: Some(false), ..good() };
        for (answer, why) in [
            (
                TokenReviewStatus { audiences: Some(vec!["https://kubernetes.default.svc".into()]), ..good() },
                "audience",
            ),
            // As from an API server, or something between, that does not know audiences.
            (TokenReviewStatus { audiences: None, ..good() }, "audience"),
            (TokenReviewStatus { audiences: Some(vec!["seatrial-store-2".into()]), ..good() }, "audience"),
            (TokenReviewStatus { error: Some(expired.into()), ..unauthenticated.clone() }, "token has expired"),
            (TokenReviewStatus { error: Some("foreign".into()), ..good() }, "foreign"),
            (unauthenticated, "not valid in this cluster"),
            (TokenReviewStatus { authenticated: None, ..good() }, "not valid in this cluster"),
            (TokenReviewStatus::default(), "not valid in this cluster"),
            (TokenReviewStatus { user: None, ..good() }, "no service account"),
            (TokenReviewStatus { user: user("alice"), ..good() }, "no service account"),
            (TokenReviewStatus { user: user("system:node:n1"), ..good() }, "no service account"),
            (TokenReviewStatus { user: user("system:serviceaccount:growth"), ..good() }, "no service account"),
            (TokenReviewStatus { user: user("system:serviceaccount::x"), ..good() }, "no service account"),
            (TokenReviewStatus { user: user("system:serviceaccount:../risk:x"), ..good() }, "no service account"),
        ] {
            match judge(answer.clone(), "seatrial-store") {
                Err(TokenError::Refused(message)) if message.contains(why) => {}
                other => panic!("{answer:?}: {other:?}"),
            }
        }
    }

    /// No fault of the token: whoever asks may ask again.
    #[tokio::test]
    async fn without_an_api_server_nothing_is_said_about_a_token() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Nobody listens there any more.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::try_from(kube::Config::new(format!("http://{gone}").parse().unwrap())).unwrap();
        let tokens = ApiServer::new(client, "seatrial-store".into());
        let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.c2ln";
        let answer = tokens.check(token).await;
        assert!(matches!(answer, Err(TokenError::Unavailable(_))), "{answer:?}");
        for junk in ["", "junk", "a.b.c", "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.e30.c2ln"] {
            assert!(matches!(tokens.check(junk).await, Err(TokenError::Refused(_))), "nobody need be asked: {junk}");
        }
    }
}
