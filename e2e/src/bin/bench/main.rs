//! How many runs a minute Seatrial makes, beside what the cluster can do without it.
//!
//! ```text
//! bench [--sizes 200,500,1000] [--rounds 5] [--by-hand 100]
//! bench --largest
//! ```
//! On a control plane of its own, with a scheduler, and with kwok as the life of pods. In each round, in turn: bare Jobs
//! of one container, Jobs with Seatrial's own pods, and Seatrial; each "run" is two steps in sequence. The result is a
//! table in Markdown, medians of the rounds, on standard output. `make bench` runs it optimised. With `--largest`, the
//! largest pipeline that the API takes is run instead.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that cannot go on ends")]

mod largest;
mod load;
mod machine;
mod report;

use std::time::Duration;

use anyhow::{Context, bail};
use seatrial_e2e::{ControlPlane, Operator, client, wait_until};

use load::{Load, Made};
use machine::{Cost, Machine, Said};
use report::Report;

/// Nobody pulls the image, and nobody reaches the store: kwok says that all went well.
const PLATFORM: &str = "agentImage: registry.local/seatrial/agent:bench
agentResources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 512Mi}}
defaultStore: {endpoint: 'https://seatrial-store.seatrial-system.svc:9000', audience: seatrial-store}
readablePrefixes: ['http://data/']
";

/// Further flags of the controller manager: with its defaults, 5 Jobs at a time and 20 requests a second, it would be
/// the controller manager that is measured.
const CONTROLLER_MANAGER_FLAGS: &str =
    "--concurrent-job-syncs=50 --concurrent-gc-syncs=50 --kube-api-qps=2000 --kube-api-burst=4000";

/// What was asked for.
struct Arguments {
    sizes: Vec<usize>,
    rounds: usize,
    by_hand: usize,
    largest: bool,
}

impl Arguments {
    fn parse() -> anyhow::Result<Self> {
        let mut own = Self { sizes: vec![200, 500, 1000], rounds: 5, by_hand: 100, largest: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--largest" {
                own.largest = true;
                continue;
            }
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--sizes" => own.sizes = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--rounds" => own.rounds = value.parse()?,
                "--by-hand" => own.by_hand = value.parse()?,
                _ => {
                    bail!("unknown argument {name}; usage: bench [--sizes N,N] [--rounds N] [--by-hand N] [--largest]")
                }
            }
        }
        Ok(own)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse()?;
    let plane =
        ControlPlane::start_with("bench", &[("SEATRIAL_CONTROLLER_MANAGER_FLAGS", CONTROLLER_MANAGER_FLAGS)]).await?;
    let said = if arguments.largest { largest::said() } else { Said::two_steps() };
    let machine = Machine::start(&plane.kubeconfig, &said).await?;
    let client = client(&plane.kubeconfig).await?;
    let mut operator = start(&plane).await?;
    if arguments.largest {
        load::make_namespace(&client).await?;
        let before = Cost::measure(&machine, &operator)?;
        println!("{}", largest::run(&client).await?);
        let cost = Cost::measure(&machine, &operator)?.since(&before);
        println!("{:.1} s of the operator's CPU; writes: {}", cost.operator.as_secs_f64(), report::writes(&cost, 1));
        return Ok(());
    }
    let load = Load::prepare(client).await?;
    let mut report = Report::default();

    for size in &arguments.sizes {
        for round in 0..arguments.rounds {
            for made in [Made::BareJobs, Made::SameJobs, Made::Seatrial] {
                let before = Cost::measure(&machine, &operator)?;
                let took = load.run(made, *size).await?;
                report.add(*size, made, took, Cost::measure(&machine, &operator)?.since(&before));
                eprintln!("round {}: {size} x {made:?}: {:.0} a minute", round + 1, per_minute(*size, took));
                load.clear().await?;
            }
        }
    }
    let before = Cost::measure(&machine, &operator)?;
    let took = load.by_hand(arguments.by_hand).await?;
    report.by_hand = Some((arguments.by_hand, took, Cost::measure(&machine, &operator)?.since(&before)));
    load.clear().await?;
    report.unloaded = Some(load.unloaded(5).await?);
    load.clear().await?;

    // What an operator that comes to many kept runs needs.
    let kept = arguments.sizes.iter().copied().max().unwrap_or(0);
    let empty = restart(&plane, &mut operator).await?.1;
    load.run(Made::Seatrial, kept).await?;
    let (listed, full) = restart(&plane, &mut operator).await?;
    report.kept = Some((kept, listed, (full.saturating_sub(empty)) as f64 / kept.max(1) as f64));
    println!("{report}");
    Ok(())
}

fn per_minute(runs: usize, took: Duration) -> f64 {
    runs as f64 * 60.0 / took.as_secs_f64()
}

async fn start(plane: &ControlPlane) -> anyhow::Result<Operator> {
    let operator = Operator::start(&plane.kubeconfig, PLATFORM)?;
    until_all_is_listed(&operator).await?;
    Ok(operator)
}

async fn until_all_is_listed(operator: &Operator) -> anyhow::Result<()> {
    let what = format!("the operator has listed everything; its log is {}", operator.log.display());
    wait_until(&what, Duration::from_secs(120), async || {
        Ok(std::fs::read_to_string(&operator.log)?.contains("everything is listed"))
    })
    .await
}

/// Starts the operator anew. Returns how long it took from the lease to having listed everything, and its memory in KiB
/// half a minute later.
async fn restart(plane: &ControlPlane, operator: &mut Operator) -> anyhow::Result<(Duration, u64)> {
    operator.terminate()?;
    *operator = start(plane).await?;
    let listed = machine::time_between(&operator.log, "leading", "everything is listed")?;
    // Until the first passes over all objects are done.
    wait_until("the queue is empty", Duration::from_secs(300), async || {
        Ok(operator.get("/metrics")?.1.lines().any(|line| line == "workqueue_depth{name=\"seatrial\"} 0"))
    })
    .await?;
    Ok((listed, machine::memory_kib(operator.pid())?))
}
