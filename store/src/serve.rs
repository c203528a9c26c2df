//! Serves S3 and STS over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Error};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Confined;
use crate::authority::Certificate;
use crate::backend::Backend;
use crate::connection::{Activity, BusyBody, PatientBody, PatientStream};
use crate::gate;
use crate::health::Metrics;
use crate::keys::Keys;
use crate::limits::{self, Limits};
use crate::listen;
use crate::sts::Sts;
use crate::summed::{self, Refused, SummedBody};
use crate::tokens::Tokens;

/// How long requests may take to end once the store is told to stop.
const STOP: Duration = Duration::from_secs(20);
/// How often a client of HTTP/2 is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
/// How many requests one connection of HTTP/2 may have under way.
const STREAMS: u32 = 64;
/// How much of a request's head, or of one answer, is kept for a connection, in bytes.
const BUFFER: usize = 128 * 1024;

/// The service: every request is checked before it reaches a file.
pub fn service(backend: Backend, keys: Keys, tokens: Arc<dyn Tokens>, limits: Limits) -> S3Service {
    let mut builder = S3ServiceBuilder::new(backend);
    builder.set_config(limits::protocol());
    builder.set_auth(keys.clone());
    builder.set_access(Confined);
    builder.set_route(Sts::new(tokens, keys, limits));
    builder.build()
}

/// The places for connections.
#[derive(Clone, Debug)]
pub struct Connections {
    places: Arc<Semaphore>,
    limit: usize,
}

impl Connections {
    fn new(limit: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(limit)), limit }
    }

    /// How many there are now.
    pub fn now(&self) -> usize {
        self.limit.saturating_sub(self.places.available_permits())
    }

    /// The next client, once there is a place for it. Until then it waits where it costs nothing.
    async fn accept(&self, listener: &TcpListener) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
        if self.places.available_permits() == 0 {
            tracing::warn!(self.limit, "there are as many connections as the store serves at once: others wait");
        }
        // Whoever waits has no place yet.
        let waited = self.places.acquire().await.map_err(std::io::Error::other)?;
        drop(waited);
        let (stream, _) = listener.accept().await?;
        let place = self.places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        Ok((stream, place))
    }
}

/// A listening store.
pub struct Server {
    listener: TcpListener,
    clients: Clients,
    connections: Connections,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn bind(
        listen: SocketAddr,
        certificate: Arc<Certificate>,
        service: S3Service,
        metrics: Metrics,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let listener = listen::bind(listen).await.with_context(|| format!("cannot listen on --listen {listen}"))?;
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        let clients = Clients { acceptor, service, metrics, limits, tasks: Tasks { tasks, cut } };
        Ok(Self { listener, clients, connections: Connections::new(limits.connections) })
    }

    /// Its connections, to be counted.
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the operating system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is told to stop, and then what is under way. When this is over, nothing of it goes on.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, clients, connections } = self;
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let (stream, place) = tokio::select! {
                accepted = connections.accept(&listener) => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, for one: others may be given back soon.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                () = stop.as_mut() => break,
            };
            let (own, watcher) = (clients.clone(), graceful.watcher());
            clients.tasks.spawn(async move {
                own.serve(stream, watcher).await;
                drop(place);
            });
        }
        drop(listener);
        let Tasks { tasks, cut } = clients.tasks;
        tasks.close();
        let ended = async {
            graceful.shutdown().await;
            tasks.wait().await;
        };
        if tokio::time::timeout(STOP, ended).await.is_err() {
            tracing::warn!("requests are cut off");
            cut.cancel();
            tasks.wait().await;
        }
    }
}

/// What goes on besides, until it ends or is cut off.
#[derive(Clone, Debug)]
struct Tasks {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Tasks {
    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move { cut.run_until_cancelled(task).await });
    }
}

/// Requests of HTTP/2 are tasks of their own.
impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// What it takes to serve a client.
#[derive(Clone)]
struct Clients {
    acceptor: TlsAcceptor,
    service: S3Service,
    metrics: Metrics,
    limits: Limits,
    tasks: Tasks,
}

impl Clients {
    async fn serve(self, stream: TcpStream, watcher: Watcher) {
        let stream = PatientStream::new(stream, self.limits.stall);
        let handshake = tokio::time::timeout(self.limits.first, self.acceptor.accept(stream));
        let Ok(Ok(stream)) = handshake.await else { return };
        let activity = Activity::new(self.limits);
        let builder = self.builder();
        let requests = activity.clone();
        let service = hyper::service::service_fn(move |request| {
            let (own, busy) = (self.clone(), requests.request());
            async move { Ok::<_, HttpError>(own.answer(request).await?.map(|body| BusyBody::new(body, busy))) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        tokio::select! {
            ended = watcher.watch(connection) => if let Err(error) = ended {
                tracing::debug!(error, "a connection ended badly");
            },
            () = activity.idle() => tracing::debug!("a connection is closed that nobody uses"),
        }
    }

    fn builder(&self) -> Builder<Tasks> {
        let mut builder = Builder::new(self.tasks.clone());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.idle)
            .max_buf_size(BUFFER)
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(BUFFER);
        builder
    }

    async fn answer(&self, request: Request<hyper::body::Incoming>) -> Result<Response<Body>, HttpError> {
        let (head, body) = request.into_parts();
        let method = head.method.clone();
        let expected = gate::refusal(&head).map_or_else(|| summed::expected(&head), Err);
        let mut answer = match expected {
            Err(refusal) => refused(refusal)?,
            Ok(expected) => {
                let why = Refused::default();
                let body = SummedBody::new(PatientBody::new(body, self.limits.stall), expected, why.clone());
                let answer = self.service.call(Request::from_parts(head, Body::http_body(body))).await?;
                why.take().map_or(Ok(answer), refused)?
            }
        };
        self.metrics.count(&method, answer.status());
        // HTTP/2 would send the text of an error, which clients take for a broken protocol.
        if method == Method::HEAD {
            *answer.body_mut() = Body::empty();
        }
        Ok(answer)
    }
}

fn refused(error: S3Error) -> Result<Response<Body>, HttpError> {
    error.to_http_response().map_err(|error| HttpError::new(Box::new(error)))
}
