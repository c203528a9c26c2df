//! The threshold at which a version is served.

use super::*;
use crate::contract::THRESHOLD_VARIABLE;

/// A version for which the costs of errors choose a threshold.
fn deciding(number: i64, threshold: &str) -> Arc<ModelVersion> {
    let mut version = passed(number).as_ref().clone();
    choose(&mut version, Some(threshold));
    Arc::new(version)
}

fn choose(version: &mut ModelVersion, threshold: Option<&str>) {
    let threshold =
        threshold.map(|value| from_value(json!({"value": value, "lowest": value, "highest": value})).unwrap());
    version.status.as_mut().unwrap().threshold = threshold;
}

/// The same with the files of version 1.
fn same_files(number: i64, threshold: Option<&str>) -> Arc<ModelVersion> {
    let mut version = passed(number).as_ref().clone();
    version.spec.artifact = passed(1).spec.artifact.clone();
    choose(&mut version, threshold);
    Arc::new(version)
}

/// What the servers of a Deployment are told.
fn told(child: &Deployment) -> Vec<(&str, &str)> {
    let pod = child.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let variables = pod.containers[0].env.iter().flatten();
    variables.map(|variable| (variable.name.as_str(), variable.value.as_deref().unwrap())).collect()
}

/// What each version with servers is told, by the status.
fn listed(cluster: &Cluster) -> Vec<(&str, Option<&str>)> {
    cluster.status().versions.iter().map(|version| (version.name.as_str(), version.threshold.as_deref())).collect()
}

#[test]
fn servers_are_told_the_threshold_before_what_people_set() {
    let env = json!([{"name": "ALSO", "value": "x"}]);
    let server = json!({"image": "server:1", "port": 8080, "env": env});
    let mut cluster = Cluster::new(json!({"server": server}), &[deciding(1, "0.3125")]);
    cluster.run_until_ready();
    assert_eq!(told(&cluster.0.children[0]), [(THRESHOLD_VARIABLE, "0.3125"), ("ALSO", "x")]);
    assert_eq!(listed(&cluster), [("churn-v1", Some("0.3125"))]);
    assert_eq!(cluster.status().served_threshold.as_deref(), Some("0.3125"));
    assert_eq!(cluster.reason(types::THRESHOLD_CURRENT), Some("ThresholdCurrent"));
}

#[test]
fn without_costs_there_is_no_threshold_to_tell() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    assert_eq!((told(&cluster.0.children[0]), listed(&cluster)), (vec![], vec![("churn-v1", None)]));
    assert_eq!(cluster.reason(types::THRESHOLD_CURRENT), None);
}

/// What the version that serves was brought up with, what a newer one with the same files has, and whether servers are made.
#[test]
fn the_same_files_roll_out_only_with_another_threshold() {
    for (before, after, rolls) in [
        (Some("0.3"), Some("0.3"), false),
        (None, None, false),
        (Some("0.3"), Some("0.2"), true),
        (None, Some("0.2"), true),
        (Some("0.3"), None, true),
    ] {
        let mut cluster = Cluster::new(json!({}), &[same_files(1, before)]);
        cluster.run_until_ready();
        cluster.0.versions.push(same_files(2, after));
        let created = cluster.settle().iter().filter(|write| write.starts_with("create")).count();
        assert_eq!(created, usize::from(rolls), "from {before:?} to {after:?}");
        if rolls {
            assert_eq!(cluster.served(), Some("churn-v1"), "it is a candidate like any other");
            assert_eq!(listed(&cluster), [("churn-v1", before), ("churn-v2", after)]);
        }
        cluster.run_until_ready();
        assert_eq!((cluster.served(), listed(&cluster)), (Some("churn-v2"), vec![("churn-v2", after)]));
        assert_eq!(cluster.children(), ["churn-v2"]);
    }
}

/// Judged again by other costs, what serves stays as it is, and says so once.
#[test]
fn another_threshold_of_what_serves_changes_no_server() {
    for (before, after, reason) in [
        (Some("0.3"), Some("0.3"), Some("ThresholdCurrent")),
        (Some("0.3"), Some("0.2"), Some("ThresholdMoved")),
        (Some("0.3"), None, Some("ThresholdMoved")),
        (None, Some("0.2"), Some("ThresholdMoved")),
        (None, None, None),
    ] {
        let mut cluster = Cluster::new(json!({}), &[same_files(1, before)]);
        cluster.run_until_ready();
        cluster.0.versions = vec![same_files(1, after)];
        let moved = reason == Some("ThresholdMoved");
        let warned: Vec<_> = plan(&cluster.0, cluster.1).events.into_iter().map(|event| event.reason).collect();
        assert_eq!(warned, if moved { vec!["ThresholdMoved"] } else { vec![] }, "from {before:?} to {after:?}");
        assert_eq!(cluster.run_until_ready(), Vec::<String>::new(), "from {before:?} to {after:?}");
        assert_eq!((listed(&cluster), cluster.reason(types::THRESHOLD_CURRENT)), (vec![("churn-v1", before)], reason));
        assert_eq!(cluster.reason(types::READY), Some("Serving"));
        // Somebody deletes the servers, or changes them as a whole: they come back with what they had.
        let old = cluster.0.children[0].clone();
        cluster.0.children.clear();
        cluster.run_until_ready();
        assert_eq!(cluster.0.children[0].spec, old.spec, "from {before:?} to {after:?}");
        cluster.edit(|deployment| deployment.spec.server.options.image = Some("server:2".into()));
        cluster.run_until_ready();
        assert_eq!(listed(&cluster), [("churn-v1", before)]);
    }
}

#[test]
fn a_candidate_that_is_judged_again_comes_with_its_new_threshold() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(deciding(2, "0.3"));
    cluster.settle();
    cluster.0.versions[1] = deciding(2, "0.2");
    cluster.make_ready("churn-v2");
    cluster.settle();
    assert_eq!(cluster.served(), Some("churn-v1"), "what was ready has another threshold");
    assert_eq!(listed(&cluster), [("churn-v1", None), ("churn-v2", Some("0.2"))]);
    assert_eq!(cluster.children(), ["churn-v1", "churn-v2"], "the servers of before are gone");
    cluster.run_until_ready();
    assert_eq!(listed(&cluster), [("churn-v2", Some("0.2"))]);
}

/// After each number of writes that were done, with or without the status on record.
#[test]
fn a_crash_makes_no_servers_twice() {
    for done in 0..3 {
        for recorded in [true, false] {
            let mut cluster = Cluster::new(json!({}), &[same_files(1, Some("0.3"))]);
            cluster.run_until_ready();
            cluster.0.versions.push(same_files(2, Some("0.2")));
            let plan = plan(&cluster.0, now());
            if recorded {
                Arc::make_mut(&mut cluster.0.deployment).status = plan.status;
            }
            for action in plan.stages.into_iter().flat_map(|stage| stage.writes).take(done) {
                cluster.apply(action);
            }
            cluster.run_until_ready();
            let expected = (Some("churn-v2"), vec!["churn-v2"]);
            assert_eq!((cluster.served(), cluster.children()), expected, "after {done} writes");
            assert_eq!(told(&cluster.0.children[0]), [(THRESHOLD_VARIABLE, "0.2")]);
        }
    }
}

#[test]
fn a_lost_status_is_found_again_with_its_threshold() {
    let mut cluster = Cluster::new(json!({}), &[same_files(1, Some("0.3"))]);
    cluster.run_until_ready();
    cluster.0.versions = vec![same_files(1, Some("0.2"))];
    cluster.edit(|deployment| deployment.status = None);
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    assert_eq!(listed(&cluster), [("churn-v1", Some("0.3"))]);
    // Its version, too, may be gone.
    cluster.0.versions.clear();
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    assert_eq!(listed(&cluster), [("churn-v1", Some("0.3"))]);
}
