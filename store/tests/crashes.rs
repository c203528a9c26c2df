//! What the store answered with success is there after it was killed; what it did not is whole or absent.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path as FilePath;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use seatrial_store::testing::LocalStore;
use support::{client, client_at, files};
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
    const PARTS: usize = 24;
    let content = |part: usize| vec![u8::try_from(part).unwrap(); 8 << 20];
    let mut interrupted = 0;
    for parts_gone in [1, 9, 17] {
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
        while std::fs::read_dir(&folder).is_ok_and(|files| files.count() > PARTS + 3 - parts_gone) {
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
        let is_right =
            whole.len() == PARTS << 23 && (0..PARTS).zip(whole.chunks(8 << 20)).all(|(n, has)| has == content(n));
        assert!(is_right, "another object than was sent");
        assert_eq!(std::fs::read_dir(data.path().join("uploads")).unwrap().count(), 0);
    }
    assert!(interrupted > 0, "no join was interrupted: this test says nothing");
}

/// A file system of a few megabytes; ended when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(megabytes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let size = format!("size={megabytes}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        assert!(status.unwrap().success(), "a file system cannot be mounted: this test needs root");
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
#[ignore = "needs root, for a small file system"]
async fn a_full_disk_refuses_what_has_no_room_and_harms_nothing() {
    let disk = SmallDisk::mount(8);
    let store = LocalStore::start(disk.0.path()).await.unwrap();
    let growth = client(&store, "growth", "growth");
    let key = Path::from("kept");
    growth.put(&key, vec![1; 3 << 20].into()).await.unwrap();
    for large in ["new", "kept"] {
        let error = format!("{:?}", growth.put(&Path::from(large), vec![2; 6 << 20].into()).await.unwrap_err());
        assert!(error.contains("507") && error.contains("free space, or enlarge it"), "{error}");
    }
    let mut upload = growth.put_multipart(&Path::from("parts")).await.unwrap();
    upload.put_part(vec![3; 2 << 20].into()).await.unwrap();
    let error = format!("{:?}", upload.put_part(vec![3; 6 << 20].into()).await.unwrap_err());
    assert!(error.contains("507"), "{error}");
    upload.abort().await.unwrap();
    assert_eq!(growth.get(&key).await.unwrap().bytes().await.unwrap(), vec![1; 3 << 20]);
    // What was refused left nothing behind: there is room for what fits, and it can be read.
    growth.put(&Path::from("fits"), vec![4; 3 << 20].into()).await.unwrap();
    assert_eq!(growth.head(&Path::from("fits")).await.unwrap().size, 3 << 20);
    growth.delete(&key).await.unwrap();
    growth.put(&Path::from("new"), vec![2; 4 << 20].into()).await.unwrap();
}

/// Fills a file system to its last byte.
fn fill_up(disk: &FilePath) {
    let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
    for piece in [1 << 16, 1 << 12, 1] {
        while std::io::Write::write(&mut filler, &vec![9; piece]).is_ok_and(|written| written > 0) {}
    }
}

/// Everything of an object's size, whatever it is called: a file of no bytes that was confirmed is lost for ever.
#[tokio::test]
#[ignore = "needs root, for a small file system"]
async fn a_disk_that_is_full_to_the_last_byte_takes_no_small_object_either() {
    let disk = SmallDisk::mount(8);
    let store = LocalStore::start(disk.0.path()).await.unwrap();
    let growth = client(&store, "growth", "growth");
    growth.put(&Path::from("kept"), "kept".into()).await.unwrap();
    let mut upload = growth.put_multipart(&Path::from("parts")).await.unwrap();
    fill_up(disk.0.path());
    let before = files(&disk.0.path().join("objects"));
    let overwrite = PutOptions::default();
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let mut refusals = vec![];
    for (key, options) in [("new/small", &overwrite), ("kept", &overwrite), ("new/record", &create)] {
        refusals.push(growth.put_opts(&Path::from(key), "0123456789".into(), options.clone()).await.map(drop));
    }
    refusals.push(upload.put_part("0123456789".into()).await);
    for refusal in refusals {
        let error = format!("{:?}", refusal.expect_err("what has no room was confirmed"));
        assert!(error.contains("507") && error.contains("free space, or enlarge it"), "{error}");
    }
    assert_eq!(files(&disk.0.path().join("objects")), before, "what was refused left nothing");
    assert_eq!(files(&disk.0.path().join("drafts")), [""; 0]);
    assert_eq!(growth.get(&Path::from("kept")).await.unwrap().bytes().await.unwrap(), "kept".as_bytes());
    // A copy needs no room for its content, a second name of it does.
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    growth.copy(&Path::from("kept"), &Path::from("copy")).await.unwrap();
    growth.put_opts(&Path::from("new/record"), "0123456789".into(), create).await.unwrap();
    assert_eq!(growth.head(&Path::from("new/record")).await.unwrap().size, 10);
    let mut again = growth.put_multipart(&Path::from("parts")).await.unwrap();
    again.put_part("0123456789".into()).await.unwrap();
    again.complete().await.unwrap();
    assert_eq!(growth.head(&Path::from("parts")).await.unwrap().size, 10);
}

/// A large upload needs little more room than its parts have; and where even that is not there, it may go on later.
#[tokio::test]
#[ignore = "needs root, for a small file system"]
async fn parts_are_joined_where_there_is_no_room_for_a_second_copy() {
    let disk = SmallDisk::mount(32);
    let store = LocalStore::start(disk.0.path()).await.unwrap();
    let growth = client(&store, "growth", "growth");
    let key = Path::from("large");
    let content = |part: u8| vec![part; 5 << 20];
    let id = growth.create_multipart(&key).await.unwrap();
    let mut parts = vec![];
    for part in 0..5 {
        parts.push(growth.put_part(&key, &id, usize::from(part), content(part).into()).await.unwrap());
    }
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![9; 4 << 20]).unwrap();
    let error = format!("{:?}", growth.complete_multipart(&key, &id, parts.clone()).await.unwrap_err());
    assert!(error.contains("507") && error.contains("free space, or enlarge it"), "{error}");
    assert!(matches!(growth.head(&key).await, Err(Error::NotFound { .. })));
    // There is room for one part now, for the other four there is none.
    std::fs::remove_file(&filler).unwrap();
    growth.complete_multipart(&key, &id, parts).await.unwrap();
    let whole = growth.get(&key).await.unwrap().bytes().await.unwrap();
    assert!(whole.len() == 25 << 20 && (0..5).zip(whole.chunks(5 << 20)).all(|(n, has)| has == content(n)));
    assert_eq!(files(&disk.0.path().join("uploads")), [""; 0]);
    // What cannot be completed is given back.
    let id = growth.create_multipart(&key).await.unwrap();
    let part = growth.put_part(&key, &id, 0, vec![1; 5 << 20].into()).await.unwrap();
    fill_up(disk.0.path());
    growth.complete_multipart(&key, &id, vec![part]).await.unwrap_err();
    growth.abort_multipart(&key, &id).await.unwrap();
    assert_eq!(files(&disk.0.path().join("uploads")), [""; 0]);
    growth.put(&Path::from("small"), vec![1; 4 << 20].into()).await.unwrap();
}
