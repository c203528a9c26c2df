//! Jobs and pods that the API server refuses, or that are not the run's.

use serde_json::{from_value, json};

use super::fixture::*;
use super::*;
use crate::observed::{Expectation, RefusalReport};
use crate::plan::LiveRead;

#[test]
fn a_refused_job_is_said_gives_way_to_a_correction_and_is_given_up_in_the_end() {
    for (reason, expected) in [(BlockedReason::Refused, "WriteRefused"), (BlockedReason::Clash, "NameTaken")] {
        let mut fixture = Fixture::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"]}]}));
        fixture.settle();
        refuse(&mut fixture, reason);
        fixture.pass(0);
        assert_eq!(fixture.stands().0, expected);
        assert_eq!(fixture.step("one").reason.as_deref(), Some(expected));
        let mut corrected = fixture.observed.clone();
        corrected.siblings.push(newer_change());
        let plan = plan(&corrected, at(1));
        assert!(has_ended(plan.status.as_ref()), "{:?}", plan.status);
        assert!(plan.writes().next().is_none());
        fixture.now = HOLD_LIMIT + 1;
        fixture.pass(0);
        fixture.observed.blocked.clear();
        fixture.settle();
        assert_eq!((fixture.step("one").state, fixture.stands().0), (StepState::Failed, "StepFailed"));
        assert_eq!(fixture.step("one").reason.as_deref(), Some(expected));
    }
}

/// Until the second is full in which it may be tried again, nothing asks for it over and over.
#[test]
fn a_refused_job_is_created_when_its_wait_is_over_and_not_when_its_second_is() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    refuse(&mut fixture, BlockedReason::Refused);
    let after = |milliseconds| at(10) + jiff::SignedDuration::from_millis(milliseconds);
    let until = after(24);
    fixture.observed.blocked[0].until = until;
    let blocked = fixture.observed.blocked[0].name.clone();
    let creates = |plan: &Plan<_>| plan.writes().any(|write| write.subject().1 == blocked);
    let early = plan(&fixture.observed, after(20));
    assert!(!creates(&early));
    assert_eq!(early.requeue_after, Some(Duration::from_millis(4)));
    assert!(creates(&plan(&fixture.observed, after(31))));
}

/// A correction takes over from what is refused, not from what was.
#[test]
fn a_job_that_is_created_in_the_end_is_refused_no_longer_even_where_the_cache_is_late() {
    let mut fixture = Fixture::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"]}]}));
    fixture.settle();
    refuse(&mut fixture, BlockedReason::Refused);
    fixture.pass(0);
    assert_eq!(fixture.step("one").reason.as_deref(), Some("WriteRefused"));
    let name = fixture.step("one").job.clone().unwrap();
    fixture.observed.blocked.clear();
    fixture.observed.expectations.insert(name, Expectation::Created(at(10)));
    fixture.observed.siblings.push(newer_change());
    for late in [11, 69, 71] {
        let status = plan(&fixture.observed, at(late)).status.unwrap();
        let step = &status.steps[0];
        assert_eq!((step.state, &step.reason, &step.blocked_since), (StepState::Running, &None, &None), "{late}");
        assert!(!has_ended(Some(&status)), "{late}: {status:?}");
    }
}

/// The API server refuses a status for one text that is too long: then nothing would be told at all.
#[test]
fn a_long_refusal_fits_into_the_status() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    refuse(&mut fixture, BlockedReason::Refused);
    fixture.observed.blocked[0].message = "a policy that is never done explaining; ".repeat(100);
    fixture.pass(0);
    let message = fixture.step("one").message.clone().unwrap();
    assert!((limits::STEP_MESSAGE - 3..=limits::STEP_MESSAGE).contains(&message.len()), "{}", message.len());
}

#[test]
fn a_foreign_job_is_not_read_and_not_touched() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    let name = fixture.step("one").job.clone().unwrap();
    let job = fixture.observed.jobs.iter_mut().find(|job| job.name_any() == name).unwrap();
    let job = Arc::make_mut(job);
    job.metadata.owner_references.as_mut().unwrap()[0].uid = "another".into();
    job.status = Some(from_value(json!({"conditions": [{"type": "Complete", "status": "True"}]})).unwrap());
    fixture.pass(usize::MAX);
    assert_eq!(
        (fixture.step("one").state, fixture.step("one").reason.as_deref()),
        (StepState::Running, Some("NameTaken"))
    );
    assert!(fixture.observed.jobs.iter().any(|job| job.name_any() == name));
}

#[test]
fn a_step_without_a_pod_says_what_may_refuse_it() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    for job in &mut fixture.observed.jobs {
        Arc::make_mut(job).metadata.creation_timestamp = Some(Time(at(0)));
    }
    fixture.now = 5;
    fixture.settle();
    assert_eq!(fixture.stands().0, "Running");
    assert_eq!(plan(&fixture.observed, at(5)).requeue_after, Some(LOOK_AGAIN), "nobody else would wake the operator");
    fixture.now = 30;
    fixture.settle();
    assert_eq!(fixture.step("one").reason.as_deref(), Some("PodsRefused"));
    assert!(fixture.stands().1.contains("kubectl describe job"), "{:?}", fixture.stands());
    // It has its own bound, and a command's timeout has no part in it.
    fixture.now = 24 * 3600 - 1;
    fixture.settle();
    assert_eq!(fixture.step("one").state, StepState::Running);
    fixture.now = 24 * 3600;
    fixture.settle();
    assert_eq!(
        (fixture.step("one").state, fixture.step("one").reason.as_deref()),
        (StepState::Failed, Some("PodsRefused"))
    );
}

/// A pod that ran and is gone is no pod that was refused, however old its Job is.
#[test]
fn a_job_between_two_pods_is_neither_refused_nor_given_up() {
    let mut fixture = Fixture::new(json!({
        "image": "churn:1", "steps": [{"name": "one", "command": ["one"], "startTimeout": "1h"}],
    }));
    fixture.settle();
    Arc::make_mut(&mut fixture.observed.jobs[0]).metadata.creation_timestamp = Some(Time(at(0)));
    let uid = fixture.observed.jobs[0].metadata.uid.clone().unwrap();
    for (without_pod_for, state, reason) in [
        (5, StepState::Running, None),
        (3599, StepState::Running, Some("PodsRefused")),
        (3600, StepState::Failed, Some("PodsRefused")),
    ] {
        fixture.now = 7200 + without_pod_for;
        let seen = Duration::from_secs(without_pod_for.unsigned_abs());
        fixture.observed.without_pod_for.insert(uid.clone(), seen);
        fixture.settle();
        let step = fixture.step("one");
        assert_eq!((step.state, step.reason.as_deref()), (state, reason), "{without_pod_for}");
    }
}

#[test]
fn a_refused_pod_is_told_in_the_api_servers_words() {
    let mut fixture = Fixture::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"]}]}));
    fixture.settle();
    Arc::make_mut(&mut fixture.observed.jobs[0]).metadata.creation_timestamp = Some(Time(at(0)));
    let uid = fixture.observed.jobs[0].metadata.uid.clone().unwrap();
    fixture.now = 30;
    let asked = plan(&fixture.observed, at(30)).live_reads;
    assert_eq!(asked, [LiveRead::JobEvents { job: fixture.observed.jobs[0].name_any(), uid: uid.clone() }]);
    let message = Some("exceeded quota: team, requested: pods=1, used: pods=1, limited: pods=1".to_owned());
    fixture.observed.refusals.insert(uid, RefusalReport { read_at: at(30), message });
    fixture.settle();
    let told = fixture.step("one").message.clone().unwrap();
    assert!(
        told.ends_with("step \"one\": exceeded quota: team, requested: pods=1, used: pods=1, limited: pods=1"),
        "{told}"
    );
    assert!(plan(&fixture.observed, at(320)).live_reads.is_empty(), "it is asked for every five minutes");
    // Where the containers are ours, the team cannot give them what they lack.
    for (container, field) in [
        ("seatrial-fetch", Some("agent.resources")),
        ("seatrial-admit", Some("agent.resources")),
        ("seatrial-check", Some("agent.resources and judge.resources")),
        ("step", None),
    ] {
        let mut quota = fixture.observed.clone();
        let message = Some(format!("failed quota: team: must specify limits.cpu for: {container}"));
        quota.refusals.values_mut().for_each(|report| report.message.clone_from(&message));
        let told = plan(&quota, at(30)).status.unwrap().steps[0].message.clone().unwrap();
        match field {
            Some(field) => assert!(told.ends_with(&format!("own containers ask for is the chart's {field}")), "{told}"),
            None => assert!(told.ends_with("for: step"), "{told}"),
        }
    }
    assert_eq!(plan(&fixture.observed, at(331)).live_reads.len(), 1);
}

#[test]
fn a_job_that_a_queue_holds_back_is_not_refused() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    for job in &mut fixture.observed.jobs {
        let job = Arc::make_mut(job);
        job.metadata.creation_timestamp = Some(Time(at(0)));
        job.status = Some(from_value(json!({"conditions": [{"type": "Suspended", "status": "True"}]})).unwrap());
    }
    fixture.now = 500;
    fixture.settle();
    assert_eq!(fixture.stands().0, "Running");
}
