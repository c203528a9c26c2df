//! Why a step fails or is tried again, and what is said of it.

use std::sync::Arc;

use seatrial_crds::limits;
use serde_json::{from_value, json};

use super::fixture::*;
use super::*;
use crate::contract::{ExitCode, Message};

/// The cache of pods may be behind that of Jobs: what failed is not guessed.
#[test]
fn why_a_job_failed_is_asked_for_where_no_pod_is_in_sight() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let job = fixture.step("one").job.clone().unwrap();
    fixture.end_job(
        "one",
        json!({"type": "Failed", "status": "True", "message": "x", "lastTransitionTime": at(100).to_string()}),
    );
    let soon = plan(&fixture.observed, at(105));
    assert!(soon.live_reads.is_empty() && soon.writes().count() == 0, "the pod's last update may be a moment behind");
    assert_eq!(plan(&fixture.observed, at(111)).live_reads, [LiveRead::Job(job)]);
    let mut without = fixture.clone();
    without.now = 111;
    without.settle();
    assert_eq!(without.step("one").reason.as_deref(), Some("JobFailed"), "there is none");
    fixture.pod("one", json!({"phase": "Failed", "containerStatuses": [ended("step", 3, "boom")]}));
    fixture.now = 111;
    fixture.settle();
    assert_eq!(fixture.step("one").reason.as_deref(), Some("CommandFailed"));
}

#[test]
fn failures_say_whose_fault_they_were_and_skip_what_comes_after() {
    let failed = |container: &str, code, message: &str| {
        let key = if container == "seatrial-fetch" { "initContainerStatuses" } else { "containerStatuses" };
        json!({"phase": "Failed", key: [ended(container, code, message)]})
    };
    let said = Message::failed(ExitCode::CorruptArtifact, "file x is not what its digest says").to_json();
    let large = Message::failed(ExitCode::InputTooLarge, "the inputs have 9 GiB, the disk 1 GiB").to_json();
    for (pod, reason, expected) in [
        (failed("step", 1, "Traceback: boom"), "CommandFailed", "exit code 1: Traceback: boom"),
        (failed("step", 137, ""), "OutOfMemory", "killed for memory (its limit of 2Gi)"),
        (failed("step", 242, "no such program"), "CommandNotFound", "no such program"),
        (failed("seatrial-fetch", 65, &said), "CorruptArtifact", "not what its digest says"),
        (failed("seatrial-fetch", 67, &large), "InputTooLarge", "the disk 1 GiB"),
        (failed("seatrial-publish", 73, "not json"), "BadOutput", "an output is missing"),
    ] {
        // What the pipeline sets is a step's limit, too.
        let mut spec = training();
        spec["resources"] = json!({"limits": {"memory": "2Gi"}});
        let mut fixture = Fixture::new(spec);
        fixture.settle();
        fixture.pod("prepare", pod);
        fixture.end_job(
            "prepare",
            json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "x"}),
        );
        fixture.settle();
        let step = fixture.step("prepare");
        assert_eq!((step.state, step.reason.as_deref()), (StepState::Failed, Some(reason)));
        assert!(step.message.as_ref().unwrap().contains(expected), "{:?}", step.message);
        assert_eq!((fixture.step("train").state, fixture.stands().0), (StepState::Skipped, "StepFailed"));
        assert!(fixture.observed.versions.is_empty());
    }
}

/// What a command died of leads the message, and all that it printed is a command away.
#[test]
fn a_failed_command_says_what_it_died_of_and_where_its_log_is() {
    let traceback = "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\n    data[\"income\"]\n    ~~~~^^^^^^^^^^\nKeyError: 'income'";
    let long = format!("ValueError: {}", "v".repeat(900));
    for (printed, expected) in [
        (traceback, "exit code 1: KeyError: 'income' (train.py, line 3); see: kubectl seatrial logs churn-c1/one"),
        (long.as_str(), "vvvv; see: kubectl seatrial logs churn-c1/one"),
    ] {
        let mut fixture = Fixture::new(plain());
        fixture.settle();
        fixture.pod("one", json!({"phase": "Failed", "containerStatuses": [ended("step", 1, printed)]}));
        fixture.end_job("one", json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}));
        fixture.settle();
        let (message, (_, stands)) = (fixture.step("one").message.clone().unwrap(), fixture.stands());
        assert!(message.ends_with(expected) && message.len() <= limits::STEP_MESSAGE, "{message}");
        assert!(stands.ends_with(expected), "{stands}");
    }
}

#[test]
fn a_timeout_names_its_limit() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.pod("one", json!({"phase": "Failed", "containerStatuses": [ended("step", 244, "")]}));
    fixture.end_job("one", json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}));
    fixture.settle();
    assert_eq!(fixture.step("one").reason.as_deref(), Some("Timeout"));
    assert!(fixture.step("one").message.as_ref().unwrap().contains("longer than 24h"));
}

#[test]
fn a_timeout_says_that_parts_of_the_command_were_killed_for_memory() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let mut published = Message::new();
    published.oom_kills = 2;
    let ends = [ended("step", 244, ""), ended("seatrial-publish", 0, &published.to_json())];
    fixture.pod("one", json!({"phase": "Failed", "containerStatuses": ends}));
    fixture.end_job("one", json!({"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}));
    fixture.settle();
    assert_eq!(fixture.step("one").reason.as_deref(), Some("Timeout"));
    let message = fixture.step("one").message.as_ref().unwrap();
    assert!(message.contains("2 of its processes were killed for memory"), "{message}");
}

#[test]
fn an_image_that_does_not_exist_is_shown_at_once_and_given_up_later() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.pod("one", json!({"phase": "Pending", "containerStatuses": [waiting("step", "ImagePullBackOff")]}));
    fixture.now = 5;
    fixture.settle();
    let (reason, message) = fixture.stands();
    assert_eq!(reason, "Waiting");
    assert!(message.contains("churn:nope"), "{message}");
    let writes = fixture.status_writes;
    // The kubelet says the same in other words: no write.
    Arc::make_mut(&mut fixture.observed.pods[0]).status.as_mut().unwrap().container_statuses =
        from_value(json!([waiting("step", "ErrImagePull")])).unwrap();
    fixture.settle();
    assert_eq!(fixture.status_writes, writes);
    fixture.now = 400;
    fixture.settle();
    assert_eq!(fixture.step("one").reason.as_deref(), Some("ImageUnavailable"));
}

#[test]
fn a_command_that_never_started_does_not_leave_its_pod_waiting() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let mut step = ended("step", 128, "exec format error");
    step["state"]["terminated"]["finishedAt"] = json!(at(5).to_string());
    let publish = json!({"name": "publish", "image": "agent", "imageID": "", "ready": true, "restartCount": 0,
        "state": {"running": {}}});
    fixture.pod("one", json!({"phase": "Running", "containerStatuses": [step, publish]}));
    fixture.now = 6;
    fixture.settle();
    assert_eq!(fixture.step("one").state, StepState::Running, "publish may still end by itself");
    assert_eq!(plan(&fixture.observed, at(7)).requeue_after, Some(LOOK_AGAIN));
    fixture.now = 66;
    fixture.settle();
    assert_eq!(fixture.step("one").reason.as_deref(), Some("CommandFailed"));
    assert!(fixture.step("one").message.clone().is_some_and(|message| message.contains("exec format error")));
    assert!(fixture.observed.jobs.iter().all(|job| job.name_any() != fixture.jobs_created[0]), "the Job is deleted");
}

#[test]
fn disruptions_cost_no_attempt_but_are_bounded() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    for _ in 0..limits::INTERRUPTIONS - 1 {
        fixture.pod("one", json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}));
        fixture.settle();
        assert_eq!(fixture.step("one").state, StepState::Running);
    }
    fixture.pod("one", json!({"phase": "Failed", "containerStatuses": [ended("step", 241, "")]}));
    fixture.settle();
    assert_eq!(
        (fixture.step("one").attempt, fixture.step("one").reason.as_deref()),
        (Some(1), Some("TooManyInterruptions"))
    );
}

#[test]
fn an_interrupted_pod_counts_once_also_where_it_is_gone_by_now() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.pod("one", json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}));
    fixture.observed.deleted_pods = std::mem::take(&mut fixture.observed.pods);
    for _ in 0..2 {
        fixture.settle();
        let reasons: Vec<_> = fixture.step("one").interruptions.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!(reasons, ["Disruption"]);
    }
}

/// The kubelet evicts a pod for its own use of a disk without a word of a disruption.
#[test]
fn a_pod_that_fills_its_disk_is_not_tried_again_and_again() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let message = "Pod ephemeral local storage usage exceeds the total limit of containers 100Mi. ";
    fixture.pod(
        "one",
        json!({"phase": "Failed", "reason": "Evicted", "message": message,
                            "containerStatuses": [ended("step", 241, "")]}),
    );
    fixture.settle();
    let step = fixture.step("one");
    assert_eq!((step.state, step.reason.as_deref()), (StepState::Failed, Some("Evicted")));
    assert!(
        step.message.as_ref().unwrap().contains("exceeds the total limit of containers 100Mi: write less"),
        "{step:?}"
    );
}

#[test]
fn a_part_of_a_command_that_was_killed_for_memory_is_told() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let mut published = Message::new();
    published.oom_kills = 2;
    fixture.pod(
        "one",
        json!({"phase": "Succeeded",
        "containerStatuses": [ended("step", 0, ""), ended("seatrial-publish", 0, &published.to_json())]}),
    );
    fixture.settle();
    let step = fixture.step("one");
    assert_eq!((step.state, step.reason.as_deref()), (StepState::Succeeded, Some("ProcessesKilled")));
}

#[test]
fn a_retried_step_says_which_try_and_why() {
    let mut fixture = Fixture::new(
        json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"], "retry": {"limit": 2}}]}),
    );
    fixture.settle();
    fixture.pod("one", json!({"phase": "Failed", "containerStatuses": [ended("step", 3, "no such column")]}));
    fixture.pod("one", json!({"phase": "Running"}));
    fixture.settle();
    let (reason, message) = fixture.stands();
    assert_eq!(reason, "Running");
    assert!(message.contains("try 2 of 3") && message.contains("no such column"), "{message}");
}

/// `exec` keeps the timeout; a frozen one is ended by the operator, which asks to be woken for it.
#[test]
fn a_command_that_nobody_ends_is_ended_by_the_operator() {
    let mut fixture =
        Fixture::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"], "timeout": "1h"}]}));
    fixture.settle();
    let step = json!({"name": "step", "image": "churn:1", "imageID": "", "ready": true, "restartCount": 0,
                      "state": {"running": {"startedAt": at(0).to_string()}}});
    fixture.pod("one", json!({"phase": "Running", "containerStatuses": [step]}));
    fixture.settle();
    assert_eq!(plan(&fixture.observed, at(1)).requeue_after, Some(Duration::from_secs(3719)));
    fixture.now = 3720;
    fixture.settle();
    assert_eq!(
        (fixture.step("one").state, fixture.step("one").reason.as_deref()),
        (StepState::Failed, Some("Timeout"))
    );
}
