//! When a run begins, and what keeps it from that.

use std::sync::Arc;

use seatrial_crds::names::{REVISION_LABEL, TRIGGERED_AT_ANNOTATION};
use serde_json::{Value, from_value, json};

use super::fixture::*;
use super::*;

/// A run of the same pipeline: of a change where it has a number, else made by hand.
fn sibling(name: &str, change: Option<u32>, created: i64, status: Value) -> Arc<MLPipelineRun> {
    let mut run = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
        "metadata": {"name": name, "namespace": "growth", "uid": name, "creationTimestamp": at(created).to_string()},
        "spec": {"pipeline": "churn"}, "status": status,
    });
    if let Some(number) = change {
        run["metadata"]["labels"] = json!({REVISION_LABEL: number.to_string()});
        run["metadata"]["ownerReferences"] = owner_of_runs();
    }
    Arc::new(from_value(run).unwrap())
}

fn running() -> Value {
    json!({"startedAt": at(0).to_string()})
}

/// A run made by hand, younger than the others.
fn by_hand() -> Fixture {
    let mut fixture = Fixture::new(plain());
    fixture.observed.run = sibling("by-hand", None, 100, json!({}));
    fixture.observed.siblings = vec![fixture.observed.run.clone()];
    fixture
}

#[test]
fn one_run_of_a_change_at_a_time_and_only_the_newest_waits() {
    let mut fixture = Fixture::new(plain());
    fixture.observed.siblings.push(sibling("churn-c0", Some(0), -1, running()));
    fixture.settle();
    assert_eq!(
        fixture.stands(),
        (
            "Queued",
            "it waits for the run \"churn-c0\" to end: kubectl describe mlpipelinerun churn-c0 says how that stands; delete it to begin at once"
        )
    );
    assert!(fixture.jobs_created.is_empty());
    fixture.observed.siblings.push(sibling("churn-c2", Some(2), 1, json!({})));
    fixture.settle();
    assert_eq!(fixture.stands().0, "Superseded");
}

#[test]
fn a_run_by_hand_does_not_wait_for_a_change_nor_a_change_for_it() {
    let mut fixture = by_hand();
    fixture.observed.siblings.push(sibling("churn-c1", Some(1), 0, running()));
    fixture.settle();
    assert_eq!(fixture.stands().0, "Running");
    let mut fixture = Fixture::new(plain());
    for number in 0..20 {
        fixture.observed.siblings.push(sibling(&format!("hand-{number}"), None, -1, running()));
    }
    fixture.settle();
    assert_eq!(fixture.stands().0, "Running", "one place is kept for changes");
}

#[test]
fn runs_by_hand_begin_at_once_up_to_the_bound_and_one_that_waits_is_written_once() {
    let mut fixture = by_hand();
    for number in 0..8 {
        fixture.observed.siblings.push(sibling(&format!("hand-{number}"), None, 0, running()));
    }
    let mut ninth = by_hand();
    ninth.observed = fixture.observed.clone();
    ninth.settle();
    assert_eq!(ninth.stands().0, "Running");
    // An older one that has not begun takes the last place.
    for number in 8..40 {
        fixture.observed.siblings.push(sibling(&format!("hand-{number}"), None, 1, json!({})));
    }
    fixture.settle();
    assert_eq!(fixture.stands().0, "Queued");
    assert!(fixture.stands().1.contains("maxRuns (10)"), "{:?}", fixture.stands());
    // The line moves: nothing is written until it is this run's turn.
    while fixture.observed.siblings.len() > 9 {
        fixture.observed.siblings.pop();
        fixture.settle();
        let has_begun = fixture.status().started_at.is_some();
        assert_eq!(
            (has_begun, fixture.status_writes),
            (fixture.observed.siblings.len() == 9, 1 + usize::from(has_begun))
        );
    }
}

#[test]
fn a_run_whose_revision_is_gone_gives_way_to_a_newer_change() {
    let mut fixture = Fixture::new(plain());
    fixture.observed.revision = None;
    Arc::make_mut(&mut fixture.observed.run).metadata.creation_timestamp = Some(Time(at(0)));
    assert!(plan(&fixture.observed, at(4)).status.is_none(), "it comes a moment after the run");
    fixture.now = 5;
    fixture.settle();
    assert_eq!(fixture.stands().0, "RevisionNotFound");
    fixture.observed.siblings.push(sibling("churn-c2", Some(2), 1, json!({})));
    fixture.settle();
    assert_eq!(fixture.stands().0, "Superseded");
}

/// A run of a change that was created so many seconds after its trigger.
fn created_after(seconds: i64) -> Fixture {
    let mut fixture = Fixture::new(plain());
    let run = Arc::make_mut(&mut fixture.observed.run);
    run.metadata.annotations = Some([(TRIGGERED_AT_ANNOTATION.to_owned(), at(0).to_string())].into());
    run.metadata.creation_timestamp = Some(Time(at(seconds)));
    fixture
}

#[test]
fn a_run_that_was_restored_without_its_status_does_nothing() {
    let mut fixture = created_after(601);
    fixture.settle();
    assert_eq!(fixture.stands().0, "Restored");
    assert!(fixture.jobs_created.is_empty() && fixture.observed.versions.is_empty());
    assert!(plan(&fixture.observed, at(999)).is_quiet());
    // A slow operator, or a clock that is wrong by minutes, makes no copy of a run.
    for seconds in [-400, 0, 600] {
        let mut fixture = created_after(seconds);
        fixture.settle();
        assert_eq!(fixture.stands().0, "Running", "{seconds}");
    }
    // Neither does a long wait: what it waited for is in its status.
    let mut fixture = created_after(0);
    fixture.observed.siblings.push(sibling("churn-c0", Some(0), -1, running()));
    fixture.settle();
    Arc::make_mut(&mut fixture.observed.run).metadata.creation_timestamp = Some(Time(at(5000)));
    fixture.observed.siblings.pop();
    fixture.settle();
    assert_eq!(fixture.stands().0, "Running");
}
