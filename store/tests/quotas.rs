//! What the bucket of a namespace may hold: counted with whatever is done to it, and counted again after a start.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::net::SocketAddr;
use std::path::Path;

use seatrial_store::limits::Limits;
use seatrial_store::testing::LocalStore;
use support::{Answer, Keys, Raw, files, keys};
use tempfile::TempDir;

const QUOTA: usize = 1000;

async fn start(data: &Path) -> (LocalStore, Keys) {
    let limits = Limits { namespace_quota: Some(QUOTA as u64), ..Limits::default() };
    let store = LocalStore::start_with(data, SocketAddr::from(([127, 0, 0, 1], 0)), limits, None).await.unwrap();
    let growth = keys(&store, "growth").await;
    (store, growth)
}

/// What the metric says of a bucket.
fn used(store: &LocalStore) -> usize {
    let text = store.metrics().unwrap();
    let series =
        text.lines().find_map(|line| line.strip_prefix("seatrial_store_namespace_used_bytes{namespace=\"growth\""));
    series.map_or(0, |series| series.rsplit_once(' ').unwrap().1.parse().unwrap())
}

async fn put(store: &LocalStore, keys: &Keys, target: &str, size: usize) -> Answer {
    Raw::new("PUT", target).body(&vec![b'x'; size]).send_signed(store, keys).await
}

async fn begin(store: &LocalStore, keys: &Keys, key: &str) -> String {
    let target = format!("/growth/{key}?uploads=");
    let begun = Raw::new("POST", &target).send_signed(store, keys).await;
    begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned()
}

fn assert_refused(answer: &Answer, used: usize, more: usize) {
    assert!(answer.status == 507 && answer.body.contains("<Code>QuotaExceeded</Code>"), "{answer:?}");
    for word in [
        "the bucket growth".to_owned(),
        format!("holds {used} of the {QUOTA} bytes"),
        format!("needs {more} more"),
        "delete objects".to_owned(),
        "store.namespaceQuota".to_owned(),
    ] {
        assert!(answer.body.contains(&word), "{word}: {answer:?}");
    }
}

#[tokio::test]
async fn what_would_go_beyond_it_is_refused_and_leaves_nothing() {
    let data = TempDir::new().unwrap();
    let (store, growth) = start(data.path()).await;
    assert_eq!(put(&store, &growth, "/growth/a", 600).await.status, 200);
    let before = files(data.path());
    assert_refused(&put(&store, &growth, "/growth/deep/b", 401).await, 600, 401);
    // A large body is not cut off before its client hears why.
    assert_refused(&put(&store, &growth, "/growth/b", 20 << 20).await, 600, 20 << 20);
    let copy = Raw::new("PUT", "/growth/copy").header("x-amz-copy-source", "growth/a");
    assert_refused(&copy.send_signed(&store, &growth).await, 600, 600);
    assert_eq!(files(data.path()), before);
    // Who wants to be the first learns that another one was, and waits for no room.
    let late = Raw::new("PUT", "/growth/a").header("if-none-match", "*").body(&[b'x'; 600]);
    assert_eq!(late.send_signed(&store, &growth).await.status, 412);
    assert_eq!(put(&store, &growth, "/growth/b", 400).await.status, 200);
    assert_eq!(used(&store), QUOTA);
    let other = keys(&store, "other").await;
    assert_eq!(put(&store, &other, "/other/a", 600).await.status, 200, "it is another's room");
}

#[tokio::test]
async fn it_is_counted_with_whatever_is_done_to_objects() {
    let data = TempDir::new().unwrap();
    let (store, growth) = start(data.path()).await;
    for (method, target, size, status, expected) in [
        ("PUT", "/growth/a", 900, 200, 900),
        ("PUT", "/growth/a", 950, 200, 950),
        ("PUT", "/growth/a", 1001, 507, 950),
        ("PUT", "/growth/a", 100, 200, 100),
        ("PUT", "/growth/a/b", 50, 200, 150),
        ("DELETE", "/growth/a", 0, 204, 50),
        ("DELETE", "/growth/a", 0, 204, 50),
        ("DELETE", "/growth/a/b/c", 0, 204, 50),
        ("PUT", "/growth/a", 950, 200, 1000),
        ("PUT", "/growth/empty", 0, 200, 1000),
    ] {
        let answer = Raw::new(method, target).body(&vec![b'x'; size]).send_signed(&store, &growth).await;
        assert_eq!((answer.status, used(&store)), (status, expected), "{method} {target} {size}: {answer:?}");
    }
    // What is refused for another reason takes no room.
    assert_eq!(Raw::new("DELETE", "/growth/a").send_signed(&store, &growth).await.status, 204);
    for (header, value, status) in [("if-match", "\"0\"", 412), ("content-md5", "kAFQmDzST7DWlj99KOF/cg==", 400)] {
        let put = Raw::new("PUT", "/growth/c").header(header, value).body(&[b'x'; 900]);
        assert_eq!((put.send_signed(&store, &growth).await.status, used(&store)), (status, 50));
    }
    let copy = Raw::new("PUT", "/growth/copy").header("x-amz-copy-source", "growth/a/b");
    assert_eq!((copy.send_signed(&store, &growth).await.status, used(&store)), (200, 100));
    let bulk = b"<Delete><Object><Key>a/b</Key></Object><Object><Key>never</Key></Object></Delete>";
    let deleted = Raw::new("POST", "/growth?delete=").body(bulk).send_signed(&store, &growth).await;
    assert_eq!((deleted.status, used(&store)), (200, 50));
}

#[tokio::test]
async fn parts_count_until_their_upload_ends() {
    let data = TempDir::new().unwrap();
    let (store, growth) = start(data.path()).await;
    let part = |id: &str, number: usize| format!("/growth/large?partNumber={number}&uploadId={id}");
    assert_eq!(put(&store, &growth, "/growth/large", 300).await.status, 200);
    let id = begin(&store, &growth, "large").await;
    assert_eq!(put(&store, &growth, &part(&id, 1), 200).await.status, 200);
    assert_eq!(put(&store, &growth, &part(&id, 2), 300).await.status, 200);
    assert_refused(&put(&store, &growth, &part(&id, 3), 201).await, 800, 201);
    assert_eq!(put(&store, &growth, &part(&id, 2), 400).await.status, 200, "it takes the place of the earlier one");
    assert_eq!(used(&store), 900);
    // A part that is not asked for goes with the upload, and the object that is replaced as well.
    let list = b"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>";
    let target = format!("/growth/large?uploadId={id}");
    for _ in 0..2 {
        assert_eq!(Raw::new("POST", &target).body(list).send_signed(&store, &growth).await.status, 200);
        assert_eq!(used(&store), 400);
    }
    let id = begin(&store, &growth, "large").await;
    assert_eq!(put(&store, &growth, &part(&id, 1), 600).await.status, 200);
    assert_eq!(used(&store), QUOTA);
    let target = format!("/growth/large?uploadId={id}");
    assert_eq!(Raw::new("DELETE", &target).send_signed(&store, &growth).await.status, 204);
    assert_eq!(used(&store), 400);
}

#[tokio::test]
async fn a_start_counts_again_what_is_there() {
    let data = TempDir::new().unwrap();
    let (store, growth) = start(data.path()).await;
    assert_eq!(put(&store, &growth, "/growth/a/b", 500).await.status, 200);
    let id = begin(&store, &growth, "large").await;
    let part = format!("/growth/large?partNumber=1&uploadId={id}");
    assert_eq!(put(&store, &growth, &part, 300).await.status, 200);
    store.stop().await.unwrap();
    // What a crash leaves of a body that was on its way.
    std::fs::write(data.path().join("drafts/half"), [0; 400]).unwrap();
    let (store, growth) = start(data.path()).await;
    assert_refused(&put(&store, &growth, "/growth/c", 201).await, 800, 201);
    assert_eq!(put(&store, &growth, "/growth/c", 200).await.status, 200);
    // It is known without anybody writing, too.
    store.stop().await.unwrap();
    let (store, _) = start(data.path()).await;
    store.backend.usage().count_all().unwrap();
    assert_eq!(used(&store), QUOTA);
}

/// Of those who come at once, no more get in than there is room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_is_given_once() {
    let data = TempDir::new().unwrap();
    let (store, growth) = start(data.path()).await;
    let targets: Vec<String> = (0..20).map(|number| format!("/growth/{number}")).collect();
    let puts = targets.iter().map(|target| put(&store, &growth, target, 150));
    let answers = futures::future::join_all(puts).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((1..=6).contains(&taken), "{taken}");
    assert!(answers.iter().all(|answer| [200, 507].contains(&answer.status)));
    assert_eq!(used(&store), taken * 150);
    // Now nothing is on its way.
    for target in &targets {
        put(&store, &growth, target, 150).await;
    }
    assert_eq!(used(&store), 900);
}

#[tokio::test]
async fn without_a_quota_nothing_is_counted() {
    let (_data, store) = support::store().await;
    let growth = keys(&store, "growth").await;
    assert_eq!(put(&store, &growth, "/growth/a", 2 * QUOTA).await.status, 200);
    assert!(!store.metrics().unwrap().contains("namespace_"));
}
