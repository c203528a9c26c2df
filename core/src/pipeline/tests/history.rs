//! What of a pipeline is kept: ended runs, and the revisions that something needs.

use serde_json::json;

use super::*;

#[test]
fn ended_runs_beyond_the_limit_go_oldest_first() {
    let mut observed = observe(pipeline("a"));
    edit(&mut observed, |spec| {
        spec.history_limits = Some(seatrial_crds::HistoryLimits { succeeded: Some(1), failed: None });
    });
    for number in 1..=3 {
        let mut run = run(&observed.pipeline, number, now());
        run.metadata.uid = Some(format!("run-{number}"));
        run.metadata.creation_timestamp = Some(Time(Timestamp::from_second(number).unwrap()));
        let mut conditions: Vec<Condition> = vec![];
        conditions::set(&mut conditions, types::SUCCEEDED, Status::True, "Succeeded", "", None, now());
        run.status = Some(MLPipelineRunStatus { conditions, ..Default::default() });
        observed.runs.push(Arc::new(run));
    }
    let deleted: Vec<_> = history(&observed)
        .into_iter()
        .map(|action| match action {
            Write::Delete { name, .. } => name,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(deleted, ["churn-c2", "churn-c1"]);
}

#[test]
fn revisions_that_nobody_needs_go_in_two_phases() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    for image in ["churn:2", "churn:3", "churn:4"] {
        edit(&mut observed, |spec| spec.options.image = Some(image.into()));
        settle(&mut observed);
    }
    let names = |observed: &PipelineObserved| {
        let mut names: Vec<String> = observed.revisions.iter().map(|revision| revision.name_any()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&observed).len(), 4, "each is a run's");
    // The run of change 1 is gone, and left nothing. That of 2 made a version. That of 3 is still there.
    observed.runs.retain(|run| run.name_any() == "churn-c3");
    let version = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion", "metadata": {"name": "churn-v1"},
        "spec": {
            "model": "churn", "number": 1, "purpose": "Release",
            "artifact": {"uri": "s3://growth/x", "digest": format!("sha256:{}", "0".repeat(64)), "size": 1},
            "lineage": {"pipeline": "churn", "run": "churn-c2", "runUID": "x", "revision": 2},
        },
    });
    observed.versions.push(Arc::new(serde_json::from_value(version).unwrap()));
    settle(&mut observed);
    assert_eq!(names(&observed).len(), 4, "it is marked first");
    let waits = plan(&observed, now());
    assert!(waits.is_quiet() && waits.requeue_after.is_some_and(|after| after.as_secs() == 3600), "{waits:?}");
    let later = now().saturating_add(jiff::SignedDuration::from_mins(61)).unwrap();
    settle_at(&mut observed, later);
    assert_eq!(names(&observed), ["churn-c2", "churn-c3", "churn-c4"]);
    assert_eq!(plan(&observed, later).requeue_after, None);
}

#[test]
fn a_mark_is_taken_off_a_revision_that_is_needed_again() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    edit(&mut observed, |spec| spec.options.image = Some("churn:2".into()));
    settle(&mut observed);
    let runs = std::mem::take(&mut observed.runs);
    settle(&mut observed);
    let is_marked = |observed: &PipelineObserved| {
        let first = observed.revisions.iter().find(|revision| revision.name_any() == "churn-c1").unwrap();
        first.annotations().contains_key(seatrial_crds::names::UNUSED_SINCE_ANNOTATION)
    };
    assert!(is_marked(&observed));
    observed.runs = runs;
    settle(&mut observed);
    assert!(!is_marked(&observed));
}

#[test]
fn skipped_runs_push_out_no_failure_and_no_run_goes_before_its_version_was_looked_at() {
    let mut observed = observe(pipeline("a"));
    edit(&mut observed, |spec| {
        spec.history_limits = serde_json::from_value(json!({"succeeded": 0, "failed": 1})).unwrap();
    });
    for (number, status, reason) in [
        (1, Status::False, "StepFailed"),
        (2, Status::False, "Superseded"),
        (3, Status::False, "Superseded"),
        (4, Status::True, "Succeeded"),
    ] {
        let mut run = run(&observed.pipeline, number, now());
        run.metadata.creation_timestamp = Some(Time(Timestamp::from_second(number).unwrap()));
        let mut conditions: Vec<Condition> = vec![];
        conditions::set(&mut conditions, types::SUCCEEDED, status, reason, "", None, now());
        run.status = Some(MLPipelineRunStatus { conditions, ..Default::default() });
        observed.runs.push(Arc::new(run));
    }
    let deleted = |observed: &PipelineObserved| -> Vec<String> {
        let name = |action| match action {
            Write::Delete { name, .. } => name,
            other => panic!("{other:?}"),
        };
        history(observed).into_iter().map(name).collect()
    };
    assert_eq!(deleted(&observed), ["churn-c4", "churn-c2"]);
    let version = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion", "metadata": {"name": "churn-v1"},
        "spec": {
            "model": "churn", "number": 1, "purpose": "Release",
            "artifact": {"uri": "s3://growth/x", "digest": format!("sha256:{}", "0".repeat(64)), "size": 1},
            "lineage": {"pipeline": "churn", "run": "churn-c4", "runUID": "x", "revision": 4},
        },
    });
    observed.versions.push(Arc::new(serde_json::from_value(version).unwrap()));
    assert_eq!(deleted(&observed), ["churn-c2"]);
}
