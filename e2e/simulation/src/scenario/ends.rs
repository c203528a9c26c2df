//! How pods end, and what must have come of it.

use serde_json::Value;

use super::NAMESPACE;
use crate::api::{Key, Store, by_kind};
use crate::models::has_condition;
use crate::models::pods::Fate;

/// An object; null where there is none.
pub(super) fn get<'a>(store: &'a Store, kind: &str, name: &str) -> &'a Value {
    let found = by_kind(kind).and_then(|resource| store.get(&Key::new(resource.kind, NAMESPACE, name)));
    found.map_or(&Value::Null, AsRef::as_ref)
}

/// The reason of a condition of an object; empty where it has no such condition.
pub(super) fn reason<'a>(object: &'a Value, condition: &str) -> &'a str {
    let all = object["status"]["conditions"].as_array();
    let found = all.into_iter().flatten().find(|known| known["type"] == condition);
    found.and_then(|found| found["reason"].as_str()).unwrap_or_default()
}

/// The label of an object; empty where it has none.
pub(super) fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["labels"][name].as_str().unwrap_or_default()
}

/// The servers' Deployment of a version; null where there is none.
pub(super) fn servers<'a>(store: &'a Store, version: &str) -> &'a Value {
    let mut all = store.of_kind("Deployment").map(|(_, deployment)| deployment.as_ref());
    all.find(|deployment| label(deployment, "seatrial.dev/version") == version).unwrap_or(&Value::Null)
}

/// The pods of a version's servers.
pub(super) fn pods_of<'a>(store: &'a Store, version: &str) -> Vec<&'a Value> {
    let uid = &servers(store, version)["metadata"]["uid"];
    let pods = store.of_kind("Pod").map(|(_, pod)| pod.as_ref());
    pods.filter(|pod| !uid.is_null() && &pod["metadata"]["ownerReferences"][0]["uid"] == uid).collect()
}

/// Whether this version is served, and all is well.
pub(super) fn serves(store: &Store, version: &str) -> bool {
    until(store, &[], Some(version)).is_none()
}

pub(super) fn well(_: &str, _: usize) -> Fate {
    Fate::Succeeds
}

/// What is missing until these runs have ended so, and this version is served.
pub(super) fn until(store: &Store, runs: &[(&str, bool)], served: Option<&str>) -> Option<String> {
    for (name, well) in runs {
        let Some(run) = store.get(&Key::new("MLPipelineRun", NAMESPACE, name)) else {
            return Some(format!("there is no run {name}"));
        };
        if run["status"]["finishedAt"].is_null() {
            return Some(format!("run {name} has not ended"));
        }
        if has_condition(run, "Succeeded") != *well {
            return Some(format!("run {name} should have ended {}", if *well { "well" } else { "badly" }));
        }
    }
    let version = served?;
    let bundle = store.get(&Key::new("ConfigMap", NAMESPACE, "seatrial-trust-bundle"));
    if bundle.is_none_or(|bundle| bundle["data"]["ca.crt"] != "pem") {
        return Some("the namespace does not say whom agents trust".to_owned());
    }
    let service = store.get(&Key::new("Service", NAMESPACE, "churn"));
    let found = service.and_then(|service| service["metadata"]["labels"]["seatrial.dev/version"].as_str());
    if found != Some(version) {
        return Some(format!("{version} is not served, but {}", found.unwrap_or("nothing")));
    }
    let deployment = store.get(&Key::new("ModelDeployment", NAMESPACE, "churn"));
    deployment
        .is_none_or(|deployment| !has_condition(deployment, "Ready"))
        .then(|| "the ModelDeployment is not ready".to_owned())
}
