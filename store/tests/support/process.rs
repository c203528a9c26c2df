//! The store's own program, with an API server that says what it needs to hear.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Served;

/// How long the program may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API server that knows one ConfigMap and the tokens `token-of-<namespace>` and `token-for-others`.
struct ApiServer {
    address: SocketAddr,
    published: Arc<Mutex<Option<String>>>,
}

impl ApiServer {
    async fn start() -> Self {
        let published: Arc<Mutex<Option<String>>> = Arc::default();
        let config_map = |published: &Mutex<Option<String>>| {
            let data = published.lock().unwrap().as_ref().map(|certificate| json!({"ca.crt": certificate}));
            Json(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}, "data": data}))
        };
        let read = move |State(published): State<Arc<Mutex<Option<String>>>>| async move { config_map(&published) };
        let write = move |State(published): State<Arc<Mutex<Option<String>>>>, Json(patch): Json<Value>| async move {
            *published.lock().unwrap() = patch["data"]["ca.crt"].as_str().map(str::to_owned);
            config_map(&published)
        };
        // A merge patch has a type of its own, which this extractor takes, too.
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
            .route("/api/v1/namespaces/seatrial/configmaps/authority", get(read).patch(write))
            .with_state(published.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, published }
    }
}

async fn review(Json(mut review): Json<Value>) -> Json<Value> {
    let token = review["spec"]["token"].as_str().unwrap().to_owned();
    let status = |audience: &str, namespace: &str| {
        let user = format!("system:serviceaccount:{namespace}:default");
        json!({"authenticated": true, "audiences": [audience], "user": {"username": user}})
    };
    review["status"] = match token.strip_prefix("token-of-") {
        Some(namespace) => status("seatrial-store", namespace),
        None if token == "token-for-others" => status("https://kubernetes.default.svc", "growth"),
        None => json!({"authenticated": false, "error": "[invalid bearer token, token has expired]"}),
    };
    Json(review)
}

/// The program, killed at the latest when the test ends.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    authority: String,
    api: ApiServer,
    talk: TempDir,
}

impl Served for Process {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authority(&self) -> &str {
        &self.authority
    }
}

impl Process {
    /// Starts it on a folder, and waits until it serves. `wrapper` is what it is run by, such as a tracer.
    pub(crate) async fn start(data: &Path, wrapper: &[&str]) -> Self {
        let (api, talk) = (ApiServer::start().await, TempDir::new().unwrap());
        let child = spawn(data, &talk, &api, wrapper);
        let mut process =
            Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), authority: String::new(), api, talk };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let address = process.log().lines().find_map(served_at);
            let authority = process.api.published.lock().unwrap().clone();
            if let (Some(address), Some(authority)) = (address, authority) {
                process.address = address;
                process.authority = authority;
                return process;
            }
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "it does not serve: {ended:?} {}", process.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts one that is to end by itself, and says how, and what it said.
    pub(crate) async fn start_in_vain(data: &Path) -> (ExitStatus, String) {
        let (api, talk) = (ApiServer::start().await, TempDir::new().unwrap());
        let mut child = spawn(data, &talk, &api, &[]);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return (status, std::fs::read_to_string(log_file(&talk)).unwrap());
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("it goes on");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.talk)).unwrap_or_default()
    }

    /// Ends it, whatever it is run by.
    pub(crate) fn kill(&mut self) {
        let id = self.child.id();
        // A tracer ends with what it traces, and would let it go on if it were killed.
        let traced = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for id in traced.split_whitespace().chain([id.to_string().as_str()]) {
            let _ = Command::new("kill").args(["-9", id]).stderr(Stdio::null()).status();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(data: &Path, talk: &TempDir, api: &ApiServer, wrapper: &[&str]) -> Child {
    let config = talk.path().join("kubeconfig");
    let cluster = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", api.address)}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {}}],
        "current-context": "test",
    });
    std::fs::write(&config, cluster.to_string()).unwrap();
    let words: Vec<&str> = wrapper.iter().copied().chain([env!("CARGO_BIN_EXE_seatrial-store")]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("--data").arg(data).env("KUBECONFIG", config);
    command.args(["--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"]);
    command.args(["--host=localhost", "--config-map=seatrial/authority"]);
    let log = File::create(log_file(talk)).unwrap();
    command.stderr(log).spawn().unwrap_or_else(|error| panic!("{} cannot be started: {error}", words[0]))
}

fn log_file(talk: &TempDir) -> PathBuf {
    talk.path().join("log")
}

/// Where it serves, of a line of its log that says so.
fn served_at(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["listen"].as_str().filter(|_| line["message"] == "the store serves")?.parse().ok()
}
