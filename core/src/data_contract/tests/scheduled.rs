//! A contract's own schedule: when a check begins, what is recorded before its Job is created, and what comes of it.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{CheckVerdict, ScheduledCheck};
use serde_json::{Value, from_value, json};

use super::published::{alone, object};
use super::*;
use crate::conditions::{self, types};
use crate::contract::check::{BrokenRule, CheckMessage, CheckSummary, CheckVerdict as Found};
use crate::contract::{Digest, ExitCode, Message, ReportedInput};
use crate::observed::Expectation;
use crate::plan::{Blocked, BlockedReason, Kind, LiveRead, Plan};
use crate::platform::{DefaultStore, Judge, Platform};

fn at(text: &str) -> Timestamp {
    format!("2026-01-{text}Z").parse().unwrap()
}

/// A contract whose table is checked each day at six.
fn scheduled(check: Value) -> DataContractSpec {
    let mut document = document(json!({"name": "t", "properties": [{"name": "x", "required": true}]}));
    document["slaProperties"] = json!([{"property": "frequency", "value": 2, "unit": "d"}]);
    DataContractSpec { check: Some(from_value(check).unwrap()), ..spec(&document) }
}

fn daily() -> Value {
    json!({"schedule": {"cron": "0 6 * * *"}, "data": [{"schema": "t", "uri": "s3://billing/customers/"}]})
}

/// A contract, and what the operator does about it.
struct Fixture {
    observed: ContractObserved,
    now: Timestamp,
    events: Vec<&'static str>,
}

impl Fixture {
    fn new(check: Value) -> Self {
        let platform = Platform {
            agent_image: "agent:1".into(),
            default_store: Some(DefaultStore::example()),
            judge: Some(Judge { image: "evidence:1".into(), ..Judge::default() }),
            ..Platform::default()
        };
        let observed = ContractObserved {
            platform: Arc::new(platform),
            leading_for: Duration::from_secs(3600),
            ..alone(object(scheduled(check)))
        };
        let mut fixture = Self { observed, now: at("01T12:00:00"), events: vec![] };
        fixture.settle();
        fixture
    }

    /// One pass: what is planned is done.
    fn pass(&mut self) -> Plan<DataContractStatus> {
        let plan = plan(&self.observed, self.now);
        if let Some(status) = &plan.status {
            Arc::make_mut(&mut self.observed.contract).status = Some(status.clone());
        }
        self.events.extend(plan.events.iter().map(|event| event.reason));
        for write in plan.writes().cloned() {
            match write {
                Write::Create(Object::Job(mut job)) => {
                    let name = job.name_any();
                    job.metadata.uid = Some(format!("{name}-uid"));
                    self.observed.expectations.insert(name, Expectation::Observed);
                    self.observed.jobs.push(Arc::new(*job));
                }
                Write::Create(Object::ControllerRevision(mut revision)) => {
                    revision.metadata.uid = Some(revision.name_any());
                    self.observed.revisions.push(Arc::new((*revision).into()));
                }
                Write::Delete { uid, .. } => {
                    self.observed.jobs.retain(|job| job.metadata.uid.as_ref() != Some(&uid));
                }
                other => panic!("{other:?}"),
            }
        }
        plan
    }

    /// Passes until nothing is left to be written.
    fn settle(&mut self) -> Plan<DataContractStatus> {
        for _ in 0..5 {
            let plan = self.pass();
            if plan.status.is_none() && plan.writes().next().is_none() {
                return plan;
            }
        }
        panic!("it does not come to rest: {:#?}", self.observed.contract.status);
    }

    fn wait_until(&mut self, time: &str) -> Plan<DataContractStatus> {
        self.now = at(time);
        self.settle()
    }

    fn status(&self) -> &DataContractStatus {
        self.observed.contract.status.as_ref().unwrap()
    }

    fn newest(&self) -> &ScheduledCheck {
        &self.status().checks[0]
    }

    /// Status, reason and message of a condition.
    fn says(&self, kind: &str) -> (&str, &str, &str) {
        let found = conditions::find(&self.status().conditions, kind).unwrap_or_else(|| panic!("no {kind}"));
        (&found.status, &found.reason, &found.message)
    }

    fn job(&self) -> &Job {
        self.observed.jobs.last().unwrap()
    }

    /// The newest Job's pod ends so.
    fn pod_ends(&mut self, init: &[(&str, i32, String)], main: Option<String>) {
        let ended = |(name, code, message): &(&str, i32, String)| {
            json!({"name": name, "ready": false, "restartCount": 0, "image": "x", "imageID": "",
                   "state": {"terminated": {"exitCode": code, "message": message}}})
        };
        let job = self.job();
        let main = main.map(|message| ended(&("seatrial-report", 0, message)));
        let pod: Pod = from_value(json!({
            "metadata": {"name": "pod", "namespace": "billing", "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": job.metadata.name, "uid": job.metadata.uid, "controller": true}]},
            "status": {"phase": if main.is_some() { "Succeeded" } else { "Failed" },
                       "initContainerStatuses": init.iter().map(ended).collect::<Vec<_>>(),
                       "containerStatuses": main.into_iter().collect::<Vec<_>>()},
        }))
        .unwrap();
        self.observed.pods = vec![Arc::new(pod)];
    }

    /// The newest Job's pod found this, of data with this digest.
    fn finds(&mut self, verdict: Found, digest: &str) {
        let summary = CheckSummary {
            input: "table-1".into(),
            verdict,
            sentence: format!("what was found is {verdict:?}"),
            rows: 7,
            rules: 2,
            errors: u64::from(verdict == Found::Failed),
            warnings: 0,
            not_checked: 0,
            broken: (verdict == Found::Failed)
                .then(|| BrokenRule { rule: "x.required".into(), severity: Severity::Error, sentence: "x".into() })
                .into_iter()
                .collect(),
            report: None,
        };
        let input = ReportedInput { name: "table-1".into(), digest: Digest::of(digest.as_bytes()), size: 5 };
        let fetched = Message { inputs: vec![input], ..Message::new() }.to_json();
        let found = CheckMessage { checks: vec![summary], failure: None }.to_json();
        self.pod_ends(&[("seatrial-fetch", 0, fetched), ("seatrial-check", 0, String::new())], Some(found));
        self.settle();
    }

    /// The newest Job's pod brought data that it was told are known.
    fn finds_nothing_new(&mut self, digest: &str) {
        let known = serde_json::to_string(self.job()).unwrap();
        assert!(known.contains(&Digest::of(digest.as_bytes()).to_string()), "the pod is not told what is known");
        let input = ReportedInput { name: "table-1".into(), digest: Digest::of(digest.as_bytes()), size: 5 };
        let fetched = Message { inputs: vec![input], ..Message::new() }.to_json();
        let said = CheckMessage { checks: vec![], failure: None }.to_json();
        self.pod_ends(&[("seatrial-fetch", 0, fetched), ("seatrial-check", 0, String::new())], Some(said));
        self.settle();
    }

    fn job_fails(&mut self) {
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]});
        Arc::make_mut(self.observed.jobs.last_mut().unwrap()).status = from_value(failed).unwrap();
        self.settle();
        if self.observed.pods.is_empty() {
            // No pod is in sight: the API server is asked before the attempt is given up.
            assert!(self.status().checking.as_ref().is_some_and(|checking| checking.failed_at.is_none()));
            self.observed.live_reads.insert(self.job().name_any(), self.now);
            self.settle();
        }
    }
}

#[test]
fn a_check_that_is_due_is_recorded_and_made_and_told_once() {
    let mut fixture = Fixture::new(daily());
    assert_eq!(fixture.says(types::HONOURED).1, "NotCheckedYet");
    assert_eq!(fixture.says(types::FRESH).1, "NotCheckedYet");
    let plan = fixture.wait_until("02T05:59:58");
    assert_eq!((fixture.observed.jobs.len(), plan.requeue_after), (0, Some(Duration::from_millis(2001))));
    // It is on record before the Job is created: both are in one plan, whose status is written first.
    fixture.now = at("02T06:00:00");
    let plan = fixture.pass();
    let checking = plan.status.unwrap().checking.unwrap();
    assert_eq!((checking.scheduled_at.0, checking.attempt), (at("02T06:00:00"), 1));
    assert_eq!(fixture.observed.jobs.len(), 1);
    insta::assert_yaml_snapshot!("check_job", fixture.job());
    assert!(fixture.pass().is_quiet(), "nothing is done while it goes on");
    fixture.now = at("02T06:05:00");
    fixture.finds(Found::Passed, "a");
    assert_eq!(fixture.says(types::HONOURED), ("True", "Honoured", "t: what was found is Passed"));
    assert_eq!(fixture.says(types::FRESH).1, "Fresh");
    assert_eq!((fixture.status().checking.is_none(), fixture.events.as_slice()), (true, &["Honoured", "Fresh"][..]));
    let newest = fixture.newest();
    assert_eq!((newest.scheduled_at.0, newest.checked_at.0), (at("02T06:00:00"), at("02T06:05:00")));
    assert_eq!((newest.tables[0].rows, newest.tables[0].unchanged_since.clone().unwrap().0), (7, at("02T06:00:00")));
    // Until the next time, nothing is written, whatever becomes of the Job.
    fixture.observed.jobs.clear();
    fixture.observed.pods.clear();
    assert!(fixture.wait_until("03T05:00:00").is_quiet());
    assert_eq!(fixture.observed.jobs.len(), 0);
}

#[test]
fn what_is_found_is_told_and_kept() {
    let table = [
        (Found::Passed, "True", "Honoured", CheckVerdict::Passed),
        (Found::Failed, "False", "ContractBroken", CheckVerdict::Failed),
        (Found::Inconclusive, "Unknown", "ContractUnproven", CheckVerdict::Inconclusive),
        (Found::Error, "Unknown", "CheckFailed", CheckVerdict::Error),
    ];
    let mut fixture = Fixture::new(daily());
    for (day, (found, status, reason, verdict)) in (2..).zip(table) {
        fixture.wait_until(&format!("{day:0>2}T06:00:00"));
        fixture.finds(found, &day.to_string());
        assert_eq!(fixture.says(types::HONOURED).0, status);
        assert_eq!((fixture.says(types::HONOURED).1, fixture.newest().verdict), (reason, verdict));
    }
    assert_eq!(fixture.status().checks.len(), 4);
    assert_eq!(fixture.status().checks[2].tables[0].broken, ["x.required"]);
    let told: Vec<&str> = fixture.events.iter().copied().filter(|reason| *reason != "Fresh").collect();
    assert_eq!(told, ["Honoured", "ContractBroken", "ContractUnproven", "CheckFailed"]);
    for day in 6..20 {
        fixture.wait_until(&format!("{day:0>2}T06:00:00"));
        fixture.finds(Found::Passed, &day.to_string());
    }
    assert_eq!(fixture.status().checks.len(), limits::CHECKS);
}

/// The same data by the same document are no news; that they are the same for too long is.
#[test]
fn data_that_do_not_change_move_the_times_and_become_stale() {
    let mut fixture = Fixture::new(daily());
    for day in 2..=4 {
        fixture.wait_until(&format!("{day:0>2}T06:00:00"));
        fixture.finds(Found::Passed, "same");
        assert_eq!(fixture.says(types::FRESH).1, "Fresh", "{day}");
    }
    let newest = fixture.newest().clone();
    assert_eq!((fixture.status().checks.len(), newest.scheduled_at.0), (1, at("04T06:00:00")));
    assert_eq!((newest.found_at.0, fixture.events.len()), (at("02T06:00:00"), 2));
    fixture.wait_until("05T06:00:00");
    fixture.finds_nothing_new("same");
    let (status, reason, message) = fixture.says(types::FRESH);
    assert_eq!((status, reason), ("False", "Stale"));
    assert_eq!(message, "t has not changed since 2026-01-02T06:00:00Z; the contract promises new data every 2 days");
    assert_eq!(fixture.says(types::HONOURED).1, "Honoured", "they keep their rules");
    assert_eq!(fixture.events.last(), Some(&"Stale"));
    fixture.wait_until("06T06:00:00");
    fixture.finds(Found::Passed, "other");
    assert_eq!((fixture.says(types::FRESH).1, fixture.status().checks.len()), ("Fresh", 2));
}

#[test]
fn an_attempt_that_fails_is_followed_by_two_and_then_by_the_next_time() {
    let mut fixture = Fixture::new(daily());
    fixture.wait_until("02T06:00:00");
    let mut names = vec![fixture.job().name_any()];
    for (attempt, next) in [(1, "02T06:00:30"), (2, "02T06:01:30")] {
        fixture.job_fails();
        let checking = fixture.status().checking.clone().unwrap();
        assert_eq!((checking.attempt, checking.failed_at.is_some()), (attempt, true));
        assert_eq!(fixture.says(types::HONOURED).1, "NotCheckedYet", "nothing is known yet");
        fixture.wait_until(next);
        names.push(fixture.job().name_any());
    }
    names.dedup();
    assert_eq!(names.len(), 3, "each attempt has a name of its own");
    fixture.job_fails();
    assert_eq!(fixture.says(types::HONOURED).1, "CheckFailed");
    assert!(fixture.newest().message.as_ref().unwrap().contains("BackoffLimitExceeded"));
    assert_eq!(fixture.newest().verdict, CheckVerdict::Error);
    fixture.wait_until("03T06:00:00");
    assert_eq!(fixture.status().checking.as_ref().unwrap().attempt, 1);
}

#[test]
fn data_that_are_not_there_are_not_asked_for_again() {
    let mut fixture = Fixture::new(daily());
    fixture.wait_until("02T06:00:00");
    let code = ExitCode::InputNotFound;
    let message = Message::failed(code, "there is nothing beneath s3://billing/customers/").to_json();
    fixture.pod_ends(&[("seatrial-fetch", i32::from(code.number()), message)], None);
    fixture.settle();
    let (status, reason, said) = fixture.says(types::HONOURED);
    assert_eq!((status, reason), ("Unknown", "CheckFailed"));
    assert!(said.contains("there is nothing beneath"), "{said}");
    assert_eq!(fixture.says(types::FRESH).0, "Unknown", "nobody knows");
}

/// Whoever takes over finds the attempt, and waits for what may still be on its way.
#[test]
fn a_job_that_is_gone_is_asked_for_before_another_is_made() {
    let mut fixture = Fixture::new(daily());
    fixture.wait_until("02T06:00:00");
    fixture.observed.jobs.clear();
    fixture.observed.expectations.clear();
    fixture.observed.leading_for = Duration::from_secs(1);
    assert!(fixture.settle().is_quiet(), "a late write of the former leader may land");
    fixture.observed.leading_for = Duration::from_secs(61);
    let plan = fixture.pass();
    let asked: Vec<&LiveRead> = plan.live_reads.iter().collect();
    let [LiveRead::Job(name)] = asked.as_slice() else { panic!("{asked:?}") };
    fixture.observed.live_reads.insert(name.clone(), fixture.now);
    fixture.settle();
    let message = fixture.status().checking.clone().unwrap().message.unwrap();
    assert!(message.ends_with("is gone"), "{message}");
}

/// The cache of pods may be behind that of Jobs: nothing counts as lost before the API server was asked.
#[test]
fn what_a_complete_job_said_is_asked_for_before_it_is_given_up() {
    for (is_in_sight, message) in [(false, None), (true, None), (true, Some("no JSON"))] {
        let mut fixture = Fixture::new(daily());
        fixture.wait_until("02T06:00:00");
        let job = fixture.job().name_any();
        let complete = json!({"completionTime": "2026-01-02T06:01:00Z",
                              "conditions": [{"type": "Complete", "status": "True"}]});
        Arc::make_mut(fixture.observed.jobs.last_mut().unwrap()).status = from_value(complete).unwrap();
        if is_in_sight {
            fixture.pod_ends(&[], Some(String::new()));
            let pod = Arc::make_mut(&mut fixture.observed.pods[0]);
            let containers = pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
            let ended = containers[0].state.as_mut().unwrap().terminated.as_mut().unwrap();
            ended.message = message.map(str::to_owned);
        }
        assert!(fixture.wait_until("02T06:01:05").live_reads.is_empty(), "it may be a moment behind");
        let asked = fixture.wait_until("02T06:01:10").live_reads;
        assert_eq!(asked, [LiveRead::Job(job.clone())]);
        assert_eq!(fixture.status().checking.as_ref().unwrap().failed_at, None);
        fixture.observed.live_reads.insert(job, fixture.now);
        let mut answered = Fixture { observed: fixture.observed.clone(), now: fixture.now, events: vec![] };
        answered.finds(Found::Passed, "a");
        assert_eq!(answered.says(types::HONOURED).1, "Honoured", "the answer brought it");
        fixture.settle();
        let checking = fixture.status().checking.clone().unwrap();
        assert!(checking.message.unwrap().ends_with("what it said is lost") && checking.failed_at.is_some());
    }
}

#[test]
fn what_stands_in_the_way_is_said_and_waited_for() {
    let elsewhere = json!({"schedule": {"cron": "0 6 * * *"}, "data": [{"schema": "t", "uri": "s3://elsewhere/x/"}]});
    let mut fixture = Fixture::new(elsewhere);
    fixture.wait_until("02T06:00:00");
    assert_eq!((fixture.says(types::HONOURED).1, fixture.observed.jobs.len()), ("StoreNotFound", 0));
    assert!(fixture.status().checking.is_none(), "nothing is recorded that cannot begin");
    let mut fixture = Fixture::new(daily());
    Arc::make_mut(&mut fixture.observed.platform).judge = None;
    fixture.wait_until("02T06:00:00");
    assert_eq!((fixture.says(types::HONOURED).1, fixture.observed.jobs.len()), ("NoChecker", 0));
    Arc::make_mut(&mut fixture.observed.platform).judge = Some(Judge::default());
    fixture.wait_until("02T18:00:00");
    assert_eq!(fixture.status().checking.as_ref().unwrap().scheduled_at.0, at("02T06:00:00"), "it is made up for");
    // A quota, say.
    let job = fixture.job().name_any();
    fixture.observed.jobs.clear();
    fixture.observed.expectations.insert(job.clone(), Expectation::Recorded);
    fixture.observed.blocked = vec![Blocked {
        kind: Kind::Job,
        name: job,
        reason: BlockedReason::Refused,
        message: "exceeded quota".into(),
        until: at("02T18:00:30"),
    }];
    fixture.settle();
    let message = fixture.status().checking.clone().unwrap().message.unwrap();
    assert!(message.contains("exceeded quota"), "{message}");
}

#[test]
fn a_schedule_that_is_none_is_said_and_nothing_else_is_kept_from_its_work() {
    for (schedule, schema, path) in [
        (json!({"cron": "6 o'clock"}), "t", "spec.check.schedule.cron"),
        (json!({"cron": "0 6 * * *", "timeZone": "Berlin"}), "t", "spec.check.schedule.timeZone"),
        (json!({"cron": "0 6 * * *", "startingDeadline": "0s"}), "t", "spec.check.schedule.startingDeadline"),
        (json!({"cron": "0 6 * * *"}), "u", "spec.check.data[u].schema"),
    ] {
        let check = json!({"schedule": schedule, "data": [{"schema": schema, "uri": "s3://billing/customers/"}]});
        let problems = schedule_problems(&scheduled(check.clone()));
        assert_eq!(problems.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), [path]);
        let mut fixture = Fixture::new(check);
        fixture.wait_until("09T06:00:00");
        assert_eq!((fixture.says(types::HONOURED).1, fixture.observed.jobs.len()), ("InvalidSchedule", 0));
        assert_eq!(fixture.says(types::READY).0, "True", "pipelines may read by it");
    }
    assert_eq!(schedule_problems(&scheduled(daily())), []);
}

#[test]
fn another_document_or_place_is_not_known_until_it_was_checked() {
    let mut fixture = Fixture::new(daily());
    fixture.wait_until("02T06:00:00");
    fixture.finds(Found::Passed, "a");
    // While the next check goes on, other data are to be checked: its Job goes.
    fixture.wait_until("03T06:00:00");
    let under_way = fixture.job().metadata.uid.clone();
    let other = json!({"schedule": {"cron": "0 6 * * *"}, "data": [{"schema": "t", "uri": "s3://billing/other/"}]});
    Arc::make_mut(&mut fixture.observed.contract).spec = scheduled(other);
    fixture.wait_until("03T06:00:10");
    assert!(fixture.observed.jobs.iter().all(|job| job.metadata.uid != under_way), "its Job is deleted");
    assert!(fixture.status().checking.is_none());
    assert_eq!(fixture.says(types::HONOURED).1, "NotCheckedYet");
    assert!(fixture.wait_until("04T05:59:59").is_quiet(), "what was missed before is not made up for");
    fixture.wait_until("04T06:00:00");
    fixture.finds(Found::Passed, "b");
    assert_eq!(fixture.says(types::HONOURED).1, "Honoured");
    // Another time alone leaves what was found.
    let later = json!({"schedule": {"cron": "0 7 * * *"}, "data": [{"schema": "t", "uri": "s3://billing/other/"}]});
    Arc::make_mut(&mut fixture.observed.contract).spec = scheduled(later);
    fixture.wait_until("04T06:30:00");
    assert_eq!(fixture.says(types::HONOURED).1, "Honoured");
    // Without a schedule there is nothing to say.
    Arc::make_mut(&mut fixture.observed.contract).spec.check = None;
    fixture.settle();
    let status = fixture.status();
    assert!(status.checks.is_empty() && status.schedule.is_none());
    assert!(conditions::find(&status.conditions, types::HONOURED).is_none());
    assert!(conditions::find(&status.conditions, types::FRESH).is_none());
}

#[test]
fn only_how_often_data_come_is_checked_of_service_levels() {
    let level = |level: Value| {
        let mut whole = scheduled(daily());
        whole.contract.insert("slaProperties".into(), json!([level]));
        let read = read(&whole).unwrap();
        (read.schemas[0].frequency.map(|it| it.seconds), read.not_checked.len())
    };
    let table = [
        (json!({"property": "frequency", "value": 1, "unit": "d"}), (Some(86400), 0)),
        (json!({"property": "Frequency", "value": "6", "unit": "hours"}), (Some(21600), 0)),
        (json!({"property": "frequency", "value": 1, "unit": "m"}), (None, 1)),
        (json!({"property": "frequency", "value": 0, "unit": "d"}), (None, 1)),
        (json!({"property": "frequency", "value": 1.5, "unit": "d"}), (None, 1)),
        (json!({"property": "frequency", "value": i64::MAX, "unit": "y"}), (None, 1)),
        (json!({"property": "latency", "value": 4, "unit": "d"}), (None, 1)),
        (json!("frequency"), (None, 1)),
        (json!({"property": "frequency", "value": 1, "unit": "d", "element": "u, t.x"}), (Some(86400), 0)),
        (json!({"property": "frequency", "value": 1, "unit": "d", "element": "u"}), (None, 1)),
    ];
    for (property, is) in table {
        assert_eq!(level(property.clone()), is, "{property}");
    }
    let unscheduled = DataContractSpec { check: None, ..scheduled(daily()) };
    assert_eq!(read(&unscheduled).unwrap().not_checked.len(), 1, "without a schedule nobody sees whether data come");
    let rarer = |value: u32| {
        let mut whole = scheduled(daily());
        whole.contract.insert("slaProperties".into(), json!([{"property": "frequency", "value": value, "unit": "d"}]));
        read(&whole).unwrap()
    };
    assert!(compare(&rarer(1), &rarer(2)).iter().all(Change::breaks));
    assert!(!compare(&rarer(2), &rarer(1)).iter().any(Change::breaks));
}

/// A rule may ask what day it is: the same data are read again for it.
#[test]
fn data_with_a_query_are_read_again_though_they_are_the_same() {
    for (quality, is_known) in [
        (json!({"metric": "rowCount", "mustBeGreaterThan": 0}), true),
        (
            json!({"type": "sql", "query": "SELECT COUNT(*) FROM t WHERE x >= date('now', '-1 day')", "mustBeGreaterThan": 0}),
            false,
        ),
    ] {
        let mut fixture = Fixture::new(daily());
        let table = json!([{"name": "t", "properties": [{"name": "x"}], "quality": [quality]}]);
        Arc::make_mut(&mut fixture.observed.contract).spec.contract.insert("schema".into(), table);
        fixture.settle();
        fixture.wait_until("02T06:00:00");
        fixture.finds(Found::Passed, "same");
        fixture.wait_until("03T06:00:00");
        let job = serde_json::to_string(fixture.job()).unwrap();
        assert_eq!(job.contains(&Digest::of(b"same").to_string()), is_known, "{quality}");
        fixture.finds(Found::Failed, "same");
        assert_eq!(fixture.says(types::HONOURED).1, "ContractBroken");
    }
}

#[test]
fn a_check_that_begins_too_late_is_left_out_and_that_is_said() {
    let late = json!({"schedule": {"cron": "0 6 * * *", "startingDeadline": "30m"}, "data": [{"schema": "t", "uri": "s3://billing/customers/"}]});
    let mut fixture = Fixture::new(late);
    fixture.wait_until("02T06:00:00");
    fixture.finds(Found::Passed, "a");
    let judge = Arc::make_mut(&mut fixture.observed.platform).judge.take();
    fixture.wait_until("03T06:00:00");
    assert_eq!(fixture.says(types::HONOURED).1, "NoChecker");
    fixture.wait_until("03T06:31:00");
    let missed = "the check of 2026-01-03T06:00:00Z did not begin within spec.check.schedule.startingDeadline, and was left out; the next check is due at 2026-01-04T06:00:00Z";
    assert_eq!(fixture.says(types::HONOURED), ("Unknown", "CheckMissed", missed));
    assert_eq!((fixture.says(types::FRESH).1, fixture.events.last()), ("CheckMissed", Some(&"CheckMissed")));
    Arc::make_mut(&mut fixture.observed.platform).judge = judge;
    assert!(fixture.wait_until("03T12:00:00").is_quiet());
    assert_eq!(fixture.says(types::HONOURED).1, "CheckMissed");
    fixture.wait_until("04T06:10:00");
    fixture.finds(Found::Passed, "b");
    assert_eq!(fixture.says(types::HONOURED).1, "Honoured");
}

/// A leader whose clock is a year ahead writes times that come a year later.
#[test]
fn times_of_a_clock_that_was_ahead_hold_nothing_up() {
    let year_ahead: Timestamp = "2027-01-01T12:00:00Z".parse().unwrap();
    // The schedule is seen.
    let mut fixture = Fixture::new(daily());
    fixture.now = year_ahead;
    Arc::make_mut(&mut fixture.observed.contract).status = None;
    fixture.settle();
    fixture.wait_until("02T05:00:00");
    fixture.wait_until("02T06:00:00");
    assert!(fixture.status().checking.is_some());
    // A check is made.
    fixture.finds(Found::Passed, "a");
    let contract = Arc::make_mut(&mut fixture.observed.contract);
    let newest = &mut contract.status.as_mut().unwrap().checks[0];
    (newest.scheduled_at.0, newest.checked_at.0, newest.found_at.0) = (year_ahead, year_ahead, year_ahead);
    newest.tables[0].unchanged_since.as_mut().unwrap().0 = year_ahead;
    fixture.wait_until("03T06:00:00");
    assert!(fixture.status().checking.is_some());
    // An attempt fails.
    fixture.now = year_ahead;
    fixture.observed.pods.clear();
    fixture.job_fails();
    assert_eq!(fixture.status().checking.as_ref().unwrap().failed_at.clone().unwrap().0, year_ahead);
    fixture.wait_until("03T06:10:00");
    assert_eq!(fixture.status().checking.as_ref().unwrap().attempt, 2);
    fixture.finds(Found::Passed, "a");
    let newest = fixture.newest();
    assert_eq!(newest.scheduled_at.0, at("03T06:00:00"));
    assert_eq!(newest.tables[0].unchanged_since.clone().unwrap().0, at("03T06:00:00"));
}
