//! Plays one list of requests on the simulation and on a real API server, and compares what both answer.
//!
//! Compared are codes, reasons, and what the operator reads of objects; not what a real API server adds by schemas and
//! defaults. Needs the programs of `e2e/cluster`: `e2e/run` runs it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod script;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use http::Method;
use jiff::Timestamp;
use kube::Client;
use script::{control_plane, differences, fill, merge, send};
use seatrial_simulation::api::Api;
use seatrial_simulation::models::{self, garbage::Garbage};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const RUNS: &str = "/apis/seatrial.dev/v1alpha1/namespaces/default/mlpipelineruns";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const REVISIONS: &str = "/apis/apps/v1/namespaces/default/controllerrevisions";

/// A request: a name by which later ones refer to its answer, and what is sent. In bodies and paths, `@name/a/b` is what
/// stands at `/a/b` of that answer.
type Step = (&'static str, Method, String, Value);

fn map(name: &str, more: &Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "x"}}, "data": {"a": "1"}});
    merge(&mut object, more);
    object
}

fn run(name: &str, more: &Value) -> Value {
    let mut object = json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun", "metadata": {"name": name}, "spec": {"pipeline": "churn"}});
    merge(&mut object, more);
    object
}

/// The script. Each line is something that the operator does, or meets.
fn script() -> Vec<Step> {
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let at = |path: &str, name: &str| format!("{path}/{name}");
    let versioned = |from: &str| json!({"metadata": {"resourceVersion": from}});
    let owned = |by: &str| {
        json!({"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": by, "controller": true}]}})
    };
    let step = |name, method: &Method, path: String, body: Value| (name, method.clone(), path, body);
    vec![
        step("nothing there", &get, at(MAPS, "a"), Value::Null),
        step("no such kind", &get, "/api/v1/namespaces/default/nosuch".into(), Value::Null),
        step("created", &post, MAPS.into(), map("a", &json!({}))),
        step("created again", &post, MAPS.into(), map("a", &json!({}))),
        step("created with a version", &post, MAPS.into(), map("z", &versioned("5"))),
        step(
            "created without a name",
            &post,
            MAPS.into(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        ),
        step("created in no namespace", &post, MAPS.replace("default", "nowhere"), map("a", &json!({}))),
        step("read", &get, at(MAPS, "a"), Value::Null),
        step(
            "replaced",
            &put,
            at(MAPS, "a"),
            map(
                "a",
                &json!({"metadata": {"resourceVersion": "@created/metadata/resourceVersion"}, "data": {"a": "2"}}),
            ),
        ),
        step(
            "replaced with an old version",
            &put,
            at(MAPS, "a"),
            map("a", &versioned("@created/metadata/resourceVersion")),
        ),
        step("replaced by nothing new", &put, at(MAPS, "a"), map("a", &json!({"data": {"a": "2"}}))),
        step("replaced under another name", &put, at(MAPS, "a"), map("b", &json!({}))),
        step(
            "replaced with another UID",
            &put,
            at(MAPS, "a"),
            map("a", &json!({"metadata": {"uid": "11111111-1111-1111-1111-111111111111"}})),
        ),
        step(
            "created by a replacement",
            &put,
            at(LEASES, "other"),
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "other", "resourceVersion": "1"}, "spec": {"holderIdentity": "x"}}),
        ),
        step("merged", &patch, at(MAPS, "a"), json!({"data": {"b": "3", "a": null}})),
        step("not there to merge", &patch, at(MAPS, "b"), json!({"data": {"b": "3"}})),
        step("leaves the selection", &patch, at(MAPS, "a"), json!({"metadata": {"labels": {"app": "y"}}})),
        step("comes back to it", &patch, at(MAPS, "a"), json!({"metadata": {"labels": {"app": "x"}}})),
        step(
            "deleted with another UID",
            &delete,
            at(MAPS, "a"),
            json!({"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}}),
        ),
        step(
            "deleted with an old version",
            &delete,
            at(MAPS, "a"),
            json!({"preconditions": {"resourceVersion": "@created/metadata/resourceVersion"}}),
        ),
        step(
            "deleted",
            &delete,
            at(MAPS, "a"),
            json!({"propagationPolicy": "Background", "preconditions": {"uid": "@created/metadata/uid"}}),
        ),
        step("deleted again", &delete, at(MAPS, "a"), Value::Null),
        step("held", &post, MAPS.into(), map("held", &json!({"metadata": {"finalizers": ["example.com/hold"]}}))),
        step("deleted though held", &delete, at(MAPS, "held"), Value::Null),
        step("deleted twice though held", &delete, at(MAPS, "held"), Value::Null),
        step("changed while it goes", &patch, at(MAPS, "held"), json!({"data": {"a": "9"}})),
        step("let go", &patch, at(MAPS, "held"), json!({"metadata": {"finalizers": null}})),
        step("gone", &get, at(MAPS, "held"), Value::Null),
        step("run", &post, RUNS.into(), run("r", &json!({"status": {"revision": 7}}))),
        step(
            "run's status",
            &put,
            at(RUNS, "r/status"),
            run(
                "r",
                &json!({"metadata": {"resourceVersion": "@run/metadata/resourceVersion", "labels": {"ignored": "yes"}}, "status": {"revision": 1}}),
            ),
        ),
        step(
            "run's status, late",
            &put,
            at(RUNS, "r/status"),
            run(
                "r",
                &json!({"metadata": {"resourceVersion": "@run/metadata/resourceVersion"}, "status": {"revision": 2}}),
            ),
        ),
        step("run's labels", &patch, at(RUNS, "r"), json!({"metadata": {"labels": {"by": "hand"}}})),
        step(
            "run without its status",
            &put,
            at(RUNS, "r"),
            run("r", &json!({"metadata": {"resourceVersion": "@run's labels/metadata/resourceVersion"}})),
        ),
        step("status of what has none", &put, at(REVISIONS, "x/status"), json!({"metadata": {"name": "x"}})),
        step(
            "lease",
            &post,
            LEASES.into(),
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "x"}}),
        ),
        step(
            "lease taken",
            &put,
            at(LEASES, "l"),
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "resourceVersion": "@lease/metadata/resourceVersion"}, "spec": {"holderIdentity": "y"}}),
        ),
        step(
            "lease taken late",
            &put,
            at(LEASES, "l"),
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "resourceVersion": "@lease/metadata/resourceVersion"}, "spec": {"holderIdentity": "z"}}),
        ),
        step("owner", &post, MAPS.into(), map("owner", &json!({}))),
        step("child", &post, MAPS.into(), map("child", &owned("@owner/metadata/uid"))),
        step(
            "selected",
            &get,
            format!("{MAPS}?labelSelector=app%3Dx&fieldSelector=metadata.name%3Downer"),
            Value::Null,
        ),
        step("excluded", &get, format!("{MAPS}?labelSelector=app%2Capp+notin+%28x%29"), Value::Null),
        step("owner deleted", &delete, at(MAPS, "owner"), json!({"propagationPolicy": "Background"})),
        step("gone: child", &get, at(MAPS, "child"), Value::Null),
        step("child of nobody", &post, MAPS.into(), map("orphan", &owned("22222222-2222-2222-2222-222222222222"))),
        step("gone: orphan", &get, at(MAPS, "orphan"), Value::Null),
    ]
}

/// What is compared of an answer.
fn essence(code: u16, answer: &Value, versions: &mut BTreeMap<String, String>) -> Value {
    if answer["kind"] == "Status" {
        let causes: Vec<&Value> =
            answer["details"]["causes"].as_array().into_iter().flatten().map(|cause| &cause["reason"]).collect();
        // A deletion answers with the object, or with what was deleted.
        return json!({"code": code, "reason": answer["reason"], "causes": if code < 300 { vec![] } else { causes }});
    }
    if let Some(items) = answer["items"].as_array() {
        return json!({"code": code, "items": items.iter().map(|item| &item["metadata"]["name"]).collect::<Vec<_>>()});
    }
    let metadata = &answer["metadata"];
    let name = format!("{}/{}", answer["kind"], metadata["name"]);
    let version = metadata["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let is_same = versions.insert(name, version.clone()) == Some(version);
    json!({
        "code": code, "name": metadata["name"], "labels": metadata["labels"], "generation": metadata["generation"],
        "finalizers": metadata["finalizers"], "is deleted": !metadata["deletionTimestamp"].is_null(),
        "grace": metadata["deletionGracePeriodSeconds"], "data": answer["data"], "status": answer["status"],
        "holder": answer["spec"]["holderIdentity"], "version is as before": is_same,
    })
}

/// All answers, and what watches say of it.
async fn play(client: &Client) -> Vec<(String, Value)> {
    let listed = send(client, &Method::GET, MAPS, &Value::Null).await.1;
    let start = listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let (mut answers, mut versions, mut played) = (BTreeMap::new(), BTreeMap::new(), vec![]);
    for (name, method, path, mut body) in script() {
        fill(&mut body, &answers);
        let (mut code, mut answer) = send(client, &method, &path, &body).await;
        for _ in 0..300 {
            if code == 404 || !name.starts_with("gone") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            (code, answer) = send(client, &method, &path, &body).await;
        }
        let essence = if method == Method::DELETE && code < 300 && answer["metadata"]["deletionTimestamp"].is_null() {
            json!({"code": code})
        } else {
            essence(code, &answer, &mut versions)
        };
        played.push((name.to_owned(), essence));
        answers.insert(name, answer);
    }
    for (what, query) in [
        ("watched", format!("{MAPS}?watch=true&timeoutSeconds=2&resourceVersion={start}&labelSelector=app%3Dx")),
        (
            "watched in another namespace",
            format!("{}?watch=true&timeoutSeconds=1&resourceVersion={start}", MAPS.replace("default", "kube-system")),
        ),
    ] {
        played.push((what.to_owned(), watch(client, &query).await));
    }
    send(client, &Method::POST, MAPS, &map("last", &json!({}))).await;
    let initial = format!(
        "{MAPS}?watch=true&timeoutSeconds=2&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=app%3Dx"
    );
    played.push(("watched with its beginning".to_owned(), watch(client, &initial).await));
    played
}

async fn watch(client: &Client, query: &str) -> Value {
    let request = http::Request::get(query).body(kube::client::Body::empty()).unwrap();
    let (parts, body) = client.send(request).await.unwrap().into_parts();
    let mut text = vec![];
    let mut stream = Body::new(body).into_data_stream();
    while let Some(Ok(bytes)) = stream.next().await {
        text.extend_from_slice(&bytes);
    }
    let text = String::from_utf8(text).unwrap();
    let events = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["type"] != "BOOKMARK" || !event["object"]["metadata"]["annotations"].is_null());
    let events: Vec<Value> = events
        .map(|event| {
            let object = &event["object"];
            json!([
                event["type"],
                object["metadata"]["name"],
                object["metadata"]["labels"],
                object["data"],
                object["metadata"]["annotations"],
                object["code"]
            ])
        })
        .collect();
    json!({"code": parts.status.as_u16(), "events": events})
}

fn simulated() -> Vec<(String, Value)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let api = Api::new(Timestamp::from_second(1_800_000_000).unwrap(), None);
        api.add_namespace("kube-system");
        let models = tokio::spawn(models::run(api.clone(), vec![Box::new(Garbage::default())]));
        let played = play(&api.client("conformance")).await;
        models.abort();
        played
    })
}

#[test]
fn the_simulation_answers_to_every_line_of_the_script() {
    let played: BTreeMap<String, Value> = simulated().into_iter().collect();
    assert_eq!(played["created again"]["reason"], "AlreadyExists");
    assert_eq!(played["lease taken late"]["reason"], "Conflict");
    assert_eq!(played["run without its status"]["status"]["revision"], 1);
    assert_eq!(played["gone: child"]["code"], 404);
}

#[tokio::test]
#[ignore = "needs a real API server"]
async fn the_simulation_answers_as_a_real_api_server_does() {
    let (_plane, client) = control_plane("simulation").await;
    let real = play(&client).await;
    let simulated = tokio::task::spawn_blocking(simulated).await.unwrap();
    let differences = differences(&real, &simulated);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
