//! Sums that a client sends with what it writes: checked, kept, and given back to those who ask.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use seatrial_store::testing::LocalStore;
use sha2::{Digest, Sha256};
use support::{Answer, Keys, Raw, checking_client, client, files, keys, store};

const HEADER: &str = "x-amz-checksum-sha256";

fn sum(content: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(content))
}

fn md5(content: &[u8]) -> String {
    BASE64_STANDARD.encode(md5::Md5::digest(content))
}

/// What a reader of an object is told who asks for its sum.
async fn ask(store: &LocalStore, keys: &Keys, method: &str, target: &str) -> Answer {
    let answer = Raw::new(method, target).header("x-amz-checksum-mode", "ENABLED").send_signed(store, keys).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[tokio::test]
async fn a_sum_is_checked_and_given_back() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let put = Raw::new("PUT", "/growth/x").header(HEADER, sum(b"content")).body(b"content");
    let put = put.send_signed(&store, &growth).await;
    assert_eq!((put.status, put.header(HEADER)), (200, Some(&*sum(b"content"))));
    let copy = Raw::new("PUT", "/growth/copy").header("x-amz-copy-source", "growth/x");
    assert_eq!(copy.send_signed(&store, &growth).await.status, 200);
    for target in ["/growth/x", "/growth/copy"] {
        for method in ["GET", "HEAD"] {
            let told = ask(&store, &growth, method, target).await;
            let told = (told.header(HEADER), told.header("x-amz-checksum-type"));
            assert_eq!(told, (Some(&*sum(b"content")), Some("FULL_OBJECT")), "{method} {target}");
            let unasked = Raw::new(method, target).send_signed(&store, &growth).await;
            assert_eq!(unasked.header(HEADER), None);
        }
    }
    let part = Raw::new("GET", "/growth/x").header("x-amz-checksum-mode", "ENABLED").header("range", "bytes=0-3");
    let part = part.send_signed(&store, &growth).await;
    assert_eq!((part.status, part.header(HEADER)), (206, None), "the sum is not of the range");
    // What takes its place has a sum of its own, or none.
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"another").send_signed(&store, &growth).await.status, 200);
    assert_eq!(ask(&store, &growth, "HEAD", "/growth/x").await.header(HEADER), None);
}

#[tokio::test]
async fn a_body_with_another_sum_leaves_nothing() {
    let (data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let begun = Raw::new("POST", "/growth/large?uploads=").send_signed(&store, &growth).await;
    let id = begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    // A part that is refused leaves a place without content.
    let files = || files(data.path()).into_iter().filter(|file| !file.contains("/whole ")).collect::<Vec<_>>();
    let before = files();
    for target in ["/growth/x", &format!("/growth/large?partNumber=1&uploadId={id}")] {
        for (header, value, code) in [
            (HEADER, sum(b"other"), "BadDigest"),
            (HEADER, "YWJj".to_owned(), "InvalidRequest"),
            ("content-md5", md5(b"other"), "BadDigest"),
            ("content-md5", "YWJj".to_owned(), "InvalidDigest"),
        ] {
            let put = Raw::new("PUT", target).header(header, value).body(b"content").send_signed(&store, &growth).await;
            assert!(put.status == 400 && put.body.contains(code), "{target}: {put:?}");
        }
    }
    assert_eq!(files(), before);
    let whole = std::fs::read(data.path().join("uploads").join(&id).join("whole")).unwrap();
    assert!(whole.iter().all(|byte| *byte == 0), "{whole:?}");
    let list = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>";
    let target = format!("/growth/large?uploadId={id}");
    let complete = Raw::new("POST", &target).body(list).send_signed(&store, &growth).await;
    assert!(complete.status == 400 && complete.body.contains("InvalidPart"), "{complete:?}");
}

/// Such as s5cmd and AWS' older libraries. The MD5 is checked, and no sum for a reader.
#[tokio::test]
async fn clients_that_send_an_md5_can_upload() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let put = Raw::new("PUT", "/growth/x").header("content-md5", md5(b"content")).body(b"content");
    assert_eq!(put.send_signed(&store, &growth).await.status, 200);
    let begun = Raw::new("POST", "/growth/large?uploads=").send_signed(&store, &growth).await;
    let id = begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let target = format!("/growth/large?partNumber=1&uploadId={id}");
    let part = Raw::new("PUT", &target).header("content-md5", md5(b"content")).body(b"content");
    assert_eq!(part.send_signed(&store, &growth).await.status, 200);
    let target = format!("/growth/large?uploadId={id}");
    let list = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>";
    assert_eq!(Raw::new("POST", &target).body(list).send_signed(&store, &growth).await.status, 200);
    for target in ["/growth/x", "/growth/large"] {
        let told = ask(&store, &growth, "GET", target).await;
        assert_eq!((told.body.as_str(), told.header(HEADER)), ("content", None), "{target}");
    }
}

/// AWS' older libraries send it with each list of keys to delete.
#[tokio::test]
async fn a_list_of_keys_with_another_md5_deletes_nothing() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/x").body(b"content").send_signed(&store, &growth).await.status, 200);
    let list = b"<Delete><Object><Key>x</Key></Object></Delete>";
    for (value, status, code, left) in [
        (md5(b"other"), 400, "<Code>BadDigest</Code>", 200),
        ("YWJj".to_owned(), 400, "<Code>InvalidDigest</Code>", 200),
        (md5(list), 200, "<Deleted><Key>x</Key></Deleted>", 404),
    ] {
        let delete = Raw::new("POST", "/growth?delete=").header("content-md5", value).body(list);
        let answer = delete.send_signed(&store, &growth).await;
        assert!(answer.status == status && answer.body.contains(code), "{answer:?}");
        assert_eq!(Raw::new("GET", "/growth/x").send_signed(&store, &growth).await.status, left, "{answer:?}");
    }
}

/// The client's library sends the sum of each part, and names them when it completes the upload.
#[tokio::test]
async fn an_object_in_parts_has_the_sum_of_its_parts_sums() {
    let (_data, store) = store().await;
    let growth = keys(&store, "growth").await;
    let checking = checking_client(&store, "growth", "growth");
    let parts = [vec![b'a'; 6 << 20], vec![b'b'; 6 << 20], b"end".to_vec()];
    let composite = parts.iter().flat_map(Sha256::digest).collect::<Vec<u8>>();
    let composite = format!("{}-3", sum(&composite));
    let mut upload = checking.put_multipart(&Path::from("large")).await.unwrap();
    for part in &parts {
        upload.put_part(PutPayload::from(part.clone())).await.unwrap();
    }
    upload.complete().await.unwrap();
    let told = ask(&store, &growth, "HEAD", "/growth/large").await;
    let told = (told.header(HEADER), told.header("x-amz-checksum-type"));
    assert_eq!(told, (Some(&*composite), Some("COMPOSITE")));
    checking.put(&Path::from("small"), "x".into()).await.unwrap();
    assert_eq!(ask(&store, &growth, "HEAD", "/growth/small").await.header(HEADER), Some(&*sum(b"x")));
    // The sum of the first part is no sum of the whole.
    let growth_client = client(&store, "growth", "growth");
    let begun = Raw::new("POST", "/growth/mixed?uploads=").send_signed(&store, &growth).await;
    let id = begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let target = |number| format!("/growth/mixed?partNumber={number}&uploadId={id}");
    let first = target(1);
    let first = Raw::new("PUT", &first).header(HEADER, sum(b"one ")).body(b"one ").send_signed(&store, &growth).await;
    let second = Raw::new("PUT", &target(2)).body(b"two").send_signed(&store, &growth).await;
    assert_eq!((first.status, second.status), (200, 200));
    let done = format!("/growth/mixed?uploadId={id}");
    let complete = |first: &str| {
        let first = format!("<Part><PartNumber>1</PartNumber><ChecksumSHA256>{first}</ChecksumSHA256></Part>");
        format!("<CompleteMultipartUpload>{first}<Part><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>")
    };
    let wrong = complete(&sum(b"another"));
    let wrong = Raw::new("POST", &done).body(wrong.as_bytes()).send_signed(&store, &growth).await;
    assert!(wrong.status == 400 && wrong.body.contains("InvalidPart"), "{wrong:?}");
    let right = complete(&sum(b"one "));
    assert_eq!(Raw::new("POST", &done).body(right.as_bytes()).send_signed(&store, &growth).await.status, 200);
    assert_eq!(ask(&store, &growth, "HEAD", "/growth/mixed").await.header(HEADER), None);
    let whole = growth_client.get(&Path::from("mixed")).await.unwrap().bytes().await.unwrap();
    assert_eq!(whole, "one two".as_bytes());
}
