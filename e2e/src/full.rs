//! A cluster that runs pods, with the chart installed, as a person uses it: by `kubectl` and `helm`.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

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

    /// What `kubectl` prints.
    ///
    /// # Panics
    /// Where it fails.
    pub fn kubectl(&self, arguments: &str) -> String {
        self.try_kubectl(arguments, "").unwrap_or_else(|error| panic!("kubectl {arguments}: {error}"))
    }

    /// Applies YAML.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn apply(&self, yaml: &str) {
        let done = self.try_kubectl("apply --server-side --force-conflicts -f -", yaml);
        done.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    }

    /// An object; null where there is none.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let text = self.try_kubectl(&format!("-n {namespace} get {kind} {name} -o json --ignore-not-found"), "");
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

    /// Waits until a run has ended.
    pub fn wait_for_run(&self, namespace: &str, run: &str, seconds: u64) -> Value {
        self.wait(namespace, "mlpipelinerun", run, seconds, |run| {
            matches!(condition(run, "Succeeded")["status"].as_str(), Some("True" | "False"))
        })
    }
}

/// A namespace of a test, removed when dropped.
#[derive(Debug)]
pub struct Namespace {
    cluster: Cluster,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// Makes it anew, at Pod Security level `restricted`.
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        cluster.kubectl(&format!("delete namespace {name} --ignore-not-found --wait --timeout=120s"));
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}"
        ));
        Self { cluster: cluster.clone(), name: name.to_owned() }
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
        self.cluster.try_kubectl(&format!("-n {} apply --server-side -f -", self.name), yaml)
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
