//! `make bench-files`: publishes and fetches a million files with the agent's real program, and fails where it takes 200 MiB of memory. It
//! takes a quarter of an hour and more; `FILES` is another number of files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot go on fails"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use seatrial_core::contract::{ExitCode, paths};
use seatrial_crds::OutputType;
use support::{Pod, artifact, fetch_config, publish_config, store};

#[tokio::main]
async fn main() {
    let files: u64 = std::env::var("FILES").map_or(1_000_000, |files| files.parse().unwrap());
    let (_data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    let folder = pod.path(paths::OUTPUTS).join("x");
    for number in 0..files {
        let within = folder.join(format!("images/{:04}", number / 1000));
        if number % 1000 == 0 {
            fs::create_dir_all(&within).unwrap();
        }
        fs::write(within.join(format!("{number:010}.json")), number.to_string()).unwrap();
    }
    let peak = || getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024;
    let began = Instant::now();
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    assert_eq!((end.code, end.message.outputs[0].files), (ExitCode::Success, files), "{end:?}");
    println!("{files} files up: {} s, peak of memory {} MiB", began.elapsed().as_secs(), peak());
    let input = artifact("x", "s3://growth/", &end.message.outputs[0].digest);
    let began = Instant::now();
    let end = pod.fetch(&fetch_config(vec![pod.own_store(&store)], vec![input])).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    println!("{files} files down: {} s, peak of memory of both {} MiB", began.elapsed().as_secs(), peak());
    assert!(peak() < 200, "{} MiB", peak());
}
