//! Caches of the API server's objects: by name, and by the group that plans ask for (a run's pods, a model's versions),
//! so that no plan scans objects that it does not need.
//!
//! A cache has three sources: its watch, the answers to this leader's own writes, and live reads. It never goes
//! backwards:
//!
//! | Arrives | Is taken where |
//! |---|---|
//! | an event of the watch | always, unless an answer has brought a newer state of the same object |
//! | a list | always, unless an answer has brought a newer state since the list began; what it lacks is gone |
//! | a deletion by the watch | the cache has that object (by UID); an object that took its name since stays |
//! | an answer to a write | the cache has that object (by UID), in an older state |
//! | a live read | the same, or the cache has none of the name, and the watch has not deleted this one |
//!
//! Older and newer are told by `resourceVersion`, which Kubernetes lets clients compare as a number for objects of one
//! kind. Where one is no number, an answer only replaces the very state that its writer observed. A watch is not held
//! to what earlier events of the watch said: after a restore of etcd, versions begin lower than they ended.

mod arrival;
mod backoff;
pub(crate) mod caches;
mod forms;
pub(crate) mod kinds;
mod outage;
pub(crate) mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;

/// How long a deleted object is remembered: longer than any request, and than a pass over what it belonged to, may take.
const DELETED_FOR: Duration = Duration::from_secs(120);

/// Namespace and name, or namespace and group.
type Place = (String, String);

/// An object, and whether an answer brought it that the watch has not confirmed yet.
struct Entry<K> {
    object: Arc<K>,
    is_answer: bool,
}

/// What an arrival changed.
#[derive(Debug)]
pub(crate) enum Change<K> {
    /// Nothing that any plan reads.
    Unchanged,
    /// The object was not known before.
    New(Arc<K>),
    /// The object was known in another state.
    Replaced {
        /// The state before.
        before: Arc<K>,
        /// The state now.
        now: Arc<K>,
    },
}

/// An object that the watch deleted.
struct Deleted<K> {
    at: Instant,
    uid: String,
    /// Its last state, where that is kept.
    object: Option<Arc<K>>,
}

struct Content<K> {
    objects: BTreeMap<String, BTreeMap<String, Entry<K>>>,
    groups: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    group: fn(&K) -> Vec<String>,
    /// The names that a list in progress has brought.
    listing: Option<BTreeSet<Place>>,
    /// The objects that exist, but did not fit our types when they last arrived. Of some there is an older copy.
    unreadable: BTreeSet<Place>,
    /// The objects that the watch deleted, oldest first.
    deleted: VecDeque<Deleted<K>>,
    /// Of which deleted objects the last state is kept.
    keeps_deleted: fn(&K) -> bool,
    synced: bool,
}

/// A resource version as a number.
fn number(object: &impl ResourceExt) -> Option<u128> {
    object.resource_version()?.parse().ok()
}

impl<K: ResourceExt + PartialEq> Content<K> {
    fn new(group: fn(&K) -> Vec<String>) -> Self {
        Self {
            objects: BTreeMap::new(),
            groups: BTreeMap::new(),
            group,
            listing: None,
            unreadable: BTreeSet::new(),
            deleted: VecDeque::new(),
            keeps_deleted: |_| false,
            synced: false,
        }
    }

    fn entry(&self, namespace: &str, name: &str) -> Option<&Entry<K>> {
        self.objects.get(namespace)?.get(name)
    }

    fn get(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        self.entry(namespace, name).map(|entry| &entry.object)
    }

    /// The watch brings an object.
    fn insert(&mut self, object: K) -> Change<K> {
        let place = place(&object);
        if let Some(listing) = &mut self.listing {
            listing.insert(place.clone());
        }
        let was_unreadable = self.unreadable.remove(&place);
        if let Some(cached) = self.entry(&place.0, &place.1)
            && cached.is_answer
            && cached.object.uid() == object.uid()
            && number(&object) < number(cached.object.as_ref())
        {
            // The echo of an earlier write than the one that was answered last.
            return Change::Unchanged;
        }
        let change = self.put(place.clone(), object, false);
        match (&change, self.get(&place.0, &place.1)) {
            // Nothing was planned while it could not be read.
            (Change::Unchanged, Some(now)) if was_unreadable => {
                Change::Replaced { before: now.clone(), now: now.clone() }
            }
            _ => change,
        }
    }

    /// The watch brings an object that cannot be read: it exists, and what was known of it stays.
    fn insert_unreadable(&mut self, place: Place) {
        if let Some(listing) = &mut self.listing {
            listing.insert(place.clone());
        }
        self.unreadable.insert(place);
    }

    /// A write was answered.
    fn insert_answer(&mut self, observed: &K, answer: K) -> Change<K> {
        let place = place(observed);
        let Some(cached) = self.get(&place.0, &place.1).filter(|cached| cached.uid() == answer.uid()) else {
            return Change::Unchanged;
        };
        let is_older = match (number(cached.as_ref()), number(&answer)) {
            (Some(cached), Some(answer)) => cached < answer,
            _ => cached.resource_version() == observed.resource_version(),
        };
        if is_older { self.put(place, answer, true) } else { Change::Unchanged }
    }

    /// The API server was asked about an object.
    fn insert_live(&mut self, object: K) -> Change<K> {
        let place = place(&object);
        let is_news = match self.get(&place.0, &place.1) {
            Some(cached) => number(cached.as_ref()) < number(&object),
            None => object.uid().is_none_or(|uid| !self.deleted.iter().any(|deleted| deleted.uid == uid)),
        };
        if is_news { self.put(place, object, true) } else { Change::Unchanged }
    }

    fn put(&mut self, place: Place, mut object: K, is_answer: bool) -> Change<K> {
        let (namespace, name) = (place.0.clone(), place.1.clone());
        let old = self.objects.get(&namespace).and_then(|names| names.get(&name)).map(|entry| entry.object.clone());
        if let Some(old) = &old {
            // Only the resource version may differ where something changed that was pruned.
            let version = object.meta_mut().resource_version.take();
            object.meta_mut().resource_version.clone_from(&old.meta().resource_version);
            let is_same = object == **old;
            object.meta_mut().resource_version = version;
            if is_same {
                let entry = Entry { object: Arc::new(object), is_answer };
                self.objects.entry(namespace).or_default().insert(name, entry);
                return Change::Unchanged;
            }
            self.leave_groups(&place, old);
        }
        for group in (self.group)(&object) {
            let groups = self.groups.entry(namespace.clone()).or_default();
            groups.entry(group).or_default().insert(name.clone());
        }
        let object = Arc::new(object);
        let entry = Entry { object: object.clone(), is_answer };
        self.objects.entry(namespace).or_default().insert(name, entry);
        match old {
            Some(before) => Change::Replaced { before, now: object },
            None => Change::New(object),
        }
    }

    /// The watch says that the object of this UID is gone; without it, whatever has the name.
    fn remove(&mut self, place: &Place, uid: Option<&str>) -> Option<Arc<K>> {
        self.unreadable.remove(place);
        let cached = self.get(&place.0, &place.1);
        let is_another =
            cached.is_none_or(|cached| uid.is_some() && cached.uid().is_some() && cached.uid().as_deref() != uid);
        if !is_another {
            return self.drop_object(place);
        }
        if let Some(uid) = uid {
            self.note_deleted(uid.to_owned(), None);
        }
        None
    }

    fn drop_object(&mut self, place: &Place) -> Option<Arc<K>> {
        let names = self.objects.get_mut(&place.0)?;
        let old = names.remove(&place.1)?.object;
        if names.is_empty() {
            self.objects.remove(&place.0);
        }
        self.leave_groups(place, &old);
        if let Some(uid) = old.uid() {
            self.note_deleted(uid, Some(&old));
        }
        Some(old)
    }

    fn note_deleted(&mut self, uid: String, object: Option<&Arc<K>>) {
        while self.deleted.front().is_some_and(|deleted| deleted.at.elapsed() > DELETED_FOR) {
            self.deleted.pop_front();
        }
        let object = object.filter(|object| (self.keeps_deleted)(object)).cloned();
        self.deleted.push_back(Deleted { at: Instant::now(), uid, object });
    }

    fn leave_groups(&mut self, place: &Place, object: &K) {
        let Some(groups) = self.groups.get_mut(&place.0) else { return };
        for group in (self.group)(object) {
            if let Some(names) = groups.get_mut(&group) {
                names.remove(&place.1);
                if names.is_empty() {
                    groups.remove(&group);
                }
            }
        }
    }

    fn list_begins(&mut self) {
        self.listing = Some(BTreeSet::new());
        // The list is read from a quorum after this: it has all that was answered before.
        self.objects.values_mut().flat_map(BTreeMap::values_mut).for_each(|entry| entry.is_answer = false);
    }

    /// Returns the objects that are gone.
    fn list_ends(&mut self) -> Vec<Arc<K>> {
        self.synced = true;
        let listed = self.listing.take().unwrap_or_default();
        self.unreadable.retain(|place| listed.contains(place));
        let known = self.objects.iter().flat_map(|(namespace, names)| names.keys().map(move |name| (namespace, name)));
        let known = known.map(|(namespace, name)| (namespace.clone(), name.clone()));
        let gone: Vec<Place> = known.filter(|place| !listed.contains(place)).collect();
        gone.iter().filter_map(|place| self.drop_object(place)).collect()
    }
}

/// The objects of one kind.
pub(crate) struct Cache<K> {
    content: RwLock<Content<K>>,
}

impl<K: ResourceExt + PartialEq> Cache<K> {
    /// An empty cache, indexed by what `group` says of an object.
    pub(crate) fn new(group: fn(&K) -> Vec<String>) -> Self {
        Self { content: RwLock::new(Content::new(group)) }
    }

    fn write<T>(&self, change: impl FnOnce(&mut Content<K>) -> T) -> T {
        change(&mut self.content.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn read<T>(&self, look: impl FnOnce(&Content<K>) -> T) -> T {
        look(&self.content.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The object of a name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read(|content| content.get(namespace, name).cloned())
    }

    /// The objects of a group, sorted by name.
    pub(crate) fn group(&self, namespace: &str, group: &str) -> Vec<Arc<K>> {
        self.read(|content| {
            let names = content.groups.get(namespace).and_then(|groups| groups.get(group)).into_iter().flatten();
            names.filter_map(|name| content.get(namespace, name).cloned()).collect()
        })
    }

    /// Keeps the last states of deleted objects for two minutes, where this says so.
    pub(crate) fn keep_deleted(&self, keeps: fn(&K) -> bool) {
        self.write(|content| content.keeps_deleted = keeps);
    }

    /// The last states of a group's objects that were deleted lately, as far as they are kept.
    pub(crate) fn deleted(&self, namespace: &str, group: &str) -> Vec<Arc<K>> {
        self.read(|content| {
            let kept = content.deleted.iter().filter_map(|deleted| deleted.object.as_ref());
            let of_group = |object: &&Arc<K>| {
                object.namespace().as_deref() == Some(namespace)
                    && (content.group)(object).iter().any(|own| own == group)
            };
            kept.filter(of_group).cloned().collect()
        })
    }

    /// All objects: for questions that are asked rarely.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read(|content| {
            content.objects.values().flat_map(BTreeMap::values).map(|entry| entry.object.clone()).collect()
        })
    }

    /// The number of objects.
    pub(crate) fn len(&self) -> usize {
        self.read(|content| content.objects.values().map(BTreeMap::len).sum())
    }

    /// Whether a first list has arrived.
    pub(crate) fn is_synced(&self) -> bool {
        self.read(|content| content.synced)
    }

    /// Whether the object of a name exists as something that cannot be read.
    pub(crate) fn is_unreadable(&self, namespace: &str, name: &str) -> bool {
        self.read(|content| {
            !content.unreadable.is_empty() && content.unreadable.contains(&(namespace.to_owned(), name.to_owned()))
        })
    }

    /// The number of objects that exist and cannot be read.
    pub(crate) fn unreadable(&self) -> usize {
        self.read(|content| content.unreadable.len())
    }

    /// An object as the watch brings it.
    pub(crate) fn insert(&self, object: K) -> Change<K> {
        self.write(|content| content.insert(object))
    }

    /// The watch brings something that cannot be read: it exists, and what was known of it stays.
    pub(crate) fn insert_unreadable(&self, namespace: &str, name: &str) {
        self.write(|content| content.insert_unreadable((namespace.to_owned(), name.to_owned())));
    }

    /// The answer to a write of an object that was observed.
    pub(crate) fn insert_answer(&self, observed: &K, answer: K) -> Change<K> {
        self.write(|content| content.insert_answer(observed, answer))
    }

    /// An object as the API server has it.
    pub(crate) fn insert_live(&self, object: K) -> Change<K> {
        self.write(|content| content.insert_live(object))
    }

    /// The object of a name and, where it is known, a UID is gone.
    pub(crate) fn remove(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Arc<K>> {
        self.write(|content| content.remove(&(namespace.to_owned(), name.to_owned()), uid))
    }

    /// A list begins.
    pub(crate) fn list_begins(&self) {
        self.write(Content::list_begins);
    }

    /// A list has ended: an object that it did not bring is gone. Returns those.
    pub(crate) fn list_ends(&self) -> Vec<Arc<K>> {
        self.write(Content::list_ends)
    }
}

fn place(object: &impl ResourceExt) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
