//! How pods end, and what must have come of it.

use crate::api::{Key, Store};
use crate::models::has_condition;
use crate::models::pods::Fate;

use super::NAMESPACE;

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
