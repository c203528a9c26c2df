//! When data are read again, what is missed, and clocks that were wrong.

use super::*;

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
