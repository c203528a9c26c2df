//! What people ask for, and really get, on a cluster that runs pods. Each test has a namespace of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use seatrial_e2e::full::{
    Cluster, ENDS_WHEN_TOLD, Namespace, condition, image, pipeline_of_one_step as pipeline, python_server, step,
    wait_for,
};
use serde_json::{Value, json};

fn assert_succeeded(run: &Value) {
    assert_eq!(condition(run, "Succeeded")["status"], "True", "{run:#}");
}

#[test]
fn what_is_said_of_pods_reaches_them_and_the_step_wins() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "usage-pods");
    let node = cluster.list("default", "nodes", "")[0]["metadata"]["labels"]["kubernetes.io/hostname"].clone();
    namespace.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: trainer}");
    namespace.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {level: high}");
    let more = format!(
        r#"      outputs: [{{name: x, type: Any}}]
      env:
        - {{name: LEVEL, valueFrom: {{configMapKeyRef: {{name: settings, key: level}}}}}}
        - {{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
      pod:
        nodeSelector: {{kubernetes.io/hostname: {node}}}
        labels: {{cost: step}}
        annotations: {{example.org/note: of the step}}
        volumeMounts: [{{name: settings, mountPath: /settings, readOnly: true}}]
      resources: {{requests: {{cpu: 20m}}, limits: {{memory: 100Mi}}}}
  envFrom: [{{prefix: SETTINGS_, configMapRef: {{name: settings}}}}]
  job: {{labels: {{example.org/queue: ml}}}}
  pod:
    serviceAccountName: trainer
    imagePullSecrets: [{{name: registry}}]
    nodeSelector: {{kubernetes.io/os: linux}}
    tolerations: [{{key: gpu, operator: Exists, effect: NoSchedule}}]
    labels: {{cost: pipeline, team: growth}}
    annotations: {{example.org/mesh: "off"}}
    volumes: [{{name: settings, configMap: {{name: settings}}}}]
    sharedMemory: 128Mi
  resources: {{limits: {{memory: 1Gi}}}}"#
    );
    namespace.apply(&pipeline(ENDS_WHEN_TOLD, &more));
    let has_job = |run: &Value| step(run, "work")["job"].is_string();
    let run = cluster.wait(&namespace.name, "mlpipelinerun", "work-c1", 120, has_job);
    let job = step(&run, "work")["job"].as_str().unwrap().to_owned();
    let name = cluster.wait_for_pod(&namespace.name, &job, &[]);
    let pod = cluster.get(&namespace.name, "pod", &name);
    let spec = &pod["spec"];
    assert_eq!(spec["nodeSelector"], json!({"kubernetes.io/hostname": node, "kubernetes.io/os": "linux"}));
    let tolerations = spec["tolerations"].as_array().unwrap();
    assert!(tolerations.contains(&json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"})), "{spec:#}");
    assert_eq!(spec["serviceAccountName"], "trainer");
    assert!(spec["imagePullSecrets"].as_array().unwrap().contains(&json!({"name": "registry"})), "{spec:#}");
    let metadata = &pod["metadata"];
    assert_eq!((&metadata["labels"]["cost"], &metadata["labels"]["team"]), (&json!("step"), &json!("growth")));
    assert_eq!(metadata["annotations"]["example.org/note"], "of the step");
    assert_eq!(metadata["annotations"]["example.org/mesh"], "off");
    let containers = spec["containers"].as_array().unwrap();
    let own = containers.iter().find(|container| container["name"] == "step").unwrap();
    assert_eq!(
        (&own["resources"]["requests"]["cpu"], &own["resources"]["limits"]["memory"]),
        (&json!("20m"), &json!("100Mi"))
    );
    let exec = |command: &str| cluster.kubectl(&format!("-n {} exec {name} -c step -- {command}", namespace.name));
    let variables = exec("printenv LEVEL SETTINGS_level POD");
    assert_eq!(variables.split_whitespace().collect::<Vec<_>>(), ["high", "high", name.as_str()]);
    assert_eq!(exec("cat /settings/level").trim(), "high");
    let disk = exec("df -k /dev/shm");
    assert_eq!(disk.lines().last().unwrap().split_whitespace().nth(1), Some("131072"), "{disk}");
    assert_eq!(cluster.get(&namespace.name, "job", &job)["metadata"]["labels"]["example.org/queue"], "ml");
    cluster.end_step(&namespace.name, &name, "end");
    assert_succeeded(&cluster.wait_for_run(&namespace.name, "work-c1", 180));
}

#[test]
fn a_step_that_fails_is_tried_again_as_often_as_it_may() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "usage-retries");
    namespace.apply(&pipeline(ENDS_WHEN_TOLD, "      retry: {limit: 1}\n      outputs: [{name: x, type: Any}]"));
    let has_job = |run: &Value| step(run, "work")["job"].is_string();
    let run = cluster.wait(&namespace.name, "mlpipelinerun", "work-c1", 120, has_job);
    let job = step(&run, "work")["job"].as_str().unwrap().to_owned();
    let first = cluster.wait_for_pod(&namespace.name, &job, &[]);
    cluster.end_step(&namespace.name, &first, "fail");
    let second = cluster.wait_for_pod(&namespace.name, &job, &[&first]);
    cluster.end_step(&namespace.name, &second, "end");
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 180);
    assert_succeeded(&run);
    // The Job's own retry: no other Job, no other attempt.
    assert_eq!((&step(&run, "work")["attempt"], &step(&run, "work")["job"]), (&json!(1), &json!(job)));
    assert_eq!(cluster.get(&namespace.name, "job", &job)["status"]["failed"], 1);
}

/// A pipeline whose one step publishes a model of its own.
fn publishing() -> String {
    pipeline(
        "import os\nopen(os.environ['OUTPUT_MODEL'] + '/weights', 'w').write(os.environ['PARAM_SIZE'])",
        "      outputs: [{name: model, type: Model}]
  parameters: [{name: size, type: Integer, default: \"1\"}]
  historyLimits: {succeeded: 1}
  publishes: [{model: toy, artifact: {step: work, output: model}}]",
    )
}

#[test]
fn a_run_by_hand_is_an_experiment_and_is_not_followed() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "usage-experiment");
    namespace.apply(&publishing());
    assert_succeeded(&cluster.wait_for_run(&namespace.name, "work-c1", 180));
    namespace.apply(&format!(
        r"
apiVersion: seatrial.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: toy}}
spec:
  model: toy
  follow: Newest
  server: {{image: {}, command: [python, -m, http.server, '8080', --directory, /seatrial/model], port: 8080}}",
        image("mortgage:1.0")
    ));
    let serves = |version: &'static str| {
        move |deployment: &Value| {
            deployment["status"]["servedVersion"] == version && condition(deployment, "Ready")["status"] == "True"
        }
    };
    cluster.wait(&namespace.name, "modeldeployment", "toy", 240, serves("toy-v1"));
    namespace.apply(
        "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipelineRun\nmetadata: {name: by-hand}\nspec: {pipeline: work, parameters: [{name: size, value: \"2\"}]}",
    );
    assert_succeeded(&cluster.wait_for_run(&namespace.name, "by-hand", 180));
    let version = cluster.wait(&namespace.name, "modelversion", "toy-v2", 60, |version| !version.is_null());
    assert_eq!(
        (&version["spec"]["purpose"], &version["spec"]["lineage"]["run"]),
        (&json!("Experiment"), &json!("by-hand"))
    );
    // A release after it: once that is served, the experiment has had its chance.
    namespace.apply(&publishing().replace("default: \"1\"", "default: \"3\""));
    assert_succeeded(&cluster.wait_for_run(&namespace.name, "work-c2", 180));
    cluster.wait(&namespace.name, "modeldeployment", "toy", 240, serves("toy-v3"));
    assert!(cluster.list(&namespace.name, "deployments", "seatrial.dev/version=toy-v3").len() == 1);
    assert!(cluster.list(&namespace.name, "deployments", "seatrial.dev/version=toy-v2").is_empty());

    // Of ended runs that triggers started one is kept; runs by hand are people's. Versions stay.
    wait_for("the older run is swept", 120, || {
        let runs = cluster.list(&namespace.name, "mlpipelineruns", "");
        let mut names: Vec<_> = runs.iter().map(|run| run["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        (names == ["by-hand", "work-c2"]).then_some(())
    });
    assert_eq!(cluster.list(&namespace.name, "modelversions", "").len(), 3);
}

/// Passes bytes on from a plain port to the store's, which speaks TLS: an S3 service as any other, reached by keys.
const GATE: &str = r#"
import os, socket, ssl, threading
context = ssl.create_default_context(cadata=os.environ["AUTHORITY"])
def pump(source, target):
    try:
        while data := source.recv(65536): target.sendall(data)
    except OSError: pass
    for end in (source, target):
        try: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def serve(client):
    store = context.wrap_socket(socket.create_connection((os.environ["STORE"], 9000)), server_hostname=os.environ["STORE"])
    threading.Thread(target=pump, args=(client, store), daemon=True).start()
    pump(store, client)
listener = socket.create_server(("", 8080), backlog=64)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

/// Asks the store for keys, by the pod's token.
const KEYS: &str = r#"
import json, os, ssl, urllib.parse, urllib.request, xml.etree.ElementTree as xml
token = open("/token/token").read()
query = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": "any", "RoleSessionName": "e2e", "WebIdentityToken": token}
request = urllib.request.Request(f"https://{os.environ['STORE']}:9000/?" + urllib.parse.urlencode(query), method="POST")
answer = urllib.request.urlopen(request, context=ssl.create_default_context(cadata=os.environ["AUTHORITY"])).read()
found = {element.tag.split("}")[1]: element.text for element in xml.fromstring(answer).iter()}
print(json.dumps({"AWS_ACCESS_KEY_ID": found["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"], "AWS_SESSION_TOKEN": found["SessionToken"]}))
"#;

/// A pod and Service, `gate`, through which the namespace's bucket is reached without a token.
fn gate(cluster: &Cluster) -> Value {
    let authority = cluster.get("seatrial-system", "configmap", "seatrial-store-authority");
    let authority = authority["data"]["ca.crt"].as_str().expect("the store publishes its authority");
    let env = [("AUTHORITY", authority), ("STORE", "seatrial-store.seatrial-system.svc")];
    python_server("gate", GATE, &env, Some("seatrial-store"))
}

#[test]
fn a_store_with_keys_from_a_secret_holds_artifacts_and_opens_nothing_else() {
    let cluster = Cluster::prepared();
    let (owner, other) = (Namespace::new(&cluster, "usage-keys"), Namespace::new(&cluster, "usage-keys-other"));
    let gate = gate(&cluster);
    owner.apply(&gate.to_string());
    cluster.wait(&owner.name, "pod", "gate", 180, |pod| condition(pod, "Ready")["status"] == "True");
    let keys = wait_for("the store gives keys", 60, || {
        cluster.exec(&owner.name, "gate", &["python", "-c", KEYS]).map_err(|error| eprintln!("{error}")).ok()
    });
    let keys: Value = serde_json::from_str(&keys).unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys});
    owner.apply(&secret.to_string());
    let store = |name: &str, prefix: &str, namespace: &str| {
        format!(
            "apiVersion: seatrial.dev/v1alpha1\nkind: Store\nmetadata: {{name: {name}}}\nspec: {{prefix: \"{prefix}\", endpoint: \"http://gate.{namespace}.svc\", credentials: {{secretName: keys}}}}\n---\n"
        )
    };
    let image = image("mortgage:1.0");
    let steps = format!(
        "      outputs: [{{name: x, type: Any}}]\n    - {{name: use, image: {image}, command: [sh, -c, 'grep 42 \"$INPUT_X/x\"'], inputs: [{{name: x, from: {{step: work, output: x}}}}]}}"
    );
    let script = "import os\nopen(os.environ['OUTPUT_X'] + '/x', 'w').write('42')";
    owner.apply(&(store("default", &format!("s3://{}/mine/", owner.name), &owner.name) + &pipeline(script, &steps)));
    let run = cluster.wait_for_run(&owner.name, "work-c1", 240);
    assert_succeeded(&run);
    let output = step(&run, "work")["outputs"][0].clone();
    assert!(output["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{output:#}");
    // The keys come from the Secret, and the agent's containers alone have them.
    let job = cluster.get(&owner.name, "job", step(&run, "work")["job"].as_str().unwrap());
    let pod = &job["spec"]["template"]["spec"];
    assert!(!pod["volumes"].to_string().contains("serviceAccountToken"), "{pod:#}");
    for container in pod["containers"].as_array().unwrap().iter().chain(pod["initContainers"].as_array().unwrap()) {
        let has_keys = container["volumeMounts"].to_string().contains("/var/run/secrets/seatrial/keys/");
        assert!(!(has_keys && container["name"] == "step"), "{container:#}");
        assert!(has_keys || container["name"] != "seatrial-publish", "{container:#}");
    }
    // The same keys for another namespace's bucket, which a Store can name but not open.
    let input = format!("      inputs: [{{name: theirs, uri: \"s3://{}/secret/\"}}]", other.name);
    owner.apply(&(store("theirs", &format!("s3://{}/", other.name), &owner.name) + &pipeline("pass", &input)));
    let run = cluster.wait_for_run(&owner.name, "work-c2", 240);
    let message = condition(&run, "Succeeded")["message"].as_str().unwrap().to_owned();
    println!("the keys of one namespace and the bucket of another: {message}");
    assert_eq!(condition(&run, "Succeeded")["status"], "False", "{run:#}");
    assert!(message.contains("may not be read"), "{message}");
    assert!(!serde_json::to_string(&run).unwrap().contains(keys["AWS_SECRET_ACCESS_KEY"].as_str().unwrap()));
}

#[test]
fn people_read_what_a_run_printed_and_made_after_its_pods_are_gone() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "usage-reading");
    let made = "import os\nopen(os.environ['OUTPUT_X'] + '/x', 'w').write('42')\nprint('it is made')";
    let fails = "      outputs: [{name: x, type: Any}]\n    - {name: fail, image: IMAGE, command: [sh, -c, 'echo no such column; exit 3'], inputs: [{name: x, from: {step: work, output: x}}], outputs: [{name: rest, type: Any}]}";
    namespace.apply(&pipeline(made, &fails.replace("IMAGE", &image("mortgage:1.0"))));
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 240);
    assert_eq!(condition(&run, "Succeeded")["status"], "False", "{run:#}");
    cluster.kubectl(&format!("-n {} delete pods -l seatrial.dev/component=step --wait=true", namespace.name));
    let ask = |arguments: &[&str]| cluster.plugin(&namespace.name, arguments);

    let (done, text) = ask(&["logs", "work-c1/fail"]);
    assert!(done && text.contains("no such column"), "{text}");
    let (done, text) = ask(&["logs", "work-c1"]);
    assert!(done && text.contains("it is made") && text.contains("no such column"), "{text}");
    let (done, text) = ask(&["logs", "work-c1/fail", "--attempt", "7"]);
    assert!(!done && text.contains("there is no log of"), "{text}");
    let (done, text) = ask(&["artifact", "ls", "work-c1"]);
    let digest = step(&run, "work")["outputs"][0]["digest"].as_str().unwrap().to_owned();
    assert!(done && text.contains(&format!("work-c1/work/x  Any  2 bytes  {digest}")), "{text}");
    let (done, text) = ask(&["artifact", "ls", "work-c1/work/x"]);
    assert!(done && text.trim_end().ends_with("  x"), "{text}");
    let folder = std::env::temp_dir().join(&namespace.name);
    let _ = std::fs::remove_dir_all(&folder);
    let into = folder.to_str().unwrap();
    let (done, text) = ask(&["artifact", "get", "work-c1/work/x", "--into", into]);
    assert!(done, "{text}");
    assert_eq!(std::fs::read_to_string(folder.join("x")).unwrap(), "42");
    let (done, text) = ask(&["artifact", "get", "work-c1/work/x", "--into", into]);
    assert!(!done && text.contains("--overwrite"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
    wait_for("the reader pods are gone", 60, || {
        cluster.list(&namespace.name, "pods", "seatrial.dev/component=reader").is_empty().then_some(())
    });
}
