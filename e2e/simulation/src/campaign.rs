//! Which simulations are played: a crash before and after every write of every scenario, late writes of dead leaders, two
//! leaders at once, answers that news overtakes, and seeded mixes of everything that can go wrong.

use std::fmt;
use std::time::Duration;

use crate::faults::{Moment, Plan, Second};
use crate::mutants::Mutant;
use crate::scenario::{self, Scenario};
use crate::simulation::{Depth, Outcome, simulate};

/// How late the write of a dead leader may land: after its successor has listed everything.
const LATE: [u64; 3] = [10, 25, 58];
/// How late the watches of an operator are that leads beside another, in milliseconds.
const LAGS: [u64; 4] = [2, 700, 5_000, 40_000];
/// How long it leads.
const LEADS_FOR: Duration = Duration::from_secs(150);
/// How long everything goes wrong in a mix.
const STORM: Duration = Duration::from_secs(300);

/// One simulation.
#[derive(Clone, Debug, PartialEq)]
pub enum Trial {
    /// Nothing goes wrong.
    Calm(&'static str),
    /// The operator dies at a write.
    Crash(&'static str, u64, Moment),
    /// Two operators lead at once, one of which sees everything so many milliseconds late.
    Twice(&'static str, u64),
    /// The caches are blind for long, and the first answer about a Job comes after the news of its deletion.
    Overtaken(&'static str),
    /// Everything goes wrong, by a seed, which also says in which scenario.
    Mix(u64),
}

impl fmt::Display for Trial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calm(scenario) => write!(formatter, "{scenario}"),
            Self::Crash(scenario, write, Moment::Before) => write!(formatter, "{scenario}:{write}:before"),
            Self::Crash(scenario, write, Moment::After) => write!(formatter, "{scenario}:{write}:after"),
            Self::Crash(scenario, write, Moment::Late(delay)) => {
                write!(formatter, "{scenario}:{write}:late{}", delay.as_secs())
            }
            Self::Twice(scenario, lag) => write!(formatter, "{scenario}:twice:{lag}"),
            Self::Overtaken(scenario) => write!(formatter, "{scenario}:overtaken"),
            Self::Mix(seed) => write!(formatter, "seed {seed}"),
        }
    }
}

impl Trial {
    /// The trial of a name.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let wanted = parts.next()?;
        let scenario = scenario::all().into_iter().find(|scenario| scenario.name == wanted)?.name;
        let Some(write) = parts.next() else { return Some(Self::Calm(scenario)) };
        if write == "twice" {
            return Some(Self::Twice(scenario, parts.next()?.parse().ok()?));
        }
        if write == "overtaken" {
            return Some(Self::Overtaken(scenario));
        }
        let moment = match parts.next()? {
            "before" => Moment::Before,
            "after" => Moment::After,
            late => Moment::Late(Duration::from_secs(late.strip_prefix("late")?.parse().ok()?)),
        };
        Some(Self::Crash(scenario, write.parse().ok()?, moment))
    }

    /// Plays it, and perhaps prints the trace as it goes on. A simulation that cannot even begin counts as failed.
    pub fn play(&self, is_printed: bool) -> Outcome {
        self.play_with(is_printed, None)
    }

    /// The same, with a fault of the operator itself.
    pub fn play_with(&self, is_printed: bool, mutant: Option<Mutant>) -> Outcome {
        let scenarios = scenario::all();
        let find = |name: &str| scenarios.iter().find(|scenario| scenario.name == name);
        let (scenario, plan): (Option<&Scenario>, Plan) = match self {
            Self::Calm(name) => (find(name), Plan::default()),
            Self::Crash(name, write, moment) => {
                (find(name), Plan { crash: Some((*write, *moment)), ..Plan::default() })
            }
            Self::Twice(name, lag) => {
                let second = Second { leads_for: LEADS_FOR, lag: Duration::from_millis(*lag) };
                (find(name), Plan { second: Some(second), ..Plan::default() })
            }
            Self::Overtaken(name) => (find(name), Plan { overtakes: true, ..Plan::default() }),
            Self::Mix(seed) => {
                let number = usize::try_from(*seed).unwrap_or(0);
                let lag = LAGS.get(number / 7 % LAGS.len()).map(|lag| Duration::from_millis(*lag));
                let second = lag.filter(|_| seed.is_multiple_of(7)).map(|lag| Second { leads_for: STORM, lag });
                let (storm, clock_jumps) = (Some(STORM), seed.is_multiple_of(5));
                let plan = Plan { seed: *seed, storm, clock_jumps, second, ..Plan::default() };
                (scenarios.get(number % scenarios.len().max(1)), plan)
            }
        };
        // An hour in which nothing happens takes as long as all before: a part of the mixes will do.
        let depth = if matches!(self, Self::Mix(seed) if seed.is_multiple_of(3)) { Depth::Hour } else { Depth::End };
        let outcome = scenario.map(|scenario| simulate(scenario, &Plan { is_printed, mutant, ..plan }, depth));
        match outcome {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Outcome::failed(error.to_string()),
            None => Outcome::failed("there is no such scenario".to_owned()),
        }
    }
}

/// A crash before and after every write of every scenario, every write of a dead leader landing late, two operators that lead
/// at once, and answers that news overtakes.
pub fn crashes() -> Vec<Trial> {
    let mut trials = vec![];
    for scenario in scenario::all() {
        let calm = Trial::Calm(scenario.name);
        let writes = calm.play(false).writes;
        trials.push(calm);
        trials.push(Trial::Overtaken(scenario.name));
        trials.extend(LAGS.map(|lag| Trial::Twice(scenario.name, lag)));
        for write in 1..=writes {
            let late = LATE.map(|seconds| Moment::Late(Duration::from_secs(seconds)));
            for moment in [Moment::Before, Moment::After].into_iter().chain(late) {
                trials.push(Trial::Crash(scenario.name, write, moment));
            }
        }
    }
    trials
}

/// How many of these trials there are of each scenario: crashes before and after a write, late writes, and others.
pub fn matrix(trials: &[Trial]) -> Vec<(&'static str, [usize; 3])> {
    let mut rows: Vec<(&'static str, [usize; 3])> = vec![];
    for trial in trials {
        let (name, column) = match trial {
            Trial::Crash(name, _, Moment::Late(_)) => (*name, 1),
            Trial::Crash(name, ..) => (*name, 0),
            Trial::Calm(name) | Trial::Twice(name, _) | Trial::Overtaken(name) => (*name, 2),
            Trial::Mix(_) => continue,
        };
        if rows.last().is_none_or(|row| row.0 != name) {
            rows.push((name, [0; 3]));
        }
        if let Some(count) = rows.last_mut().and_then(|row| row.1.get_mut(column)) {
            *count += 1;
        }
    }
    rows
}
