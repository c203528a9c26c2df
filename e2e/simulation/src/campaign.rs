//! Which simulations are played: a crash before and after every write of every scenario, late writes of dead leaders, and
//! seeded mixes of everything that can go wrong.

use std::fmt;
use std::time::Duration;

use crate::faults::{Moment, Plan};
use crate::mutants::Mutant;
use crate::scenario::{self, Scenario};
use crate::simulation::{Depth, Outcome, simulate};

/// How late the write of a dead leader may land: after its successor has listed everything.
const LATE: [u64; 3] = [10, 25, 58];
/// How long everything goes wrong in a mix.
const STORM: Duration = Duration::from_secs(300);

/// One simulation.
#[derive(Clone, Debug, PartialEq)]
pub enum Trial {
    /// Nothing goes wrong.
    Calm(&'static str),
    /// The operator dies at a write.
    Crash(&'static str, u64, Moment),
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
            Self::Mix(seed) => {
                let index = usize::try_from(*seed).unwrap_or(0) % scenarios.len().max(1);
                let plan =
                    Plan { seed: *seed, storm: Some(STORM), clock_jumps: seed.is_multiple_of(5), ..Plan::default() };
                (scenarios.get(index), plan)
            }
        };
        let outcome = scenario.map(|scenario| simulate(scenario, &Plan { is_printed, mutant, ..plan }, Depth::End));
        match outcome {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Outcome::failed(error.to_string()),
            None => Outcome::failed("there is no such scenario".to_owned()),
        }
    }
}

/// A crash before and after every write of every scenario, and every write of a dead leader landing late.
pub fn crashes() -> Vec<Trial> {
    let mut trials = vec![];
    for scenario in scenario::all() {
        let calm = Trial::Calm(scenario.name);
        let writes = calm.play(false).writes;
        trials.push(calm);
        for write in 1..=writes {
            let late = LATE.map(|seconds| Moment::Late(Duration::from_secs(seconds)));
            for moment in [Moment::Before, Moment::After].into_iter().chain(late) {
                trials.push(Trial::Crash(scenario.name, write, moment));
            }
        }
    }
    trials
}
