//! The operator's program: reads its settings, and runs the operator until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use kube::Config;
use seatrial_operator::{Clock, Command, Observability, Options, Settings, check, connect, run};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let settings = Settings::parse();
    settings.start_logging();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Without a setting there is a thread for each core that this process may use.
    if let Some(threads) = settings.threads {
        runtime.worker_threads(threads.get());
    }
    let done = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(start(settings)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator ends");
            ExitCode::FAILURE
        }
    }
}

async fn start(settings: Settings) -> anyhow::Result<()> {
    if let Some(Command::Check { url, timeout }) = settings.command.clone() {
        return check(url, Duration::from_secs(timeout)).await;
    }
    let clock = Clock::system();
    let options = Options {
        platform: settings.platform()?,
        store_config_map: settings.store_config_map()?,
        lease_namespace: settings.namespace(),
        lease_name: settings.leader_election_id.clone(),
        identity: settings.identity(clock.now()),
        workers: settings.workers,
        clock,
    };
    let config = Config::infer().await.context("no way to reach a Kubernetes API server")?;
    let client = connect(config).context("no way to reach a Kubernetes API server")?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let observability = Observability::new();
    observability.serve(settings.http_listen).await?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run(client, options, &observability, stop).await
}
