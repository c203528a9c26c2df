//! What a run does, step by step.

mod begin;
mod contracts;
mod failures;
mod faults;
mod fixture;
mod kept;
mod publish;
mod recover;
mod refused;
mod revisions;
mod waiting;

use std::sync::Arc;

use seatrial_crds::{MLPipelineRun, limits};
use serde_json::{Value, from_value, json};

use super::*;
use crate::contract::{Digest, ExitCode, Message};
use crate::observed::Expectation;
use crate::plan::{Blocked, Kind};
use fixture::*;

#[test]
fn steps_that_need_nothing_of_each_other_run_at_once_and_the_run_ends_well() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    assert_eq!(fixture.jobs_created.len(), 2);
    fixture.succeed("one");
    fixture.settle();
    assert_eq!(fixture.stands().0, "Running");
    fixture.succeed("two");
    fixture.settle();
    assert_eq!(fixture.stands(), ("Succeeded", "all steps are done"));
    assert!(plan(&fixture.observed, at(999)).is_quiet());
}

#[test]
fn a_training_makes_a_version_with_its_lineage() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    assert_eq!(fixture.step("train").state, StepState::Pending);
    fixture.succeed("prepare");
    fixture.settle();
    fixture.succeed("train");
    fixture.settle();
    assert_eq!(fixture.stands(), ("Succeeded", "all steps are done; made churn-v1"));
    insta::assert_yaml_snapshot!("version", fixture.observed.versions[0].as_ref());
    insta::assert_yaml_snapshot!("counter", fixture.observed.counters["churn"].to_object());
    insta::assert_yaml_snapshot!("run_status", fixture.status());
    // A step's begin and end, shared where they coincide (3); the end of the last step takes the version's number
    // along; the end of the run.
    assert_eq!(fixture.status_writes, 4);
}

#[test]
fn jobs_are_built_as_they_were() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    insta::assert_yaml_snapshot!("job_prepare", fixture.job("prepare").as_ref());
    fixture.succeed("prepare");
    fixture.settle();
    insta::assert_yaml_snapshot!("job_train", fixture.job("train").as_ref());
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    insta::assert_yaml_snapshot!("job_plain", fixture.job("one").as_ref());
}

#[test]
fn options_of_pipeline_and_step_reach_the_pod_and_the_step_wins() {
    let mut spec = plain();
    let ours = json!({
        "resources": {"requests": {"cpu": "1"}}, "pod": {"nodeSelector": {"disk": "ssd", "zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "serviceAccountName": "trainer", "imagePullSecrets": [{"name": "registry"}],
        "labels": {"cost": "42"}, "annotations": {"sidecar.istio.io/inject": "false"},
        "volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}},
                    {"name": "config", "configMap": {"name": "config", "items": [{"key": "a", "path": "a.yaml"}]}},
                    {"name": "keys", "secret": {"secretName": "keys"}}],
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}, {"name": "keys", "mountPath": "/etc/keys"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a100", "h100"]}]}]}}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "sharedMemory": "2Gi", "priorityClassName": "training", "runtimeClassName": "nvidia", "schedulerName": "volcano",
        "securityContext": {"runAsUser": 1000, "fsGroup": 2000, "supplementalGroups": [3000]}},
        "job": {"labels": {"kueue.x-k8s.io/queue-name": "ml", "owner": "growth"}, "annotations": {"note": "x"}},
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "lake"}}},
                {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
        "envFrom": [{"prefix": "DB_", "secretRef": {"name": "db"}}],
    });
    spec.as_object_mut().unwrap().extend(ours.as_object().unwrap().clone());
    let own = json!({
        "image": "other:2", "resources": {"limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}, "pod": {"nodeSelector": {"zone": "b"},
        "tolerations": [{"key": "spot", "value": "yes", "tolerationSeconds": 60, "effect": "NoExecute"}],
        "serviceAccountName": "other", "imagePullSecrets": [{"name": "mine"}],
        "labels": {"cost": "43"}, "volumeMounts": [{"name": "config", "mountPath": "/config", "readOnly": true}]},
        "job": {"labels": {"owner": "us"}},
    });
    spec["steps"][1].as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let mut fixture = Fixture::new(spec);
    fixture.settle();
    for step in ["one", "two"] {
        let job = fixture.job(step);
        let template = job.spec.as_ref().unwrap().template.clone();
        insta::assert_yaml_snapshot!(format!("pod_options_{step}"), template);
        let labels = job.metadata.labels.clone().unwrap();
        let owner = if step == "one" { "growth" } else { "us" };
        assert_eq!((labels["kueue.x-k8s.io/queue-name"].as_str(), labels["owner"].as_str()), ("ml", owner));
        assert_eq!(job.metadata.annotations.as_ref().unwrap()["note"], "x");
    }
}

#[test]
fn an_attempt_is_on_record_before_its_job_exists() {
    let mut fixture = Fixture::new(plain());
    while fixture.observed.run.status.as_ref().is_none_or(|status| status.steps.iter().all(|step| step.job.is_none())) {
        fixture.pass(0);
    }
    assert!(fixture.jobs_created.is_empty());
    fixture.settle();
    assert_eq!(fixture.jobs_created.len(), 2, "what is on record is created, once");
}

#[test]
fn a_crash_after_any_write_ends_the_same_with_no_job_twice() {
    for writes in 0..3 {
        for crash in 0..6 {
            let mut fixture = Fixture::new(training());
            for pass in 0..40 {
                fixture.now += 1;
                let writes = if pass == crash { writes } else { usize::MAX };
                fixture.pass(writes);
                if pass == crash {
                    fixture.change_leader();
                }
                fixture.answer_questions();
                for step in fixture.live() {
                    fixture.succeed(&step);
                }
            }
            assert_eq!(
                fixture.stands(),
                ("Succeeded", "all steps are done; made churn-v1"),
                "{writes} after pass {crash}"
            );
            let mut names = fixture.jobs_created.clone();
            names.sort();
            names.dedup();
            assert_eq!((names.len(), fixture.observed.versions.len()), (fixture.jobs_created.len(), 1));
        }
    }
}

/// A container that somebody injected may never end: the step is over all the same, and its Job goes a little later.
#[test]
fn a_step_is_over_when_its_pod_has_said_so() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    let (fetched, published) = messages();
    let sidecar = json!({"name": "proxy", "image": "proxy", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let status = json!({
        "phase": "Running",
        "initContainerStatuses": [ended("seatrial-fetch", 0, &fetched.to_json())],
        "containerStatuses": [ended("step", 0, ""), sidecar, ended("seatrial-publish", 0, &published.to_json())],
    });
    fixture.pod("prepare", status);
    fixture.settle();
    assert_eq!(
        (fixture.step("prepare").state, fixture.step("train").state),
        (StepState::Succeeded, StepState::Running)
    );
    let has_job =
        |fixture: &Fixture| fixture.observed.jobs.iter().any(|job| Some(job.name_any()) == fixture.step("prepare").job);
    assert!(has_job(&fixture), "its Job is usually complete in a moment");
    assert!(plan(&fixture.observed, at(1)).requeue_after.is_some_and(|after| after <= Duration::from_secs(30)));
    fixture.now = 31;
    let events = plan(&fixture.observed, at(31)).events;
    assert!(
        matches!(events.as_slice(), [event] if event.reason == "ContainerLeft" && event.message.contains("but proxy of its pod pod-0")),
        "{events:?}"
    );
    let mut refused = fixture.observed.clone();
    let (name, reason) = (fixture.step("prepare").job.clone().unwrap(), BlockedReason::Unavailable);
    refused.blocked = vec![Blocked { kind: Kind::Job, name, reason, message: "quota".into(), until: at(0) }];
    let again = plan(&refused, at(31));
    assert!(again.events.is_empty() && again.writes().count() == 1, "it is tried again, and was said");
    fixture.settle();
    assert!(!has_job(&fixture));
}

#[test]
fn a_wrong_parameter_ends_the_run_before_anything_starts() {
    let mut fixture = Fixture::new(training());
    Arc::make_mut(&mut fixture.observed.run).spec.parameters =
        from_value(json!([{"name": "learning-rate", "value": "fast"}])).unwrap();
    fixture.settle();
    let (reason, message) = fixture.stands();
    assert_eq!(reason, "InvalidParameters");
    assert!(message.contains("learning-rate"), "{message}");
    assert!(fixture.jobs_created.is_empty());
}

#[test]
fn a_uri_without_a_store_and_a_store_that_is_not_ready_are_waited_for_and_said() {
    let mut elsewhere = training();
    elsewhere["steps"][0]["inputs"][0]["uri"] = json!("s3://lake/raw/");
    let mut fixture = Fixture::new(elsewhere);
    fixture.settle();
    assert_eq!(fixture.step("prepare").reason.as_deref(), Some("StoreNotFound"));
    assert!(fixture.stands().1.contains("create a Store"), "{:?}", fixture.stands());
    let mut fixture = Fixture::new(training());
    let authority = |fixture: &mut Fixture, pem: Option<&str>| {
        let platform = Arc::make_mut(&mut fixture.observed.platform);
        platform.default_store.as_mut().unwrap().certificate_authority = pem.map(Into::into);
    };
    authority(&mut fixture, None);
    fixture.settle();
    assert_eq!(fixture.step("prepare").reason.as_deref(), Some("StoreNotReady"));
    authority(&mut fixture, Some("pem"));
    fixture.settle();
    assert_eq!(fixture.step("prepare").state, StepState::Running);
    // From now on the prefix is on record: a store that goes away for a moment loses nothing.
    authority(&mut fixture, None);
    fixture.succeed("prepare");
    fixture.settle();
    let digest = fixture.step("prepare").outputs[0].digest.clone();
    let uri = inputs::artifact_uri(fixture.status(), &digest).unwrap();
    assert!(uri.starts_with("s3://growth/seatrial/artifacts/"), "{uri}");
}

#[test]
fn a_foreign_object_under_a_childs_name_is_named() {
    let mut fixture = Fixture::new(plain());
    let failure = Blocked {
        kind: Kind::Job,
        name: "x".into(),
        reason: BlockedReason::Clash,
        message: "exists".into(),
        until: at(0),
    };
    fixture.observed.blocked.push(failure);
    fixture.pass(0);
    assert_eq!(fixture.stands().0, "NameTaken");
}

/// At the API's bounds, with the longest values that steps can report, a status stays within what etcd takes.
#[test]
fn the_largest_status_stays_under_a_mebibyte() {
    let name = |prefix: &str, n: usize| format!("{prefix}{n:0>width$}", width = limits::NAME - prefix.len());
    let digest = Digest::of(b"x").to_string();
    let steps: Vec<Value> = (0..limits::STEPS)
        .map(|step| {
            let inputs: Vec<Value> = (0..limits::INPUTS)
                .map(|n| json!({"name": name("i", n), "digest": digest, "size": i64::MAX}))
                .collect();
            let outputs: Vec<Value> = (0..limits::OUTPUTS)
                .map(|n| json!({"name": name("o", n), "type": "Dataset", "digest": digest, "size": i64::MAX}))
                .collect();
            let metrics: Vec<Value> = (0..limits::METRICS)
                .map(|n| json!({"output": name("o", 0), "name": format!("{n:0>63}"), "value": "0.123456789012345"}))
                .collect();
            json!({
                "name": name("s", step), "state": "Succeeded", "attempt": 9, "job": "j".repeat(50),
                "imageDigest": "i".repeat(200), "startedAt": at(0).to_string(), "finishedAt": at(0).to_string(),
                "inputs": inputs, "outputs": outputs, "metrics": metrics,
            })
        })
        .collect();
    let prefix = format!("s3://{}/", "p".repeat(limits::PREFIX - 6));
    let status: MLPipelineRunStatus = from_value(json!({"artifactPrefix": prefix, "steps": steps})).unwrap();
    let size = serde_json::to_vec(&status).unwrap().len();
    assert!(size < 1 << 20, "{size} bytes");
}
