//! The objects, their resource versions and their history. It knows no requests, and no clock: callers pass the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::change::{Change, ChangeType, Deletion, Key};
use super::immutable;
use super::object::{ends, merge, metadata, replaced, seconds};
use super::resources::{self, Resource};
use super::selector::Selector;
use super::status::Refusal;

/// What is remembered of the past: a watch that asks for more is told that it expired.
const HISTORY: usize = 20_000;

/// All objects.
#[derive(Debug)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
    /// The version before the oldest that is remembered.
    forgotten: u64,
    version: u64,
    version_without_leases: u64,
    identities: u64,
    /// Who writes, for the history.
    pub actor: String,
    /// The API server's time.
    pub now: Timestamp,
    /// What the object store has: the records of attempts, by their keys.
    pub records: BTreeMap<String, Value>,
}

impl Store {
    /// No objects.
    pub fn new(now: Timestamp) -> Self {
        Self {
            objects: BTreeMap::new(),
            history: vec![],
            forgotten: 0,
            version: 1,
            version_without_leases: 1,
            identities: 0,
            actor: String::new(),
            now,
            records: BTreeMap::new(),
        }
    }

    /// The newest resource version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The newest resource version of an object that is no Lease.
    pub fn version_without_leases(&self) -> u64 {
        self.version_without_leases
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a kind.
    pub fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let start = Key::new(kind, "", "");
        self.objects.range(start..).take_while(move |(key, _)| key.kind == kind)
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The changes after a version.
    ///
    /// # Errors
    /// Where the history does not reach back that far.
    pub fn since(&self, version: u64) -> Result<&[Change], Refusal> {
        if version < self.forgotten {
            return Err(Refusal::expired(version));
        }
        let start = self.history.partition_point(|change| change.version <= version);
        Ok(self.history.get(start..).unwrap_or_default())
    }

    /// Forgets the past, as compaction does: older watches expire.
    pub fn compact(&mut self) {
        self.history.clear();
        self.forgotten = self.version;
    }

    /// The objects of a kind as a list shows them, as they were at a version, or by now.
    pub fn list(&self, kind: &'static str, namespace: &str, selector: &Selector, at: Option<u64>) -> Vec<Arc<Value>> {
        let mut all: BTreeMap<&Key, &Arc<Value>> = self.of_kind(kind).collect();
        if let Some(at) = at {
            for change in self.history.iter().rev().take_while(|change| change.version > at) {
                if change.key.kind == kind {
                    match &change.old {
                        Some(old) => all.insert(&change.key, old),
                        None => all.remove(&change.key),
                    };
                }
            }
        }
        let wanted = |key: &Key, object: &Value| {
            (namespace.is_empty() || key.namespace == namespace) && selector.selects(object)
        };
        all.into_iter().filter(|(key, object)| wanted(key, object)).map(|(_, object)| object.clone()).collect()
    }

    /// Creates an object.
    ///
    /// # Errors
    /// What the API server says.
    pub fn create(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        mut object: Value,
    ) -> Result<Arc<Value>, Refusal> {
        let metadata = metadata(&mut object);
        if metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|version| !version.is_empty()) {
            return Err(Refusal::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        self.identities += 1;
        let name = match (
            metadata.get("name").and_then(Value::as_str),
            metadata.get("generateName").and_then(Value::as_str),
        ) {
            (Some(name), _) if !name.is_empty() => name.to_owned(),
            (_, Some(prefix)) => format!("{prefix}{:05x}", self.identities),
            _ => return Err(Refusal::without_name(resource)),
        };
        if resource.namespaced {
            self.check_namespace(resource, namespace, &name)?;
            metadata.insert("namespace".into(), namespace.into());
        }
        let key = Key::new(resource.kind, namespace, &name);
        if self.objects.contains_key(&key) {
            return Err(Refusal::already_exists(resource, &name));
        }
        metadata.insert("name".into(), name.into());
        metadata.insert("uid".into(), format!("00000000-0000-4000-8000-{:012x}", self.identities).into());
        metadata.insert("creationTimestamp".into(), seconds(self.now));
        metadata.remove("deletionTimestamp");
        metadata.remove("managedFields");
        if resource.has_generation {
            metadata.insert("generation".into(), 1.into());
        }
        if resource.has_status && resource.kind != "Namespace" {
            object.as_object_mut().map(|object| object.remove("status"));
        }
        if resource.kind == "Pod" {
            object["status"] = json!({"phase": "Pending"});
        }
        object["apiVersion"] = resource.api_version().into();
        object["kind"] = resource.kind.into();
        Ok(self.put(key, ChangeType::Added, object))
    }

    fn check_namespace(&self, resource: &Resource, namespace: &str, name: &str) -> Result<(), Refusal> {
        let Some(found) = self.objects.get(&Key::new("Namespace", "", namespace)) else {
            return Err(Refusal::not_found(resources::by_kind("Namespace").unwrap_or(resource), namespace));
        };
        if found["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        Err(Refusal::terminating(resource, namespace, name))
    }

    /// Replaces an object, or its status alone.
    ///
    /// # Errors
    /// What the API server says.
    pub fn replace(
        &mut self,
        resource: &'static Resource,
        key: &Key,
        mut object: Value,
        status: bool,
    ) -> Result<Arc<Value>, Refusal> {
        let Some(old) = self.objects.get(key).cloned() else {
            // The API server creates some kinds by a PUT, whatever version it names.
            if status || !matches!(key.kind, "Lease" | "Event" | "Service") {
                return Err(Refusal::not_found(resource, &key.name));
            }
            metadata(&mut object).remove("resourceVersion");
            return self.create(resource, &key.namespace, object);
        };
        let sent = metadata(&mut object).clone();
        let named = sent.get("name").and_then(Value::as_str).unwrap_or_default();
        if named != key.name {
            return Err(Refusal::bad_request(&format!(
                "the name of the object ({named}) does not match the name on the URL ({})",
                key.name
            )));
        }
        if let Some(uid) = sent.get("uid").and_then(Value::as_str).filter(|uid| !uid.is_empty())
            && old["metadata"]["uid"] != uid
        {
            let has = old["metadata"]["uid"].as_str().unwrap_or_default();
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: , ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {has}"
            );
            return Err(Refusal::conflict(resource, &key.name, &why));
        }
        if let Some(version) = sent.get("resourceVersion").and_then(Value::as_str).filter(|version| !version.is_empty())
            && old["metadata"]["resourceVersion"] != version
        {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Refusal::conflict(resource, &key.name, why));
        }
        let new = if status {
            let mut new = old.as_ref().clone();
            new["status"] = object["status"].take();
            new
        } else {
            let new = replaced(resource, &old, object);
            immutable::check(resource, &old, &new)?;
            new
        };
        if ends(&new) {
            // The answer bears the version that was replaced; the watches hear of the one that the removal made.
            let answer = Arc::new(new.clone());
            self.remove(key, new);
            return Ok(answer);
        }
        if new == *old {
            return Ok(old);
        }
        Ok(self.put(key.clone(), ChangeType::Modified, new))
    }

    /// Merges a patch into an object (RFC 7386), or into its status alone.
    ///
    /// # Errors
    /// What the API server says.
    pub fn merge(
        &mut self,
        resource: &'static Resource,
        key: &Key,
        patch: &Value,
        status: bool,
    ) -> Result<Arc<Value>, Refusal> {
        let Some(old) = self.objects.get(key) else {
            return Err(Refusal::not_found(resource, &key.name));
        };
        let mut object = old.as_ref().clone();
        merge(&mut object, patch);
        self.replace(resource, key, object, status)
    }

    /// Deletes an object, or marks it as one to be deleted where something holds it.
    ///
    /// # Errors
    /// What the API server says.
    pub fn delete(&mut self, resource: &'static Resource, key: &Key, how: &Deletion) -> Result<Arc<Value>, Refusal> {
        let Some(old) = self.objects.get(key).cloned() else {
            return Err(Refusal::not_found(resource, &key.name));
        };
        for (field, wanted) in [("uid", &how.uid), ("resourceVersion", &how.version)] {
            if let Some(wanted) = wanted
                && old["metadata"][field] != wanted.as_str()
            {
                let what = if field == "uid" { "UID" } else { "ResourceVersion" };
                let has = old["metadata"][field].as_str().unwrap_or_default();
                let why = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record ({has}). The object might have been deleted and then recreated"
                );
                return Err(Refusal::conflict(resource, &key.name, &why));
            }
        }
        let mut new = old.as_ref().clone();
        let finalizer = match how.propagation.as_str() {
            "Foreground" => Some("foregroundDeletion"),
            "Orphan" => Some("orphan"),
            _ if key.kind == "Namespace" => Some("kubernetes"),
            _ => None,
        };
        if let Some(finalizer) = finalizer {
            let metadata = metadata(&mut new);
            let list = metadata.entry("finalizers").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut()
                && !list.iter().any(|known| known == finalizer)
            {
                list.push(finalizer.into());
            }
        }
        let grace = self.grace(&new, how);
        let held = grace > 0 || new["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if !held {
            return Ok(self.remove(key, new));
        }
        let shorter = new["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|known| grace < known);
        if new["metadata"]["deletionTimestamp"].is_null() || shorter {
            let end = self.now.saturating_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(self.now);
            let counts = resource.has_generation;
            let metadata = metadata(&mut new);
            metadata.insert("deletionTimestamp".into(), seconds(end));
            metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
            if counts {
                let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or(1);
                metadata.insert("generation".into(), (generation + 1).into());
            }
        }
        if new == *old {
            return Ok(old);
        }
        Ok(self.put(key.clone(), ChangeType::Modified, new))
    }

    /// The seconds that a pod has to end: none once it has, or where no node has it.
    fn grace(&self, object: &Value, how: &Deletion) -> i64 {
        let phase = object["status"]["phase"].as_str().unwrap_or_default();
        if object["kind"] != "Pod" || object["spec"]["nodeName"].is_null() || matches!(phase, "Succeeded" | "Failed") {
            return 0;
        }
        how.grace.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30)
    }

    fn put(&mut self, key: Key, kind: ChangeType, mut object: Value) -> Arc<Value> {
        self.version += 1;
        metadata(&mut object).insert("resourceVersion".into(), self.version.to_string().into());
        let new = Arc::new(object);
        let old = self.objects.insert(key.clone(), new.clone());
        self.note(key, kind, old, new.clone());
        new
    }

    fn remove(&mut self, key: &Key, mut last: Value) -> Arc<Value> {
        self.version += 1;
        metadata(&mut last).insert("resourceVersion".into(), self.version.to_string().into());
        let new = Arc::new(last);
        let old = self.objects.remove(key);
        self.note(key.clone(), ChangeType::Deleted, old, new.clone());
        new
    }

    fn note(&mut self, key: Key, kind: ChangeType, old: Option<Arc<Value>>, new: Arc<Value>) {
        if key.kind != "Lease" {
            self.version_without_leases = self.version;
        }
        let (at, actor) = (tokio::time::Instant::now(), self.actor.clone());
        self.history.push(Change { version: self.version, key, kind, old, new, at, actor });
        if self.history.len() > 2 * HISTORY {
            let surplus: Vec<Change> = self.history.drain(..HISTORY).collect();
            self.forgotten = surplus.last().map_or(self.forgotten, |change| change.version);
        }
    }
}
