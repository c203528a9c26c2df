//! A release that people approve, on a real cluster: by their own accounts, by `kubectl seatrial approve`, and from Git.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use jiff::{SignedDuration, Timestamp};
use seatrial_e2e::full::{Cluster, Namespace, condition, image, wait_for};
use serde_json::Value;

const ANN: [&str; 4] = ["--as", "ann@example.com", "--as-group", "crm"];
const BOB: [&str; 4] = ["--as", "bob@example.com", "--as-group", "crm"];
/// May create Approvals, and nobody asks for hers.
const EVE: [&str; 4] = ["--as", "eve@example.com", "--as-group", "sales"];

/// A Model that asks for people's word: `gate` are the fields of the gate.
fn model(min: &str, gate: &str) -> String {
    format!(
        r#"
apiVersion: seatrial.dev/v1alpha1
kind: Model
metadata: {{name: guess}}
spec:
  owner: {{team: e2e, contact: e2e@example.com}}
  objective: Guess
  uses: [Realtime]
  errorCosts: {{notApplicable: {{reason: nothing follows from a guess}}}}
  fairness: {{notApplicable: {{reason: there are no groups}}}}
  consumers: []
  gates:
    - {{name: right, type: Metric, metric: {{name: accuracy, min: "{min}"}}}}
    - {{name: signed, type: Approval, approval: {gate}}}
"#
    )
}

/// A pipeline that makes a version, what serves it, and who may approve.
fn release(namespace: &str) -> String {
    format!(
        r#"
apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {{name: guess}}
spec:
  image: {image}
  steps:
    - name: train
      command: [sh, -c, 'echo guess > $OUTPUT_MODEL/model']
      outputs: [{{name: model, type: Model}}]
    - name: evaluate
      command: [sh, -c, 'echo "{{\"accuracy\": 0.9}}" > $OUTPUT_METRICS']
      inputs: [{{name: model, from: {{step: train, output: model}}}}]
      outputs: [{{name: metrics, type: Metrics}}]
  publishes: [{{model: guess, artifact: {{step: train, output: model}}, evidence: [{{step: evaluate, output: metrics}}]}}]
---
apiVersion: seatrial.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: guess}}
spec:
  model: guess
  server:
    image: {image}
    command: [python, -m, http.server, "8080", --directory, /seatrial/model]
    port: 8080
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: gitops}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: approvers}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: seatrial-approver}}
subjects:
  - {{apiGroup: rbac.authorization.k8s.io, kind: Group, name: crm}}
  - {{apiGroup: rbac.authorization.k8s.io, kind: User, name: eve@example.com}}
  - {{kind: ServiceAccount, name: gitops, namespace: {namespace}}}
"#,
        image = image("mortgage:1.0")
    )
}

/// Waits until the version's gate has a verdict and a sentence with these words.
fn signed(cluster: &Cluster, namespace: &Namespace, verdict: &str, words: &str) -> Value {
    let version = cluster.wait(&namespace.name, "modelversion", "guess-v1", 300, |version| {
        let gate = gate(version);
        gate["verdict"] == verdict && gate["message"].as_str().is_some_and(|message| message.contains(words))
    });
    println!("{verdict}: {}", gate(&version)["message"]);
    version
}

/// Approvals count that are a minute younger than the chart's policy and its binding, which may just have been installed.
fn wait_until_writers_are_proven(cluster: &Cluster) {
    let age = |kind: &str| {
        let object = cluster.get("default", kind, "seatrial-approvals-v1");
        let created: Timestamp = object["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
        Timestamp::now().duration_since(created)
    };
    let is_proven = |kind| age(kind) > SignedDuration::from_secs(62);
    wait_for("the policy counts", 120, || {
        ["validatingadmissionpolicy", "validatingadmissionpolicybinding"].into_iter().all(is_proven).then_some(())
    });
}

fn gate(version: &Value) -> Value {
    let gates = version["status"]["judgements"][0]["gates"].as_array().cloned().unwrap_or_default();
    gates.into_iter().find(|gate| gate["name"] == "signed").unwrap_or_default()
}

#[test]
fn a_version_serves_when_those_who_are_asked_approve() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "approval");
    let say = |word: &str, who: &[&str], more: &[&str]| {
        let arguments = [&[word, "guess-v1", "--reason", "looked at it"], who, more].concat();
        cluster.plugin(&namespace.name, &arguments)
    };
    namespace.apply(&model("0.8", "{group: crm, count: 2}"));
    namespace.apply(&release(&namespace.name));
    signed(&cluster, &namespace, "AwaitingApproval", "0 of 2 approvals of the group crm");
    wait_until_writers_are_proven(&cluster);
    let (done, said) = say("approve", &EVE, &[]);
    assert!(!done && said.contains("asks the group crm for approval, and eve@example.com is not of it"), "{said}");
    // No role lets mallory approve, nor read.
    let (done, said) = say("approve", &["--as", "mallory@example.com", "--as-group", "devs"], &[]);
    assert!(!done && said.contains("cannot be read"), "{said}");

    let (done, said) = say("approve", &ANN, &[]);
    assert!(done && said.contains("created") && said.contains("accuracy is 0.9"), "{said}");
    signed(
        &cluster,
        &namespace,
        "AwaitingApproval",
        "1 of 2 approvals of the group crm (so far by ann@example.com: looked at it)",
    );
    let deployment = cluster.get(&namespace.name, "modeldeployment", "guess");
    assert_eq!(deployment["status"]["servedVersion"], Value::Null, "{deployment:#}");

    // A word against it counts until its author says otherwise, in a later second.
    let (done, said) = say("reject", &BOB, &[]);
    assert!(done, "{said}");
    let version = signed(&cluster, &namespace, "Failed", "rejected by bob@example.com: looked at it");
    assert_eq!(version["status"]["verdict"], "Failed", "{version:#}");
    wait_for("the next word is later", 10, || {
        let (done, said) = say("approve", &BOB, &[]);
        assert!(done, "{said}");
        let found = cluster.get(&namespace.name, "modelversion", "guess-v1");
        (gate(&found)["verdict"] != "Failed").then_some(())
    });
    let version = signed(
        &cluster,
        &namespace,
        "Passed",
        "approved by ann@example.com: looked at it; bob@example.com: looked at it",
    );
    assert_eq!(version["status"]["verdict"], "Passed", "{version:#}");
    let serves = |deployment: &Value| {
        deployment["status"]["servedVersion"] == "guess-v1" && condition(deployment, "Ready")["status"] == "True"
    };
    cluster.wait(&namespace.name, "modeldeployment", "guess", 300, serves);

    // Another bar is another judgement: what serves goes on serving, and what was approved was another thing.
    let seen = version["status"]["judgements"][0]["digest"].as_str().unwrap();
    let account = format!("system:serviceaccount:{}:gitops", namespace.name);
    namespace.apply(&model("0.85", &format!("{{group: crm, writers: [\"{account}\"]}}")));
    signed(&cluster, &namespace, "AwaitingApproval", "0 of 1 approvals");
    cluster.wait(&namespace.name, "model", "guess", 60, |model| {
        condition(model, "ServingMeetsGates")["status"] == "False"
    });
    let (done, said) = say("approve", &ANN, &["--judgement", seen]);
    assert!(!done && said.contains("guess-v1 has another judgement by now"), "{said}");
    assert!(serves(&cluster.get(&namespace.name, "modeldeployment", "guess")));

    // From Git: a person writes what an account creates. Whoever else creates it is refused.
    let (done, written) = say("approve", &ANN, &["--writer", &account]);
    let written = written.split_once("apiVersion:").map(|(_, rest)| format!("apiVersion:{rest}")).unwrap();
    // The person reads the summary, which goes to standard error, after the YAML here.
    let manifest: String =
        written.lines().take_while(|line| !line.starts_with("guess-v1 of")).map(|line| format!("{line}\n")).collect();
    assert!(done && manifest.contains("onBehalfOf: ann@example.com"), "{written}");
    let create = |who: &str| cluster.try_kubectl(&format!("-n {} create {who} -f -", namespace.name), &manifest);
    let refused = create("--as eve@example.com").unwrap_err();
    assert!(refused.contains("seatrial-approvals-v1"), "{refused}");
    create(&format!("--as {account}")).unwrap();
    let claimed = format!("approved by {account} (which claims to write for ann@example.com): looked at it");
    let version = signed(&cluster, &namespace, "Passed", &claimed);
    assert_eq!(version["status"]["verdict"], "Passed", "{version:#}");
    cluster
        .wait(&namespace.name, "model", "guess", 60, |model| condition(model, "ServingMeetsGates")["status"] == "True");
}
