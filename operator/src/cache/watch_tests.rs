use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use seatrial_core::observed::VersionObserved;
use seatrial_core::platform::{DefaultStore, Platform};
use seatrial_core::revision::Revision;
use seatrial_crds::names::{COMPONENT_LABEL, RUN_LABEL, components};
use seatrial_crds::{Approval, DataContract, MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};
use serde_json::{Value, from_value, json};

use super::*;
use crate::queue::object_key::{ObjectKey, Primary};

fn feed(platform: Platform, awaits_authority: bool) -> Feed {
    let (queue, _timers) = Queue::new(|key| key.name.clone());
    let caches = Arc::new(Caches::new(platform, awaits_authority));
    Feed { caches, queue, metrics: Arc::new(Metrics::new().0) }
}

fn read<K: serde::de::DeserializeOwned>(value: Value) -> K {
    from_value(value).unwrap()
}

fn run(name: &str, version: u32, spec: Value, status: Value) -> Arrival<MLPipelineRun> {
    read(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": version.to_string()},
        "spec": spec, "status": status,
    }))
}

async fn woken(feed: &Feed) -> Vec<ObjectKey> {
    let mut keys = vec![];
    while feed.queue.depth() > 0 {
        let key = feed.queue.take().await.unwrap();
        feed.queue.done(&key);
        keys.push(key);
    }
    keys
}

fn key(kind: Primary, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: "ns".into(), name: name.into() }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_any_more_stays_known_and_is_counted() {
    let feed = feed(Platform::default(), false);
    let spec = json!({"pipeline": "churn"});
    let strange = json!({"pipeline": "churn", "purpose": "SomethingOfTheFuture"});
    feed.take::<MLPipelineRun>(watcher::Event::Init);
    feed.take(watcher::Event::InitApply(run("churn-c1", 1, spec.clone(), Value::Null)));
    feed.take::<MLPipelineRun>(watcher::Event::InitDone);
    woken(&feed).await;
    // A relist after a newer operator was rolled back.
    feed.take::<MLPipelineRun>(watcher::Event::Init);
    feed.take(watcher::Event::InitApply(run("churn-c1", 2, strange, Value::Null)));
    feed.take::<MLPipelineRun>(watcher::Event::InitDone);
    assert_eq!(woken(&feed).await, [], "it was taken for deleted");
    assert_eq!((feed.caches.runs.len(), feed.metrics.unreadable("MLPipelineRun")), (1, 1));
    feed.take(watcher::Event::Apply(run("churn-c1", 3, spec, Value::Null)));
    assert_eq!(feed.metrics.unreadable("MLPipelineRun"), 0);
    assert_eq!(woken(&feed).await, [key(Primary::Run, "churn-c1"), key(Primary::Pipeline, "churn")]);
}

#[tokio::test]
async fn a_first_user_a_new_authority_and_a_change_by_hand_wake_the_trust_bundle_of_a_namespace() {
    let store = DefaultStore {
        endpoint: "https://s".into(),
        audience: "a".into(),
        certificate_authority: Some("old".into()),
        authority_is_published: true,
    };
    let feed = feed(Platform { default_store: Some(store), ..Platform::default() }, true);
    let bundle = ObjectKey::trust_bundle("ns");
    let spec = json!({"pipeline": "churn"});
    feed.take(watcher::Event::Apply(run("churn-c1", 1, spec.clone(), Value::Null)));
    assert!(woken(&feed).await.contains(&bundle));
    feed.take(watcher::Event::Apply(run("churn-c1", 2, spec, json!({"startedAt": "2026-11-01T00:00:00Z"}))));
    assert!(!woken(&feed).await.contains(&bundle), "whatever happens to a run, the bundle is looked at once");
    feed.take_authority(watcher::Event::Apply(authority("new")));
    assert!(woken(&feed).await.contains(&bundle));
    arrives::<ConfigMap>(&feed, json!({"metadata": {"name": "seatrial-trust-bundle", "namespace": "ns"}, "data": {}}));
    assert_eq!(woken(&feed).await, [bundle]);
}

fn version(name: &str) -> ModelVersion {
    let digest = format!("sha256:{}", "0".repeat(64));
    read(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "1"},
        "spec": {
            "model": "churn", "number": 1, "purpose": "Release",
            "artifact": {"uri": "s3://a/b", "digest": digest, "size": 1},
            "lineage": {"pipeline": "churn", "run": "churn-c1", "runUID": "uid-churn-c1", "revision": 1},
        },
    }))
}

#[tokio::test]
async fn a_runs_event_wakes_its_versions_until_a_run_has_vouched_for_them() {
    let feed = feed(Platform::default(), false);
    let arrived = |version: &ModelVersion| watcher::Event::Apply(Arrival(Ok(version.clone())));
    let published = json!({"versions": [{"model": "churn", "name": "churn-v1"}]});
    let event = || watcher::Event::Apply(run("churn-c1", 1, json!({"pipeline": "churn"}), published.clone()));
    let mut version = version("churn-v1");
    // What was decided when the run was not known, in the words of who decides.
    let observed = VersionObserved::alone(Arc::new(version.clone()));
    let unknown = seatrial_core::version::plan(&observed, Timestamp::UNIX_EPOCH).status.unwrap();
    for (status, wakes) in [(None, true), (Some(unknown.clone()), true), (Some(vouched(unknown)), false)] {
        version.status = status;
        feed.take(arrived(&version));
        feed.caches.runs.remove("ns", "churn-c1", None);
        woken(&feed).await;
        feed.take(event());
        assert_eq!(woken(&feed).await.contains(&key(Primary::Version, "churn-v1")), wakes, "{:?}", version.status);
    }
}

fn vouched(status: seatrial_crds::ModelVersionStatus) -> seatrial_crds::ModelVersionStatus {
    let mut status = serde_json::to_value(status).unwrap();
    for condition in status["conditions"].as_array_mut().unwrap() {
        condition["reason"] = json!("ModelNotFound");
    }
    read(status)
}

fn authority(text: &str) -> ConfigMap {
    read(json!({"metadata": {"name": "ca", "namespace": "seatrial-system"}, "data": {"ca.crt": text}}))
}

#[test]
fn a_new_leader_waits_until_it_has_looked_for_the_authority_and_keeps_the_last_one() {
    let store = DefaultStore {
        endpoint: "https://s".into(),
        audience: "a".into(),
        certificate_authority: None,
        authority_is_published: true,
    };
    let platform = Platform { default_store: Some(store), ..Platform::default() };
    let feed = feed(platform, true);
    let known = |feed: &Feed| feed.caches.platform().default_store.clone().unwrap().certificate_authority;
    assert!(feed.caches.unlisted().contains(&"the store's authority"));
    feed.take_authority(watcher::Event::Init);
    feed.take_authority(watcher::Event::InitApply(authority("pem")));
    assert!(feed.caches.unlisted().contains(&"the store's authority"));
    feed.take_authority(watcher::Event::InitDone);
    assert!(!feed.caches.unlisted().contains(&"the store's authority"));
    for event in [
        watcher::Event::Apply(authority("")),
        watcher::Event::Apply(ConfigMap { data: None, ..authority("pem") }),
        watcher::Event::Delete(authority("pem")),
    ] {
        feed.take_authority(event);
        assert_eq!(known(&feed).as_deref(), Some("pem"));
    }
    feed.take_authority(watcher::Event::Apply(authority("new")));
    assert_eq!(known(&feed).as_deref(), Some("new"));
    // Without an authority to wait for there is nothing to wait for.
    assert!(!Caches::new(Platform::default(), false).unlisted().contains(&"the store's authority"));
}

fn arrives<K: WatchedKind>(feed: &Feed, object: Value) {
    feed.take(watcher::Event::Apply(read::<Arrival<K>>(object)));
}

fn a_run(name: &str, change: Option<u32>, status: Value) -> Value {
    let mut object = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun", "spec": {"pipeline": "churn"}, "status": status,
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": "1"},
    });
    if let Some(change) = change {
        object["metadata"]["labels"] = json!({"seatrial.dev/revision": change.to_string()});
        object["metadata"]["ownerReferences"] = json!([{"apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline",
            "name": "churn", "uid": "p", "controller": true}]);
    }
    object
}

#[tokio::test]
async fn an_event_wakes_the_keys_whose_plans_read_what_changed_and_no_other() {
    let feed = feed(Platform::default(), false);
    let names = |keys: Vec<ObjectKey>| -> Vec<String> { keys.iter().map(ToString::to_string).collect() };
    let begun = json!({"startedAt": "2026-01-01T00:00:00Z"});
    for number in 0..100 {
        arrives::<MLPipelineRun>(&feed, a_run(&format!("hand-{number:03}"), None, json!({})));
    }
    arrives::<MLPipelineRun>(&feed, a_run("churn-c1", Some(1), begun.clone()));
    woken(&feed).await;

    // The same again, but for what was pruned and the version.
    let mut again = a_run("churn-c1", Some(1), begun.clone());
    again["metadata"]["resourceVersion"] = json!("2");
    again["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Update"}]);
    arrives::<MLPipelineRun>(&feed, again);
    assert_eq!(names(woken(&feed).await), Vec::<String>::new());

    // A run that goes on is read by itself and its pipeline.
    let further = json!({"startedAt": "2026-01-01T00:00:00Z", "artifactPrefix": "s3://a/"});
    arrives::<MLPipelineRun>(&feed, a_run("churn-c1", Some(1), further));
    assert_eq!(names(woken(&feed).await), ["MLPipelineRun ns/churn-c1", "MLPipeline ns/churn"]);

    // A newer change supersedes the older one; the hundred runs that wait are not concerned.
    arrives::<MLPipelineRun>(&feed, a_run("churn-c2", Some(2), json!({})));
    let keys = names(woken(&feed).await);
    let read = [
        "MLPipelineRun ns/churn-c2",
        "MLPipeline ns/churn",
        "ConfigMap ns/seatrial-trust-bundle",
        "MLPipelineRun ns/churn-c1",
    ];
    assert!(keys.len() == read.len() && read.iter().all(|key| keys.contains(&(*key).to_owned())), "{keys:?}");

    // An end wakes the head of the line, however long it is.
    let ended = json!({"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    arrives::<MLPipelineRun>(&feed, a_run("churn-c1", Some(1), ended));
    let keys = names(woken(&feed).await);
    assert!(keys.contains(&"MLPipelineRun ns/churn-c2".to_owned()), "{keys:?}");
    assert!(keys.contains(&"MLPipelineRun ns/hand-000".to_owned()) && keys.len() < 12, "{keys:?}");

    // What a Model's status says is read by nobody else.
    let model = |status: Value, objective: &str| {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "Model", "status": status,
            "metadata": {"name": "churn", "namespace": "ns", "uid": "m", "resourceVersion": "1"},
            "spec": model_spec(objective),
        })
    };
    arrives::<ModelVersion>(&feed, serde_json::to_value(version("churn-v1")).unwrap());
    arrives::<Model>(&feed, model(Value::Null, "a"));
    woken(&feed).await;
    arrives::<Model>(&feed, model(json!({"observedGeneration": 1}), "a"));
    assert_eq!(names(woken(&feed).await), ["Model ns/churn"]);
    arrives::<Model>(&feed, model(json!({"observedGeneration": 1}), "b"));
    assert_eq!(names(woken(&feed).await), ["Model ns/churn", "ModelVersion ns/churn-v1"]);

    // But who publishes: the pipelines say so, once there are several.
    arrives::<Model>(&feed, model(json!({"publishers": ["one"]}), "b"));
    assert_eq!(names(woken(&feed).await), ["Model ns/churn"]);
    arrives::<Model>(&feed, model(json!({"publishers": ["one", "two"]}), "b"));
    assert_eq!(names(woken(&feed).await), ["Model ns/churn", "MLPipeline ns/one", "MLPipeline ns/two"]);

    // A ModelDeployment concerns its Model where it serves another version.
    let serving = |status: Value| {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment", "status": status,
            "metadata": {"name": "shop", "namespace": "ns", "uid": "d", "resourceVersion": "1"},
            "spec": {"model": "churn", "server": {"image": "i", "port": 80}},
        })
    };
    arrives::<ModelDeployment>(&feed, serving(json!({"servedVersion": "churn-v1"})));
    let keys = ["ModelDeployment ns/shop", "ConfigMap ns/seatrial-trust-bundle", "Model ns/churn"];
    assert_eq!(names(woken(&feed).await), keys);
    arrives::<ModelDeployment>(&feed, serving(json!({"servedVersion": "churn-v1", "replicas": 2})));
    assert_eq!(names(woken(&feed).await), ["ModelDeployment ns/shop"]);
    arrives::<ModelDeployment>(&feed, serving(json!({"servedVersion": "churn-v2"})));
    assert_eq!(names(woken(&feed).await), ["ModelDeployment ns/shop", "Model ns/churn"]);
}

/// A contract wakes who waits for it, in the namespaces that it serves or did serve.
#[tokio::test]
async fn a_contract_wakes_the_pipelines_that_name_it_and_their_runs_that_wait() {
    let feed = feed(Platform::default(), false);
    let names = |keys: Vec<ObjectKey>| -> Vec<String> { keys.iter().map(ToString::to_string).collect() };
    let pipeline = |name: &str, contract: Value| {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline",
            "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1"},
            "spec": {"image": "i", "steps": [{"name": "s", "command": ["c"], "inputs": [
                {"name": "raw", "uri": "http://data/raw", "contract": contract}]}]},
        })
    };
    arrives::<MLPipeline>(&feed, pipeline("churn", json!({"namespace": "billing", "name": "old"})));
    assert_eq!(names(woken(&feed).await), ["MLPipeline ns/churn", "DataContract billing/old"]);
    // The contract that it names no longer counts its readers, too.
    arrives::<MLPipeline>(&feed, pipeline("churn", json!({"namespace": "billing", "name": "customers"})));
    let both = ["MLPipeline ns/churn", "DataContract billing/customers", "DataContract billing/old"];
    assert_eq!(names(woken(&feed).await), both);
    arrives::<MLPipeline>(&feed, pipeline("other", json!({"name": "customers"})));
    arrives::<MLPipelineRun>(&feed, a_run("churn-c1", Some(1), json!({"startedAt": "2026-01-01T00:00:00Z"})));
    arrives::<MLPipelineRun>(&feed, a_run("churn-c2", Some(2), json!({})));
    woken(&feed).await;
    let contract = |version: &str, serves: Value, status: Value| {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract", "status": status,
            "metadata": {"name": "customers", "namespace": "billing", "uid": "k", "resourceVersion": version},
            "spec": {"contract": {"version": version}, "serves": serves},
        })
    };
    arrives::<DataContract>(&feed, contract("1", json!([]), Value::Null));
    assert_eq!(names(woken(&feed).await), ["DataContract billing/customers"]);
    let concerned = ["DataContract billing/customers", "MLPipeline ns/churn", "MLPipelineRun ns/churn-c2"];
    let sorted = |mut keys: Vec<String>| {
        keys.sort_unstable();
        keys
    };
    arrives::<DataContract>(&feed, contract("2", json!(["ns"]), Value::Null));
    assert_eq!(sorted(names(woken(&feed).await)), concerned);
    // What its status says is read by nobody else.
    arrives::<DataContract>(&feed, contract("2", json!(["ns"]), json!({"observedGeneration": 1})));
    assert_eq!(names(woken(&feed).await), concerned[..1]);
    // It serves them no longer.
    arrives::<DataContract>(&feed, contract("3", json!([]), Value::Null));
    assert_eq!(sorted(names(woken(&feed).await)), concerned);
    // What a run pinned wakes the run.
    arrives::<Revision>(
        &feed,
        json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1,
               "metadata": {"name": "churn-c2-contracts", "namespace": "ns", "uid": "r", "resourceVersion": "1",
                            "labels": {COMPONENT_LABEL: components::CONTRACTS, RUN_LABEL: "churn-c2"}}}),
    );
    assert_eq!(names(woken(&feed).await), ["MLPipelineRun ns/churn-c2"]);
}

/// What a contract's schedule found wakes the pipelines that wait for new data, and no others.
#[tokio::test]
async fn what_a_contract_found_wakes_those_that_it_may_start() {
    let feed = feed(Platform::default(), false);
    let names = |keys: Vec<ObjectKey>| -> Vec<String> { keys.iter().map(ToString::to_string).collect() };
    let pipeline = |name: &str, triggers: Value| {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline",
            "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1"},
            "spec": {"image": "i", "triggers": triggers, "steps": [{"name": "s", "command": ["c"], "inputs": [
                {"name": "raw", "uri": "http://data/raw", "contract": {"name": "customers"}}]}]},
        })
    };
    let trigger = json!({"name": "new", "type": "Data", "data": {"contract": {"name": "customers"}}});
    arrives::<MLPipeline>(&feed, pipeline("churn", json!([trigger])));
    arrives::<MLPipeline>(&feed, pipeline("other", json!([])));
    let contract = |version: &str, time: &str, digest: &str| {
        let table = json!({"schema": "t", "verdict": "Passed", "rows": 1, "digest": digest, "message": ""});
        let check = json!({"scheduledAt": time, "checkedAt": time, "foundAt": time, "verdict": "Passed",
                           "version": "1", "revision": "r", "tables": [table]});
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract",
            "metadata": {"name": "customers", "namespace": "ns", "uid": "k", "resourceVersion": version},
            "spec": {"contract": {}, "check": {"schedule": {"cron": "0 6 * * *"}, "data": [{"schema": "t", "uri": "http://data/raw"}]}},
            "status": {"schedule": {"key": "k", "since": "2026-01-01T00:00:00Z"}, "checks": [check]},
        })
    };
    arrives::<DataContract>(&feed, contract("1", "2026-01-02T06:00:00Z", "a"));
    woken(&feed).await;
    arrives::<DataContract>(&feed, contract("2", "2026-01-03T06:00:00Z", "a"));
    assert_eq!(names(woken(&feed).await), ["DataContract ns/customers"], "the same data are no news");
    arrives::<DataContract>(&feed, contract("3", "2026-01-04T06:00:00Z", "b"));
    assert_eq!(names(woken(&feed).await), ["DataContract ns/customers", "MLPipeline ns/churn"]);
}

/// A Job that checks data wakes its contract, and a schedule wakes who publishes the authorities that its pods trust.
#[tokio::test]
async fn a_contract_with_a_schedule_is_woken_by_its_jobs_and_by_stores() {
    let feed = feed(Platform::default(), false);
    let names = |keys: Vec<ObjectKey>| -> Vec<String> { keys.iter().map(ToString::to_string).collect() };
    let contract = |version: &str, check: Value| {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract",
            "metadata": {"name": "customers", "namespace": "ns", "uid": "k", "resourceVersion": version},
            "spec": {"contract": {"version": version}, "check": check},
        })
    };
    let store = |version: &str| {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "Store",
            "metadata": {"name": "lake", "namespace": "ns", "uid": "s", "resourceVersion": version},
            "spec": {"prefix": format!("s3://lake/{version}/")},
        })
    };
    arrives::<DataContract>(&feed, contract("1", json!({"timeout": "1h"})));
    arrives::<Store>(&feed, store("1"));
    assert_eq!(names(woken(&feed).await), ["DataContract ns/customers", "Store ns/lake"]);
    let check = json!({"schedule": {"cron": "0 6 * * *"}, "data": [{"schema": "t", "uri": "s3://lake/t/"}]});
    arrives::<DataContract>(&feed, contract("2", check));
    assert_eq!(names(woken(&feed).await), ["DataContract ns/customers", "ConfigMap ns/seatrial-trust-bundle"]);
    arrives::<Store>(&feed, store("2"));
    assert_eq!(names(woken(&feed).await), ["Store ns/lake", "DataContract ns/customers"]);
    arrives::<k8s_openapi::api::batch::v1::Job>(
        &feed,
        json!({"apiVersion": "batch/v1", "kind": "Job",
               "metadata": {"name": "customers-contract-check-0123456789", "namespace": "ns", "uid": "j", "resourceVersion": "3",
                            "labels": {COMPONENT_LABEL: components::CHECK, "seatrial.dev/contract": "customers"}}}),
    );
    assert_eq!(names(woken(&feed).await), ["DataContract ns/customers"]);
}

fn model_spec(objective: &str) -> Value {
    json!({"owner": {"team": "t", "contact": "c"}, "objective": objective, "uses": ["Batch"]})
}

#[tokio::test]
async fn an_approval_and_what_proves_it_wake_its_version() {
    let feed = feed(Platform { approval_policy: Some("proof".into()), ..Platform::default() }, false);
    let digest = format!("sha256:{}", "a".repeat(64));
    let approval: Arrival<Approval> = read(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "Approval",
        "metadata": {"name": "jane", "namespace": "ns", "uid": "uid-jane", "resourceVersion": "1"},
        "spec": {"model": "churn", "version": "churn-v1", "digest": digest, "judgement": digest, "decision": "Approved",
                 "reason": "x", "by": {"user": "jane"}},
    }));
    feed.take(watcher::Event::Apply(approval));
    assert_eq!(woken(&feed).await, [key(Primary::Version, "churn-v1")]);
    let policy = || -> Arrival<ValidatingAdmissionPolicy> {
        read(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "proof", "uid": "uid-proof", "resourceVersion": "2"},
        }))
    };
    let known = || feed.caches.proof_of_approvals(&feed.caches.approval_policies).is_some();
    feed.take(watcher::Event::Apply(policy()));
    assert_eq!((woken(&feed).await, known()), (vec![key(Primary::Version, "churn-v1")], true));
    feed.take(watcher::Event::Delete(policy()));
    assert_eq!((woken(&feed).await, known()), (vec![key(Primary::Version, "churn-v1")], false));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_for_five_minutes_ends_the_leadership_and_a_metric_says_so() {
    let client = crate::api_client::fake::client(|_, _, _| crate::api_client::fake::status(503, "Unavailable", "no"));
    let feed = feed(Platform::default(), false);
    let (metrics, began) = (feed.metrics.clone(), Instant::now());
    let why = feed.watch::<MLPipelineRun>(client, Selection::All).await;
    assert!(why.contains("MLPipelineRun cannot be watched since"), "{why}");
    let took = began.elapsed();
    assert!(took >= LIMIT && took < LIMIT.saturating_mul(2), "{took:?}");
    assert!(metrics.watch_failing("MLPipelineRun") >= i64::try_from(LIMIT.as_secs()).unwrap());
}
