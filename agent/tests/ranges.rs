//! Large objects come in parts, several at once: none twice, and never parts of two versions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use seatrial_core::contract::{ExitCode, paths};
use support::{Pod, anonymous, by_uri, fetch_config};
use tokio::net::TcpListener;

const PART: usize = 8 << 20;
const SIZE: usize = 2 * PART + 12_345;

/// A server of one object.
#[derive(Default)]
struct Object {
    version: u8,
    /// How often each part was sent, by where it begins.
    sent: BTreeMap<usize, usize>,
    /// How often the second part is still refused.
    refused: usize,
    /// After so many parts, the object is another.
    changes_after: Option<usize>,
}

fn content(version: u8) -> Vec<u8> {
    let mut content: Vec<u8> = (0..251).map(|at| at ^ version).collect::<Vec<u8>>().repeat(SIZE / 251 + 1);
    content.truncate(SIZE);
    content
}

async fn answer(State(object): State<Arc<Mutex<Object>>>, method: Method, headers: HeaderMap) -> Response {
    let mut object = object.lock().unwrap();
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let tag = format!("\"version-{}\"", object.version);
    let known = [("etag", tag.clone()), ("last-modified", "Tue, 24 Nov 2026 08:00:00 GMT".to_owned())];
    if method == Method::HEAD {
        return (known, [("content-length", SIZE.to_string())]).into_response();
    }
    // A large object that is asked for as a whole is one connection's work.
    let Some(range) = header("range") else { return StatusCode::BAD_REQUEST.into_response() };
    if header("if-match").is_some_and(|expected| expected != tag) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    if start == PART && object.refused > 0 {
        object.refused -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    *object.sent.entry(start).or_default() += 1;
    let body = content(object.version)[start..=end].to_vec();
    if object.changes_after == Some(object.sent.values().sum()) {
        object.version = 1;
    }
    (StatusCode::PARTIAL_CONTENT, known, [("content-range", format!("bytes {start}-{end}/{SIZE}"))], body)
        .into_response()
}

async fn fetch(object: Object) -> (Vec<u8>, Object) {
    let object = Arc::new(Mutex::new(object));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(object.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let pod = Pod::new("growth");
    let store = anonymous("s3://lake/", Some(endpoint));
    let mut config = fetch_config(vec![store], vec![by_uri("raw", "s3://lake/", "s3://lake/x")]);
    config.outage_seconds = 60;
    let end = pod.fetch(&config).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    serving.abort();
    let object = std::mem::take(&mut *object.lock().unwrap());
    (fs::read(pod.path(paths::INPUTS).join("raw/x")).unwrap(), object)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_costs_only_the_part_that_it_meets() {
    // More often than the library tries by itself.
    let (fetched, object) = fetch(Object { refused: 4, ..Object::default() }).await;
    assert!(fetched == content(0));
    assert_eq!(object.sent, [(0, 1), (PART, 1), (2 * PART, 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_two_versions_never_become_one_file() {
    for changes_after in [1, 2] {
        let (fetched, _) = fetch(Object { changes_after: Some(changes_after), ..Object::default() }).await;
        assert!(fetched == content(1), "after {changes_after}");
    }
}
