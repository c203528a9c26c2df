//! Which version serves, and what becomes of the one before.

mod authority;
mod fixture;
mod readiness;
mod second_writer;
mod servers;
mod threshold;

use seatrial_crds::{Follow, Verdict};
use serde_json::{Value, from_value, json};

use super::*;
use crate::conditions::{self, Status, types};
use crate::contract::Message;
use crate::plan::{Blocked, Object};
use fixture::*;

#[test]
fn the_first_version_is_brought_up_and_serves() {
    let mut cluster = Cluster::new(json!({"replicas": 2}), &[passed(1)]);
    cluster.settle();
    assert_eq!((cluster.served(), cluster.reason(types::READY)), (None, Some("CandidateStarting")));
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.reason(types::READY)), (Some("churn-v1"), Some("Serving")));
    assert!(conditions::is(&cluster.status().conditions, types::AVAILABLE, Status::True));
    assert_eq!(cluster.status().url.as_deref(), Some("http://churn.growth.svc"));
    assert_eq!(cluster.status().replicas, Some(2));
    assert_eq!(conditions::find(&cluster.status().conditions, types::RECONCILING), None);
}

#[test]
fn a_newer_version_takes_over_only_when_ready_and_then_the_old_one_goes() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    let old = cluster.0.children[0].name_any();
    let begun = cluster.settle();
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v1"), vec!["churn-v1", "churn-v2"]));
    assert!(begun.iter().all(|write| write.starts_with("create")), "{begun:?}");
    let ended = cluster.run_until_ready();
    assert_eq!(ended, ["route to churn-v2".to_owned(), format!("delete {old}")]);
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v2"), vec!["churn-v2"]));
}

#[test]
fn the_switch_is_on_record_before_the_service_service_matches_it() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    cluster.make_ready("churn-v2");
    let plan = plan(&cluster.0, now());
    assert_eq!(plan.status.as_ref().unwrap().served_version.as_deref(), Some("churn-v2"));
    assert!(plan.writes().all(|action| matches!(action, Write::Replace(Object::Service(_)))), "{plan:?}");
    assert_eq!(plan.events.len(), 1);
}

#[test]
fn a_crash_between_any_two_writes_ends_in_the_same_state() {
    for done in 0..3 {
        let mut cluster = Cluster::new(json!({}), &[passed(1)]);
        cluster.run_until_ready();
        cluster.0.versions.push(passed(2));
        cluster.settle();
        cluster.make_ready("churn-v2");
        let plan = plan(&cluster.0, now());
        Arc::make_mut(&mut cluster.0.deployment).status = plan.status;
        for action in plan.stages.into_iter().flat_map(|stage| stage.writes).take(done) {
            cluster.apply(action);
        }
        cluster.run_until_ready();
        assert_eq!((cluster.served(), cluster.children()), (Some("churn-v2"), vec!["churn-v2"]), "after {done} writes");
    }
}

#[test]
fn a_lost_status_is_found_again_without_moving_traffic_to_what_is_not_ready() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.edit(|deployment| deployment.status = None);
    let written = cluster.settle();
    assert_eq!(cluster.served(), Some("churn-v1"));
    assert!(!written.contains(&"route to churn-v2".to_owned()), "{written:?}");
}

#[test]
fn a_candidate_that_does_not_start_leaves_the_old_one_serving_and_says_why() {
    let image = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}});
    let crash = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let ended = json!({"terminated": {"exitCode": 3, "message": "no such file"}});
    let message = Message::failed(crate::contract::ExitCode::CorruptArtifact, "object x is not what its digest says");
    let corrupt = json!({"terminated": {"exitCode": 65, "message": message.to_json()}});
    let container = |name: &str, state: &Value, last: &Value| json!({"name": name, "image": "server:2", "imageID": "", "ready": false, "restartCount": 1, "state": state, "lastState": last});
    for (status, reason, expected) in [
        (json!({"containerStatuses": [container("server", &image, &json!({}))]}), "ImageUnavailable", "server:2"),
        (json!({"containerStatuses": [container("server", &crash, &ended)]}), "ServerFailed", "no such file"),
        (
            json!({"initContainerStatuses": [container("seatrial-fetch", &crash, &corrupt)]}),
            "ModelNotFetched",
            "not what its digest says",
        ),
    ] {
        let mut cluster = Cluster::new(json!({}), &[passed(1)]);
        cluster.run_until_ready();
        cluster.0.versions.push(passed(2));
        cluster.settle();
        cluster.0.pods.clear();
        cluster.pod("churn-v2", status);
        cluster.settle();
        let stalled = conditions::find(&cluster.status().conditions, types::STALLED).unwrap();
        assert_eq!((stalled.reason.as_str(), cluster.served()), (reason, Some("churn-v1")));
        assert!(
            stalled.message.contains(expected) && stalled.message.starts_with("churn-v1 serves"),
            "{}",
            stalled.message
        );
        assert!(conditions::is(&cluster.status().conditions, types::AVAILABLE, Status::True));
        // It gets well by itself, should the cause go away.
        cluster.0.pods.clear();
        cluster.run_until_ready();
        assert_eq!((cluster.served(), cluster.reason(types::STALLED)), (Some("churn-v2"), None));
    }
}

#[test]
fn followers_take_releases_that_passed_and_never_go_back() {
    let failed = version(3, "Release", Verdict::Failed);
    let experiment = version(4, "Experiment", Verdict::Passed);
    let mut cluster = Cluster::new(json!({}), &[passed(1), passed(2), failed, experiment]);
    cluster.run_until_ready();
    assert_eq!(cluster.served(), Some("churn-v2"));
    // Judged again, it would not pass: it serves all the same.
    cluster.0.versions[1] = version(2, "Release", Verdict::Failed);
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    cluster.warn_only();
    cluster.edit(|deployment| deployment.spec.follow = Some(Follow::Newest));
    cluster.run_until_ready();
    assert_eq!(cluster.served(), Some("churn-v3"));
    // A person may go back.
    cluster.edit(|deployment| (deployment.spec.follow, deployment.spec.version) = (None, Some("churn-v1".into())));
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v1"), vec!["churn-v1"]));
}

#[test]
fn a_candidate_that_is_overtaken_is_removed() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    cluster.0.versions.push(passed(3));
    cluster.settle();
    assert_eq!(cluster.children(), ["churn-v1", "churn-v3"]);
}

#[test]
fn nothing_to_serve_is_said_with_what_to_do() {
    let unjudged = version(1, "Release", Verdict::Unjudged);
    for (spec, with_model, versions, expected) in [
        (json!({}), false, vec![], "ModelNotFound"),
        (json!({"follow": "Newest"}), false, vec![], "ModelNotFound"),
        (json!({}), true, vec![], "NoVersion"),
        (json!({}), false, vec![unjudged.clone()], "ModelNotFound"),
        (json!({}), true, vec![unjudged.clone()], "NoPassedVersion"),
        (json!({"version": "churn-v7"}), true, vec![unjudged], "VersionNotFound"),
    ] {
        let mut cluster = Cluster::new(spec, &versions);
        if !with_model {
            cluster.0.model = None;
        }
        assert_eq!(cluster.settle(), Vec::<String>::new());
        assert_eq!(cluster.reason(types::READY), Some(expected));
    }
}

#[test]
fn another_agent_image_changes_no_server_but_people_do() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    Arc::make_mut(&mut cluster.0.platform).agent_image = "agent:2".into();
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    cluster.edit(|deployment| deployment.spec.server.options.image = Some("server:2".into()));
    assert_eq!(cluster.run_until_ready().len(), 1);
    let spec = cluster.0.children[0].spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    assert_eq!(spec.containers[0].image.as_deref(), Some("server:2"));
    assert_eq!(cluster.reason(types::READY), Some("Serving"));
    cluster.edit(|deployment| deployment.spec.replicas = Some(3));
    assert_eq!(cluster.run_until_ready().len(), 1);
    assert_eq!(desired(&cluster.0.children[0]), 3);
}

#[test]
fn a_changed_server_comes_with_the_candidate_and_not_before() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.edit(|deployment| deployment.spec.server.options.image = Some("server:2".into()));
    let written = cluster.settle();
    assert!(written.iter().all(|write| write.starts_with("create")), "{written:?}");
}

#[test]
fn what_is_not_ours_is_never_touched() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    let mut foreign = server::service(&cluster.0.deployment, "churn-v9", "x");
    foreign.metadata.owner_references = None;
    cluster.0.service = Some(Arc::new(foreign.clone()));
    let mut child = Deployment::default();
    child.metadata.name = Some("other".into());
    child.labels_mut().insert(VERSION_LABEL.into(), "churn-v9".into());
    child.labels_mut().insert(ARTIFACT_LABEL.into(), "x".into());
    cluster.0.children.push(Arc::new(child));
    let written = cluster.settle();
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(cluster.0.service.as_deref(), Some(&foreign));
    assert_eq!(cluster.reason(types::STALLED), Some("NameTaken"));
    assert_eq!(cluster.children().len(), 2);
}

#[test]
fn what_the_api_server_refuses_is_shown() {
    for (reason, expected) in [(BlockedReason::Clash, "NameTaken"), (BlockedReason::Refused, "WriteRefused")] {
        let mut cluster = Cluster::new(json!({}), &[passed(1)]);
        let failure =
            Blocked { kind: Kind::Deployment, name: "x".into(), reason, message: "quota".into(), until: now() };
        cluster.0.blocked.push(failure);
        cluster.settle();
        assert_eq!(cluster.reason(types::STALLED), Some(expected));
    }
}

#[test]
fn a_store_that_is_not_ready_leaves_everything_as_it_is() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    let platform = Arc::make_mut(&mut cluster.0.platform);
    platform.default_store.as_mut().unwrap().certificate_authority = None;
    assert_eq!(cluster.settle(), Vec::<String>::new());
    assert_eq!((cluster.served(), cluster.reason(types::STALLED)), (Some("churn-v1"), None));
    assert_eq!(
        (cluster.reason(types::RECONCILING), cluster.reason(types::AVAILABLE)),
        (Some("StoreNotReady"), Some("Serving"))
    );
}

#[test]
fn servers_that_run_are_not_disturbed_by_a_store_that_is_away() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    let before = cluster.status().clone();
    let platform = Arc::make_mut(&mut cluster.0.platform);
    platform.default_store.as_mut().unwrap().certificate_authority = None;
    assert!(plan(&cluster.0, now()).is_quiet(), "neither a write nor an event");
    assert_eq!(cluster.status(), &before);
}

#[test]
fn a_service_that_is_gone_comes_back_before_a_candidate_is_brought_up() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.service = None;
    cluster.0.versions.push(passed(2));
    let kinds: Vec<_> = plan(&cluster.0, now())
        .writes()
        .map(|action| match action {
            Write::Create(object) => object.kind(),
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(kinds, [Kind::Service, Kind::Deployment]);
}

#[test]
fn a_spec_that_no_pod_can_have_is_said_and_what_serves_goes_on() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.edit(|deployment| {
        let resources = json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}});
        deployment.spec.server.options.resources = from_value(resources).unwrap();
        deployment.metadata.generation = Some(2);
    });
    assert_eq!(cluster.settle(), Vec::<String>::new());
    assert_eq!((cluster.served(), cluster.reason(types::STALLED)), (Some("churn-v1"), Some("InvalidSpec")));
    assert_eq!(cluster.status().observed_generation, Some(2));
}

#[test]
fn the_server_is_built_as_it_was() {
    let spec = json!({
        "replicas": 2,
        "server": {
            "image": "server:1", "port": 8080, "readinessPath": "/v2/health/ready", "args": ["start"],
            "env": [{"name": "A", "value": "$(DB_PASSWORD)"}],
            "resources": {"requests": {"cpu": "100m"}}, "pod": {"labels": {"cost": "42"}}, "deployment": {"labels": {"cost": "42"}}, "service": {"annotations": {"mesh": "off"}},
        },
    });
    let mut cluster = Cluster::new(spec, &[passed(1)]);
    cluster.settle();
    insta::assert_yaml_snapshot!("server", cluster.0.children[0].as_ref());
    insta::assert_yaml_snapshot!("service", cluster.0.service.as_deref());
}
