//! What people do, what becomes of the pods, and what must have come of it in the end.

mod contracts;
mod ends;
mod judging;
mod objects;
mod restores;
mod runs;
mod serving;

use serde_json::{Value, json};

use crate::api::{Api, Deletion, Key, Store, by_kind};
use crate::models::pods::Fate;

/// The namespace of all that a scenario makes.
pub const NAMESPACE: &str = "growth";

/// What a person does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Creates an object, or changes its spec.
    Apply(Value),
    /// Deletes an object.
    Delete(&'static str, &'static str),
    /// Deletes an object, and creates it again from a file that says everything but its status, as backups do.
    Restore(&'static str, &'static str),
}

/// A scenario.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What people do, at which second.
    pub actions: Vec<(u64, Action)>,
    /// How the pods of a step end, by the number of pods that it had before.
    pub fates: fn(&str, usize) -> Fate,
    /// What is still missing of its end.
    pub missing: fn(&Store) -> Option<String>,
    /// Whether each step is done by one pod alone, where no reply of the pods' own is lost.
    pub once: bool,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Action {
    /// Does it.
    pub fn carry_out(&self, api: &Api) {
        match self {
            Self::Apply(object) => apply(api, object),
            Self::Delete(kind, name) => {
                let Some(resource) = by_kind(kind) else { return };
                let key = Key::new(resource.kind, NAMESPACE, name);
                let how = Deletion { propagation: "Background".into(), ..Deletion::default() };
                let _ = api.change("person", |store| store.delete(resource, &key, &how));
            }
            Self::Restore(kind, name) => {
                let Some(resource) = by_kind(kind) else { return };
                let key = Key::new(resource.kind, NAMESPACE, name);
                let how = Deletion { propagation: "Background".into(), ..Deletion::default() };
                let _ = api.change("person", |store| {
                    let Some(object) = store.get(&key).cloned() else { return Ok(()) };
                    let mut copy = json!({"apiVersion": object["apiVersion"], "kind": kind, "spec": object["spec"]});
                    for field in ["name", "labels", "annotations"] {
                        copy["metadata"][field] = object["metadata"][field].clone();
                    }
                    store.delete(resource, &key, &how)?;
                    store.create(resource, NAMESPACE, copy).map(|_| ())
                });
            }
        }
    }
}

fn apply(api: &Api, object: &Value) {
    let Some(resource) = object["kind"].as_str().and_then(by_kind) else { return };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let key = Key::new(resource.kind, NAMESPACE, name);
    let _ = api.change("person", |store| match store.get(&key) {
        None => store.create(resource, NAMESPACE, object.clone()),
        Some(_) => store.merge(resource, &key, &json!({"spec": object["spec"]}), false),
    });
}

/// All scenarios: together they use every feature.
pub fn all() -> Vec<Scenario> {
    [serving::all(), runs::all(), restores::all(), contracts::all(), judging::all()].into_iter().flatten().collect()
}
