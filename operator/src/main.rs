//! The controller: observes, plans, records, applies. Decisions are in `seatrial-core`; here is what it takes to make
//! them against a real API server.

// One object that a dependency cannot bear must not take the operator away from all others: a pass that panics ends,
// and nothing else. That needs panics that unwind.
#[cfg(not(panic = "unwind"))]
compile_error!("the operator isolates panics, which needs a profile with panic = \"unwind\"");

mod api_client;
mod cache;
mod leadership;
mod queue;
mod reconcile;
mod server;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use kube::Config;
use tokio::signal::unix::{SignalKind, signal};

use crate::api_client::ApiClient;
use crate::api_client::execute::Writes;
use crate::cache::caches::Caches;
use crate::cache::watch::Feed;
use crate::leadership::Leadership;
use crate::leadership::lease::Candidate;
use crate::queue::Queue;
use crate::server::metrics::Metrics;
use crate::settings::{Command, Settings};

/// Why a leadership ends.
enum End {
    /// Somebody told the process to stop.
    Told,
    /// Another may have the lease.
    Lost,
    /// It cannot go on.
    Broken(String),
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    settings.start_logging();
    let done = match settings.command.clone() {
        Some(Command::Check { url, timeout }) => server::check::check(url, Duration::from_secs(timeout)).await,
        None => run(settings).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let platform = settings.platform()?;
    let authority = settings.store_config_map()?;
    let config = Config::infer().await.context("no way to reach a Kubernetes API server")?;
    let client = api_client::connect(config).context("no way to reach a Kubernetes API server")?;
    let (metrics, registry) = Metrics::new();
    let metrics = Arc::new(metrics);
    let api = ApiClient::new(metrics.clone());
    let healthy = Arc::new(AtomicBool::new(true));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    server::serve(settings.http_listen, registry, healthy.clone()).await?;

    let identity = settings.identity();
    let (namespace, lease) = (settings.namespace(), &settings.leader_election_id);
    let mut candidate = Candidate::new(client.clone(), api.clone(), &namespace, lease, &identity);
    metrics.set_leading(false);
    tracing::info!(identity, "waiting for the lease");
    tokio::select! {
        () = candidate.win() => {}
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    metrics.set_leading(true);
    tracing::info!(identity, "leading");

    let caches = Arc::new(Caches::new(platform, authority.is_some()));
    let (queue, timers) = Queue::new();
    let feed = Feed { caches, queue, metrics: metrics.clone() };
    let writes = Writes::new(client.clone(), &identity, api);
    let mut leadership = Leadership::begin(client, feed, timers, writes, authority);
    let end = tokio::select! {
        () = candidate.hold() => End::Lost,
        why = leadership.work(settings.workers) => End::Broken(why),
        _ = terminate.recv() => End::Told,
        _ = interrupt.recv() => End::Told,
    };
    let end = match end {
        End::Lost => End::Lost,
        // The lease is held until nothing is written any more.
        end => tokio::select! {
            () = candidate.hold() => End::Lost,
            () = leadership.stop() => end,
        },
    };
    metrics.set_leading(false);
    match end {
        End::Lost => {
            // Another leader may be at work already: not one write more.
            healthy.store(false, Ordering::Relaxed);
            leadership.abort().await;
            anyhow::bail!("the lease is lost");
        }
        End::Told => candidate.release().await.context("the lease could not be given back"),
        End::Broken(why) => {
            healthy.store(false, Ordering::Relaxed);
            if let Err(error) = candidate.release().await {
                tracing::warn!(%error, "the lease could not be given back");
            }
            anyhow::bail!(why);
        }
    }
}
