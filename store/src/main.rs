//! Starts the store.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Client;
use seatrial_store::authority::{Certificate, RENEWAL};
use seatrial_store::health::Metrics;
use seatrial_store::limits::Limits;
use seatrial_store::serve::Server;
use seatrial_store::tokens::ApiServer;
use seatrial_store::volume::Volume;
use seatrial_store::{health, logging, publication, serve};
use tokio::signal::unix::{SignalKind, signal};

/// How often abandoned uploads are looked for.
const SWEEP: Duration = Duration::from_secs(600);

/// Seatrial's embedded S3 store: one bucket for each namespace, opened by service-account tokens.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Settings {
    /// The folder of the volume.
    #[arg(long, default_value = "/data")]
    data: PathBuf,
    /// Where S3 and STS are served, by TLS. `[::]` takes clients of IPv4 as well.
    #[arg(long, default_value = "[::]:9000")]
    listen: SocketAddr,
    /// Where health and metrics are served, without TLS.
    #[arg(long, default_value = "[::]:9001")]
    health_listen: SocketAddr,
    /// A name that clients know the store by; may be given again.
    #[arg(long = "host", required = true)]
    hosts: Vec<String>,
    /// The ConfigMap that the certificate authority is published in, as NAMESPACE/NAME. It must exist.
    #[arg(long)]
    config_map: String,
    /// The audience that tokens must be for.
    #[arg(long, default_value = "seatrial-store")]
    audience: String,
    /// How much the bucket of each namespace may hold, as a quantity such as 20Gi: its objects, and the parts of uploads
    /// that are under way. Without it, as much as the volume has.
    #[arg(long, value_parser = size)]
    namespace_quota: Option<u64>,
    /// What is logged: a level such as info, or a filter by module.
    #[arg(long, env = "SEATRIAL_LOG", default_value = "info")]
    log_level: String,
}

/// A quantity of bytes of which there is at least one.
fn size(quantity: &str) -> Result<u64, String> {
    let bytes = seatrial_core::quantity::bytes(&Quantity(quantity.to_owned())).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "it is no size greater than 0, such as 500Mi or 20Gi; leave it out for no quota".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    logging::start(&settings.log_level);
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the store ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    // This fails only where a provider is installed already, and then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (namespace, name) = settings.config_map.split_once('/').context("--config-map must be NAMESPACE/NAME")?;
    let Volume { backend, keys, authority } = Volume::open(&settings.data, settings.namespace_quota)?;
    let limits = Limits { namespace_quota: settings.namespace_quota, ..Limits::default() };
    let certificate = Arc::new(Certificate::new(&authority, settings.hosts)?);
    let client = Client::try_default().await.context("no way to reach a Kubernetes API server")?;
    let tokens = Arc::new(ApiServer::new(client.clone(), settings.audience));
    let metrics = Metrics::new(settings.data, backend.usage());
    let ready = Arc::new(AtomicBool::new(false));
    health::serve(settings.health_listen, metrics.clone(), ready.clone()).await?;
    let service = serve::service(backend.clone(), keys, tokens, limits);
    let server = Server::bind(settings.listen, certificate.clone(), service, metrics, limits).await?;
    tracing::info!(listen = %server.address()?, "the store serves");

    let usage = backend.usage();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = usage.count_all() {
            tracing::warn!(%error, "not all buckets could be counted: each is when it is written to");
        }
    });
    let published = authority.certificate.clone();
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    tokio::spawn(async move { publication::keep_published(client, namespace, name, published, &ready).await });
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            let own = backend.clone();
            match tokio::task::spawn_blocking(move || own.sweep()).await {
                Ok(Err(error)) => tracing::warn!(%error, "abandoned uploads could not be swept"),
                Err(error) => tracing::error!(%error, "the sweep of abandoned uploads failed"),
                Ok(Ok(())) => {}
            }
        }
    });
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if let Err(error) = certificate.renew(&authority) {
                tracing::error!(%error, "the server's certificate could not be renewed");
            }
        }
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("the store is told to stop");
    };
    server.run(stop).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_quantity_of_bytes() {
        assert_eq!((size("20Gi"), size("1e12"), size("500")), (Ok(20 << 30), Ok(1_000_000_000_000), Ok(500)));
        for text in ["", "0", "-1", "lots", "1GB"] {
            assert!(size(text).unwrap_err().contains("20Gi"), "{text}");
        }
        let words = ["seatrial-store", "--host=x", "--config-map=x/y"];
        assert_eq!(Settings::parse_from(words).namespace_quota, None);
        let quota = Settings::parse_from(words.into_iter().chain(["--namespace-quota=1Ki"])).namespace_quota;
        assert_eq!(quota, Some(1024));
    }
}
