//! What is not implemented is refused, and what is refused leaves nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use support::{Raw, files, keys, store};

#[tokio::test]
async fn conditions_and_sums_that_nobody_looks_at_are_refused() {
    let (data, store) = store().await;
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"x").send_signed(&store, &growth).await.status, 200);
    let begun = Raw::new("POST", "/growth/large?uploads=").send_signed(&store, &growth).await;
    let id = begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let (part, done) = (format!("/growth/large?partNumber=1&uploadId={id}"), format!("/growth/large?uploadId={id}"));
    let before = files(data.path());
    let time = "Sat, 01 Jan 2000 00:00:00 GMT";
    let copy = ("x-amz-copy-source", "growth/x");
    let sum = ("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    for (method, target, headers) in [
        ("GET", "/growth/x", vec![("if-modified-since", time)]),
        ("GET", "/growth/x", vec![("if-unmodified-since", time)]),
        ("GET", "/growth/x?partNumber=1", vec![]),
        ("GET", "/growth/x?versionId=1", vec![]),
        ("HEAD", "/growth/x", vec![("if-unmodified-since", time)]),
        ("DELETE", "/growth/x", vec![("if-match", "\"0\"")]),
        ("DELETE", "/growth/x?versionId=1", vec![]),
        ("PUT", "/growth/copy", vec![copy, ("x-amz-copy-source-if-match", "\"0\"")]),
        ("PUT", "/growth/copy", vec![copy, ("x-amz-copy-source-if-none-match", "\"0\"")]),
        ("PUT", "/growth/copy", vec![copy, ("x-amz-copy-source-if-unmodified-since", time)]),
        ("PUT", "/growth/x", vec![copy, ("if-none-match", "*")]),
        ("POST", &done, vec![("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]),
        ("PUT", "/growth/new", vec![("x-amz-checksum-crc32", "AAAAAA==")]),
        ("PUT", &part, vec![("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=")]),
        ("POST", &done, vec![sum]),
        ("PUT", "/growth/x", vec![("if-match", "*")]),
        ("PUT", "/growth/new", vec![("if-none-match", "\"0\"")]),
    ] {
        let request =
            headers.iter().fold(Raw::new(method, target), |request, (name, value)| request.header(name, *value));
        let body: &[u8] = if method == "POST" { b"<CompleteMultipartUpload></CompleteMultipartUpload>" } else { b"" };
        let answer = request.body(body).send_signed(&store, &growth).await;
        assert_eq!(answer.status, 501, "{method} {target} {headers:?}: {answer:?}");
    }
    assert_eq!(files(data.path()), before);
}

#[tokio::test]
async fn readers_get_the_object_that_they_know_or_do_not() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"x").send_signed(&store, &growth).await.status, 200);
    for method in ["GET", "HEAD"] {
        for (name, value, status) in [
            ("if-match", "\"0\"", 412),
            ("if-match", "*", 200),
            ("if-none-match", "\"0\"", 200),
            ("if-none-match", "*", 304),
        ] {
            let answer = Raw::new(method, "/growth/x").header(name, value).send_signed(&store, &growth).await;
            assert_eq!(answer.status, status, "{method} {name}: {value}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_is_refused_leaves_no_folders() {
    let (data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let update = Raw::new("PUT", "/growth/new/deep/x").header("if-match", "\"0\"").body(b"x");
    assert_eq!(update.send_signed(&store, &growth).await.status, 412);
    let list = Raw::new("GET", "/growth?list-type=2&delimiter=%2F").send_signed(&store, &growth).await;
    assert!(!list.body.contains("CommonPrefixes"), "{list:?}");
    assert_eq!(files(&data.path().join("objects")), [""; 0]);
}

#[tokio::test]
async fn no_key_makes_a_list_unreadable() {
    let (data, store) = store().await;
    let growth = keys(&store, "growth").await;
    for target in ["/growth/a%01b", "/growth/a%0Ab", "/growth/a%7Fb", "/growth/a%EF%BF%BFb/c"] {
        let answer = Raw::new("PUT", target).body(b"x").send_signed(&store, &growth).await;
        assert!(answer.status == 400 && answer.body.contains("control characters"), "{target}: {answer:?}");
    }
    assert_eq!(files(&data.path().join("objects")), [""; 0]);
}

#[tokio::test]
async fn a_page_without_keys_is_the_last() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"x").send_signed(&store, &growth).await.status, 200);
    let list = Raw::new("GET", "/growth?list-type=2&max-keys=0").send_signed(&store, &growth).await;
    assert!(list.status == 200 && list.body.contains("<IsTruncated>false</IsTruncated>"), "{list:?}");
}
