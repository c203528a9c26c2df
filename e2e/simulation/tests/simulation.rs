//! The operator in simulations.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::time::Duration;

use seatrial_simulation::campaign::Trial;
use seatrial_simulation::faults::{Moment, Plan};
use seatrial_simulation::mutants::Mutant;
use seatrial_simulation::scenario;
use seatrial_simulation::simulation::{Depth, simulate};

#[test]
fn every_scenario_comes_to_its_end_and_then_an_hour_passes_without_a_write() {
    for scenario in scenario::all() {
        let outcome = simulate(&scenario, &Plan::default(), Depth::QuietHour).unwrap();
        assert!(outcome.violations.is_empty(), "{scenario:?}: {:#?}\n{}", outcome.violations, outcome.trace);
    }
}

/// What a process that plays nothing else prints of a trial, without its last line.
fn trace_alone(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_simulate")).args(arguments).env_remove("SEED").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_end().rsplit_once('\n').unwrap().0.to_owned()
}

#[test]
fn a_trial_leaves_the_same_trace_alone_and_after_others() {
    let crash = Trial::Crash("release", 3, Moment::After);
    assert_eq!(crash.play(false).trace, trace_alone(&["--trial", &crash.to_string()]));
    // Twenty seeds from all over, one after the other in this process, and each in a process of its own.
    for seed in (1..=20).map(|number| number * 7919 % 100_003) {
        let trace = Trial::Mix(seed).play(false).trace;
        assert_eq!(trace, trace_alone(&["--seed", &seed.to_string()]), "seed {seed}");
    }
}

#[test]
fn a_trial_is_found_by_its_name() {
    let crash = Trial::Crash("release", 3, Moment::Late(Duration::from_secs(25)));
    for trial in [Trial::Calm("change"), crash, Trial::Twice("judged", 700)] {
        assert_eq!(Trial::parse(&trial.to_string()), Some(trial));
    }
}

/// A simulation that notices each fault of the operator itself.
const NOTICED_BY: [(Mutant, &str); Mutant::ALL.len()] = [
    (Mutant::NoFence, "release:13:late25"),
    (Mutant::NoRecord, "retries"),
    (Mutant::NamesByChance, "retries"),
    (Mutant::NoOwner, "retries"),
    (Mutant::OrphanedChildren, "injected"),
    (Mutant::ServiceLeftBehind, "change"),
    (Mutant::DoneTooEarly, "retries"),
    (Mutant::RetrySpentTwice, "retries"),
    (Mutant::VersionsByChance, "release"),
    (Mutant::EndNotRecorded, "retries"),
    (Mutant::MeasuringNotRecorded, "judged"),
];

#[test]
fn every_fault_of_the_operator_itself_is_noticed() {
    for (mutant, trial) in NOTICED_BY {
        let trial = Trial::parse(trial).unwrap();
        assert!(!trial.play_with(false, Some(mutant)).violations.is_empty(), "{mutant:?} is not noticed by {trial}");
        assert!(trial.play(false).violations.is_empty(), "{trial} fails without {mutant:?}, too");
    }
}
