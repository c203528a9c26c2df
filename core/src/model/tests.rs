//! What a Model's status says of its versions, and of what serves.

use std::sync::Arc;

use seatrial_crds::{Model, ModelDeployment};
use serde_json::{Value, from_value, json};

use super::*;
use crate::plan::{Object, Write};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn spec(answered: bool) -> ModelSpec {
    let mut spec = json!({
        "owner": {"team": "growth", "contact": "x"}, "objective": "x", "uses": ["Batch"],
        "gates": [{"name": "auc", "type": "Metric", "metric": {"name": "auc", "min": "0.9"}}],
    });
    if answered {
        spec["errorCosts"] = json!({"notApplicable": {"reason": "x"}});
        spec["fairness"] = json!({"notApplicable": {"reason": "x"}});
        spec["consumers"] = json!([]);
    }
    from_value(spec).unwrap()
}

fn version(number: i64, verdict: Verdict) -> Arc<ModelVersion> {
    let spec_of = json!({
        "model": "churn", "number": number, "purpose": "Release",
        "artifact": {"uri": "s3://growth/x", "digest": format!("sha256:{}", "a".repeat(64)), "size": 1},
        "lineage": {"pipeline": "churn", "run": "churn-c1", "runUID": "u", "revision": 1},
    });
    let gate = json!({"name": "auc", "verdict": verdict, "message": "too few rows"});
    let judgement =
        json!({"judgedAt": at(0), "gatesDigest": gates::digest(&spec(true)), "verdict": verdict, "gates": [gate]});
    let mut version = ModelVersion::new(&format!("churn-v{number}"), from_value(spec_of).unwrap());
    let status = json!({"verdict": verdict, "judgements": [judgement], "headline": format!("auc=0.{number}")});
    version.status = Some(from_value(status).unwrap());
    Arc::new(version)
}

fn deployment(name: &str, status: Value) -> Arc<ModelDeployment> {
    let spec = json!({"model": "churn", "server": {"image": "i", "port": 80}});
    let mut deployment = ModelDeployment::new(name, from_value(spec).unwrap());
    deployment.status = Some(from_value(status).unwrap());
    Arc::new(deployment)
}

fn observed(versions: Vec<Arc<ModelVersion>>, deployments: Vec<Arc<ModelDeployment>>) -> ModelObserved {
    ModelObserved {
        model: Arc::new(Model::new("churn", spec(true))),
        versions,
        deployments,
        revisions: vec![],
        blocked: vec![],
    }
}

/// Plans until nothing changes; returns the status and the events.
fn settle(observed: &mut ModelObserved) -> (ModelStatus, Vec<&'static str>) {
    let first = plan(observed, at(0));
    if let Some(status) = first.status {
        Arc::make_mut(&mut observed.model).status = Some(status);
    }
    for stage in first.stages {
        observed.revisions.extend(stage.writes.into_iter().filter_map(|write| match write {
            Write::Create(Object::ControllerRevision(state)) => Some(Arc::new((*state).into())),
            _ => None,
        }));
    }
    assert!(plan(observed, at(60)).is_quiet(), "it writes again");
    let events = first.events.iter().map(|event| event.reason).collect();
    (observed.model.status.clone().unwrap(), events)
}

fn reason<'a>(status: &'a ModelStatus, kind: &str) -> Option<&'a str> {
    conditions::find(&status.conditions, kind).map(|condition| condition.reason.as_str())
}

#[test]
fn a_model_says_what_serves_where_since_when_and_its_number() {
    let deployments = vec![
        deployment("shop", json!({"servedVersion": "churn-v10", "servedSince": at(5)})),
        deployment("batch", json!({"servedVersion": "churn-v9", "servedSince": at(3)})),
        deployment("new", json!({})),
    ];
    let mut observed = observed(vec![version(9, Verdict::Passed), version(10, Verdict::Passed)], deployments);
    let (status, events) = settle(&mut observed);
    let served: Vec<_> = status
        .serving
        .iter()
        .map(|serving| (serving.deployment.as_str(), serving.version.as_str(), serving.since.as_ref().unwrap().0))
        .collect();
    assert_eq!(served, [("batch", "churn-v9", at(3)), ("shop", "churn-v10", at(5))]);
    assert_eq!(status.served_versions.as_deref(), Some("churn-v10, churn-v9"));
    assert_eq!(status.headline.as_deref(), Some("auc=0.10"));
    assert_eq!((reason(&status, types::SERVING_MEETS_GATES), events), (Some("AllGatesPassed"), vec![]));
}

#[test]
fn what_serves_and_does_not_pass_is_named_once() {
    let serves = deployment("shop", json!({"servedVersion": "churn-v1"}));
    let mut observed = observed(vec![version(1, Verdict::Passed)], vec![serves]);
    settle(&mut observed);
    observed.versions = vec![version(1, Verdict::Failed)];
    let (status, events) = settle(&mut observed);
    assert!(conditions::is(&status.conditions, types::SERVING_MEETS_GATES, Status::False));
    let condition = conditions::find(&status.conditions, types::SERVING_MEETS_GATES).unwrap();
    assert!(condition.message.contains("churn-v1 (shop)"), "{}", condition.message);
    assert_eq!(events, ["ServesUnpassed"]);
    observed.deployments.clear();
    let (status, _) = settle(&mut observed);
    assert_eq!((reason(&status, types::SERVING_MEETS_GATES), status.served_versions.as_ref()), (None, None));
}

#[test]
fn open_questions_are_named_until_they_are_answered() {
    let mut observed = observed(vec![], vec![]);
    Arc::make_mut(&mut observed.model).spec = spec(false);
    let (status, _) = settle(&mut observed);
    assert_eq!(reason(&status, types::ANSWERED), Some("QuestionsOpen"));
    assert_eq!(status.unanswered, ["errorCosts", "fairness", "consumers"]);
    Arc::make_mut(&mut observed.model).spec = spec(true);
    let (status, _) = settle(&mut observed);
    assert_eq!((reason(&status, types::ANSWERED), status.unanswered.len()), (Some("Answered"), 0));
}

#[test]
fn the_newest_version_says_what_it_waits_for() {
    for (verdict, expected) in [
        (Verdict::Passed, vec![]),
        (Verdict::Failed, vec![]),
        (Verdict::Inconclusive, vec![(Some("auc"), "too few rows")]),
        (Verdict::Pending, vec![(None, "it is being measured")]),
    ] {
        let mut observed = observed(vec![version(1, Verdict::Inconclusive), version(2, verdict)], vec![]);
        let (status, _) = settle(&mut observed);
        let waiting: Vec<_> =
            status.waiting.iter().map(|waiting| (waiting.gate.as_deref(), waiting.waits_for.as_str())).collect();
        assert_eq!(waiting, expected, "{verdict:?}");
        assert!(status.waiting.iter().all(|waiting| waiting.version == "churn-v2"));
    }
}

/// Nobody is asked for a word that changes nothing.
#[test]
fn nobody_is_asked_to_approve_what_something_else_keeps_from_passing() {
    for verdict in [Verdict::Failed, Verdict::Error, Verdict::Inconclusive, Verdict::AwaitingApproval] {
        let mut newest = version(2, verdict);
        let status = Arc::make_mut(&mut newest).status.as_mut().unwrap();
        let open = json!({"name": "signed", "verdict": "AwaitingApproval", "message": "0 of 1 approvals"});
        status.judgements[0].gates.push(from_value(open).unwrap());
        let (status, _) = settle(&mut observed(vec![newest], vec![]));
        let waits = status.waiting.iter().any(|waiting| waiting.gate.as_deref() == Some("signed"));
        assert_eq!(waits, verdict == Verdict::AwaitingApproval, "{verdict:?}");
    }
}

#[test]
fn a_model_says_by_what_it_judges() {
    let fairness = json!({"rules": [{"name": "alike", "slice": "g", "metric": "Recall", "maxGap": "0.1"}]});
    let costs = json!({"falsePositive": "1", "falseNegative": "2", "unit": "EUR", "prevalence": "0.1", "statusQuo": "FlagNone"});
    for (change, expected) in [
        (json!({}), "1 gate"),
        (json!({"errorCosts": costs, "fairness": fairness}), "1 gate, what errors cost and 1 rule of fairness"),
        (json!({"gates": [], "budget": {"maxSize": "1Gi"}}), "the budget"),
    ] {
        let mut model = serde_json::to_value(spec(true)).unwrap();
        model.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(judged_by(&from_value(model).unwrap()), expected);
    }
}

#[test]
fn a_version_that_is_held_is_not_the_one_that_passed_and_says_what_it_waits_for() {
    let mut observed = observed(vec![version(1, Verdict::Passed), version(2, Verdict::Held)], vec![]);
    let (status, _) = settle(&mut observed);
    assert_eq!(status.passed_version.as_deref(), Some("churn-v1"));
    assert_eq!((status.waiting.len(), status.waiting[0].version.as_str()), (1, "churn-v2"));
    assert_eq!(observed.revisions[0].name_any(), status.gates_revision.unwrap());
}

#[test]
fn a_waived_version_counts_as_passed() {
    let mut observed = observed(vec![version(1, Verdict::Waived), version(2, Verdict::Failed)], vec![]);
    assert_eq!(settle(&mut observed).0.passed_version.as_deref(), Some("churn-v1"));
}
