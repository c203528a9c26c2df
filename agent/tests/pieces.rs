//! Artifacts of so many files that their listing lies in pieces.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::PathBuf;

use seatrial_core::contract::{
    Digest, Draft, ExitCode, ListingIndex, ListingObject, PIECE_FILES, Reading, StoreConfig, layout,
};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{Pod, on_disk, publish_config, read};
use tempfile::TempDir;

/// The listing as a reader pod sends it, once it is verified.
async fn read_listing(store: &StoreConfig, digest: &Digest) -> (i32, Vec<u8>) {
    let (code, sent) = read(store, Reading::Artifact { digest: digest.clone(), only_listing: true }).await;
    // Its length comes first.
    (code, sent.get(8..).unwrap_or_default().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_listing_lies_in_pieces_and_has_the_digest_of_the_whole() {
    // Nobody waits for a disk here ten thousand times.
    let data = TempDir::new_in("/dev/shm").unwrap();
    let store = LocalStore::start(data.path()).await.unwrap();
    let pod = Pod::new("growth");
    pod.command_ended(0);
    let mut files = Draft::default();
    for number in 0..=PIECE_FILES {
        let (path, content) = (format!("{}/{number}", number % 50), number.to_string());
        let place = files.add(&path).unwrap();
        files.set(place, content.len() as u64, Some(&Digest::of(content.as_bytes())));
        pod.write_output("x", &path, content.as_bytes());
    }
    let whole = files.listing().unwrap();
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    let made = &end.message.outputs[0];
    assert_eq!((&made.digest, made.files), (&whole.digest(), whole.len() as u64), "{end:?}");

    let index = fs::read(on_disk(&data, &layout::artifact(&made.digest))).unwrap();
    let Ok(ListingObject::Index(index)) = ListingObject::parse(&index) else { panic!("there is no index") };
    assert_eq!(index.pieces.len(), 2);
    let own = pod.own_store(&store);
    let listing = async || read_listing(&own, &made.digest).await;
    let (code, json) = listing().await;
    assert!(code == 0 && json == whole.canonical_json(), "{code}, {} bytes", json.len());

    // A piece that was damaged, one that is gone, and an index that lacks one.
    let piece: PathBuf = on_disk(&data, &layout::object(&index.pieces[1]));
    let kept = fs::read(&piece).unwrap();
    fs::write(&piece, b"[]").unwrap();
    let corrupt = (i32::from(ExitCode::CorruptArtifact.number()), vec![]);
    assert_eq!(listing().await, corrupt);
    fs::remove_file(&piece).unwrap();
    assert_eq!(listing().await, (i32::from(ExitCode::InputNotFound.number()), vec![]));
    fs::write(&piece, kept).unwrap();
    assert_eq!(listing().await.0, 0);
    let short = ListingIndex::new(index.pieces[..1].to_vec());
    fs::write(on_disk(&data, &layout::artifact(&made.digest)), short.json()).unwrap();
    assert_eq!(listing().await, corrupt);
}
