//! Caches of what the API server has: by name, and by the group that plans ask for (a run's pods, a model's versions),
//! so that no plan scans what does not concern it.
//!
//! Two write to a cache at the same time: its watch, and workers who learn what their writes were answered with. The
//! watch is the truth. An answer only replaces what its writer had observed, which is looked at and replaced under one
//! lock, so that it never undoes what the watch brought in between; and it says nothing about what a list has brought.

mod backoff;
pub(crate) mod caches;
pub(crate) mod kinds;
pub(crate) mod watch;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use kube::ResourceExt;

/// Namespace and name, or namespace and group.
type Place = (String, String);

struct Content<K> {
    objects: HashMap<Place, Arc<K>>,
    groups: HashMap<Place, BTreeSet<String>>,
    group: fn(&K) -> Vec<String>,
    /// The names that a list in progress has brought.
    listing: Option<BTreeSet<Place>>,
    /// What exists, but did not fit our types when it last arrived. Of some of it there is an older copy.
    unreadable: BTreeSet<Place>,
    synced: bool,
}

impl<K: ResourceExt> Content<K> {
    fn new(group: fn(&K) -> Vec<String>) -> Self {
        let (objects, groups) = (HashMap::new(), HashMap::new());
        Self { objects, groups, group, listing: None, unreadable: BTreeSet::new(), synced: false }
    }

    /// The watch brings an object; returns what it was.
    fn insert(&mut self, object: Arc<K>) -> Option<Arc<K>> {
        let place = place(object.as_ref());
        if let Some(listing) = &mut self.listing {
            listing.insert(place.clone());
        }
        self.unreadable.remove(&place);
        self.put(place, object)
    }

    /// The watch brings an object that cannot be read: it exists, and what was known of it stays.
    fn insert_unreadable(&mut self, place: Place) {
        if let Some(listing) = &mut self.listing {
            listing.insert(place.clone());
        }
        self.unreadable.insert(place);
    }

    /// A write was answered.
    fn replace_observed(&mut self, observed: &K, answer: Arc<K>) {
        let place = place(observed);
        let version = observed.resource_version();
        let same = |cached: &Arc<K>| version.is_some() && cached.resource_version() == version;
        if self.objects.get(&place).is_some_and(same) {
            self.put(place, answer);
        }
    }

    /// A read was answered. Resource versions of one kind are numbers that grow.
    fn insert_newer(&mut self, object: Arc<K>) {
        let number = |object: &K| object.resource_version().and_then(|version| version.parse::<u128>().ok());
        let place = place(object.as_ref());
        if self.objects.get(&place).is_none_or(|cached| number(cached) < number(&object)) {
            self.put(place, object);
        }
    }

    fn put(&mut self, place: Place, object: Arc<K>) -> Option<Arc<K>> {
        let old = self.objects.insert(place.clone(), object.clone());
        if let Some(old) = &old {
            self.leave_groups(&place, old);
        }
        for group in (self.group)(&object) {
            self.groups.entry((place.0.clone(), group)).or_default().insert(place.1.clone());
        }
        old
    }

    fn remove(&mut self, place: &Place) -> Option<Arc<K>> {
        self.unreadable.remove(place);
        let old = self.objects.remove(place)?;
        self.leave_groups(place, &old);
        Some(old)
    }

    fn leave_groups(&mut self, place: &Place, object: &K) {
        for group in (self.group)(object) {
            let key = (place.0.clone(), group);
            if let Some(names) = self.groups.get_mut(&key) {
                names.remove(&place.1);
                if names.is_empty() {
                    self.groups.remove(&key);
                }
            }
        }
    }

    fn list_begins(&mut self) {
        self.listing = Some(BTreeSet::new());
    }

    /// Returns what is gone.
    fn list_ends(&mut self) -> Vec<Arc<K>> {
        self.synced = true;
        let listed = self.listing.take().unwrap_or_default();
        self.unreadable.retain(|place| listed.contains(place));
        let gone: Vec<Place> = self.objects.keys().filter(|place| !listed.contains(*place)).cloned().collect();
        gone.iter().filter_map(|place| self.remove(place)).collect()
    }
}

/// The objects of one kind.
pub(crate) struct Cache<K> {
    content: RwLock<Content<K>>,
}

impl<K: ResourceExt> Cache<K> {
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
        self.read(|content| content.objects.get(&(namespace.to_owned(), name.to_owned())).cloned())
    }

    /// The objects of a group, sorted by name.
    pub(crate) fn group(&self, namespace: &str, group: &str) -> Vec<Arc<K>> {
        self.read(|content| {
            let names = content.groups.get(&(namespace.to_owned(), group.to_owned())).into_iter().flatten();
            names.filter_map(|name| content.objects.get(&(namespace.to_owned(), name.clone())).cloned()).collect()
        })
    }

    /// All objects: for questions that are asked rarely.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read(|content| content.objects.values().cloned().collect())
    }

    /// The number of objects.
    pub(crate) fn len(&self) -> usize {
        self.read(|content| content.objects.len())
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

    /// An object as the watch brings it; returns what it was.
    pub(crate) fn insert(&self, object: Arc<K>) -> Option<Arc<K>> {
        self.write(|content| content.insert(object))
    }

    /// The watch brings something that cannot be read: it exists, and what was known of it stays.
    pub(crate) fn insert_unreadable(&self, namespace: &str, name: &str) {
        self.write(|content| content.insert_unreadable((namespace.to_owned(), name.to_owned())));
    }

    /// Replaces an object by what a write returned, if the cache still has the one that was observed.
    pub(crate) fn replace_observed(&self, observed: &K, answer: Arc<K>) {
        self.write(|content| content.replace_observed(observed, answer));
    }

    /// An object as the API server has it, unless the watch has brought a newer one.
    pub(crate) fn insert_newer(&self, object: Arc<K>) {
        self.write(|content| content.insert_newer(object));
    }

    /// An object is gone.
    pub(crate) fn remove(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.write(|content| content.remove(&(namespace.to_owned(), name.to_owned())))
    }

    /// A list begins.
    pub(crate) fn list_begins(&self) {
        self.write(Content::list_begins);
    }

    /// A list has ended: what it did not bring is gone. Returns that.
    pub(crate) fn list_ends(&self) -> Vec<Arc<K>> {
        self.write(Content::list_ends)
    }
}

fn place(object: &impl ResourceExt) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
