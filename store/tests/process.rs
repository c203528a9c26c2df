//! The program itself: what it does with the API server, and with another one of its kind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use support::process::Process;
use support::{Raw, Served, ask_for_keys, keys};
use tempfile::TempDir;

#[tokio::test]
async fn keys_come_from_what_the_api_server_says() {
    let data = TempDir::new().unwrap();
    let store = Process::start(data.path(), &[]).await;
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"x").send_signed(&store, &growth).await.status, 200);
    for (token, why) in [
        (store.signed("https://kubernetes.default.svc", "growth", 3600), "it is not for the audience seatrial-store"),
        (store.signed("seatrial-store", "growth", -3600), "the token has expired"),
        (store.signed("seatrial-store", "revoked", 3600), "the account was deleted"),
        (store.forged("first"), "this cluster did not sign it"),
        (store.forged("second"), "this cluster has no key of its name"),
        ("junk".to_owned(), "it is no token"),
        (String::new(), "no Web"),
    ] {
        let answer = ask_for_keys(&store, &token).await;
        assert!(answer.status == 400 && answer.body.contains(why), "{token}: {answer:?}");
        assert!(!answer.body.contains("AccessKeyId"), "{answer:?}");
    }
}

#[tokio::test]
async fn what_the_cluster_did_not_sign_never_reaches_the_api_server() {
    let data = TempDir::new().unwrap();
    let store = Process::start(data.path(), &[]).await;
    let token = store.token("growth");
    for _ in 0..3 {
        assert_eq!(ask_for_keys(&store, &token).await.status, 200);
    }
    assert_eq!((store.reviews(), store.key_requests()), (1, 1), "the word of a moment ago is taken again");
    for _ in 0..50 {
        for junk in [store.forged("first"), store.forged("second"), "junk".to_owned()] {
            assert_eq!(ask_for_keys(&store, &junk).await.status, 400);
        }
    }
    assert_eq!(store.reviews(), 1);
    // A key that is not known may be a new one; it is not looked for with each token.
    assert!(store.key_requests() < 10, "{} requests", store.key_requests());
}

/// The name of a namespace that was deleted may be given to somebody else.
#[tokio::test]
async fn a_namespace_that_is_made_again_finds_nothing_of_the_old_one() {
    let data = TempDir::new().unwrap();
    let store = Process::start(data.path(), &[]).await;
    let old = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"old").send_signed(&store, &old).await.status, 200);
    store.make_namespaces_again("1");
    let new = keys(&store, "growth").await;
    assert_eq!(Raw::new("GET", "/growth/x").send_signed(&store, &new).await.status, 404);
    let list = Raw::new("GET", "/growth?list-type=2").send_signed(&store, &new).await;
    assert!(list.status == 200 && !list.body.contains("<Key>"), "{list:?}");
    // Nor do the old one's keys, while they last, reach what is new.
    assert_eq!(Raw::new("PUT", "/growth/y").body(b"new").send_signed(&store, &new).await.status, 200);
    assert_eq!(Raw::new("GET", "/growth/y").send_signed(&store, &old).await.status, 404);
    assert_eq!(Raw::new("GET", "/growth/x").send_signed(&store, &old).await.body, "old");
}

/// The program of these tests runs at `debug`.
#[tokio::test]
async fn no_token_and_no_refused_request_is_in_the_log() {
    let data = TempDir::new().unwrap();
    let store = Process::start(data.path(), &[]).await;
    let token = store.token("growth");
    let target = format!("/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=x&WebIdentityToken={token}");
    assert_eq!(Raw::new("POST", &target).send(&store).await.status, 200);
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("HEAD", "/growth/absent").send_signed(&store, &growth).await.status, 404);
    assert_eq!(Raw::new("GET", "/growth/absent").send(&store).await.status, 403);
    let log = store.log();
    assert!(log.contains("keys are issued"), "its own lines of this level are there: {log}");
    for secret in [token.as_str(), "WebIdentityToken", &growth.secret, "absent"] {
        assert!(!log.contains(secret), "{secret}: {log}");
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
