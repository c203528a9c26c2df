//! Caches of what the API server has: by name, and by the group that plans ask for (a run's pods, a model's versions),
//! so that no plan scans what does not concern it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use kube::ResourceExt;

/// Namespace and name, or namespace and group.
type Place = (String, String);

struct Content<K> {
    objects: HashMap<Place, Arc<K>>,
    groups: HashMap<Place, BTreeSet<String>>,
    /// The names that a list in progress has brought.
    listing: Option<BTreeSet<Place>>,
    synced: bool,
}

/// The objects of one kind.
pub(crate) struct Cache<K> {
    content: RwLock<Content<K>>,
    group: fn(&K) -> Vec<String>,
}

impl<K: ResourceExt> Cache<K> {
    /// An empty cache, indexed by what `group` says of an object.
    pub(crate) fn new(group: fn(&K) -> Vec<String>) -> Self {
        let content = Content { objects: HashMap::new(), groups: HashMap::new(), listing: None, synced: false };
        Self { content: RwLock::new(content), group }
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

    /// An object as it is now; returns what it was.
    pub(crate) fn insert(&self, object: Arc<K>) -> Option<Arc<K>> {
        self.write(|content| {
            let place = place(object.as_ref());
            if let Some(listing) = &mut content.listing {
                listing.insert(place.clone());
            }
            let old = content.objects.insert(place.clone(), object.clone());
            if let Some(old) = &old {
                leave(content, &place, &(self.group)(old));
            }
            for group in (self.group)(&object) {
                content.groups.entry((place.0.clone(), group)).or_default().insert(place.1.clone());
            }
            old
        })
    }

    /// Replaces an object by what a write returned, if the cache still has the one that was observed.
    pub(crate) fn replace_observed(&self, observed: &K, object: Arc<K>) {
        let same = self.get(&observed.namespace().unwrap_or_default(), &observed.name_any());
        if same.is_some_and(|cached| cached.resource_version() == observed.resource_version()) {
            self.insert(object);
        }
    }

    /// An object as a request was answered, unless a watch has brought a newer one. Resource versions of one kind are
    /// numbers that grow.
    pub(crate) fn insert_newer(&self, object: Arc<K>) {
        let number = |object: &K| object.resource_version().and_then(|version| version.parse::<u128>().ok());
        let cached = self.get(&object.namespace().unwrap_or_default(), &object.name_any());
        if cached.is_none_or(|cached| number(&cached) < number(&object)) {
            self.insert(object);
        }
    }

    /// An object is gone.
    pub(crate) fn remove(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.write(|content| {
            let place = (namespace.to_owned(), name.to_owned());
            let old = content.objects.remove(&place)?;
            leave(content, &place, &(self.group)(&old));
            Some(old)
        })
    }

    /// A list begins.
    pub(crate) fn list_begins(&self) {
        self.write(|content| content.listing = Some(BTreeSet::new()));
    }

    /// A list has ended: what it did not bring is gone. Returns that.
    pub(crate) fn list_ends(&self) -> Vec<Arc<K>> {
        let gone: Vec<Place> = self.write(|content| {
            content.synced = true;
            let listed = content.listing.take().unwrap_or_default();
            content.objects.keys().filter(|place| !listed.contains(*place)).cloned().collect()
        });
        gone.into_iter().filter_map(|(namespace, name)| self.remove(&namespace, &name)).collect()
    }
}

fn place(object: &impl ResourceExt) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn leave<K>(content: &mut Content<K>, place: &Place, groups: &[String]) {
    let mut left = BTreeMap::new();
    for group in groups {
        left.insert((place.0.clone(), group.clone()), ());
    }
    for key in left.into_keys() {
        if let Some(names) = content.groups.get_mut(&key) {
            names.remove(&place.1);
            if names.is_empty() {
                content.groups.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::api::ObjectMeta;

    use super::*;

    fn pod(name: &str, run: &str, version: &str) -> Arc<Pod> {
        let labels = Some(BTreeMap::from([("run".to_owned(), run.to_owned())]));
        let metadata = ObjectMeta {
            name: Some(name.into()),
            namespace: Some("ns".into()),
            resource_version: Some(version.into()),
            labels,
            ..ObjectMeta::default()
        };
        Arc::new(Pod { metadata, ..Pod::default() })
    }

    fn cache() -> Cache<Pod> {
        Cache::new(|pod| pod.labels().get("run").cloned().into_iter().collect())
    }

    fn names(cache: &Cache<Pod>, group: &str) -> Vec<String> {
        cache.group("ns", group).iter().map(|pod| pod.name_any()).collect()
    }

    #[test]
    fn objects_are_found_by_group_and_leave_it_when_it_changes() {
        let cache = cache();
        cache.insert(pod("b", "r1", "1"));
        cache.insert(pod("a", "r1", "1"));
        assert_eq!(names(&cache, "r1"), ["a", "b"]);
        cache.insert(pod("a", "r2", "2"));
        assert_eq!((names(&cache, "r1"), names(&cache, "r2")), (vec!["b".into()], vec!["a".into()]));
        cache.remove("ns", "b");
        assert!(names(&cache, "r1").is_empty());
    }

    #[test]
    fn what_a_new_list_does_not_bring_is_gone() {
        let cache = cache();
        cache.insert(pod("old", "r", "1"));
        assert!(!cache.is_synced());
        cache.list_begins();
        cache.insert(pod("new", "r", "2"));
        let gone: Vec<_> = cache.list_ends().iter().map(|pod| pod.name_any()).collect();
        assert_eq!((gone, names(&cache, "r"), cache.is_synced()), (vec!["old".into()], vec!["new".into()], true));
    }

    #[test]
    fn a_writes_answer_never_replaces_something_newer() {
        let cache = cache();
        let observed = pod("a", "r", "1");
        cache.insert(pod("a", "r", "3"));
        cache.replace_observed(&observed, pod("a", "r", "2"));
        assert_eq!(cache.get("ns", "a").unwrap().resource_version().as_deref(), Some("3"));
        cache.remove("ns", "a");
        cache.replace_observed(&observed, pod("a", "r", "2"));
        assert_eq!(cache.len(), 0);
    }
}
