//! The operator in simulations.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use seatrial_simulation::faults::Plan;
use seatrial_simulation::scenario::{self, Scenario};
use seatrial_simulation::simulation::{Depth, Outcome, simulate};

fn played(scenario: &Scenario, plan: &Plan, depth: Depth) -> Outcome {
    let outcome = simulate(scenario, plan, depth).unwrap();
    assert!(outcome.violations.is_empty(), "{}, {plan:?}: {:#?}\n{}", scenario.name, outcome.violations, outcome.trace);
    outcome
}

#[test]
fn every_scenario_comes_to_its_end_and_then_an_hour_passes_without_a_write() {
    for scenario in scenario::all() {
        let outcome = played(&scenario, &Plan::default(), Depth::QuietHour);
        println!("{}: {} writes, {:?}", scenario.name, outcome.writes, outcome.took);
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    let scenarios = scenario::all();
    let plan = Plan { seed: 7, ..Plan::default() };
    let trace = || simulate(&scenarios[1], &plan, Depth::End).unwrap().trace;
    let (first, second) = (trace(), trace());
    let differs = first.lines().zip(second.lines()).find(|(first, second)| first != second);
    assert!(first == second, "{differs:#?}");
}
