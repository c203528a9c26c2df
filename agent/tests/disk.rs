//! The agent's program with a small disk.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;

use seatrial_core::contract::ExitCode;
use seatrial_crds::OutputType;
use support::{Disk, Pod, artifact, fetch_config, publish_config, store, tree};
use tempfile::TempDir;

/// Refused before hours are spent on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, for a small file system"]
async fn data_that_is_larger_than_the_disk_is_refused_before_it_is_fetched() {
    let (_data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "large", &vec![0; 9 << 20]);
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    let input = artifact("x", "s3://growth/", &end.message.outputs[0].digest);
    let folder = TempDir::new().unwrap();
    let disk = Disk::new(folder.path(), "8m");
    let small = Pod::with_volume("growth", folder, disk.0.clone());
    let end = small.fetch(&fetch_config(vec![small.own_store(&store)], vec![input])).await;
    assert_eq!(end.code, ExitCode::InputTooLarge, "{end:?}");
    assert!(end.text().contains("9437184 bytes"), "{}", end.text());
    assert_eq!(tree(&disk.0).len(), 2, "exec and the lock alone");
}

/// What a fetch left that broke off takes no space from the next one in the same pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, for a small file system"]
async fn leftovers_of_an_earlier_start_do_not_count() {
    let (_data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "large", &vec![0; 9 << 20]);
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    let input = artifact("x", "s3://growth/", &end.message.outputs[0].digest);
    let folder = TempDir::new().unwrap();
    let disk = Disk::new(folder.path(), "16m");
    let small = Pod::with_volume("growth", folder, disk.0.clone());
    fs::create_dir_all(disk.0.join("inputs/x")).unwrap();
    fs::write(disk.0.join("inputs/x/large"), vec![1; 10 << 20]).unwrap();
    let end = small.fetch(&fetch_config(vec![small.own_store(&store)], vec![input])).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
}
