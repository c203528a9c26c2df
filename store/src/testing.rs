//! A whole store on a free port of this machine, for tests: real files, real TLS, real keys. Only whose a token is
//! is said by a rule in place of an API server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::authority::Certificate;
use crate::backend::Backend;
use crate::health::Metrics;
use crate::keys::Namespace;
use crate::limits::Limits;
use crate::serve::{self, Connections, Server};
use crate::tokens::{TokenError, Tokens};
use crate::volume::Volume;

/// The tokens of tests: `token-of-<namespace>`. The UID of each namespace is `0`.
struct Rule;

#[async_trait::async_trait]
impl Tokens for Rule {
    async fn check(&self, token: &str) -> Result<(), TokenError> {
        self.namespace(token).await.map(drop)
    }

    async fn namespace(&self, token: &str) -> Result<Namespace, TokenError> {
        let name = token.strip_prefix("token-of-").map(str::to_owned);
        let name = name.ok_or_else(|| TokenError::Refused("the token is refused: it is none".to_owned()))?;
        Ok(Namespace { name, uid: "0".to_owned() })
    }
}

/// A store that serves until it is stopped or dropped.
pub struct LocalStore {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority of its certificate, PEM.
    pub certificate_authority: String,
    /// Its files, which a test may hold back.
    pub backend: Backend,
    metrics: Metrics,
    connections: Connections,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl LocalStore {
    /// Starts one, on the runtime that this is called on.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub async fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_at(data, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts one at an address, such as that of a store that was stopped.
    ///
    /// # Errors
    /// Where the folder or the address cannot be used.
    pub async fn start_at(data: &Path, listen: SocketAddr) -> anyhow::Result<Self> {
        Self::start_with(data, listen, Limits::default(), None).await
    }

    /// Starts one at an address, with other bounds than a real one has, and more or less haste to answer.
    ///
    /// # Errors
    /// Where the folder or the address cannot be used.
    pub async fn start_with(
        data: &Path,
        listen: SocketAddr,
        limits: Limits,
        answer_within: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Volume { mut backend, keys, authority } = Volume::open(data, limits.namespace_quota)?;
        if let Some(answer_within) = answer_within {
            backend.answer_within(answer_within);
        }
        let certificate = Arc::new(Certificate::new(&authority, vec!["localhost".to_owned()])?);
        let service = serve::service(backend.clone(), keys, Arc::new(Rule), limits);
        let metrics = Metrics::new(data.to_path_buf(), backend.usage());
        let server = Server::bind(listen, certificate, service, metrics.clone(), limits).await?;
        let (address, connections) = (server.address()?, server.connections());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Ok(Self { address, certificate_authority: authority.certificate, backend, metrics, connections, stop, serving })
    }

    /// The URL of S3 and STS alike.
    pub fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// What Prometheus would read.
    ///
    /// # Errors
    /// Where a value cannot be written as text.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        self.metrics.text()
    }

    /// How many connections it has now.
    pub fn connections(&self) -> usize {
        self.connections.now()
    }

    /// Lets requests end, and ends.
    ///
    /// # Errors
    /// Where the store panicked.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { stop, serving, backend, .. } = self;
        let _ = stop.send(());
        serving.await?;
        // With the last hold on it goes the lock of its folder.
        drop(backend);
        Ok(())
    }
}
