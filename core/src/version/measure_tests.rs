//! From predictions to a verdict: what is recorded, created, read and tried again.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{LabelSource, MLPipelineRun, Model, ModelSpec, ModelVersion};
use serde_json::{Value, from_value, json};

use super::*;
use crate::contract::{JudgeMessage, Measured};
use crate::observed::Expectation;
use crate::plan::{LiveRead, Object, Write};
use crate::platform::{DefaultStore, Judge, Platform};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(super) fn digest(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

pub(super) fn artifact(letter: &str) -> Value {
    let uri = format!("s3://growth/seatrial/artifacts/{}/{}", letter.repeat(2), letter.repeat(64));
    json!({"uri": uri, "digest": digest(letter), "size": 7})
}

pub(super) fn version() -> ModelVersion {
    from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {"name": "churn-v1", "namespace": "growth", "generation": 1, "uid": "version-uid"},
        "spec": {
            "model": "churn", "number": 1, "purpose": "Release", "artifact": artifact("a"),
            "evidence": [{"step": "evaluate", "output": "scored", "type": "Predictions", "artifact": artifact("e")}],
            "lineage": {"pipeline": "churn", "run": "churn-c1", "runUID": "run-uid", "revision": 1},
        },
    }))
    .unwrap()
}

pub(super) fn run() -> MLPipelineRun {
    let output =
        |name: &str, kind: &str, letter: &str| json!({"name": name, "type": kind, "digest": digest(letter), "size": 7});
    from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
        "metadata": {"name": "churn-c1", "namespace": "growth", "uid": "run-uid"},
        "spec": {"pipeline": "churn"},
        "status": {
            "versions": [{"model": "churn", "name": "churn-v1"}],
            "steps": [
                {"name": "train", "state": "Succeeded", "outputs": [output("model", "Model", "a")]},
                {"name": "evaluate", "state": "Succeeded", "outputs": [output("scored", "Predictions", "e")]},
            ],
        },
    }))
    .unwrap()
}

pub(super) fn model(change: impl FnOnce(&mut Value)) -> Arc<Model> {
    let mut spec = json!({
        "owner": {"team": "growth", "contact": "x"}, "objective": "x", "uses": ["Realtime"],
        "task": {"type": "BinaryClassification", "positiveLabel": "1"},
        "evaluation": {"uri": "s3://growth/labels.csv", "id": "customer", "label": "churned", "slices": ["region"]},
        "errorCosts": {"falsePositive": "1", "falseNegative": "20", "unit": "EUR", "prevalence": "0.07", "statusQuo": "FlagNone"},
        "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
    });
    change(&mut spec);
    let spec: ModelSpec = from_value(spec).unwrap();
    Arc::new(Model::new("churn", spec))
}

/// A version, and what the operator does about it.
pub(super) struct Fixture {
    pub(super) observed: VersionObserved,
    pub(super) now: Timestamp,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let platform = Platform {
            agent_image: "agent:1".into(),
            default_store: Some(DefaultStore::example()),
            judge: Some(Judge { image: "evidence:1".into(), ..Judge::default() }),
            ..Platform::default()
        };
        let observed = VersionObserved {
            model: Some(model(|_| ())),
            run: Some(Arc::new(run())),
            leading_for: Duration::from_secs(3600),
            platform: Arc::new(platform),
            ..VersionObserved::alone(Arc::new(version()))
        };
        Self { observed, now: at(0) }
    }

    /// One pass: the status is written, and Jobs come and go. Returns what was done beside the status.
    pub(super) fn pass(&mut self) -> Plan<ModelVersionStatus> {
        let plan = plan(&self.observed, self.now);
        if let Some(status) = &plan.status {
            Arc::make_mut(&mut self.observed.version).status = Some(status.clone());
        }
        for write in plan.writes() {
            match write {
                Write::Create(Object::Job(job)) => {
                    let mut job = job.as_ref().clone();
                    let name = job.metadata.name.clone().unwrap();
                    job.metadata.uid = Some(format!("{name}-uid"));
                    self.observed.expectations.insert(name, Expectation::Observed);
                    self.observed.jobs.push(Arc::new(job));
                }
                Write::Delete { uid, .. } => {
                    self.observed.jobs.retain(|job| job.metadata.uid.as_ref() != Some(uid));
                }
                other => panic!("{other:?}"),
            }
        }
        plan
    }

    pub(super) fn status(&self) -> &ModelVersionStatus {
        self.observed.version.status.as_ref().unwrap()
    }

    pub(super) fn job(&self) -> &Job {
        self.observed.jobs.last().unwrap()
    }

    /// The newest Job's pod ends so.
    pub(super) fn pod_ends(&mut self, code: i32, message: &str) {
        let fetched = crate::contract::Message {
            inputs: vec![crate::contract::ReportedInput {
                name: "labels".into(),
                digest: digest("d").parse().unwrap(),
                size: 5,
            }],
            ..crate::contract::Message::new()
        };
        let ended = |name: &str, code: i32, message: &str| {
            json!({"name": name, "ready": false, "restartCount": 0, "image": "x", "imageID": "",
            "state": {"terminated": {"exitCode": code, "message": message}}})
        };
        let job = self.job();
        let pod: Pod = from_value(json!({
            "metadata": {"name": "pod", "namespace": "growth",
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job.metadata.name, "uid": job.metadata.uid, "controller": true}]},
            "status": {"phase": if code == 0 { "Succeeded" } else { "Failed" },
                "initContainerStatuses": [ended("seatrial-fetch", 0, &fetched.to_json())],
                "containerStatuses": [ended("seatrial-judge", code, message)]},
        }))
        .unwrap();
        self.observed.pods = vec![Arc::new(pod)];
    }

    pub(super) fn job_fails(&mut self) {
        let job = Arc::make_mut(self.observed.jobs.last_mut().unwrap());
        job.status = from_value(
            json!({"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]}),
        )
        .unwrap();
    }

    /// What the condition Passed says.
    pub(super) fn says(&self) -> (&str, &str) {
        let passed = conditions::find(&self.status().conditions, types::PASSED).unwrap();
        (&passed.reason, &passed.message)
    }
}

/// 100 positives of which 80 are found, 900 negatives of which 90 are flagged.
pub(super) fn good() -> String {
    let measured: Measured = {
        use seatrial_crds::{ClassCounts, FlaggedCounts, Fold, FoldPoint};
        let point = FoldPoint {
            threshold: None,
            choosing: FlaggedCounts::default(),
            counted: FlaggedCounts { true_positives: 80, false_positives: 90 },
            groups: vec![],
        };
        let rows = ClassCounts { positives: 100, negatives: 900 };
        Measured { rows: 1000, folds: vec![Fold { rows, groups: vec![], points: vec![point] }], ..Measured::default() }
    };
    JudgeMessage::Measured(measured).to_json()
}

#[test]
fn predictions_are_measured_and_judged() {
    let mut fixture = Fixture::new();
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().verdict), (1, Some(Verdict::Pending)));
    assert_eq!(fixture.says(), ("Measuring", "the predictions are being measured"));
    assert_eq!(fixture.status().measuring.as_ref().unwrap().attempt, 1);
    insta::assert_yaml_snapshot!("judge_job", fixture.job());
    assert!(fixture.pass().is_quiet(), "nothing is done while it goes on");
    fixture.pod_ends(0, &good());
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().verdict), (0, Some(Verdict::Passed)));
    assert!(fixture.says().1.starts_with("saves 1.03 EUR for each prediction"), "{:?}", fixture.says());
    let status = fixture.status();
    let measurement = status.measurement.as_ref().unwrap();
    assert_eq!((measurement.labels, measurement.rows), (LabelSource::Owner, 1000));
    assert_eq!(measurement.labels_digest, Some(digest("d")));
    assert_eq!((status.headline.as_deref(), status.measuring.as_ref()), (Some("cost=0.373 EUR"), None));
    assert_eq!(status.judgements[0].labels, Some(LabelSource::Owner));
    // The Job goes after a while: what was measured stays.
    fixture.observed.jobs.clear();
    fixture.observed.pods.clear();
    fixture.observed.expectations.clear();
    assert!(fixture.pass().is_quiet());
}

#[test]
fn another_cost_is_judged_at_once_and_another_task_is_measured_anew() {
    let mut fixture = Fixture::new();
    fixture.pass();
    fixture.pod_ends(0, &good());
    fixture.pass();
    // Another word of the owner's is said, and judges and measures nothing.
    fixture.observed.model = Some(model(|spec| spec["task"]["positiveMeans"] = "denied application".into()));
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().judgements.len()), (0, 1));
    assert!(fixture.says().1.contains("20 of 100 positives (denied application) missed"), "{:?}", fixture.says());
    fixture.observed.model = Some(model(|spec| spec["errorCosts"]["falseNegative"] = "0".into()));
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().verdict), (0, Some(Verdict::Failed)));
    assert_eq!(fixture.status().judgements.len(), 2);
    fixture.observed.model = Some(model(|spec| spec["evaluation"]["uri"] = "s3://growth/other.csv".into()));
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().verdict), (1, Some(Verdict::Pending)));
    assert_eq!(fixture.status().judgements.len(), 2, "what is pending is no judgement");
    // Changed again meanwhile: the Job under way is of no use.
    fixture.observed.model = Some(model(|spec| spec["evaluation"]["uri"] = "s3://growth/third.csv".into()));
    let plan = fixture.pass();
    let kinds: Vec<bool> = plan.writes().map(|write| matches!(write, Write::Delete { .. })).collect();
    assert_eq!(kinds, [true, false], "{plan:?}");
}

#[test]
fn a_job_that_goes_on_after_a_failed_pod_is_stopped_where_something_else_is_asked_for() {
    let (failed, done) = (JudgeMessage::Failed("no memory".into()).to_json(), good());
    for (code, message, is_stopped) in [(1, &failed, true), (0, &done, false)] {
        let mut fixture = Fixture::new();
        fixture.pass();
        fixture.pod_ends(code, message);
        fixture.observed.model = Some(model(|spec| spec["evaluation"]["label"] = "left".into()));
        let plan = fixture.pass();
        let stops = plan.writes().any(|write| matches!(write, Write::Delete { .. }));
        assert_eq!(stops, is_stopped, "exit code {code}");
    }
}

#[test]
fn tables_that_cannot_be_measured_are_an_error_and_are_not_tried_again() {
    let mut fixture = Fixture::new();
    fixture.pass();
    fixture.pod_ends(0, &JudgeMessage::Unusable("3 ids have no prediction".into()).to_json());
    fixture.pass();
    assert_eq!(fixture.status().verdict, Some(Verdict::Error));
    assert_eq!(fixture.says(), ("EvidenceUnusable", "3 ids have no prediction"));
    fixture.now = at(100_000);
    assert!(fixture.pass().is_quiet());
}

#[test]
fn a_failed_attempt_is_followed_by_another_later_and_later_without_end() {
    let mut fixture = Fixture::new();
    let mut waited = vec![];
    for attempt in 1..=9_i64 {
        let plan = fixture.pass();
        assert_eq!((plan.writes().count(), fixture.status().measuring.as_ref().unwrap().attempt), (1, attempt));
        fixture.pod_ends(1, &JudgeMessage::Failed("no memory".into()).to_json());
        assert!(fixture.pass().is_quiet(), "the Job tries again by itself");
        fixture.job_fails();
        let plan = fixture.pass();
        let delay = plan.requeue_after.unwrap();
        waited.push(delay.as_secs());
        let expected = if attempt < 3 { Verdict::Pending } else { Verdict::Error };
        assert_eq!(fixture.status().verdict, Some(expected), "{attempt}");
        assert!(fixture.says().1.ends_with("no memory"), "{:?}", fixture.says());
        let unmeasured = fixture.status().judgements.first().map(|judgement| judgement.measurement.is_some());
        assert_eq!(unmeasured, (attempt >= 3).then_some(true));
        fixture.now = at(fixture.now.as_second() - at(0).as_second() + i64::try_from(delay.as_secs()).unwrap() - 1);
        assert!(fixture.pass().is_quiet(), "it is not yet time");
        fixture.now = at(fixture.now.as_second() - at(0).as_second() + 1);
    }
    assert_eq!(waited, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    fixture.pass();
    fixture.pod_ends(0, &good());
    fixture.pass();
    assert_eq!(fixture.status().verdict, Some(Verdict::Passed));
}

#[test]
fn a_new_leader_asks_before_it_gives_a_job_up() {
    let mut fixture = Fixture::new();
    fixture.pass();
    let name = fixture.job().metadata.name.clone().unwrap();
    fixture.observed.jobs.clear();
    fixture.observed.expectations.clear();
    fixture.observed.leading_for = Duration::from_secs(5);
    assert!(fixture.pass().is_quiet(), "its creation may be on its way");
    fixture.observed.leading_for = Duration::from_secs(90);
    assert_eq!(fixture.pass().live_reads, [LiveRead::Job(name.clone())]);
    fixture.observed.live_reads.insert(name, at(0));
    fixture.pass();
    assert!(fixture.says().1.contains("is gone"), "{:?}", fixture.says());
    // This leader recorded it and does not know more: creating it again is right.
    let mut fixture = Fixture::new();
    fixture.pass();
    let name = fixture.observed.jobs.pop().unwrap().metadata.name.clone().unwrap();
    fixture.observed.expectations.insert(name, Expectation::Recorded);
    assert_eq!(fixture.pass().writes().count(), 1);
    // Its store went away in between.
    let (mut fixture, name) = (Fixture::new(), fixture.job().metadata.name.clone().unwrap());
    fixture.pass();
    fixture.observed.jobs.clear();
    fixture.observed.expectations.insert(name, Expectation::Recorded);
    Arc::make_mut(&mut fixture.observed.platform).default_store = None;
    assert_eq!(fixture.pass().writes().count(), 0);
    assert!(fixture.says().1.contains("cannot be measured yet"), "{:?}", fixture.says());
}

#[test]
fn what_a_complete_job_said_is_asked_for_before_it_is_given_up() {
    let mut fixture = Fixture::new();
    fixture.pass();
    let complete = json!({"completionTime": at(0).to_string(), "conditions": [{"type": "Complete", "status": "True"}]});
    Arc::make_mut(fixture.observed.jobs.last_mut().unwrap()).status = from_value(complete).unwrap();
    fixture.now = at(9);
    assert!(fixture.pass().live_reads.is_empty(), "its pod may be a moment behind");
    fixture.now = at(10);
    let name = fixture.job().metadata.name.clone().unwrap();
    assert_eq!(fixture.pass().live_reads, [LiveRead::Job(name.clone())]);
    assert_eq!(fixture.says().1, "the predictions are being measured");
    fixture.observed.live_reads.insert(name, at(10));
    fixture.pass();
    assert!(fixture.says().1.ends_with("what it said is lost"), "{:?}", fixture.says());
}

#[test]
fn pods_and_jobs_of_others_are_not_believed() {
    let mut fixture = Fixture::new();
    fixture.pass();
    fixture.pod_ends(0, &good());
    let pod = Arc::make_mut(fixture.observed.pods.last_mut().unwrap());
    pod.metadata.owner_references.as_mut().unwrap()[0].uid = "another".into();
    assert!(fixture.pass().is_quiet());
    let job = Arc::make_mut(fixture.observed.jobs.last_mut().unwrap());
    job.metadata.owner_references.as_mut().unwrap()[0].uid = "another".into();
    fixture.pass();
    assert!(fixture.says().1.contains("another object has the name"), "{:?}", fixture.says());
}

#[test]
fn what_stands_in_the_way_is_said() {
    let mut fixture = Fixture::new();
    fixture.observed.model = Some(model(|spec| spec["evaluation"]["uri"] = "s3://lake/labels.csv".into()));
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), plan.requeue_after), (0, Some(Duration::from_secs(30))));
    assert!(fixture.says().1.contains("create a Store"), "{:?}", fixture.says());
    type Change = fn(&mut Fixture);
    let refusals: [(Change, &str); 4] = [
        (|f| Arc::make_mut(&mut f.observed.platform).judge = None, "judge.enabled"),
        (|f| f.observed.model = Some(model(|spec| spec["task"] = json!({"type": "Other"}))), "set spec.task"),
        (
            |f| {
                Arc::make_mut(&mut f.observed.version).spec.evidence.clear();
            },
            "no predictions",
        ),
        (
            |f| {
                let evidence = &mut Arc::make_mut(&mut f.observed.version).spec.evidence;
                evidence.push(evidence[0].clone());
            },
            "evaluate.scored, evaluate.scored",
        ),
    ];
    for (change, words) in refusals {
        let mut fixture = Fixture::new();
        change(&mut fixture);
        assert_eq!(fixture.pass().writes().count(), 0);
        assert_eq!(fixture.status().verdict, Some(Verdict::Error), "{words}");
        assert!(fixture.says().1.contains(words), "{:?}", fixture.says());
    }
}

#[test]
fn without_an_evaluation_the_predictions_have_the_labels() {
    let mut fixture = Fixture::new();
    fixture.observed.model = Some(model(|spec| drop(spec.as_object_mut().unwrap().remove("evaluation"))));
    fixture.pass();
    let config = serde_json::to_string(fixture.job()).unwrap();
    assert!(!config.contains("inputs/labels"), "{config}");
    fixture.pod_ends(0, &good());
    fixture.pass();
    assert_eq!(fixture.status().judgements[0].labels, Some(LabelSource::SelfReported));
    assert!(fixture.says().1.contains("(self-reported labels)"), "{:?}", fixture.says());
}
