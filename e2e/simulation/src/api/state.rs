//! The API's objects, which its clients, watches and controllers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::change::Change;
use super::interceptor::{Interceptor, Nothing};
use super::store::Store;

type Observer = Box<dyn FnMut(&Store, &Change) + Send>;

struct Inner {
    store: Mutex<Store>,
    observers: Mutex<Vec<Observer>>,
    interceptor: Arc<dyn Interceptor>,
    changed: Notify,
    began: (Timestamp, Instant),
}

/// Tells one client or controller that something has changed. All that wait are woken in the order in which they began to
/// wait. A channel of `tokio::sync::watch` wakes its receivers by chance.
#[derive(Debug)]
pub struct Changes {
    api: Api,
    seen: u64,
}

impl Changes {
    /// What is there now is known.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.api.look(Store::version);
    }

    /// Waits until something changes that is not known.
    pub async fn changed(&mut self) {
        loop {
            let notified = self.api.inner.changed.notified();
            let version = self.api.look(Store::version);
            if version != self.seen {
                self.seen = version;
                return;
            }
            notified.await;
        }
    }
}

/// The API. Clones share their objects.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// An API without objects but the namespace `default`, whose clock shows this time.
    pub fn new(began: Timestamp, interceptor: Option<Arc<dyn Interceptor>>) -> Self {
        let inner = Inner {
            store: Mutex::new(Store::new(began)),
            observers: Mutex::default(),
            interceptor: interceptor.unwrap_or_else(|| Arc::new(Nothing)),
            changed: Notify::new(),
            began: (began, Instant::now()),
        };
        let api = Self { inner: Arc::new(inner) };
        api.add_namespace("default");
        api
    }

    /// Adds a namespace.
    pub fn add_namespace(&self, name: &str) {
        let namespace = json!({"metadata": {"name": name}, "status": {"phase": "Active"}});
        if let Some(resource) = super::by_kind("Namespace") {
            let _ = self.change("setup", |store| store.create(resource, "", namespace));
        }
    }

    /// The API server's time.
    pub fn now(&self) -> Timestamp {
        let (base, began) = self.inner.began;
        let passed = SignedDuration::try_from(began.elapsed()).unwrap_or_default();
        base.saturating_add(passed).unwrap_or(base)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.inner.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.now = self.now();
        store
    }

    /// Looks at the objects.
    pub fn look<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.store())
    }

    /// Changes objects, in somebody's name; observers and watches hear of it.
    pub fn change<T>(&self, actor: &str, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        actor.clone_into(&mut store.actor);
        let before = store.version();
        let result = change(&mut store);
        let mut observers = self.inner.observers.lock().unwrap_or_else(PoisonError::into_inner);
        for change in store.since(before).unwrap_or_default() {
            observers.iter_mut().for_each(|observer| observer(&store, change));
        }
        let after = store.version();
        drop((store, observers));
        if after != before {
            self.inner.changed.notify_waiters();
        }
        result
    }

    /// Calls this at each change. It must not change anything itself.
    pub fn observe(&self, observer: impl FnMut(&Store, &Change) + Send + 'static) {
        self.inner.observers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }

    /// Tells of what changes from now on.
    pub fn changes(&self) -> Changes {
        Changes { api: self.clone(), seen: self.look(Store::version) }
    }

    pub(super) fn interceptor(&self) -> &dyn Interceptor {
        self.inner.interceptor.as_ref()
    }

    /// The version up to which a client's lagging watch of a kind has come.
    pub(super) fn visible(&self, store: &Store, actor: &str, kind: &str) -> u64 {
        let lag = self.interceptor().lag(actor, kind);
        let Some(seen) = Instant::now().checked_sub(lag) else { return store.version() };
        let changes = store.since(0).or_else(|_| store.since(store.version())).unwrap_or_default();
        changes.iter().find(|change| change.at > seen).map_or(store.version(), |change| change.version - 1)
    }
}
