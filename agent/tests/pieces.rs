//! Artifacts of so many files that their listing lies in pieces.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::PathBuf;

use seatrial_core::contract::{Digest, Draft, ExitCode, ListingIndex, ListingObject, PIECE_FILES, layout, paths};
use seatrial_crds::OutputType;
use support::{Pod, artifact, fetch_config, on_disk, publish_config, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_listing_lies_in_pieces_and_has_the_digest_of_the_whole() {
    let (data, store) = store().await;
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
    let input = artifact("x", "s3://growth/", &made.digest);
    let reader = Pod::new("growth");
    let config = fetch_config(vec![reader.own_store(&store)], vec![input]);
    let end = reader.fetch(&config).await;
    assert_eq!((end.code, &end.message.inputs[0].digest), (ExitCode::Success, &made.digest), "{end:?}");
    let fetched = reader.path(paths::INPUTS).join("x");
    assert!(whole.entries().all(|entry| fs::metadata(fetched.join(&entry.path)).unwrap().len() == entry.size));

    // A piece that was damaged, one that belongs to another artifact, and one that is gone.
    let piece: PathBuf = on_disk(&data, &layout::object(&index.pieces[1]));
    let kept = fs::read(&piece).unwrap();
    fs::write(&piece, b"[]").unwrap();
    assert_eq!(reader.fetch(&config).await.code, ExitCode::CorruptArtifact);
    fs::remove_file(&piece).unwrap();
    assert_eq!(reader.fetch(&config).await.code, ExitCode::InputNotFound);
    fs::write(&piece, kept).unwrap();
    let place = on_disk(&data, &layout::artifact(&made.digest));
    let short = ListingIndex::new(index.pieces[..1].to_vec());
    fs::write(&place, short.json()).unwrap();
    let end = reader.fetch(&config).await;
    assert_eq!(end.code, ExitCode::CorruptArtifact, "{end:?}");
    assert!(end.text().contains("is not what its digest says"), "{}", end.text());
}
