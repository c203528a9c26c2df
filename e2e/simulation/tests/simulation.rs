//! The operator in simulations.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::time::Duration;

use seatrial_simulation::campaign::Trial;
use seatrial_simulation::faults::{Moment, Plan};
use seatrial_simulation::models::pods::Fate;
use seatrial_simulation::mutants::Mutant;
use seatrial_simulation::scenario::{self, Action, Scenario};
use seatrial_simulation::simulation::{Depth, simulate};
use serde_json::{Value, json};

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

/// The node of a pod never answers again, and its pods have six hours for their uploads. What the pod uploaded by then is
/// asked for, not made again.
#[test]
fn work_that_was_done_on_a_lost_node_is_not_done_again() {
    let step = json!({"name": "train", "command": ["train"], "outputs": [{"name": "model", "type": "Model"}]});
    let pipeline = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "metadata": {"name": "churn"},
        "spec": {"image": "churn:1", "steps": [step]},
    });
    let lasts = 7 * 3600;
    let scenario = Scenario {
        name: "finished-unseen",
        actions: vec![(0, Action::Apply(pipeline.clone())), (lasts, Action::Apply(pipeline))],
        fates: |_, before| match before {
            0 => Fate::NodeLost { gone_after: 1_000_000, finishes: true },
            _ => Fate::Fails(1),
        },
        missing: |store| {
            let mut runs = store.of_kind("MLPipelineRun");
            let ended = runs.any(|(_, run)| run["status"]["conditions"][0]["reason"] == "Succeeded");
            (!ended).then(|| "the run has not succeeded".to_owned())
        },
        once: true,
    };
    let outcome = simulate(&scenario, &Plan::default(), Depth::End).unwrap();
    assert!(outcome.violations.is_empty(), "{:#?}\n{}", outcome.violations, outcome.trace);
    assert!(outcome.trace.contains("NodeLost") || outcome.trace.contains("Recovering"), "{}", outcome.trace);
}

/// Two steps and nothing else.
fn writes_of(by_hand: usize) -> (u64, String) {
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let outputs = json!([{"name": "data", "type": "Dataset"}]);
    let steps = json!([
        {"name": "first", "command": ["prepare"], "outputs": outputs},
        {"name": "second", "command": ["train"], "inputs": [{"name": "data", "from": {"step": "first", "output": "data"}}]},
    ]);
    let pipeline = object("MLPipeline", "churn", json!({"image": "churn:1", "steps": steps}));
    let run = |number: usize| object("MLPipelineRun", &format!("by-hand-{number}"), json!({"pipeline": "churn"}));
    let by_hand = (0..by_hand).map(|number| (60, Action::Apply(run(number))));
    let scenario = Scenario {
        name: "counted",
        actions: std::iter::once((0, Action::Apply(pipeline))).chain(by_hand).collect(),
        fates: |_, _| Fate::Succeeds,
        missing: |store| {
            let mut runs = store.of_kind("MLPipelineRun").filter(|(_, run)| run["status"]["finishedAt"].is_null());
            runs.next().map(|(key, _)| format!("{key} has not ended"))
        },
        once: true,
    };
    let outcome = simulate(&scenario, &Plan::default(), Depth::End).unwrap();
    assert!(outcome.violations.is_empty(), "{:#?}\n{}", outcome.violations, outcome.trace);
    // The Jobs of ended runs are deleted after their time, which the chart may set to never.
    let deletions = outcome.trace.matches("removes Job").count();
    (outcome.writes - u64::try_from(deletions).unwrap(), outcome.trace)
}

/// 2n + 5 for a change: a revision, the run, its status at its beginning, after each step and at its end, two statuses of the
/// pipeline, and the Jobs; one more, once for all runs of a namespace, for its trust bundle. A run by hand does without the
/// first two; of many at once, those that wait are written once more.
#[test]
fn what_a_run_writes_is_counted() {
    let (by_change, trace) = writes_of(0);
    assert_eq!(by_change, 10, "{trace}");
    let (one, trace) = writes_of(1);
    assert_eq!(one - by_change, 6, "{trace}");
    let (many, trace) = writes_of(30);
    assert!(many - by_change <= 30 * 7, "{}: {trace}", many - by_change);
}

/// A simulation that notices each fault of the operator itself. `N` is each of the writes: which one matters changes with the
/// order of writes.
const NOTICED_BY: [(Mutant, &str); Mutant::ALL.len()] = [
    (Mutant::NoFence, "release:N:late25"),
    (Mutant::NoRecord, "retries"),
    (Mutant::NamesByChance, "retries"),
    (Mutant::NoOwner, "retries"),
    (Mutant::OrphanedChildren, "injected"),
    (Mutant::ServiceLeftBehind, "change"),
    (Mutant::DoneTooEarly, "retries"),
    (Mutant::RetrySpentTwice, "retries:N:before"),
    (Mutant::VersionsByChance, "release"),
    (Mutant::EndNotRecorded, "retries"),
    (Mutant::MeasuringNotRecorded, "judged"),
];

#[test]
fn every_fault_of_the_operator_itself_is_noticed() {
    for (mutant, trial) in NOTICED_BY {
        let names = (1..=if trial.contains('N') { 40 } else { 1 }).map(|write| trial.replace('N', &write.to_string()));
        let mut trials = names.map(|name| Trial::parse(&name).unwrap());
        let noticed = trials.find(|trial| !trial.play_with(false, Some(mutant)).violations.is_empty());
        let noticed = noticed.unwrap_or_else(|| panic!("{mutant:?} is not noticed by {trial}"));
        assert!(noticed.play(false).violations.is_empty(), "{noticed} fails without {mutant:?}, too");
    }
}
