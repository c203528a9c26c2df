//! What becomes of an attempt whose Job or report is lost.

use super::*;
use crate::observed::Ending;
use crate::plan::Object;

#[test]
fn a_job_that_a_former_leader_recorded_and_nobody_sees_is_lost_and_its_name_is_not_used_again() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let first = fixture.step("one").job.clone().unwrap();
    fixture.observed.jobs.retain(|job| job.name_any() != first);
    fixture.settle();
    let step = fixture.step("one");
    assert_eq!((step.attempt, step.state), (Some(2), StepState::Running));
    assert_ne!(step.job.as_ref(), Some(&first));
    assert_eq!(fixture.step("two").attempt, Some(1));
}

#[test]
fn a_confirmed_job_that_the_cache_does_not_show_yet_is_waited_for() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let first = fixture.step("one").job.clone().unwrap();
    fixture.observed.jobs.retain(|job| job.name_any() != first);
    fixture.observed.expectations.insert(first.clone(), Expectation::Created(at(0)));
    fixture.now = 5;
    fixture.settle();
    assert_eq!(fixture.step("one").job.as_ref(), Some(&first));
    fixture.now = 120;
    fixture.settle();
    assert_eq!(fixture.step("one").attempt, Some(2));
}

/// A step whose Job is complete, and whose pod is gone.
fn without_a_report(fixture: &mut Fixture) {
    fixture.settle();
    fixture.end_job("prepare", json!({"type": "Complete", "status": "True"}));
    let name = fixture.step("prepare").job.clone().unwrap();
    let job = fixture.observed.jobs.iter_mut().find(|job| job.name_any() == name).unwrap();
    Arc::make_mut(job).status.as_mut().unwrap().completion_time = Some(Time(at(0)));
}

#[test]
fn a_lost_report_is_read_from_the_store_and_else_the_step_runs_again() {
    for has_record in [true, false] {
        let mut fixture = Fixture::new(training());
        without_a_report(&mut fixture);
        fixture.now = 5;
        fixture.settle();
        assert!(fixture.step("prepare").recovery.is_none(), "the pod's last update may be late");
        // Should it never come, nobody else would wake the operator.
        assert_eq!(plan(&fixture.observed, at(5)).requeue_after, Some(LOOK_AGAIN));
        fixture.now = 60;
        fixture.settle();
        assert_eq!(fixture.step("prepare").recovery.as_ref().unwrap().number, 1);
        assert_eq!(fixture.jobs_created.len(), 2);
        if has_record {
            fixture.keep_record("prepare");
        }
        fixture.answer_questions();
        fixture.settle();
        let step = fixture.step("prepare");
        let expected = if has_record { (StepState::Succeeded, Some(1)) } else { (StepState::Running, Some(2)) };
        assert_eq!((step.state, step.attempt, &step.recovery), (expected.0, expected.1, &None));
    }
}

#[test]
fn a_question_to_the_store_that_fails_is_asked_three_times() {
    let mut fixture = Fixture::new(training());
    without_a_report(&mut fixture);
    fixture.now = 60;
    for number in 1..=3 {
        fixture.settle();
        let recovery = fixture.step("prepare").recovery.clone().unwrap();
        assert_eq!(recovery.number, number);
        fixture.observed.jobs.retain(|job| job.name_any() != recovery.job);
    }
    fixture.settle();
    assert_eq!((fixture.step("prepare").attempt, fixture.step("prepare").state), (Some(2), StepState::Running));
}

/// `kubectl delete job --cascade=orphan`: two trainings side by side would be the worst.
#[test]
fn no_attempt_follows_while_a_pod_of_the_lost_one_lives() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    fixture.pod("one", json!({"phase": "Running"}));
    let name = fixture.step("one").job.clone().unwrap();
    fixture.observed.jobs.retain(|job| job.name_any() != name);
    fixture.settle();
    assert_eq!((fixture.step("one").attempt, fixture.step("one").reason.as_deref()), (Some(1), Some("PodLeft")));
    fixture.observed.pods.clear();
    fixture.settle();
    assert_eq!(fixture.step("one").attempt, Some(2));
}

/// A TTL controller may take a Job before the operator has looked at it.
#[test]
fn a_job_on_its_way_out_that_is_complete_counts() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    fixture.succeed("prepare");
    let name = fixture.step("prepare").job.clone().unwrap();
    let job = fixture.observed.jobs.iter_mut().find(|job| job.name_any() == name).unwrap();
    Arc::make_mut(job).metadata.deletion_timestamp = Some(Time(at(1)));
    fixture.settle();
    assert_eq!((fixture.step("prepare").state, fixture.step("prepare").attempt), (StepState::Succeeded, Some(1)));
}

/// A leader has seen for so many seconds that a pod was told to end, as it was at second 100.
fn ending(seen_for: u64) -> Ending {
    Ending { first_seen: at(100), seen_for: Duration::from_secs(seen_for) }
}

#[test]
fn an_attempt_on_a_node_that_does_not_answer_is_given_up() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let job = fixture.step("one").job.clone().unwrap();
    fixture.pod("one", json!({"phase": "Running", "containerStatuses": [
        {"name": "step", "image": "churn:1", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}));
    // Told to end, with 600 seconds for that.
    let pod = Arc::make_mut(fixture.observed.pods.last_mut().unwrap());
    pod.metadata.deletion_timestamp = Some(Time(at(700)));
    pod.metadata.deletion_grace_period_seconds = Some(600);
    let uid = pod.metadata.uid.clone().unwrap();
    // A clock that is set, ahead or back, says nothing about a node.
    for now in [899, 7200, 150] {
        fixture.now = now;
        fixture.observed.ending.insert(uid.clone(), ending(899));
        fixture.settle();
        assert_eq!(fixture.step("one").attempt, Some(1));
        assert_eq!(plan(&fixture.observed, at(now)).requeue_after, Some(Duration::from_secs(1)));
    }
    fixture.observed.ending.insert(uid, ending(900));
    fixture.settle();
    assert_eq!(fixture.step("one").attempt, Some(2));
    assert!(
        fixture.observed.jobs.iter().all(|left| left.name_any() != job),
        "the Job would wait for its pod without end"
    );
}

#[test]
fn the_job_of_an_attempt_on_a_lost_node_ends_before_the_store_is_asked() {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    let job = fixture.step("prepare").job.clone().unwrap();
    fixture.pod("prepare", json!({"phase": "Running"}));
    Arc::make_mut(fixture.observed.pods.last_mut().unwrap()).metadata.deletion_timestamp = Some(Time(at(100)));
    fixture.now = 400;
    fixture.observed.ending.insert("pod-0".into(), ending(300));
    let planned = plan(&fixture.observed, at(400));
    let asks = planned.writes().any(|write| matches!(write, Write::Create(Object::Job(_))));
    let ends = planned.writes().any(|write| matches!(write, Write::Delete { name, .. } if *name == job));
    assert!(asks && ends, "the Job would start another pod when the node comes back: {planned:?}");
    fixture.settle();
    // The node is back, and its pod has not ended yet: what the store said must wait for it.
    let pod = Arc::make_mut(&mut fixture.observed.pods[0]);
    pod.metadata.deletion_timestamp = Some(Time(at(1000)));
    pod.metadata.deletion_grace_period_seconds = Some(900);
    fixture.answer_questions();
    fixture.settle();
    let step = fixture.step("prepare");
    assert_eq!((step.attempt, step.reason.as_deref()), (Some(1), Some("PodLeft")));
    Arc::make_mut(&mut fixture.observed.pods[0]).status.as_mut().unwrap().phase = Some("Failed".into());
    fixture.settle();
    assert_eq!(fixture.step("prepare").attempt, Some(2));
}
