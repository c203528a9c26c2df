//! What holds a run up, and what ends that.

use std::sync::Arc;

use serde_json::{from_value, json};

use super::fixture::*;
use super::*;
use crate::contract::{ExitCode, Message};
use crate::observed::{Expectation, ProbeEvent, ProbeReport};
use crate::plan::LiveRead;

fn without_a_store() -> Fixture {
    let mut spec = training();
    spec["steps"][0]["inputs"][0]["uri"] = json!("s3://lkae/raw/");
    let mut fixture = Fixture::new(spec);
    fixture.settle();
    fixture
}

#[test]
fn a_corrected_pipeline_does_not_wait_for_a_run_that_waits_for_a_person() {
    let mut fixture = without_a_store();
    assert_eq!(fixture.stands().0, "Waiting");
    fixture.observed.siblings.push(newer_change());
    fixture.settle();
    assert_eq!(fixture.stands(), ("Superseded", "a newer change is run by \"churn-c2\""));
    assert!(fixture.status().steps.iter().all(|step| step.state == StepState::Skipped));
}

/// Nothing is lost by it: no command has started.
#[test]
fn a_correction_takes_over_from_a_run_whose_pods_do_not_start() {
    let unschedulable = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]});
    let no_image = json!({"phase": "Pending", "containerStatuses": [waiting("step", "ImagePullBackOff")]});
    for status in [unschedulable, no_image] {
        let mut fixture = Fixture::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"]}]}));
        fixture.settle();
        fixture.pod("one", status);
        fixture.settle();
        assert_eq!(fixture.stands().0, "Waiting");
        fixture.observed.siblings.push(newer_change());
        fixture.settle();
        assert_eq!(fixture.stands().0, "Superseded");
        assert!(fixture.observed.jobs.is_empty(), "its Job is deleted");
    }
}

#[test]
fn a_run_that_is_at_work_is_not_superseded() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.observed.siblings.push(newer_change());
    fixture.settle();
    assert_eq!(fixture.stands().0, "Running");
    // One step is refused, the other works: its work is not thrown away.
    refuse(&mut fixture, BlockedReason::Refused);
    fixture.pass(usize::MAX);
    assert_eq!((fixture.step("one").reason.as_deref(), fixture.stands().0), (Some("WriteRefused"), "WriteRefused"));
    assert_eq!(fixture.step("two").state, StepState::Running);
}

#[test]
fn a_missing_store_is_given_up_after_an_hour_and_forgotten_when_it_comes() {
    let mut fixture = without_a_store();
    let since = fixture.step("prepare").blocked_since.clone();
    assert!(since.is_some());
    let mut late = without_a_store();
    late.now = HOLD_LIMIT;
    late.settle();
    assert_eq!((late.step("prepare").reason.as_deref(), late.stands().0), (Some("StoreNotFound"), "StepFailed"));
    fixture.observed.stores.push(Arc::new(
        from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "Store", "metadata": {"name": "lake"},
            "spec": {"prefix": "s3://lkae/"},
        }))
        .unwrap(),
    ));
    fixture.now = 600;
    fixture.settle();
    let step = fixture.step("prepare");
    assert_eq!((step.state, &step.blocked_since, &step.reason), (StepState::Running, &None, &None));
}

#[test]
fn the_end_of_a_run_that_was_cut_off_is_made_up_for() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.pod("one", json!({"phase": "Pending", "containerStatuses": [waiting("step", "ImagePullBackOff")]}));
    fixture.end_job("two", json!({"type": "Failed", "status": "True"}));
    fixture.now = 400;
    // The status is written, after the API server was asked for the pod of the Job that failed, and then the operator is killed.
    fixture.observed.live_reads.insert(fixture.step("two").job.clone().unwrap(), at(400));
    fixture.pass(0);
    fixture.change_leader();
    assert!(has_ended(fixture.observed.run.status.as_ref()));
    assert_eq!(fixture.live().len() + fixture.observed.jobs.iter().filter(|job| job.status.is_none()).count(), 1);
    fixture.settle();
    assert!(fixture.observed.jobs.iter().all(|job| job.status.is_some()), "the Job goes after all");
    assert!(plan(&fixture.observed, at(500)).is_quiet());
}

#[test]
fn a_short_step_does_not_pass_for_an_outage() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    let mut step = ended("step", 0, "");
    step["state"]["terminated"]["finishedAt"] = json!(at(5).to_string());
    let publish = json!({"name": "seatrial-publish", "image": "agent", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"running": {}}});
    fixture.pod("prepare", json!({"phase": "Running", "containerStatuses": [step, publish]}));
    fixture.now = 6;
    let writes = fixture.status_writes;
    fixture.settle();
    assert_eq!(fixture.status_writes, writes, "a container is not ready before its first probe");
    assert_eq!(plan(&fixture.observed, at(6)).requeue_after, Some(LOOK_AGAIN));
    fixture.now = 60;
    fixture.settle();
    assert_eq!(fixture.step("prepare").reason.as_deref(), Some("StoreUnavailable"));
}

/// What `publish` tells the kubelet is in an event, which nobody watches: it is asked for, and counts while it is fresh.
#[test]
fn why_an_upload_waits_is_told_in_the_agents_words() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    let mut step = ended("step", 0, "");
    step["state"]["terminated"]["finishedAt"] = json!(at(5).to_string());
    let publish = json!({"name": "seatrial-publish", "image": "agent", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {}}});
    fixture.pod("prepare", json!({"phase": "Running", "containerStatuses": [step, publish]}));
    let (pod, uid) =
        fixture.observed.pods.last().map(|pod| (pod.name_any(), pod.metadata.uid.clone().unwrap())).unwrap();
    let asks = LiveRead::PodEvents { pod, uid: uid.clone() };
    fixture.now = 30;
    assert!(plan(&fixture.observed, at(30)).live_reads.is_empty(), "most uploads take no longer");
    assert_eq!(plan(&fixture.observed, at(40)).live_reads, std::slice::from_ref(&asks));
    let message = "Liveness probe failed: the upload is tried again: 403 Forbidden, ExpiredToken; the keys have expired: put new ones into the Store's Secret\n";
    let last = ProbeEvent { reason: "Unhealthy".into(), message: message.into(), seen_at: Some(at(35)) };
    fixture.observed.probes.insert(uid, ProbeReport { read_at: at(40), last: Some(last) });
    fixture.now = 41;
    fixture.settle();
    let step = fixture.step("prepare");
    assert_eq!(step.reason.as_deref(), Some("StoreUnavailable"));
    assert!(step.message.as_deref().is_some_and(|message| message.ends_with("put new ones into the Store's Secret")));
    assert!(plan(&fixture.observed, at(99)).live_reads.is_empty());
    assert_eq!(plan(&fixture.observed, at(100)).live_reads, [asks]);
    fixture.now = 460;
    fixture.settle();
    assert_eq!(fixture.step("prepare").reason, None, "the store is back, as far as anybody heard");
}

/// An outage of any length at a step's start costs no work: it is bounded by time, and told in the agent's words throughout.
#[test]
fn a_store_that_is_away_when_a_step_begins_is_waited_for_as_long_as_one_at_its_end() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    let away =
        Message::failed(ExitCode::StoreUnavailable, "s3://lake/raw cannot be reached: connection refused").to_json();
    for _ in 0..2 * limits::INTERRUPTIONS {
        fixture
            .pod("prepare", json!({"phase": "Failed", "initContainerStatuses": [ended("seatrial-fetch", 69, &away)]}));
        fixture.settle();
        let step = fixture.step("prepare");
        assert_eq!((step.state, step.reason.as_deref()), (StepState::Running, Some("StoreUnavailable")));
    }
    let waiting = json!({"name": "seatrial-fetch", "image": "agent", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"running": {}}});
    fixture.pod("prepare", json!({"phase": "Pending", "initContainerStatuses": [waiting]}));
    let writes = fixture.status_writes;
    fixture.settle();
    assert_eq!(fixture.status_writes, writes, "the words stand while the next pod tries");
    fixture.now = 6 * 3600;
    fixture.settle();
    let step = fixture.step("prepare");
    assert_eq!((step.state, step.reason.as_deref()), (StepState::Failed, Some("StoreUnavailable")));
    let message = step.message.clone().unwrap();
    assert!(message.contains("waited 6 hours") && message.ends_with("connection refused"), "{message}");
}

#[test]
fn nothing_is_given_up_before_the_api_server_was_asked() {
    // Neither a Job that the cache should show by now ...
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let name = fixture.step("one").job.clone().unwrap();
    fixture.observed.jobs.retain(|job| job.name_any() != name);
    fixture.observed.expectations.insert(name.clone(), Expectation::Created(at(0)));
    let lost = plan(&fixture.observed, at(120));
    assert_eq!((lost.live_reads.as_slice(), lost.writes().count()), ([LiveRead::Job(name.clone())].as_slice(), 0));
    fixture.observed.live_reads.insert(name, at(121));
    assert_eq!(plan(&fixture.observed, at(122)).writes().count(), 1, "now it is lost: the next attempt");
    // ... nor a report that should be there.
    let mut fixture = Fixture::new(training());
    fixture.settle();
    fixture.end_job("prepare", json!({"type": "Complete", "status": "True"}));
    let name = fixture.step("prepare").job.clone().unwrap();
    let late = plan(&fixture.observed, at(60));
    assert_eq!((late.live_reads.as_slice(), late.writes().count()), ([LiveRead::Job(name)].as_slice(), 0));
    // The answer brought the pod along.
    fixture.observed.jobs.iter_mut().for_each(|job| Arc::make_mut(job).status = None);
    fixture.succeed("prepare");
    fixture.now = 61;
    fixture.settle();
    assert_eq!((fixture.step("prepare").state, fixture.step("prepare").attempt), (StepState::Succeeded, Some(1)));
}

#[test]
fn a_damaged_report_is_read_from_the_store_instead_of_running_the_step_again() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    let cut = r#"{"version": 1, "inputs": [{"na"#;
    fixture.pod(
        "prepare",
        json!({
            "phase": "Succeeded", "initContainerStatuses": [ended("seatrial-fetch", 0, cut)],
            "containerStatuses": [ended("step", 0, ""), ended("seatrial-publish", 0, "{}")],
        }),
    );
    fixture.end_job("prepare", json!({"type": "Complete", "status": "True"}));
    fixture.keep_record("prepare");
    fixture.settle();
    assert_eq!(fixture.step("prepare").reason.as_deref(), Some("Recovering"));
    fixture.answer_questions();
    fixture.settle();
    assert_eq!((fixture.step("prepare").state, fixture.step("prepare").attempt), (StepState::Succeeded, Some(1)));
}

#[test]
fn a_step_with_nothing_to_report_is_done_when_its_job_is() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.end_job("one", json!({"type": "Complete", "status": "True"}));
    fixture.settle();
    assert_eq!((fixture.step("one").state, fixture.step("one").attempt), (StepState::Succeeded, Some(1)));
}

#[test]
fn a_failed_step_is_told_while_others_still_run() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.pod("one", json!({"phase": "Failed", "containerStatuses": [ended("step", 1, "boom")]}));
    fixture.end_job("one", json!({"type": "Failed", "status": "True"}));
    fixture.settle();
    assert!(fixture.stands().1.contains("boom"), "{:?}", fixture.stands());
    assert_eq!(fixture.step("two").state, StepState::Running);
}

#[test]
fn a_step_is_given_up_only_after_an_hour_in_which_no_other_moved() {
    let mut spec = plain();
    spec["steps"] = json!([{"name": "one", "command": ["true"]}, {"name": "two", "command": ["true"]}]);
    let mut fixture = Fixture::new(spec);
    fixture.settle();
    refuse(&mut fixture, BlockedReason::Refused);
    fixture.pass(0);
    assert_eq!(fixture.step("one").reason.as_deref(), Some("WriteRefused"));
    fixture.now = 4000;
    fixture.pass(0);
    assert_eq!(fixture.step("one").state, StepState::Running, "the other step is at work: it may fill a quota");
    fixture.succeed("two");
    fixture.pass(0);
    fixture.now = 4000 + 3599;
    fixture.pass(0);
    assert_eq!(fixture.step("one").state, StepState::Running);
    fixture.now = 4000 + 3601;
    fixture.pass(0);
    assert_eq!(fixture.step("one").state, StepState::Failed);
}
