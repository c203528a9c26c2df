//! The controller: observes, plans, records, applies. Decisions are in `seatrial-core`; here is what it takes to make
//! them against a real API server.

mod cache;
mod check;
mod confirm;
mod http;
mod key;
mod lease;
mod memory;
mod metrics;
mod queue;
mod reconcile;
mod settings;
mod watch;
mod watched;
mod world;
mod writes;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::lease::Candidate;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::reconcile::Reconciler;
use crate::settings::{Command, Settings};
use crate::watch::Selection;
use crate::world::World;
use crate::writes::Writes;

/// How long workers may take to finish what they have when the process is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    settings.start_logging();
    let done = match settings.command.clone() {
        Some(Command::Check { url, timeout }) => check::check(url, Duration::from_secs(timeout)).await,
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
    let client = Client::try_default().await.context("no way to reach a Kubernetes API server")?;
    let (metrics, registry) = Metrics::new();
    let metrics = Arc::new(metrics);
    let healthy = Arc::new(AtomicBool::new(true));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    http::serve(settings.http_listen, registry, healthy.clone()).await?;

    let identity = settings.identity();
    let mut candidate = Candidate::new(client.clone(), &settings.namespace(), &settings.leader_election_id, &identity);
    metrics.set_leading(false);
    tracing::info!(identity, "waiting for the lease");
    tokio::select! {
        () = candidate.win() => {}
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    metrics.set_leading(true);
    tracing::info!(identity, "leading");

    let world = Arc::new(World::new(platform));
    let (queue, timers) = Queue::new();
    let reconciler = Arc::new(Reconciler {
        world: world.clone(),
        client: client.clone(),
        queue: queue.clone(),
        memory: Memory::default(),
        writes: Writes::new(client.clone(), &identity, metrics.clone()),
        metrics: metrics.clone(),
    });
    tokio::spawn(timers);
    let mut watches = start_watches(&client, &world, &queue);
    if let Some((namespace, name)) = settings.store_config_map()? {
        watches.spawn(watch::watch_authority(client.clone(), namespace, name, world.clone(), queue.clone()));
    }
    let count = settings.workers;
    // Whoever takes the lease acts only on lists made after that: a former leader's writes are all in them.
    let work = async {
        while !world.is_synced() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tracing::info!(runs = world.runs.len(), pods = world.pods.len(), "all kinds are listed");
        let mut workers = JoinSet::new();
        for _ in 0..count {
            workers.spawn(reconciler.clone().work());
        }
        workers.join_all().await;
    };
    tokio::pin!(work);
    let lost = tokio::select! {
        () = candidate.hold() => true,
        () = &mut work => anyhow::bail!("the workers ended by themselves"),
        Some(_) = watches.join_next() => anyhow::bail!("a watch ended by itself"),
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
    };
    metrics.set_leading(false);
    if lost {
        // Another leader may be at work already: not one write more.
        healthy.store(false, Ordering::Relaxed);
        anyhow::bail!("the lease is lost");
    }
    tracing::info!("told to stop");
    queue.close();
    // What is being written is finished, while the lease still holds.
    let _ = tokio::time::timeout(STOP_GRACE, work).await;
    candidate.release().await.context("the lease could not be given back")?;
    Ok(())
}

fn start_watches(client: &Client, world: &Arc<World>, queue: &Arc<Queue>) -> JoinSet<()> {
    let mut watches = JoinSet::new();
    macro_rules! start {
        ($($kind:ty, $selection:ident;)*) => {$(
            watches.spawn(watch::watch::<$kind>(client.clone(), Selection::$selection, world.clone(), queue.clone()));
        )*};
    }
    start! {
        seatrial_crds::Store, All;
        seatrial_crds::Model, All;
        seatrial_crds::MLPipeline, All;
        seatrial_crds::MLPipelineRun, All;
        seatrial_crds::ModelVersion, All;
        seatrial_crds::ModelDeployment, All;
        k8s_openapi::api::batch::v1::Job, Ours;
        k8s_openapi::api::core::v1::Pod, Ours;
        k8s_openapi::api::core::v1::Service, Ours;
        k8s_openapi::api::apps::v1::Deployment, Ours;
        k8s_openapi::api::apps::v1::ControllerRevision, Ours;
    }
    watches
}
