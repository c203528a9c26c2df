//! `make bench-store`: the agent's real program and s5cmd, one after the other, against an embedded store on this
//! machine's disk. Prints a table of medians.
//!
//! Settings are environment variables: `LARGE` (MiB of the one large file), `MEDIUM` (how many files of 128 MiB),
//! `SMALL` (how many of 4 KiB), `ROUNDS`, and `S5CMD`, the program.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot go on fails"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seatrial_core::contract::{Authentication, Authorities, Digest, ExitCode, StoreConfig, paths};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{End, Pod, artifact, fetch_config, publish_config};
use tempfile::TempDir;

/// The namespace whose bucket is filled.
const NAMESPACE: &str = "growth";
const MIB: u64 = 1 << 20;
/// How often a process is looked at: its peak of memory is known only as long as it runs.
const LOOK: Duration = Duration::from_millis(4);

/// Files of one size.
#[derive(Clone, Copy, Debug)]
struct Load {
    name: &'static str,
    files: u64,
    size: u64,
}

/// Who transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    S5cmd,
    Agent,
}

/// What a process took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu: f64,
    memory: f64,
}

/// One transfer.
#[derive(Clone, Copy, Debug)]
struct Measured {
    seconds: f64,
    client: Cost,
    store: Cost,
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve();
    }
    let number = |name: &str, default: u64| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty());
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
    };
    let loads = [
        Load { name: "large", files: 1, size: number("LARGE", 8192) * MIB },
        Load { name: "medium", files: number("MEDIUM", 64), size: 128 * MIB },
        Load { name: "small", files: number("SMALL", 100_000), size: 4096 },
    ];
    let rounds = number("ROUNDS", 3).max(1);
    println!(
        "| Files | Way | By | MiB/s | Files/s | Of s5cmd | Client, CPU s | Client, MiB | Store, CPU s | Store, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for load in loads.into_iter().filter(|load| load.files > 0 && load.size > 0) {
        measure(load, rounds);
    }
}

/// All of one load: its files are made once, and every transfer has a store that is new or has just been filled.
fn measure(load: Load, rounds: u64) {
    let pod = Pod::new(NAMESPACE);
    pod.command_ended(0);
    let source = pod.path(paths::OUTPUTS).join("x");
    fill(&source, load);
    let mut up: Vec<(Client, Measured)> = vec![];
    let mut down: Vec<(Client, Measured)> = vec![];
    for round in 0..rounds {
        // Neither always comes first.
        let clients = if round % 2 == 0 { [Client::S5cmd, Client::Agent] } else { [Client::Agent, Client::S5cmd] };
        let data = TempDir::new().unwrap();
        let mut digest = None;
        for client in clients {
            let emptied = TempDir::new().unwrap();
            let folder = if client == Client::Agent { &data } else { &emptied };
            let from = format!("{}/", source.display());
            let store = Store::start(folder.path());
            let (made, sent) = store.transfer(|| match client {
                Client::S5cmd => (None, s5cmd(&store, &[&from, &format!("s3://{NAMESPACE}/up/")])),
                Client::Agent => {
                    let (digest, cost) = agent_up(&pod, &store);
                    (Some(digest), cost)
                }
            });
            digest = digest.or(made);
            up.push((client, sent));
            if client == Client::S5cmd {
                let stored = folder.path().join(format!("objects/{NAMESPACE}.0/dup"));
                assert_eq!(count(&stored), (load.files, load.files * load.size), "s5cmd lost something");
            }
        }
        let digest = digest.unwrap();
        for client in clients {
            let store = Store::start(data.path());
            let reader = Pod::new(NAMESPACE);
            let target = reader.path(paths::INPUTS).join("x");
            let ((), fetched) = store.transfer(|| match client {
                Client::S5cmd => {
                    fs::create_dir_all(&target).unwrap();
                    let target = format!("{}/", target.display());
                    ((), s5cmd(&store, &[&format!("s3://{NAMESPACE}/seatrial/objects/*"), &target]))
                }
                Client::Agent => agent_down(&reader, &store, &digest),
            });
            down.push((client, fetched));
            assert_eq!(count(&target), (load.files, load.files * load.size), "{client:?} lost something");
        }
    }
    for (way, measured) in [("up", &up), ("down", &down)] {
        let seconds = |client| median(measured, client, |measured| measured.seconds);
        for client in [Client::S5cmd, Client::Agent] {
            let share = format!("{:.2}", seconds(Client::S5cmd) / seconds(client));
            let of = |what: fn(&Measured) -> f64| median(measured, client, what);
            let bytes = (load.files * load.size) as f64 / MIB as f64;
            println!(
                "| {} x {} {} | {way} | {client:?} | {:.0} | {:.0} | {share} | {:.1} | {:.0} | {:.1} | {:.0} |",
                load.files,
                if load.size >= MIB { load.size / MIB } else { load.size / 1024 },
                if load.size >= MIB { "MiB" } else { "KiB" },
                bytes / seconds(client),
                load.files as f64 / seconds(client),
                of(|measured| measured.client.cpu),
                of(|measured| measured.client.memory),
                of(|measured| measured.store.cpu),
                of(|measured| measured.store.memory),
            );
        }
    }
    eprintln!("{} files are measured", load.name);
}

fn median(measured: &[(Client, Measured)], client: Client, what: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = measured.iter().filter(|(by, _)| *by == client).map(|(_, one)| what(one)).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Writes files whose content no two share, a thousand in a folder.
fn fill(folder: &Path, load: Load) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut block = vec![0_u8; usize::try_from(load.size.min(MIB)).unwrap()];
    for file in 0..load.files {
        let within = folder.join(format!("{:03}", file / 1000));
        fs::create_dir_all(&within).unwrap();
        let mut file = File::create(within.join(format!("{file:06}.bin"))).unwrap();
        let mut left = load.size;
        while left > 0 {
            for word in block.chunks_exact_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            file.write_all(&block[..piece]).unwrap();
            left -= piece as u64;
        }
    }
}

/// How many files there are beneath a folder, and how many bytes they have.
fn count(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (more_files, more_bytes) =
            if path.is_dir() { count(&path) } else { (1, fs::metadata(path).unwrap().len()) };
        files += more_files;
        bytes += more_bytes;
    }
    (files, bytes)
}

/// The store, in a process of its own.
struct Store {
    process: Child,
    endpoint: String,
    authority: String,
}

impl Store {
    fn start(data: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .env("BENCH_DATA", data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let endpoint = lines.next().unwrap().unwrap();
        let authority = lines.take_while(|line| line.as_ref().is_ok_and(|line| line != "ready"));
        let authority = authority.map(|line| line.unwrap() + "\n").collect();
        Self { process, endpoint, authority }
    }

    /// What is transferred meanwhile, by whom, and what it cost the store.
    fn transfer<T>(&self, work: impl FnOnce() -> (T, (f64, Cost))) -> (T, Measured) {
        // What others left to be written is none of this transfer.
        nix::unistd::sync();
        let before = look(self.process.id()).unwrap();
        let (made, (seconds, client)) = work();
        let mut store = look(self.process.id()).unwrap();
        store.cpu -= before.cpu;
        (made, Measured { seconds, client, store })
    }

    /// The file with the store's authority, beside the token.
    fn trust(&self, token: &Path) -> String {
        let file = token.with_file_name("ca.crt");
        fs::write(&file, &self.authority).unwrap();
        file.display().to_string()
    }

    fn config(&self, token: &Path) -> StoreConfig {
        StoreConfig {
            name: None,
            prefix: format!("s3://{NAMESPACE}/"),
            endpoint: Some(self.endpoint.clone()),
            region: None,
            authentication: Authentication::WebIdentity {
                token_file: token.display().to_string(),
                sts_endpoint: self.endpoint.clone(),
                role: "arn:aws:iam::0:role/seatrial".into(),
            },
            authorities: Authorities::Only(self.trust(token)),
            redirect_hosts: vec![],
        }
    }

    /// Keys for a program that does not get its own.
    fn keys(&self) -> [(&'static str, String); 3] {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = reqwest::Certificate::from_pem_bundle(self.authority.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only(certificates).build().unwrap();
        let form = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::0:role/seatrial&RoleSessionName=bench&WebIdentityToken=token-of-{NAMESPACE}"
        );
        let text = runtime().block_on(async {
            let request = client.post(&self.endpoint).header("content-type", "application/x-www-form-urlencoded");
            request.body(form).send().await.unwrap().text().await.unwrap()
        });
        let of = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {text}"));
            rest.split_once('<').unwrap().0.to_owned()
        };
        [
            ("AWS_ACCESS_KEY_ID", of("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY", of("SecretAccessKey")),
            ("AWS_SESSION_TOKEN", of("SessionToken")),
        ]
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// The store's process: says where it is, and ends with its input.
fn serve() {
    let data = PathBuf::from(std::env::var("BENCH_DATA").unwrap());
    runtime().block_on(async {
        let store = LocalStore::start(&data).await.unwrap();
        println!("{}\n{}ready", store.endpoint(), store.certificate_authority);
        let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        let _ = ended.await;
        store.stop().await.unwrap();
    });
}

/// Copies by s5cmd, with its own settings but for where the store is.
fn s5cmd(store: &Store, what: &[&str]) -> (f64, Cost) {
    let folder = TempDir::new().unwrap();
    let program = std::env::var("S5CMD").unwrap_or_else(|_| "s5cmd".to_owned());
    let log = folder.path().join("log");
    let mut command = Command::new(program);
    command
        // It does not take the store's authority by SSL_CERT_FILE. What is measured is encrypted all the same.
        .args(["--no-verify-ssl", "--endpoint-url", &store.endpoint, "--log", "error", "cp"])
        .args(what)
        .envs(store.keys())
        .env("AWS_REGION", "us-east-1")
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap());
    let began = Instant::now();
    let mut process = command.spawn().unwrap();
    let cost = follow(process.id());
    let took = began.elapsed().as_secs_f64();
    let status = process.wait().unwrap();
    assert!(status.success(), "s5cmd: {status}: {}", fs::read_to_string(log).unwrap());
    (took, cost)
}

/// Runs the agent's program to its end.
fn agent(pod: &Pod, start: impl FnOnce() -> tokio::process::Child) -> (End, (f64, Cost)) {
    runtime().block_on(async {
        let began = Instant::now();
        let process = start();
        let id = process.id().unwrap();
        let cost = tokio::task::spawn_blocking(move || follow(id)).await.unwrap();
        let took = began.elapsed().as_secs_f64();
        let end = pod.end(process).await;
        assert_eq!(end.code, ExitCode::Success, "{end:?}");
        (end, (took, cost))
    })
}

fn agent_up(pod: &Pod, store: &Store) -> (Digest, (f64, Cost)) {
    let config = publish_config(store.config(&pod.token()), &[("x", OutputType::Any)]);
    let (end, cost) = agent(pod, || pod.start_publish(&config));
    (end.message.outputs[0].digest.clone(), cost)
}

fn agent_down(pod: &Pod, store: &Store, digest: &Digest) -> ((), (f64, Cost)) {
    let input = artifact("x", &format!("s3://{NAMESPACE}/"), digest);
    let config = fetch_config(vec![store.config(&pod.token())], vec![input]);
    let (_, cost) = agent(pod, || pod.start("fetch", &config));
    ((), cost)
}

/// Waits until a child has ended, without taking it from who started it, and says what it took.
fn follow(process: u32) -> Cost {
    let mut cost = Cost::default();
    while let Some(now) = look(process) {
        cost = Cost { cpu: now.cpu, memory: now.memory.max(cost.memory) };
        if has_ended(process) {
            break;
        }
        std::thread::sleep(LOOK);
    }
    cost
}

fn has_ended(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/status")).map_or(true, |text| text.contains("State:\tZ"))
}

/// The CPU time of a process so far in seconds, and the most memory that it ever had in MiB.
fn look(process: u32) -> Option<Cost> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything: the fields 14 and 15, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or_default();
    Some(Cost { cpu: (ticks(11) + ticks(12)) / 100.0, memory: kibibytes / 1024.0 })
}
