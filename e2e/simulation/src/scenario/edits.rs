//! What people and other programs change of the operator's own objects.

use serde_json::{Value, json};

use super::Action::{Await, Merge};
use super::Scenario;
use super::ends::{get, reason, servers, serves, until, well};
use super::objects::{deployment, model, pipeline};
use crate::api::Store;

/// Somebody changes the served Deployment: its image, and how many servers there are.
fn edit_servers(store: &Store) -> Option<(&'static str, String, Value)> {
    let found = servers(store, "churn-v1");
    let mut containers = found["spec"]["template"]["spec"]["containers"].clone();
    containers.get_mut(0)?["image"] = "server:by-hand".into();
    let spec = json!({"replicas": 3, "template": {"spec": {"containers": containers}}});
    Some(("Deployment", found["metadata"]["name"].as_str()?.to_owned(), json!({"spec": spec})))
}

/// Another program wants the Service to listen elsewhere.
fn edit_service(store: &Store) -> Option<(&'static str, String, Value)> {
    let mut ports = get(store, "Service", "churn")["spec"]["ports"].clone();
    ports.get_mut(0)?["port"] = 8888.into();
    Some(("Service", "churn".to_owned(), json!({"spec": {"ports": ports}})))
}

fn port(store: &Store) -> &Value {
    &get(store, "Service", "churn")["spec"]["ports"][0]["port"]
}

/// Whether people hear of the other program.
fn is_told(store: &Store) -> bool {
    reason(get(store, "ModelDeployment", "churn"), "FieldConflict") == "SecondWriter"
}

/// What is missing until the other program has its way, and people hear of it.
fn left_alone(store: &Store) -> Option<String> {
    let deployment = get(store, "ModelDeployment", "churn");
    let field = deployment["status"]["corrections"].as_array().into_iter().flatten().find(|it| it["kind"] == "Service");
    let count = field.map_or(&Value::Null, |field| &field["count"]);
    (!is_told(store) || port(store) != 8888 || count != 3).then(|| {
        format!("the Service should have been put right three times, then left alone: {count}, {}", port(store))
    })
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let mut actions = vec![
        (0, model()),
        (0, deployment()),
        (1, pipeline("churn:1")),
        (2, Await("churn-v1 serves", |store| serves(store, "churn-v1"))),
        (2, Merge(edit_servers)),
        (
            3,
            Await("the servers are as they were", |store| {
                let spec = &servers(store, "churn-v1")["spec"];
                spec["replicas"] == 1
                    && spec["template"]["spec"]["containers"][0]["image"] == "server:1"
                    && serves(store, "churn-v1")
            }),
        ),
    ];
    actions.extend([(20, Merge(edit_service)), (21, Await("the Service is put right", |store| port(store) == 80))]);
    // A crash may spend one correction without its write: how often more it is put right is the operator's affair.
    for _ in 0..4 {
        actions.extend([
            (22, Merge(edit_service)),
            (23, Await("the Service is put right, or left alone", |store| port(store) == 80 || is_told(store))),
        ]);
    }
    vec![Scenario {
        name: "edited",
        actions,
        fates: well,
        missing: |store| until(store, &[("churn-c1", true)], None).or_else(|| left_alone(store)),
        once: true,
    }]
}
