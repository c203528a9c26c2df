//! What people do, what becomes of the pods, and what must have come of it in the end.

mod contracts;
mod edits;
mod ends;
mod judging;
mod objects;
mod restores;
mod runs;
mod serving;
mod waiting;

use serde_json::{Value, json};

use crate::api::{Api, Deletion, Key, Resource, Store, by_kind};
use crate::models::pods::Fate;

/// The namespace of all that a scenario makes.
pub const NAMESPACE: &str = "growth";
/// The name of the admission policy that proves who writes Approvals, where there is one.
pub const APPROVALS: &str = "seatrial-approvals";

/// What a person does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Creates an object, or changes its spec.
    Apply(Value),
    /// The same, with an object that follows from what is there.
    Derive(fn(&Store) -> Option<Value>),
    /// Merges something into an object that is there: its kind, its name, and what is merged.
    Merge(fn(&Store) -> Option<(&'static str, String, Value)>),
    /// Deletes an object.
    Delete(&'static str, &'static str),
    /// Deletes an object, and creates it again from a file that says everything but its status, as backups do.
    Restore(&'static str, &'static str),
    /// Does nothing more until this is so, as the words say. It must come.
    Await(&'static str, fn(&Store) -> bool),
}

/// A scenario.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What people do, one after the other, and not before which second.
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
            Self::Derive(object) => {
                if let Some(object) = api.look(object) {
                    apply(api, &object);
                }
            }
            Self::Merge(patch) => {
                let Some((kind, name, patch)) = api.look(patch) else { return };
                let Some((resource, key)) = place(kind, &name) else { return };
                let _ = api.change("person", |store| store.merge(resource, &key, &patch, false));
            }
            Self::Delete(kind, name) => {
                let Some((resource, key)) = place(kind, name) else { return };
                let how = Deletion { propagation: "Background".into(), ..Deletion::default() };
                let _ = api.change("person", |store| store.delete(resource, &key, &how));
            }
            Self::Restore(kind, name) => {
                let Some((resource, key)) = place(kind, name) else { return };
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
            Self::Await(..) => {}
        }
    }

    /// Whether it may be done now; `Await` alone waits.
    pub fn may_begin(&self, store: &Store) -> bool {
        match self {
            Self::Await(_, is_so) => is_so(store),
            _ => true,
        }
    }
}

fn place(kind: &str, name: &str) -> Option<(&'static Resource, Key)> {
    let resource = by_kind(kind)?;
    Some((resource, Key::new(resource.kind, if resource.namespaced { NAMESPACE } else { "" }, name)))
}

fn apply(api: &Api, object: &Value) {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let Some((resource, key)) = place(kind, name) else { return };
    let _ = api.change("person", |store| match store.get(&key) {
        None => store.create(resource, &key.namespace, object.clone()),
        Some(_) => store.merge(resource, &key, &json!({"spec": object["spec"]}), false),
    });
}

/// All scenarios: together they use every feature.
pub fn all() -> Vec<Scenario> {
    let subjects =
        [serving::all(), runs::all(), restores::all(), contracts::all(), judging::all(), waiting::all(), edits::all()];
    subjects.into_iter().flatten().collect()
}
