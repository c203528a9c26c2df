//! What a pipeline decides.

mod data;
mod history;
mod last_run;

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
            Write::Create(Object::ControllerRevision(revision)) => {
                observed.revisions.push(Arc::new((*revision).into()))
            }
            Write::Replace(Object::ControllerRevision(revision)) => {
                observed.revisions.retain(|old| old.metadata.name != revision.metadata.name);
                observed.revisions.push(Arc::new((*revision).into()));
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
    assert_eq!(back.revisions[0].pipeline_uid(), Some("b"));
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
fn an_unreadable_revision_stalls_instead_of_training_everything_anew() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    let mut revision = observed.revisions[0].to_object();
    revision.data.as_mut().unwrap().0["projection"] = json!(99);
    observed.revisions[0] = Arc::new(revision.into());
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
