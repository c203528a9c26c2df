//! Leader election: who holds the Lease, and when another takes it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::api_client::fake;
use crate::server::metrics::Metrics;

fn spec(holder: &str, renewed: i64) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_duration_seconds: Some(15),
        renew_time: Some(MicroTime(jiff::Timestamp::from_second(renewed).unwrap())),
        ..LeaseSpec::default()
    }
}

#[test]
fn a_lease_is_taken_when_it_is_new_free_or_unchanged_for_its_duration() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut seen = None;
    assert_eq!(decide("me", None, &mut seen, start), Step::Take);
    assert_eq!(decide("me", Some(&spec("", 1)), &mut seen, start), Step::Take);
    assert_eq!(decide("me", Some(&spec("me", 1)), &mut seen, start), Step::Renew);
    assert_eq!(decide("me", Some(&spec("other", 1)), &mut seen, start), Step::Wait);
    assert_eq!(decide("me", Some(&spec("other", 1)), &mut seen, after(14)), Step::Wait);
    assert_eq!(decide("me", Some(&spec("other", 1)), &mut seen, after(15)), Step::Take);
}

#[test]
fn who_has_seen_the_leader_at_work_takes_over_before_who_has_just_started() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let last = spec("killed", 2);
    let (mut standby, mut restarted) = (None, None);
    assert_eq!(decide("standby", Some(&spec("killed", 1)), &mut standby, start), Step::Wait);
    // The standby looks as late as it may after the last renewal, the killed leader is back at once.
    assert_eq!(decide("restarted", Some(&last), &mut restarted, after(2)), Step::Wait);
    assert_eq!(decide("standby", Some(&last), &mut standby, after(4)), Step::Wait);
    assert_eq!(decide("restarted", Some(&last), &mut restarted, after(20)), Step::Wait);
    assert_eq!(decide("standby", Some(&last), &mut standby, after(20)), Step::Take);
    // Alone, it takes over all the same.
    assert_eq!(decide("restarted", Some(&last), &mut restarted, after(21)), Step::Take);
}

#[test]
fn a_renewal_starts_the_wait_anew_whatever_its_clock_says() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut seen = None;
    // A clock that runs years ahead or behind changes nothing: only that the record changes counts.
    for (second, renewed) in [(0, 4_000_000_000), (10, 5), (20, 4_000_000_001)] {
        assert_eq!(decide("me", Some(&spec("other", renewed)), &mut seen, after(second)), Step::Wait);
    }
    assert_eq!(decide("me", Some(&spec("other", 4_000_000_001)), &mut seen, after(34)), Step::Wait);
    assert_eq!(decide("me", Some(&spec("other", 4_000_000_001)), &mut seen, after(35)), Step::Take);
}

#[test]
fn a_leader_that_finds_another_holder_waits() {
    let mut seen = None;
    let start = Instant::now();
    assert_eq!(decide("zombie", Some(&spec("zombie", 1)), &mut seen, start), Step::Renew);
    assert_eq!(decide("zombie", Some(&spec("new", 2)), &mut seen, start + Duration::from_secs(60)), Step::Wait);
}

/// An API server with one Lease; `answers` says whether it answers.
fn candidate(identity: &str, lease: &Arc<Mutex<Value>>, answers: &Arc<Mutex<bool>>) -> (Candidate, Arc<Metrics>) {
    let (lease, answers) = (lease.clone(), answers.clone());
    let client = fake::client(move |method, _, body| {
        if !*answers.lock().unwrap() {
            return None;
        }
        let mut lease = lease.lock().unwrap();
        match (method, lease.is_null()) {
            ("GET", true) => fake::status(404, "NotFound", "there is none"),
            ("GET", false) => fake::answer(200, &lease),
            ("PUT", _) if body["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] => {
                fake::status(409, "Conflict", "someone was faster")
            }
            _ => {
                let version = lease["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok());
                *lease = body.clone();
                lease["metadata"]["resourceVersion"] = json!((version.unwrap_or(0) + 1).to_string());
                fake::answer(200, &lease)
            }
        }
    });
    let metrics = Arc::new(Metrics::new().0);
    (Candidate::new(client, ApiClient::new(metrics.clone()), "ns", "lease", identity, Clock::system()), metrics)
}

fn holder(lease: &Arc<Mutex<Value>>) -> String {
    lease.lock().unwrap()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_taken_at_once_and_every_write_is_counted() {
    let (lease, answers) = (Arc::default(), Arc::new(Mutex::new(true)));
    let (mut first, metrics) = candidate("first", &lease, &answers);
    let (mut second, _) = candidate("second", &lease, &answers);
    first.win().await;
    // Held, renewed, and nobody else's meanwhile.
    let minute = Duration::from_secs(60);
    tokio::select! {
        () = first.hold() => panic!("the lease was lost"),
        () = second.win() => panic!("the lease was taken"),
        () = tokio::time::sleep(minute) => {}
    }
    first.release().await.unwrap();
    assert_eq!(holder(&lease), "");
    let written = metrics.writes("update", "Lease", "success");
    assert!((28..=31).contains(&written), "{written} renewals, the return included, in a minute");
    assert_eq!(metrics.writes("create", "Lease", "success"), 1);
    let began = Instant::now();
    second.win().await;
    assert!(began.elapsed() <= RETRY, "{:?}", began.elapsed());
    assert_eq!(holder(&lease), "second");
    // Who lost it does not give it back.
    first.release().await.unwrap();
    assert_eq!(holder(&lease), "second");
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_ends_the_leadership_before_others_may_take_the_lease() {
    let (lease, answers) = (Arc::default(), Arc::new(Mutex::new(true)));
    let (mut leader, _) = candidate("leader", &lease, &answers);
    leader.win().await;
    *answers.lock().unwrap() = false;
    let began = Instant::now();
    leader.hold().await;
    assert!(began.elapsed() <= RENEW_DEADLINE, "{:?}", began.elapsed());
    let began = Instant::now();
    leader.release().await.unwrap_err();
    assert!(began.elapsed() <= RENEW_DEADLINE, "{:?}", began.elapsed());
}
