//! What a control plane lacks to play pods, and what processes cost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, ensure};
use seatrial_core::contract::{Digest, Message, ReportedInput, ReportedOutput};
use seatrial_e2e::{Operator, apply, checkout, client};
use serde_json::Value;

const NODE: &str = "
apiVersion: v1
kind: Node
metadata: {name: kwok, annotations: {kwok.x-k8s.io/node: fake}, labels: {kubernetes.io/hostname: kwok}}
";

/// Scheduler and kwok, ended when dropped.
pub(crate) struct Machine {
    children: Vec<Child>,
    /// The API server's process.
    api_server: u32,
}

impl Machine {
    /// Starts them on a control plane.
    pub(crate) async fn start(kubeconfig: &Path, said: &Said) -> anyhow::Result<Self> {
        let folder = kubeconfig.parent().context("the kubeconfig has no folder")?;
        let tools = tools()?;
        let stages = folder.join("stages.yaml");
        std::fs::write(&stages, said.stages(&std::fs::read_to_string(checkout().join("e2e/bench/stages.yaml"))?))?;
        let log = |name: &str| std::fs::File::create(folder.join(format!("{name}.log")));
        let port = |offset: u16| (28_100 + offset).to_string();
        let scheduler = Command::new(tool(&tools, "kube-scheduler")?)
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--authentication-kubeconfig={}", kubeconfig.display()))
            .arg(format!("--authorization-kubeconfig={}", kubeconfig.display()))
            .args(["--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port", &port(0)])
            .args(["--kube-api-qps=2000", "--kube-api-burst=4000"])
            .stderr(log("scheduler")?)
            .spawn()?;
        let kwok = Command::new(tool(&tools, "kwok")?)
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--config={}", stages.display()))
            .args(["--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--manage-all-nodes=false"])
            .args(["--node-lease-duration-seconds=0", "--server-address", &format!("127.0.0.1:{}", port(1))])
            .stderr(log("kwok")?)
            .spawn()?;
        apply(&client(kubeconfig).await?, NODE, None).await?;
        let api_server = std::fs::read_to_string(folder.join("pids/kube-apiserver"))?.trim().parse()?;
        Ok(Self { children: vec![scheduler, kwok], api_server })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What kwok lets the agent's containers say: of a step that is not called `second`, and of one that is.
pub(crate) struct Said {
    pub(crate) fetched: [String; 2],
    pub(crate) published: [String; 2],
}

impl Said {
    /// Of two steps, the second of which takes what the first made.
    pub(crate) fn two_steps() -> Self {
        let digest = Digest::of(b"bench");
        let input = ReportedInput { name: "data".into(), digest: digest.clone(), size: 1 };
        let output = |name: &str| {
            let output = ReportedOutput { name: name.into(), digest: digest.clone(), size: 1, files: 1 };
            Message { outputs: vec![output], ..Message::new() }.to_json()
        };
        let fetched = [Message::new().to_json(), Message { inputs: vec![input], ..Message::new() }.to_json()];
        Self { fetched, published: [output("data"), output("model")] }
    }

    fn stages(&self, text: &str) -> String {
        let [first, second] = &self.fetched;
        let text = text.replace("FETCHED_FIRST", first).replace("FETCHED_SECOND", second);
        let [first, second] = &self.published;
        text.replace("PUBLISHED_FIRST", first).replace("PUBLISHED_SECOND", second)
    }
}

fn tools() -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new(checkout().join("e2e/cluster/tools")).args(["kubernetes", "kwok"]).output()?;
    ensure!(output.status.success(), "e2e/cluster/tools failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().split(':').map(PathBuf::from).collect())
}

fn tool(folders: &[PathBuf], name: &str) -> anyhow::Result<PathBuf> {
    let mut paths = folders.iter().map(|folder| folder.join(name));
    paths.find(|path| path.exists()).with_context(|| format!("{name} was not built"))
}

/// What was spent so far: CPU of operator and API server, and the operator's writes by kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) operator: Duration,
    pub(crate) api_server: Duration,
    pub(crate) writes: BTreeMap<String, u64>,
}

impl Cost {
    pub(crate) fn measure(machine: &Machine, operator: &Operator) -> anyhow::Result<Self> {
        let (_, metrics) = operator.get("/metrics")?;
        let mut writes = BTreeMap::new();
        for line in metrics.lines().filter(|line| line.starts_with("seatrial_api_writes_total{")) {
            let label = |name: &str| line.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            let (Some(verb), Some(kind), Some(count)) = (label("verb"), label("kind"), line.rsplit(' ').next()) else {
                continue;
            };
            if kind != "Lease" {
                *writes.entry(format!("{kind} {verb}")).or_default() += count.parse::<f64>()? as u64;
            }
        }
        Ok(Self { operator: cpu(operator.pid())?, api_server: cpu(machine.api_server)?, writes })
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        let spent = |kind: &String, now: &u64| now - before.writes.get(kind).copied().unwrap_or(0);
        Self {
            operator: self.operator.saturating_sub(before.operator),
            api_server: self.api_server.saturating_sub(before.api_server),
            writes: self.writes.iter().map(|(kind, now)| (kind.clone(), spent(kind, now))).collect(),
        }
    }
}

/// The CPU time of a process: user and system.
fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may contain blanks; fields 14 and 15 of proc(5), in hundredths of a second.
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The resident memory of a process, in KiB.
pub(crate) fn memory_kib(pid: u32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The time between the first lines of a log that have these messages.
pub(crate) fn time_between(log: &Path, first: &str, second: &str) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(log)?;
    let at = |message: &str| {
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line["message"] == message);
        let time = line.and_then(|line| line["timestamp"].as_str().map(str::to_owned));
        anyhow::Ok(time.with_context(|| format!("the log does not say: {message}"))?.parse::<jiff::Timestamp>()?)
    };
    Ok(at(second)?.duration_since(at(first)?).unsigned_abs())
}
