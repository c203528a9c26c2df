//! Caches: their indexes, and which of two states of an object they keep.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use proptest::prelude::*;

use super::*;

fn metadata(name: &str, run: &str, version: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some("ns".into()),
        uid: Some(format!("uid-{name}")),
        resource_version: Some(version.into()),
        labels: Some(BTreeMap::from([("run".to_owned(), run.to_owned())])),
        ..ObjectMeta::default()
    }
}

fn pod(name: &str, run: &str, version: &str) -> Pod {
    Pod { metadata: metadata(name, run, version), ..Pod::default() }
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
    cache.remove("ns", "b", None);
    assert!(names(&cache, "r1").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_last_states_of_deleted_objects_are_kept_for_two_minutes_where_that_is_asked_for() {
    let cache = cache();
    cache.keep_deleted(|pod| pod.name_any().starts_with("failed"));
    let deleted = |group: &str| cache.deleted("ns", group).iter().map(|pod| pod.name_any()).collect::<Vec<_>>();
    for name in ["failed-a", "other"] {
        cache.insert(pod(name, "r", "1"));
        cache.remove("ns", name, Some(&format!("uid-{name}")));
    }
    assert_eq!((deleted("r"), deleted("s")), (vec!["failed-a".to_owned()], vec![]));
    tokio::time::advance(DELETED_FOR + Duration::from_secs(1)).await;
    cache.insert(pod("failed-b", "r", "2"));
    cache.list_begins();
    cache.list_ends();
    assert_eq!(deleted("r"), ["failed-b"]);
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
    assert_eq!(cache.remove("ns", "a", None).unwrap().resource_version().as_deref(), Some("2"));
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
    cache.insert_answer(&observed, pod("a", "r", "2"));
    assert_eq!(cache.get("ns", "a").unwrap().resource_version().as_deref(), Some("3"));
    cache.remove("ns", "a", None);
    cache.insert_answer(&observed, pod("a", "r", "2"));
    assert_eq!(cache.len(), 0);
}

/// What arrives, in the order of the rows' letters.
#[derive(Clone, Copy)]
enum Arrival {
    Watch(&'static str),
    Answer { observed: &'static str, answer: &'static str },
    Live(&'static str),
    Deleted,
    ListBegins,
    ListEnds,
}

#[test]
fn a_cache_never_goes_backwards_in_whatever_order_things_arrive() {
    use Arrival::{Answer, Deleted, ListBegins, ListEnds, Live, Watch};
    let answer = |observed, answer| Answer { observed, answer };
    let table: &[(&str, &[Arrival], Option<&str>)] = &[
        ("an answer is taken", &[Watch("1"), answer("1", "2")], Some("2")),
        (
            "the echo of the first of two writes",
            &[Watch("1"), answer("1", "2"), answer("2", "3"), Watch("2")],
            Some("3"),
        ),
        (
            "both echoes",
            &[Watch("1"), answer("1", "2"), answer("2", "3"), Watch("2"), Watch("3"), Watch("4")],
            Some("4"),
        ),
        ("versions are numbers", &[Watch("9"), answer("9", "10"), Watch("9")], Some("10")),
        ("the watch was faster", &[Watch("1"), Watch("3"), answer("1", "2")], Some("3")),
        ("two answers, the later first", &[Watch("1"), answer("2", "3"), answer("1", "2")], Some("3")),
        ("an answer after the deletion", &[Watch("1"), Deleted, answer("1", "2")], None),
        ("a live read after the deletion", &[Watch("1"), Deleted, Live("1")], None),
        ("a live read of something not known yet", &[Live("5")], Some("5")),
        ("a live read that is older", &[Watch("5"), Live("4")], Some("5")),
        ("a live read that is newer, and its echoes", &[Watch("5"), Live("7"), Watch("6")], Some("7")),
        (
            "a list during which a write was answered",
            &[Watch("1"), ListBegins, answer("1", "2"), Watch("1"), ListEnds],
            Some("2"),
        ),
        ("a list without the object, after an answer", &[Watch("1"), ListBegins, answer("1", "2"), ListEnds], None),
        ("a live read after such a list", &[Watch("1"), ListBegins, ListEnds, Live("2")], None),
        (
            "a list after a restore of etcd",
            &[Watch("8"), answer("8", "9"), ListBegins, Watch("3"), ListEnds],
            Some("3"),
        ),
        ("versions that are no numbers: the observed one", &[Watch("a"), answer("a", "b")], Some("b")),
        ("versions that are no numbers: another one", &[Watch("c"), answer("a", "b")], Some("c")),
    ];
    for (what, arrivals, expected) in table {
        let cache = cache();
        for arrival in *arrivals {
            match arrival {
                Watch(version) => drop(cache.insert(pod("a", "r", version))),
                Answer { observed, answer } => {
                    drop(cache.insert_answer(&pod("a", "r", observed), pod("a", "r", answer)));
                }
                Live(version) => drop(cache.insert_live(pod("a", "r", version))),
                Deleted => drop(cache.remove("ns", "a", Some("uid-a"))),
                ListBegins => cache.list_begins(),
                ListEnds => drop(cache.list_ends()),
            }
        }
        let cached = cache.get("ns", "a").and_then(|pod| pod.resource_version());
        assert_eq!(cached.as_deref(), *expected, "{what}");
    }
}

#[test]
fn a_late_deletion_does_not_take_the_object_that_has_the_name_now() {
    let cache = cache();
    cache.insert(pod("a", "r", "1"));
    let mut next = pod("a", "r", "5");
    next.metadata.uid = Some("uid-next".into());
    cache.insert_live(next);
    assert!(cache.remove("ns", "a", Some("uid-a")).is_none());
    assert_eq!(cache.get("ns", "a").and_then(|pod| pod.uid()).as_deref(), Some("uid-next"));
}

#[test]
fn a_change_that_no_plan_reads_is_none() {
    let cache = cache();
    assert!(matches!(cache.insert(pod("a", "r", "1")), Change::New(_)));
    assert!(matches!(cache.insert(pod("a", "r", "2")), Change::Unchanged));
    assert_eq!(cache.get("ns", "a").unwrap().resource_version().as_deref(), Some("2"), "the next write needs it");
    assert!(matches!(cache.insert(pod("a", "other", "3")), Change::Replaced { .. }));
}

/// What of a list is still to come, and where the history stood.
type Snapshot = (Vec<(usize, u32)>, usize);

/// An API server with two objects, its history, a watch that lags behind, and a worker that writes what it observed.
struct Model {
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
    answer: Option<(Arc<Pod>, Pod)>,
}

const NAMES: [&str; 2] = ["a", "b"];

fn at(name: usize, version: u32) -> Pod {
    pod(NAMES[name], "r", &version.to_string())
}

impl Model {
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
                    drop(self.content.insert(at(name, version)));
                } else {
                    self.content.remove(&("ns".into(), NAMES[name].into()), None);
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
            6 => self.observed = self.content.get("ns", NAMES[name]).cloned(),
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
            self.content.insert_answer(&observed, answer);
        }
    }
}

proptest! {
    /// Whatever comes in between, a cache has what the API server has once its watch has brought everything, even if
    /// an answer arrives last.
    #[test]
    fn a_cache_ends_up_with_what_the_server_has(steps in prop::collection::vec((0..9u8, 0..2usize), 0..80)) {
        let mut model = Model {
            content: Content::new(by_run), server: [0; 2], newest: 0, history: vec![], brought: 0, list: None,
            observed: None, answer: None,
        };
        for (action, name) in steps {
            model.step(action, name);
        }
        while model.list.is_some() || model.brought < model.history.len() {
            model.watch();
        }
        model.learn();
        for (name, version) in model.server.iter().enumerate() {
            let cached = model.content.get("ns", NAMES[name]);
            let cached = cached.and_then(|pod| pod.resource_version()).unwrap_or_default();
            let wanted = if *version > 0 { version.to_string() } else { String::new() };
            prop_assert_eq!(cached, wanted);
        }
    }
}
