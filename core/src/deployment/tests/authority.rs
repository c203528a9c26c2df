//! Which versions a ModelDeployment may serve, by what their Model decided.

use seatrial_crds::Model;

use super::*;

fn failed(number: i64) -> Arc<ModelVersion> {
    version(number, "Release", Verdict::Failed)
}

fn never_judged(number: i64) -> Arc<ModelVersion> {
    version(number, "Release", Verdict::Unjudged)
}

/// Judged by the Model as it was before its gates changed.
fn judged_before(number: i64) -> Arc<ModelVersion> {
    let mut other = passed(number).as_ref().clone();
    other.status.as_mut().unwrap().judgements[0].gates_digest = "sha256:before".into();
    Arc::new(other)
}

/// Passes only since its Model changed.
fn held(number: i64) -> Arc<ModelVersion> {
    let mut held = version(number, "Release", Verdict::Held).as_ref().clone();
    let overrules = json!({"judgedAt": now(), "verdict": "Failed", "gates": ["auc"]});
    held.status.as_mut().unwrap().judgements[0].overrules = Some(from_value(overrules).unwrap());
    Arc::new(held)
}

fn message<'a>(cluster: &'a Cluster, kind: &str) -> &'a str {
    &conditions::find(&cluster.status().conditions, kind).unwrap().message
}

/// The warnings of the next plan.
fn warnings(cluster: &Cluster) -> Vec<&'static str> {
    let plan = plan(&cluster.0, cluster.1);
    plan.events.iter().filter(|event| event.kind == EventType::Warning).map(|event| event.reason).collect()
}

#[test]
fn no_version_that_does_not_pass_takes_over_in_whatever_way_it_is_asked_for() {
    let pending = || version(2, "Release", Verdict::Pending);
    let waived = || version(2, "Release", Verdict::Waived);
    for (spec, candidate, refused) in [
        (json!({"version": "churn-v2"}), failed(2), Some("VersionRefused")),
        (json!({"version": "churn-v2"}), version(2, "Release", Verdict::Error), Some("VersionRefused")),
        (json!({"version": "churn-v2"}), version(2, "Release", Verdict::Inconclusive), Some("VersionRefused")),
        (json!({"version": "churn-v2"}), version(2, "Release", Verdict::AwaitingApproval), Some("VersionRefused")),
        (json!({"follow": "Newest"}), version(2, "Release", Verdict::AwaitingApproval), Some("VersionRefused")),
        (json!({"version": "churn-v2"}), waived(), Some("VersionRefused")),
        (json!({"version": "churn-v2"}), held(2), Some("VersionHeld")),
        (json!({"follow": "Newest"}), held(2), Some("VersionHeld")),
        (json!({}), held(2), None),
        (json!({"version": "churn-v2"}), pending(), Some("VersionNotJudged")),
        (json!({"version": "churn-v2"}), never_judged(2), Some("VersionNotJudged")),
        (json!({"version": "churn-v2"}), judged_before(2), Some("VersionNotJudged")),
        (json!({"follow": "Newest"}), failed(2), Some("VersionRefused")),
        (json!({"follow": "Newest"}), waived(), Some("VersionRefused")),
        (json!({"follow": "Newest"}), pending(), None),
        (json!({"follow": "Newest"}), never_judged(2), None),
        (json!({"follow": "Newest"}), judged_before(2), None),
        (json!({}), failed(2), None),
        (json!({}), waived(), None),
        (json!({}), judged_before(2), None),
    ] {
        let mut cluster = Cluster::new(json!({}), &[passed(1)]);
        cluster.run_until_ready();
        cluster.0.versions.push(candidate);
        let text = spec.to_string();
        cluster.edit(|deployment| {
            deployment.spec.version = spec["version"].as_str().map(str::to_owned);
            deployment.spec.follow = spec["follow"].as_str().map(|_| Follow::Newest);
        });
        let warned = warnings(&cluster);
        assert_eq!(cluster.run_until_ready(), Vec::<String>::new(), "{text}");
        assert_eq!((cluster.served(), cluster.reason(types::READY)), (Some("churn-v1"), Some("Serving")), "{text}");
        assert_eq!(cluster.reason(types::REFUSED), refused, "{text}");
        let expected: Vec<&str> = refused.into_iter().filter(|reason| *reason != "VersionNotJudged").collect();
        assert_eq!(warned, expected, "{text}");
        assert!(warnings(&cluster).is_empty(), "it is said once: {text}");
    }
}

#[test]
fn a_refusal_says_by_whose_word_and_goes_when_the_version_passes() {
    let mut cluster = Cluster::new(json!({"follow": "Newest"}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(failed(2));
    cluster.settle();
    let said = message(&cluster, types::REFUSED);
    for word in ["churn-v2", "\"churn\"", "growth@example.com", "by auc", "auc is 0.8", "churn-v1 goes on serving"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    // Who waits for people is not told to train another version.
    cluster.0.versions[1] = version(2, "Release", Verdict::AwaitingApproval);
    cluster.settle();
    let said = message(&cluster, types::REFUSED);
    assert!(said.contains("does not pass churn-v2 before it is approved: auc is 0.8"), "{said}");
    cluster.0.versions[1] = passed(2);
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.reason(types::REFUSED)), (Some("churn-v2"), None));
}

#[test]
fn a_held_version_serves_once_a_newer_one_passes_and_what_serves_goes_on() {
    let pin = json!({"version": "churn-v1"});
    let mut approved = passed(2).as_ref().clone();
    approved.status.as_mut().unwrap().judgements[0].overrules =
        held(2).status.as_ref().unwrap().judgements[0].overrules.clone();
    for (newer, expected) in [
        (None, None),
        (Some(failed(2)), None),
        (Some(version(2, "Release", Verdict::Waived)), None),
        (Some(version(2, "Experiment", Verdict::Passed)), None),
        (Some(judged_before(2)), None),
        (Some(Arc::new(approved)), None),
        (Some(passed(2)), Some("churn-v1")),
    ] {
        let mut cluster = Cluster::new(pin.clone(), &[held(1)]);
        cluster.0.versions.extend(newer.clone());
        cluster.run_until_ready();
        assert_eq!(cluster.served(), expected, "{newer:?}");
    }
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions[0] = held(1);
    assert!(warnings(&cluster).is_empty());
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    assert_eq!((cluster.served(), cluster.reason(types::SERVING_MEETS_GATES)), (Some("churn-v1"), Some("ServesHeld")));
}

#[test]
fn where_nothing_serves_a_refused_version_is_the_reason() {
    for (spec, candidate, expected) in [
        (json!({"version": "churn-v1"}), failed(1), "VersionRefused"),
        (json!({"version": "churn-v1"}), never_judged(1), "VersionNotJudged"),
        (json!({"follow": "Newest"}), failed(1), "VersionRefused"),
        (json!({"follow": "Newest"}), never_judged(1), "VersionNotJudged"),
    ] {
        let mut cluster = Cluster::new(spec, &[candidate]);
        assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
        assert_eq!((cluster.served(), cluster.reason(types::READY)), (None, Some(expected)));
    }
}

#[test]
fn who_follows_the_newest_gets_the_newest_that_is_let_through() {
    let mut cluster = Cluster::new(json!({"follow": "Newest"}), &[passed(1), passed(2), failed(3)]);
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.reason(types::REFUSED)), (Some("churn-v2"), Some("VersionRefused")));
}

#[test]
fn without_any_model_versions_are_served_as_they_come() {
    for spec in [json!({"follow": "Newest"}), json!({"version": "churn-v2"})] {
        let mut cluster = Cluster::new(spec, &[never_judged(1), never_judged(2)]);
        cluster.0.model = None;
        cluster.run_until_ready();
        assert_eq!((cluster.served(), cluster.reason(types::REFUSED)), (Some("churn-v2"), None));
        assert_eq!(cluster.reason(types::SERVING_MEETS_GATES), None);
    }
}

#[test]
fn a_model_that_is_deleted_is_no_way_past_it() {
    // What it judged, and what was made after it was gone.
    for candidate in [failed(2), never_judged(2)] {
        for spec in [json!({"follow": "Newest"}), json!({"version": "churn-v2"})] {
            let mut cluster = Cluster::new(spec, &[passed(1), candidate.clone()]);
            cluster.0.versions.truncate(1);
            cluster.edit(|deployment| deployment.spec.version = None);
            cluster.run_until_ready();
            assert_eq!(cluster.served(), Some("churn-v1"));
            cluster.0.model = None;
            cluster.0.versions.push(candidate.clone());
            cluster.edit(|deployment| {
                deployment.spec.version = Some("churn-v2".into()).filter(|_| deployment.spec.follow.is_none())
            });
            assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
            assert_eq!((cluster.served(), cluster.reason(types::REFUSED)), (Some("churn-v1"), Some("VersionRefused")));
            assert!(message(&cluster, types::REFUSED).contains("create"), "{}", message(&cluster, types::REFUSED));
            // Made again, it has not judged yet.
            let mut unlike = owner();
            unlike.objective = "another".into();
            unlike.consumers = Some(vec![]);
            cluster.0.model = Some(Arc::new(Model::new("churn", unlike)));
            assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
            assert_eq!(cluster.served(), Some("churn-v1"));
        }
    }
    // Its last word holds.
    let mut cluster = Cluster::new(json!({"follow": "Newest"}), &[passed(1)]);
    cluster.0.model = None;
    cluster.run_until_ready();
    assert_eq!(cluster.served(), Some("churn-v1"));
}

#[test]
fn a_candidate_that_no_longer_passes_does_not_take_over() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    assert_eq!(cluster.children(), ["churn-v1", "churn-v2"]);
    cluster.0.versions[1] = failed(2);
    cluster.make_ready("churn-v2");
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v1"), vec!["churn-v1"]));
}

#[test]
fn a_model_that_only_warns_lets_a_version_through_and_says_so_once() {
    let mut cluster = Cluster::new(json!({"version": "churn-v1"}), &[failed(1)]);
    cluster.warn_only();
    cluster.settle();
    cluster.make_ready("churn-v1");
    assert_eq!(warnings(&cluster), ["ServesUnpassed"]);
    cluster.settle();
    assert_eq!((cluster.served(), cluster.reason(types::REFUSED)), (Some("churn-v1"), None));
    assert_eq!(cluster.reason(types::SERVING_MEETS_GATES), Some("ServesUnpassed"));
    assert!(warnings(&cluster).is_empty());
}

#[test]
fn what_serves_and_no_longer_passes_is_said_once_and_never_withdrawn() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    assert_eq!(cluster.reason(types::SERVING_MEETS_GATES), Some("AllGatesPassed"));
    // Its gates changed: nothing is said before there is another judgement.
    cluster.0.versions[0] = judged_before(1);
    assert!(plan(&cluster.0, cluster.1).is_quiet());
    cluster.0.versions[0] = failed(1);
    assert_eq!(warnings(&cluster), ["ServesUnpassed"]);
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    assert_eq!((cluster.served(), cluster.reason(types::READY)), (Some("churn-v1"), Some("Serving")));
    assert!(conditions::is(&cluster.status().conditions, types::SERVING_MEETS_GATES, Status::False));
    assert!(warnings(&cluster).is_empty());
    cluster.0.versions[0] = passed(1);
    cluster.settle();
    assert!(conditions::is(&cluster.status().conditions, types::SERVING_MEETS_GATES, Status::True));
}

#[test]
fn a_waiver_lets_a_version_serve_until_it_expires_and_what_serves_goes_on() {
    let waived = version(1, "Release", Verdict::Waived);
    let mut cluster = Cluster::new(json!({}), std::slice::from_ref(&waived));
    let expires_at = cluster.1.checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
    let waiver = json!({
        "version": "churn-v1", "digest": waived.spec.artifact.digest, "gates": ["auc"], "reason": "the fair",
        "expiresAt": expires_at,
    });
    Arc::make_mut(cluster.0.model.as_mut().unwrap()).spec.waivers = vec![from_value(waiver).unwrap()];
    let mut late = Cluster(cluster.0.clone(), cluster.1);
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.reason(types::SERVING_MEETS_GATES)), (Some("churn-v1"), Some("GatesWaived")));
    cluster.pass(60);
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    assert_eq!(
        (cluster.served(), cluster.reason(types::SERVING_MEETS_GATES)),
        (Some("churn-v1"), Some("ServesUnpassed"))
    );
    late.pass(60);
    assert_eq!(late.run_until_ready(), Vec::<String>::new());
    assert_eq!(late.served(), None);
}

#[test]
fn since_when_a_version_serves_is_on_record() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    assert_eq!(cluster.status().served_since.as_ref().unwrap().0, cluster.1);
    let first = cluster.1;
    cluster.pass(3600);
    cluster.settle();
    assert_eq!(cluster.status().served_since.as_ref().unwrap().0, first);
    cluster.0.versions.push(passed(2));
    cluster.run_until_ready();
    assert_eq!(cluster.status().served_since.as_ref().unwrap().0, cluster.1);
}
