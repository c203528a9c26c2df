//! What the store answered with success is there after it was killed; what it did not is whole or absent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod full;
mod order;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};
use seatrial_store::testing::LocalStore;
use support::{client, client_at};
use tempfile::TempDir;

/// Tells the process that is killed where its data is, and where it says how to reach it.
const DATA: &str = "SEATRIAL_STORE_TEST_DATA";
const HELLO: &str = "SEATRIAL_STORE_TEST_HELLO";

/// No test of its own: the process that the test below starts from its own program, and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is started by the test below"]
async fn serve_until_killed() {
    let (Ok(data), Ok(hello)) = (std::env::var(DATA), std::env::var(HELLO)) else { return };
    let store = LocalStore::start(FilePath::new(&data)).await.unwrap();
    let draft = format!("{hello}.new");
    std::fs::write(&draft, format!("{}\n{}", store.endpoint(), store.certificate_authority)).unwrap();
    std::fs::rename(draft, hello).unwrap();
    std::future::pending::<()>().await;
}

/// A store in a process of its own, killed at the latest when the test ends.
struct StoreProcess(Child);

impl StoreProcess {
    fn start(data: &FilePath, hello: &FilePath) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "serve_until_killed", "--ignored"]).env(DATA, data).env(HELLO, hello);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// How it is reached, once it says so: its endpoint and its authority.
    async fn hello(&mut self, hello: &FilePath) -> (String, String) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !hello.exists() {
            assert!(Instant::now() < deadline, "the store does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = std::fs::read_to_string(hello).unwrap();
        let (endpoint, authority) = said.split_once('\n').unwrap();
        (endpoint.to_owned(), authority.to_owned())
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for StoreProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_in_the_middle_of_uploads_keeps_what_it_confirmed() {
    let (data, talk) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let hello = talk.path().join("hello");
    let mut process = StoreProcess::start(data.path(), &hello);
    let (endpoint, authority) = process.hello(&hello).await;
    let (endpoint, authority) = (endpoint.as_str(), authority.as_str());
    let deadline = Instant::now() + Duration::from_secs(60);

    let confirmed = Arc::new(AtomicUsize::new(0));
    let content = |number: usize| format!("{number} ").repeat(50_000);
    let writers = (0..4).map(|writer| {
        let (growth, confirmed) = (client_at(endpoint, authority, "token-of-growth", "growth"), confirmed.clone());
        tokio::spawn(async move {
            let mut written = vec![];
            for number in (writer..).step_by(4) {
                let key = Path::from(format!("objects/{number}"));
                if growth.put(&key, content(number).into()).await.is_err() {
                    break;
                }
                confirmed.fetch_add(1, Ordering::Relaxed);
                written.push(number);
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    // One upload in parts is under way all the while, and never ends.
    let growth = client_at(endpoint, authority, "token-of-growth", "growth");
    let mut upload = growth.put_multipart(&Path::from("large")).await.unwrap();
    upload.put_part(PutPayload::from(vec![7; 6 << 20])).await.unwrap();
    while confirmed.load(Ordering::Relaxed) < 60 {
        assert!(Instant::now() < deadline, "uploads are too slow");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.kill();

    let mut written = vec![];
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    let store = LocalStore::start(data.path()).await.unwrap();
    let growth = client(&store, "growth", "growth");
    for number in &written {
        let answer = growth.get(&Path::from(format!("objects/{number}"))).await.unwrap();
        assert_eq!(answer.bytes().await.unwrap(), content(*number).as_bytes());
    }
    // An object whose answer was lost may be there, but then it is whole.
    let listed = growth.list_with_delimiter(Some(&Path::from("objects"))).await.unwrap().objects;
    assert!(listed.len() <= written.len() + 4);
    for object in listed {
        let number: usize = object.location.filename().unwrap().parse().unwrap();
        assert_eq!(object.size, content(number).len() as u64);
    }
    assert!(matches!(growth.get(&Path::from("large")).await, Err(Error::NotFound { .. })));
    assert_eq!(std::fs::read_dir(data.path().join("drafts")).unwrap().count(), 0, "drafts are swept");
}

/// The store is killed while it puts the parts of an upload together, at one moment after another: a client that asks
/// again gets the whole, or hears that it has to begin anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_while_it_joins_parts_makes_no_wrong_object() {
    const PARTS: usize = 12;
    // None but the first is in its place: all others are copied.
    let content = |part: usize| vec![u8::try_from(part).unwrap(); (8 << 20) + part.min(1)];
    let mut interrupted = 0;
    for parts_gone in [1, 8] {
        let (data, talk) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let hello = talk.path().join("hello");
        let mut process = StoreProcess::start(data.path(), &hello);
        let (endpoint, authority) = process.hello(&hello).await;
        let growth = client_at(&endpoint, &authority, "token-of-growth", "growth");
        let key = Path::from("large");
        let id = growth.create_multipart(&key).await.unwrap();
        let mut parts = vec![];
        for part in 0..PARTS {
            parts.push(growth.put_part(&key, &id, part, content(part).into()).await.unwrap());
        }
        let (asking, its_key, its_id, its_parts) = (growth.clone(), key.clone(), id.clone(), parts.clone());
        let asked = tokio::spawn(async move { asking.complete_multipart(&its_key, &its_id, its_parts).await });
        let folder = data.path().join("uploads").join(&id);
        let deadline = Instant::now() + Duration::from_secs(60);
        let is_part = |file: &std::io::Result<std::fs::DirEntry>| {
            file.as_ref().is_ok_and(|file| file.file_name().as_encoded_bytes().starts_with(b"part-"))
        };
        while std::fs::read_dir(&folder).is_ok_and(|files| files.filter(is_part).count() > PARTS - 1 - parts_gone) {
            assert!(Instant::now() < deadline, "nothing is joined");
            tokio::task::yield_now().await;
        }
        process.kill();
        let confirmed = asked.await.unwrap().is_ok();

        let store = LocalStore::start(data.path()).await.unwrap();
        let growth = client(&store, "growth", "growth");
        let was_there = growth.head(&key).await.is_ok();
        assert!(was_there || !confirmed, "what was confirmed is there");
        let again = growth.complete_multipart(&key, &id, parts).await;
        println!(
            "killed with {parts_gone} parts gone: there before: {was_there}, again: {:?}",
            again.as_ref().map(drop)
        );
        interrupted += usize::from(!was_there);
        match again {
            Ok(_) => {}
            Err(Error::NotFound { .. }) => assert!(was_there, "the parts were on the disk"),
            Err(error) => panic!("{error}"),
        }
        let whole = growth.get(&key).await.unwrap().bytes().await.unwrap();
        assert!(whole == (0..PARTS).flat_map(content).collect::<Vec<_>>(), "another object than was sent");
        assert_eq!(std::fs::read_dir(data.path().join("uploads")).unwrap().count(), 0);
    }
    assert!(interrupted > 0, "no join was interrupted: this test says nothing");
}
