//! What a store has or answers is not taken at its word: content counts, not size; versions count, not names.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;

use axum::Router;
use axum::http::{StatusCode, Uri};
use seatrial_core::contract::{Digest, ExitCode, layout};
use seatrial_crds::OutputType;
use support::{Pod, anonymous, artifact, by_uri, fetch_config, on_disk, publish_config, store};
use tokio::net::TcpListener;

/// A disk that rots, a restore that is half done, and somebody who was there first have one cure: the next publish.
/// Both a file that goes in one piece and one that goes in parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_the_right_size_and_another_content_is_repaired() {
    let (data, store) = store().await;
    for size in [1_000, 9 << 20] {
        let content = vec![7_u8; size];
        let pod = Pod::new("growth");
        pod.command_ended(0);
        pod.write_output("x", "content", &content);
        let mut config = publish_config(pod.own_store(&store), &[("x", OutputType::Any)]);
        config.step.as_mut().unwrap().run_uid = format!("first-{size}");
        let first = pod.publish(&config).await;
        assert_eq!(first.code, ExitCode::Success, "{first:?}");
        let object = on_disk(&data, &layout::object(&Digest::of(&content)));
        fs::write(&object, vec![8_u8; size]).unwrap();
        let listing = on_disk(&data, &layout::artifact(&first.message.outputs[0].digest));
        let length = fs::metadata(&listing).unwrap().len();
        fs::write(&listing, vec![b' '; usize::try_from(length).unwrap()]).unwrap();
        config.step.as_mut().unwrap().run_uid = format!("second-{size}");
        let second = pod.publish(&config).await;
        assert_eq!(second.code, ExitCode::Success, "{second:?}");
        assert!(fs::read(&object).unwrap() == content, "{size} bytes are repaired");
        let input = artifact("x", "s3://growth/", &second.message.outputs[0].digest);
        let fetched = pod.fetch(&fetch_config(config.stores, vec![input])).await;
        assert_eq!(fetched.code, ExitCode::Success, "{fetched:?}");
    }
}

/// A server whose list names another version of a file than the one that it sends, of the same size.
async fn serve_torn() -> String {
    let list = "<ListBucketResult><Contents><Key>raw/a</Key><LastModified>2026-11-24T08:00:00.000Z</LastModified>\
        <ETag>\"listed\"</ETag><Size>4</Size></Contents></ListBucketResult>";
    let answer = async move |uri: Uri| {
        let content = if uri.query().is_some_and(|query| query.contains("list-type")) { list } else { "late" };
        ([("etag", "\"replaced\""), ("last-modified", "Tue, 24 Nov 2026 08:00:00 GMT")], content)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    endpoint
}

/// The files of a folder belong together: one that was replaced after they were listed is not put among the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_replaced_after_it_was_listed_is_not_taken() {
    let pod = Pod::new("growth");
    let stores = vec![anonymous("s3://lake/", Some(serve_torn().await))];
    let end = pod.fetch(&fetch_config(stores, vec![by_uri("raw", "s3://lake/", "s3://lake/raw/")])).await;
    assert_eq!(end.code, ExitCode::StoreUnavailable, "{end:?}");
    assert!(end.text().contains("was replaced between"), "{}", end.text());
}

/// A HEAD is answered without a word: what is wrong is asked for again in a way that has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_a_single_object_says_what_to_do() {
    for (status, code, expected) in [
        (StatusCode::BAD_REQUEST, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (StatusCode::NOT_FOUND, "NoSuchBucket", "the bucket does not exist"),
        (StatusCode::MOVED_PERMANENTLY, "PermanentRedirect", "spec.region"),
    ] {
        let answer = async move || (status, format!("<Error><Code>{code}</Code><Message>No</Message></Error>"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        for uri in ["s3://lake/raw/a", "s3://lake/raw/"] {
            let pod = Pod::new("growth");
            let stores = vec![anonymous("s3://lake/", Some(endpoint.clone()))];
            let mut config = fetch_config(stores, vec![by_uri("raw", "s3://lake/", uri)]);
            // Were it taken for an outage, it would be waited for.
            config.outage_seconds = 3600;
            let end = pod.fetch(&config).await;
            assert_eq!(end.code, ExitCode::InputNotFound, "{end:?}");
            assert!(end.text().contains(expected), "{}", end.text());
        }
    }
}
