//! Feeds the caches, and adds to the queue the keys whose plans read what changed.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use seatrial_crds::names::{COMPONENT_LABEL, TRUST_BUNDLE_KEY as AUTHORITY_KEY};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cache::Change;
use crate::cache::arrival::Arrival;
use crate::cache::backoff::WatchBackoff;
use crate::cache::caches::Caches;
use crate::cache::kinds::{self, ForEachKind, Selection, WatchedKind};
use crate::cache::outage::{LIMIT, Outage};
use crate::queue::Queue;
use crate::server::metrics::Metrics;

/// Where events go.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) caches: Arc<Caches>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Feed {
    /// Watches a kind. Returns only where that cannot go on, and says why.
    async fn watch<K: WatchedKind>(self, client: Client, selection: Selection) -> String {
        let mut events = events::<K>(client, selection, self.caches.platform().approval_policy.as_deref());
        let (kind, mut outage) = (K::kind(&()).into_owned(), Outage::default());
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    // That a list begins says nothing: it may fail, and begin again and again.
                    if !matches!(event, watcher::Event::Init) {
                        outage.end();
                        self.metrics.set_watch_failing(&kind, Duration::ZERO);
                    }
                    self.take(event);
                }
                Ok(None) => return format!("the watch of {kind} ended by itself"),
                Err(error) => {
                    let failing = outage.fail(Instant::now());
                    self.metrics.set_watch_failing(&kind, failing);
                    if failing >= LIMIT {
                        return format!("{kind} cannot be watched since {} s: {error}", failing.as_secs());
                    }
                    tracing::warn!(kind, %error, "the watch was interrupted; it is resumed");
                }
            }
        }
    }

    /// An object is gone.
    fn wake_former_dependents<K: WatchedKind>(&self, gone: &K) {
        gone.dependents(None, &self.caches).into_iter().for_each(|key| self.queue.add(key));
    }

    /// One event.
    fn take<K: WatchedKind>(&self, event: watcher::Event<Arrival<K>>) {
        let cache = K::cache(&self.caches);
        match event {
            watcher::Event::Init => cache.list_begins(),
            watcher::Event::InitApply(arrival) | watcher::Event::Apply(arrival) => match arrival.0 {
                Ok(mut object) => {
                    object.prune();
                    wake_dependents(&self.caches, &self.queue, &cache.insert(object));
                }
                Err(unreadable) => {
                    let name = unreadable.metadata.name.unwrap_or_default();
                    let namespace = unreadable.metadata.namespace.unwrap_or_default();
                    cache.insert_unreadable(&namespace, &name);
                    tracing::error!(kind = %K::kind(&()), namespace, name, error = unreadable.error,
                        "the object cannot be read and is left alone: another version of the operator may have written it");
                }
            },
            watcher::Event::InitDone => {
                cache.list_ends().iter().for_each(|gone| self.wake_former_dependents(gone.as_ref()))
            }
            watcher::Event::Delete(arrival) => {
                let metadata = arrival.meta().clone();
                let (namespace, name) = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
                if let Some(gone) = cache.remove(&namespace, &name, metadata.uid.as_deref()) {
                    self.wake_former_dependents(gone.as_ref());
                }
            }
        }
        self.metrics.set_unreadable(&K::kind(&()), cache.unreadable());
    }

    /// Watches the ConfigMap in which the store publishes its certificate authority.
    pub(crate) async fn watch_authority(self, client: Client, namespace: String, name: String) -> String {
        let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = watcher(api, config).backoff(WatchBackoff::default()).boxed();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => self.take_authority(event),
                Ok(None) => return "the watch of the store's ConfigMap ended by itself".to_owned(),
                Err(error) => {
                    tracing::warn!(%error, namespace, name, "the watch of the store's ConfigMap was interrupted; it is resumed");
                }
            }
        }
    }

    /// One event of that ConfigMap. An authority that was known stays known, even where the ConfigMap is emptied or
    /// deleted: what was started with it goes on, and the store publishes it again.
    fn take_authority(&self, event: watcher::Event<ConfigMap>) {
        match event {
            watcher::Event::Apply(map) | watcher::Event::InitApply(map) => {
                let (namespace, name) = (map.namespace().unwrap_or_default(), map.name_any());
                let authority = map.data.and_then(|mut data| data.remove(AUTHORITY_KEY));
                let Some(authority) = authority.filter(|text| !text.trim().is_empty()) else {
                    return tracing::warn!(
                        namespace,
                        name,
                        key = AUTHORITY_KEY,
                        "the store's ConfigMap holds no certificate authority; the last one that was known is kept"
                    );
                };
                if self.caches.set_certificate_authority(authority) {
                    tracing::info!(namespace, name, "the store's certificate authority changed");
                    self.caches.trust_bundles().into_iter().for_each(|key| self.queue.add(key));
                    self.caches.store_users(None).into_iter().for_each(|key| self.queue.add(key));
                }
            }
            watcher::Event::Delete(map) => {
                let (namespace, name) = (map.namespace().unwrap_or_default(), map.name_any());
                tracing::warn!(
                    namespace,
                    name,
                    "the store's ConfigMap is gone; the last certificate authority that was known is kept"
                );
            }
            watcher::Event::Init => {}
            watcher::Event::InitDone => self.caches.authority_is_listed(),
        }
    }
}

/// Starts the watch of each kind.
pub(crate) fn start_watches(client: &Client, feed: &Feed, into: &mut JoinSet<String>) {
    struct Start<'a>(&'a Client, &'a Feed, &'a mut JoinSet<String>);
    impl ForEachKind for Start<'_> {
        fn kind<K: WatchedKind>(&mut self, selection: Selection) {
            let is_unnamed = self.1.caches.platform().approval_policy.is_none();
            if selection == Selection::ProofOfApprovals && is_unnamed {
                // There is none to be known, and nothing waits for it.
                K::cache(&self.1.caches).list_ends();
                return;
            }
            self.2.spawn(self.1.clone().watch::<K>(self.0.clone(), selection));
        }
    }
    kinds::for_each(&mut Start(client, feed, into));
}

/// The events of a kind.
fn events<K: WatchedKind>(
    client: Client,
    selection: Selection,
    proof_of_approvals: Option<&str>,
) -> BoxStream<'static, Result<watcher::Event<Arrival<K>>, watcher::Error>> {
    let config = watcher::Config::default();
    let config = match selection {
        Selection::All => config,
        Selection::Ours => config.labels(COMPONENT_LABEL),
        Selection::Named(name) => config.fields(&format!("metadata.name={name}")),
        // The right to read is one to read what has this name.
        Selection::ProofOfApprovals => {
            config.fields(&format!("metadata.name={}", proof_of_approvals.unwrap_or_default()))
        }
    };
    watcher(Api::<Arrival<K>>::all(client), config).backoff(WatchBackoff::default()).boxed()
}

/// Adds the keys whose plans read what changed.
pub(crate) fn wake_dependents<K: WatchedKind>(caches: &Caches, queue: &Queue, change: &Change<K>) {
    let mut keys = match change {
        Change::Unchanged => vec![],
        Change::New(object) => object.dependents(None, caches),
        Change::Replaced { before, now } => now.dependents(Some(before), caches),
    };
    if let Change::Replaced { before, now } = change
        && before.labels() != now.labels()
    {
        // The object belonged to others before.
        keys.extend(before.dependents(None, caches));
    }
    keys.into_iter().for_each(|key| queue.add(key));
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
