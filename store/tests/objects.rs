//! The store as its clients use it: objects in every way that they come and go, and what survives.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use seatrial_store::testing::LocalStore;
use support::{client, store};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

async fn read(client: &impl ObjectStore, key: &str) -> String {
    let bytes = client.get(&path(key)).await.unwrap().bytes().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn keys_of(client: &impl ObjectStore) -> Vec<String> {
    client.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap()
}

#[tokio::test]
async fn objects_are_put_read_listed_copied_and_deleted() {
    let (_data, store) = store().await;
    let growth = client(&store, "growth", "growth");
    for (key, content) in
        [("raw/a.csv", "alpha"), ("raw/b.csv", "beta"), ("raw/deep/c ä+%.csv", "gamma"), ("raw", "no folder")]
    {
        growth.put(&path(key), content.into()).await.unwrap();
    }
    assert_eq!(read(&growth, "raw/deep/c ä+%.csv").await, "gamma");
    assert_eq!(growth.get_range(&path("raw/a.csv"), 1..3).await.unwrap(), "lp".as_bytes());
    assert_eq!(growth.head(&path("raw/b.csv")).await.unwrap().size, 4);
    assert_eq!(keys_of(&growth).await, ["raw", "raw/a.csv", "raw/b.csv", "raw/deep/c ä+%.csv"]);
    let folder = growth.list_with_delimiter(Some(&path("raw"))).await.unwrap();
    assert_eq!((folder.objects.len(), folder.common_prefixes), (2, vec![path("raw/deep")]));
    growth.copy(&path("raw/a.csv"), &path("copy")).await.unwrap();
    growth.put(&path("raw/a.csv"), "changed".into()).await.unwrap();
    assert_eq!((read(&growth, "copy").await, read(&growth, "raw/a.csv").await), ("alpha".into(), "changed".into()));
    growth.delete(&path("raw/a.csv")).await.unwrap();
    assert!(matches!(growth.get(&path("raw/a.csv")).await, Err(Error::NotFound { .. })));
    let all = futures::stream::iter(["raw", "raw/b.csv", "never/was"].map(|key| Ok(path(key)))).boxed();
    let deleted: Vec<Path> = growth.delete_stream(all).try_collect().await.unwrap();
    assert_eq!(deleted.len(), 3);
    assert_eq!(keys_of(&growth).await, ["copy", "raw/deep/c ä+%.csv"]);
}

#[tokio::test]
async fn lists_are_longer_than_a_page() {
    let (_data, store) = store().await;
    let growth = client(&store, "growth", "growth");
    let names: Vec<String> = (0..1100).map(|number| format!("many/{number:04}")).collect();
    let puts = names.iter().map(|name| {
        let (growth, key) = (&growth, path(name));
        async move { growth.put(&key, "x".into()).await }
    });
    futures::stream::iter(puts).buffer_unordered(16).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(keys_of(&growth).await, names);
}

/// Parts of different sizes, the last a short one; and one that is given up.
#[tokio::test]
async fn large_objects_come_in_parts() {
    let (data, store) = store().await;
    let growth = client(&store, "growth", "growth");
    let part = |letter: u8, size: usize| PutPayload::from(vec![letter; size]);
    let mut upload = growth.put_multipart(&path("model.bin")).await.unwrap();
    let (first, second) = (upload.put_part(part(b'a', 6 << 20)), upload.put_part(part(b'b', 6 << 20)));
    // The order of parts is that of their numbers, not of their arrival.
    second.await.unwrap();
    first.await.unwrap();
    upload.put_part(part(b'c', 3)).await.unwrap();
    let half = growth.head(&path("model.bin")).await;
    assert!(matches!(half, Err(Error::NotFound { .. })), "half an object is none: {half:?}");
    upload.complete().await.unwrap();
    let whole = growth.get(&path("model.bin")).await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.len(), (12 << 20) + 3);
    assert!(whole[..6 << 20].iter().all(|byte| *byte == b'a') && whole.ends_with(b"bccc"));
    let mut given_up = growth.put_multipart(&path("other.bin")).await.unwrap();
    given_up.put_part(part(b'x', 6 << 20)).await.unwrap();
    given_up.abort().await.unwrap();
    assert_eq!(keys_of(&growth).await, ["model.bin"]);
    assert_eq!(std::fs::read_dir(data.path().join("uploads")).unwrap().count(), 0);
}

/// What the record of a step's result rests on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_create_an_object_at_once_one_is_the_first() {
    let (_data, store) = store().await;
    let clients: Vec<_> = (0..16).map(|_| client(&store, "growth", "growth")).collect();
    for round in 0..50 {
        let key = path(&format!("results/{round}/1"));
        let tries = clients.iter().enumerate().map(|(number, client)| {
            let key = key.clone();
            async move {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                match client.put_opts(&key, format!("writer {number}").into(), options).await {
                    Ok(_) => Some(number),
                    Err(Error::AlreadyExists { .. }) => None,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let winners: Vec<usize> = futures::future::join_all(tries).await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert_eq!(read(&clients[0], key.as_ref()).await, format!("writer {}", winners[0]));
    }
}

#[tokio::test]
async fn an_object_is_replaced_only_if_it_is_the_one_that_was_read() {
    let (_data, store) = store().await;
    let growth = client(&store, "growth", "growth");
    let key = path("counter");
    let version = growth.put(&key, "1".into()).await.unwrap();
    let update = || PutOptions { mode: PutMode::Update(version.clone().into()), ..PutOptions::default() };
    growth.put_opts(&key, "2".into(), update()).await.unwrap();
    assert!(matches!(growth.put_opts(&key, "3".into(), update()).await, Err(Error::Precondition { .. })));
    assert_eq!(read(&growth, "counter").await, "2");
}

/// An ETag that is another writer's would let whoever has it overwrite what it never saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_replace_an_object_at_once_each_learns_its_own_version() {
    let (_data, store) = store().await;
    let clients: Vec<_> = (0..16).map(|_| client(&store, "growth", "growth")).collect();
    let key = path("contended");
    let mut known = std::collections::HashSet::new();
    for round in 0..30 {
        let puts = clients.iter().map(|client| client.put(&key, "same size".into()));
        for put in futures::future::join_all(puts).await {
            let e_tag = put.unwrap().e_tag.unwrap();
            assert!(known.insert(e_tag.clone()), "round {round}: {e_tag} is two writers' own");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost_among_those_who_look_first() {
    let (_data, store) = store().await;
    let key = path("counter");
    client(&store, "growth", "growth").put(&key, "0".into()).await.unwrap();
    let workers = (0..8).map(|_| {
        let (growth, key) = (client(&store, "growth", "growth"), key.clone());
        async move {
            let mut done = 0;
            for _ in 0..20 {
                let found = growth.get(&key).await.unwrap();
                let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: None };
                let number: u64 = String::from_utf8(found.bytes().await.unwrap().to_vec()).unwrap().parse().unwrap();
                let update = PutOptions { mode: PutMode::Update(version), ..PutOptions::default() };
                match growth.put_opts(&key, (number + 1).to_string().into(), update).await {
                    Ok(_) => done += 1,
                    Err(Error::Precondition { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            done
        }
    });
    let done: u64 = futures::future::join_all(workers).await.into_iter().sum();
    assert!(done > 0);
    assert_eq!(read(&client(&store, "growth", "growth"), "counter").await, done.to_string());
}

/// Folders come and go with their objects: neither side may fail for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_deleters_of_one_folder_do_not_disturb_each_other() {
    let (_data, store) = store().await;
    let workers = (0..8).map(|number| {
        let growth = client(&store, "growth", "growth");
        async move {
            let key = path(&format!("deep/er/{number}"));
            for _ in 0..40 {
                growth.put(&key, "x".into()).await.unwrap();
                growth.delete(&key).await.unwrap();
            }
        }
    });
    futures::future::join_all(workers).await;
}

#[tokio::test]
async fn a_restart_keeps_objects_keys_and_authority() {
    let (data, first) = store().await;
    let growth = client(&first, "growth", "growth");
    growth.put(&path("kept"), "kept".into()).await.unwrap();
    let keys = support::keys(&first, "growth").await;
    let mut upload = growth.put_multipart(&path("large")).await.unwrap();
    upload.put_part(PutPayload::from(vec![0; 6 << 20])).await.unwrap();
    drop(growth);
    let authority = first.certificate_authority.clone();
    first.stop().await.unwrap();
    let second = LocalStore::start(data.path()).await.unwrap();
    assert_eq!(second.certificate_authority, authority);
    let answer = support::Raw::new("GET", "/growth/kept").send_signed(&second, &keys).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "kept"));
    assert_eq!(std::fs::read_dir(data.path().join("uploads")).unwrap().count(), 1, "an upload may go on");
}
