//! Plays one list of requests about Jobs, pods, Deployments, revisions and what must not change, on the simulation with its
//! models and on a real API server with its controllers. There is no kubelet: the script says what becomes of pods.
//!
//! Needs the programs of `e2e/cluster`: `e2e/run` runs it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod script;

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use kube::Client;
use script::{control_plane, differences, fill, merge, send};
use seatrial_simulation::api::Api;
use seatrial_simulation::models::{self, deployments::Deployments, garbage::Garbage, jobs::Jobs, nodes::Unscheduled};
use serde_json::{Value, json};

const CORE: &str = "/api/v1/namespaces/default";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const APPS: &str = "/apis/apps/v1/namespaces/default";
const OWN: &str = "/apis/seatrial.dev/v1alpha1/namespaces/default";

/// How an answer is waited for.
type Holds = fn(u16, &Value) -> bool;

/// A request, what is waited for where that takes its time, and what of the answer is compared besides code, reason and causes.
struct Step {
    name: &'static str,
    method: Method,
    path: String,
    body: Value,
    until: Holds,
    looks: &'static [&'static str],
}

impl Step {
    fn looks(mut self, looks: &'static [&'static str]) -> Self {
        self.looks = looks;
        self
    }

    fn until(mut self, holds: Holds) -> Self {
        self.until = holds;
        self
    }
}

fn step(name: &'static str, method: Method, path: &str, body: Value) -> Step {
    Step { name, method, path: path.to_owned(), body, until: |_, _| true, looks: &[] }
}

fn get(name: &'static str, path: &str) -> Step {
    step(name, Method::GET, path, Value::Null)
}

fn post(name: &'static str, path: &str, body: Value) -> Step {
    step(name, Method::POST, path, body)
}

fn patch(name: &'static str, path: &str, body: Value) -> Step {
    step(name, Method::PATCH, path, body)
}

fn delete(name: &'static str, path: &str, body: Value) -> Step {
    step(name, Method::DELETE, path, body)
}

fn is_gone(code: u16, _: &Value) -> bool {
    code == 404
}

fn has(object: &Value, condition: &str, status: &str) -> bool {
    let all = object["status"]["conditions"].as_array();
    all.into_iter().flatten().any(|known| known["type"] == condition && known["status"] == status)
}

fn container(image: &str) -> Value {
    json!({"name": "step", "image": image})
}

fn pod(name: &str, more: &Value) -> Value {
    let spec = json!({"nodeName": "nowhere", "terminationGracePeriodSeconds": 20, "containers": [container("a")]});
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    merge(&mut pod, more);
    pod
}

fn job(name: &str, more: &Value) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": "x"}},
        "spec": {"restartPolicy": "Never", "containers": [container("a")]},
    });
    let rules = json!([
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "step", "operator": "In", "values": [7]}},
    ]);
    let spec = json!({
        "backoffLimit": 0, "podReplacementPolicy": "Failed", "podFailurePolicy": {"rules": rules}, "template": template,
    });
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec});
    merge(&mut job, more);
    job
}

/// The status of a pod whose container ended so.
fn ended(code: i64, disrupted: bool) -> Value {
    let at = "2026-01-01T00:00:00Z";
    let terminated = json!({"exitCode": code, "reason": "x", "startedAt": at, "finishedAt": at});
    let conditions = if disrupted {
        json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "lastTransitionTime": at}])
    } else {
        json!([])
    };
    json!({"status": {
        "phase": if code == 0 { "Succeeded" } else { "Failed" }, "conditions": conditions,
        "containerStatuses": [{"name": "step", "image": "a", "imageID": "", "ready": false, "restartCount": 0,
                               "state": {"terminated": terminated}}],
    }})
}

const PODS: &[&str] = &["/items/0/metadata/finalizers", "/items/0/metadata/labels/app"];

fn of_job(name: &str) -> String {
    format!("{CORE}/pods?labelSelector=batch.kubernetes.io%2Fjob-name%3D{name}")
}

fn one_new_pod(_: u16, list: &Value) -> bool {
    let items = list["items"].as_array();
    items.is_some_and(|items| {
        items.iter().filter(|pod| pod["status"]["phase"] == "Pending" || pod["status"]["phase"].is_null()).count() == 1
    })
}

fn no_pod(_: u16, list: &Value) -> bool {
    list["items"].as_array().is_some_and(Vec::is_empty)
}

/// Pods: what is their status, and how they are deleted.
fn pods() -> Vec<Step> {
    const DELETED: &[&str] = &["/metadata/deletionGracePeriodSeconds", "/metadata/finalizers", "/status/phase"];
    let path = format!("{CORE}/pods/p");
    let held = format!("{CORE}/pods/held");
    let grace = |seconds: i64| json!({"gracePeriodSeconds": seconds});
    vec![
        post("pod", &format!("{CORE}/pods"), pod("p", &json!({"status": {"phase": "Running"}}))),
        patch(
            "pod runs",
            &format!("{path}/status"),
            json!({"status": {"phase": "Running"}, "metadata": {"labels": {"a": "b"}}}),
        )
        .looks(&["/status/phase"]),
        patch("pod's status beside the subresource", &path, json!({"status": {"phase": "Failed"}}))
            .looks(&["/status/phase"]),
        delete("pod deleted with its own grace", &path, Value::Null).looks(DELETED),
        delete("pod deleted with a longer one", &path, grace(30)).looks(DELETED),
        delete("pod deleted with a shorter one", &path, grace(5)).looks(DELETED),
        patch("pod ends", &format!("{path}/status"), ended(0, false)).looks(DELETED),
        delete("pod deleted at once", &path, grace(0)),
        get("pod is gone", &path).until(is_gone),
        post(
            "held pod",
            &format!("{CORE}/pods"),
            pod("held", &json!({"metadata": {"finalizers": ["example.com/hold"]}})),
        ),
        delete("held pod deleted at once", &held, grace(0)).looks(DELETED),
        patch("held pod let go", &held, json!({"metadata": {"finalizers": null}})),
        get("held pod is gone", &held).until(is_gone),
        post(
            "pod without a node",
            &format!("{CORE}/pods"),
            pod("p", &json!({"spec": {"nodeName": null, "schedulerName": "nobody"}})),
        ),
        delete("pod without a node deleted", &path, Value::Null),
        get("pod without a node is gone", &path).until(is_gone),
    ]
}

/// Jobs: their pods, what is made of the pods' ends, and what becomes of pods whose Job goes.
fn jobs() -> Vec<Step> {
    let path = |name: &str| format!("{JOBS}/{name}");
    let status = |from: &str| format!("{CORE}/pods/@{from}/items/0/metadata/name@/status");
    let pod_of = |from: &str| format!("{CORE}/pods/@{from}/items/0/metadata/name@");
    vec![
        post("job", JOBS, job("j", &json!({}))).looks(&["/metadata/generation"]),
        patch("job's template", &path("j"), json!({"spec": {"template": {"metadata": {"labels": {"app": "y"}}}}})),
        patch("job's policy", &path("j"), json!({"spec": {"podFailurePolicy": null}})),
        get("job's pod", &of_job("j")).until(one_new_pod).looks(PODS),
        patch("job's pod is disrupted", &status("job's pod"), ended(1, true)),
        delete("job's pod deleted", &pod_of("job's pod"), json!({"gracePeriodSeconds": 0})),
        get("job's pod is counted and goes", &pod_of("job's pod")).until(is_gone),
        get("job's second pod", &of_job("j")).until(one_new_pod).looks(PODS),
        get("nothing failed", &path("j")).looks(&["/status/failed"]),
        patch("job's second pod succeeds", &status("job's second pod"), ended(0, false)),
        get("job is complete", &path("j"))
            .until(|_, job| has(job, "Complete", "True"))
            .looks(&["/status/succeeded", "/status/failed"]),
        get("its pod bears no finalizer", &pod_of("job's second pod"))
            .until(|_, pod| pod["metadata"]["finalizers"].is_null() || pod["metadata"]["finalizers"] == json!([])),
        delete("complete job deleted", &path("j"), json!({"propagationPolicy": "Background"})),
        get("complete job is gone", &path("j")).until(is_gone),
        get("complete job's pod is gone", &pod_of("job's second pod")).until(is_gone),
        post("failing job", JOBS, job("f", &json!({"spec": {"backoffLimit": 3}}))),
        get("failing job's pod", &of_job("f")).until(one_new_pod).looks(PODS),
        patch("failing job's pod fails", &status("failing job's pod"), ended(7, false)),
        get("failing job has failed", &path("f"))
            .until(|_, job| has(job, "Failed", "True"))
            .looks(&["/status/succeeded", "/status/failed"]),
        delete("failing job orphans its pod", &path("f"), json!({"propagationPolicy": "Orphan"}))
            .looks(&["/metadata/finalizers"]),
        get("failing job is gone", &path("f")).until(is_gone),
        get("its pod belongs to nobody", &pod_of("failing job's pod"))
            .until(|_, pod| pod["metadata"]["ownerReferences"].is_null())
            .looks(&["/status/phase"]),
        delete("the pod of nobody", &pod_of("failing job's pod"), json!({"gracePeriodSeconds": 0})),
        post("third job", JOBS, job("g", &json!({}))),
        get("third job's pod", &of_job("g")).until(one_new_pod).looks(PODS),
        delete("third job deleted in the foreground", &path("g"), json!({"propagationPolicy": "Foreground"}))
            .looks(&["/metadata/finalizers"]),
        get("third job is gone", &path("g")).until(is_gone),
        get("third job's pod is gone", &pod_of("third job's pod")).until(is_gone),
        post("suspended job", JOBS, job("s", &json!({"spec": {"suspend": true}}))),
        get("suspended job says so", &path("s"))
            .until(|_, job| has(job, "Suspended", "True"))
            .looks(&["/status/startTime"]),
        get("suspended job has no pod", &of_job("s")).until(no_pod),
        patch("job resumed", &path("s"), json!({"spec": {"suspend": false}})).looks(&["/metadata/generation"]),
        get("resumed job's pod", &of_job("s")).until(one_new_pod).looks(PODS),
        get("resumed job says so", &path("s")).until(|_, job| has(job, "Suspended", "False")),
        patch("job suspended again", &path("s"), json!({"spec": {"suspend": true}})),
        get("its pod goes", &of_job("s")).until(no_pod),
        get("job says so again", &path("s")).until(|_, job| has(job, "Suspended", "True")).looks(&["/status/failed"]),
        delete("suspended job deleted", &path("s"), json!({"propagationPolicy": "Background"})),
        get("suspended job is gone", &path("s")).until(is_gone),
    ]
}

/// Deployments: their pods and counts, and what must not change.
fn deployments() -> Vec<Step> {
    let all = format!("{APPS}/deployments");
    let path = format!("{all}/d");
    let labels = json!({"app": "d"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [container("a")]}}},
    });
    let pods = format!("{CORE}/pods?labelSelector=app%3Dd");
    let pod = format!("{CORE}/pods/@deployment's pod/items/0/metadata/name@");
    let ready = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }});
    vec![
        post("deployment", &all, deployment).looks(&["/metadata/generation"]),
        patch(
            "deployment's selector",
            &path,
            json!({"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}}),
        ),
        get("deployment without servers", &path)
            .until(|_, it| it["status"]["observedGeneration"] == 1)
            .looks(&["/status/replicas", "/status/availableReplicas"]),
        patch("deployment scaled", &path, json!({"spec": {"replicas": 1}})).looks(&["/metadata/generation"]),
        get("deployment's pod", &pods).until(one_new_pod),
        get("deployment's server is not ready", &path)
            .until(|_, it| it["status"]["updatedReplicas"] == 1 && it["status"]["observedGeneration"] == 2)
            .looks(&["/status/replicas", "/status/readyReplicas", "/status/availableReplicas"]),
        patch("deployment's pod is ready", &format!("{pod}/status"), ready),
        get("deployment's server is ready", &path).until(|_, it| it["status"]["availableReplicas"] == 1).looks(&[
            "/metadata/generation",
            "/status/replicas",
            "/status/readyReplicas",
        ]),
        patch("deployment scaled to zero", &path, json!({"spec": {"replicas": 0}})).looks(&["/metadata/generation"]),
        get("deployment's pod goes", &pods).until(no_pod),
        delete("deployment deleted", &path, json!({"propagationPolicy": "Background"})),
        get("deployment is gone", &path).until(is_gone),
    ]
}

/// Revisions, maps and Seatrial's own kinds: what stays as it was created.
fn immutables() -> Vec<Step> {
    let (revisions, maps) = (format!("{APPS}/controllerrevisions"), format!("{CORE}/configmaps"));
    let revision = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}, "revision": 1, "data": {"spec": 1},
    });
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "immutable": true, "data": {"a": "1"}});
    let own = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let digest = format!("sha256:{}", "0".repeat(64));
    let version = json!({"model": "m", "number": 1, "purpose": "Release", "artifact": {"digest": digest, "uri": "s3://a/b", "size": 1}});
    let approval = json!({
        "model": "m", "version": "m-v1", "digest": digest, "judgement": digest, "decision": "Approved", "reason": "x", "by": {"user": "x"},
    });
    vec![
        post("revision", &revisions, revision),
        patch("revision's data", &format!("{revisions}/r"), json!({"data": {"spec": 2}})),
        patch(
            "revision's labels",
            &format!("{revisions}/r"),
            json!({"metadata": {"labels": {"a": "b"}}, "revision": 2}),
        )
        .looks(&["/revision"]),
        post("map", &maps, map),
        patch("map's data", &format!("{maps}/m"), json!({"data": {"a": "2"}})),
        patch("map no longer immutable", &format!("{maps}/m"), json!({"immutable": false})),
        patch("map's labels", &format!("{maps}/m"), json!({"metadata": {"labels": {"a": "b"}}})),
        post("run", &format!("{OWN}/mlpipelineruns"), own("MLPipelineRun", "r", json!({"pipeline": "churn"}))),
        patch("run's pipeline", &format!("{OWN}/mlpipelineruns/r"), json!({"spec": {"pipeline": "other"}})),
        patch(
            "run's parameters",
            &format!("{OWN}/mlpipelineruns/r"),
            json!({"spec": {"parameters": [{"name": "a", "value": "1"}]}}),
        ),
        patch("run's labels", &format!("{OWN}/mlpipelineruns/r"), json!({"metadata": {"labels": {"a": "b"}}}))
            .looks(&["/metadata/generation"]),
        post("version", &format!("{OWN}/modelversions"), own("ModelVersion", "m-v1", version)),
        patch("version's spec", &format!("{OWN}/modelversions/m-v1"), json!({"spec": {"artifact": {"size": 2}}})),
        post("approval", &format!("{OWN}/approvals"), own("Approval", "a", approval)),
        patch("approval's spec", &format!("{OWN}/approvals/a"), json!({"spec": {"decision": "Rejected"}})),
        post("store", &format!("{OWN}/stores"), own("Store", "s", json!({"prefix": "s3://lake/"}))),
        patch("store's prefix", &format!("{OWN}/stores/s"), json!({"spec": {"prefix": "s3://pond/"}})),
        patch("store's region", &format!("{OWN}/stores/s"), json!({"spec": {"region": "eu-west-1"}}))
            .looks(&["/metadata/generation"]),
        post(
            "server",
            &format!("{OWN}/modeldeployments"),
            own("ModelDeployment", "d", json!({"model": "m", "server": {"image": "a", "port": 80}})),
        ),
        patch("server's model", &format!("{OWN}/modeldeployments/d"), json!({"spec": {"model": "n"}})),
        patch("server's replicas", &format!("{OWN}/modeldeployments/d"), json!({"spec": {"replicas": 2}}))
            .looks(&["/metadata/generation"]),
    ]
}

/// A path in which `@name/a/b@` stands for what is at `/a/b` of that answer.
fn path_of(path: &str, answers: &BTreeMap<&str, Value>) -> String {
    let mut parts = path.split('@');
    let (start, Some(reference), Some(rest)) = (parts.next().unwrap(), parts.next(), parts.next()) else {
        return path.to_owned();
    };
    let mut value = Value::from(format!("@{reference}"));
    fill(&mut value, answers);
    format!("{start}{}{rest}", value.as_str().unwrap())
}

/// What is compared of an answer. A count of none may be left out.
fn essence(step: &Step, code: u16, answer: &Value) -> Value {
    let mut essence = json!({"code": code});
    if code >= 300 {
        let causes = answer["details"]["causes"].as_array();
        let causes: Vec<&Value> = causes.into_iter().flatten().map(|cause| &cause["reason"]).collect();
        (essence["reason"], essence["causes"]) = (answer["reason"].clone(), json!(causes));
        return essence;
    }
    for look in step.looks {
        let found = answer.pointer(look).cloned().unwrap_or_default();
        essence[*look] = if found == 0 || found == json!([]) { Value::Null } else { found };
    }
    essence
}

async fn play(client: &Client) -> Vec<(String, Value)> {
    let (mut answers, mut played) = (BTreeMap::new(), vec![]);
    for mut step in [pods(), jobs(), deployments(), immutables()].into_iter().flatten() {
        fill(&mut step.body, &answers);
        let path = path_of(&step.path, &answers);
        let (mut code, mut answer) = send(client, &step.method, &path, &step.body).await;
        for _ in 0..600 {
            if (step.until)(code, &answer) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            (code, answer) = send(client, &step.method, &path, &step.body).await;
        }
        let mut essence = essence(&step, code, &answer);
        if !(step.until)(code, &answer) {
            essence["never came"] = answer.clone();
        }
        played.push((step.name.to_owned(), essence));
        answers.insert(step.name, answer);
    }
    played
}

fn simulated() -> Vec<(String, Value)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let api = Api::new(Timestamp::from_second(1_800_000_000).unwrap(), None);
        let controllers: Vec<Box<dyn models::Model>> = vec![
            Box::new(Jobs::default()),
            Box::new(Deployments),
            Box::new(Unscheduled::default()),
            Box::new(Garbage::default()),
        ];
        let models = tokio::spawn(models::run(api.clone(), controllers));
        let played = play(&api.client("conformance")).await;
        models.abort();
        played
    })
}

#[test]
fn the_simulation_answers_to_every_line_of_the_script() {
    let all = simulated();
    let stuck: Vec<&(String, Value)> = all.iter().filter(|(_, essence)| !essence["never came"].is_null()).collect();
    assert!(stuck.is_empty(), "{stuck:#?}");
    let played: BTreeMap<String, Value> = all.into_iter().collect();
    for refused in [
        "job's template",
        "deployment's selector",
        "revision's data",
        "map's data",
        "run's parameters",
        "server's model",
    ] {
        assert_eq!(played[refused]["code"], 422, "{refused}");
    }
}

#[tokio::test]
#[ignore = "needs a real API server"]
async fn the_simulation_and_its_models_do_as_a_real_cluster_does() {
    let (_plane, client) = control_plane("simulation-workloads").await;
    let real = play(&client).await;
    let simulated = tokio::task::spawn_blocking(simulated).await.unwrap();
    let differences = differences(&real, &simulated);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
