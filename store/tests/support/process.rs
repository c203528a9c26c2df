//! The store's own program, with an API server that says what it needs to hear.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path as AxumPath, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Served;

/// How long the program may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What tokens are signed with, and what API servers call the key.
struct Signer {
    key: KeyPair,
    id: &'static str,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        Self { key: KeyPair::generate().unwrap(), id }
    }

    /// As an API server publishes it.
    fn published(&self) -> Value {
        // One byte, and both coordinates of the point.
        let point = self.key.public_key_raw();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": x, "y": y})
    }

    fn sign(&self, audience: &str, namespace: &str, expiry: i64) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        let subject = format!("system:serviceaccount:{namespace}:default");
        let claims = json!({"sub": subject, "aud": [audience], "exp": expiry, "nonce": rand::random::<u64>()});
        encode(&header, &claims, &EncodingKey::from_ec_der(&self.key.serialize_der())).unwrap()
    }
}

/// An API server that knows one ConfigMap, every namespace, and the keys that it signs with. It accepts what is
/// signed, as the store has to check itself, but for the tokens of the namespace `revoked`.
#[derive(Clone)]
struct ApiServer {
    address: SocketAddr,
    published: Arc<Mutex<Option<String>>>,
    signer: Arc<Signer>,
    reviews: Arc<AtomicUsize>,
    key_requests: Arc<AtomicUsize>,
    /// The UID of every namespace.
    uid: Arc<Mutex<String>>,
}

impl ApiServer {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Self {
            address: listener.local_addr().unwrap(),
            published: Arc::default(),
            signer: Arc::new(Signer::new("first")),
            reviews: Arc::default(),
            key_requests: Arc::default(),
            uid: Arc::new(Mutex::new("0".to_owned())),
        };
        // A merge patch has a type of its own, which this extractor takes, too.
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
            .route("/openid/v1/jwks", get(published_keys))
            .route("/api/v1/namespaces/{name}", get(namespace))
            .route("/api/v1/namespaces/seatrial/configmaps/authority", get(read_authority).patch(write_authority))
            .with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        api
    }

    fn config_map(&self) -> Json<Value> {
        let data = self.published.lock().unwrap().as_ref().map(|certificate| json!({"ca.crt": certificate}));
        Json(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}, "data": data}))
    }
}

async fn read_authority(State(api): State<ApiServer>) -> Json<Value> {
    api.config_map()
}

async fn write_authority(State(api): State<ApiServer>, Json(patch): Json<Value>) -> Json<Value> {
    *api.published.lock().unwrap() = patch["data"]["ca.crt"].as_str().map(str::to_owned);
    api.config_map()
}

async fn published_keys(State(api): State<ApiServer>) -> Json<Value> {
    api.key_requests.fetch_add(1, Ordering::Relaxed);
    Json(json!({"keys": [api.signer.published()]}))
}

async fn namespace(State(api): State<ApiServer>, AxumPath(name): AxumPath<String>) -> Json<Value> {
    let uid = api.uid.lock().unwrap().clone();
    Json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": uid}}))
}

async fn review(State(api): State<ApiServer>, Json(mut review): Json<Value>) -> Json<Value> {
    api.reviews.fetch_add(1, Ordering::Relaxed);
    let token = review["spec"]["token"].as_str().unwrap().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let user = claims["sub"].as_str().unwrap();
    review["status"] = if user.contains(":revoked:") {
        json!({"authenticated": false, "error": "[invalid bearer token, the account was deleted]"})
    } else {
        json!({"authenticated": true, "audiences": ["seatrial-store"], "user": {"username": user}})
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

    fn token(&self, namespace: &str) -> String {
        self.signed("seatrial-store", namespace, 3600)
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

    /// A token that the API server signed, and that expires in so many seconds.
    pub(crate) fn signed(&self, audience: &str, namespace: &str, seconds: i64) -> String {
        self.api.signer.sign(audience, namespace, jiff::Timestamp::now().as_second() + seconds)
    }

    /// A token that somebody else signed, with a key of this name.
    pub(crate) fn forged(&self, key: &'static str) -> String {
        Signer::new(key).sign("seatrial-store", "growth", jiff::Timestamp::now().as_second() + 3600)
    }

    /// How many tokens the API server was asked about.
    pub(crate) fn reviews(&self) -> usize {
        self.api.reviews.load(Ordering::Relaxed)
    }

    /// How often the API server was asked for its keys.
    pub(crate) fn key_requests(&self) -> usize {
        self.api.key_requests.load(Ordering::Relaxed)
    }

    /// Deletes all namespaces and makes them again.
    pub(crate) fn make_namespaces_again(&self, uid: &str) {
        *self.api.uid.lock().unwrap() = uid.to_owned();
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
    command.args(["--host=localhost", "--config-map=seatrial/authority", "--log-level=debug"]);
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
