//! S3 and STS over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use s3s::Body;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::access::Confined;
use crate::authority::Certificate;
use crate::backend::Backend;
use crate::health::Metrics;
use crate::keys::Keys;
use crate::sts::Sts;
use crate::tokens::Tokens;

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests may take to end once the store is told to stop.
const STOP: Duration = Duration::from_secs(20);

/// The service: every request is checked before it reaches a file.
pub fn service(backend: Backend, keys: Keys, tokens: Arc<dyn Tokens>) -> S3Service {
    let mut builder = S3ServiceBuilder::new(backend);
    builder.set_auth(keys.clone());
    builder.set_access(Confined);
    builder.set_route(Sts { tokens, keys });
    builder.build()
}

/// A listening store.
pub struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    service: S3Service,
    metrics: Metrics,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn bind(
        listen: SocketAddr,
        certificate: Arc<Certificate>,
        service: S3Service,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on --listen {listen}"))?;
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), service, metrics })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the operating system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is told to stop, and then what is under way.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let stream = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of file descriptors, for one: others may be given back soon.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                () = stop.as_mut() => break,
            };
            let (acceptor, service, metrics) = (self.acceptor.clone(), self.service.clone(), self.metrics.clone());
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
                let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (service, metrics) = (service.clone(), metrics.clone());
                    async move {
                        let method = request.method().clone();
                        let mut answer = hyper::service::Service::call(&service, request).await;
                        if let Ok(answer) = &mut answer {
                            metrics.count(&method, answer.status());
                            // HTTP/2 would send the text of an error, which clients take for a broken protocol.
                            if method == Method::HEAD {
                                *answer.body_mut() = Body::empty();
                            }
                        }
                        answer
                    }
                });
                let connection = Builder::new(TokioExecutor::new());
                let connection = connection.serve_connection(TokioIo::new(stream), service).into_owned();
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(error, "a connection ended badly");
                }
            });
        }
        if tokio::time::timeout(STOP, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests are cut off");
        }
    }
}
