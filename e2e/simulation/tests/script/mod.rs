//! What the scripts share that are played on the simulation and on a real API server.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::Method;
use kube::Client;
use seatrial_e2e::ControlPlane;
use serde_json::{Value, json};

/// Merges one object into another.
pub(crate) fn merge(target: &mut Value, more: &Value) {
    match (target, more) {
        (Value::Object(target), Value::Object(more)) => {
            for (key, value) in more {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, more) => *target = more.clone(),
    }
}

/// Puts what earlier answers say into a body or path.
pub(crate) fn fill(value: &mut Value, answers: &BTreeMap<&str, Value>) {
    match value {
        Value::String(text) => {
            if let Some((name, pointer)) = text.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
                *value = answers[name]
                    .pointer(&format!("/{pointer}"))
                    .unwrap_or_else(|| panic!("{text}: {}", answers[name]))
                    .clone();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| fill(value, answers)),
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, answers)),
        _ => {}
    }
}

/// Sends a request: the code of the answer, and its body.
pub(crate) async fn send(client: &Client, method: &Method, path: &str, body: &Value) -> (u16, Value) {
    let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let content = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
    let request =
        http::Request::builder().method(method).uri(path).header("content-type", kind).body(content.into()).unwrap();
    let (parts, body) = client.send(request).await.unwrap().into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
    (parts.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
}

/// A real API server that is ready, and a client of it.
pub(crate) async fn control_plane(name: &str) -> (ControlPlane, Client) {
    let plane = ControlPlane::start(name).await.unwrap();
    let client = seatrial_e2e::client(&plane.kubeconfig).await.unwrap();
    // The namespace and its first objects are there before the script begins.
    for path in ["/api/v1/namespaces/default", "/api/v1/namespaces/default/serviceaccounts/default"] {
        let ready = async || Ok(send(&client, &Method::GET, path, &json!(null)).await.0 == 200);
        seatrial_e2e::wait_until(path, Duration::from_secs(60), ready).await.unwrap();
    }
    (plane, client)
}

/// The lines in which both differ.
pub(crate) fn differences(real: &[(String, Value)], simulated: &[(String, Value)]) -> Vec<String> {
    let all = real.iter().zip(simulated).filter(|(real, simulated)| real != simulated);
    all.map(|(real, simulated)| format!("{}:\n  real      {}\n  simulated {}", real.0, real.1, simulated.1)).collect()
}
