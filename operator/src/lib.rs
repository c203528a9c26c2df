//! The operator as a library: [`run`] waits for the lease, leads, and ends when it is told to or loses the lease.
//!
//! The binary calls it with a client of the cluster and the machine's clock. A simulation calls it with a
//! [`kube::Client`] of its own, on a current-thread runtime under paused time: nothing in here reads another clock than
//! [`Clock`] and `tokio::time`, draws a random number, or decides by the order of a hash map; where several things may
//! be ready at once, the order in which they are looked at is fixed. Several operators may run in one process, each with
//! an [`Options::identity`] of its own.
//!
//! ```no_run
//! # async fn example(client: kube::Client) -> anyhow::Result<()> {
//! use seatrial_operator::{Clock, Observability, Options, run};
//!
//! let observability = Observability::new();
//! let options = Options::new("operator-0", Clock::system());
//! let stop = std::future::pending();
//! run(client, options, &observability, stop).await?;
//! println!("{} writes", observability.writes("create", "Job", "success"));
//! # Ok(())
//! # }
//! ```

// One object that a dependency cannot bear must not take the operator away from all others: a pass that panics ends,
// and nothing else. That needs panics that unwind.
#[cfg(not(panic = "unwind"))]
compile_error!("the operator isolates panics, which needs a profile with panic = \"unwind\"");

mod api_client;
mod cache;
mod clock;
mod leadership;
mod queue;
mod reconcile;
mod server;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use kube::Client;
use prometheus_client::registry::Registry;
use seatrial_core::platform::Platform;

pub use crate::api_client::connect;
pub use crate::clock::Clock;
pub use crate::server::check::check;
pub use crate::settings::{Command, Settings};

use crate::api_client::ApiClient;
use crate::api_client::execute::Writes;
use crate::cache::caches::Caches;
use crate::cache::watch::Feed;
use crate::leadership::Leadership;
use crate::leadership::lease::Candidate;
use crate::queue::Queue;
use crate::server::metrics::Metrics;

/// What an operator needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the platform team configured.
    pub platform: Platform,
    /// Namespace and name of the ConfigMap in which the store publishes its certificate authority.
    pub store_config_map: Option<(String, String)>,
    /// The namespace of the Lease.
    pub lease_namespace: String,
    /// The name of the Lease.
    pub lease_name: String,
    /// What this operator is called in the Lease. No other may be called so, not even an earlier start of the same pod.
    pub identity: String,
    /// How many objects are worked on at the same time.
    pub workers: usize,
    /// The time of day.
    pub clock: Clock,
}

impl Options {
    /// Options of an operator on a cluster without a store of the platform's.
    pub fn new(identity: &str, clock: Clock) -> Self {
        Self {
            platform: Platform::default(),
            store_config_map: None,
            lease_namespace: "default".to_owned(),
            lease_name: "seatrial-operator".to_owned(),
            identity: identity.to_owned(),
            workers: 16,
            clock,
        }
    }
}

/// What can be seen of an operator from outside: its metrics, and whether it is well.
#[derive(Clone)]
pub struct Observability {
    metrics: Arc<Metrics>,
    registry: Arc<Registry>,
    healthy: Arc<AtomicBool>,
}

impl Default for Observability {
    fn default() -> Self {
        Self::new()
    }
}

impl Observability {
    /// All metrics at zero.
    pub fn new() -> Self {
        let (metrics, registry) = Metrics::new();
        let healthy = Arc::new(AtomicBool::new(true));
        Self { metrics: Arc::new(metrics), registry: Arc::new(registry), healthy }
    }

    /// Serves `/metrics`, `/healthz` and `/readyz` from now on, in the background.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, listen: SocketAddr) -> anyhow::Result<()> {
        server::serve(listen, self.registry.clone(), self.healthy.clone()).await
    }

    /// How many writes of a verb (`create`, `update`, `update-status`, `patch`, `delete`) and a kind had an outcome
    /// (`success`, `conflict`, `refused`, `unavailable`).
    pub fn writes(&self, verb: &str, kind: &str, outcome: &str) -> u64 {
        self.metrics.writes(verb, kind, outcome)
    }

    /// How many plans were made for a kind with a result (`success`, `requeue`, `error`, `panic`).
    pub fn passes(&self, kind: &str, result: &str) -> u64 {
        self.metrics.passes(kind, result)
    }
}

/// Why a leadership ends.
enum End {
    /// The caller wants it to.
    Stopped,
    /// Another may have the lease.
    Lost,
    /// It cannot go on.
    Broken(String),
}

/// Runs an operator until `stop` is ready. It gives the lease back then, once nothing is written any more. Where the
/// future of this function is dropped instead, all that it started ends: to the cluster that is a process killed.
///
/// # Errors
/// The lease is lost, or the operator cannot go on. The caller ends the process then: another operator may be at work.
pub async fn run(
    client: Client,
    options: Options,
    observability: &Observability,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Options { platform, store_config_map, lease_namespace, lease_name, identity, workers, clock } = options;
    let metrics = observability.metrics.clone();
    let api_client = ApiClient::new(metrics.clone());
    let mut stop = std::pin::pin!(stop);
    let mut candidate =
        Candidate::new(client.clone(), api_client.clone(), &lease_namespace, &lease_name, &identity, clock.clone());
    metrics.set_leading(false);
    tracing::info!(identity, "waiting for the lease");
    tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        () = candidate.win() => {}
    }
    metrics.set_leading(true);
    tracing::info!(identity, "leading");

    let caches = Arc::new(Caches::new(platform, store_config_map.is_some()));
    let (queue, timers) = Queue::new({
        let caches = caches.clone();
        move |key| caches.lane(key)
    });
    let feed = Feed { caches, queue, metrics: metrics.clone() };
    let writes = Writes::new(client.clone(), &identity, api_client, clock.clone());
    let mut leadership = Leadership::begin(client, feed, timers, writes, store_config_map, clock);
    let end = tokio::select! {
        biased;
        () = candidate.hold() => End::Lost,
        () = &mut stop => End::Stopped,
        why = leadership.work(workers) => End::Broken(why),
    };
    let end = match end {
        End::Lost => End::Lost,
        // The lease is held until nothing is written any more.
        end => tokio::select! {
            biased;
            () = candidate.hold() => End::Lost,
            () = leadership.stop() => end,
        },
    };
    metrics.set_leading(false);
    match end {
        End::Lost => {
            // Another leader may be at work already: not one write more.
            observability.healthy.store(false, Ordering::Relaxed);
            leadership.abort().await;
            anyhow::bail!("the lease is lost");
        }
        End::Stopped => candidate.release().await.context("the lease could not be given back"),
        End::Broken(why) => {
            observability.healthy.store(false, Ordering::Relaxed);
            if let Err(error) = candidate.release().await {
                tracing::warn!(%error, "the lease could not be given back");
            }
            anyhow::bail!(why);
        }
    }
}
