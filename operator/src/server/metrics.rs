//! What the operator counts. Names are controller-runtime's where they mean the same, so that dashboards fit. Labels
//! are kinds, verbs and outcomes: bounded, never names of objects.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use seatrial_crds::CheckVerdict;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    verb: String,
    kind: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

/// The counters.
pub(crate) struct Metrics {
    writes: Family<WriteLabels, Counter>,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Family<ControllerLabels, Histogram>,
    depth: Family<NameLabels, Gauge>,
    leader: Family<NameLabels, Gauge>,
    unreadable: Family<KindLabels, Gauge>,
    watch_failing: Family<KindLabels, Gauge>,
    checks: Family<VerdictLabels, Counter>,
}

impl Metrics {
    /// All counters, and the registry that prints them.
    pub(crate) fn new() -> (Self, Registry) {
        let metrics = Self {
            writes: Family::default(),
            reconciles: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0005, 2.0, 16))),
            depth: Family::default(),
            leader: Family::default(),
            unreadable: Family::default(),
            watch_failing: Family::default(),
            checks: Family::default(),
        };
        let mut registry = Registry::default();
        registry.register("seatrial_api_writes", "Writes to the API server", metrics.writes.clone());
        registry.register("controller_runtime_reconcile", "Reconciliations", metrics.reconciles.clone());
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciliations took",
            metrics.durations.clone(),
        );
        registry.register("workqueue_depth", "Keys that wait", metrics.depth.clone());
        registry.register("leader_election_master_status", "1 while this process leads", metrics.leader.clone());
        registry.register(
            "seatrial_unreadable_objects",
            "Objects that exist but do not fit this version's types, and are left alone",
            metrics.unreadable.clone(),
        );
        registry.register(
            "seatrial_watch_failing_seconds",
            "For how long the watch of a kind has failed: its cache grows old",
            metrics.watch_failing.clone(),
        );
        registry.register(
            "seatrial_contract_checks",
            "Checks of data on the schedules of their contracts, by verdict",
            metrics.checks.clone(),
        );
        // There from the start, so that what is looked at has a value.
        metrics.set_depth(0);
        (metrics, registry)
    }

    pub(crate) fn count_write(&self, verb: &str, kind: &str, outcome: &str) {
        let labels = WriteLabels { verb: verb.to_owned(), kind: kind.to_owned(), outcome: outcome.to_owned() };
        self.writes.get_or_create(&labels).inc();
    }

    pub(crate) fn count_reconcile(&self, kind: &str, result: &str, seconds: f64) {
        let labels = ReconcileLabels { controller: kind.to_owned(), result: result.to_owned() };
        self.reconciles.get_or_create(&labels).inc();
        self.durations.get_or_create(&ControllerLabels { controller: kind.to_owned() }).observe(seconds);
    }

    pub(crate) fn count_check(&self, verdict: CheckVerdict) {
        let verdict = match verdict {
            CheckVerdict::Passed => "Passed",
            CheckVerdict::Failed => "Failed",
            CheckVerdict::Inconclusive => "Inconclusive",
            CheckVerdict::Error => "Error",
        };
        self.checks.get_or_create(&VerdictLabels { verdict: verdict.to_owned() }).inc();
    }

    pub(crate) fn set_depth(&self, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.depth.get_or_create(&NameLabels { name: "seatrial".into() }).set(depth);
    }

    pub(crate) fn set_leading(&self, leads: bool) {
        self.leader.get_or_create(&NameLabels { name: "seatrial-operator".into() }).set(i64::from(leads));
    }

    pub(crate) fn set_watch_failing(&self, kind: &str, failing: std::time::Duration) {
        let seconds = i64::try_from(failing.as_secs()).unwrap_or(i64::MAX);
        self.watch_failing.get_or_create(&KindLabels { kind: kind.to_owned() }).set(seconds);
    }

    pub(crate) fn set_unreadable(&self, kind: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.unreadable.get_or_create(&KindLabels { kind: kind.to_owned() }).set(count);
    }
}

impl Metrics {
    pub(crate) fn writes(&self, verb: &str, kind: &str, outcome: &str) -> u64 {
        let labels = WriteLabels { verb: verb.to_owned(), kind: kind.to_owned(), outcome: outcome.to_owned() };
        self.writes.get_or_create(&labels).get()
    }

    pub(crate) fn passes(&self, kind: &str, result: &str) -> u64 {
        let labels = ReconcileLabels { controller: kind.to_owned(), result: result.to_owned() };
        self.reconciles.get_or_create(&labels).get()
    }

    #[cfg(test)]
    pub(crate) fn watch_failing(&self, kind: &str) -> i64 {
        self.watch_failing.get_or_create(&KindLabels { kind: kind.to_owned() }).get()
    }

    #[cfg(test)]
    pub(crate) fn unreadable(&self, kind: &str) -> i64 {
        self.unreadable.get_or_create(&KindLabels { kind: kind.to_owned() }).get()
    }
}
