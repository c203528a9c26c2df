//! What a namespace's pods can do to another's data, with everything that they can know: nothing.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use seatrial_e2e::full::{Cluster, Namespace, condition, image, step};
use serde_json::{Value, json};

/// A pod of nothing but the container that fetches a step's inputs, as the operator built it for another pod.
fn fetching_pod(job: &Value) -> Value {
    let pod = &job["spec"]["template"]["spec"];
    let mut fetch = pod["initContainers"][0].clone();
    fetch["name"] = json!("fetch");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "thief"},
        "spec": {
            "containers": [fetch], "volumes": pod["volumes"], "securityContext": pod["securityContext"],
            "restartPolicy": "Never", "automountServiceAccountToken": false,
        },
    })
}

/// How its one container ended: the code, and what it says.
fn end(cluster: &Cluster, namespace: &Namespace) -> (Value, String) {
    let pod = cluster.wait(&namespace.name, "pod", "thief", 240, |pod| {
        matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    });
    let end = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    (end["exitCode"].clone(), end["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_pod_reads_its_own_namespaces_artifacts_and_no_others() {
    let cluster = Cluster::prepared();
    let (owner, stranger) = (Namespace::new(&cluster, "data-owner"), Namespace::new(&cluster, "data-stranger"));
    owner.apply(&format!(
        r#"
apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {{name: secret}}
spec:
  image: {}
  steps:
    - name: make
      command: [sh, -c, 'echo confidential > "$OUTPUT_X/file"']
      outputs: [{{name: x, type: Dataset}}]
    - name: use
      command: [sh, -c, 'grep confidential "$INPUT_X/file"']
      inputs: [{{name: x, from: {{step: make, output: x}}}}]
"#,
        image("mortgage:1.0")
    ));
    let run = cluster.wait_for_run(&owner.name, "secret-c1", 300);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    let job = cluster.get(&owner.name, "job", step(&run, "use")["job"].as_str().unwrap_or_default());
    let thief = fetching_pod(&job).to_string();

    // The same container, with the same config, in the namespace that it was built for: it does fetch.
    owner.apply(&thief);
    let (code, message) = end(&cluster, &owner);
    assert_eq!(code, 0, "{message}");
    // Elsewhere its token is another, and the store knows whose. That the thief trusts the store is no secret's work.
    let trusted = cluster.get(&owner.name, "configmap", "seatrial-trust-bundle");
    let trusted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seatrial-trust-bundle"}, "data": trusted["data"]});
    stranger.apply(&trusted.to_string());
    stranger.apply(&thief);
    let (code, message) = end(&cluster, &stranger);
    println!("a pod of another namespace asks for an artifact; exit code {code}: {message}");
    assert_ne!(code, 0);
    assert!(message.contains("may not be read"), "{message}");
}
