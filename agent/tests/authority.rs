//! Another authority than the one that a pod began with, as of a store that lost its volume: its file is followed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use seatrial_core::contract::{AttemptKey, Digest, ExitCode, StoreConfig, layout};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{Pod, on_disk, publish_config, store, until};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The size of the output, in bytes: several parts.
const SIZE: usize = 40 << 20;
/// How much of it reaches the first store, in bytes.
const LIMIT: usize = 20 << 20;

/// An address that leads to a first store until it has taken half of an upload, then breaks off and leads to a second.
async fn gate(first: SocketAddr, second: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, is_cut) = watch::channel(false);
    let (cut, taken) = (Arc::new(cut), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let is_second = *is_cut.borrow();
            let upstream = TcpStream::connect(if is_second { second } else { first }).await.unwrap();
            let (cut, taken, mut is_cut) = (cut.clone(), taken.clone(), is_cut.clone());
            tokio::spawn(async move {
                let (from_client, to_client) = client.into_split();
                let (from_store, to_store) = upstream.into_split();
                let sent = |bytes: usize| {
                    if taken.fetch_add(bytes, Ordering::Relaxed) + bytes > LIMIT {
                        cut.send_replace(true);
                    }
                };
                let both =
                    async { tokio::join!(pass(from_client, to_store, sent), pass(from_store, to_client, |_| ())) };
                tokio::select! {
                    _ = both => (),
                    _ = is_cut.wait_for(|cut| *cut != is_second) => (),
                }
            });
        }
    });
    address
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, sent: impl Fn(usize)) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        sent(read);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Hours of work would be lost with a store that came back as another: its keys and uploads are forgotten as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_when_the_authority_of_a_store_is_replaced_in_the_middle_of_it() {
    let ((_first_data, first), (second_data, second)) = (store().await, store().await);
    assert_ne!(first.certificate_authority, second.certificate_authority);
    let endpoint = format!("https://localhost:{}", gate(first.address, second.address).await.port());
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("model", "weights", &vec![7; SIZE]);
    pod.write_output("model", "small", b"before the upload of the large one ends");
    let config = at(&pod, &first, &endpoint);
    let publishing = pod.start_publish(&publish_config(config, &[("model", OutputType::Model)]));
    until("the store is not trusted any more", async || pod.probe().await == 1).await;
    pod.trust(&second);
    let end = pod.end(publishing).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    let key = AttemptKey { run_uid: "run".into(), step: "train".into(), attempt: 1, index: 0 };
    let small = Digest::of(b"before the upload of the large one ends");
    for key in [layout::record(&key), layout::object(&small), layout::artifact(&end.message.outputs[0].digest)] {
        assert!(on_disk(&second_data, &key).exists(), "{key}");
    }
}

/// A pod may be there before its authority is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_is_not_there_yet_is_waited_for() {
    let (_data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "content", b"good");
    let config = at(&pod, &store, &store.endpoint());
    std::fs::remove_file(config.authorities.file().unwrap()).unwrap();
    let publishing = pod.start_publish(&publish_config(config, &[("x", OutputType::Any)]));
    until("readiness fails", async || pod.probe().await == 1).await;
    pod.trust(&store);
    let end = pod.end(publishing).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
}

/// The store's config, by another way to it.
fn at(pod: &Pod, store: &LocalStore, endpoint: &str) -> StoreConfig {
    use seatrial_core::contract::Authentication::WebIdentity;
    let mut config = StoreConfig { endpoint: Some(endpoint.to_owned()), ..pod.own_store(store) };
    if let WebIdentity { sts_endpoint, .. } = &mut config.authentication {
        *sts_endpoint = endpoint.to_owned();
    }
    config
}
