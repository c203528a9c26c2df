//! Files pass through in pieces: the agent's memory does not grow with them. A file of its own, since a process is
//! also charged with the memory of the one that started it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::Path;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::statvfs::statvfs;
use seatrial_core::contract::ExitCode;
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{Pod, artifact, fetch_config, publish_config};
use tempfile::TempDir;

const SIZE: u64 = 128 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_take_little_memory() {
    let data = TempDir::new().unwrap();
    let store = LocalStore::start(data.path()).await.unwrap();
    let folder = TempDir::new_in(roomiest(&["/dev/shm", "/tmp"])).unwrap();
    let volume = folder.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let pod = Pod::with_volume("growth", folder, volume);
    pod.command_ended(0);
    pod.write_output("x", "large", b"");
    let file = pod.path("/seatrial/outputs/x/large");
    fs::File::options().write(true).open(&file).unwrap().set_len(SIZE).unwrap();
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    assert_eq!(end.message.outputs[0].size, SIZE, "{end:?}");
    let input = artifact("x", "s3://growth/", &end.message.outputs[0].digest);
    let end = pod.fetch(&fetch_config(vec![pod.own_store(&store)], vec![input])).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    // The larger of the two agents that this process has waited for.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024;
    println!("the agent's peak of memory: {peak} MiB");
    assert!(peak < 200, "{peak} MiB");
}

/// The folder whose file system has the largest part of it free: a fetch refuses to fill a disk of which less than a
/// tenth would stay free, and the disk of a machine that builds is often that full.
fn roomiest<'a>(folders: &'a [&'a str]) -> &'a Path {
    let free = |folder: &&&str| statvfs(**folder).map_or(0, |s| s.blocks_available() * 100 / s.blocks().max(1));
    Path::new(folders.iter().max_by_key(free).unwrap())
}
