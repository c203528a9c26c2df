//! The program itself: what it does with the API server, and with another one of its kind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use support::process::Process;
use support::{Raw, ask_for_keys, keys};
use tempfile::TempDir;

#[tokio::test]
async fn keys_come_from_what_the_api_server_says() {
    let data = TempDir::new().unwrap();
    let store = Process::start(data.path(), &[]).await;
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"x").send_signed(&store, &growth).await.status, 200);
    for (token, why) in [
        ("token-for-others", "it is not for the audience seatrial-store"),
        ("old", "token has expired"),
        ("", "no Web"),
    ] {
        let answer = ask_for_keys(&store, token).await;
        assert!(answer.status == 400 && answer.body.contains(why), "{token}: {answer:?}");
        assert!(!answer.body.contains("AccessKeyId"), "{answer:?}");
    }
}

/// Such as a pod that its node forgot, or one that somebody looks at the volume with.
#[tokio::test]
async fn a_folder_has_one_store() {
    let data = TempDir::new().unwrap();
    let mut first = Process::start(data.path(), &[]).await;
    let growth = keys(&first, "growth").await;
    std::fs::write(data.path().join("drafts/of-the-first"), "").unwrap();
    let (status, log) = Process::start_in_vain(data.path()).await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("another process uses") && log.contains(&data.path().display().to_string()), "{log}");
    assert!(data.path().join("drafts/of-the-first").exists(), "what the first one writes is none of its business");
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"x").send_signed(&first, &growth).await.status, 200);
    first.kill();
    let second = Process::start(data.path(), &[]).await;
    assert_eq!(Raw::new("GET", "/growth/x").send_signed(&second, &growth).await.body, "x");
}
