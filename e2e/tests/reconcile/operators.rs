//! Operators that start, crash, follow one another and stop.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, discovery};
use seatrial_e2e::{Operator, wait_until};

use crate::PLATFORM;
use crate::space::{SOON, Space, pipeline};

async fn holder(client: &Client) -> String {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "default");
    let lease = leases.get_opt("seatrial-operator").await.unwrap();
    lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default()
}

/// Waits until what was just installed can be watched from any list on: until then, an API server sends whoever
/// watches back to the list.
pub(crate) async fn until_all_can_be_watched(client: &Client) {
    let served = discovery::group(client, "seatrial.dev").await.unwrap();
    for (resource, _) in served.recommended_resources() {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let deadline = Instant::now() + SOON;
        loop {
            let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap_or_default();
            let ended = match api.watch(&WatchParams::default().timeout(1), &version).await {
                Ok(events) => events.try_collect::<Vec<_>>().await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(events) if events.iter().all(|event| !matches!(event, WatchEvent::Error(_))) => break,
                other => assert!(Instant::now() < deadline, "{} cannot be watched: {other:?}", resource.kind),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Starts one, and waits until it leads.
pub(crate) async fn start_leader(client: &Client, kubeconfig: &Path) -> Operator {
    let operator = Operator::start(kubeconfig, PLATFORM).unwrap();
    until_it_leads(client, &operator, Duration::from_secs(30)).await;
    operator
}

async fn until_it_leads(client: &Client, operator: &Operator, limit: Duration) {
    let what = format!("{} leads; its log is {}", operator.identity, operator.log.display());
    wait_until(&what, limit, async || Ok(holder(client).await == operator.identity)).await.unwrap();
}

/// It says how it is.
pub(crate) fn health(operator: &Operator) {
    for path in ["/healthz", "/readyz"] {
        assert_eq!(operator.get(path).unwrap(), (200, "ok".to_owned()), "{path}");
    }
    let (code, metrics) = operator.get("/metrics").unwrap();
    assert_eq!(code, 200);
    for name in ["leader_election_master_status", "workqueue_depth", "seatrial_api_writes_total"] {
        assert!(metrics.contains(name), "no {name} in\n{metrics}");
    }
    assert_eq!(operator.get("/nothing").unwrap().0, 404);
    println!("ok: health and metrics are served");
}

/// Another takes over from one that was killed, and what is under way goes on. Returns the other.
pub(crate) async fn a_crash(client: &Client, kubeconfig: &Path, mut first: Operator) -> Operator {
    let second = Operator::start(kubeconfig, PLATFORM).unwrap();
    let space = Space::new(client.clone(), "crash", second.log.clone()).await;
    space.apply(&pipeline("kept")).await;
    let before = space.job("kept-c1").await;
    assert_eq!(holder(client).await, first.identity);
    first.kill();
    // While nobody leads, what was under way ends and something new is asked for.
    space.finish("kept-c1").await;
    space.apply(&pipeline("new")).await;
    let began = Instant::now();
    until_it_leads(client, &second, Duration::from_secs(30)).await;
    let took = began.elapsed();
    let ended = space.until_run("kept-c1", |reason, _| reason == "Succeeded").await;
    assert_eq!(ended.status.as_ref().unwrap().steps[0].attempt, Some(1));
    assert_eq!(space.job("kept-c1").await.metadata.uid, before.metadata.uid, "a second Job was made");
    space.finish("new-c1").await;
    space.until_run("new-c1", |reason, _| reason == "Succeeded").await;
    println!("ok: another operator took over {} s after a crash", took.as_secs());
    second
}

/// One that is told to stop gives the lease back, and the next need not wait.
pub(crate) async fn an_orderly_end(client: &Client, kubeconfig: &Path, mut first: Operator) {
    let mut second = Operator::start(kubeconfig, PLATFORM).unwrap();
    let space = Space::new(client.clone(), "orderly", second.log.clone()).await;
    space.apply(&pipeline("kept")).await;
    let before = space.job("kept-c1").await;
    let status = first.terminate().unwrap();
    assert!(status.success(), "{status}; its log is {}", first.log.display());
    let began = Instant::now();
    until_it_leads(client, &second, Duration::from_secs(10)).await;
    println!("ok: another operator leads {} ms after one was told to stop", began.elapsed().as_millis());
    space.finish("kept-c1").await;
    space.until_run("kept-c1", |reason, _| reason == "Succeeded").await;
    assert_eq!(space.job("kept-c1").await.metadata.uid, before.metadata.uid, "a second Job was made");
    let status = second.terminate().unwrap();
    assert!(status.success(), "{status}; its log is {}", second.log.display());
    assert_eq!(holder(client).await, "", "the lease was not given back");
}
