//! Plays simulations: all crashes of all scenarios, or seeded mixes of everything that can go wrong.
#![allow(clippy::print_stdout, reason = "a program that people call")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use seatrial_simulation::campaign::{self, Trial};
use seatrial_simulation::mutants::Mutant;

/// Plays the operator on a Kubernetes API in memory, with everything going wrong that can.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How many seeded mixes of faults to play, after a crash before and after every write of every scenario.
    #[arg(long, env = "SEEDS", default_value_t = 2000)]
    seeds: u64,
    /// For how many seconds to play seeded mixes at most, once all crashes are played; 0 for without end.
    #[arg(long, default_value_t = 0)]
    within: u64,
    /// Plays seeded mixes alone, and no crashes.
    #[arg(long)]
    mixes_only: bool,
    /// The seed to begin with.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Plays the mix of this seed alone, and prints its trace.
    #[arg(long, env = "SEED")]
    seed: Option<u64>,
    /// Plays one trial alone, by the name that a failure bears, and prints its trace.
    #[arg(long)]
    trial: Option<String>,
    /// With this fault of the operator itself, as `NoFence`: it should fail then.
    #[arg(long)]
    mutant: Option<String>,
    /// How many to play at once; by default one on each core.
    #[arg(long)]
    threads: Option<usize>,
    /// How many failures to print before giving up.
    #[arg(long, default_value_t = 5)]
    failures: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        return one(&Trial::Mix(seed), &arguments);
    }
    if let Some(name) = &arguments.trial {
        return match Trial::parse(name) {
            Some(trial) => one(&trial, &arguments),
            None => {
                println!("there is no trial called {name}");
                ExitCode::from(2)
            }
        };
    }
    let trials = if arguments.mixes_only { vec![] } else { campaign::crashes() };
    println!("{:<18} {:>7} {:>5} {:>6}", "scenario", "crashes", "late", "others");
    for (scenario, [crashes, late, others]) in campaign::matrix(&trials) {
        println!("{scenario:<18} {crashes:>7} {late:>5} {others:>6}");
    }
    let crashes = Count::of(&trials, &arguments, 0);
    crashes.tell("crashes");
    let seeds: Vec<Trial> = (arguments.first..arguments.first + arguments.seeds).map(Trial::Mix).collect();
    let mixes = Count::of(&seeds, &arguments, arguments.within);
    mixes.tell("seeded mixes");
    if crashes.failed + mixes.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was played.
struct Count {
    played: u64,
    failed: u64,
    writes: u64,
    took: Duration,
}

impl Count {
    /// Plays these, for at most so many seconds (0 for without end), and prints what fails.
    fn of(trials: &[Trial], arguments: &Arguments, within: u64) -> Self {
        let began = Instant::now();
        let [next, played, failed, writes] = [const { AtomicU64::new(0) }; 4];
        let printing = Mutex::new(());
        let threads =
            arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
        let goes_on = || {
            failed.load(Ordering::Relaxed) < arguments.failures && (within == 0 || began.elapsed().as_secs() < within)
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while goes_on() {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(trial) = usize::try_from(number).ok().and_then(|number| trials.get(number)) else {
                            return;
                        };
                        let outcome = trial.play(false);
                        played.fetch_add(1, Ordering::Relaxed);
                        writes.fetch_add(outcome.writes, Ordering::Relaxed);
                        if !outcome.violations.is_empty() {
                            failed.fetch_add(1, Ordering::Relaxed);
                            let _one_at_a_time = printing.lock().unwrap_or_else(PoisonError::into_inner);
                            println!("FAILED {trial}: {}", outcome.violations.join("; "));
                        }
                    }
                });
            }
        });
        let [played, failed, writes] = [played, failed, writes].map(AtomicU64::into_inner);
        Self { played, failed, writes, took: began.elapsed() }
    }

    /// Says it.
    fn tell(&self, of: &str) {
        let Self { played, failed, writes, took } = self;
        println!("{played} simulations of {of} with {writes} writes in {:.0} s: {failed} failed", took.as_secs_f64());
    }
}

/// Plays one, and says all about it.
fn one(trial: &Trial, arguments: &Arguments) -> ExitCode {
    let named = |mutant: &Mutant| Some(format!("{mutant:?}")) == arguments.mutant;
    let outcome = trial.play_with(true, Mutant::ALL.into_iter().find(named));
    for violation in &outcome.violations {
        println!("FAILED {trial}: {violation}");
    }
    println!("{trial}: {} writes in {:.0} s of the simulated clock", outcome.writes, outcome.took.as_secs_f64());
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
