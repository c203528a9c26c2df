//! How `publish` ends beside a command that failed, made nothing or left no trace, and in a pod that is told to stop.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial_core::contract::{Authorities, ExitCode, Message, Try, layout, paths};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{Pod, assert_nothing_made, exit_record, fetch_config, key, on_disk, publish_config, store, tree, until};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_failed_publishes_nothing() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(3);
    fs::create_dir(pod.path(paths::LOGS)).unwrap();
    fs::write(pod.path(paths::LOGS).join("head"), "2026-11-25T06:30:00Z stdout F no such column\n").unwrap();
    pod.write_output("x", "content", b"half");
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    assert_eq!((end.code, end.message), (ExitCode::Success, Message::new()));
    assert_nothing_made(&data);
    // How it ended is kept all the same, and what it printed.
    let folder = data.path().join("objects/growth.0/dseatrial/dtries/drun/dtrain/d1/d0");
    let kept = tree(&folder);
    let end: Try = serde_json::from_slice(&kept.iter().find(|(name, _)| name.ends_with(".json")).unwrap().1).unwrap();
    assert_eq!((end.exit.unwrap().code, end.key), (3, key()));
    let packed = &kept.iter().find(|(name, _)| name.ends_with(".log.gz")).unwrap().1;
    let mut printed = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "2026-11-25T06:30:00Z stdout F no such column\n");
}

/// Nothing later depends on a step without outputs: no store, however it is away, can hold it up or fail it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_without_outputs_needs_no_store() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    let mut config = publish_config(pod.own_store(&store), &[]);
    let end = pod.publish(&config).await;
    assert_eq!((end.code, end.message), (ExitCode::Success, Message::new()));
    assert_nothing_made(&data);
    let tries = data.path().join("objects/growth.0/dseatrial/dtries");
    assert_eq!(tree(&tries).len(), 1, "how it ended is kept where that can be");
    store.stop().await.unwrap();
    // What is best effort goes on for no longer than what must not be lost.
    config.step.as_mut().unwrap().outage_seconds = 1;
    assert_eq!(pod.publish(&config).await.code, ExitCode::Success);
    // One that cannot even be opened: its authority is not there.
    config.stores[0].authorities = Authorities::Only("/nowhere/ca.crt".into());
    assert_eq!(pod.publish(&config).await.code, ExitCode::Success);
    config.stores.clear();
    assert_eq!(pod.publish(&config).await.code, ExitCode::Success);
}

/// A store that is away for a moment when a command has failed costs nothing of what explains the failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_failed_command_waits_for_its_store_for_a_moment() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(1);
    fs::create_dir(pod.path(paths::LOGS)).unwrap();
    fs::write(pod.path(paths::LOGS).join("head"), "no such column\n").unwrap();
    let config = publish_config(pod.own_store(&store), &[("x", OutputType::Any)]);
    let address: SocketAddr = store.address;
    store.stop().await.unwrap();
    // Nobody can speak TLS with this: an outage, which has been met once it was connected to.
    let deaf = TcpListener::bind(address).await.unwrap();
    let publishing = pod.start_publish(&config);
    drop(deaf.accept().await.unwrap());
    drop(deaf);
    let store = LocalStore::start_at(data.path(), address).await.unwrap();
    assert_eq!(pod.end(publishing).await.code, ExitCode::Success);
    let kept = tree(&data.path().join("objects/growth.0/dseatrial/dtries"));
    assert!(kept.len() == 2 && kept.iter().any(|(name, _)| name.ends_with(".log.gz")), "{kept:?}");
    store.stop().await.unwrap();
}

/// Of a node that dies in the middle of a training, nothing else is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_kept_while_the_command_runs() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    let _runs = pod.command_runs();
    fs::create_dir(pod.path(paths::LOGS)).unwrap();
    fs::write(pod.path(paths::LOGS).join("head"), "epoch 1\n").unwrap();
    let mut config = publish_config(pod.own_store(&store), &[("x", OutputType::Any)]);
    config.step.as_mut().unwrap().log_seconds = 1;
    let mut publishing = pod.start_publish(&config);
    let tries = data.path().join("objects/growth.0/dseatrial/dtries");
    let logs = || if tries.exists() { tree(&tries) } else { vec![] };
    until("the log is kept", async || logs().iter().any(|(name, _)| name.ends_with(".log.gz"))).await;
    let (before, _) = (logs(), fs::write(pod.path(paths::LOGS).join("tail"), "epoch 2\n").unwrap());
    until("what came later is kept", async || logs() != before).await;
    publishing.kill().await.unwrap();
    assert_eq!(logs().len(), 1, "how it ended is not known");
}

/// What the user's code may have put in place of the record is read no further than a record would be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_none_is_not_followed_or_waited_for() {
    let (data, store) = store().await;
    type Forge = fn(&std::path::Path);
    let cases: [Forge; 3] = [
        |exit| std::os::unix::fs::symlink("started", exit).unwrap(),
        |exit| nix::unistd::mkfifo(exit, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        |exit| fs::write(exit, "9".repeat(1 << 20)).unwrap(),
    ];
    for forge in cases {
        let pod = Pod::new("growth");
        pod.command_ended(0);
        fs::write(pod.path(paths::STARTED), "0").unwrap();
        fs::remove_file(pod.path(paths::EXIT)).unwrap();
        forge(&pod.path(paths::EXIT));
        pod.write_output("x", "content", b"forged");
        let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
        assert_eq!(end.code, ExitCode::StepVanished, "{end:?}");
    }
    assert_nothing_made(&data);
}

/// The lock and the folder that it lies in are what says that the command goes on. Whoever else replaces them is not
/// believed, and nothing is uploaded while the command could still write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, for another user"]
async fn another_user_cannot_replace_the_lock() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    assert_eq!(pod.fetch(&fetch_config(vec![], vec![])).await.code, ExitCode::Success);
    // As the kubelet makes an emptyDir: whoever is in the pod may write to its root.
    pod.open_to_all();
    pod.write_output("x", "content", b"torn");
    let root = pod.path(paths::STATE).parent().unwrap().to_path_buf();
    let user = |script: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-ec", script, &exit_record(0)]).current_dir(&root).stderr(std::process::Stdio::null());
        shell.uid(12345).gid(12345).status().unwrap().success()
    };
    // `exec` works as any user.
    assert!(user("exec 9<>state/lock; flock -n 9; touch state/started; echo $0 >state/exit.new"));
    assert!(user("mv state/exit.new state/exit"));
    for attempt in ["mv state/lock state/aside", "rm state/lock", "ln -sf /etc/passwd state/lock"] {
        assert!(!user(attempt), "{attempt}");
    }
    // The whole folder can be replaced, but not by one of the same owner.
    assert!(user(
        "mv state aside; mkdir -m 777 state; touch state/lock state/started; chmod 666 state/lock; echo $0 >state/exit"
    ));
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    assert_eq!(end.code, ExitCode::BadOutput, "{end:?}");
    assert!(end.text().contains("not as the agent made it"), "{}", end.text());
    assert!(user("rm -r state; ln -s aside state"));
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    assert_eq!(end.code, ExitCode::BadOutput, "{end:?}");
    assert_nothing_made(&data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_told_to_stop_says_that_it_was() {
    let (_data, store) = store().await;
    let pod = Pod::new("growth");
    // The command never starts: publish waits.
    let child = pod.start_publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)]));
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    // Until its handler is there, the signal would just kill it: `SigCgt` in its status says so.
    until("the agent listens to signals", async || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & (1 << (Signal::SIGTERM as u64 - 1)) != 0
    })
    .await;
    kill(id, Signal::SIGTERM).unwrap();
    assert_eq!(pod.end(child).await.code, ExitCode::Stopped);
}

/// An upload that has begun when the pod is told to stop goes on: the work of the step hangs on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_in_the_middle_of_an_upload_loses_nothing() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "content", b"hours of work");
    let config = publish_config(pod.own_store(&store), &[("x", OutputType::Any)]);
    let address: SocketAddr = store.address;
    store.stop().await.unwrap();
    let child = pod.start_publish(&config);
    until("the upload waits", async || pod.probe().await == 1).await;
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
    let _store = LocalStore::start_at(data.path(), address).await.unwrap();
    let end = pod.end(child).await;
    assert_eq!((end.code, end.message.outputs.len()), (ExitCode::Success, 1), "{end:?}");
    assert!(on_disk(&data, &layout::record(&key())).exists());
}
