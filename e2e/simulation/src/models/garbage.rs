//! The garbage collector and the namespace controller: what becomes of objects whose owner or namespace goes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Model;
use crate::api::{Api, Deletion, Key, Store, by_kind};

/// How long after a change the collector notices.
const LAG: Duration = Duration::from_millis(200);

/// Both.
#[derive(Debug, Default)]
pub struct Garbage {
    seen: u64,
    due: Option<Instant>,
}

impl Model for Garbage {
    fn act(&mut self, api: &Api, now: Instant) -> Option<Instant> {
        let version = api.look(Store::version_without_leases);
        if version != self.seen {
            self.seen = version;
            self.due = self.due.or(Some(now + LAG));
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            api.change("garbage-collector", collect);
        }
        self.due
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten().filter_map(|owner| owner["uid"].as_str())
}

fn collect(store: &mut Store) {
    let mut alive = BTreeSet::new();
    let mut orphaning = BTreeSet::new();
    let mut foreground = BTreeSet::new();
    for (_, object) in store.all() {
        let Some(uid) = object["metadata"]["uid"].as_str() else { continue };
        alive.insert(uid.to_owned());
        let has = |finalizer: &str| {
            object["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|own| own == finalizer))
        };
        if !object["metadata"]["deletionTimestamp"].is_null() {
            if has("orphan") {
                orphaning.insert(uid.to_owned());
            }
            if has("foregroundDeletion") {
                foreground.insert(uid.to_owned());
            }
        }
    }
    let ending: Vec<String> = store
        .of_kind("Namespace")
        .filter(|(_, namespace)| !namespace["metadata"]["deletionTimestamp"].is_null())
        .map(|(key, _)| key.name.clone())
        .collect();
    let all: Vec<(Key, std::sync::Arc<Value>)> =
        store.all().map(|(key, object)| (key.clone(), object.clone())).collect();
    for (key, object) in &all {
        let Some(resource) = by_kind(key.kind) else { continue };
        let is_deleted = !object["metadata"]["deletionTimestamp"].is_null();
        if owners(object).any(|owner| orphaning.contains(owner)) {
            let mut object = object.as_ref().clone();
            object["metadata"]["ownerReferences"] = Value::Null;
            object["metadata"].as_object_mut().map(|metadata| metadata.remove("ownerReferences"));
            let _ = store.replace(resource, key, object, false);
            continue;
        }
        let mut owners = owners(object).peekable();
        let is_lost =
            owners.peek().is_some() && owners.all(|owner| !alive.contains(owner) || foreground.contains(owner));
        if !is_deleted && (is_lost || ending.contains(&key.namespace)) {
            let _ = store.delete(resource, key, &Deletion { propagation: "Background".into(), ..Deletion::default() });
        }
    }
    for (key, object) in &all {
        finish(store, key, object, &all, &ending);
    }
}

/// Takes the collector's finalizers from what has nothing left.
fn finish(store: &mut Store, key: &Key, object: &Value, all: &[(Key, std::sync::Arc<Value>)], ending: &[String]) {
    let Some(resource) = by_kind(key.kind) else { return };
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let is_empty = if key.kind == "Namespace" {
        ending.contains(&key.name)
            && all.iter().all(|(other, _)| other.namespace != key.name || store.get(other).is_none())
    } else {
        !object["metadata"]["deletionTimestamp"].is_null()
            && all.iter().all(|(other, child)| {
                !owners(child).any(|owner| owner == uid)
                    || store.get(other).is_none_or(|child| !owners(child).any(|owner| owner == uid))
            })
    };
    let Some(current) = store.get(key).filter(|_| is_empty) else { return };
    let mut current = current.as_ref().clone();
    let Some(list) = current["metadata"]["finalizers"].as_array_mut() else { return };
    let before = list.len();
    list.retain(|own| own != "orphan" && own != "foregroundDeletion" && own != "kubernetes");
    if list.len() != before {
        let _ = store.replace(resource, key, current, false);
    }
}
