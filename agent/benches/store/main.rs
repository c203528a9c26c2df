//! `make bench-store`: the agent's real program and s5cmd, one after the other, against servers on this machine's disk.
//! Prints a table of medians.
//!
//! Settings are environment variables: `LARGE` (MiB of the one large file), `MEDIUM` (how many files of 128 MiB),
//! `SMALL` (how many of 4 KiB), `ROUNDS`, `LATENCY` (milliseconds of the second table's link), `SETUPS` (which of `embedded`,
//! `link` and `versitygw`, joined by commas), and the programs `S5CMD` and `VERSITYGW`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot go on fails"
)]

mod cost;
mod files;
mod link;
mod server;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use seatrial_core::contract::{Digest, ExitCode, paths};
use seatrial_crds::OutputType;
use support::{End, Pod, artifact, fetch_config, publish_config};
use tempfile::TempDir;

use cost::{Cost, follow};
use files::{Load, MIB};
use server::{Kind, Server};

/// The namespace whose bucket is filled.
const NAMESPACE: &str = "growth";

/// Who transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    S5cmd,
    Agent,
}

/// Where to.
#[derive(Clone, Copy, Debug)]
struct Setup {
    server: Kind,
    latency: Option<Duration>,
}

impl Setup {
    fn name(self) -> String {
        let latency = self.latency.map(|latency| format!(", {} ms away", latency.as_millis()));
        format!("{}{}", self.server.name(), latency.unwrap_or_default())
    }
}

/// One transfer.
#[derive(Clone, Copy, Debug)]
struct Measured {
    seconds: f64,
    /// How long it took besides to hash what came, as the agent does on the way.
    hashing: f64,
    client: Cost,
    server: Cost,
}

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return server::serve();
    }
    let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = |name: &str, default: u64| {
        text(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
    };
    let room = room() / MIB;
    let loads = [
        Load { files: 1, size: number("LARGE", room.min(8192)) * MIB },
        Load { files: number("MEDIUM", (room / 128).min(64)), size: 128 * MIB },
        Load { files: number("SMALL", 100_000), size: 4096 },
    ];
    let (rounds, latency) = (number("ROUNDS", 3).max(1), Duration::from_millis(number("LATENCY", 20)));
    let setups = text("SETUPS").unwrap_or_else(|| "embedded,link,versitygw".to_owned());
    let setups: Vec<Setup> = setups
        .split(',')
        .map(|setup| match setup {
            "embedded" => Setup { server: Kind::Embedded, latency: None },
            "link" => Setup { server: Kind::Embedded, latency: Some(latency) },
            "versitygw" => Setup { server: Kind::Versity, latency: None },
            other => panic!("there is no setup {other}: name embedded, link or versitygw in SETUPS"),
        })
        .collect();
    println!(
        "| Server | Files | Way | By | MiB/s | Files/s | Of s5cmd | Client, CPU s | Client, MiB | Server, CPU s | Server, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for load in loads.into_iter().filter(|load| load.bytes() > 0) {
        let pod = Pod::new(NAMESPACE);
        pod.command_ended(0);
        load.fill(&pod.path(paths::OUTPUTS).join("x"));
        for setup in &setups {
            measure(load, *setup, rounds, &pod);
        }
    }
}

/// How many bytes one load may have, since there are three of each at times: half of the disk stays free.
fn room() -> u64 {
    let disk = statvfs(&std::env::temp_dir()).unwrap();
    disk.blocks_available() * disk.fragment_size() / 6
}

/// All of one load in one setup: every transfer has a server that is new or has just been filled.
fn measure(load: Load, setup: Setup, rounds: u64, pod: &Pod) {
    let (mut up, mut down) = (vec![], vec![]);
    for round in 0..rounds {
        // Neither always comes first.
        let clients = if round % 2 == 0 { [Client::S5cmd, Client::Agent] } else { [Client::Agent, Client::S5cmd] };
        let data = TempDir::new().unwrap();
        let mut digest = None;
        for client in clients {
            let emptied = TempDir::new().unwrap();
            let folder = if client == Client::Agent { &data } else { &emptied };
            let server = Server::start(setup.server, folder.path(), setup.latency);
            let sent = transfer(&server, || match client {
                Client::S5cmd => {
                    let from = format!("{}/", pod.path(paths::OUTPUTS).join("x").display());
                    s5cmd(&server, &[&from, &format!("s3://{NAMESPACE}/up/")])
                }
                Client::Agent => {
                    let (made, cost) = agent_up(pod, setup.server, &server);
                    digest = Some(made);
                    cost
                }
            });
            up.push((client, sent));
            if client == Client::S5cmd {
                load.must_be_in(&setup.server.objects(folder.path(), "up"), "s5cmd");
            }
        }
        let digest = digest.unwrap();
        for client in clients {
            let server = Server::start(setup.server, data.path(), setup.latency);
            let reader = Pod::new(NAMESPACE);
            let target = reader.path(paths::INPUTS).join("x");
            let mut fetched = transfer(&server, || match client {
                Client::S5cmd => {
                    fs::create_dir_all(&target).unwrap();
                    let target = format!("{}/", target.display());
                    s5cmd(&server, &[&format!("s3://{NAMESPACE}/seatrial/objects/*"), &target])
                }
                Client::Agent => agent_down(&reader, setup.server, &server, &digest),
            });
            if client == Client::Agent {
                load.must_be_in(&target, "the agent");
            } else {
                fetched.hashing = hash(&target);
            }
            down.push((client, fetched));
        }
    }
    for (way, measured) in [("up", &up), ("down", &down)] {
        for client in [Client::S5cmd, Client::Agent] {
            print(load, setup, way, client, measured);
        }
    }
    let checked = |(client, one): &(Client, Measured)| {
        (*client == Client::S5cmd).then_some((Client::S5cmd, Measured { seconds: one.seconds + one.hashing, ..*one }))
    };
    let checked: Vec<_> = down.iter().filter_map(checked).collect();
    let (plain, checked) =
        (median(&down, Client::S5cmd, |one| one.seconds), median(&checked, Client::S5cmd, |one| one.seconds));
    println!(
        "| {} | {} | down | S5cmd, then sha256sum | {:.0} | {:.0} | {:.2} | | | | |",
        setup.name(),
        load.name(),
        load.bytes() as f64 / MIB as f64 / checked,
        load.files as f64 / checked,
        plain / checked,
    );
}

/// Hashes files with as many processes as there are cores, and says how many seconds that takes.
fn hash(folder: &Path) -> f64 {
    let began = Instant::now();
    let cores = std::thread::available_parallelism().unwrap();
    let script = format!("find . -type f -print0 | xargs -0 -P {cores} -n 500 sha256sum >/dev/null");
    let status = Command::new("sh").args(["-c", &script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "sha256sum: {status}");
    began.elapsed().as_secs_f64()
}

fn median(measured: &[(Client, Measured)], client: Client, what: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = measured.iter().filter(|(by, _)| *by == client).map(|(_, one)| what(one)).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(load: Load, setup: Setup, way: &str, client: Client, measured: &[(Client, Measured)]) {
    let of = |client, what: fn(&Measured) -> f64| median(measured, client, what);
    let seconds = |client| of(client, |measured| measured.seconds);
    println!(
        "| {} | {} | {way} | {client:?} | {:.0} | {:.0} | {:.2} | {:.1} | {:.0} | {:.1} | {:.0} |",
        setup.name(),
        load.name(),
        load.bytes() as f64 / MIB as f64 / seconds(client),
        load.files as f64 / seconds(client),
        seconds(Client::S5cmd) / seconds(client),
        of(client, |measured| measured.client.cpu),
        of(client, |measured| measured.client.memory),
        of(client, |measured| measured.server.cpu),
        of(client, |measured| measured.server.memory),
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// What a transfer took, and what it cost the server.
fn transfer(server: &Server, work: impl FnOnce() -> (f64, Cost)) -> Measured {
    // What others left to be written is none of this transfer.
    nix::unistd::sync();
    let before = server.cost();
    let (seconds, client) = work();
    let mut server = server.cost();
    server.cpu -= before.cpu;
    Measured { seconds, hashing: 0.0, client, server }
}

/// Copies by s5cmd, with its own settings but for where the server is.
fn s5cmd(server: &Server, what: &[&str]) -> (f64, Cost) {
    let folder = TempDir::new().unwrap();
    let program = std::env::var("S5CMD").unwrap_or_else(|_| "s5cmd".to_owned());
    let log = folder.path().join("log");
    let mut command = Command::new(program);
    command
        // It does not take an authority by SSL_CERT_FILE. What is measured is encrypted all the same.
        .args(["--no-verify-ssl", "--endpoint-url", &server.endpoint, "--log", "error", "cp"])
        .args(what)
        .envs(server.keys().iter().cloned())
        .env("AWS_REGION", "us-east-1")
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap());
    let began = Instant::now();
    let mut process = command.spawn().unwrap();
    let cost = follow(process.id());
    let took = began.elapsed().as_secs_f64();
    let status = process.wait().unwrap();
    assert!(status.success(), "s5cmd: {status}: {}", head(&log));
    (took, cost)
}

fn head(file: &Path) -> String {
    fs::read_to_string(file).unwrap().lines().take(5).collect::<Vec<_>>().join("\n")
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

fn agent_up(pod: &Pod, kind: Kind, server: &Server) -> (Digest, (f64, Cost)) {
    let config = publish_config(server.config(kind, &pod.token()), &[("x", OutputType::Any)]);
    let (end, cost) = agent(pod, || pod.start_publish(&config));
    (end.message.outputs[0].digest.clone(), cost)
}

fn agent_down(pod: &Pod, kind: Kind, server: &Server, digest: &Digest) -> (f64, Cost) {
    let input = artifact("x", &format!("s3://{NAMESPACE}/"), digest);
    let config = fetch_config(vec![server.config(kind, &pod.token())], vec![input]);
    agent(pod, || pod.start("fetch", &config)).1
}
