//! The table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::load::Made;
use crate::machine::Cost;
use crate::per_minute;

/// What was measured.
#[derive(Default)]
pub(crate) struct Report {
    rounds: BTreeMap<(usize, Made), Vec<(Duration, Cost)>>,
    /// Runs by hand: how many, how long they took in all, what they cost.
    pub(crate) by_hand: Option<(usize, Duration, Cost)>,
    /// How long one run takes where nothing else happens.
    pub(crate) unloaded: Option<Duration>,
    /// How many runs were kept, how long a new leader needed to list everything, and KiB of memory for each of them.
    pub(crate) kept: Option<(usize, Duration, f64)>,
}

impl Report {
    pub(crate) fn add(&mut self, size: usize, made: Made, took: Duration, cost: Cost) {
        self.rounds.entry((size, made)).or_default().push((took, cost));
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn each(cost: &Cost, runs: usize, pick: impl Fn(&Cost) -> Duration) -> f64 {
    pick(cost).as_secs_f64() * 1000.0 / runs as f64
}

/// Writes for each of so many runs, in all and by kind.
pub(crate) fn writes(cost: &Cost, runs: usize) -> String {
    let all: u64 = cost.writes.values().sum();
    let kinds = cost.writes.iter().filter(|(_, count)| **count > 0);
    let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{kind} {:.1}", *count as f64 / runs as f64)).collect();
    format!("{:.1} ({})", all as f64 / runs as f64, kinds.join(", "))
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "| At once | Made by | Runs a minute | Of the same Jobs | Operator, CPU ms a run | API server, CPU ms a run |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for ((size, made), rounds) in &self.rounds {
            let rate = |made: Made| {
                let rounds = self.rounds.get(&(*size, made)).into_iter().flatten();
                median(rounds.map(|(took, _)| per_minute(*size, *took)).collect())
            };
            let who = match made {
                Made::BareJobs => "bare Jobs",
                Made::SameJobs => "the same Jobs",
                Made::Seatrial => "Seatrial",
            };
            let cost =
                |pick: fn(&Cost) -> Duration| median(rounds.iter().map(|(_, cost)| each(cost, *size, pick)).collect());
            writeln!(
                out,
                "| {size} | {who} | {:.0} | {:.0} % | {:.1} | {:.0} |",
                rate(*made),
                rate(*made) * 100.0 / rate(Made::SameJobs),
                cost(|cost| cost.operator),
                cost(|cost| cost.api_server)
            )?;
        }
        for ((size, made), rounds) in &self.rounds {
            if let (Made::Seatrial, Some((_, cost))) = (made, rounds.last()) {
                writeln!(out, "\nWrites for each of {size} runs that a change started: {}", writes(cost, *size))?;
            }
        }
        if let Some((runs, took, cost)) = &self.by_hand {
            writeln!(
                out,
                "\n{runs} runs of one pipeline by hand: {:.0} a minute; writes for each: {}",
                per_minute(*runs, *took),
                writes(cost, *runs)
            )?;
        }
        if let Some(took) = &self.unloaded {
            writeln!(out, "\nOne run where nothing else happens, median: {:.2} s", took.as_secs_f64())?;
        }
        if let Some((runs, listed, memory)) = &self.kept {
            writeln!(
                out,
                "\n{runs} kept runs with their Jobs and pods: {:.2} s from the lease to everything listed, {memory:.0} KiB of memory for each",
                listed.as_secs_f64()
            )?;
        }
        Ok(())
    }
}
