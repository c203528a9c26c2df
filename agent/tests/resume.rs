//! Transfers over connections that break: what was moved once is not moved again, and patience counts from the last
//! progress.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial_core::contract::{ExitCode, PodConfig, paths};
use seatrial_crds::OutputType;
use support::{Pod, anonymous, by_uri, fetch_config, publish_config, until};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server of one file that breaks every connection off after so many bytes.
struct Breaking {
    content: Vec<u8>,
    each: usize,
    /// From this connection on, it has another version.
    changes: usize,
}

impl Breaking {
    /// Serves it. Returns where, and the bytes that it has sent.
    async fn serve(self) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = sent.clone();
        tokio::spawn(async move {
            for connection in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (method, headers) = read_request(&mut stream).await;
                let version = usize::from(connection >= self.changes);
                let tag = format!("\"version-{version}\"");
                let header = |name: &str| headers.get(name).map(String::as_str);
                let content: Vec<u8> = self.content.iter().map(|byte| byte ^ version as u8).collect();
                let offset = header("range").and_then(|range| {
                    let offset = range.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok()?;
                    header("if-range").is_none_or(|known| known == tag).then_some(offset)
                });
                let total = content.len();
                let head = match offset {
                    _ if header("if-match").is_some_and(|known| known != tag) => {
                        "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0".to_owned()
                    }
                    Some(offset) => format!(
                        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {offset}-{}/{total}",
                        total - offset,
                        total - 1
                    ),
                    None => format!("HTTP/1.1 200 OK\r\nContent-Length: {total}"),
                };
                let rest = "Last-Modified: Tue, 24 Nov 2026 08:00:00 GMT\r\nConnection: close\r\n\r\n";
                stream.write_all(format!("{head}\r\nETag: {tag}\r\n{rest}").as_bytes()).await.unwrap();
                if method == "GET" && !head.contains(" 412 ") {
                    let body: Vec<u8> = content.into_iter().skip(offset.unwrap_or(0)).take(self.each).collect();
                    counter.fetch_add(body.len(), Ordering::Relaxed);
                    let _ = stream.write_all(&body).await;
                }
                let _ = stream.shutdown().await;
            }
        });
        (endpoint, sent)
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> (String, BTreeMap<String, String>) {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next_line().await.unwrap().unwrap_or_default();
    let mut headers = BTreeMap::new();
    while let Some((name, value)) =
        lines.next_line().await.unwrap().unwrap_or_default().split_once(':').map(|(n, v)| (n.to_owned(), v.to_owned()))
    {
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    (request.split(' ').next().unwrap_or_default().to_owned(), headers)
}

fn content() -> Vec<u8> {
    (0..20_000_u32).map(|number| (number % 251) as u8).collect()
}

/// By HTTP and by S3: all breaks together take longer than the patience with one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_is_gone_on_with() {
    for (is_s3, each) in [(false, 2_500), (true, 900)] {
        let (endpoint, sent) = Breaking { content: content(), each, changes: usize::MAX }.serve().await;
        let (prefix, store) = if is_s3 {
            ("s3://lake/".to_owned(), anonymous("s3://lake/", Some(endpoint)))
        } else {
            (format!("{endpoint}/"), anonymous(&format!("{endpoint}/"), None))
        };
        let pod = Pod::new("growth");
        let mut config = fetch_config(vec![store], vec![by_uri("raw", &prefix, &format!("{prefix}x"))]);
        config.outage_seconds = 2;
        let end = pod.fetch(&config).await;
        assert_eq!(end.code, ExitCode::Success, "{end:?}");
        assert!(fs::read(pod.path(paths::INPUTS).join("raw/x")).unwrap() == content());
        assert_eq!(sent.load(Ordering::Relaxed), content().len(), "nothing was sent twice");
    }
}

/// Halves of two versions never become one file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_begun_anew() {
    for is_s3 in [false, true] {
        let (endpoint, _) = Breaking { content: content(), each: 5_000, changes: 3 }.serve().await;
        let (prefix, store) = if is_s3 {
            ("s3://lake/".to_owned(), anonymous("s3://lake/", Some(endpoint)))
        } else {
            (format!("{endpoint}/"), anonymous(&format!("{endpoint}/"), None))
        };
        let pod = Pod::new("growth");
        let mut config = fetch_config(vec![store], vec![by_uri("raw", &prefix, &format!("{prefix}x"))]);
        config.outage_seconds = 60;
        let end = pod.fetch(&config).await;
        assert_eq!(end.code, ExitCode::Success, "{end:?}");
        let second_version: Vec<u8> = content().into_iter().map(|byte| byte ^ 1).collect();
        assert!(fs::read(pod.path(paths::INPUTS).join("raw/x")).unwrap() == second_version);
    }
}

/// What a mock of S3 was asked for, and what it is to answer.
#[derive(Default)]
struct Asked {
    begun: usize,
    aborted: usize,
    parts: Vec<String>,
    /// Refusals of the second part that are still to come.
    fail_second: usize,
    /// The second part is never answered.
    hang_second: bool,
    /// What `complete`, or any write, is answered.
    refuse: Option<(StatusCode, &'static str)>,
}

async fn s3(
    State(asked): State<Arc<Mutex<Asked>>>,
    method: Method,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    if asked.lock().unwrap().hang_second && query.get("partNumber").is_some_and(|part| part == "2") {
        return std::future::pending().await;
    }
    let mut asked = asked.lock().unwrap();
    let tag = HeaderMap::from_iter([(ETAG, "\"x\"".parse().unwrap())]);
    match (method.as_str(), query.get("partNumber"), query.contains_key("uploads"), query.contains_key("uploadId")) {
        ("HEAD" | "GET", ..) => StatusCode::NOT_FOUND.into_response(),
        ("POST", _, true, _) => {
            asked.begun += 1;
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>".into_response()
        }
        ("PUT", Some(part), ..) => {
            if part == "2" && asked.fail_second > 0 {
                asked.fail_second -= 1;
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            asked.parts.push(part.clone());
            tag.into_response()
        }
        ("DELETE", ..) => {
            asked.aborted += 1;
            StatusCode::NO_CONTENT.into_response()
        }
        _ => match asked.refuse {
            Some(refusal) => refusal.into_response(),
            None if body.starts_with(b"<Comp") => {
                "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>".into_response()
            }
            None => tag.into_response(),
        },
    }
}

/// A mock that listens.
struct Mock {
    asked: Arc<Mutex<Asked>>,
    endpoint: String,
    serving: JoinHandle<()>,
}

impl Mock {
    async fn serve(asked: Asked) -> Self {
        let asked = Arc::new(Mutex::new(asked));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let limit = axum::extract::DefaultBodyLimit::disable();
        let router = Router::new().fallback(s3).layer(limit).with_state(asked.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { asked, endpoint, serving }
    }

    fn config(&self, outputs: &[(&str, OutputType)], patience: u32) -> PodConfig {
        let mut config = publish_config(anonymous("s3://growth/", Some(self.endpoint.clone())), outputs);
        config.step.as_mut().unwrap().outage_seconds = patience;
        config
    }

    fn end(self) -> Asked {
        self.serving.abort();
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// Publishes a file of this size to the mock.
async fn publish(asked: Asked, size: usize, patience: u32) -> (support::End, Asked) {
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "content", &vec![7; size]);
    let mut outputs = vec![("x", OutputType::Any)];
    if asked.hang_second {
        pod.write_output("small", "content", b"small");
        outputs.push(("small", OutputType::Any));
    }
    let mock = Mock::serve(asked).await;
    let end = pod.publish(&mock.config(&outputs, patience)).await;
    (end, mock.end())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_with_the_part_that_an_outage_met() {
    // More often than the library tries by itself.
    let (end, asked) = publish(Asked { fail_second: 4, ..Asked::default() }, 20 << 20, 60).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    let mut parts = asked.parts;
    parts.sort();
    assert_eq!((asked.begun, asked.aborted, parts), (1, 0, ["1", "2", "3"].map(str::to_owned).to_vec()));
}

/// Stores charge for parts that nobody will ever put together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_left_in_the_middle_is_aborted() {
    let no = Some((StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code></Error>"));
    let (end, asked) = publish(Asked { hang_second: true, refuse: no, ..Asked::default() }, 20 << 20, 1).await;
    assert_eq!(end.code, ExitCode::StoreUnavailable, "{end:?}");
    assert_eq!((asked.begun, asked.aborted), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_a_drain_gives_up_is_aborted() {
    let pod = Pod::new("growth").with_argument("--last-effort=1");
    pod.command_ended(0);
    pod.write_output("x", "content", &vec![7; 20 << 20]);
    let mock = Mock::serve(Asked { fail_second: usize::MAX, ..Asked::default() }).await;
    let child = pod.start_publish(&mock.config(&[("x", OutputType::Any)], 3600));
    until("the upload waits", async || pod.probe().await == 1).await;
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    let end = pod.end(child).await;
    assert_eq!(end.code, ExitCode::Stopped, "{end:?}");
    let asked = mock.end();
    assert_eq!((asked.begun, asked.aborted), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_cannot_be_put_together_are_given_up() {
    let full = Some((StatusCode::INSUFFICIENT_STORAGE, "<Error><Code>DiskFull</Code></Error>"));
    let (end, asked) = publish(Asked { refuse: full, ..Asked::default() }, 9 << 20, 1).await;
    assert_eq!(end.code, ExitCode::StoreUnavailable, "{end:?}");
    assert!(end.text().contains("DiskFull"), "{}", end.text());
    assert!(asked.begun >= 1 && asked.aborted == asked.begun, "{} of {}", asked.aborted, asked.begun);
}

/// The reader of a status must be able to act on it, and must not learn keys from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_upload_says_why_without_keys() {
    let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message>\
        <AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><StringToSign>AWS4</StringToSign></Error>";
    let (end, _) = publish(Asked { refuse: Some((StatusCode::FORBIDDEN, body)), ..Asked::default() }, 9, 1).await;
    assert_eq!(end.code, ExitCode::StoreUnavailable, "{end:?}");
    let text = end.text();
    assert!(text.contains("the store refused it") && text.contains("AccessDenied, Access Denied"), "{text}");
    assert!(!text.contains("AKIA") && !text.contains("AWS4"), "{text}");
}
