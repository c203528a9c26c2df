//! What a client can take of the store that has no keys, or that went away: little, and not for long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt;
use object_store::path::Path;
use seatrial_store::limits::Limits;
use seatrial_store::testing::LocalStore;
use support::{Raw, client, connect, files, keys, store};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store that loses patience soon.
async fn hasty(limits: Limits) -> (TempDir, LocalStore) {
    let data = TempDir::new().unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let store = LocalStore::start_with(data.path(), listen, limits, None).await.unwrap();
    (data, store)
}

/// The most memory that this process, the store in it, ever had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Sends a body of many megabytes to a store that should not want it, and says what it answers, and what was sent.
async fn flood(store: &LocalStore, head: &str, start: &[u8], megabytes: usize) -> (String, usize) {
    let (mut reading, mut writing) = tokio::io::split(connect(store).await);
    let length = start.len() + (megabytes << 20);
    let head = format!("{head}host: localhost\r\ncontent-length: {length}\r\n\r\n");
    writing.write_all(head.as_bytes()).await.unwrap();
    writing.write_all(start).await.unwrap();
    let sending = async {
        let piece = vec![b'x'; 1 << 20];
        for sent in 0..megabytes {
            if writing.write_all(&piece).await.is_err() {
                return sent;
            }
        }
        megabytes
    };
    let answering = async {
        let mut answer = vec![];
        let _ = reading.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let both = async { tokio::join!(answering, sending) };
    tokio::time::timeout(PATIENCE, both).await.expect("the store reads on and on, or says nothing")
}

#[tokio::test]
async fn a_form_without_keys_is_refused_before_it_is_read() {
    let (data, store) = store().await;
    let before = (peak(), files(&data.path().join("objects")));
    let head = "POST /growth HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\n";
    let start = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n";
    let (answer, sent) = flood(&store, head, start, 400).await;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer:?}");
    assert!(answer.contains("<Code>NotImplemented</Code>") && answer.contains("send objects by PUT"), "{answer:?}");
    assert!(sent < 32, "{sent} MB were taken");
    let grown = peak() - before.0;
    println!("a form of 400 MB: {sent} MB taken, {} MB of memory more", grown >> 20);
    // Other tests of this process have some megabytes of their own.
    assert!(grown < 128 << 20, "the store grew by {} MB", grown >> 20);
    assert_eq!(files(&data.path().join("objects")), before.1);
}

#[tokio::test]
async fn a_body_in_signed_chunks_is_refused_before_it_is_read() {
    let (_data, store) = store().await;
    let head = "PUT /growth/x HTTP/1.1\r\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n";
    let (answer, sent) = flood(&store, head, b"ffffffff;chunk-signature=0\r\n", 200).await;
    assert!(answer.starts_with("HTTP/1.1 501") && answer.contains("when_required"), "{answer:?}");
    assert!(sent < 32, "{sent} MB were taken");
}

/// Both signatures of the second version: right ones, as far as anybody checks.
#[tokio::test]
async fn old_signatures_are_refused() {
    let (_data, store) = store().await;
    let keys = keys(&store, "growth").await;
    let header = Raw::new("GET", "/growth/x").header("authorization", format!("AWS {}:c2ln", keys.access_key));
    let target = format!("/growth/x?AWSAccessKeyId={}&Expires=4000000000&Signature=c2ln", keys.access_key);
    for request in [header, Raw::new("GET", &target)] {
        let answer = request.send(&store).await;
        assert!(answer.status == 400 && answer.body.contains("AWS4-HMAC-SHA256"), "{answer:?}");
    }
}

/// Reads until the store closes.
async fn closed_after(stream: &mut (impl AsyncReadExt + Unpin)) -> (Duration, String) {
    let (start, mut answer) = (Instant::now(), vec![]);
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = end.expect("the store keeps the connection for ever");
    (start.elapsed(), String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn connections_that_nobody_uses_are_closed() {
    let first = Duration::from_millis(300);
    let limits = Limits { first, idle: Duration::from_millis(900), ..Limits::default() };
    let (_data, store) = hasty(limits).await;
    // No handshake; no request; half a request; and one that was used.
    let mut silent = tokio::net::TcpStream::connect(store.address).await.unwrap();
    let mut idle = connect(&store).await;
    let mut half = connect(&store).await;
    half.write_all(b"GET /growth/x HTTP/1.1\r\nhost: loc").await.unwrap();
    let mut used = connect(&store).await;
    used.write_all(b"GET /growth/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (silent, idle, half, used) = tokio::join!(
        closed_after(&mut silent),
        closed_after(&mut idle),
        closed_after(&mut half),
        closed_after(&mut used)
    );
    assert_eq!([&silent.1, &idle.1, &half.1], ["", "", ""]);
    assert!(used.1.starts_with("HTTP/1.1 403"), "{used:?}");
    assert!(used.0 > first * 2, "a client may use its connection again for longer: {:?}", used.0);
}

#[tokio::test]
async fn connections_of_http_2_that_nobody_uses_are_closed() {
    let limits = Limits { first: Duration::from_secs(2), idle: Duration::from_millis(300), ..Limits::default() };
    let (_data, store) = hasty(limits).await;
    let growth = client(&store, "growth", "growth");
    growth.put(&Path::from("x"), "x".into()).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while store.connections() > 0 {
        assert!(Instant::now() < deadline, "the store keeps the connection for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    growth.head(&Path::from("x")).await.unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_a_body_leaves_nothing() {
    let limits = Limits { stall: Duration::from_millis(300), ..Limits::default() };
    let (data, store) = hasty(limits).await;
    let keys = keys(&store, "growth").await;
    // A small one is not written before it is whole: nothing was ever made here.
    let drafts = data.path().join("drafts");
    let changed = || std::fs::metadata(&drafts).unwrap().modified().unwrap();
    let before = changed();
    let small = Raw::new("PUT", "/growth/small").body(b"0123456789");
    let (_, answer) = closed_after(&mut small.send_signed_without_end(&store, &keys).await).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("sent nothing more"), "{answer:?}");
    assert_eq!(changed(), before);
    let body = vec![b'x'; 1 << 20];
    let request = Raw::new("PUT", "/growth/x").body(&body);
    let mut stream = request.send_signed_without_end(&store, &keys).await;
    let deadline = Instant::now() + PATIENCE;
    while files(&drafts).is_empty() {
        assert!(Instant::now() < deadline, "the store does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (_, answer) = closed_after(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("sent nothing more"), "{answer:?}");
    assert_eq!((files(&drafts), files(&data.path().join("objects"))), (vec![], vec![]));
}

/// A client that asks for much and reads nothing, such as one whose node died.
#[tokio::test]
async fn a_client_that_takes_no_answer_is_left() {
    let limits = Limits { first: Duration::from_secs(2), stall: Duration::from_millis(300), ..Limits::default() };
    let (_data, store) = hasty(limits).await;
    let growth = client(&store, "growth", "growth");
    growth.put(&Path::from("large"), vec![7; 24 << 20].into()).await.unwrap();
    drop(growth);
    let keys = keys(&store, "growth").await;
    let _stream = Raw::new("GET", "/growth/large").send_signed_without_end(&store, &keys).await;
    let deadline = Instant::now() + PATIENCE;
    while store.connections() > 0 {
        assert!(Instant::now() < deadline, "the store waits for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn there_are_never_more_connections_than_the_store_can_bear() {
    let limits = Limits { connections: 2, first: Duration::from_millis(500), ..Limits::default() };
    let (_data, store) = hasty(limits).await;
    let mut idle = vec![];
    for _ in 0..8 {
        idle.push(tokio::net::TcpStream::connect(store.address).await.unwrap());
    }
    // Those who wait get their turn.
    let deadline = Instant::now() + PATIENCE;
    let asking = client(&store, "growth", "growth");
    let path = Path::from("x");
    let mut put = std::pin::pin!(asking.put(&path, "x".into()));
    loop {
        assert!(store.connections() <= 2, "{} connections", store.connections());
        assert!(Instant::now() < deadline, "nobody gets a turn");
        tokio::select! {
            done = put.as_mut() => break drop(done.unwrap()),
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
}

/// Any word is a method, and each request may name another.
#[tokio::test]
async fn requests_without_keys_make_no_series() {
    let (_data, store) = store().await;
    let mut stream = connect(&store).await;
    let series = |store: &LocalStore| {
        store.metrics().unwrap().lines().filter(|line| line.starts_with("seatrial_store_requests_total{")).count()
    };
    // A thousand answers are read at once, since asking for one after the other takes long.
    for round in 0..20 {
        let mut requests = String::new();
        for number in 0..1000 {
            requests += &format!("M{round}X{number} /growth/{round}/{number} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        }
        let (mut reading, mut writing) = tokio::io::split(&mut stream);
        let asking = async { writing.write_all(requests.as_bytes()).await.unwrap() };
        let answering = async {
            let (mut seen, mut piece, mut answers) = (vec![], vec![0; 1 << 16], 0);
            while answers < 1000 {
                let read = reading.read(&mut piece).await.unwrap();
                assert!(read > 0, "the store closes after {answers} answers of round {round}");
                seen.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&seen);
                answers += text.matches("HTTP/1.1 ").count();
                // What may be the beginning of the next.
                seen.drain(..seen.len().saturating_sub(8));
            }
        };
        tokio::join!(asking, answering);
    }
    let total = store.metrics().unwrap();
    let counted: usize = total
        .lines()
        .filter(|line| line.starts_with("seatrial_store_requests_total{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap())
        .sum();
    println!("{counted} requests, {} series", series(&store));
    assert!(counted >= 20_000, "{total}");
    assert!(series(&store) <= 6 * 5, "{total}");
}

#[tokio::test]
async fn a_part_of_a_key_that_is_too_long_is_the_clients_fault() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    for method in ["PUT", "GET", "HEAD", "DELETE"] {
        let target = format!("/growth/a/{}", "x".repeat(256));
        let answer = Raw::new(method, &target).send_signed(&store, &growth).await;
        assert_eq!(answer.status, 400, "{method}: {answer:?}");
        if method == "PUT" {
            assert!(answer.body.contains("KeyTooLongError") && answer.body.contains("254 bytes"), "{answer:?}");
        }
    }
}
