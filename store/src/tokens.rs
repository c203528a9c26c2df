//! Whose token it is.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

/// Why a token is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no valid token for this store.
    #[error("{0}")]
    Refused(String),
    /// Whoever could say so cannot be asked.
    #[error("the API server cannot be asked about the token: {0}")]
    Unavailable(String),
    /// Too many others are asked about already.
    #[error("too many tokens are to be checked at once")]
    Busy,
}

/// Says whose tokens are.
#[async_trait::async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// The namespace of the service account that a token belongs to.
    async fn namespace(&self, token: &str) -> Result<String, TokenError>;
}

/// Asks the API server.
pub struct ApiServer {
    client: Client,
    audience: String,
}

impl ApiServer {
    /// For tokens of this audience.
    pub fn new(client: Client, audience: String) -> Self {
        Self { client, audience }
    }
}

#[async_trait::async_trait]
impl Tokens for ApiServer {
    async fn namespace(&self, token: &str) -> Result<String, TokenError> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![self.audience.clone()]) },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| TokenError::Unavailable(error.to_string()))?.status.unwrap_or_default();
        let is_ours = status.audiences.unwrap_or_default().contains(&self.audience);
        if status.authenticated != Some(true) || !is_ours {
            let why = status.error.unwrap_or_else(|| "it is not valid for this store".to_owned());
            return Err(TokenError::Refused(format!("the token is refused: {why}")));
        }
        let user = status.user.and_then(|user| user.username).unwrap_or_default();
        let namespace = service_account(&user).map(|(namespace, _)| namespace.to_owned());
        namespace.ok_or_else(|| TokenError::Refused(format!("{user} is no service account")))
    }
}

/// Namespace and name of a service account's user name.
fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}
