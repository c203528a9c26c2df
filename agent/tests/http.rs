//! The agent's program against plain web servers, also those that mean no good.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use futures::{StreamExt, stream};
use seatrial_core::contract::{Digest, ExitCode, StoreConfig, paths};
use support::{Disk, End, Pod, anonymous, by_uri, fetch_config};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn fetch(pod: &Pod, prefix: &str, uri: &str, patience: u32) -> End {
    let mut config = fetch_config(vec![anonymous(prefix, None)], vec![by_uri("raw", prefix, uri)]);
    config.outage_seconds = patience;
    pod.fetch(&config).await
}

#[tokio::test]
async fn a_file_is_fetched_by_http_and_its_digest_reported() {
    let router = Router::new()
        .route("/data/Hdma%20v1.csv", get(async || "dir,hir\n"))
        .route("/data/moved.csv", get(async || Redirect::temporary("/data/Hdma%20v1.csv")));
    let prefix = format!("http://{}/data/", serve(router).await);
    for (file, name) in [("Hdma%20v1.csv", "Hdma v1.csv"), ("moved.csv", "moved.csv")] {
        let pod = Pod::new("growth");
        let end = fetch(&pod, &prefix, &format!("{prefix}{file}"), 60).await;
        assert_eq!(end.code, ExitCode::Success, "{end:?}");
        assert_eq!(end.message.inputs[0].size, 8);
        let path = pod.path(paths::INPUTS).join("raw").join(name);
        assert_eq!(fs::read_to_string(path).unwrap(), "dir,hir\n");
    }
    let pod = Pod::new("growth");
    let missing = fetch(&pod, &prefix, &format!("{prefix}none.csv"), 60).await;
    assert_eq!(missing.code, ExitCode::InputNotFound);
    let folder = fetch(&pod, &prefix, &prefix, 60).await;
    assert!(folder.text().contains("name one file"), "{}", folder.text());
}

/// A web server must not be able to send the agent where only the node's own programs may go.
#[tokio::test]
async fn redirects_to_other_hosts_and_metadata_services_are_not_followed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let other = Router::new().fallback(async move || {
        counter.fetch_add(1, Ordering::Relaxed);
        "a secret"
    });
    let other = serve(other).await;
    // Another host, and another program on the same one.
    let elsewhere = format!("http://localhost:{}/secret?signature=x", other.port());
    let beside = format!("http://127.0.0.1:{}/secret", other.port());
    let router = Router::new()
        .route("/elsewhere", get(async move || Redirect::temporary(&elsewhere)))
        .route("/beside", get(async move || Redirect::temporary(&beside)))
        .route("/circle", get(async || Redirect::temporary("/circle")))
        .route("/metadata", get(async || Redirect::temporary("http://169.254.169.254/latest/meta-data/")));
    let prefix = format!("http://{}/", serve(router).await);
    for file in ["elsewhere", "beside", "metadata", "circle"] {
        let pod = Pod::new("growth");
        // Were it taken for an outage, it would be waited for.
        let end = fetch(&pod, &prefix, &format!("{prefix}{file}"), 3600).await;
        assert_eq!(end.code, ExitCode::InputNotFound, "{end:?}");
        let expected = match file {
            "metadata" => "http://169.254.169.254/latest/meta-data/, which is a link-local address".to_owned(),
            "circle" => "redirects more than 5 times".to_owned(),
            "beside" => format!("create a Store of the prefix {prefix} with \"127.0.0.1:{}\"", other.port()),
            _ => format!("create a Store of the prefix {prefix} with \"localhost:{}\"", other.port()),
        };
        assert!(end.text().contains(&expected) && !end.text().contains("signature"), "{}", end.text());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let pod = Pod::new("growth");
    for prefix in ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://100.100.100.200/"] {
        let end = fetch(&pod, prefix, &format!("{prefix}latest"), 3600).await;
        assert_eq!(end.code, ExitCode::InputNotFound, "{end:?}");
        assert!(end.text().contains("metadata service"), "{}", end.text());
    }
}

/// As model hubs and release pages answer: a file is elsewhere, at an address that holds a signature. What is there is
/// taken if the Store says so, and nothing but the address goes along. What breaks off is gone on with there, too.
#[tokio::test]
async fn a_redirect_to_a_host_that_the_store_names_is_followed() {
    let seen = Arc::new(Mutex::new(vec![]));
    let requests = seen.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cdn = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let answer = if request.contains("range: bytes=4-") {
                "206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\nETag: \"one\"\r\n\r\ne file"
            } else {
                "200 OK\r\nContent-Length: 10\r\nETag: \"one\"\r\n\r\nwhol"
            };
            requests.lock().unwrap().push(request);
            let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await;
        }
    });
    let target = format!("http://localhost:{}/blob?signature=x", cdn.port());
    let router = Router::new().route("/model", get(async move || Redirect::temporary(&target)));
    let prefix = format!("http://{}/", serve(router).await);
    let store = StoreConfig {
        name: Some("hub".into()),
        redirect_hosts: vec![format!("localhost:{}", cdn.port())],
        ..anonymous(&prefix, None)
    };
    let uri = format!("{prefix}model?token=secret");
    let mut config = fetch_config(vec![store], vec![by_uri("raw", &prefix, &uri)]);
    config.outage_seconds = 60;
    let pod = Pod::new("growth");
    let end = pod.fetch(&config).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    assert_eq!(fs::read_to_string(pod.path(paths::INPUTS).join("raw/model")).unwrap(), "whole file");
    {
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen.iter().all(|one| one.starts_with("get /blob?signature=x ")), "{seen:?}");
        for secret in ["secret", "referer", "authorization", "cookie"] {
            assert!(seen.iter().all(|one| !one.contains(secret)), "{seen:?}");
        }
    }
    config.stores[0].redirect_hosts = vec!["localhost".into()];
    let end = pod.fetch(&config).await;
    let advice = format!("add \"localhost:{}\" to spec.redirectHosts of the Store hub", cdn.port());
    assert!(end.text().contains(&advice), "{}", end.text());
    assert_eq!((end.code, seen.lock().unwrap().len()), (ExitCode::InputNotFound, 2));
}

/// A server that breaks off is asked again; half a file is never taken for the whole.
#[tokio::test]
async fn a_body_that_breaks_off_is_fetched_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prefix = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for answer in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n";
            let body = if answer < 2 { "half" } else { "whole file" };
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    let pod = Pod::new("growth");
    let end = fetch(&pod, &prefix, &format!("{prefix}x"), 60).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    assert_eq!(fs::read_to_string(pod.path(paths::INPUTS).join("raw/x")).unwrap(), "whole file");
    assert_eq!(end.message.inputs[0].size, 10);
    assert_ne!(end.message.inputs[0].digest, Digest::of(b"whole file"), "it is the digest of the listing");
}

#[tokio::test]
async fn a_server_that_fails_is_an_outage() {
    let router = Router::new().route("/x", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let prefix = format!("http://{}/", serve(router).await);
    let pod = Pod::new("growth");
    let end = fetch(&pod, &prefix, &format!("{prefix}x"), 0).await;
    assert_eq!(end.code, ExitCode::StoreUnavailable, "{end:?}");
}

/// Eight pods in half an hour make no difference to them.
#[tokio::test]
async fn final_answers_end_at_once_and_passing_ones_are_waited_for() {
    let router = Router::new().route(
        "/{status}",
        get(async |axum::extract::Path(status): axum::extract::Path<u16>| StatusCode::from_u16(status).unwrap()),
    );
    let prefix = format!("http://{}/", serve(router).await);
    for (status, expected) in [
        (400, "400 Bad Request"),
        (401, "may not be read (401 Unauthorized)"),
        (403, "look at the Store's credentials"),
        (404, "does not exist"),
        (405, "405 Method Not Allowed"),
        (410, "does not exist"),
        (451, "451"),
    ] {
        let end = fetch(&Pod::new("growth"), &prefix, &format!("{prefix}{status}"), 3600).await;
        assert_eq!(end.code, ExitCode::InputNotFound, "{status}: {end:?}");
        assert!(end.text().contains(expected), "{status}: {}", end.text());
    }
    for status in [408, 425, 429, 503] {
        let end = fetch(&Pod::new("growth"), &prefix, &format!("{prefix}{status}"), 0).await;
        assert_eq!(end.code, ExitCode::StoreUnavailable, "{status}: {end:?}");
        assert!(end.text().contains(&status.to_string()), "{}", end.text());
    }
}

#[tokio::test]
async fn a_file_of_unannounced_length_is_fetched() {
    let router = Router::new().route(
        "/export",
        get(async || Body::from_stream(stream::iter(["a,b\n", "1,2\n"]).map(Ok::<_, std::io::Error>))),
    );
    let prefix = format!("http://{}/", serve(router).await);
    let pod = Pod::new("growth");
    let end = fetch(&pod, &prefix, &format!("{prefix}export"), 60).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    assert_eq!(fs::read_to_string(pod.path(paths::INPUTS).join("raw/export")).unwrap(), "a,b\n1,2\n");
}

#[tokio::test]
async fn a_file_that_is_announced_larger_than_the_disk_is_not_begun() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prefix = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1152921504606846976\r\n\r\nbeginning").await;
        }
    });
    let pod = Pod::new("growth");
    let end = fetch(&pod, &prefix, &format!("{prefix}x"), 3600).await;
    assert_eq!(end.code, ExitCode::InputTooLarge, "{end:?}");
    assert!(end.text().contains("1152921504606846976 bytes"), "{}", end.text());
}

#[tokio::test]
#[ignore = "needs root, for a small file system"]
async fn a_file_without_end_is_stopped_before_the_disk_is_full() {
    let endless =
        async || Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1 << 16]))));
    let prefix = format!("http://{}/", serve(Router::new().route("/x", get(endless))).await);
    let folder = TempDir::new().unwrap();
    let disk = Disk::new(folder.path(), "16m");
    let pod = Pod::with_volume("growth", folder, disk.0.clone());
    let end = fetch(&pod, &prefix, &format!("{prefix}x"), 3600).await;
    assert_eq!(end.code, ExitCode::InputTooLarge, "{end:?}");
    let written = fs::metadata(disk.0.join("inputs/raw/x")).unwrap().len();
    assert!((8 << 20..=12 << 20).contains(&written), "a quarter of the disk stays free: {written}");
}
