//! What a leader does: it lists all kinds, runs the workers, and stops them in order.

pub(crate) mod lease;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::task::JoinSet;

use crate::api_client::execute::Writes;
use crate::cache::watch::{self, Feed};
use crate::clock::Clock;
use crate::reconcile::Reconciler;
use crate::reconcile::begun::Begun;
use crate::reconcile::expectations::Expectations;

/// How long a leader may take to list everything. One that cannot list must not hold the lease for ever and do nothing.
pub(crate) const LIST_LIMIT: Duration = Duration::from_secs(120);
/// How long workers may take to finish what they have when the process is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A leadership.
pub(crate) struct Leadership {
    reconciler: Arc<Reconciler>,
    /// The watches, and whatever else never ends.
    background: JoinSet<String>,
    workers: JoinSet<()>,
}

impl Leadership {
    /// Starts all watches.
    pub(crate) fn begin(
        client: Client,
        feed: Feed,
        timers: impl Future<Output = ()> + Send + 'static,
        writes: Writes,
        authority: Option<(String, String)>,
        clock: Clock,
    ) -> Self {
        let mut background = JoinSet::new();
        background.spawn(async move {
            timers.await;
            "the queue's timers ended by themselves".to_owned()
        });
        watch::start_watches(&client, &feed, &mut background);
        if let Some((namespace, name)) = authority {
            background.spawn(feed.clone().watch_authority(client, namespace, name));
        }
        Self::of(feed, writes, background, clock)
    }

    fn of(feed: Feed, writes: Writes, background: JoinSet<String>, clock: Clock) -> Self {
        let reconciler = Arc::new(Reconciler {
            caches: feed.caches,
            queue: feed.queue,
            expectations: Expectations::new(),
            writes,
            metrics: feed.metrics,
            clock,
            begun: Begun::default(),
            passes: tokio_util::task::TaskTracker::new(),
        });
        Self { reconciler, background, workers: JoinSet::new() }
    }

    /// Runs the workers. Returns only where the leader cannot go on, with the reason.
    pub(crate) async fn work(&mut self, workers: usize) -> String {
        // A new leader acts only on lists that it made after it took the lease. What the former one had sent by then may
        // still land later: plans know for how long this leader has led.
        let caches = self.reconciler.caches.clone();
        let listed = async {
            while !caches.unlisted().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(LIST_LIMIT, listed).await.is_err() {
            return format!(
                "these kinds could not be listed in {} s: {}; are the CustomResourceDefinitions of this version installed, \
                 and may this operator list them?",
                LIST_LIMIT.as_secs(),
                caches.unlisted().join(", ")
            );
        }
        tracing::info!(runs = caches.runs.len(), pods = caches.pods.len(), "everything is listed");
        for _ in 0..workers.max(1) {
            self.workers.spawn(self.reconciler.clone().work());
        }
        tokio::select! {
            biased;
            Some(_) = self.workers.join_next() => "a worker ended by itself".to_owned(),
            Some(ended) = self.background.join_next() => ended.unwrap_or_else(|error| format!("a watch panicked: {error}")),
        }
    }

    /// Ends in order: writes that are under way are finished, unless they take too long. Afterwards nothing is written.
    pub(crate) async fn stop(&mut self) {
        self.reconciler.queue.close();
        let finished = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, finished).await.is_err() {
            tracing::warn!("workers still write after {} s and are ended", STOP_GRACE.as_secs());
        }
        self.abort().await;
    }

    /// Ends at once. Afterwards nothing is written.
    pub(crate) async fn abort(&mut self) {
        self.workers.shutdown().await;
        // A worker takes its pass along, which ends when it next waits.
        self.reconciler.passes.close();
        self.reconciler.passes.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use seatrial_core::platform::Platform;
    use serde_json::{from_value, json};
    use tokio::sync::mpsc;

    use super::*;
    use crate::api_client::ApiClient;
    use crate::api_client::fake;
    use crate::cache::caches::Caches;
    use crate::queue::Queue;
    use crate::server::metrics::Metrics;

    fn feed() -> Feed {
        let (queue, _timers) = Queue::new(|key| key.name.clone());
        let caches = Arc::new(Caches::new(Platform::default(), false));
        Feed { caches, queue, metrics: Arc::new(Metrics::new().0) }
    }

    fn leadership(feed: &Feed, client: Client) -> Leadership {
        let mut background = JoinSet::new();
        background.spawn(std::future::pending());
        Leadership::of(
            feed.clone(),
            Writes::new(client, "i", ApiClient::new(feed.metrics.clone()), Clock::system()),
            background,
            Clock::system(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_cannot_list_everything_gives_up_and_says_what() {
        let feed = feed();
        feed.caches.list_all();
        let mut leadership = leadership(&feed, fake::client(|_, _, _| None));
        assert!(tokio::time::timeout(Duration::from_secs(600), leadership.work(1)).await.is_err(), "all is listed");
        let feed = self::feed();
        feed.caches.runs.list_ends();
        let mut leadership = self::leadership(&feed, fake::client(|_, _, _| None));
        let began = tokio::time::Instant::now();
        let why = leadership.work(1).await;
        assert_eq!(began.elapsed().as_secs(), LIST_LIMIT.as_secs());
        assert!(why.contains("ModelVersion, ") && !why.contains("MLPipelineRun"), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stop_no_write_is_under_way() {
        struct Gone(mpsc::UnboundedSender<()>);
        impl Drop for Gone {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let feed = feed();
        feed.caches.list_all();
        let model = json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "Model",
            "metadata": {"name": "churn", "namespace": "ns", "uid": "1", "resourceVersion": "1"},
            "spec": {"owner": {"team": "t", "contact": "c"}, "objective": "o", "uses": ["Batch"]},
        });
        feed.caches.models.insert(from_value(model).unwrap());
        feed.queue.add(crate::queue::object_key::ObjectKey {
            kind: crate::queue::object_key::Primary::Model,
            namespace: "ns".into(),
            name: "churn".into(),
        });
        // A write that is never answered; what it holds tells when it is given up.
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (gone, mut goes) = mpsc::unbounded_channel();
        let client = fake::client_of(move |_, _, _| {
            let (begun, gone) = (begun.clone(), gone.clone());
            async move {
                let _gone = Gone(gone);
                let _ = begun.send(());
                std::future::pending().await
            }
        });
        let mut leadership = leadership(&feed, client);
        tokio::select! {
            why = leadership.work(2) => panic!("{why}"),
            Some(()) = begins.recv() => {}
        }
        let began = tokio::time::Instant::now();
        leadership.stop().await;
        assert_eq!(began.elapsed().as_secs(), STOP_GRACE.as_secs());
        assert_eq!(goes.try_recv(), Ok(()), "a write is still under way");
        assert_eq!(feed.metrics.writes("update-status", "Model", "unavailable"), 1);
    }
}
