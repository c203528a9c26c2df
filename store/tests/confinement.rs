//! What a pod of one namespace can do to another's objects, with every trick in the request: nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use support::{Keys, Raw, ask_for_keys, client, client_at, files, keys, store};

#[tokio::test]
async fn another_namespaces_bucket_is_closed() {
    let (_data, store) = store().await;
    let secret = Path::from("raw/secret.csv");
    let risk = client(&store, "risk", "risk");
    risk.put(&secret, "theirs".into()).await.unwrap();
    let intruder = client(&store, "growth", "risk");
    let refusals = [
        intruder.get(&secret).await.map(drop).unwrap_err(),
        intruder.head(&secret).await.map(drop).unwrap_err(),
        intruder.put(&secret, "mine".into()).await.map(drop).unwrap_err(),
        intruder.delete(&secret).await.unwrap_err(),
        intruder.list_with_delimiter(None).await.map(drop).unwrap_err(),
        intruder.put_multipart(&secret).await.map(drop).unwrap_err(),
    ];
    println!("growth's pod asks for risk's object: {}", refusals[0]);
    for refusal in refusals {
        // The library has no word of its own for a list that is refused.
        assert!(format!("{refusal:?}").contains("403"), "{refusal:?}");
        assert!(!matches!(refusal, Error::NotFound { .. }), "{refusal:?}");
    }
    assert_eq!(risk.get(&secret).await.unwrap().bytes().await.unwrap(), "theirs".as_bytes());
}

#[tokio::test]
async fn keys_that_climb_out_of_a_bucket_are_refused() {
    let (data, store) = store().await;
    client(&store, "risk", "risk").put(&Path::from("secret"), "theirs".into()).await.unwrap();
    let growth = keys(&store, "growth").await;
    assert_eq!(Raw::new("PUT", "/growth/own").body(b"own").send_signed(&store, &growth).await.status, 200);
    let before = files(data.path());
    for target in [
        "/growth/../risk/secret",
        "/growth/..%2Frisk%2Fsecret",
        "/growth/%2E%2E/risk/secret",
        "/growth/%2e%2e%2frisk%2fsecret",
        "/growth/a/../../risk/secret",
        "/growth/./../risk/fsecret",
        "/growth//risk/secret",
        "/growth/%00",
        "/growth/../../authority/hmac.key",
        "/growth/..%5Crisk%5Csecret",
        "/../authority/ca.key",
        "/..%2Fauthority/ca.key",
        "//risk/secret",
        "/risk/secret",
        "/RISK/secret",
        "/objects%2Frisk/secret",
        "/.%2e/x",
        "/growth%2F..%2Frisk/secret",
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let answer = Raw::new(method, target).body(b"").send_signed(&store, &growth).await;
            // A backslash is a letter like any other: a key of one's own, which holds nothing yet.
            let own = target.contains("%5C");
            let expected = if own { 200..=499 } else { 400..=499 };
            assert!(expected.contains(&answer.status), "{method} {target}: {answer:?}");
            assert!(!answer.body.contains("theirs"), "{method} {target}: {answer:?}");
        }
    }
    assert_eq!(files(data.path()), before);
}

#[tokio::test]
async fn sources_of_copies_stay_in_their_bucket() {
    let (data, store) = store().await;
    client(&store, "risk", "risk").put(&Path::from("secret"), "theirs".into()).await.unwrap();
    let growth = keys(&store, "growth").await;
    let before = files(data.path());
    for source in [
        "/risk/secret",
        "risk/secret",
        "risk%2Fsecret",
        "/growth/../risk/secret",
        "growth/..%2Frisk%2Fsecret",
        "growth/%2e%2e/risk/secret",
        "arn:aws:s3:us-east-1:1:accesspoint/risk/object/secret",
        "",
        "growth",
        "../authority/hmac.key",
    ] {
        let copy = Raw::new("PUT", "/growth/copy").header("x-amz-copy-source", source);
        let answer = copy.send_signed(&store, &growth).await;
        assert!((400..=501).contains(&answer.status) && answer.status != 500, "{source}: {answer:?}");
        let part = Raw::new("PUT", "/growth/copy?partNumber=1&uploadId=00000000000000000000000000000000");
        let answer = part.header("x-amz-copy-source", source).send_signed(&store, &growth).await;
        assert!((400..=501).contains(&answer.status) && answer.status != 500, "{source}: {answer:?}");
    }
    assert_eq!(files(data.path()), before);
}

#[tokio::test]
async fn bulk_deletes_stay_in_their_bucket() {
    use base64::Engine;
    use md5::Digest;

    let (data, store) = store().await;
    client(&store, "risk", "risk").put(&Path::from("secret"), "theirs".into()).await.unwrap();
    let own = client(&store, "growth", "growth");
    own.put(&Path::from("mine"), "mine".into()).await.unwrap();
    let growth = keys(&store, "growth").await;
    let names = ["../risk/fsecret", "../risk/secret", "a/../../risk/secret", "/risk/secret", "..", "mine"];
    let objects: String = names.iter().map(|name| format!("<Object><Key>{name}</Key></Object>")).collect();
    let body = format!("<Delete>{objects}</Delete>");
    let sum = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(&body));
    let delete = Raw::new("POST", "/growth?delete=").header("content-md5", sum).body(body.as_bytes());
    let answer = delete.send_signed(&store, &growth).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body.matches("<Deleted>").count(), 1, "{answer:?}");
    assert_eq!(answer.body.matches("<Error>").count(), 5, "{answer:?}");
    assert!(files(&data.path().join("objects")).iter().any(|file| file.contains("risk.0/fsecret")));
    let foreign = Raw::new("POST", "/risk?delete=").header("content-md5", "x").body(body.as_bytes());
    assert!((400..=499).contains(&foreign.send_signed(&store, &growth).await.status));
}

#[tokio::test]
async fn an_upload_is_bound_to_its_bucket_and_key() {
    let (_data, store) = store().await;
    let (risk, growth) = (keys(&store, "risk").await, keys(&store, "growth").await);
    let begun = Raw::new("POST", "/risk/large?uploads=").send_signed(&store, &risk).await;
    let id = begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    for target in ["/growth/large", "/growth/../risk/large", "/risk/large"] {
        let target = format!("{target}?partNumber=1&uploadId={id}");
        let answer = Raw::new("PUT", &target).body(b"mine").send_signed(&store, &growth).await;
        assert!((400..=499).contains(&answer.status), "{target}: {answer:?}");
    }
    for id in ["..", "../../authority", "%2e%2e", "00000000000000000000000000000000"] {
        let target = format!("/growth/large?uploadId={id}");
        let answer = Raw::new("DELETE", &target).send_signed(&store, &growth).await;
        assert!((400..=499).contains(&answer.status), "{target}: {answer:?}");
    }
    let target = format!("/risk/large?partNumber=1&uploadId={id}");
    assert_eq!(Raw::new("PUT", &target).body(b"theirs").send_signed(&store, &risk).await.status, 200);
}

#[tokio::test]
async fn lists_do_not_look_outside() {
    let (_data, store) = store().await;
    client(&store, "risk", "risk").put(&Path::from("secret"), "theirs".into()).await.unwrap();
    let growth = keys(&store, "growth").await;
    let long = format!("/growth?list-type=2&prefix={}%2F", "x".repeat(900));
    for target in [
        "/growth?list-type=2&prefix=..%2F",
        "/growth?list-type=2&prefix=..%2Frisk%2F",
        "/growth?list-type=2&prefix=%2F",
        "/growth?list-type=2&prefix=a%2F..%2F..%2Frisk%2F",
        "/growth?list-type=2&prefix=%00%2F",
        "/growth?prefix=..%2Frisk%2F&delimiter=%2F",
        long.as_str(),
    ] {
        let answer = Raw::new("GET", target).send_signed(&store, &growth).await;
        assert!(answer.status == 200 || (400..=499).contains(&answer.status), "{target}: {answer:?}");
        assert!(!answer.body.contains("secret"), "{target}: {answer:?}");
    }
    assert_eq!(Raw::new("GET", "/").send_signed(&store, &growth).await.status, 501, "no list of buckets");
    assert_eq!(Raw::new("GET", "/risk?list-type=2").send_signed(&store, &growth).await.status, 403);
}

#[tokio::test]
async fn without_good_keys_there_is_no_way_in() {
    let (_data, store) = store().await;
    client(&store, "growth", "growth").put(&Path::from("x"), "content".into()).await.unwrap();
    let good = keys(&store, "growth").await;
    assert_eq!(Raw::new("GET", "/growth/x").send(&store).await.status, 403, "unsigned");
    let access_key = |namespace: &str, expiry: &str| format!("seatrial.{namespace}.{expiry}.00");
    let parts: Vec<&str> = good.access_key.split('.').collect();
    for bad in [
        Keys { secret: "0".repeat(64), ..good.clone() },
        // Somebody else's namespace, or a longer life, with the secret of one's own.
        Keys { access_key: format!("seatrial.risk.{}.{}", parts[2], parts[3]), ..good.clone() },
        Keys { access_key: format!("seatrial.growth.4000000000.{}", parts[3]), ..good.clone() },
        Keys { access_key: access_key("growth", "1000000000"), ..good.clone() },
        Keys { access_key: access_key("../risk", "4000000000"), ..good.clone() },
        Keys { access_key: "AKIAIOSFODNN7EXAMPLE".into(), ..good.clone() },
    ] {
        let answer = Raw::new("GET", "/growth/x").send_signed(&store, &bad).await;
        assert!((400..=403).contains(&answer.status), "{bad:?}: {answer:?}");
        assert!(!answer.body.contains("content"), "{answer:?}");
    }
    let answer = Raw::new("GET", "/growth/x").send_signed(&store, &good).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "content"));
    // What the store does not have, it does not pretend to have.
    for target in ["/growth?policy=", "/growth?acl=", "/growth/x?tagging=", "/growth?versioning="] {
        let answer = Raw::new("GET", target).send_signed(&store, &good).await;
        assert_eq!(answer.status, 501, "{target}: {answer:?}");
    }
    assert_eq!(Raw::new("DELETE", "/growth").send_signed(&store, &good).await.status, 501, "buckets stay");
}

#[tokio::test]
async fn tokens_are_checked_before_keys_are_issued() {
    let (_data, store) = store().await;
    let refused = ask_for_keys(&store, "made-up").await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("InvalidIdentityToken") && !refused.body.contains("AccessKeyId"), "{refused:?}");
    let huge = ask_for_keys(&store, &"x".repeat(100_000)).await;
    assert_eq!(huge.status, 413, "{huge:?}");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let other = Raw::new("POST", "/").header(form.0, form.1).body(b"Action=GetSessionToken");
    assert_eq!(other.send(&store).await.status, 400);
    // A client with a token that is refused says so; a server without the right certificate gets no token at all.
    let stranger = client_at(&store.endpoint(), &store.certificate_authority, "made-up", "growth");
    let error = stranger.get(&Path::from("x")).await.unwrap_err().to_string();
    assert!(error.contains("token"), "{error}");
    let other_authority = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap().cert.pem();
    let wary = client_at(&store.endpoint(), &other_authority, "token-of-growth", "growth");
    let error = format!("{:?}", wary.get(&Path::from("x")).await.unwrap_err());
    assert!(error.contains("certificate") || error.contains("UnknownIssuer"), "{error}");
}
