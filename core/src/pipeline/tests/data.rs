//! Triggers of type `Data`: which data start a run, and that each change of them starts one.

use seatrial_crds::names::{TRIGGER_ANNOTATION, TRIGGERED_AT_ANNOTATION};
use seatrial_crds::{CheckVerdict, DataContract};
use serde_json::Value;

use super::*;

/// The digest of some data.
fn digest(data: &str) -> String {
    format!("sha256:{}", data.repeat(64))
}

/// A pipeline of the namespace `growth` that reads the data of a contract, and waits for new ones.
fn waiting() -> PipelineObserved {
    let mut observed = observe(pipeline("a"));
    edit(&mut observed, |spec| {
        let input = json!({"name": "raw", "uri": "s3://lake/customers/", "contract": {"namespace": "billing", "name": "customers"}});
        spec.steps[0].inputs = vec![serde_json::from_value(input).unwrap()];
        let watched = json!({"contract": {"namespace": "billing", "name": "customers"}});
        let trigger = json!({"name": "new-customers", "type": "Data", "data": watched});
        spec.triggers = vec![serde_json::from_value(trigger).unwrap()];
    });
    observed.contracts = vec![contract(&[])];
    observed
}

/// The contract, whose newest check found these tables: schema, verdict, data.
fn contract(tables: &[(&str, CheckVerdict, &str)]) -> Arc<DataContract> {
    let schema = |name: &str| json!({"name": name, "properties": [{"name": "id"}]});
    let table = |(schema, verdict, data): &(&str, CheckVerdict, &str)| json!({"schema": schema, "verdict": verdict, "rows": 1, "digest": digest(data), "message": ""});
    let check = json!({
        "scheduledAt": "2026-01-02T06:00:00Z", "checkedAt": "2026-01-02T06:01:00Z", "foundAt": "2026-01-02T06:01:00Z",
        "verdict": "Passed", "version": "1.0.0", "revision": digest("9"),
        "tables": tables.iter().map(table).collect::<Vec<_>>(),
    });
    let object = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract",
        "metadata": {"name": "customers", "namespace": "billing"},
        "spec": {
            "serves": ["growth"],
            "contract": {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "1", "version": "1.0.0", "status": "active",
                         "schema": if tables.len() > 1 { vec![schema("t"), schema("u")] } else { vec![schema("t")] }},
            "check": {"schedule": {"cron": "0 6 * * *"}, "data": [{"schema": "t", "uri": "s3://lake/customers/"}]},
        },
        "status": {"schedule": {"key": "k", "since": "2026-01-01T12:00:00Z"},
                   "checks": if tables.is_empty() { vec![] } else { vec![check] }},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

/// The contract's check finds these data.
fn find(observed: &mut PipelineObserved, verdict: CheckVerdict, data: &str) {
    observed.contracts = vec![contract(&[("t", verdict, data)])];
    settle(observed);
}

/// The newest run ends; it read these data, if that is known.
fn end(observed: &mut PipelineObserved, status: Status, read: Option<&str>) {
    let mut conditions: Vec<Condition> = vec![];
    conditions::set(&mut conditions, types::SUCCEEDED, status, "x", "", None, now());
    let inputs: Vec<Value> =
        read.iter().map(|data| json!({"name": "raw", "digest": digest(data), "size": 1})).collect();
    let steps = json!([{"name": "train", "state": "Succeeded", "inputs": inputs}]);
    let run = Arc::make_mut(observed.runs.last_mut().unwrap());
    run.status =
        Some(MLPipelineRunStatus { conditions, steps: serde_json::from_value(steps).unwrap(), ..Default::default() });
    settle(observed);
}

/// What the newest revision bears.
fn borne(observed: &PipelineObserved) -> Option<String> {
    let data = revision::newest(&observed.revisions).unwrap().triggered_data();
    let told = crate::pipeline::data::told(&data);
    assert_eq!(observed.pipeline.status.as_ref().unwrap().data, told, "the status says the same");
    data.into_values().next()
}

fn says(observed: &PipelineObserved) -> &str {
    let conditions = &observed.pipeline.status.as_ref().unwrap().conditions;
    &conditions::find(conditions, types::READY).unwrap().message
}

#[test]
fn each_change_of_the_data_starts_one_run() {
    let mut observed = waiting();
    settle(&mut observed);
    find(&mut observed, CheckVerdict::Passed, "a");
    assert_eq!((run_names(&observed), borne(&observed)), (vec!["churn-c1".to_owned()], None), "it may read them");
    end(&mut observed, Status::True, Some("a"));
    assert_eq!((run_names(&observed).len(), borne(&observed)), (1, Some(digest("a"))), "it read them");
    find(&mut observed, CheckVerdict::Passed, "a");
    assert_eq!(run_names(&observed).len(), 1);
    find(&mut observed, CheckVerdict::Passed, "b");
    assert_eq!(
        (run_names(&observed), borne(&observed)),
        (vec!["churn-c1".to_owned(), "churn-c2".to_owned()], Some(digest("b")))
    );
    let run = observed.runs.last().unwrap().clone();
    assert_eq!((triggered_revision(&run), run.spec.purpose), (Some(2), Some(Purpose::Release)));
    assert_eq!(run.annotations()[TRIGGER_ANNOTATION], "new-customers");
    assert!(run.annotations().contains_key(TRIGGERED_AT_ANNOTATION));
    // What comes while a run is under way is waited for, and is new if that run did not read it.
    find(&mut observed, CheckVerdict::Passed, "c");
    assert_eq!(run_names(&observed).len(), 2);
    end(&mut observed, Status::True, Some("b"));
    assert_eq!((run_names(&observed).len(), borne(&observed)), (3, Some(digest("c"))));
    find(&mut observed, CheckVerdict::Passed, "d");
    end(&mut observed, Status::True, Some("d"));
    assert_eq!((run_names(&observed).len(), borne(&observed)), (3, Some(digest("d"))), "it read what came meanwhile");
    // Going back is a change again. A run that failed has had its chance.
    find(&mut observed, CheckVerdict::Passed, "a");
    end(&mut observed, Status::False, None);
    assert_eq!(run_names(&observed).len(), 4);
    find(&mut observed, CheckVerdict::Passed, "a");
    assert_eq!(run_names(&observed).len(), 4);
}

#[test]
fn data_that_do_not_keep_their_contract_start_nothing() {
    let mut observed = waiting();
    settle(&mut observed);
    find(&mut observed, CheckVerdict::Passed, "a");
    end(&mut observed, Status::True, Some("a"));
    for verdict in [CheckVerdict::Failed, CheckVerdict::Inconclusive, CheckVerdict::Error] {
        find(&mut observed, verdict, "b");
        assert_eq!((run_names(&observed).len(), borne(&observed)), (1, Some(digest("a"))), "{verdict:?}");
    }
    find(&mut observed, CheckVerdict::Passed, "b");
    assert_eq!(run_names(&observed).len(), 2, "they were put right");
}

/// A run whose data broke their contract, or that failed before it read any.
#[test]
fn a_first_run_that_read_nothing_is_made_up_for_once_the_data_are_good() {
    let mut observed = waiting();
    settle(&mut observed);
    end(&mut observed, Status::False, None);
    assert_eq!(run_names(&observed).len(), 1);
    find(&mut observed, CheckVerdict::Passed, "a");
    assert_eq!(run_names(&observed).len(), 2);
}

#[test]
fn what_a_forgotten_run_read_is_taken_for_what_there_is() {
    let mut observed = waiting();
    settle(&mut observed);
    observed.runs.clear();
    find(&mut observed, CheckVerdict::Passed, "a");
    assert_eq!((run_names(&observed).len(), borne(&observed)), (0, Some(digest("a"))));
    find(&mut observed, CheckVerdict::Passed, "b");
    assert_eq!(run_names(&observed), ["churn-c2"]);
}

#[test]
fn a_new_change_is_made_for_the_data_that_there_are() {
    let mut observed = waiting();
    observed.contracts = vec![contract(&[("t", CheckVerdict::Passed, "a")])];
    settle(&mut observed);
    assert_eq!(borne(&observed), Some(digest("a")));
    end(&mut observed, Status::False, None);
    edit(&mut observed, |spec| spec.options.image = Some("churn:2".into()));
    observed.contracts = vec![contract(&[("t", CheckVerdict::Passed, "b")])];
    settle(&mut observed);
    assert_eq!((run_names(&observed).len(), borne(&observed)), (2, Some(digest("b"))));
    assert!(!observed.runs[1].annotations().contains_key(TRIGGER_ANNOTATION), "the change started it");
    end(&mut observed, Status::True, None);
    // Without the trigger, the data are nothing to the pipeline.
    edit(&mut observed, |spec| spec.triggers = vec![]);
    settle(&mut observed);
    find(&mut observed, CheckVerdict::Passed, "c");
    assert_eq!((run_names(&observed).len(), borne(&observed)), (2, None));
}

#[test]
fn a_crash_between_any_two_writes_neither_loses_nor_doubles_the_run_of_new_data() {
    let mut before = waiting();
    before.contracts = vec![contract(&[("t", CheckVerdict::Passed, "a")])];
    settle(&mut before);
    end(&mut before, Status::True, Some("a"));
    before.contracts = vec![contract(&[("t", CheckVerdict::Passed, "b")])];
    let first = plan(&before, now());
    assert_eq!(first.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["NewData"]);
    for done in 0..=first.writes().count() {
        let mut observed = before.clone();
        let mut cut = first.clone();
        let mut left = done;
        for stage in &mut cut.stages {
            let kept = left.min(stage.writes.len());
            stage.writes.truncate(kept);
            left -= kept;
        }
        execute(&mut observed, cut);
        // Meanwhile, the data change once more: the run that is on record is made for those on record.
        observed.contracts = vec![contract(&[("t", CheckVerdict::Passed, "c")])];
        let again = plan(&observed, now());
        assert!(again.events.is_empty());
        observed.runs.retain(|run| run.name_any() != "churn-c2");
        let run = run(&observed.pipeline, 2, now());
        execute(&mut observed, again);
        if done >= 1 && !run_names(&observed).contains(&run.name_any()) {
            observed.runs.push(Arc::new(run));
        }
        settle(&mut observed);
        assert_eq!(run_names(&observed), ["churn-c1", "churn-c2"], "cut after {done}");
        assert_eq!(borne(&observed), Some(digest("b")), "cut after {done}");
        end(&mut observed, Status::True, Some("b"));
        assert_eq!(run_names(&observed).len(), 3, "cut after {done}: what came meanwhile is new");
    }
}

#[test]
fn several_tables_are_new_where_one_of_them_is() {
    let mut observed = waiting();
    edit(&mut observed, |spec| {
        let input = |name: &str| {
            let contract = json!({"namespace": "billing", "name": "customers", "schema": name});
            serde_json::from_value(json!({"name": name, "uri": "s3://lake/x/", "contract": contract})).unwrap()
        };
        spec.steps[0].inputs = vec![input("t"), input("u")];
    });
    let tables = |t: &str, verdict, u: &str| vec![contract(&[("t", CheckVerdict::Passed, t), ("u", verdict, u)])];
    observed.contracts = tables("a", CheckVerdict::Passed, "a");
    settle(&mut observed);
    end(&mut observed, Status::True, None);
    for (t, verdict, u, runs) in [
        ("a", CheckVerdict::Passed, "a", 1),
        ("b", CheckVerdict::Failed, "b", 1),
        ("b", CheckVerdict::Passed, "a", 2),
        ("b", CheckVerdict::Passed, "b", 3),
    ] {
        observed.contracts = tables(t, verdict, u);
        settle(&mut observed);
        assert_eq!(run_names(&observed).len(), runs, "{t} {u}");
        end(&mut observed, Status::True, None);
    }
}

#[test]
fn a_pipeline_that_may_start_nothing_starts_nothing_for_new_data() {
    let mut observed = waiting();
    observed.contracts = vec![contract(&[("t", CheckVerdict::Passed, "a")])];
    settle(&mut observed);
    end(&mut observed, Status::True, Some("a"));
    edit(&mut observed, |spec| spec.suspend = Some(true));
    find(&mut observed, CheckVerdict::Passed, "b");
    find(&mut observed, CheckVerdict::Passed, "c");
    assert_eq!(run_names(&observed).len(), 1);
    edit(&mut observed, |spec| spec.suspend = None);
    settle(&mut observed);
    assert_eq!((run_names(&observed).len(), borne(&observed)), (2, Some(digest("c"))), "one for all that came");
    end(&mut observed, Status::True, Some("c"));
    edit(&mut observed, |spec| {
        spec.parameters = vec![serde_json::from_value(json!({"name": "rate", "type": "Number"})).unwrap()];
    });
    find(&mut observed, CheckVerdict::Passed, "d");
    find(&mut observed, CheckVerdict::Passed, "e");
    assert_eq!(run_names(&observed).len(), 2, "nobody gives it a value");
}

#[test]
fn a_pipeline_that_comes_back_runs_for_data_that_came_meanwhile_alone() {
    let mut observed = waiting();
    observed.contracts = vec![contract(&[("t", CheckVerdict::Passed, "a")])];
    settle(&mut observed);
    for (data, runs) in [("a", 0), ("b", 1)] {
        let mut back = waiting();
        Arc::make_mut(&mut back.pipeline).metadata.uid = Some("b".into());
        back.revisions = observed.revisions.clone();
        back.contracts = vec![contract(&[("t", CheckVerdict::Passed, data)])];
        settle(&mut back);
        assert_eq!(run_names(&back).len(), runs, "{data}");
    }
}

#[test]
fn what_a_trigger_waits_for_is_said() {
    let mut observed = waiting();
    settle(&mut observed);
    let told = "changes that affect results start runs; so do new data of the contract billing/customers that keep it (trigger \"new-customers\")";
    assert_eq!(says(&observed), told);
    Arc::make_mut(&mut observed.contracts[0]).spec.check = None;
    settle(&mut observed);
    assert!(says(&observed).contains("let its producer set spec.check.schedule"), "{}", says(&observed));
    // Whoever is not served learns nothing.
    observed.contracts = vec![contract(&[("t", CheckVerdict::Passed, "a")])];
    Arc::make_mut(&mut observed.contracts[0]).spec.serves = vec![];
    settle(&mut observed);
    end(&mut observed, Status::True, None);
    assert_eq!((run_names(&observed).len(), borne(&observed)), (1, None));
}
