//! The operator in simulations.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

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

#[test]
fn the_same_seed_leaves_the_same_trace() {
    let trace = |trial: &Trial| trial.play(false).trace;
    let calm = Trial::Calm("change");
    assert_eq!(trace(&calm), trace(&calm));
    let crash = Trial::Crash("release", 3, Moment::After);
    assert_eq!(trace(&crash), trace(&crash));
    for mix in (1..=3).map(Trial::Mix) {
        assert_eq!(trace(&mix), trace(&mix), "{mix}");
    }
}

#[test]
fn a_trial_is_found_by_its_name() {
    for trial in [Trial::Calm("change"), Trial::Crash("release", 3, Moment::Late(Duration::from_secs(25)))] {
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
];

#[test]
fn every_fault_of_the_operator_itself_is_noticed() {
    for (mutant, trial) in NOTICED_BY {
        let trial = Trial::parse(trial).unwrap();
        assert!(!trial.play_with(false, Some(mutant)).violations.is_empty(), "{mutant:?} is not noticed by {trial}");
        assert!(trial.play(false).violations.is_empty(), "{trial} fails without {mutant:?}, too");
    }
}
