//! Whatever happens to a run, in whatever order: what must hold, holds.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use proptest::prelude::*;
use seatrial_crds::StepState;
use serde_json::json;

use super::fixture::*;
use super::has_ended;
use crate::conditions::{self, Status, types};

/// Something that happens to a run.
#[derive(Clone, Debug)]
enum Event {
    /// The operator makes a pass, is killed after so many writes behind the status, and another one leads.
    Crash(usize),
    /// The operator works until nothing is left to do.
    Settle,
    /// Time goes by.
    Wait(i64),
    /// A pod of a live step ends with this code in its `step` container.
    PodFails(usize, i32),
    /// The node of a live step's pod is drained.
    Drain(usize),
    /// A live step's Job fails.
    JobFails(usize),
    /// A person deletes a live step's Job.
    JobDeleted(usize),
    /// A live step's Job ends well, but its pods are gone before anyone has read them.
    ReportLost(usize),
    /// The store answers what lost attempts made.
    Answer,
    /// A live step ends well.
    Succeed(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..3_usize).prop_map(Event::Crash),
        3 => Just(Event::Settle),
        2 => (1..100_i64).prop_map(Event::Wait),
        1 => (0..2_usize, prop_oneof![Just(1), Just(137), Just(241), Just(243)]).prop_map(|(step, code)| Event::PodFails(step, code)),
        1 => (0..2_usize).prop_map(Event::Drain),
        1 => (0..2_usize).prop_map(Event::JobFails),
        1 => (0..2_usize).prop_map(Event::JobDeleted),
        1 => (0..2_usize).prop_map(Event::ReportLost),
        2 => Just(Event::Answer),
        3 => (0..2_usize).prop_map(Event::Succeed),
    ]
}

fn happen(fixture: &mut Fixture, event: &Event) {
    let live = fixture.live();
    let step = |number: &usize| live.get(number % live.len().max(1)).cloned();
    match event {
        Event::Crash(writes) => {
            fixture.pass(*writes);
            fixture.change_leader();
        }
        Event::Settle => fixture.settle(),
        Event::Wait(seconds) => fixture.now += seconds,
        Event::PodFails(number, code) => {
            let Some(step) = step(number) else { return };
            fixture.pod(&step, json!({"phase": "Failed", "containerStatuses": [ended("step", *code, "")]}));
        }
        Event::Drain(number) => {
            let Some(step) = step(number) else { return };
            let drained = json!([{"type": "DisruptionTarget", "status": "True"}]);
            fixture.pod(&step, json!({"phase": "Failed", "conditions": drained}));
        }
        Event::JobFails(number) => {
            let Some(step) = step(number) else { return };
            fixture.end_job(&step, json!({"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}));
        }
        Event::JobDeleted(number) => {
            let Some(step) = step(number) else { return };
            let job = fixture.job(&step);
            fixture.observed.jobs.retain(|other| other.metadata.uid != job.metadata.uid);
        }
        Event::ReportLost(number) => {
            let Some(step) = step(number) else { return };
            fixture.keep_record(&step);
            fixture.end_job(&step, json!({"type": "Complete", "status": "True"}));
        }
        Event::Answer => fixture.answer_questions(),
        Event::Succeed(number) => {
            let Some(step) = step(number) else { return };
            fixture.succeed(&step);
        }
    }
}

fn check(fixture: &Fixture) -> Result<(), TestCaseError> {
    let names: BTreeSet<&String> = fixture.jobs_created.iter().collect();
    prop_assert_eq!(names.len(), fixture.jobs_created.len(), "a Job was created twice: {:?}", &fixture.jobs_created);
    prop_assert!(fixture.observed.versions.len() <= 1);
    let Some(status) = fixture.observed.run.status.as_ref() else { return Ok(()) };
    for step in &status.steps {
        let recorded = step.job.as_ref();
        prop_assert!(
            fixture.jobs_created.iter().filter(|name| name.contains(&step.name)).count() <= 1 || recorded.is_some(),
            "a step has Jobs and none on record"
        );
    }
    // A step that needs another's output never begins before it is there.
    let state = |name: &str| status.steps.iter().find(|step| step.name == name).map(|step| step.state);
    let train_began = fixture.jobs_created.iter().any(|name| name.contains("train"));
    prop_assert!(!train_began || state("prepare") == Some(StepState::Succeeded), "{:?}", status);
    Ok(())
}

/// Jobs that nobody has ended, whoever created them.
fn unended(fixture: &Fixture) -> usize {
    fixture.observed.jobs.iter().filter(|job: &&std::sync::Arc<Job>| job.status.is_none()).count()
}

proptest! {
    #[test]
    fn no_job_is_made_twice_and_every_run_ends(events in prop::collection::vec(event(), 0..40)) {
        let mut fixture = Fixture::new(training());
        let mut last = None;
        for event in &events {
            let ended_before = has_ended(fixture.observed.run.status.as_ref()).then(|| fixture.observed.run.status.clone());
            happen(&mut fixture, event);
            check(&fixture)?;
            if let Some(before) = ended_before {
                prop_assert_eq!(&before, &fixture.observed.run.status, "a run that has ended was changed");
            }
            last = Some(event);
        }
        // From here on all goes well.
        for _ in 0..30 {
            fixture.now += 60;
            fixture.settle();
            fixture.answer_questions();
            for step in fixture.live() {
                fixture.succeed(&step);
            }
            check(&fixture)?;
        }
        let status = fixture.status();
        prop_assert!(has_ended(Some(status)), "it goes on for ever after {:?}: {:#?}", last, status);
        let succeeded = conditions::is(&status.conditions, types::SUCCEEDED, Status::True);
        prop_assert_eq!(fixture.observed.versions.len(), usize::from(succeeded));
        prop_assert_eq!(unended(&fixture), 0, "a Job outlives its run");
    }
}
