//! What goes wrong on real clusters, and how it is shown. Each test has a namespace of its own.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use seatrial_e2e::full::{
    Cluster, ENDS_WHEN_TOLD, Namespace, condition, image, pipeline_of_one_step as pipeline, python_server, step,
    wait_for,
};
use serde_json::Value;

/// Waits for what a run says of itself while it goes on.
fn wait_for_reason(cluster: &Cluster, namespace: &Namespace, reason: &str, seconds: u64) -> Value {
    cluster.wait(&namespace.name, "mlpipelinerun", "work-c1", seconds, |run| {
        step(run, "work")["reason"] == reason || condition(run, "Succeeded")["reason"] == reason
    })
}

fn message(run: &Value) -> String {
    condition(run, "Succeeded")["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_image_that_does_not_exist() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "failure-image");
    namespace.apply(&pipeline("pass", "      image: registry.local/no/such:image"));
    let run = wait_for_reason(&cluster, &namespace, "ImageUnavailable", 180);
    assert!(message(&run).contains("registry.local/no/such:image"), "{}", message(&run));
}

#[test]
fn a_step_that_is_killed_for_memory_and_one_that_fails() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "failure-memory");
    namespace.apply(&pipeline(
        "x = bytearray(300_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1",
        "      outputs: [{name: x, type: Any}]\n      resources: {limits: {memory: 64Mi}}",
    ));
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 180);
    assert_eq!(step(&run, "work")["reason"], "OutOfMemory", "{run:#}");
    assert!(message(&run).contains("64Mi"), "{}", message(&run));
    namespace.apply(&pipeline("import sys\nprint('no such column: age')\nsys.exit(3)", "      retry: {limit: 0}"));
    let run = cluster.wait_for_run(&namespace.name, "work-c2", 180);
    assert_eq!(step(&run, "work")["reason"], "CommandFailed");
    assert!(message(&run).contains("exit code 3: no such column: age"), "{}", message(&run));
}

#[test]
fn values_arrive_literally_and_user_code_sees_no_credential() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "literal");
    namespace.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}");
    let script = r"import os, json
seen = {'env': dict(os.environ), 'mounts': open('/proc/mounts').read(), 'uid': os.getuid(),
        'secrets': os.path.exists('/var/run/secrets'), 'root': sorted(os.listdir('/seatrial'))}
print(json.dumps(seen))
open(os.environ['OUTPUT_X'] + '/seen', 'w').write('done')";
    let more = r#"      env:
        - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
        - {name: LITERAL, value: "$(DB_PASSWORD) $$ $HOME"}
      outputs: [{name: x, type: Any}]"#;
    namespace.apply(&pipeline(script, more));
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 180);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{}", message(&run));
    let log = cluster.kubectl(&format!(
        "-n {} logs job/{} -c step",
        namespace.name,
        step(&run, "work")["job"].as_str().unwrap_or_default()
    ));
    println!("what a step's container sees: {log}");
    let seen: Value = serde_json::from_str(&log).unwrap_or_else(|error| panic!("{error}: {log}"));
    assert_eq!(seen["env"]["LITERAL"], "$(DB_PASSWORD) $$ $HOME");
    assert_eq!(seen["env"]["DB_PASSWORD"], "hunter2");
    assert_eq!(seen["secrets"], false, "{seen:#}");
    let mounts = seen["mounts"].as_str().unwrap_or_default();
    assert!(!mounts.contains("serviceaccount") && !mounts.contains("secret"), "{mounts}");
    let names: Vec<&str> = seen["env"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let forbidden = ["AWS", "TOKEN", "SECRET", "SEATRIAL_"];
    assert!(names.iter().all(|name| forbidden.iter().all(|part| !name.contains(part))), "{names:?}");
}

#[test]
fn a_uri_without_a_store_a_wrong_parameter_and_a_store_that_cannot_be_reached() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "failure-store");
    namespace.apply(&pipeline("pass", "      inputs: [{name: raw, uri: \"s3://lake/raw/\"}]\n  parameters: [{name: rate, type: Number, default: \"1\"}]"));
    let run = wait_for_reason(&cluster, &namespace, "StoreNotFound", 120);
    assert!(message(&run).contains("create a Store"), "{}", message(&run));
    // A run made by hand, with a parameter that is none, ends at once and disturbs nothing.
    namespace.apply(
        "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipelineRun\nmetadata: {name: by-hand}\nspec: {pipeline: work, parameters: [{name: rate, value: fast}]}",
    );
    let run = cluster.wait_for_run(&namespace.name, "by-hand", 120);
    assert_eq!(condition(&run, "Succeeded")["reason"], "InvalidParameters");
    assert!(message(&run).contains("rate"), "{}", message(&run));
    let waiting = cluster.get(&namespace.name, "mlpipelinerun", "work-c1");
    assert_eq!(step(&waiting, "work")["reason"], "StoreNotFound", "{waiting:#}");
    // The Store comes, but nobody answers there: it is waited for.
    namespace.apply(
        "apiVersion: seatrial.dev/v1alpha1\nkind: Store\nmetadata: {name: lake}\nspec: {prefix: \"s3://lake/\", endpoint: \"http://nowhere.invalid\"}",
    );
    let run = wait_for_reason(&cluster, &namespace, "StoreUnavailable", 240);
    assert!(message(&run).contains("the store could not be used"), "{}", message(&run));
}

#[test]
fn data_that_is_larger_than_the_disk_is_not_even_begun() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "failure-disk");
    // An S3 service with one object that no disk has room for; whoever asks for its bytes waits in vain.
    let script = "import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header('Content-Length', str(10 ** 16))
        self.send_header('Last-Modified', 'Thu, 01 Jan 2026 00:00:00 GMT')
        self.send_header('ETag', '\"one\"')
        self.end_headers()
    def do_GET(self):
        self.do_HEAD()
        time.sleep(600)
http.server.ThreadingHTTPServer(('', 8080), Handler).serve_forever()";
    namespace.apply(&python_server("lake", script, &[], None).to_string());
    cluster.wait(&namespace.name, "pod", "lake", 180, |pod| condition(pod, "Ready")["status"] == "True");
    namespace.apply(&format!(
        "apiVersion: seatrial.dev/v1alpha1\nkind: Store\nmetadata: {{name: lake}}\nspec: {{prefix: \"s3://lake/\", endpoint: \"http://lake.{}.svc\"}}",
        namespace.name
    ));
    namespace.apply(&pipeline(
        "pass",
        "      retry: {limit: 3}\n      inputs: [{name: raw, uri: \"s3://lake/everything.csv\"}]",
    ));
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 180);
    assert_eq!(step(&run, "work")["reason"], "InputTooLarge", "{run:#}");
    assert!(message(&run).contains("10000000000000000 bytes") && message(&run).contains("read less data"), "{run:#}");
    let job = step(&run, "work")["job"].as_str().unwrap_or_default().to_owned();
    assert_eq!(cluster.get(&namespace.name, "job", &job)["status"]["failed"], 1, "trying again does not help");
}

#[test]
fn names_that_are_taken_are_left_alone() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "failure-taken");
    namespace.apply("apiVersion: v1\nkind: Service\nmetadata: {name: churn}\nspec: {ports: [{port: 5432}], selector: {app: database}}");
    let before = cluster.get(&namespace.name, "service", "churn")["spec"].clone();
    let digest = "a".repeat(64);
    namespace.apply(&format!(
        r#"
apiVersion: seatrial.dev/v1alpha1
kind: ModelVersion
metadata: {{name: churn-v1}}
spec:
  model: churn
  number: 1
  purpose: Release
  artifact: {{uri: "s3://seatrial-e2e-failure-taken/seatrial/artifacts/aa/{digest}", digest: "sha256:{digest}", size: 1}}
  lineage: {{pipeline: churn, run: churn-c1, runUID: elsewhere, revision: 1}}
---
apiVersion: seatrial.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: churn}}
spec: {{model: churn, version: churn-v1, server: {{image: "{}", command: [sleep, "600"], port: 8080}}}}
"#,
        image("mortgage:1.0")
    ));
    let stalled = cluster.wait(&namespace.name, "modeldeployment", "churn", 180, |object| {
        condition(object, "Stalled")["reason"] == "NameTaken"
    });
    assert!(condition(&stalled, "Stalled")["message"].as_str().is_some_and(|text| text.contains("churn")));
    assert_eq!(cluster.get(&namespace.name, "service", "churn")["spec"], before);
    // Nobody here made the version: it is not judged. Its files do not exist: the server does not start, and says so.
    let is_judged = |version: &Value| version["status"]["verdict"].is_string();
    let version = cluster.wait(&namespace.name, "modelversion", "churn-v1", 120, is_judged);
    assert_eq!(version["status"]["verdict"], "Unjudged");
    cluster.kubectl(&format!("-n {} delete service churn", namespace.name));
    let stalled = cluster.wait(&namespace.name, "modeldeployment", "churn", 240, |object| {
        condition(object, "Stalled")["reason"] == "ModelNotFetched"
    });
    let text = condition(&stalled, "Stalled")["message"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("does not exist"), "{text}");
}

#[test]
fn a_pod_and_a_job_that_are_deleted_cost_no_retry() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "failure-deleted");
    namespace.apply(&pipeline(ENDS_WHEN_TOLD, "      outputs: [{name: x, type: Any}]"));
    let has_job = |run: &Value| step(run, "work")["job"].is_string();
    let run = cluster.wait(&namespace.name, "mlpipelinerun", "work-c1", 120, has_job);
    let job = step(&run, "work")["job"].as_str().unwrap_or_default().to_owned();
    let first = cluster.wait_for_pod(&namespace.name, &job, &[]);
    cluster.kubectl(&format!("-n {} delete pod {first} --wait=true", namespace.name));
    cluster.wait_for_pod(&namespace.name, &job, &[&first]);
    cluster.kubectl(&format!("-n {} delete job {job} --wait=true", namespace.name));
    let has_next = |run: &Value| step(run, "work")["job"].as_str().is_some_and(|next| next != job);
    let run = cluster.wait(&namespace.name, "mlpipelinerun", "work-c1", 120, has_next);
    let next = step(&run, "work")["job"].as_str().unwrap_or_default().to_owned();
    let third = cluster.wait_for_pod(&namespace.name, &next, &[]);
    cluster.end_step(&namespace.name, &third, "end");
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 180);
    let work = step(&run, "work");
    println!("after a deleted pod and a deleted Job: {work:#}");
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{}", message(&run));
    assert_eq!(work["attempt"], 2, "the deleted Job is followed by another attempt; the deleted pod was none");
    assert_ne!(work["job"], job.as_str());
}

#[test]
fn what_a_namespace_that_is_being_deleted_refuses_is_no_failure() {
    let cluster = Cluster::prepared();
    let let_go = "-n seatrial-e2e-failure-ends patch pod stays --type=merge -p {\"metadata\":{\"finalizers\":null}}";
    let _ = cluster.try_kubectl(let_go, ""); // Of an earlier run that broke off.
    let namespace = Namespace::new(&cluster, "failure-ends");
    // Namespaces lose their pods first: one that stays keeps all the rest for as long as the test needs it.
    namespace.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: stays, finalizers: [example.org/test]}
spec:
  nodeSelector: {example.org/no-such: node}
  securityContext: {runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}
  containers:
    - {name: a, image: none, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}",
    );
    namespace.apply(&pipeline("import time\ntime.sleep(600)", "      outputs: [{name: x, type: Any}]"));
    let run = cluster.wait(&namespace.name, "mlpipelinerun", "work-c1", 60, |run| step(run, "work")["job"].is_string());
    cluster.kubectl("delete namespace seatrial-e2e-failure-ends --wait=false");
    let job = step(&run, "work")["job"].as_str().unwrap_or_default();
    cluster.kubectl(&format!("-n seatrial-e2e-failure-ends delete job {job} --wait=true"));
    let logs = || cluster.kubectl("logs -n seatrial-system -l app.kubernetes.io/component=operator --tail=-1");
    let has =
        |line: &&str, text: &str| line.contains(r#""namespace":"seatrial-e2e-failure-ends""#) && line.contains(text);
    wait_for("the operator says that the namespace is being deleted", 180, || {
        logs().lines().any(|line| has(&line, "being deleted")).then_some(())
    });
    cluster.kubectl(let_go);
    cluster.kubectl("wait --for=delete namespace/seatrial-e2e-failure-ends --timeout=300s");
    let logs = logs();
    let failed: Vec<&str> = logs.lines().filter(|line| has(line, "WARN")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_corrected_pipeline_does_not_wait_and_pods_that_are_refused_are_named() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "failure-corrected");
    namespace.apply(&pipeline("pass", "      inputs: [{name: raw, uri: \"s3://lkae/raw/\"}]"));
    wait_for_reason(&cluster, &namespace, "StoreNotFound", 120);
    namespace.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {pods: \"0\"}}");
    namespace.apply(&pipeline("pass", "      outputs: []"));
    let refused = cluster.wait(&namespace.name, "mlpipelinerun", "work-c2", 120, |run| {
        step(run, "work")["reason"] == "PodsRefused" && message(run).contains("exceeded quota")
    });
    assert!(message(&refused).contains("limited: pods=0"), "{}", message(&refused));
    let first = cluster.get(&namespace.name, "mlpipelinerun", "work-c1");
    assert_eq!(condition(&first, "Succeeded")["reason"], "Superseded", "{first:#}");
    cluster.kubectl(&format!("-n {} delete resourcequota none", namespace.name));
    let run = cluster.wait_for_run(&namespace.name, "work-c2", 300);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    assert_eq!(step(&run, "work")["attempt"], 1);
}
