//! `/metrics`, `/healthz` and `/readyz`.

pub(crate) mod check;
pub(crate) mod metrics;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

#[derive(Clone)]
struct Shared {
    registry: Arc<Registry>,
    healthy: Arc<AtomicBool>,
}

/// Listens at an address. `[::]` takes clients of IPv4 as well; on a machine without IPv6 it takes those alone.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error)
            if address.is_ipv6()
                && address.ip().is_unspecified()
                && !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) =>
        {
            tracing::info!(%address, %error, "this machine has no IPv6: metrics and health are served on IPv4 alone");
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        other => other,
    }
}

/// Serves them from now on, in the background. A process that waits for the lease is ready, too: it is what makes the
/// next takeover quick, and a rollout waits for it.
pub(crate) async fn serve(listen: SocketAddr, registry: Arc<Registry>, healthy: Arc<AtomicBool>) -> anyhow::Result<()> {
    let shared = Shared { registry, healthy };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(health))
        .with_state(shared);
    let listener = bind(listen).await.with_context(|| format!("cannot listen on --http-listen {listen}"))?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    Ok(())
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &shared.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text)
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

async fn health(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.healthy.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddrV4};

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_default_address_takes_clients_of_both_families() {
        let listener = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).await.unwrap();
        if listener.local_addr().unwrap().is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        }
        let taken = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await;
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
