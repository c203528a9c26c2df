//! Reads logs and artifacts of a cluster, with the rights of the person who asks.

pub(crate) mod artifact;
pub(crate) mod cluster;
mod logs;
mod pod;
mod receive;
mod target;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use cluster::Cluster;
use target::Target;

/// Which cluster and namespace.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which cluster, and as whom")]
pub(crate) struct Where {
    /// The namespace; that of the kubeconfig's context where absent.
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig; the current one where absent.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Asks as another user, whom you may impersonate.
    #[arg(long = "as", value_name = "USER", global = true)]
    user: Option<String>,
    /// Asks as a member of this group, with --as; may be repeated.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user", global = true)]
    groups: Vec<String>,
}

/// The arguments of `logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// RUN for all steps that began, RUN/STEP for one.
    target: Target,
    /// The attempt, from 1; the last one where absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Goes on as long as the step's pod prints; waits for a pod that has not started.
    #[arg(short, long)]
    follow: bool,
}

/// The arguments of `artifact`.
#[derive(Debug, Subcommand)]
pub(crate) enum Artifact {
    /// Lists the outputs of a run or step, or the files of one output or version.
    Ls {
        /// RUN, RUN/STEP, RUN/STEP/OUTPUT, or mv/NAME for a `ModelVersion`.
        target: Target,
    },
    /// Copies the files of an output or version into a folder, and verifies each.
    Get {
        /// RUN/STEP/OUTPUT, or mv/NAME for a `ModelVersion`.
        target: Target,
        /// The folder; one of the output's or version's name where absent.
        #[arg(long)]
        into: Option<PathBuf>,
        /// Writes into a folder that has files, and over those of the same name.
        #[arg(long)]
        overwrite: bool,
    },
}

/// Prints logs.
pub(crate) fn logs(place: &Where, asked: &Logs) -> anyhow::Result<()> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        logs::logs(&cluster, &asked.target, asked.attempt, asked.follow).await
    })
}

/// Lists or gets artifacts.
pub(crate) fn artifact(place: &Where, asked: &Artifact) -> anyhow::Result<()> {
    block_on(async {
        match asked {
            Artifact::Ls { target } => artifact::list(&Cluster::connect(place).await?, target).await,
            Artifact::Get { target, into, overwrite } => {
                artifact::get(&Cluster::connect(place).await?, target, into.as_deref(), *overwrite).await
            }
        }
    })
}

/// Runs a task to its end.
pub(crate) fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // This fails only where a provider is installed already, and then that one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("the asynchronous runtime does not start")?;
    let done = runtime.block_on(task);
    runtime.shutdown_background();
    done
}
