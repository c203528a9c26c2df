//! How an upload in parts ends: whole, told in time, and with the answer that its client needs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMultipartOptions};
use seatrial_store::limits::Limits;
use seatrial_store::testing::LocalStore;
use support::{Keys, Raw, client, files, keys, store};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store that gives a sign of life at once.
async fn lively() -> (TempDir, LocalStore) {
    let data = TempDir::new().unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let at_once = Some(Duration::ZERO);
    let store = LocalStore::start_with(data.path(), listen, Limits::default(), at_once).await.unwrap();
    (data, store)
}

/// An upload of parts, as a client without a library makes it: its number, and the body that completes it.
async fn begun(store: &LocalStore, keys: &Keys, parts: &[&str]) -> (String, String) {
    let begun = Raw::new("POST", "/growth/large?uploads=").send_signed(store, keys).await;
    let id = begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let mut list = String::new();
    for (number, part) in (1..).zip(parts) {
        let target = format!("/growth/large?partNumber={number}&uploadId={id}");
        let answer = Raw::new("PUT", &target).body(part.as_bytes()).send_signed(store, keys).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        list += &format!("<Part><PartNumber>{number}</PartNumber></Part>");
    }
    (id, format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>"))
}

/// Parts in any order, of which the last is shorter: what is written is what becomes the object.
#[tokio::test]
async fn parts_come_to_their_places_and_nothing_is_copied() {
    let (data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let (id, _) = begun(&store, &growth, &["1111"]).await;
    let put = |number: usize, body: &'static str| {
        let (store, growth, id) = (&store, &growth, &id);
        async move {
            let target = format!("/growth/large?partNumber={number}&uploadId={id}");
            Raw::new("PUT", &target).body(body.as_bytes()).send_signed(store, growth).await.status
        }
    };
    assert_eq!((put(4, "44").await, put(2, "2222").await, put(3, "3333").await), (200, 200, 200));
    let whole = data.path().join("uploads").join(&id).join("whole");
    assert_eq!(std::fs::read_to_string(&whole).unwrap(), "11112222333344");
    let inode = std::fs::metadata(&whole).unwrap().ino();
    let complete = async |parts: usize| {
        let list: String = (1..=parts).map(|part| format!("<Part><PartNumber>{part}</PartNumber></Part>")).collect();
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let target = format!("/growth/large?uploadId={id}");
        Raw::new("POST", &target).body(list.as_bytes()).send_signed(&store, &growth).await.status
    };
    assert_eq!(complete(4).await, 200);
    let object = std::fs::metadata(data.path().join("objects/growth.0/flarge")).unwrap();
    assert_eq!((object.ino(), object.len()), (inode, 14), "it is another file");
    let read = Raw::new("GET", "/growth/large").send_signed(&store, &growth).await;
    assert_eq!(read.body, "11112222333344");
}

/// A client sends a part again, since it heard nothing, and the first try goes on meanwhile.
#[tokio::test]
async fn a_part_that_comes_late_changes_nothing_that_was_confirmed() {
    let (data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let (id, list) = begun(&store, &growth, &["1111"]).await;
    let target = format!("/growth/large?partNumber=2&uploadId={id}");
    let late = Raw::new("PUT", &target).body(b"late");
    let mut slow = late.send_signed_without_end(&store, &growth).await;
    let again = Raw::new("PUT", &target).body(b"2222");
    // Until the first one has the place, the second may get it.
    let folder = data.path().join("uploads").join(&id);
    let deadline = Instant::now() + PATIENCE;
    while !folder.join("part-2").exists() {
        assert!(Instant::now() < deadline, "both have the same place");
        assert_eq!(again.send_signed(&store, &growth).await.status, 200);
    }
    let list = list.replace("</Complete", "<Part><PartNumber>2</PartNumber></Part></Complete");
    let done = format!("/growth/large?uploadId={id}");
    assert_eq!(Raw::new("POST", &done).body(list.as_bytes()).send_signed(&store, &growth).await.status, 200);
    slow.write_all(b"e").await.unwrap();
    let mut answer = String::new();
    let _ = slow.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("NoSuchUpload"), "{answer:?}");
    assert_eq!(Raw::new("GET", "/growth/large").send_signed(&store, &growth).await.body, "11112222");
}

/// A client must not take a long join for a store that is gone.
#[tokio::test]
async fn a_long_join_gives_signs_of_life() {
    let (_data, store) = lively().await;
    let growth = keys(&store, "growth").await;
    let (id, list) = begun(&store, &growth, &["one ", "two"]).await;
    let long_join = store.backend.hold_upload(&id).await;
    let target = format!("/growth/large?uploadId={id}");
    let mut stream = Raw::new("POST", &target).body(list.as_bytes()).send_signed_open(&store, &growth).await;
    let mut answer = String::new();
    let deadline = Instant::now() + PATIENCE;
    // Each is a piece of a body that goes on, with one blank.
    while answer.matches("1\r\n \r\n").count() < 5 {
        let mut piece = [0; 4096];
        let left = deadline.saturating_duration_since(Instant::now());
        let read = tokio::time::timeout(left, stream.read(&mut piece)).await.expect("the store says nothing").unwrap();
        assert!(read > 0, "{answer:?}");
        answer += std::str::from_utf8(&piece[..read]).unwrap();
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    assert_eq!(Raw::new("GET", "/growth/large").send_signed(&store, &growth).await.status, 404, "it is not whole yet");
    drop(long_join);
    let mut rest = String::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut rest)).await.unwrap();
    assert!(rest.contains("<CompleteMultipartUploadResult") && rest.contains("<ETag>"), "{answer:?} {rest:?}");
    assert_eq!(Raw::new("GET", "/growth/large").send_signed(&store, &growth).await.body, "one two");
}

/// Both ends of an answer that begins before it is known.
#[tokio::test]
async fn the_library_understands_an_answer_that_comes_late() {
    let (data, store) = lively().await;
    let growth = client(&store, "growth", "growth");
    let key = Path::from("large");
    let mut upload = growth.put_multipart(&key).await.unwrap();
    upload.put_part("one".into()).await.unwrap();
    let e_tag = upload.complete().await.unwrap().e_tag;
    assert_eq!(growth.head(&key).await.unwrap().e_tag, e_tag);
    let id = growth.create_multipart(&key).await.unwrap();
    growth.put_part(&key, &id, 0, "two".into()).await.unwrap();
    let wrong = PartId { content_id: "\"0\"".into() };
    growth.complete_multipart(&key, &id, vec![wrong]).await.expect_err("the part is another");
    growth.abort_multipart(&key, &id).await.unwrap();
    assert_eq!(growth.get(&key).await.unwrap().bytes().await.unwrap(), "one".as_bytes());
    assert_eq!(files(&data.path().join("uploads")), [""; 0]);
}

#[tokio::test]
async fn a_client_that_did_not_get_the_answer_may_ask_again() {
    let (data, store) = lively().await;
    let growth = keys(&store, "growth").await;
    let (id, list) = begun(&store, &growth, &["one ", "two"]).await;
    let target = format!("/growth/large?uploadId={id}");
    let complete = || Raw::new("POST", &target).body(list.as_bytes());
    // It gives up while the answer goes on; so does the join, without it.
    let long_join = store.backend.hold_upload(&id).await;
    let mut stream = complete().send_signed_open(&store, &growth).await;
    tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("the store says nothing").unwrap();
    drop((stream, long_join));
    let deadline = Instant::now() + PATIENCE;
    while Raw::new("HEAD", "/growth/large").send_signed(&store, &growth).await.status != 200 {
        assert!(Instant::now() < deadline, "nobody goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let again = complete().send_signed(&store, &growth).await;
    assert!(again.status == 200 && again.body.contains("<ETag>"), "{again:?}");
    // After a restart nobody remembers, and says so in a way that clients understand.
    store.stop().await.unwrap();
    let store = LocalStore::start(data.path()).await.unwrap();
    let later = complete().send_signed(&store, &growth).await;
    assert!(later.status == 404 && later.body.contains("NoSuchUpload"), "{later:?}");
    assert_eq!(Raw::new("GET", "/growth/large").send_signed(&store, &growth).await.body, "one two");
}

#[tokio::test]
async fn two_who_complete_an_upload_at_once_get_the_same_answer() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let (id, list) = begun(&store, &growth, &["one ", "two"]).await;
    let target = format!("/growth/large?uploadId={id}");
    let complete = || async { Raw::new("POST", &target).body(list.as_bytes()).send_signed(&store, &growth).await };
    let (first, second) = tokio::join!(complete(), complete());
    assert_eq!((first.status, &first.body), (200, &second.body));
}

/// The record of a result is the first, in parts or not; and a part does not come after the end.
#[tokio::test]
async fn an_upload_that_is_too_late_replaces_nothing_and_can_be_given_up() {
    let (data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let (id, list) = begun(&store, &growth, &["one ", "two"]).await;
    assert_eq!(Raw::new("PUT", "/growth/large").body(b"first").send_signed(&store, &growth).await.status, 200);
    let target = format!("/growth/large?uploadId={id}");
    let create = Raw::new("POST", &target).header("if-none-match", "*").body(list.as_bytes());
    assert_eq!(create.send_signed(&store, &growth).await.status, 412);
    assert_eq!(Raw::new("GET", "/growth/large").send_signed(&store, &growth).await.body, "first");
    assert_eq!(Raw::new("DELETE", &target).send_signed(&store, &growth).await.status, 204);
    assert_eq!(files(&data.path().join("uploads")), [""; 0]);
    let part = format!("/growth/large?partNumber=3&uploadId={id}");
    assert_eq!(Raw::new("PUT", &part).body(b"late").send_signed(&store, &growth).await.status, 404);
}

#[tokio::test]
async fn uploads_of_parts_at_once_do_not_disturb_each_other() {
    let (_data, store) = store().await;
    let growth = client(&store, "growth", "growth");
    let upload = |number: u8| {
        let growth = growth.clone();
        async move {
            let key = Path::from(format!("large/{number}"));
            let mut upload = growth.put_multipart_opts(&key, PutMultipartOptions::default()).await.unwrap();
            let parts: Vec<_> = (0..5).map(|part| upload.put_part(vec![number + part; 100_000].into())).collect();
            futures::future::try_join_all(parts).await.unwrap();
            upload.complete().await.unwrap();
            let content = growth.get(&key).await.unwrap().bytes().await.unwrap();
            let right = (0..5).flat_map(|part| vec![number + part; 100_000]);
            assert!(content.into_iter().eq(right));
        }
    };
    futures::future::join_all((0..8).map(|number| upload(number * 10))).await;
    assert!(matches!(growth.head(&Path::from("large")).await, Err(Error::NotFound { .. })));
}
