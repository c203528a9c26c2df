//! Reconciling with an API server in memory: the order of writes, and what follows a failure.

use std::collections::BTreeSet;
use std::sync::Mutex;

use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::api::ObjectMeta;
use seatrial_core::plan::{Event, EventType};
use seatrial_core::platform::{DefaultStore, Platform};
use seatrial_crds::MLPipelineRunStatus;
use serde_json::{Value, from_value, json};
use tokio::time::Instant as Moment;

use super::*;
use crate::api_client::ApiClient;
use crate::api_client::fake;

fn key(kind: Primary, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: "ns".into(), name: name.into() }
}

fn reconciler(client: Client) -> Arc<Reconciler> {
    reconciler_of(client, Platform::default())
}

fn reconciler_of(client: Client, platform: Platform) -> Arc<Reconciler> {
    let metrics = Arc::new(Metrics::new().0);
    let (queue, timers) = Queue::new(|key| key.name.clone());
    tokio::spawn(timers);
    let caches = Arc::new(Caches::new(platform, false));
    let run = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun", "spec": {"pipeline": "churn"},
        "metadata": {"name": "churn-c1", "namespace": "ns", "uid": "1", "resourceVersion": "1"},
    });
    caches.runs.insert(from_value(run).unwrap());
    let model = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "Model",
        "metadata": {"name": "churn", "namespace": "ns", "uid": "2", "resourceVersion": "1"},
        "spec": {"owner": {"team": "t", "contact": "c"}, "objective": "o", "uses": ["Batch"]},
    });
    caches.models.insert(from_value(model).unwrap());
    let writes = Writes::new(client, "i", ApiClient::new(metrics.clone()), Clock::system());
    Arc::new(Reconciler {
        caches,
        queue,
        expectations: Expectations::new(),
        writes,
        metrics,
        clock: Clock::system(),
        begun: Begun::default(),
        passes: TaskTracker::new(),
    })
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some("ns".into()), ..ObjectMeta::default() }
}

fn job(name: &str) -> Write {
    Write::Create(Object::Job(Box::new(Job { metadata: named(name), ..Job::default() })))
}

fn delete(name: &str) -> Write {
    Write::Delete { kind: Kind::Job, name: name.into(), uid: "9".into() }
}

/// What was asked of the API server, as `POST jobs/a`, and what it says to that.
fn server(answers: impl Fn(&str) -> fake::Answer + Send + Sync + 'static) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = asked.clone();
    let client = fake::client(move |method, path, body| {
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        let plural = path.split("/ns/").nth(1).unwrap_or_default();
        let what = if method == "POST" { format!("{method} {plural}/{name}") } else { format!("{method} {plural}") };
        let what = if plural == "events" { "POST events".to_owned() } else { what };
        seen.lock().unwrap().push(what.clone());
        answers(&what).or_else(|| fake::answer(201, body))
    });
    (client, asked)
}

fn refuse() -> fake::Answer {
    fake::status(422, "Invalid", "it is not valid")
}

async fn pass(reconciler: &Reconciler, stages: &[Stage]) -> Pass {
    let plan = Plan::<MLPipelineRunStatus> { stages: stages.to_vec(), ..Plan::default() };
    reconciler.pass::<MLPipelineRun>(&key(Primary::Run, "churn-c1"), |_| plan).await
}

fn failed(reconciler: &Reconciler) -> Vec<String> {
    let failures = reconciler.expectations.blocked(&key(Primary::Run, "churn-c1"));
    failures.into_iter().map(|blocked| blocked.name).collect()
}

fn taken(asked: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *asked.lock().unwrap())
}

#[tokio::test]
async fn a_refused_write_holds_up_no_other_of_its_stage_and_the_next_stage_only_where_that_is_said() {
    let ok = Arc::new(Mutex::new(false));
    let fine = ok.clone();
    let (client, asked) = server(move |what| match what {
        "POST jobs/a" if !*fine.lock().unwrap() => refuse(),
        "POST jobs/c" => fake::status(409, "AlreadyExists", "it exists"),
        "GET jobs/c" => fake::answer(
            200,
            &json!({"metadata": {"name": "c", "ownerReferences": [
            {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "foreign", "controller": true}]}}),
        ),
        _ => None,
    });
    let reconciler = reconciler(client);
    let mine = json!({"metadata": {"name": "c", "ownerReferences": [
        {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "mine", "controller": true}]}});
    let clash = Write::Create(Object::Job(Box::new(from_value(mine).unwrap())));
    let writes = vec![job("a"), clash, job("b")];
    let stages = [Stage::stop(writes.clone()), Stage::proceed(vec![delete("d")])];
    assert!(matches!(pass(&reconciler, &stages).await, Pass::Failed(again) if again == Duration::from_secs(1)));
    assert_eq!(taken(&asked), ["POST jobs/a", "POST jobs/c", "GET jobs/c", "POST jobs/b"]);
    assert_eq!(failed(&reconciler), ["a", "c"]);
    pass(&reconciler, &[Stage::proceed(writes), Stage::proceed(vec![delete("d")])]).await;
    assert_eq!(taken(&asked).last().map(String::as_str), Some("DELETE jobs/d"));
    // What goes through at last is forgotten at once, and the status that says otherwise is planned again.
    *ok.lock().unwrap() = true;
    let stages = [Stage::stop(vec![job("a"), job("b")]), Stage::proceed(vec![delete("d")])];
    assert!(matches!(pass(&reconciler, &stages).await, Pass::Done(Some(AFTER_LAG))));
    assert_eq!(taken(&asked), ["POST jobs/a", "POST jobs/b", "DELETE jobs/d"]);
    assert!(failed(&reconciler).is_empty());
    assert!(matches!(pass(&reconciler, &[]).await, Pass::Done(None)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_is_sent_once_for_each_of_its_own_times_however_many_events_come() {
    let (client, asked) = server(|what| what.starts_with("POST jobs/").then(refuse).flatten());
    let reconciler = reconciler(client);
    let run = key(Primary::Run, "churn-c1");
    let stages = || vec![Stage::proceed((0..118).map(|number| job(&format!("step-{number}"))).collect())];
    let event = |second: i64| {
        let (reconciler, run, stages) = (reconciler.clone(), run.clone(), stages());
        async move {
            let now = Timestamp::from_second(Clock::system().now().as_second() + second).unwrap();
            let blocked = reconciler.expectations.blocked(&run);
            let plan = Plan::<MLPipelineRunStatus> { stages, ..Plan::default() }.defer_blocked(&blocked, now);
            reconciler.pass::<MLPipelineRun>(&run, |_| plan).await
        }
    };
    for _ in 0..50 {
        assert!(matches!(event(0).await, Pass::Failed(_) | Pass::Done(Some(_))), "somebody must come back to it");
    }
    assert_eq!(taken(&asked).len(), 118, "one POST for each Job");
    event(2).await;
    assert_eq!(taken(&asked).len(), 118, "once its time has come each is sent again");
}

#[tokio::test]
async fn people_are_told_what_was_recorded_even_if_a_write_fails() {
    let (client, asked) = server(|what| if what == "POST jobs/a" { refuse() } else { None });
    let reconciler = reconciler(client);
    let event = Event { kind: EventType::Warning, reason: "Stalled", action: "Run", message: "it is".into() };
    let plan = Plan::<MLPipelineRunStatus> {
        stages: vec![Stage::proceed(vec![job("a")])],
        events: vec![event],
        ..Plan::default()
    };
    reconciler.pass::<MLPipelineRun>(&key(Primary::Run, "churn-c1"), |_| plan).await;
    assert_eq!(taken(&asked), ["POST jobs/a", "POST events"]);
}

#[tokio::test]
async fn nothing_is_decided_on_what_cannot_be_read_any_more() {
    let reconciler = reconciler(fake::client(|_, _, _| None));
    reconciler.caches.runs.insert_unreadable("ns", "churn-c1");
    let planned = |_: &Arc<MLPipelineRun>| -> Plan<MLPipelineRunStatus> { panic!("it was planned") };
    let ended = reconciler.pass(&key(Primary::Run, "churn-c1"), planned).await;
    assert!(matches!(ended, Pass::Done(None)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_pass_and_its_key_is_tried_again_ever_later() {
    let reconciler = reconciler(fake::client(|_, _, _| None));
    let (bad, good) = (key(Primary::Run, "bad"), key(Primary::Run, "good"));
    let passes: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let (seen, began) = (passes.clone(), Moment::now());
    // One worker: that it goes on is the point.
    let worker = tokio::spawn(reconciler.clone().work_by(move |reconciler, key| {
        let seen = seen.clone();
        async move {
            seen.lock().unwrap().push((key.name.clone(), began.elapsed().as_secs()));
            let plan = |_: &Arc<MLPipelineRun>| -> Plan<MLPipelineRunStatus> {
                if key.name == "bad" { panic!("a plan that panics") } else { Plan::default() }
            };
            let run = reconciler.caches.runs.get("ns", "churn-c1").unwrap();
            let mut named = run.as_ref().clone();
            named.metadata.name = Some(key.name.clone());
            reconciler.caches.runs.insert(named);
            reconciler.pass(&key, plan).await
        }
    }));
    reconciler.queue.add(bad);
    reconciler.queue.add(good.clone());
    tokio::time::sleep(Duration::from_secs(8)).await;
    reconciler.queue.add(good);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let of = |name: &str| -> Vec<u64> {
        passes.lock().unwrap().iter().filter(|(pass, _)| pass == name).map(|(_, at)| *at).collect()
    };
    assert_eq!((of("bad"), of("good")), (vec![0, 1, 3, 7], vec![0, 8]));
    assert_eq!(reconciler.metrics.passes("MLPipelineRun", "panic"), 4);
    worker.abort();
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_tried_again_ever_later() {
    let times: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (seen, began) = (times.clone(), Moment::now());
    let client = fake::client(move |_, _, _: &Value| {
        seen.lock().unwrap().push(began.elapsed().as_secs());
        fake::status(409, "Conflict", "the object has been modified")
    });
    let reconciler = reconciler(client);
    let worker = tokio::spawn(reconciler.clone().work());
    reconciler.queue.add(key(Primary::Model, "churn"));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(*times.lock().unwrap(), [0, 1, 3, 7, 15]);
    assert_eq!(reconciler.metrics.passes("Model", "requeue"), 5);
    worker.abort();
}

#[tokio::test]
async fn a_foreign_job_with_a_runs_label_is_not_remembered_as_an_attempt() {
    let reconciler = reconciler(fake::client(|_, _, _| None));
    for (name, uid) in [("ours", "1"), ("foreign", "2")] {
        let job = json!({"metadata": {
            "name": name, "namespace": "ns", "labels": {"seatrial.dev/run": "churn-c1"}, "ownerReferences": [
                {"apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun", "name": "churn-c1", "uid": uid, "controller": true},
            ],
        }});
        reconciler.caches.jobs.insert(from_value(job).unwrap());
    }
    let run = reconciler.caches.runs.get("ns", "churn-c1").unwrap();
    let observed = reconciler.observe_run(&key(Primary::Run, "churn-c1"), &run, BTreeSet::new(), Timestamp::UNIX_EPOCH);
    assert_eq!(observed.jobs.len(), 2, "a plan sees both, to name a clash");
    assert_eq!(observed.expectations.into_keys().collect::<Vec<_>>(), ["ours"]);
}

/// One writer for each namespace, however many runs begin in it, and nothing once it is right.
#[tokio::test]
async fn a_namespace_that_is_used_has_the_stores_authority_and_follows_it() {
    let (client, asked) = server(|_| None);
    let store = DefaultStore {
        endpoint: "https://store".into(),
        audience: "a".into(),
        certificate_authority: Some("old".into()),
        authority_is_published: true,
    };
    let reconciler = reconciler_of(client, Platform { default_store: Some(store), ..Platform::default() });
    let bundle = ObjectKey::trust_bundle("ns");
    reconciler.reconcile(&bundle).await;
    assert_eq!(taken(&asked), ["POST configmaps/seatrial-trust-bundle"]);
    let map = json!({
        "metadata": {"name": "seatrial-trust-bundle", "namespace": "ns", "uid": "7", "resourceVersion": "1",
                     "labels": {"seatrial.dev/component": "trust-bundle"}},
        "data": {"ca.crt": "old"},
    });
    reconciler.caches.trust_bundles.insert(from_value(map).unwrap());
    reconciler.reconcile(&bundle).await;
    assert!(taken(&asked).is_empty(), "steady state writes nothing");
    assert!(reconciler.caches.set_certificate_authority("new".into()));
    reconciler.reconcile(&bundle).await;
    assert_eq!(taken(&asked), ["PUT configmaps/seatrial-trust-bundle"]);
    let elsewhere = ObjectKey::trust_bundle("unused");
    reconciler.reconcile(&elsewhere).await;
    assert!(taken(&asked).is_empty(), "nobody uses it there");
}
