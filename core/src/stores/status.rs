//! What a Store's status says: whether steps and servers are told to use it. Whether it answers is said by those that ask it.

use jiff::Timestamp;
use seatrial_crds::StoreStatus;

use super::{DEFAULT, StoreProblem, is_forbidden, seniority};
use crate::conditions::{self, Status, types};
use crate::observed::StoreObserved;
use crate::plan::Plan;

/// Decides what a Store's status says.
pub fn plan(observed: &StoreObserved, now: Timestamp) -> Plan<StoreStatus> {
    let store = &observed.store;
    if store.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let generation = store.metadata.generation;
    let mut conditions = store.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let (ready, reason, message) = judge(observed);
    conditions::set(&mut conditions, types::READY, ready, reason, message.clone(), generation, now);
    if ready == Status::True {
        conditions::remove(&mut conditions, types::STALLED);
    } else {
        conditions::set(&mut conditions, types::STALLED, Status::True, reason, message, generation, now);
    }
    let status = StoreStatus { observed_generation: generation, conditions };
    Plan { status: (store.status.as_ref() != Some(&status)).then_some(status), ..Plan::default() }
}

fn judge(observed: &StoreObserved) -> (Status, &'static str, String) {
    let store = observed.store.as_ref();
    let prefix = &store.spec.prefix;
    let takes_artifacts = store.metadata.name.as_deref() == Some(DEFAULT);
    if is_forbidden(prefix) {
        let problem = StoreProblem::Forbidden(prefix.clone());
        return (Status::False, problem.reason(), problem.to_string());
    }
    if takes_artifacts && !prefix.starts_with("s3://") {
        let problem = StoreProblem::ReadOnly(prefix.clone());
        return (Status::False, problem.reason(), problem.to_string());
    }
    let of_the_prefix = observed.stores.iter().filter(|other| other.spec.prefix == *prefix);
    let used = of_the_prefix.min_by_key(|other| seniority(other));
    if let Some(other) = used.filter(|other| seniority(other) < seniority(store)) {
        let other = other.metadata.name.as_deref().unwrap_or_default();
        let why = if other == DEFAULT { "it takes the artifacts" } else { "it is the older" };
        let message = format!(
            "the Store \"{other}\" has the same prefix and is used instead, since {why}: delete this one, or give it another prefix"
        );
        return (Status::False, "PrefixTaken", message);
    }
    let and = if takes_artifacts { "; it takes the artifacts of the namespace's runs" } else { "" };
    (Status::True, "Accepted", format!("what begins with \"{prefix}\" is reached by it{and}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seatrial_crds::Store;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::platform::Platform;
    use crate::stores;

    fn store(name: &str, prefix: &str, second: u8) -> Arc<Store> {
        let created = format!("2026-11-27T12:00:{second:02}Z");
        let metadata = json!({"name": name, "namespace": "growth", "generation": 2, "creationTimestamp": created});
        let store = json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": "Store", "metadata": metadata, "spec": {"prefix": prefix}});
        Arc::new(from_value(store).unwrap())
    }

    fn now() -> Timestamp {
        "2026-11-27T13:00:00Z".parse().unwrap()
    }

    fn decided(store: &Arc<Store>, stores: &[Arc<Store>]) -> Value {
        let plan = plan(&StoreObserved { store: store.clone(), stores: stores.to_vec() }, now());
        let status = plan.status.unwrap();
        assert_eq!(status.observed_generation, Some(2));
        let find = |kind: &str| {
            conditions::find(&status.conditions, kind)
                .map(|it| (it.status.clone(), it.reason.clone(), it.message.clone()))
        };
        let (ready, reason, message) = find(types::READY).unwrap();
        assert_eq!(find(types::STALLED).is_some(), ready == "False", "{message}");
        // What is written is right.
        let mut written = store.as_ref().clone();
        written.status = Some(status);
        let again = super::plan(&StoreObserved { store: Arc::new(written), stores: stores.to_vec() }, now());
        assert_eq!(again, Plan::default());
        json!([ready, reason, message])
    }

    #[test]
    fn a_store_says_whether_it_is_used() {
        for (name, prefix, ready, reason, words) in [
            ("lake", "s3://lake/", "True", "Accepted", "what begins with \"s3://lake/\" is reached by it"),
            ("default", "s3://growth/", "True", "Accepted", "it takes the artifacts"),
            ("default", "https://growth/", "False", "StoreReadOnly", "use an s3:// prefix"),
            ("lake", "http://metadata/x/", "False", "ForbiddenAddress", "is never fetched"),
        ] {
            let it = store(name, prefix, 0);
            let found = decided(&it, std::slice::from_ref(&it));
            assert_eq!((&found[0], &found[1]), (&ready.into(), &reason.into()), "{found}");
            assert!(found[2].as_str().unwrap().contains(words), "{found}");
        }
    }

    /// The Store that runs write to is the one that what they wrote is read by.
    #[test]
    fn the_store_of_the_artifacts_is_used_before_an_older_one() {
        let (older, default) = (store("lake", "s3://growth/", 1), store("default", "s3://growth/", 2));
        let stores = [older.clone(), default.clone()];
        let used = stores::for_uri("s3://growth/x", "growth", &stores, &Platform::default()).unwrap();
        let writes = stores::for_artifacts("growth", &stores, &Platform::default()).unwrap();
        assert_eq!((used.config.name.as_deref(), writes.config.name.as_deref()), (Some("default"), Some("default")));
        assert_eq!(decided(&default, &stores)[0], "True");
        let found = decided(&older, &stores);
        assert_eq!(found[1], "PrefixTaken");
        assert!(found[2].as_str().unwrap().contains("it takes the artifacts: delete this one"), "{found}");
    }

    /// The one that says so is the one that steps are told to use, in whatever order they are listed.
    #[test]
    fn of_stores_of_one_prefix_the_oldest_is_used() {
        let (first, second) = (store("b", "s3://lake/", 1), store("a", "s3://lake/", 2));
        let (twin, other) = (store("c", "s3://lake/", 1), store("d", "s3://lake/raw/", 0));
        for stores in [[&first, &second, &twin, &other], [&other, &twin, &second, &first]] {
            let stores = stores.map(Clone::clone);
            let used = stores::for_uri("s3://lake/x", "growth", &stores, &Platform::default()).unwrap();
            assert_eq!(used.config.name.as_deref(), Some("b"));
            for (store, ready) in [(&first, "True"), (&second, "False"), (&twin, "False"), (&other, "True")] {
                let found = decided(store, &stores);
                assert_eq!(found[0], ready, "{found}");
                let says_which = found[2].as_str().unwrap().contains("the Store \"b\" has the same prefix");
                assert_eq!((says_which, found[1] == "PrefixTaken"), (ready == "False", ready == "False"), "{found}");
            }
        }
    }
}
