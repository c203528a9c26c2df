//! Which revision a run executes, and what becomes of a run whose revision is missing or newer.

use serde_json::json;

use super::fixture::*;
use super::*;
use crate::plan::Kind;
use crate::revision;

#[test]
fn a_run_by_hand_executes_what_the_pipeline_says_by_now() {
    let mut fixture = Fixture::new(plain());
    let run = Arc::make_mut(&mut fixture.observed.run);
    run.metadata.labels = None;
    run.metadata.owner_references = None;
    run.metadata.name = Some("by-hand".into());
    // Applied together with a change of the pipeline, whose revision is not there yet.
    let mut pipeline = fixture.observed.pipeline.as_ref().unwrap().as_ref().clone();
    pipeline.spec.options.image = Some("churn:2".into());
    fixture.observed.pipeline = Some(Arc::new(pipeline.clone()));
    fixture.now = 5;
    fixture.settle();
    assert_eq!(fixture.stands().0, "RevisionNotFound");
    fixture.observed.revision = Some(Arc::new(revision::build(&pipeline, 2).into()));
    fixture.settle();
    assert_eq!((fixture.status().revision, fixture.stands().0), (Some(2), "Running"));
}

#[test]
fn a_copied_run_is_no_change() {
    let copy = sibling("churn-copy", "12", json!([]), json!({}));
    let renamed = sibling("churn-copy", "12", owner_of_runs(), json!({}));
    let own = sibling("churn-c12", "12", owner_of_runs(), json!({}));
    assert_eq!([&copy, &renamed, &own].map(|run| triggered_revision(run)), [None, None, Some(12)]);
    let mut fixture = Fixture::new(plain());
    fixture.observed.siblings.push(copy);
    fixture.settle();
    assert_ne!(fixture.stands().0, "Superseded");
}

#[test]
fn a_newer_change_waits_for_an_older_one_to_step_aside() {
    // Whoever plans the older one may not have seen the newer one yet, and be about to let it begin.
    let mut fixture = Fixture::new(plain());
    let older = sibling("churn-c0", "0", owner_of_runs(), json!({}));
    fixture.observed.siblings.push(older);
    fixture.settle();
    assert_eq!(
        fixture.stands(),
        (
            "Queued",
            "it waits for the run \"churn-c0\" to end: kubectl describe mlpipelinerun churn-c0 says how that stands; delete it to begin at once"
        )
    );
}

/// A run whose first step is at work.
fn at_work() -> Fixture {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    assert_eq!(fixture.step("prepare").state, StepState::Running);
    fixture
}

#[test]
fn a_run_under_way_whose_revision_is_gone_waits_and_ends_in_the_end() {
    let mut fixture = at_work();
    let revision = fixture.observed.revision.take();
    fixture.settle();
    assert_eq!(fixture.stands().0, "RevisionNotFound");
    // It was the cache that lagged behind.
    let mut back = fixture.observed.clone();
    back.revision = revision;
    assert_eq!(stands_in(&plan(&back, at(60))), Some("Running".to_owned()));
    // It is gone: nobody can read what the Jobs come to.
    assert_eq!(stands_in(&plan(&fixture.observed, at(3500))), None, "nothing new is to be said");
    let ended = plan(&fixture.observed, at(3601));
    assert_eq!(stands_in(&ended), Some("RevisionNotFound".to_owned()));
    assert!(ended.status.as_ref().unwrap().finished_at.is_some());
    assert!(ended.writes().any(|write| matches!(write, Write::Delete { kind: Kind::Job, .. })));
    // A newer change does not wait for an hour.
    fixture.observed.siblings.push(newer_change());
    assert_eq!(stands_in(&plan(&fixture.observed, at(60))), None, "the caches lag behind by a minute, too");
    assert_eq!(stands_in(&plan(&fixture.observed, at(301))), Some("Superseded".to_owned()));
}

/// The reason that a plan gives its run.
fn stands_in(plan: &Plan<MLPipelineRunStatus>) -> Option<String> {
    let status = plan.status.as_ref()?;
    conditions::find(&status.conditions, types::SUCCEEDED).map(|condition| condition.reason.clone())
}

#[test]
fn what_another_release_wrote_is_waited_for() {
    let newer = |fixture: &mut Fixture| {
        let mut revision = fixture.observed.revision.as_ref().unwrap().to_object();
        revision.data.as_mut().unwrap().0["projection"] = json!(99);
        fixture.observed.revision = Some(Arc::new(revision.into()));
    };
    let mut begins = Fixture::new(training());
    newer(&mut begins);
    begins.settle();
    assert_eq!(begins.stands().0, "RevisionUnreadable");
    let mut fixture = at_work();
    newer(&mut fixture);
    fixture.settle();
    assert_eq!(fixture.stands().0, "RevisionUnreadable");
    let later = plan(&fixture.observed, at(100_000));
    assert!(later.status.is_none() && later.writes().next().is_none(), "its Jobs go on: {later:?}");
    // A parameter that a newer rule refuses was accepted once.
    let mut fixture = at_work();
    Arc::make_mut(&mut fixture.observed.run).spec.parameters =
        vec![ParameterValue { name: "unknown".into(), value: "1".into() }];
    fixture.settle();
    assert_eq!((fixture.stands().0, fixture.status().finished_at.is_some()), ("InvalidParameters", false));
}
