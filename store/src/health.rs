//! `/healthz`, `/readyz` and `/metrics`, without TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::{Method, StatusCode, header};
use nix::sys::statvfs::statvfs;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    code: u16,
}

/// What is counted.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    free: Gauge,
    registry: Arc<Registry>,
    data: PathBuf,
}

impl Metrics {
    /// For a data folder.
    pub fn new(data: PathBuf) -> Self {
        let (requests, free) = (Family::default(), Gauge::default());
        let mut registry = Registry::with_prefix("seatrial_store");
        registry.register("requests", "Requests that were answered", requests.clone());
        registry.register("volume_free_bytes", "Bytes that may still be written", free.clone());
        Self { requests, free, registry: Arc::new(registry), data }
    }

    /// Counts an answer.
    pub fn count(&self, method: &Method, status: StatusCode) {
        let labels = RequestLabels { method: method.to_string(), code: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        if let Ok(space) = statvfs(&self.data) {
            #[expect(clippy::useless_conversion, reason = "the width of these fields differs between platforms")]
            let free = u64::from(space.blocks_available()).saturating_mul(space.fragment_size());
            self.free.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Serves them from now on, in the background. Ready means that clients can know the authority.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(listen: SocketAddr, metrics: Metrics, ready: Arc<AtomicBool>) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readiness).with_state(ready))
        .route("/metrics", get(text).with_state(metrics));
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on --health-listen {listen}"))?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the health endpoint ended");
        }
    });
    Ok(())
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
