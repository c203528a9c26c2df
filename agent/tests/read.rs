//! What a person gets through a reader pod: an artifact or a log, as it lies in the store.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Read;

use seatrial_core::contract::{AttemptKey, Digest, ExitCode, Listing, Reading, layout, paths};
use seatrial_crds::OutputType;
use support::{Pod, on_disk, publish_config, read, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_and_a_log_are_sent_as_they_lie_in_the_store() {
    let (data, server) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    fs::create_dir(pod.path(paths::LOGS)).unwrap();
    fs::write(pod.path(paths::LOGS).join("head"), "2026-11-25T06:30:00Z stdout F trained\n").unwrap();
    pod.write_output("x", "a/large", &vec![7; 3 << 20]);
    pod.write_output("x", "b", b"small");
    let config = publish_config(pod.own_store(&server), &[("x", OutputType::Any)]);
    let end = pod.publish(&config).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    let digest = end.message.outputs[0].digest.clone();
    let own = &config.stores[0];

    let (code, sent) = read(own, Reading::Artifact { digest: digest.clone(), only_listing: false }).await;
    assert_eq!(code, 0);
    let length = usize::try_from(u64::from_be_bytes(sent[..8].try_into().unwrap())).unwrap();
    let listing = Listing::parse(&sent[8..8 + length]).unwrap();
    assert_eq!(listing.digest(), digest);
    let content = [vec![7; 3 << 20], b"small".to_vec()].concat();
    assert!(sent[8 + length..] == content, "{} bytes", sent.len());
    let (_, only) = read(own, Reading::Artifact { digest: digest.clone(), only_listing: true }).await;
    assert_eq!(only, sent[..8 + length]);

    let step = config.step.as_ref().unwrap();
    let (code, packed) = read(own, Reading::Log { attempt: step.key(0) }).await;
    let mut log = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut log).unwrap();
    assert_eq!((code, log.as_str()), (0, "2026-11-25T06:30:00Z stdout F trained\n"));
    let other = AttemptKey { attempt: 9, ..step.key(0) };
    let missing = i32::from(ExitCode::InputNotFound.number());
    assert_eq!(read(own, Reading::Log { attempt: other }).await, (missing, vec![]));

    fs::remove_file(on_disk(&data, &layout::object(&Digest::of(b"small")))).unwrap();
    assert_eq!(read(own, Reading::Artifact { digest, only_listing: false }).await.0, missing);
}
