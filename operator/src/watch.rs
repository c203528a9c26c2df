//! Feeds the caches, and tells the queue whom each event concerns.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use seatrial_crds::names::{MANAGED_BY, MANAGED_BY_LABEL};
use serde::de::DeserializeOwned;

use crate::queue::Queue;
use crate::watched::Watched;
use crate::world::World;

/// The key of the ConfigMap that holds the store's authority.
const AUTHORITY_KEY: &str = "ca.crt";

/// Which objects of a kind are watched.
pub(crate) enum Selection {
    /// Those that people write.
    All,
    /// Those that the operator made.
    Ours,
}

/// Watches a kind for ever.
pub(crate) async fn watch<K>(client: Client, selection: Selection, world: Arc<World>, queue: Arc<Queue>)
where
    K: Watched + Resource<DynamicType = ()> + ResourceExt + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let config = match selection {
        Selection::All => watcher::Config::default(),
        Selection::Ours => watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}")),
    };
    // The guard keeps an object that does not fit our types from ending the watch for all others.
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    let mut events = watcher(api, config).default_backoff().boxed();
    let cache = K::cache(&world);
    let tell = |object: &K| object.concerns(&world).into_iter().for_each(|key| queue.add(key));
    loop {
        match events.try_next().await {
            Ok(Some(event)) => match event {
                watcher::Event::Init => cache.list_begins(),
                watcher::Event::InitApply(guard) | watcher::Event::Apply(guard) => {
                    let Some(object) = readable(guard) else { continue };
                    let object = Arc::new(object);
                    let old = cache.insert(object.clone());
                    tell(&object);
                    // Whom it concerned before, where that changed.
                    if let Some(old) = old {
                        tell(&old);
                    }
                }
                watcher::Event::InitDone => cache.list_ends().iter().for_each(|gone| tell(gone)),
                watcher::Event::Delete(guard) => {
                    let metadata = guard.meta().clone();
                    let (namespace, name) = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
                    if let Some(gone) = cache.remove(&namespace, &name) {
                        tell(&gone);
                    }
                }
            },
            Ok(None) => return,
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "the watch was interrupted; it is resumed"),
        }
    }
}

/// The pruned object; what does not fit our types is logged and left out.
fn readable<K: Watched + Resource<DynamicType = ()>>(guard: DeserializeGuard<K>) -> Option<K> {
    match guard.0 {
        Ok(mut object) => {
            object.prune();
            Some(object)
        }
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            let namespace = invalid.metadata.namespace.unwrap_or_default();
            tracing::error!(kind = %K::kind(&()), namespace, name, error = invalid.error, "the object cannot be read and is left alone");
            None
        }
    }
}

/// Watches the ConfigMap in which the store publishes its certificate authority.
pub(crate) async fn watch_authority(
    client: Client,
    namespace: String,
    name: String,
    world: Arc<World>,
    queue: Arc<Queue>,
) {
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(api, config).default_backoff().boxed();
    loop {
        let authority = match events.try_next().await {
            Ok(Some(watcher::Event::Apply(map) | watcher::Event::InitApply(map))) => {
                map.data.and_then(|mut data| data.remove(AUTHORITY_KEY))
            }
            Ok(Some(watcher::Event::Delete(_))) => None,
            Ok(Some(watcher::Event::Init | watcher::Event::InitDone)) => continue,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, namespace, name, "the watch of the store's ConfigMap was interrupted; it is resumed");
                continue;
            }
        };
        if world.set_certificate_authority(authority) {
            tracing::info!(namespace, name, "the store's certificate authority changed");
            world.store_users(None).into_iter().for_each(|key| queue.add(key));
        }
    }
}
