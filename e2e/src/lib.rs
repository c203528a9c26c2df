//! What tests on real clusters share: control planes that come and go, operators as processes, and waiting for
//! conditions with a deadline.

pub mod audit;
pub mod full;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config, discovery};
use serde::Deserialize;

/// The checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// An API server with etcd and controller manager, ended when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    name: String,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// Its audit log, one JSON event a line.
    pub audit_log: PathBuf,
}

impl ControlPlane {
    /// Starts one, with the CRDs installed. Names must differ between tests that run at the same time.
    ///
    /// # Errors
    /// Where it does not come up; the script says why.
    pub async fn start(name: &str) -> anyhow::Result<Self> {
        Self::start_with(name, &[]).await
    }

    /// The same, with environment variables that `e2e/cluster/up` reads.
    ///
    /// # Errors
    /// Where it does not come up; the script says why.
    pub async fn start_with(name: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let output = Command::new(checkout().join("e2e/cluster/up"))
            .args(["--control-plane", "--name", name])
            .envs(variables.iter().copied())
            .stderr(Stdio::inherit())
            .output()
            .context("e2e/cluster/up cannot be started")?;
        ensure!(output.status.success(), "e2e/cluster/up failed: {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.map(PathBuf::from).with_context(|| format!("e2e/cluster/up printed no {key}"))
        };
        let own = Self { name: name.to_owned(), kubeconfig: value("KUBECONFIG=")?, audit_log: value("AUDIT_LOG=")? };
        install_crds(&client(&own.kubeconfig).await?).await?;
        Ok(own)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let down = Command::new(checkout().join("e2e/cluster/down")).args(["--name", &self.name]).status();
        if !down.is_ok_and(|status| status.success()) {
            eprintln!("the control plane {} could not be ended", self.name);
        }
    }
}

/// A client by a kubeconfig of its own; nothing else is looked at.
///
/// # Errors
/// Where the file cannot be read or used.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Installs the CRDs of this checkout, and waits until they are served.
///
/// # Errors
/// Where one is refused.
pub async fn install_crds(client: &Client) -> anyhow::Result<()> {
    let mut kinds = 0;
    for entry in std::fs::read_dir(checkout().join("crds/manifests"))? {
        apply(client, &std::fs::read_to_string(entry?.path())?, None).await?;
        kinds += 1;
    }
    wait_until("the CRDs are served", Duration::from_secs(60), async || {
        let served = discovery::group(client, "seatrial.dev").await.ok();
        Ok(served.is_some_and(|group| group.recommended_resources().len() == kinds))
    })
    .await
}

/// Applies all documents of a YAML text by server-side apply.
///
/// # Errors
/// The API server's refusal, in its own words.
pub async fn apply(client: &Client, yaml: &str, namespace: Option<&str>) -> anyhow::Result<()> {
    // All at once: what reads YAML cannot wait where another thread goes on.
    let documents = serde_yaml::Deserializer::from_str(yaml).map(serde_json::Value::deserialize);
    let documents = documents.collect::<Result<Vec<_>, _>>()?;
    for value in documents.into_iter().filter(|value| !value.is_null()) {
        let object: DynamicObject = serde_json::from_value(value)?;
        let types = object.types.clone().context("a document without kind")?;
        let (resource, _) = discovery::pinned_kind(client, &GroupVersionKind::try_from(&types)?).await?;
        let own = object.metadata.namespace.clone();
        let api: Api<DynamicObject> = match own.as_deref().or(namespace) {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let name = object.metadata.name.clone().context("a document without name")?;
        api.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(&object)).await?;
    }
    Ok(())
}

/// Asks again and again until the answer is yes; an error of the question ends the wait.
///
/// # Errors
/// Where the deadline passes, or the question fails.
pub async fn wait_until(
    what: &str,
    limit: Duration,
    mut question: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while !question().await? {
        if Instant::now() > deadline {
            bail!("waited {limit:?} in vain: {what}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// An operator as a process of its own, killed when dropped.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    /// Where its metrics are.
    pub port: u16,
    /// What it is called in the Lease.
    pub identity: String,
    /// What it logs, one JSON event a line.
    pub log: PathBuf,
}

impl Operator {
    /// Starts the operator that was built beside the tests. Its Lease is in the namespace `default`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(kubeconfig: &Path, platform: &str) -> anyhow::Result<Self> {
        let programs = programs()?;
        let program = programs.join("seatrial-operator");
        ensure!(program.exists(), "{} is missing: cargo build -p seatrial-operator", program.display());
        let folder = programs.join("e2e");
        std::fs::create_dir_all(&folder)?;
        // Free now, and hardly taken by somebody else within the next moment.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let identity = format!("operator-{port}-{}", std::process::id());
        let config = folder.join(format!("{identity}.yaml"));
        std::fs::write(&config, platform)?;
        let log = folder.join(format!("{identity}.log"));
        let child = Command::new(program)
            .env("KUBECONFIG", kubeconfig)
            .arg("--config")
            .arg(config)
            .args(["--http-listen", &format!("127.0.0.1:{port}"), "--leader-election-namespace", "default"])
            .args(["--identity", &identity])
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("the operator cannot be started")?;
        Ok(Self { child, port, identity, log })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it answers to a GET: code and body.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        // The older version has neither chunks nor connections that stay open.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let code = head.split_whitespace().nth(1).context("no status code")?;
        Ok((code.parse()?, body.to_owned()))
    }

    /// Tells it to stop, as the kubelet does, and waits until it has ended.
    ///
    /// # Errors
    /// Where it does not end within half a minute, what a pod has.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(told.success(), "the operator cannot be told to stop");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "the operator does not stop; its log is {}", self.log.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder of what was built together with this test.
fn programs() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("the program has no folder")?;
    // Tests are one folder deeper.
    let folder = if folder.ends_with("deps") { folder.parent().context("the test has no folder")? } else { folder };
    Ok(folder.to_owned())
}
