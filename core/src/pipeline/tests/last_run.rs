//! What a pipeline says of its last run, and how often that is written.

use super::*;

#[test]
fn the_last_run_of_one_second_is_that_of_the_newest_change() {
    let mut observed = observe(pipeline("a"));
    for number in [9, 10] {
        let mut run = run(&observed.pipeline, number, now());
        run.metadata.creation_timestamp = Some(Time(now()));
        observed.runs.push(Arc::new(run));
    }
    assert_eq!(last_run(&observed).unwrap().name, "churn-c10");
}

/// Lets a run stand so.
fn stand(observed: &mut PipelineObserved, name: &str, status: Status, reason: &str) {
    let run = observed.runs.iter_mut().find(|run| run.name_any() == name).unwrap();
    let status_of_run = Arc::make_mut(run).status.get_or_insert_default();
    conditions::set(&mut status_of_run.conditions, types::SUCCEEDED, status, reason, "", None, now());
}

/// Plans until nothing is left to do, and counts the writes of the pipeline's status.
fn count_status_writes(observed: &mut PipelineObserved) -> usize {
    let mut writes = 0;
    loop {
        let plan = plan(observed, now());
        if plan.is_quiet() {
            return writes;
        }
        writes += usize::from(plan.status.is_some());
        execute(observed, plan);
    }
}

#[test]
fn a_run_that_nothing_holds_up_costs_two_writes_of_its_pipeline() {
    let mut observed = observe(pipeline("a"));
    let mut writes = count_status_writes(&mut observed);
    assert_eq!(last_run(&observed).unwrap().reason, "Running");
    for (status, reason) in [(Status::Unknown, "Running"), (Status::Unknown, "Publishing"), (Status::True, "Succeeded")]
    {
        stand(&mut observed, "churn-c1", status, reason);
        writes += count_status_writes(&mut observed);
    }
    assert_eq!(writes, 2);
    assert_eq!(last_run(&observed).unwrap().reason, "Succeeded");
}

#[test]
fn a_run_by_hand_that_nothing_holds_up_costs_one_write_of_its_pipeline() {
    let mut observed = observe(pipeline("a"));
    settle(&mut observed);
    stand(&mut observed, "churn-c1", Status::True, "Succeeded");
    settle(&mut observed);
    for name in ["smooth", "held-up"] {
        let spec = MLPipelineRunSpec { pipeline: "churn".into(), parameters: vec![], purpose: None };
        let mut run = MLPipelineRun::new(name, spec);
        run.metadata.creation_timestamp = Some(Time(now()));
        observed.runs.push(Arc::new(run));
        let reasons = if name == "smooth" { ["Running", "Running"] } else { ["Queued", "Running"] };
        let mut writes = count_status_writes(&mut observed);
        for reason in reasons {
            stand(&mut observed, name, Status::Unknown, reason);
            writes += count_status_writes(&mut observed);
        }
        if name == "held-up" {
            let last = last_run(&observed).unwrap();
            assert_eq!(
                (last.name.as_str(), last.reason.as_str()),
                ("held-up", "Running"),
                "it is not told of as queued for ever"
            );
        }
        stand(&mut observed, name, Status::True, "Succeeded");
        writes += count_status_writes(&mut observed);
        assert_eq!(writes, if name == "smooth" { 1 } else { 3 }, "{name}");
        assert_eq!(last_run(&observed).unwrap().name, name);
        observed.runs.retain(|run| run.name_any() != name);
        settle(&mut observed);
    }
}

#[test]
fn a_run_that_is_refused_is_not_told_of() {
    let mut observed = observe(pipeline("a"));
    let first = plan(&observed, now());
    Arc::make_mut(&mut observed.pipeline).status = first.status;
    observed.blocked.push(Blocked {
        kind: Kind::Run,
        name: "churn-c1".into(),
        reason: BlockedReason::Refused,
        message: "exceeded quota".into(),
        until: now(),
    });
    assert_eq!(plan(&observed, now()).status.unwrap().last_run, None);
}
