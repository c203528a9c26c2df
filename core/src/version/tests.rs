//! How a version is judged, from its metrics to its conditions.

use std::sync::Arc;

use seatrial_crds::{Approval, MLPipeline, MLPipelineRun, ModelSpec, ModelVersion};
use serde_json::{Value, from_value, json};

use super::*;
use crate::approvals::tests as said;
use crate::model;
use crate::observed::ModelObserved;
use crate::platform::Platform;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn digest() -> String {
    format!("sha256:{}", "a".repeat(64))
}

fn measured() -> String {
    format!("sha256:{}", "e".repeat(64))
}

fn metric(auc: &str) -> Value {
    json!({"step": "evaluate", "output": "metrics", "name": "auc", "value": auc})
}

fn version(number: i64, purpose: &str, auc: &str) -> ModelVersion {
    from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {"name": format!("churn-v{number}"), "namespace": "growth", "generation": 1},
        "spec": {
            "model": "churn", "number": number, "purpose": purpose, "metrics": [metric(auc)],
            "evidence": [{"step": "evaluate", "output": "metrics",
                          "artifact": {"uri": "s3://growth/y", "digest": measured(), "size": 1}}],
            "artifact": {"uri": "s3://growth/x", "digest": digest(), "size": 10},
            "lineage": {"pipeline": "churn", "run": "churn-c1", "runUID": "run-uid", "revision": 1},
        },
    }))
    .unwrap()
}

fn run(uid: &str, version: &str, auc: &str) -> Arc<MLPipelineRun> {
    let model = json!({"name": "model", "type": "Model", "digest": digest(), "size": 10});
    let metrics = json!({"name": "metrics", "type": "Metrics", "digest": measured(), "size": 1});
    Arc::new(
        from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
            "metadata": {"name": "churn-c1", "namespace": "growth", "uid": uid},
            "spec": {"pipeline": "churn"},
            "status": {
                "versions": [{"model": "churn", "name": version}],
                "steps": [
                    {"name": "train", "state": "Succeeded", "outputs": [model]},
                    {"name": "evaluate", "state": "Succeeded", "outputs": [metrics], "metrics": [{"output": "metrics", "name": "auc", "value": auc}]},
                ],
            },
        }))
        .unwrap(),
    )
}

fn judge(gates: Value) -> Arc<Model> {
    let spec: ModelSpec = from_value(json!({
        "owner": {"team": "growth", "contact": "x"}, "objective": "x", "uses": ["Realtime"], "gates": gates,
        "errorCosts": {"notApplicable": {"reason": "x"}}, "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
    }))
    .unwrap();
    Arc::new(Model::new("churn", spec))
}

fn auc(min: &str) -> Value {
    json!([{"name": "good", "type": "Metric", "metric": {"name": "auc", "min": min}}])
}

fn observe(version: ModelVersion, model: Option<Arc<Model>>, run: Option<Arc<MLPipelineRun>>) -> VersionObserved {
    VersionObserved { model, run, ..VersionObserved::alone(Arc::new(version)) }
}

/// Plans and keeps the status; then everything must be quiet.
fn settle(observed: &mut VersionObserved) -> ModelVersionStatus {
    if let Some(status) = plan(observed, now()).status {
        Arc::make_mut(&mut observed.version).status = Some(status);
    }
    assert!(plan(observed, now()).is_quiet(), "it does not settle");
    observed.version.status.clone().unwrap()
}

fn reason<'a>(status: &'a ModelVersionStatus, kind: &str) -> &'a str {
    &conditions::find(&status.conditions, kind).unwrap().reason
}

fn message<'a>(status: &'a ModelVersionStatus, kind: &str) -> &'a str {
    &conditions::find(&status.conditions, kind).unwrap().message
}

#[test]
fn a_version_is_judged_once_and_again_when_the_gates_change() {
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(auc("0.7"))), Some(run("run-uid", "churn-v1", "0.8")));
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Passed));
    observed.model = Some(judge(auc("0.9")));
    let status = settle(&mut observed);
    assert_eq!((status.verdict, status.judgements.len()), (Some(Verdict::Failed), 2));
    assert!(conditions::is(&status.conditions, types::PASSED, Status::False));
    assert_eq!(status.judgements[1].verdict, Verdict::Passed);
}

/// One cause stands once in a condition, however many gates it keeps from deciding, and in one condition alone.
#[test]
fn what_several_gates_miss_is_said_once_and_not_twice() {
    let gate = |name: &str| json!({"name": name, "type": "Metric", "metric": {"name": "gini", "min": "0.1"}});
    let model = judge(json!([gate("first"), gate("second"), gate("third")]));
    let status =
        settle(&mut observe(version(1, "Release", "0.8"), Some(model), Some(run("run-uid", "churn-v1", "0.8"))));
    let said = message(&status, types::PASSED);
    assert!(said.starts_with("first, second, third: the evidence has no metric"), "{said}");
    assert_eq!(said.matches("the evidence has no metric").count(), 1, "{said}");
    let ready = message(&status, types::READY);
    assert_eq!(ready, "the Model \"churn\" judged it Error: the condition Passed says by what");
}

#[test]
fn a_waiver_lets_a_version_pass_until_it_expires_and_then_it_is_judged_again() {
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(auc("0.9"))), Some(run("run-uid", "churn-v1", "0.8")));
    let until = now().checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
    let waiver = json!({
        "version": "churn-v1", "digest": digest(), "gates": ["good"], "reason": "the fair", "expiresAt": until,
    });
    let waived = from_value(waiver).unwrap();
    Arc::make_mut(observed.model.as_mut().unwrap()).spec.waivers = vec![waived];
    let status = settle(&mut observed);
    assert_eq!((status.verdict, reason(&status, types::PASSED)), (Some(Verdict::Waived), "GatesWaived"));
    assert!(conditions::find(&status.conditions, types::PASSED).unwrap().message.contains("the fair"));
    assert_eq!(plan(&observed, now()).requeue_after, Some(Duration::from_secs(60)));
    let status = plan(&observed, until).status.unwrap();
    assert_eq!((status.verdict, status.judgements.len()), (Some(Verdict::Failed), 2));
    // It cannot be had for a question that nobody answered.
    Arc::make_mut(observed.model.as_mut().unwrap()).spec.consumers = None;
    Arc::make_mut(observed.model.as_mut().unwrap()).spec.waivers[0].gates.push("consumers".into());
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Unjudged));
}

#[test]
fn who_lowers_a_gate_releases_nothing_and_it_is_said_once() {
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(auc("0.9"))), Some(run("run-uid", "churn-v1", "0.8")));
    let first = settle(&mut observed);
    assert_eq!(first.verdict, Some(Verdict::Failed));
    observed.model = Some(judge(auc("0.7")));
    let events =
        |observed: &VersionObserved| plan(observed, now()).events.iter().map(|it| it.reason).collect::<Vec<_>>();
    assert_eq!(events(&observed), ["Held"]);
    let status = settle(&mut observed);
    assert_eq!((status.verdict, reason(&status, types::PASSED)), (Some(Verdict::Held), "Held"));
    assert!(conditions::is(&status.conditions, types::PASSED, Status::False));
    let (held, overruled) = (&status.judgements[0], status.judgements[0].overrules.as_ref().unwrap());
    assert_eq!((held.verdict, overruled.gates.as_slice()), (Verdict::Held, ["good".to_owned()].as_slice()));
    assert_eq!(overruled.gates_revision, first.judgements[0].gates_revision);
    assert_ne!(held.gates_revision, overruled.gates_revision);
    let message = &conditions::find(&status.conditions, types::PASSED).unwrap().message;
    for word in ["Failed", overruled.gates_revision.as_ref().unwrap(), "good", "newer version"] {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    // More edits, no gates at all, or a Model that is made again change nothing of it, and nothing is said twice.
    for model in [Some(judge(auc("0.6"))), Some(judge(json!([]))), None, Some(judge(auc("0.5")))] {
        observed.model = model;
        let was_held = observed.version.status.as_ref().unwrap().verdict == Some(Verdict::Held);
        assert!(!was_held || events(&observed).is_empty());
        settle(&mut observed);
    }
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Held));
    // Back under the first bar it fails again.
    observed.model = Some(judge(auc("0.9")));
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Failed));
}

/// A policy that proves writers, and Approvals beside it.
fn with_approvals(observed: &mut VersionObserved, approvals: &[Arc<Approval>]) {
    observed.platform = Arc::new(Platform { approval_policy: Some(said::POLICY_NAME.into()), ..Platform::default() });
    observed.approval_policy = Some(Arc::new(said::policy()));
    observed.approval_binding = Some(Arc::new(said::binding()));
    observed.approvals = approvals.to_vec();
}

fn judgement(status: &ModelVersionStatus) -> String {
    status.judgements[0].digest.clone().unwrap()
}

#[test]
fn an_approval_of_this_judgement_lets_a_held_version_go() {
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(auc("0.9"))), Some(run("run-uid", "churn-v1", "0.8")));
    settle(&mut observed);
    observed.model = Some(judge(auc("0.7")));
    let held = judgement(&settle(&mut observed));
    let message = |status: &ModelVersionStatus| message(status, types::PASSED).to_owned();
    let status = settle(&mut observed);
    for word in ["kubectl seatrial approve churn-v1 -n growth --reason WHY", "admissionPolicy.enabled"] {
        assert!(message(&status).contains(word), "{word} is not in: {}", message(&status));
    }
    with_approvals(&mut observed, &[said::approval("jane", "Approved", 100, json!({"judgement": held}))]);
    let status = settle(&mut observed);
    assert_eq!((status.verdict, judgement(&status)), (Some(Verdict::Passed), held.clone()));
    assert!(message(&status).contains("approved by jane: looked at it"), "{}", message(&status));
    // It rests on the word, and on the proof.
    let approvals = std::mem::take(&mut observed.approvals);
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Held));
    observed.approvals = approvals;
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Passed));
    observed.approval_policy = None;
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Held));
    with_approvals(&mut observed, &[said::approval("jane", "Approved", 60, json!({"judgement": held}))]);
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Held), "it is older than the proof");
    // Another bar is another judgement.
    with_approvals(&mut observed, &[said::approval("jane", "Approved", 100, json!({"judgement": held}))]);
    observed.model = Some(judge(auc("0.6")));
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Held));
}

#[test]
fn a_gate_of_type_approval_waits_for_people() {
    let mut gates = auc("0.7");
    let signed = json!({"name": "signed", "type": "Approval", "approval": {"group": "crm"}});
    gates.as_array_mut().unwrap().push(signed);
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(gates)), Some(run("run-uid", "churn-v1", "0.8")));
    let status = settle(&mut observed);
    assert_eq!((status.verdict, reason(&status, types::PASSED)), (Some(Verdict::AwaitingApproval), "AwaitingApproval"));
    assert!(conditions::is(&status.conditions, types::PASSED, Status::Unknown));
    let said = message(&status, types::PASSED);
    assert!(said.contains("kubectl seatrial approve churn-v1 -n growth --reason WHY"), "{said}");
    let named = judgement(&status);
    assert!(!said.contains(&named), "people type no digests: {said}");
    with_approvals(&mut observed, &[said::approval("jane", "Approved", 100, json!({"judgement": named}))]);
    let status = settle(&mut observed);
    assert_eq!((status.verdict, judgement(&status)), (Some(Verdict::Passed), named.clone()));
    with_approvals(&mut observed, &[said::approval("jane", "Rejected", 101, json!({"judgement": named}))]);
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Failed));
    // What is recorded of the judgement has the newest words, and judges nothing anew.
    let judgements = settle(&mut observed).judgements.len();
    with_approvals(&mut observed, &[said::approval("bob", "Rejected", 102, json!({"judgement": named}))]);
    let status = settle(&mut observed);
    let gate = status.judgements[0].gates.iter().find(|gate| gate.name == "signed").unwrap();
    assert!(gate.message.contains("rejected by bob"), "{}", gate.message);
    assert_eq!(status.judgements.len(), judgements);
    // To take the gate away is to lower the bar.
    observed.model = Some(judge(auc("0.7")));
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Held));
}

#[test]
fn whoever_passes_at_first_goes_on_passing_under_another_bar() {
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(auc("0.7"))), Some(run("run-uid", "churn-v1", "0.8")));
    settle(&mut observed);
    for min in ["0.75", "0.6"] {
        observed.model = Some(judge(auc(min)));
        let status = settle(&mut observed);
        assert_eq!((status.verdict, &status.judgements[0].overrules), (Some(Verdict::Passed), &None));
    }
}

#[test]
fn a_version_that_is_judged_by_what_it_was_trained_on_is_an_error() {
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(auc("0.7"))), Some(run("run-uid", "churn-v1", "0.8")));
    let revision = |read: &str| {
        let outputs =
            |names: &[&str]| names.iter().map(|name| json!({"name": name, "type": "Any"})).collect::<Vec<_>>();
        let from = |step: &str, output: &str| json!([{"name": "data", "from": {"step": step, "output": output}}]);
        let pipeline: MLPipeline = from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "metadata": {"name": "churn"},
            "spec": {
                "image": "x",
                "steps": [
                    {"name": "prepare", "command": ["x"], "outputs": outputs(&["train", "test"])},
                    {"name": "train", "command": ["x"], "inputs": from("prepare", "train"), "outputs": outputs(&["model"])},
                    {"name": "evaluate", "command": ["x"], "inputs": from("prepare", read), "outputs": outputs(&["metrics"])},
                ],
                "publishes": [{
                    "model": "churn", "artifact": {"step": "train", "output": "model"},
                    "evidence": [{"step": "evaluate", "output": "metrics"}],
                }],
            },
        }))
        .unwrap();
        Some(Arc::new(crate::revision::build(&pipeline, 1).into()))
    };
    observed.revision = revision("test");
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Passed));
    observed.revision = revision("train");
    let status = settle(&mut observed);
    assert_eq!((status.verdict, reason(&status, types::PASSED)), (Some(Verdict::Error), "EvidenceUnusable"));
    // Whoever deletes the revision takes nothing back.
    observed.revision = None;
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Error));
}

#[test]
fn without_a_model_or_gates_it_is_unjudged_and_says_what_to_do() {
    let known = || Some(run("run-uid", "churn-v1", "1"));
    for (model, expected) in [(None, "ModelNotFound"), (Some(judge(json!([]))), "NoGates")] {
        let status = settle(&mut observe(version(1, "Release", "1"), model, known()));
        assert_eq!((status.verdict, reason(&status, types::READY)), (Some(Verdict::Unjudged), expected));
        assert!(conditions::is(&status.conditions, types::PASSED, Status::Unknown));
    }
}

#[test]
fn a_version_that_no_run_of_this_cluster_made_is_unjudged() {
    for run in [None, Some(run("another", "churn-v1", "1")), Some(run("run-uid", "churn-v2", "1"))] {
        let status = settle(&mut observe(version(1, "Release", "1"), Some(judge(auc("0"))), run));
        assert_eq!((status.verdict, reason(&status, types::READY)), (Some(Verdict::Unjudged), UNKNOWN_ORIGIN));
    }
    let forgeries: [fn(&mut ModelVersion); 3] = [
        |version| version.spec.artifact.digest = format!("sha256:{}", "b".repeat(64)),
        |version| version.spec.evidence[0].artifact.digest = format!("sha256:{}", "b".repeat(64)),
        |version| version.spec.metrics[0].value = "0.99".into(),
    ];
    for forge in forgeries {
        let mut forged = version(1, "Release", "1");
        forge(&mut forged);
        let status = settle(&mut observe(forged, Some(judge(auc("0"))), Some(run("run-uid", "churn-v1", "1"))));
        assert_eq!(reason(&status, types::READY), UNKNOWN_ORIGIN);
    }
}

#[test]
fn a_version_outlives_its_run_and_is_judged_again() {
    let mut observed =
        observe(version(1, "Release", "0.8"), Some(judge(auc("0.7"))), Some(run("run-uid", "churn-v1", "0.8")));
    settle(&mut observed);
    observed.run = None;
    observed.model = Some(judge(auc("0.9")));
    assert_eq!(settle(&mut observed).verdict, Some(Verdict::Failed));
}

#[test]
fn history_is_bounded_newest_first() {
    let mut observed = observe(version(1, "Release", "0.8"), None, Some(run("run-uid", "churn-v1", "0.8")));
    for n in 0..limits::JUDGEMENTS + 3 {
        observed.model = Some(judge(auc(&format!("0.{n}1"))));
        settle(&mut observed);
    }
    let status = settle(&mut observed);
    assert_eq!(status.judgements.len(), limits::JUDGEMENTS);
    assert_eq!(status.judgements[0].gates_digest, gates::digest(&observed.model.unwrap().spec));
}

#[test]
fn a_model_names_its_newest_and_its_passed_release() {
    let with = |number, purpose, verdict| {
        let mut version = version(number, purpose, "1");
        version.status = Some(ModelVersionStatus { verdict: Some(verdict), ..ModelVersionStatus::default() });
        Arc::new(version)
    };
    let versions = vec![
        with(2, "Release", Verdict::Passed),
        with(10, "Release", Verdict::Failed),
        with(1, "Release", Verdict::Passed),
        with(11, "Experiment", Verdict::Passed),
    ];
    let mut observed =
        ModelObserved { model: judge(auc("0")), versions, deployments: vec![], revisions: vec![], blocked: vec![] };
    let status = model::plan(&observed, now()).status.unwrap();
    assert_eq!(
        (status.newest_version.as_deref(), status.passed_version.as_deref()),
        (Some("churn-v10"), Some("churn-v2"))
    );
    Arc::make_mut(&mut observed.model).status = Some(status);
    assert_eq!(model::plan(&observed, now()).status, None);
}
