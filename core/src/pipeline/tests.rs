use std::sync::Arc;

use seatrial_crds::{Condition, MLPipelineRunStatus, MLPipelineSpec, Time};
use serde_json::json;

use super::*;
use crate::plan::{Blocked, OnFailure};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn pipeline(uid: &str) -> MLPipeline {
    let spec: MLPipelineSpec = serde_json::from_value(json!({
        "image": "churn:1", "steps": [{"name": "train", "command": ["train"]}],
    }))
    .unwrap();
    let mut pipeline = MLPipeline::new("churn", spec);
    pipeline.metadata.namespace = Some("growth".into());
    pipeline.metadata.uid = Some(uid.into());
    pipeline.metadata.generation = Some(1);
    pipeline
}

fn observe(pipeline: MLPipeline) -> PipelineObserved {
    PipelineObserved {
        pipeline: Arc::new(pipeline),
        revisions: vec![],
        runs: vec![],
        versions: vec![],
        contracts: vec![],
        contract_revisions: vec![],
        models: vec![],
        blocked: vec![],
    }
}

#[test]
fn a_model_that_others_publish_to_is_said_on_the_pipeline() {
    let message = |publishers: &[&str]| {
        let spec = json!({"owner": {"team": "t", "contact": "c"}, "objective": "x", "uses": ["Batch"]});
        let mut model = seatrial_crds::Model::new("scores", serde_json::from_value(spec).unwrap());
        model.status = Some(serde_json::from_value(json!({"publishers": publishers})).unwrap());
        let mut observed = observe(pipeline("uid"));
        observed.models = vec![Arc::new(model)];
        settle(&mut observed);
        let conditions = observed.pipeline.status.as_ref().unwrap().conditions.clone();
        conditions::find(&conditions, types::READY).unwrap().message.clone()
    };
    assert_eq!(message(&["churn"]), message(&[]));
    let said = message(&["churn", "other", "third"]);
    assert!(said.contains("\"scores\"") && said.contains("other, third"), "{said}");
    assert!(!said.contains("churn,"), "it does not name itself: {said}");
}

/// Runs wait for it, so the pipeline says it; nothing is stuck for good, since the contract may be about to come.
#[test]
fn a_contract_that_cannot_be_used_is_said_on_the_pipeline() {
    let mut named = pipeline("uid");
    let input = json!({"name": "raw", "uri": "s3://lake/raw/", "contract": {"name": "customers", "version": "1.0.0"}});
    named.spec.steps[0].inputs = serde_json::from_value(json!([input])).unwrap();
    let mut observed = observe(named);
    let ready = |observed: &PipelineObserved| {
        let conditions = &observed.pipeline.status.as_ref().unwrap().conditions;
        assert!(conditions::find(conditions, types::STALLED).is_none());
        let ready = conditions::find(conditions, types::READY).unwrap();
        (ready.status.clone(), ready.reason.clone(), ready.message.clone())
    };
    settle(&mut observed);
    let (status, reason, message) = ready(&observed);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ContractNotFound"), "{message}");
    assert!(message.starts_with("no run begins: there is no DataContract \"growth/customers\""), "{message}");
    let contract = |version: &str| -> Arc<seatrial_crds::DataContract> {
        let contract = json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract",
            "metadata": {"name": "customers", "namespace": "growth"},
            "spec": {"contract": {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "1", "version": version,
                "status": "active", "schema": [{"name": "t", "properties": [{"name": "id"}]}]}},
        });
        Arc::new(serde_json::from_value(contract).unwrap())
    };
    observed.contracts = vec![contract("2.0.0")];
    settle(&mut observed);
    let (_, reason, message) = ready(&observed);
    assert_eq!(reason, "ContractMismatch");
    assert!(message.contains("has version 2.0.0, and never had the version 1.0.0"), "{message}");
    observed.contracts = vec![contract("1.0.0")];
    settle(&mut observed);
    assert_eq!(ready(&observed).1, "Accepted");
}

/// What the world looks like after a plan was carried out.
fn execute(observed: &mut PipelineObserved, plan: Plan<MLPipelineStatus>) {
    if let Some(status) = plan.status {
        Arc::make_mut(&mut observed.pipeline).status = Some(status);
    }
    for action in plan.stages.into_iter().flat_map(|stage| stage.writes) {
        match action {
            Write::Create(Object::Run(run)) => observed.runs.push(Arc::new(*run)),
            Write::Create(Object::ControllerRevision(revision)) => observed.revisions.push(Arc::new(*revision)),
            Write::Replace(Object::ControllerRevision(revision)) => {
                observed.revisions.retain(|old| old.metadata.name != revision.metadata.name);
                observed.revisions.push(Arc::new(*revision));
            }
            Write::Delete { kind: Kind::Run, name, .. } => observed.runs.retain(|run| run.name_any() != name),
            Write::Delete { kind: Kind::ControllerRevision, name, .. } => {
                observed.revisions.retain(|revision| revision.name_any() != name);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn settle(observed: &mut PipelineObserved) {
    settle_at(observed, now());
}

fn settle_at(observed: &mut PipelineObserved, now: Timestamp) {
    for _ in 0..5 {
        let plan = plan(observed, now);
        if plan.is_quiet() {
            return;
        }
        execute(observed, plan);
    }
    panic!("the pipeline does not settle");
}

fn run_names(observed: &PipelineObserved) -> Vec<String> {
    observed.runs.iter().map(|run| run.name_any()).collect()
}

fn edit(observed: &mut PipelineObserved, change: impl FnOnce(&mut MLPipelineSpec)) {
    change(&mut Arc::make_mut(&mut observed.pipeline).spec);
}

#[test]
fn a_new_pipeline_starts_its_first_run_and_then_is_quiet() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    assert_eq!(run_names(&observed), ["churn-c1"]);
    assert_eq!(observed.pipeline.status.as_ref().unwrap().revision, Some(1));
    assert!(plan(&observed, now()).is_quiet());
}

#[test]
fn going_back_to_an_older_spec_is_a_change_again() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    edit(&mut observed, |spec| spec.options.image = Some("churn:2".into()));
    settle(&mut observed);
    edit(&mut observed, |spec| spec.options.image = Some("churn:1".into()));
    settle(&mut observed);
    assert_eq!(run_names(&observed), ["churn-c1", "churn-c2", "churn-c3"]);
}

#[test]
fn what_does_not_affect_results_starts_nothing() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    edit(&mut observed, |spec| {
        spec.history_limits = Some(seatrial_crds::HistoryLimits { succeeded: Some(1), failed: None });
        spec.options.pod.labels = [("cost".to_owned(), "42".to_owned())].into();
        spec.job = Some(serde_json::from_value(json!({"labels": {"queue": "ml"}})).unwrap());
        spec.concurrency = Some(serde_json::from_value(json!({"maxRuns": 2})).unwrap());
        spec.steps[0].start_timeout = Some("2h".into());
    });
    settle(&mut observed);
    assert_eq!(run_names(&observed), ["churn-c1"]);
}

#[test]
fn a_suspended_pipeline_starts_its_run_when_it_is_resumed() {
    let mut observed = observe(pipeline("a"));
    edit(&mut observed, |spec| spec.suspend = Some(true));
    settle(&mut observed);
    assert!(observed.runs.is_empty());
    edit(&mut observed, |spec| spec.suspend = None);
    settle(&mut observed);
    assert_eq!(run_names(&observed), ["churn-c1"]);
}

#[test]
fn no_change_is_done_with_without_its_run() {
    let first = plan(&observe(pipeline("a")), now());
    let stages: Vec<_> = first.stages.iter().filter(|stage| !stage.writes.is_empty()).collect();
    let kinds: Vec<_> = stages.iter().map(|stage| (stage.writes[0].subject().0, stage.on_failure)).collect();
    assert_eq!(kinds, [(Kind::Run, OnFailure::Stop), (Kind::ControllerRevision, OnFailure::Stop)]);
}

#[test]
fn a_crash_between_any_two_writes_changes_nothing() {
    let first = plan(&observe(pipeline("a")), now());
    for done in 0..=first.writes().count() {
        let mut observed = observe(pipeline("a"));
        let mut cut = first.clone();
        let mut left = done;
        for stage in &mut cut.stages {
            let kept = left.min(stage.writes.len());
            stage.writes.truncate(kept);
            left -= kept;
        }
        execute(&mut observed, cut);
        // The run is created again by its name, which the API server answers with "exists already".
        let again = plan(&observed, now());
        for action in again.writes() {
            assert!(matches!(action, Write::Create(object) if object.name() == "churn-c1"), "{action:?}");
        }
        observed.runs.clear();
        execute(&mut observed, again);
        assert!(plan(&observed, now()).writes().next().is_none(), "cut after {done}");
    }
}

#[test]
fn a_run_that_was_deleted_is_not_started_again() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    observed.runs.clear();
    assert!(plan(&observed, now()).writes().next().is_none());
    settle(&mut observed);
    let last = observed.pipeline.status.as_ref().unwrap().last_run.clone().unwrap();
    assert_eq!((last.name.as_str(), last.reason.as_str()), ("churn-c1", "Deleted"), "it does not look as if it ran on");
}

#[test]
fn runs_made_by_hand_are_never_deleted() {
    let mut observed = observe(pipeline("a"));
    edit(&mut observed, |spec| {
        spec.history_limits = serde_json::from_value(json!({"succeeded": 0, "failed": 0})).unwrap();
    });
    for (number, status) in [(1, Status::True), (2, Status::False), (3, Status::True)] {
        let mut run = run(&observed.pipeline, number, now());
        run.metadata.creation_timestamp = Some(Time(Timestamp::from_second(number).unwrap()));
        if number < 3 {
            run.metadata.name = Some(format!("by-hand-{number}"));
            (run.metadata.labels, run.metadata.owner_references) = (None, None);
        }
        let mut conditions: Vec<Condition> = vec![];
        conditions::set(&mut conditions, types::SUCCEEDED, status, "x", "", None, now());
        run.status = Some(MLPipelineRunStatus { conditions, ..Default::default() });
        observed.runs.push(Arc::new(run));
    }
    let plan = plan(&observed, now());
    let deletes = |write: &&Write| matches!(write, Write::Delete { kind: Kind::Run, .. });
    let deleted: Vec<&str> = plan.writes().filter(deletes).map(|write| write.subject().1).collect();
    assert_eq!(deleted, ["churn-c3"]);
}

#[test]
fn a_pipeline_that_comes_back_adopts_its_revision_and_starts_nothing() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    let mut back = observe(pipeline("b"));
    back.revisions = observed.revisions.clone();
    settle(&mut back);
    assert!(back.runs.is_empty());
    assert_eq!(back.pipeline.status.as_ref().unwrap().revision, Some(1));
    assert_eq!(revision::pipeline_uid(&back.revisions[0]), Some("b"));
}

#[test]
fn a_pipeline_that_comes_back_changed_starts_the_next_run() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    let mut back = observe(pipeline("b"));
    back.revisions = observed.revisions.clone();
    edit(&mut back, |spec| spec.options.image = Some("churn:2".into()));
    settle(&mut back);
    assert_eq!(run_names(&back), ["churn-c2"]);
}

#[test]
fn an_invalid_pipeline_is_stalled_and_starts_nothing() {
    let mut observed = observe(pipeline("a"));
    edit(&mut observed, |spec| spec.steps[0].command.clear());
    settle(&mut observed);
    assert!(observed.runs.is_empty() && observed.revisions.is_empty());
    let status = observed.pipeline.status.clone().unwrap();
    assert_eq!(conditions::find(&status.conditions, types::STALLED).unwrap().reason, "InvalidSpec");
    edit(&mut observed, |spec| spec.steps[0].command = vec!["train".into()]);
    settle(&mut observed);
    assert_eq!(run_names(&observed), ["churn-c1"]);
    let status = observed.pipeline.status.clone().unwrap();
    assert!(conditions::find(&status.conditions, types::STALLED).is_none());
}

#[test]
fn a_parameter_without_a_default_means_that_people_start_the_runs() {
    let mut observed = observe(pipeline("a"));
    edit(&mut observed, |spec| {
        spec.parameters = vec![serde_json::from_value(json!({"name": "rate", "type": "Number"})).unwrap()];
    });
    settle(&mut observed);
    assert!(observed.runs.is_empty());
    assert_eq!(observed.revisions.len(), 1);
    let conditions = observed.pipeline.status.clone().unwrap().conditions;
    assert_eq!(conditions::find(&conditions, types::READY).unwrap().reason, "ParametersRequired");
}

#[test]
fn a_foreign_object_under_a_childs_name_is_named() {
    let mut observed = observe(pipeline("a"));
    observed.blocked.push(Blocked {
        kind: Kind::Run,
        name: "churn-c1".into(),
        reason: BlockedReason::Clash,
        message: String::new(),
        until: now(),
    });
    let conditions = plan(&observed, now()).status.unwrap().conditions;
    let stalled = conditions::find(&conditions, types::STALLED).unwrap();
    assert_eq!(stalled.reason, "NameTaken");
    assert!(stalled.message.contains("\"churn-c1\""), "{}", stalled.message);
}

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
fn an_unreadable_revision_stalls_instead_of_training_everything_anew() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    let revision = Arc::make_mut(&mut observed.revisions[0]);
    revision.data.as_mut().unwrap().0["projection"] = json!(99);
    settle(&mut observed);
    assert_eq!(run_names(&observed), ["churn-c1"]);
    let conditions = &observed.pipeline.status.as_ref().unwrap().conditions;
    assert_eq!(conditions::find(conditions, types::STALLED).unwrap().reason, "RevisionUnreadable");
}

#[test]
fn what_says_what_its_absence_says_is_no_change() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    edit(&mut observed, |spec| {
        spec.options.resources = Some(seatrial_crds::Resources::default());
        spec.steps[0].retry = Some(seatrial_crds::Retry { limit: Some(0) });
        spec.concurrency = Some(seatrial_crds::Concurrency::default());
    });
    settle(&mut observed);
    assert_eq!(run_names(&observed), ["churn-c1"]);
}

#[test]
fn the_last_run_of_one_second_is_that_of_the_newest_change() {
    let mut observed = observe(pipeline("a"));
    for number in [9, 10] {
        let mut run = run(&observed.pipeline, number, now());
        run.metadata.creation_timestamp = Some(Time(now()));
        observed.runs.push(Arc::new(run));
    }
    assert_eq!(last_run(&observed).unwrap().name, "churn-c10");
}

/// Lets a run stand so.
fn stand(observed: &mut PipelineObserved, name: &str, status: Status, reason: &str) {
    let run = observed.runs.iter_mut().find(|run| run.name_any() == name).unwrap();
    let status_of_run = Arc::make_mut(run).status.get_or_insert_default();
    conditions::set(&mut status_of_run.conditions, types::SUCCEEDED, status, reason, "", None, now());
}

/// Plans until nothing is left to do, and counts the writes of the pipeline's status.
fn count_status_writes(observed: &mut PipelineObserved) -> usize {
    let mut writes = 0;
    loop {
        let plan = plan(observed, now());
        if plan.is_quiet() {
            return writes;
        }
        writes += usize::from(plan.status.is_some());
        execute(observed, plan);
    }
}

#[test]
fn a_run_that_nothing_holds_up_costs_two_writes_of_its_pipeline() {
    let mut observed = observe(pipeline("a"));
    let mut writes = count_status_writes(&mut observed);
    assert_eq!(last_run(&observed).unwrap().reason, "Running");
    for (status, reason) in [(Status::Unknown, "Running"), (Status::Unknown, "Publishing"), (Status::True, "Succeeded")]
    {
        stand(&mut observed, "churn-c1", status, reason);
        writes += count_status_writes(&mut observed);
    }
    assert_eq!(writes, 2);
    assert_eq!(last_run(&observed).unwrap().reason, "Succeeded");
}

#[test]
fn a_run_by_hand_that_nothing_holds_up_costs_one_write_of_its_pipeline() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    stand(&mut observed, "churn-c1", Status::True, "Succeeded");
    settle(&mut observed);
    for name in ["smooth", "held-up"] {
        let spec = MLPipelineRunSpec { pipeline: "churn".into(), parameters: vec![], purpose: None };
        let mut run = MLPipelineRun::new(name, spec);
        run.metadata.creation_timestamp = Some(Time(now()));
        observed.runs.push(Arc::new(run));
        let reasons = if name == "smooth" { ["Running", "Running"] } else { ["Queued", "Running"] };
        let mut writes = count_status_writes(&mut observed);
        for reason in reasons {
            stand(&mut observed, name, Status::Unknown, reason);
            writes += count_status_writes(&mut observed);
        }
        if name == "held-up" {
            let last = last_run(&observed).unwrap();
            assert_eq!(
                (last.name.as_str(), last.reason.as_str()),
                ("held-up", "Running"),
                "it is not told of as queued for ever"
            );
        }
        stand(&mut observed, name, Status::True, "Succeeded");
        writes += count_status_writes(&mut observed);
        assert_eq!(writes, if name == "smooth" { 1 } else { 3 }, "{name}");
        assert_eq!(last_run(&observed).unwrap().name, name);
        observed.runs.retain(|run| run.name_any() != name);
        settle(&mut observed);
    }
}

#[test]
fn a_run_that_is_refused_is_not_told_of() {
    let mut observed = observe(pipeline("a"));
    let first = plan(&observed, now());
    Arc::make_mut(&mut observed.pipeline).status = first.status;
    observed.blocked.push(Blocked {
        kind: Kind::Run,
        name: "churn-c1".into(),
        reason: BlockedReason::Refused,
        message: "exceeded quota".into(),
        until: now(),
    });
    assert_eq!(plan(&observed, now()).status.unwrap().last_run, None);
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
