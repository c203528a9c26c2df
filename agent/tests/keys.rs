//! The agent's program against a real store by other ways in than the embedded default: keys, and none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;

use seatrial_core::contract::{
    Authentication, Authorities, ExitCode, KEY_ID, SECRET_KEY, SESSION_TOKEN, StoreConfig, paths,
};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{Pod, anonymous, artifact, by_uri, fetch_config, publish_config, store, until};

/// Keys of the namespace `growth`, as a person would put them into a Secret.
async fn keys(store: &LocalStore) -> [(&'static str, String); 3] {
    let authority = reqwest::Certificate::from_pem(store.certificate_authority.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let query = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken=token-of-growth";
    let answer = client.post(format!("{}/?{query}", store.endpoint())).send().await.unwrap().text().await.unwrap();
    let element = |name: &str| {
        let rest = answer.split_once(&format!("<{name}>")).unwrap().1;
        rest.split_once('<').unwrap().0.to_owned()
    };
    [
        (KEY_ID, element("AccessKeyId")),
        (SECRET_KEY, element("SecretAccessKey")),
        (SESSION_TOKEN, element("SessionToken")),
    ]
}

/// Leaves keys as the kubelet mounts a Secret.
fn mount(pod: &Pod, keys: &[(&str, String)]) {
    let folder = pod.keys();
    fs::create_dir_all(&folder).unwrap();
    for (name, value) in keys {
        // As `kubectl create secret --from-file` does it: with a newline at the end.
        fs::write(folder.join(name), format!("{value}\n")).unwrap();
    }
}

fn with_keys(pod: &Pod, store: &LocalStore, authorities: Authorities) -> StoreConfig {
    StoreConfig {
        name: None,
        prefix: "s3://growth/".into(),
        endpoint: Some(store.endpoint()),
        region: None,
        authentication: Authentication::Keys { folder: pod.keys().display().to_string() },
        authorities,
        redirect_hosts: vec![],
    }
}

/// A Store with a Secret, whose certificate is signed by an authority of the site's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_with_keys_are_reached_and_authorities_of_a_site_are_trusted() {
    let (_data, store) = store().await;
    let keys = keys(&store).await;
    let pod = || {
        let pod = Pod::new("growth");
        mount(&pod, &keys);
        pod.command_ended(0);
        pod.write_output("x", "content", b"good");
        pod
    };
    let outputs = [("x", OutputType::Any)];
    let first = pod();
    let end = first
        .publish(&publish_config(with_keys(&first, &store, Authorities::Only(first.trust(&store))), &outputs))
        .await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    let input = artifact("x", "s3://growth/", &end.message.outputs[0].digest);

    let trusting = pod();
    let config = |authorities| fetch_config(vec![with_keys(&first, &store, authorities)], vec![input.clone()]);
    let end = trusting.fetch(&config(Authorities::PublicAnd(trusting.trust(&store)))).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    assert_eq!(fs::read(trusting.path(paths::INPUTS).join("x/content")).unwrap(), b"good");
    let end = pod().fetch(&config(Authorities::Public)).await;
    assert_eq!(end.code, ExitCode::StoreUnavailable, "nobody vouches for the store: {end:?}");
    let nonsense = trusting.token().with_file_name("ca.nonsense");
    fs::write(&nonsense, "nonsense").unwrap();
    let end = pod().fetch(&config(Authorities::PublicAnd(nonsense.display().to_string()))).await;
    assert_ne!(end.code, ExitCode::Success, "{end:?}");
}

/// Keys of a session that ended while the step worked: the new ones that somebody puts into the Secret save its outputs,
/// without another pod.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_renewed_while_an_upload_is_refused_arrive() {
    let (_data, store) = store().await;
    let keys = keys(&store).await;
    let pod = Pod::new("growth");
    let mut old = keys.clone();
    old[1].1 = "no longer".into();
    mount(&pod, &old);
    pod.command_ended(0);
    pod.write_output("x", "content", b"hours of work");
    let authority = Authorities::Only(pod.trust(&store));
    let publishing = pod.start_publish(&publish_config(with_keys(&pod, &store, authority), &[("x", OutputType::Any)]));
    until("the upload is refused", async || pod.probe().await == 1).await;
    mount(&pod, &keys);
    let end = pod.end(publishing).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
}

/// A Secret that comes late, or whose keys are misspelt when the step begins: there are hours to mend it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_not_there_yet_are_waited_for_and_asked_for() {
    let (_data, store) = store().await;
    let keys = keys(&store).await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "content", b"hours of work");
    let authority = Authorities::Only(pod.trust(&store));
    let publishing = pod.start_publish(&publish_config(with_keys(&pod, &store, authority), &[("x", OutputType::Any)]));
    until("the upload waits", async || pod.probe().await == 1).await;
    assert!(pod.store_unavailable().contains("set AWS_ACCESS_KEY_ID"), "{}", pod.store_unavailable());
    mount(&pod, &keys);
    let end = pod.end(publishing).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_and_none_are_refused_at_once_and_appear_in_no_message() {
    let (_data, store) = store().await;
    let uri = by_uri("x", "s3://growth/", "s3://growth/raw/a.csv");
    let [(_, id), ..] = keys(&store).await;
    let pod = Pod::new("growth");
    let authority = Authorities::Only(pod.trust(&store));
    mount(&pod, &[(KEY_ID, id.clone()), (SECRET_KEY, "wrong".into())]);
    let mut config = fetch_config(vec![with_keys(&pod, &store, authority.clone())], vec![uri.clone()]);
    config.outage_seconds = 3600;
    let end = pod.fetch(&config).await;
    assert_eq!(end.code, ExitCode::InputNotFound, "{end:?}");
    assert!(end.text().contains("correct AWS_SECRET_ACCESS_KEY") && !end.text().contains(&id), "{}", end.text());

    let without = Pod::new("growth");
    config.stores = vec![with_keys(&without, &store, authority.clone())];
    let end = without.fetch(&config).await;
    assert_eq!(end.code, ExitCode::BadConfiguration, "{end:?}");
    assert!(end.text().contains("has no keys"), "{}", end.text());

    config.stores = vec![StoreConfig { authorities: authority, ..anonymous("s3://growth/", Some(store.endpoint())) }];
    let end = Pod::new("growth").fetch(&config).await;
    assert_eq!(end.code, ExitCode::InputNotFound, "{end:?}");
    assert!(end.text().contains("may not be read"), "{}", end.text());
}
