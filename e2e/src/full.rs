//! A cluster that runs pods, with the chart installed, as a person uses it: by `kubectl` and `helm`.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The cluster that `e2e/run` prepared.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// The API server's audit log, where the cluster is a local one.
    pub audit_log: Option<PathBuf>,
}

impl Cluster {
    /// As the environment says.
    ///
    /// # Panics
    /// Where `e2e/run` did not prepare it.
    pub fn prepared() -> Self {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let kubeconfig =
            path("SEATRIAL_TEST_KUBECONFIG").unwrap_or_else(|| panic!("these tests are started by e2e/run"));
        Self { kubeconfig, audit_log: path("SEATRIAL_TEST_AUDIT_LOG") }
    }

    /// A program that talks to this cluster and to no other.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", &self.kubeconfig).current_dir(crate::checkout());
        command
    }

    /// What `kubectl` prints; a failure is part of the answer.
    ///
    /// # Errors
    /// What it says where it fails.
    pub fn try_kubectl(&self, arguments: &str, input: &str) -> Result<String, String> {
        let mut child = self
            .command("kubectl")
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("kubectl cannot be started: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Closed early where kubectl fails early.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The same, again for a while where the API server did not answer: on a busy machine that is no failure.
    fn patient_kubectl(&self, arguments: &str, input: &str) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_kubectl(arguments, input) {
                Err(error) if is_transient(&error) && Instant::now() < deadline => {
                    eprintln!("kubectl {arguments}: {error}; again");
                    std::thread::sleep(Duration::from_millis(500));
                }
                answer => return answer,
            }
        }
    }

    /// What `kubectl` prints.
    ///
    /// # Panics
    /// Where it fails.
    pub fn kubectl(&self, arguments: &str) -> String {
        self.patient_kubectl(arguments, "").unwrap_or_else(|error| panic!("kubectl {arguments}: {error}"))
    }

    /// Applies YAML.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn apply(&self, yaml: &str) {
        let done = self.patient_kubectl("apply --server-side --force-conflicts -f -", yaml);
        done.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    }

    /// What a program prints that runs in a container: of `deployment/NAME`, or `POD -c CONTAINER`.
    ///
    /// # Errors
    /// What it says where it fails.
    pub fn exec(&self, namespace: &str, target: &str, command: &[&str]) -> Result<String, String> {
        let output = self
            .command("kubectl")
            .args(["-n", namespace, "exec"])
            .args(target.split_whitespace())
            .arg("--")
            .args(command)
            .output()
            .map_err(|error| format!("kubectl cannot be started: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// An object; null where there is none.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let text = self.patient_kubectl(&format!("-n {namespace} get {kind} {name} -o json --ignore-not-found"), "");
        text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)
    }

    /// All objects of a kind, with a label where one is given.
    pub fn list(&self, namespace: &str, kind: &str, label: &str) -> Vec<Value> {
        let selector = if label.is_empty() { String::new() } else { format!("-l {label}") };
        let text = self.kubectl(&format!("-n {namespace} get {kind} {selector} -o json"));
        let list: Value = serde_json::from_str(&text).unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until it is so.
    ///
    /// # Panics
    /// Where it is not in time; shows the object that is looked at.
    pub fn wait(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        seconds: u64,
        question: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let object = self.get(namespace, kind, name);
            if question(&object) {
                return object;
            }
            assert!(
                Instant::now() < deadline,
                "waited {seconds} s in vain for {kind} {namespace}/{name}:\n{}\n{}",
                serde_json::to_string_pretty(&object["status"]).unwrap_or_default(),
                self.try_kubectl(&format!("-n {namespace} get pods,events"), "").unwrap_or_default(),
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a pod of a Job runs that is not one of those, and returns its name.
    ///
    /// # Panics
    /// Where none does in time.
    pub fn wait_for_pod(&self, namespace: &str, job: &str, not: &[&str]) -> String {
        wait_for(&format!("a pod of the Job {job} runs"), 180, || {
            let pods = self.list(namespace, "pods", &format!("batch.kubernetes.io/job-name={job}"));
            let is_running = |pod: &&Value| {
                let statuses = pod["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
                statuses.iter().any(|status| status["name"] == "step" && status["state"]["running"].is_object())
                    && pod["metadata"]["deletionTimestamp"].is_null()
            };
            let names = pods.iter().filter(is_running).filter_map(|pod| pod["metadata"]["name"].as_str());
            names.map(str::to_owned).find(|name| !not.contains(&name.as_str()))
        })
    }

    /// What `kubectl seatrial` prints, and whether it did what it was asked.
    ///
    /// # Panics
    /// Where it was not built, or cannot be started.
    pub fn plugin(&self, namespace: &str, arguments: &[&str]) -> (bool, String) {
        let test = std::env::current_exe().unwrap_or_default();
        let program = test.ancestors().nth(2).unwrap_or(&test).join("kubectl-seatrial");
        assert!(program.exists(), "{} is missing: cargo build -p kubectl-seatrial", program.display());
        let mut command = self.command(&program.to_string_lossy());
        let done = command.args(arguments).args(["--namespace", namespace]).output();
        let done = done.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        println!("kubectl seatrial {}: {text}", arguments.join(" "));
        (done.status.success(), text)
    }

    /// Lets a step go on that waits for a file: `end` lets it succeed, `fail` lets it fail.
    ///
    /// # Panics
    /// Where its container cannot be reached.
    pub fn end_step(&self, namespace: &str, pod: &str, what: &str) {
        let told = self.exec(namespace, &format!("{pod} -c step"), &["touch", &format!("/tmp/{what}")]);
        told.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until a run has ended.
    pub fn wait_for_run(&self, namespace: &str, run: &str, seconds: u64) -> Value {
        self.wait(namespace, "mlpipelinerun", run, seconds, |run| {
            matches!(condition(run, "Succeeded")["status"].as_str(), Some("True" | "False"))
        })
    }
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// Where there is none in time.
pub fn wait_for<T>(what: &str, seconds: u64, mut question: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {seconds} s in vain: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How long an API server may not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// True where the request did not get through, or found the server too busy: not where it was refused.
fn is_transient(error: &str) -> bool {
    [
        "connection refused",
        "connection reset",
        "i/o timeout",
        "handshake timeout",
        "context deadline exceeded",
        "request timed out",
        "too many requests",
        "currently unable to handle",
        "unexpected EOF",
        "http2: client connection lost",
    ]
    .iter()
    .any(|text| error.contains(text))
}

/// What all namespaces of tests begin with, so that they are nobody else's.
const PREFIX: &str = "seatrial-e2e-";
/// The label by which `e2e/run` knows them.
const LABEL: &str = "seatrial.dev/e2e";

/// A namespace of a test, removed when dropped.
#[derive(Debug)]
pub struct Namespace {
    cluster: Cluster,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// Makes it anew, at Pod Security level `restricted`.
    ///
    /// # Panics
    /// Where somebody else has one of that name.
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        let name = format!("{PREFIX}{name}");
        let old = cluster.get("default", "namespace", &name);
        assert!(old.is_null() || old["metadata"]["labels"][LABEL] == "true", "the namespace {name} is no test's");
        cluster.kubectl(&format!("delete namespace {name} --ignore-not-found --wait --timeout=300s"));
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{LABEL}: \"true\", pod-security.kubernetes.io/enforce: restricted}}}}"
        ));
        // Pods need it, and it comes a moment later.
        cluster.wait(&name, "serviceaccount", "default", 60, |account| !account.is_null());
        Self { cluster: cluster.clone(), name }
    }

    /// Applies YAML that names no namespace.
    pub fn apply(&self, yaml: &str) {
        let done = self.try_apply(yaml);
        done.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    }

    /// The same, and what the API server says.
    ///
    /// # Errors
    /// Its refusal.
    pub fn try_apply(&self, yaml: &str) -> Result<String, String> {
        self.cluster.patient_kubectl(&format!("-n {} apply --server-side -f -", self.name), yaml)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = self.cluster.try_kubectl(&format!("delete namespace {} --wait=false", self.name), "");
        }
    }
}

/// An image of the tests, where it was brought.
pub fn image(name: &str) -> String {
    let prefix = std::env::var("IMAGE_PREFIX").unwrap_or_else(|_| "registry.local/seatrial".to_owned());
    format!("{prefix}/{name}")
}

/// A pipeline of one step, `work`, that runs a Python script. `more` are further lines: of the step, indented by six
/// spaces, and after them of the pipeline's spec, indented by two.
pub fn pipeline_of_one_step(script: &str, more: &str) -> String {
    let image = image("mortgage:1.0");
    let script: String = script.lines().map(|line| format!("          {line}\n")).collect();
    format!(
        r"
apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {{name: work}}
spec:
  image: {image}
  steps:
    - name: work
      command: [python, -c]
      args:
        - |
{script}
{more}
"
    )
}

/// A script for a step that waits until its container has the file `/tmp/NAME`, and ends with the code that the name
/// stands for. So a test says when a step ends, and how.
pub const ENDS_WHEN_TOLD: &str = "import os, sys, time
while not os.path.exists('/tmp/fail'):
    if os.path.exists('/tmp/end'):
        for name, folder in os.environ.items():
            if name.startswith('OUTPUT_'): open(folder + '/done', 'w').write('done')
        sys.exit(0)
    time.sleep(0.1)
sys.exit(1)";

/// A pod and a Service of one name: a Python script that serves at port 8080, reached at port 80, with a token for an
/// audience in `/token/token` where one is named.
pub fn python_server(name: &str, script: &str, env: &[(&str, &str)], audience: Option<&str>) -> Value {
    let variables: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let container = json!({
        "name": name, "image": image("mortgage:1.0"), "command": ["python", "-c", script], "env": variables,
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "volumeMounts": audience.map(|_| json!([{"name": "token", "mountPath": "/token"}])),
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let volume = |audience| {
        let source = json!({"serviceAccountToken": {"audience": audience, "path": "token"}});
        json!([{"name": "token", "projected": {"sources": [source]}}])
    };
    let security = json!({
        "runAsNonRoot": true, "runAsUser": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "containers": [container], "volumes": audience.map(volume), "securityContext": security,
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [pod, service]})
}

/// A condition of an object; null where it has none of the type.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

/// How a step of a run stands.
pub fn step<'a>(run: &'a Value, name: &str) -> &'a Value {
    let steps = run["status"]["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().find(|step| step["name"] == name).unwrap_or(&Value::Null)
}
