//! The agent as a pod runs it: its real program, a volume, a token, and a store that it reaches by TLS.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use seatrial_core::contract::{
    AttemptKey, Authentication, Authorities, CONFIG_VARIABLE, Digest, ExitCode, InputConfig, InputSource, LOG_SECONDS,
    Message, OutputConfig, PodConfig, ReadConfig, Reading, StepConfig, StoreConfig, VERSION, paths,
};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use serde::Serialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A pod's volume and token.
pub(crate) struct Pod {
    folder: TempDir,
    namespace: String,
    root: PathBuf,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
}

/// How a container ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: ExitCode,
    pub(crate) message: Message,
}

impl End {
    /// What it says of its failure.
    pub(crate) fn text(&self) -> String {
        self.message.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default()
    }
}

impl Pod {
    pub(crate) fn new(namespace: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("volume");
        fs::create_dir(&root).unwrap();
        Self::with_volume(namespace, folder, root)
    }

    /// With a volume that is somewhere else.
    pub(crate) fn with_volume(namespace: &str, folder: TempDir, root: PathBuf) -> Self {
        fs::write(folder.path().join("token"), format!("token-of-{namespace}")).unwrap();
        fs::write(folder.path().join("exec"), "a program").unwrap();
        fs::create_dir(folder.path().join("private")).unwrap();
        Self { folder, namespace: namespace.to_owned(), root, variables: vec![], arguments: vec![] }
    }

    /// With an environment variable in the agent's containers.
    pub(crate) fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// With an argument of the agent's program.
    pub(crate) fn with_argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Where a path of the contract is in this test.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.strip_prefix("/seatrial/").unwrap())
    }

    /// Lets the user's command have ended, with files in the folder of its output.
    pub(crate) fn command_ended(&self, code: i32) {
        fs::create_dir_all(self.path(paths::STATE)).unwrap();
        fs::set_permissions(self.path(paths::STATE), fs::Permissions::from_mode(0o1777)).unwrap();
        let exit = exit_record(code);
        for (file, content) in [(paths::LOCK, ""), (paths::EXIT, exit.as_str()), (paths::STARTED, "")] {
            fs::write(self.path(file), content).unwrap();
        }
    }

    /// Lets a command run, until what is returned is dropped.
    pub(crate) fn command_runs(&self) -> Flock<File> {
        self.command_ended(0);
        let lock = File::options().write(true).open(self.path(paths::LOCK)).unwrap();
        Flock::lock(lock, FlockArg::LockExclusive).unwrap()
    }

    /// Lets every user get to the volume, and write to its root.
    pub(crate) fn open_to_all(&self) {
        for (folder, mode) in [(self.folder.path(), 0o755), (self.root.as_path(), 0o777)] {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    pub(crate) fn write_output(&self, output: &str, file: &str, content: &[u8]) {
        let path = self.path(paths::OUTPUTS).join(output).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The embedded store, by the pod's token.
    pub(crate) fn store(&self, store: &LocalStore, prefix: &str) -> StoreConfig {
        StoreConfig {
            name: None,
            prefix: prefix.to_owned(),
            endpoint: Some(store.endpoint()),
            region: None,
            authentication: Authentication::WebIdentity {
                token_file: self.folder.path().join("token").display().to_string(),
                sts_endpoint: store.endpoint(),
                role: "arn:aws:iam::0:role/seatrial".into(),
            },
            authorities: Authorities::Only(self.trust(store)),
            redirect_hosts: vec![],
        }
    }

    /// Lets the pod trust a store's authority, by a file as the kubelet mounts it. Returns the file.
    pub(crate) fn trust(&self, store: &LocalStore) -> String {
        let file = self.folder.path().join("ca.crt");
        let next = self.folder.path().join("ca.next");
        fs::write(&next, &store.certificate_authority).unwrap();
        fs::rename(next, &file).unwrap();
        file.display().to_string()
    }

    pub(crate) fn own_store(&self, store: &LocalStore) -> StoreConfig {
        self.store(store, &format!("s3://{}/", self.namespace))
    }

    pub(crate) fn start(&self, task: &str, config: &impl Serialize) -> Child {
        Command::new(env!("CARGO_BIN_EXE_seatrial-agent"))
            .arg("--root")
            .arg(&self.root)
            .arg("--private")
            .arg(self.private())
            .arg("--termination-log")
            .arg(self.folder.path().join("message"))
            .arg("--exec")
            .arg(self.folder.path().join("exec"))
            .args(&self.arguments)
            .arg(task)
            .env(CONFIG_VARIABLE, serde_json::to_string(config).unwrap())
            .env(paths::POD_UID_VARIABLE, self.folder.path().file_name().unwrap())
            .envs(self.variables.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    pub(crate) async fn end(&self, mut child: Child) -> End {
        let status = child.wait().await.unwrap();
        let code = status.code().unwrap_or_else(|| panic!("the agent was killed: {status}"));
        let code = ExitCode::from_number(code).unwrap_or_else(|| panic!("{code} is in no table"));
        let message = fs::read_to_string(self.folder.path().join("message")).unwrap();
        End { code, message: Message::parse(&message).unwrap() }
    }

    /// How it ended, and what it said, in whatever words.
    pub(crate) async fn end_with_text(&self, mut child: Child) -> (ExitCode, String) {
        let status = child.wait().await.unwrap();
        let code = status.code().and_then(ExitCode::from_number);
        let text = fs::read_to_string(self.folder.path().join("message")).unwrap();
        (code.unwrap_or_else(|| panic!("{status} is in no table")), text)
    }

    /// The volume that the agent's containers share among themselves.
    pub(crate) fn private(&self) -> PathBuf {
        self.folder.path().join("private")
    }

    /// Where its token is.
    pub(crate) fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Where the keys of a store are mounted.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Lets `fetch` have left what `publish` needs.
    pub(crate) fn start_publish(&self, config: &PodConfig) -> Child {
        fs::write(self.private().join("config.json"), serde_json::to_vec(config).unwrap()).unwrap();
        let fetched = self.private().join("fetched.json");
        if !fetched.exists() {
            fs::write(fetched, "[]").unwrap();
        }
        self.start("publish", &())
    }

    pub(crate) async fn fetch(&self, config: &PodConfig) -> End {
        self.end(self.start("fetch", config)).await
    }

    pub(crate) async fn publish(&self, config: &PodConfig) -> End {
        self.end(self.start_publish(config)).await
    }

    /// Why the store cannot be used, as `publish` shows it.
    pub(crate) fn store_unavailable(&self) -> String {
        fs::read_to_string(self.private().join("store-away")).unwrap_or_default()
    }

    /// The code of the readiness probe.
    pub(crate) async fn probe(&self) -> i32 {
        self.start("probe", &()).wait().await.unwrap().code().unwrap()
    }
}

/// The attempt of the tests' configs.
pub(crate) fn key() -> AttemptKey {
    AttemptKey { run_uid: "run".into(), step: "train".into(), attempt: 1, index: 0 }
}

/// Asserts that the store has nothing but how pods ended.
pub(crate) fn assert_nothing_made(data: &TempDir) {
    for folder in ["dobjects", "dartifacts", "drecords"] {
        assert!(!data.path().join("objects/growth.0/dseatrial").join(folder).exists(), "{folder}");
    }
}

/// Runs the program of a reader pod. Returns its exit code and what it sent.
pub(crate) async fn read(store: &StoreConfig, what: Reading) -> (i32, Vec<u8>) {
    let config = ReadConfig { version: VERSION, store: store.clone(), what };
    let done = Command::new(env!("CARGO_BIN_EXE_seatrial-agent"))
        .arg("read")
        .env(CONFIG_VARIABLE, serde_json::to_string(&config).unwrap())
        .stderr(Stdio::null())
        .output()
        .await
        .unwrap();
    (done.status.code().unwrap(), done.stdout)
}

pub(crate) fn fetch_config(stores: Vec<StoreConfig>, inputs: Vec<InputConfig>) -> PodConfig {
    let step = StepConfig {
        run_uid: "run".into(),
        name: "train".into(),
        attempt: 1,
        image: "churn:1".into(),
        outputs: vec![],
        store: None,
        outage_seconds: 60,
        log_seconds: LOG_SECONDS,
    };
    PodConfig { version: VERSION, stores, inputs, known: vec![], step: Some(step), outage_seconds: 0 }
}

pub(crate) fn by_uri(name: &str, store: &str, uri: &str) -> InputConfig {
    let source = InputSource::Uri { store: store.into(), uri: uri.into() };
    InputConfig { name: name.into(), folder: format!("{}/{name}", paths::INPUTS), source }
}

pub(crate) fn artifact(name: &str, store: &str, digest: &Digest) -> InputConfig {
    let source = InputSource::Artifact { store: store.into(), digest: digest.clone() };
    InputConfig { name: name.into(), folder: format!("{}/{name}", paths::INPUTS), source }
}

pub(crate) fn publish_config(store: StoreConfig, outputs: &[(&str, OutputType)]) -> PodConfig {
    let output = |(name, kind): &(&str, OutputType)| OutputConfig {
        name: (*name).into(),
        kind: *kind,
        folder: format!("{}/{name}", paths::OUTPUTS),
    };
    let mut config = fetch_config(vec![], vec![]);
    let step = config.step.as_mut().unwrap();
    step.store = Some(store.prefix.clone());
    step.outputs = outputs.iter().map(output).collect();
    config.stores.push(store);
    config
}

/// A small file system beneath a folder, for as long as this lives.
pub(crate) struct Disk(pub(crate) PathBuf);

impl Disk {
    pub(crate) fn new(folder: &Path, size: &str) -> Self {
        let disk = folder.join("disk");
        fs::create_dir(&disk).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&disk);
        assert!(mount.status().unwrap().success(), "this test needs root");
        Self(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// An S3 store without credentials, by its own endpoint.
pub(crate) fn anonymous(prefix: &str, endpoint: Option<String>) -> StoreConfig {
    StoreConfig {
        name: None,
        prefix: prefix.into(),
        endpoint,
        region: None,
        authentication: Authentication::Anonymous,
        authorities: Authorities::Public,
        redirect_hosts: vec![],
    }
}

/// A real store with a folder of its own.
pub(crate) async fn store() -> (TempDir, LocalStore) {
    let data = TempDir::new().unwrap();
    let store = LocalStore::start(data.path()).await.unwrap();
    (data, store)
}

/// Where the store keeps an object of the namespace `growth`.
pub(crate) fn on_disk(data: &TempDir, key: &str) -> PathBuf {
    let (folders, name) = key.rsplit_once('/').unwrap();
    let folders: PathBuf = folders.split('/').map(|folder| format!("d{folder}")).collect();
    data.path().join("objects/growth.0").join(folders).join(format!("f{name}"))
}

/// Waits for something that comes about by itself.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All files beneath a folder with their content.
pub(crate) fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut open) = (vec![], vec![folder.to_path_buf()]);
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// What `exec` leaves where the command ended by itself.
pub(crate) fn exit_record(code: i32) -> String {
    let times = r#""startedAt":"2026-11-01T00:00:00Z","finishedAt":"2026-11-01T00:00:01Z""#;
    format!(r#"{{"code":{code},"signal":null,"reason":"Exited","oomKills":0,{times}}}"#)
}
