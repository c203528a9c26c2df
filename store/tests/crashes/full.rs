//! A volume without room: what does not fit is refused, and what is there stays.

use std::path::Path as FilePath;
use std::process::Command;

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use seatrial_store::testing::LocalStore;
use tempfile::TempDir;

use crate::support::{client, files};

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

/// Parts that are in their places need no room to be one object.
#[tokio::test]
#[ignore = "needs root, for a small file system"]
async fn parts_of_one_size_are_joined_where_there_is_no_room_at_all() {
    let disk = SmallDisk::mount(32);
    let store = LocalStore::start(disk.0.path()).await.unwrap();
    let growth = client(&store, "growth", "growth");
    let key = Path::from("large");
    let id = growth.create_multipart(&key).await.unwrap();
    let mut parts = vec![];
    for part in 0..6_u8 {
        parts.push(growth.put_part(&key, &id, usize::from(part), vec![part; 5 << 20].into()).await.unwrap());
    }
    growth.complete_multipart(&key, &id, parts).await.unwrap();
    let whole = growth.get(&key).await.unwrap().bytes().await.unwrap();
    assert!(whole.len() == 30 << 20 && (0..6).zip(whole.chunks(5 << 20)).all(|(n, has)| has == vec![n; 5 << 20]));
}

/// An upload of other parts needs little more room than they have; and where even that is not there, it may go on later.
#[tokio::test]
#[ignore = "needs root, for a small file system"]
async fn parts_are_joined_where_there_is_no_room_for_a_second_copy() {
    let disk = SmallDisk::mount(32);
    let store = LocalStore::start(disk.0.path()).await.unwrap();
    let growth = client(&store, "growth", "growth");
    let key = Path::from("large");
    // No other fits into the place that the first has.
    let content = |part: u8| vec![part; (5 << 20) + usize::from(part.min(1))];
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
    assert_eq!(whole, (0..5).flat_map(content).collect::<Vec<_>>());
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
