//! What holds a run up, and what ends that.

use std::sync::Arc;

use seatrial_crds::names::REVISION_LABEL;
use serde_json::{Value, from_value, json};

use super::scene::*;
use super::*;
use crate::observed::{Expectation, RefusalReport};
use crate::plan::{Kind, LiveRead};
use crate::revision;

fn sibling(name: &str, label: &str, owners: Value, status: Value) -> Arc<MLPipelineRun> {
    Arc::new(
        from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
            "metadata": {"name": name, "namespace": "growth", "uid": name, "labels": {REVISION_LABEL: label},
                         "ownerReferences": owners},
            "spec": {"pipeline": "churn"}, "status": status,
        }))
        .unwrap(),
    )
}

fn newer_change() -> Arc<MLPipelineRun> {
    sibling("churn-c2", "2", owner_of_runs(), json!({}))
}

fn without_a_store() -> Scene {
    let mut spec = training();
    spec["steps"][0]["inputs"][0]["uri"] = json!("s3://lkae/raw/");
    let mut scene = Scene::new(spec);
    scene.settle();
    scene
}

fn refuse(scene: &mut Scene, reason: BlockedReason) {
    let name = scene.step("one").job.clone().unwrap();
    scene.observed.jobs.retain(|job| job.name_any() != name);
    scene.jobs_created.retain(|job| *job != name);
    scene.observed.expectations.insert(name.clone(), Expectation::Recorded);
    let message = "quantities must match".to_owned();
    scene.observed.blocked = vec![Blocked { kind: Kind::Job, name, reason, message, until: at(0) }];
}

#[test]
fn a_corrected_pipeline_does_not_wait_for_a_run_that_waits_for_a_person() {
    let mut scene = without_a_store();
    assert_eq!(scene.stands().0, "Waiting");
    scene.observed.siblings.push(newer_change());
    scene.settle();
    assert_eq!(scene.stands(), ("Superseded", "a newer change is run by \"churn-c2\""));
    assert!(scene.status().steps.iter().all(|step| step.state == StepState::Skipped));
}

/// Nothing is lost by it: no command has started.
#[test]
fn a_correction_takes_over_from_a_run_whose_pods_do_not_start() {
    let unschedulable = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]});
    let no_image = json!({"phase": "Pending", "containerStatuses": [waiting("step", "ImagePullBackOff")]});
    for status in [unschedulable, no_image] {
        let mut scene = Scene::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"]}]}));
        scene.settle();
        scene.pod("one", status);
        scene.settle();
        assert_eq!(scene.stands().0, "Waiting");
        scene.observed.siblings.push(newer_change());
        scene.settle();
        assert_eq!(scene.stands().0, "Superseded");
        assert!(scene.observed.jobs.is_empty(), "its Job is deleted");
    }
}

#[test]
fn a_run_that_is_at_work_is_not_superseded() {
    let mut scene = Scene::new(plain());
    scene.settle();
    scene.observed.siblings.push(newer_change());
    scene.settle();
    assert_eq!(scene.stands().0, "Running");
    // One step is refused, the other works: its work is not thrown away.
    refuse(&mut scene, BlockedReason::Refused);
    scene.pass(usize::MAX);
    assert_eq!((scene.step("one").reason.as_deref(), scene.stands().0), (Some("WriteRefused"), "WriteRefused"));
    assert_eq!(scene.step("two").state, StepState::Running);
}

#[test]
fn a_refused_job_is_said_gives_way_to_a_correction_and_is_given_up_in_the_end() {
    for (reason, expected) in [(BlockedReason::Refused, "WriteRefused"), (BlockedReason::Clash, "NameTaken")] {
        let mut scene = Scene::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"]}]}));
        scene.settle();
        refuse(&mut scene, reason);
        scene.pass(0);
        assert_eq!(scene.stands().0, expected);
        assert_eq!(scene.step("one").reason.as_deref(), Some(expected));
        let mut corrected = scene.observed.clone();
        corrected.siblings.push(newer_change());
        let plan = plan(&corrected, at(1));
        assert!(has_ended(plan.status.as_ref()), "{:?}", plan.status);
        assert!(plan.writes().next().is_none());
        scene.now = HOLD_LIMIT + 1;
        scene.pass(0);
        scene.observed.blocked.clear();
        scene.settle();
        assert_eq!((scene.step("one").state, scene.stands().0), (StepState::Failed, "StepFailed"));
        assert_eq!(scene.step("one").reason.as_deref(), Some(expected));
    }
}

/// The API server refuses a status for one text that is too long: then nothing would be told at all.
#[test]
fn a_long_refusal_fits_into_the_status() {
    let mut scene = Scene::new(plain());
    scene.settle();
    refuse(&mut scene, BlockedReason::Refused);
    scene.observed.blocked[0].message = "a policy that is never done explaining; ".repeat(100);
    scene.pass(0);
    let message = scene.step("one").message.clone().unwrap();
    assert!((limits::STEP_MESSAGE - 3..=limits::STEP_MESSAGE).contains(&message.len()), "{}", message.len());
}

#[test]
fn a_missing_store_is_given_up_after_an_hour_and_forgotten_when_it_comes() {
    let mut scene = without_a_store();
    let since = scene.step("prepare").held_since.clone();
    assert!(since.is_some());
    let mut late = without_a_store();
    late.now = HOLD_LIMIT;
    late.settle();
    assert_eq!((late.step("prepare").reason.as_deref(), late.stands().0), (Some("StoreNotFound"), "StepFailed"));
    scene.observed.stores.push(Arc::new(
        from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "Store", "metadata": {"name": "lake"},
            "spec": {"prefix": "s3://lkae/"},
        }))
        .unwrap(),
    ));
    scene.now = 600;
    scene.settle();
    let step = scene.step("prepare");
    assert_eq!((step.state, &step.held_since, &step.reason), (StepState::Running, &None, &None));
}

#[test]
fn a_foreign_job_is_not_read_and_not_touched() {
    let mut scene = Scene::new(plain());
    scene.settle();
    let name = scene.step("one").job.clone().unwrap();
    let job = scene.observed.jobs.iter_mut().find(|job| job.name_any() == name).unwrap();
    let job = Arc::make_mut(job);
    job.metadata.owner_references.as_mut().unwrap()[0].uid = "another".into();
    job.status = Some(from_value(json!({"conditions": [{"type": "Complete", "status": "True"}]})).unwrap());
    scene.pass(usize::MAX);
    assert_eq!((scene.step("one").state, scene.step("one").reason.as_deref()), (StepState::Running, Some("NameTaken")));
    assert!(scene.observed.jobs.iter().any(|job| job.name_any() == name));
}

#[test]
fn the_end_of_a_run_that_was_cut_off_is_made_up_for() {
    let mut scene = Scene::new(plain());
    scene.settle();
    scene.pod("one", json!({"phase": "Pending", "containerStatuses": [waiting("step", "ImagePullBackOff")]}));
    scene.end_job("two", json!({"type": "Failed", "status": "True"}));
    scene.now = 400;
    // The status is written, and then the operator is killed.
    scene.pass(0);
    scene.change_leader();
    assert!(has_ended(scene.observed.run.status.as_ref()));
    assert_eq!(scene.live().len() + scene.observed.jobs.iter().filter(|job| job.status.is_none()).count(), 1);
    scene.settle();
    assert!(scene.observed.jobs.iter().all(|job| job.status.is_some()), "the Job goes after all");
    assert!(plan(&scene.observed, at(500)).is_quiet());
}

#[test]
fn a_step_without_a_pod_says_what_may_refuse_it() {
    let mut scene = Scene::new(plain());
    scene.settle();
    for job in &mut scene.observed.jobs {
        Arc::make_mut(job).metadata.creation_timestamp = Some(Time(at(0)));
    }
    scene.now = 5;
    scene.settle();
    assert_eq!(scene.stands().0, "Running");
    assert_eq!(plan(&scene.observed, at(5)).requeue_after, Some(LOOK_AGAIN), "nobody else would wake the operator");
    scene.now = 30;
    scene.settle();
    assert_eq!(scene.step("one").reason.as_deref(), Some("PodsRefused"));
    assert!(scene.stands().1.contains("kubectl describe job"), "{:?}", scene.stands());
    // It has its own bound, and a command's timeout has no part in it.
    scene.now = 24 * 3600 - 1;
    scene.settle();
    assert_eq!(scene.step("one").state, StepState::Running);
    scene.now = 24 * 3600;
    scene.settle();
    assert_eq!(
        (scene.step("one").state, scene.step("one").reason.as_deref()),
        (StepState::Failed, Some("PodsRefused"))
    );
}

#[test]
fn a_refused_pod_is_told_in_the_api_servers_words() {
    let mut scene = Scene::new(json!({"image": "churn:1", "steps": [{"name": "one", "command": ["one"]}]}));
    scene.settle();
    Arc::make_mut(&mut scene.observed.jobs[0]).metadata.creation_timestamp = Some(Time(at(0)));
    let uid = scene.observed.jobs[0].metadata.uid.clone().unwrap();
    scene.now = 30;
    let asked = plan(&scene.observed, at(30)).live_reads;
    assert_eq!(asked, [LiveRead::JobEvents { job: scene.observed.jobs[0].name_any(), uid: uid.clone() }]);
    let message = Some("exceeded quota: team, requested: pods=1, used: pods=1, limited: pods=1".to_owned());
    scene.observed.refusals.insert(uid, RefusalReport { read_at: at(30), message });
    scene.settle();
    let told = scene.step("one").message.clone().unwrap();
    assert!(
        told.ends_with("step \"one\": exceeded quota: team, requested: pods=1, used: pods=1, limited: pods=1"),
        "{told}"
    );
    assert!(plan(&scene.observed, at(320)).live_reads.is_empty(), "it is asked for every five minutes");
    assert_eq!(plan(&scene.observed, at(331)).live_reads.len(), 1);
}

#[test]
fn a_job_that_a_queue_holds_back_is_not_refused() {
    let mut scene = Scene::new(plain());
    scene.settle();
    for job in &mut scene.observed.jobs {
        let job = Arc::make_mut(job);
        job.metadata.creation_timestamp = Some(Time(at(0)));
        job.status = Some(from_value(json!({"conditions": [{"type": "Suspended", "status": "True"}]})).unwrap());
    }
    scene.now = 500;
    scene.settle();
    assert_eq!(scene.stands().0, "Running");
}

#[test]
fn a_short_step_does_not_pass_for_an_outage() {
    let mut scene = Scene::new(training());
    scene.settle();
    let mut step = ended("step", 0, "");
    step["state"]["terminated"]["finishedAt"] = json!(at(5).to_string());
    let publish = json!({"name": "seatrial-publish", "image": "agent", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"running": {}}});
    scene.pod("prepare", json!({"phase": "Running", "containerStatuses": [step, publish]}));
    scene.now = 6;
    let writes = scene.status_writes;
    scene.settle();
    assert_eq!(scene.status_writes, writes, "a container is not ready before its first probe");
    assert_eq!(plan(&scene.observed, at(6)).requeue_after, Some(LOOK_AGAIN));
    scene.now = 60;
    scene.settle();
    assert_eq!(scene.step("prepare").reason.as_deref(), Some("StoreUnavailable"));
}

#[test]
fn nothing_is_given_up_before_the_api_server_was_asked() {
    // Neither a Job that the cache should show by now ...
    let mut scene = Scene::new(plain());
    scene.settle();
    let name = scene.step("one").job.clone().unwrap();
    scene.observed.jobs.retain(|job| job.name_any() != name);
    scene.observed.expectations.insert(name.clone(), Expectation::Created(at(0)));
    let lost = plan(&scene.observed, at(120));
    assert_eq!((lost.live_reads.as_slice(), lost.writes().count()), ([LiveRead::Job(name.clone())].as_slice(), 0));
    scene.observed.live_reads.insert(name, at(121));
    assert_eq!(plan(&scene.observed, at(122)).writes().count(), 1, "now it is lost: the next attempt");
    // ... nor a report that should be there.
    let mut scene = Scene::new(training());
    scene.settle();
    scene.end_job("prepare", json!({"type": "Complete", "status": "True"}));
    let name = scene.step("prepare").job.clone().unwrap();
    let late = plan(&scene.observed, at(60));
    assert_eq!((late.live_reads.as_slice(), late.writes().count()), ([LiveRead::Job(name)].as_slice(), 0));
    // The answer brought the pod along.
    scene.observed.jobs.iter_mut().for_each(|job| Arc::make_mut(job).status = None);
    scene.succeed("prepare");
    scene.now = 61;
    scene.settle();
    assert_eq!((scene.step("prepare").state, scene.step("prepare").attempt), (StepState::Succeeded, Some(1)));
}

#[test]
fn a_damaged_report_is_read_from_the_store_instead_of_running_the_step_again() {
    let mut scene = Scene::new(training());
    scene.settle();
    let cut = r#"{"version": 1, "inputs": [{"na"#;
    scene.pod(
        "prepare",
        json!({
            "phase": "Succeeded", "initContainerStatuses": [ended("seatrial-fetch", 0, cut)],
            "containerStatuses": [ended("step", 0, ""), ended("seatrial-publish", 0, "{}")],
        }),
    );
    scene.end_job("prepare", json!({"type": "Complete", "status": "True"}));
    scene.keep_record("prepare");
    scene.settle();
    assert_eq!(scene.step("prepare").reason.as_deref(), Some("Recovering"));
    scene.answer_questions();
    scene.settle();
    assert_eq!((scene.step("prepare").state, scene.step("prepare").attempt), (StepState::Succeeded, Some(1)));
}

#[test]
fn a_step_with_nothing_to_report_is_done_when_its_job_is() {
    let mut scene = Scene::new(plain());
    scene.settle();
    scene.end_job("one", json!({"type": "Complete", "status": "True"}));
    scene.settle();
    assert_eq!((scene.step("one").state, scene.step("one").attempt), (StepState::Succeeded, Some(1)));
}

#[test]
fn a_run_by_hand_executes_what_the_pipeline_says_by_now() {
    let mut scene = Scene::new(plain());
    let run = Arc::make_mut(&mut scene.observed.run);
    run.metadata.labels = None;
    run.metadata.owner_references = None;
    run.metadata.name = Some("by-hand".into());
    // Applied together with a change of the pipeline, whose revision is not there yet.
    let mut pipeline = scene.observed.pipeline.as_ref().unwrap().as_ref().clone();
    pipeline.spec.options.image = Some("churn:2".into());
    scene.observed.pipeline = Some(Arc::new(pipeline.clone()));
    scene.settle();
    assert_eq!(scene.stands().0, "RevisionNotFound");
    scene.observed.revisions.push(Arc::new(revision::build(&pipeline, 2)));
    scene.settle();
    assert_eq!((scene.status().revision, scene.stands().0), (Some(2), "Running"));
}

#[test]
fn a_copied_run_is_no_change() {
    let copy = sibling("churn-copy", "12", json!([]), json!({}));
    let renamed = sibling("churn-copy", "12", owner_of_runs(), json!({}));
    let own = sibling("churn-c12", "12", owner_of_runs(), json!({}));
    assert_eq!([&copy, &renamed, &own].map(|run| triggered_revision(run)), [None, None, Some(12)]);
    let mut scene = Scene::new(plain());
    scene.observed.siblings.push(copy);
    scene.settle();
    assert_ne!(scene.stands().0, "Superseded");
}

#[test]
fn a_newer_change_waits_for_an_older_one_to_step_aside() {
    // Whoever plans the older one may not have seen the newer one yet, and be about to let it begin.
    let mut scene = Scene::new(plain());
    let older = sibling("churn-c0", "0", owner_of_runs(), json!({}));
    scene.observed.siblings.push(older);
    scene.settle();
    assert_eq!(scene.stands(), ("Queued", "it waits for the run \"churn-c0\" to end"));
}

#[test]
fn a_failed_step_is_told_while_others_still_run() {
    let mut scene = Scene::new(plain());
    scene.settle();
    scene.pod("one", json!({"phase": "Failed", "containerStatuses": [ended("step", 1, "boom")]}));
    scene.end_job("one", json!({"type": "Failed", "status": "True"}));
    scene.settle();
    assert!(scene.stands().1.contains("boom"), "{:?}", scene.stands());
    assert_eq!(scene.step("two").state, StepState::Running);
}

/// A run whose first step is at work.
fn at_work() -> Scene {
    let mut scene = Scene::new(training());
    scene.settle();
    assert_eq!(scene.step("prepare").state, StepState::Running);
    scene
}

#[test]
fn a_run_under_way_whose_revision_is_gone_waits_and_ends_in_the_end() {
    let mut scene = at_work();
    let revisions = std::mem::take(&mut scene.observed.revisions);
    scene.settle();
    assert_eq!(scene.stands().0, "RevisionNotFound");
    // It was the cache that lagged behind.
    let mut back = scene.observed.clone();
    back.revisions = revisions;
    assert_eq!(stands_in(&plan(&back, at(60))), Some("Running".to_owned()));
    // It is gone: nobody can read what the Jobs come to.
    assert_eq!(stands_in(&plan(&scene.observed, at(3500))), None, "nothing new is to be said");
    let ended = plan(&scene.observed, at(3601));
    assert_eq!(stands_in(&ended), Some("RevisionNotFound".to_owned()));
    assert!(ended.status.as_ref().unwrap().finished_at.is_some());
    assert!(ended.writes().any(|write| matches!(write, Write::Delete { kind: Kind::Job, .. })));
    // A newer change does not wait for an hour.
    scene.observed.siblings.push(newer_change());
    assert_eq!(stands_in(&plan(&scene.observed, at(60))), None, "the caches lag behind by a minute, too");
    assert_eq!(stands_in(&plan(&scene.observed, at(301))), Some("Superseded".to_owned()));
}

/// The reason that a plan gives its run.
fn stands_in(plan: &Plan<MLPipelineRunStatus>) -> Option<String> {
    let status = plan.status.as_ref()?;
    conditions::find(&status.conditions, types::SUCCEEDED).map(|condition| condition.reason.clone())
}

#[test]
fn what_another_release_wrote_is_waited_for() {
    let newer = |scene: &mut Scene| {
        let revision = Arc::make_mut(&mut scene.observed.revisions[0]);
        revision.data.as_mut().unwrap().0["projection"] = json!(2);
    };
    let mut begins = Scene::new(training());
    newer(&mut begins);
    begins.settle();
    assert_eq!(begins.stands().0, "RevisionUnreadable");
    let mut scene = at_work();
    newer(&mut scene);
    scene.settle();
    assert_eq!(scene.stands().0, "RevisionUnreadable");
    let later = plan(&scene.observed, at(100_000));
    assert!(later.status.is_none() && later.writes().next().is_none(), "its Jobs go on: {later:?}");
    // A parameter that a newer rule refuses was accepted once.
    let mut scene = at_work();
    Arc::make_mut(&mut scene.observed.run).spec.parameters =
        vec![ParameterValue { name: "unknown".into(), value: "1".into() }];
    scene.settle();
    assert_eq!((scene.stands().0, scene.status().finished_at.is_some()), ("InvalidParameters", false));
}

#[test]
fn a_step_is_given_up_only_after_an_hour_in_which_no_other_moved() {
    let mut spec = plain();
    spec["steps"] = json!([{"name": "one", "command": ["true"]}, {"name": "two", "command": ["true"]}]);
    let mut scene = Scene::new(spec);
    scene.settle();
    refuse(&mut scene, BlockedReason::Refused);
    scene.pass(0);
    assert_eq!(scene.step("one").reason.as_deref(), Some("WriteRefused"));
    scene.now = 4000;
    scene.pass(0);
    assert_eq!(scene.step("one").state, StepState::Running, "the other step is at work: it may fill a quota");
    scene.succeed("two");
    scene.pass(0);
    scene.now = 4000 + 3599;
    scene.pass(0);
    assert_eq!(scene.step("one").state, StepState::Running);
    scene.now = 4000 + 3601;
    scene.pass(0);
    assert_eq!(scene.step("one").state, StepState::Failed);
}
