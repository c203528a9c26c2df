//! `/healthz`, `/readyz` and `/metrics`, without TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::{Method, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use nix::sys::statvfs::statvfs;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::backend::Usage;
use crate::listen;

/// How many connections are served at once, and how long each: who asks here asks one thing.
const CONNECTIONS: usize = 32;
const CONNECTION: Duration = Duration::from_secs(10);

/// How many buckets have series of their own: those that hold most. Namespaces come and go, and their buckets stay.
const BUCKETS: usize = 100;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BucketLabels {
    namespace: String,
    uid: String,
}

impl BucketLabels {
    /// Of the folder of a bucket.
    fn of(bucket: &str) -> Self {
        let (namespace, uid) = bucket.split_once('.').unwrap_or((bucket, ""));
        Self { namespace: namespace.to_owned(), uid: uid.to_owned() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    code: &'static str,
}

impl RequestLabels {
    /// Clients choose methods, and any word is one: each label has a fixed set of values, so that nobody makes series.
    fn of(method: &Method, status: StatusCode) -> Self {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::PUT => "PUT",
            Method::POST => "POST",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        let code = match status.as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        Self { method, code }
    }
}

/// The store's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    free: Gauge,
    used: Family<BucketLabels, Gauge>,
    usage: Arc<Usage>,
    registry: Arc<Registry>,
    data: PathBuf,
}

impl Metrics {
    /// Metrics of a data folder, and of what its buckets hold.
    pub fn new(data: PathBuf, usage: Arc<Usage>) -> Self {
        let (requests, free, used) = (Family::default(), Gauge::default(), Family::default());
        let mut registry = Registry::with_prefix("seatrial_store");
        registry.register("requests", "Requests that were answered", requests.clone());
        registry.register("volume_free_bytes", "Bytes that may still be written", free.clone());
        if let Some(quota) = usage.quota() {
            let help = "Bytes that the bucket of a namespace holds, with what is on its way; those beyond the 100 largest in one";
            registry.register("namespace_used_bytes", help, used.clone());
            let allowed: Gauge = Gauge::default();
            allowed.set(i64::try_from(quota).unwrap_or(i64::MAX));
            registry.register("namespace_quota_bytes", "Bytes that the bucket of a namespace may hold", allowed);
        }
        Self { requests, free, used, usage, registry: Arc::new(registry), data }
    }

    /// Counts an answer.
    pub fn count(&self, method: &Method, status: StatusCode) {
        self.requests.get_or_create(&RequestLabels::of(method, status)).inc();
    }

    /// The metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// Where a value cannot be written as text.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        if let Ok(space) = statvfs(&self.data) {
            #[expect(clippy::useless_conversion, reason = "the width of these fields differs between platforms")]
            let free = u64::from(space.blocks_available()).saturating_mul(space.fragment_size());
            self.free.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
        self.count_buckets(self.usage.used());
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Metrics {
    fn count_buckets(&self, mut buckets: Vec<(String, u64)>) {
        self.used.clear();
        buckets.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        for (place, (bucket, bytes)) in buckets.iter().enumerate() {
            let labels = BucketLabels::of(if place < BUCKETS { bucket } else { "" });
            self.used.get_or_create(&labels).inc_by(i64::try_from(*bytes).unwrap_or(i64::MAX));
        }
    }
}

/// Serves them from now on, in the background. Ready means that clients can know the authority.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(listen: SocketAddr, metrics: Metrics, ready: Arc<AtomicBool>) -> anyhow::Result<()> {
    let router = router(metrics, ready);
    let listener = listen::bind(listen).await.with_context(|| format!("cannot listen on --health-listen {listen}"))?;
    tokio::spawn(answer(listener, router, CONNECTION));
    Ok(())
}

fn router(metrics: Metrics, ready: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readiness).with_state(ready))
        .route("/metrics", get(text).with_state(metrics))
}

/// Answers, and gives each connection so long.
async fn answer(listener: TcpListener, router: Router, lifetime: Duration) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().keep_alive(false);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => TokioIo::new(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection to the health endpoint could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(stream, service).into_owned();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(lifetime, connection).await;
            drop(place);
        });
    }
}

async fn readiness(State(ready): State<Arc<AtomicBool>>) -> (StatusCode, &'static str) {
    if ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the certificate authority is not published yet")
    }
}

async fn text(State(metrics): State<Metrics>) -> Result<([(header::HeaderName, &'static str); 1], String), StatusCode> {
    let text = metrics.text().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: store\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        // It closes: nobody keeps a connection here.
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[test]
    fn the_largest_buckets_have_series_and_all_others_one() {
        let usage = Arc::new(Usage::new(Some(1 << 40), PathBuf::new(), PathBuf::new()));
        let metrics = Metrics::new(PathBuf::from("/"), usage);
        let buckets: Vec<_> = (0..BUCKETS as u64 + 3).map(|size| (format!("team-{size}.uid"), size)).collect();
        for _ in 0..2 {
            metrics.count_buckets(buckets.clone());
        }
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        let series = |line: &&str| line.starts_with("seatrial_store_namespace_used_bytes{");
        assert_eq!(text.lines().filter(series).count(), BUCKETS + 1, "{text}");
        assert!(text.contains(r#"namespace_used_bytes{namespace="team-102",uid="uid"} 102"#), "{text}");
        assert!(text.contains(r#"namespace_used_bytes{namespace="",uid=""} 3"#), "{text}");
        assert!(text.contains("seatrial_store_namespace_quota_bytes 1099511627776"), "{text}");
    }

    #[tokio::test]
    async fn whoever_says_nothing_does_not_keep_others_from_asking() {
        let (data, ready) = (TempDir::new().unwrap(), Arc::new(AtomicBool::new(false)));
        let metrics = Metrics::new(data.path().to_owned(), Arc::default());
        metrics.count(&Method::PUT, StatusCode::OK);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(answer(listener, router(metrics, ready.clone()), Duration::from_secs(2)));
        let mut silent = vec![];
        // More than there are places.
        for _ in 0..CONNECTIONS + 8 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        ready.store(true, Ordering::Relaxed);
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let text = ask(address, "/metrics").await;
        assert!(text.contains("seatrial_store_requests_total") && text.contains("volume_free_bytes"), "{text}");
    }
}
