//! From a measured version to the verdict on its champion: what is pinned, created, read and tried again.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{Duel, MLPipeline, MLPipelineSpec, ModelDeployment, ModelVersion};
use serde_json::{Value, from_value, json};

use super::measure_tests::{Fixture, artifact, at, digest, good, model};
use super::*;
use crate::contract::{Compared, ComparedFold, JudgeMessage, Message, ReportedInput, ReportedOutput};
use crate::plan::{LiveRead, Object, Write};
use crate::revision::Revision;

/// A gate that asks for no more than that the version is hardly worse.
fn gate(min_gain: &str) -> Value {
    json!([{"name": "better", "type": "Champion", "champion": {"metric": "Cost", "minGain": min_gain}}])
}

fn pipeline(change: impl FnOnce(&mut Value)) -> Arc<Revision> {
    let mut spec = json!({
        "image": "churn:1",
        "steps": [
            {"name": "train", "command": ["train"], "outputs": [{"name": "model", "type": "Model"}, {"name": "test", "type": "Dataset"}]},
            {
                "name": "evaluate", "command": ["evaluate"], "retry": {"limit": 1},
                "inputs": [
                    {"name": "model", "from": {"step": "train", "output": "model"}},
                    {"name": "test", "from": {"step": "train", "output": "test"}},
                    {"name": "names", "uri": "s3://growth/names.csv"},
                ],
                "outputs": [{"name": "scored", "type": "Predictions"}],
                "resources": {"requests": {"memory": "1Gi"}},
            },
        ],
        "parameters": [{"name": "depth", "type": "Number", "default": "3"}],
        "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"}, "evidence": [{"step": "evaluate", "output": "scored"}]}],
    });
    change(&mut spec);
    let spec: MLPipelineSpec = from_value(spec).unwrap();
    Arc::new(crate::revision::build(&MLPipeline::new("churn", spec), 1).into())
}

/// A version of the same model, with a verdict.
fn other(number: i64, verdict: &str) -> Arc<ModelVersion> {
    let name = format!("churn-v{number}");
    let version = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion", "metadata": {"name": name, "namespace": "growth"},
        "spec": {"model": "churn", "number": number, "purpose": "Release", "artifact": artifact("c")},
        "status": {"verdict": verdict, "threshold": {"value": "0.3", "lowest": "0.3", "highest": "0.3"}},
    });
    Arc::new(from_value(version).unwrap())
}

fn serving(version: &str, threshold: Option<&str>) -> Arc<ModelDeployment> {
    let deployment = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "churn", "namespace": "growth"},
        "spec": {"model": "churn", "server": {"image": "x", "port": 80}},
        "status": {"servedVersion": version, "servedThreshold": threshold},
    });
    Arc::new(from_value(deployment).unwrap())
}

/// Version 5 of the model, which is measured; version 4 passed before.
fn fixture(change: impl FnOnce(&mut Fixture)) -> Fixture {
    let mut fixture = Fixture::new();
    {
        let observed = &mut fixture.observed;
        let version = Arc::make_mut(&mut observed.version);
        version.metadata.name = Some("churn-v5".into());
        version.spec.number = 5;
        version.spec.lineage.as_mut().unwrap().parameters =
            from_value(json!([{"name": "depth", "value": "4"}])).unwrap();
        let run = Arc::make_mut(observed.run.as_mut().unwrap());
        let status = run.status.as_mut().unwrap();
        status.versions[0].name = "churn-v5".into();
        status.started_at = Some(Time(at(-500)));
        let mut test = status.steps[0].outputs[0].clone();
        (test.name, test.kind, test.digest) = ("test".into(), seatrial_crds::OutputType::Dataset, digest("b"));
        status.steps[0].outputs.push(test);
        status.steps[1].inputs = from_value(json!([{"name": "names", "digest": digest("7"), "size": 1}])).unwrap();
        observed.revision = Some(pipeline(|_| ()));
        observed.model = Some(model(|spec| spec["gates"] = gate("-0.01")));
        observed.versions = vec![other(4, "Passed"), other(3, "Passed"), other(2, "Failed"), observed.version.clone()];
    }
    change(&mut fixture);
    fixture.pass();
    fixture.pod_ends(0, &good());
    fixture
}

fn duel(fixture: &Fixture) -> &Duel {
    fixture.status().duel.as_ref().unwrap()
}

fn names(fixture: &Fixture) -> Option<&str> {
    duel(fixture).champion.as_ref().map(|champion| champion.version.as_str())
}

/// Jobs that are over go after a while.
fn only_newest(fixture: &mut Fixture) {
    let jobs = &mut fixture.observed.jobs;
    *jobs = jobs.pop().into_iter().collect();
}

/// The judge has compared.
fn judged(fixture: &mut Fixture, message: &str) {
    only_newest(fixture);
    fixture.pod_ends(0, message);
}

/// The pod of the evaluation ends so; with 0 it made these predictions of these names.
fn evaluated(fixture: &mut Fixture, code: i32, names: &str) {
    only_newest(fixture);
    let digest_of = |letter: &str| digest(letter).parse().unwrap();
    let input = |name: &str, letter: &str| ReportedInput { name: name.into(), digest: digest_of(letter), size: 1 };
    let fetched =
        Message { inputs: vec![input("model", "c"), input("test", "b"), input("names", names)], ..Message::new() };
    let output = ReportedOutput { name: "scored".into(), digest: digest_of("f"), size: 9, files: 1 };
    let published = Message { outputs: vec![output], ..Message::new() };
    let ended = |name: &str, code: i32, message: &str| {
        json!({"name": name, "ready": false, "restartCount": 0, "image": "x", "imageID": "",
            "state": {"terminated": {"exitCode": code, "message": message, "finishedAt": "2027-01-15T08:00:00Z"}}})
    };
    let job = fixture.job();
    let pod: Pod = from_value(json!({
        "metadata": {"name": "evaluation", "namespace": "growth",
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job.metadata.name, "uid": job.metadata.uid, "controller": true}]},
        "status": {"phase": if code == 0 { "Succeeded" } else { "Failed" },
            "initContainerStatuses": [ended("seatrial-fetch", 0, &fetched.to_json())],
            "containerStatuses": [ended("step", code, "KeyError: 'tenure'"), ended("seatrial-publish", 0, &published.to_json())]},
    }))
    .unwrap();
    fixture.observed.pods = vec![Arc::new(pod)];
}

/// The version finds 80 of 100 positives and flags 90 of 900 negatives; the champion finds 75, of which the version 72, and
/// flags 95, of which it 85.
fn compared(both: i64) -> String {
    let flagged = |true_positives, false_positives| seatrial_crds::FlaggedCounts { true_positives, false_positives };
    let rows = seatrial_crds::ClassCounts { positives: 100, negatives: 900 };
    let fold = ComparedFold { rows, champion: flagged(75, 95), both: vec![flagged(both, 85)] };
    JudgeMessage::Compared(Compared { folds: vec![fold] }).to_json()
}

fn verdict(fixture: &Fixture) -> (Verdict, &str) {
    let judged = fixture.status().judgements.first().and_then(|judgement| {
        let gate = judgement.gates.iter().find(|gate| gate.name == "better")?;
        Some((gate.verdict, gate.message.as_str()))
    });
    judged.unwrap_or((Verdict::Pending, fixture.says().1))
}

#[test]
fn the_champion_is_evaluated_on_the_same_data_and_compared() {
    let mut fixture = fixture(|_| ());
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().verdict), (1, Some(Verdict::Pending)));
    assert_eq!(fixture.says().1, "the champion churn-v4 is being evaluated on the same data");
    assert_eq!((names(&fixture), duel(&fixture).evaluations), (Some("churn-v4"), 1));
    insta::assert_yaml_snapshot!("duel_job", fixture.job());
    assert!(fixture.pass().is_quiet(), "nothing is done while it goes on");
    evaluated(&mut fixture, 0, "7");
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().verdict), (1, Some(Verdict::Pending)));
    assert_eq!(fixture.says().1, "the champion churn-v4 is being compared with");
    let predictions = duel(&fixture).predictions.clone().unwrap();
    assert!(predictions.uri.starts_with("s3://growth/seatrial/artifacts/ff/"), "{predictions:?}");
    insta::assert_yaml_snapshot!("comparing_job", fixture.job().spec.as_ref().unwrap().template.spec);
    judged(&mut fixture, &compared(72));
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().verdict), (0, Some(Verdict::Inconclusive)));
    let (_, message) = verdict(&fixture);
    // 1.4 * (8 - 3)/100 + 0.93 * (10 - 5)/900.
    assert!(message.starts_with("saves 0.0752 EUR for each prediction against the champion churn-v4"), "{message}");
    // Another bar starts no Job, nor does another cost.
    for (bar, miss, expected) in
        [("-0.5", "20", Verdict::Passed), ("0.5", "20", Verdict::Failed), ("-0.5", "10", Verdict::Passed)]
    {
        fixture.observed.model = Some(model(|spec| {
            spec["gates"] = gate(bar);
            spec["errorCosts"]["falseNegative"] = miss.into();
        }));
        let plan = fixture.pass();
        assert_eq!((plan.writes().count(), verdict(&fixture).0), (0, expected), "{:?}", verdict(&fixture));
    }
    // Jobs go after a while: what was counted stays, also when another version serves by then.
    (fixture.observed.jobs, fixture.observed.pods) = (vec![], vec![]);
    fixture.observed.expectations.clear();
    fixture.observed.deployments = vec![serving("churn-v4", None)];
    assert!(fixture.pass().is_quiet());
}

#[test]
fn the_champion_is_the_version_in_service_else_the_newest_that_passed() {
    type Change = fn(&mut Fixture);
    // Name and threshold.
    type Expected = Option<(&'static str, Option<&'static str>)>;
    let table: [(Change, Expected); 6] = [
        (|_| (), Some(("churn-v4", Some("0.3")))),
        // It keeps the threshold that it serves with.
        (|f| f.observed.deployments = vec![serving("churn-v3", Some("0.7"))], Some(("churn-v3", Some("0.7")))),
        // What serves need not have passed.
        (|f| f.observed.deployments = vec![serving("churn-v2", None)], Some(("churn-v2", None))),
        // A version that is gone is nobody's champion.
        (|f| f.observed.deployments = vec![serving("churn-v1", None)], Some(("churn-v4", Some("0.3")))),
        (|f| f.observed.versions = vec![other(2, "Failed"), other(1, "Held")], None),
        // It serves itself: nobody passes by being served first.
        (|f| f.observed.deployments = vec![serving("churn-v5", None)], Some(("churn-v4", Some("0.3")))),
    ];
    for (number, (change, expected)) in table.into_iter().enumerate() {
        let mut fixture = fixture(change);
        fixture.pass();
        let champion = duel(&fixture).champion.as_ref();
        let found = champion.map(|champion| (champion.version.as_str(), champion.threshold.as_deref()));
        assert_eq!(found, expected, "{number}");
        if expected.is_none() {
            assert_eq!(verdict(&fixture).0, Verdict::Passed, "{number}");
            assert!(verdict(&fixture).1.starts_with("FirstVersion"), "{:?}", verdict(&fixture));
            // And it stays so, whatever serves later.
            fixture.observed.deployments = vec![serving("churn-v4", None)];
            assert!(fixture.pass().is_quiet());
        }
    }
}

#[test]
fn a_version_that_is_older_than_the_champion_holds_no_duel() {
    let mut fixture = fixture(|f| f.observed.versions.push(other(6, "Passed")));
    assert_eq!(fixture.pass().writes().count(), 0);
    assert_eq!(fixture.status().duel, None);
    let (found, message) = verdict(&fixture);
    assert_eq!(found, Verdict::Inconclusive);
    assert!(message.starts_with("the champion churn-v6 is newer"), "{message}");
}

#[test]
fn versions_that_were_judged_on_the_same_labels_are_counted() {
    let mut fixture = fixture(|f| {
        for version in f.observed.versions.iter_mut().take(2) {
            let measurement = json!({"key": "x", "measuredAt": "2027-01-01T00:00:00Z", "labels": "Owner", "labelsDigest": digest("d"), "rows": 1});
            Arc::make_mut(version).status.as_mut().unwrap().measurement = Some(from_value(measurement).unwrap());
        }
    });
    fixture.pass();
    assert_eq!(duel(&fixture).judged_before, Some(2));
}

#[test]
fn a_champion_that_crashes_on_the_data_is_inconclusive_and_is_not_tried_again() {
    let mut fixture = fixture(|_| ());
    fixture.pass();
    evaluated(&mut fixture, 1, "7");
    assert!(fixture.pass().is_quiet(), "the Job tries again by itself");
    fixture.job_fails();
    fixture.pass();
    let (found, message) = verdict(&fixture);
    assert_eq!(found, Verdict::Inconclusive);
    assert!(message.contains("churn-v4 could not be compared with: the command of step \"evaluate\""), "{message}");
    assert!(message.contains("KeyError"), "{message}");
    fixture.now = at(100_000);
    assert!(fixture.pass().is_quiet());
}

#[test]
fn what_is_nobodys_fault_is_tried_again_and_each_time_under_another_name() {
    let mut fixture = fixture(|_| ());
    let mut jobs = vec![];
    for attempt in 1..=4_i64 {
        let plan = fixture.pass();
        assert_eq!((plan.writes().count(), duel(&fixture).evaluations), (1, attempt));
        jobs.push(fixture.job().metadata.name.clone().unwrap());
        // Somebody deletes it.
        fixture.observed.jobs.pop();
        let plan = fixture.pass();
        let expected = if attempt < 3 { Verdict::Pending } else { Verdict::Inconclusive };
        assert_eq!(verdict(&fixture).0, expected, "{:?}", verdict(&fixture));
        fixture.now = fixture.now.checked_add(plan.requeue_after.unwrap()).unwrap();
    }
    jobs.dedup();
    assert_eq!(jobs.len(), 4);
    // Another evaluation is measured first. The champion's Job under way is stopped, and the next has a number of its own.
    fixture.pass();
    fixture.observed.model = Some(model(|spec| {
        spec["gates"] = gate("-0.01");
        spec["evaluation"]["label"] = "left".into();
    }));
    let plan = fixture.pass();
    let kinds: Vec<bool> = plan.writes().map(|write| matches!(write, Write::Delete { .. })).collect();
    assert_eq!(kinds, [true, false]);
    fixture.pod_ends(0, &good());
    fixture.pass();
    assert_eq!((duel(&fixture).evaluations, fixture.status().measuring.as_ref().unwrap().attempt), (6, 6));
}

#[test]
fn a_new_leader_asks_before_it_gives_the_evaluation_up() {
    let mut fixture = fixture(|_| ());
    fixture.pass();
    let name = fixture.job().metadata.name.clone().unwrap();
    fixture.observed.jobs.clear();
    fixture.observed.expectations.clear();
    assert_eq!(fixture.pass().live_reads, [LiveRead::Job(name)]);
}

#[test]
fn data_or_labels_that_changed_meanwhile_compare_nothing() {
    let mut fixture_of_data = fixture(|_| ());
    fixture_of_data.pass();
    evaluated(&mut fixture_of_data, 0, "8");
    fixture_of_data.pass();
    let (found, message) = verdict(&fixture_of_data);
    assert_eq!(found, Verdict::Inconclusive);
    assert!(message.contains("the data of the input \"names\" of the step \"evaluate\" have changed"), "{message}");
    // Rows that the version was not measured on: both cannot be more than the version's own 80.
    let mut fixture = fixture(|_| ());
    fixture.pass();
    evaluated(&mut fixture, 0, "7");
    fixture.pass();
    let message = compared(72).replace("[100,900]", "[101,899]");
    judged(&mut fixture, &message);
    fixture.pass();
    let (found, message) = verdict(&fixture);
    assert_eq!(found, Verdict::Inconclusive);
    assert!(message.contains("the labels have changed"), "{message}");
}

#[test]
fn what_keeps_a_duel_from_being_held_is_said() {
    type Change = fn(&mut Fixture);
    let no_input = |fixture: &mut Fixture| {
        fixture.observed.revision =
            Some(pipeline(|spec| drop(spec["steps"][1]["inputs"].as_array_mut().unwrap().remove(0))));
    };
    let table: [(Change, Verdict, &str); 3] = [
        (no_input, Verdict::Error, "does not have train.model as an input"),
        (|f| f.observed.revision = None, Verdict::Inconclusive, "the revision that its run executed is gone"),
        (
            |f| Arc::make_mut(f.observed.run.as_mut().unwrap()).metadata.uid = Some("other".into()),
            Verdict::Inconclusive,
            "its run, which",
        ),
    ];
    for (change, expected, says) in table {
        let mut fixture = fixture(|_| ());
        change(&mut fixture);
        // Its status vouches for it, whatever became of the run.
        let plan = fixture.pass();
        let (found, message) = verdict(&fixture);
        assert_eq!((found, plan.writes().count()), (expected, 0), "{message}");
        assert!(message.contains(says), "{message}");
    }
    // Where no gate asks, no duel is held.
    let mut fixture = fixture(|f| f.observed.model = Some(model(|_| ())));
    assert_eq!(fixture.pass().writes().count(), 0);
    assert_eq!((fixture.status().duel.as_ref(), fixture.status().verdict), (None, Some(Verdict::Passed)));
}

#[test]
fn a_duel_that_nobody_asks_for_any_more_is_broken_off() {
    let mut fixture = fixture(|_| ());
    fixture.pass();
    fixture.observed.pods.clear();
    fixture.observed.model = Some(model(|_| ()));
    let plan = fixture.pass();
    assert!(plan.writes().all(|write| matches!(write, Write::Delete { .. })) && plan.writes().count() > 0, "{plan:?}");
    assert_eq!((fixture.status().measuring.as_ref(), fixture.status().verdict), (None, Some(Verdict::Passed)));
    // Asked for again, it goes on with the same champion and another Job.
    fixture.observed.versions.push(other(6, "Passed"));
    fixture.observed.model = Some(model(|spec| spec["gates"] = gate("-0.01")));
    fixture.pass();
    assert_eq!((names(&fixture), duel(&fixture).evaluations), (Some("churn-v4"), 2));
}

#[test]
fn a_store_that_is_missing_is_waited_for() {
    let mut fixture = fixture(|_| ());
    fixture.observed.revision =
        Some(pipeline(|spec| spec["steps"][1]["inputs"][2]["uri"] = "s3://lake/names.csv".into()));
    let plan = fixture.pass();
    assert_eq!((plan.writes().count(), fixture.status().measuring.as_ref()), (0, None));
    assert!(fixture.says().1.contains("cannot be evaluated on the same data yet"), "{:?}", fixture.says());
    fixture.observed.revision = Some(pipeline(|_| ()));
    let plan = fixture.pass();
    assert!(plan.writes().all(|write| matches!(write, Write::Create(Object::Job(_)))) && plan.writes().count() == 1);
}
