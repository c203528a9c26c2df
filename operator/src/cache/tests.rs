use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use proptest::prelude::*;

use super::*;

fn metadata(name: &str, run: &str, version: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some("ns".into()),
        resource_version: Some(version.into()),
        labels: Some(BTreeMap::from([("run".to_owned(), run.to_owned())])),
        ..ObjectMeta::default()
    }
}

fn pod(name: &str, run: &str, version: &str) -> Arc<Pod> {
    Arc::new(Pod { metadata: metadata(name, run, version), ..Pod::default() })
}

fn by_run(pod: &Pod) -> Vec<String> {
    pod.labels().get("run").cloned().into_iter().collect()
}

fn cache() -> Cache<Pod> {
    Cache::new(by_run)
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
fn what_cannot_be_read_any_more_is_not_taken_for_deleted() {
    let cache = cache();
    cache.insert(pod("a", "r", "1"));
    cache.list_begins();
    cache.insert_unreadable("ns", "a");
    cache.insert_unreadable("ns", "never-read");
    assert!(cache.list_ends().is_empty());
    assert_eq!((names(&cache, "r"), cache.unreadable()), (vec!["a".into()], 2));
    assert!(cache.is_unreadable("ns", "a") && !cache.is_unreadable("ns", "b"));
    // It is what it was again once it can be read, and gone once it is deleted or listed no more.
    cache.insert(pod("a", "r", "2"));
    assert!(!cache.is_unreadable("ns", "a"));
    cache.insert_unreadable("ns", "a");
    assert_eq!(cache.remove("ns", "a").unwrap().resource_version().as_deref(), Some("2"));
    assert_eq!(cache.unreadable(), 1);
    cache.list_begins();
    cache.list_ends();
    assert_eq!(cache.unreadable(), 0);
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

/// An object that lets another thread act at the moment its version is looked at.
struct Watchful {
    metadata: ObjectMeta,
    looked_at: Option<(Sender<()>, Mutex<Receiver<()>>)>,
    armed: AtomicBool,
}

impl Watchful {
    fn new(version: &str, looked_at: Option<(Sender<()>, Mutex<Receiver<()>>)>) -> Arc<Self> {
        Arc::new(Self { metadata: metadata("a", "r", version), looked_at, armed: AtomicBool::new(false) })
    }
}

impl Resource for Watchful {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Watchful".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "watchfuls".into()
    }

    fn meta(&self) -> &ObjectMeta {
        if let Some((looked, acted)) = self.looked_at.as_ref().filter(|_| self.armed.swap(false, Ordering::SeqCst)) {
            looked.send(()).unwrap();
            // Whoever is kept out by a lock cannot act before this is over.
            let _ = acted.lock().unwrap().recv_timeout(Duration::from_millis(200));
        }
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[test]
fn nothing_comes_between_looking_at_an_object_and_replacing_it() {
    let (looked, looks) = mpsc::channel();
    let (acted, acts) = mpsc::channel();
    let cache = Arc::new(Cache::<Watchful>::new(|_| vec![]));
    let cached = Watchful::new("1", Some((looked, Mutex::new(acts))));
    cache.insert(cached.clone());
    cached.armed.store(true, Ordering::SeqCst);
    let watch = std::thread::spawn({
        let cache = cache.clone();
        move || {
            looks.recv().unwrap();
            cache.insert(Watchful::new("3", None));
            let _ = acted.send(());
        }
    });
    cache.replace_observed(&Watchful::new("1", None), Watchful::new("2", None));
    watch.join().unwrap();
    assert_eq!(cache.get("ns", "a").unwrap().metadata.resource_version.as_deref(), Some("3"));
}

/// What of a list is still to come, and where the history stood.
type Snapshot = (Vec<(usize, u32)>, usize);

/// An API server with two objects, its history, a watch that lags behind, and a worker that writes what it observed.
struct Scene {
    content: Content<Pod>,
    /// The versions of the objects; 0 where there is none.
    server: [u32; 2],
    newest: u32,
    history: Vec<(usize, u32, bool)>,
    /// How much of the history the watch has brought.
    brought: usize,
    /// A list in progress, with what it brings once that has been read.
    list: Option<Option<Snapshot>>,
    observed: Option<Arc<Pod>>,
    answer: Option<(Arc<Pod>, Arc<Pod>)>,
}

const NAMES: [&str; 2] = ["a", "b"];

fn at(name: usize, version: u32) -> Arc<Pod> {
    pod(NAMES[name], "r", &version.to_string())
}

impl Scene {
    fn change(&mut self, name: usize, exists: bool) -> u32 {
        self.newest += 1;
        self.server[name] = if exists { self.newest } else { 0 };
        self.history.push((name, self.newest, exists));
        self.newest
    }

    fn watch(&mut self) {
        match &mut self.list {
            Some(None) => {
                let all = (0..2).map(|name| (name, self.server[name])).filter(|(_, version)| *version > 0);
                self.list = Some(Some((all.collect(), self.history.len())));
            }
            Some(Some((snapshot, stood))) => match snapshot.pop() {
                Some((name, version)) => drop(self.content.insert(at(name, version))),
                None => {
                    self.brought = *stood;
                    self.content.list_ends();
                    self.list = None;
                }
            },
            None => {
                let Some((name, version, exists)) = self.history.get(self.brought).copied() else { return };
                self.brought += 1;
                if exists {
                    self.content.insert(at(name, version));
                } else {
                    self.content.remove(&("ns".into(), NAMES[name].into()));
                }
            }
        }
    }

    fn step(&mut self, action: u8, name: usize) {
        match action {
            0 => drop(self.change(name, true)),
            1 if self.server[name] > 0 => drop(self.change(name, false)),
            2..=4 => self.watch(),
            5 if self.list.is_none() => {
                self.content.list_begins();
                self.list = Some(None);
            }
            6 => self.observed = self.content.objects.get(&("ns".to_owned(), NAMES[name].to_owned())).cloned(),
            7 => {
                // A write goes through if what it observed is what the server has.
                let Some(observed) = self.observed.take() else { return };
                let name = usize::from(observed.name_any() == "b");
                if observed.resource_version() == Some(self.server[name].to_string()) {
                    let version = self.change(name, true);
                    self.answer = Some((observed, at(name, version)));
                }
            }
            8 => self.learn(),
            _ => {}
        }
    }

    fn learn(&mut self) {
        if let Some((observed, answer)) = self.answer.take() {
            self.content.replace_observed(&observed, answer);
        }
    }
}

proptest! {
    /// Whatever comes in between, a cache has what the API server has once its watch has brought everything, even if
    /// an answer arrives last.
    #[test]
    fn a_cache_ends_up_with_what_the_server_has(steps in prop::collection::vec((0..9u8, 0..2usize), 0..80)) {
        let mut scene = Scene {
            content: Content::new(by_run), server: [0; 2], newest: 0, history: vec![], brought: 0, list: None,
            observed: None, answer: None,
        };
        for (action, name) in steps {
            scene.step(action, name);
        }
        while scene.list.is_some() || scene.brought < scene.history.len() {
            scene.watch();
        }
        scene.learn();
        for (name, version) in scene.server.iter().enumerate() {
            let cached = scene.content.objects.get(&("ns".to_owned(), NAMES[name].to_owned()));
            let cached = cached.and_then(|pod| pod.resource_version()).unwrap_or_default();
            let wanted = if *version > 0 { version.to_string() } else { String::new() };
            prop_assert_eq!(cached, wanted);
        }
    }
}
