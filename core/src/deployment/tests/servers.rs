//! Which servers a version has.

use super::*;
use seatrial_crds::{DeployedRole, DeployedVersion};

/// A version with the files of another.
fn same_files(number: i64, other: &ModelVersion) -> Arc<ModelVersion> {
    let mut version = passed(number).as_ref().clone();
    version.spec.artifact = other.spec.artifact.clone();
    Arc::new(version)
}

#[test]
fn a_version_with_the_same_files_takes_the_servers_over_as_they_are() {
    let mut cluster = Cluster::new(json!({"replicas": 2}), &[passed(5)]);
    cluster.run_until_ready();
    let before = cluster.0.children[0].clone();
    for number in 6..=8 {
        let next = same_files(number, &cluster.0.versions[0]);
        cluster.0.versions.push(next);
        cluster.run_until_ready();
    }
    assert_eq!((cluster.served(), cluster.reason(types::READY)), (Some("churn-v8"), Some("Serving")));
    let after = cluster.0.children[0].clone();
    assert_eq!((cluster.children(), &after.metadata.uid), (vec!["churn-v8"], &before.metadata.uid));
    assert_eq!(after.spec, before.spec, "no pod is replaced");
    // Gone are the versions, and the servers are still known by their files.
    cluster.0.versions.clear();
    assert_eq!(cluster.run_until_ready(), Vec::<String>::new());
    assert_eq!(cluster.served(), Some("churn-v8"));
}

#[test]
fn the_status_lists_the_versions_that_have_servers() {
    let mut cluster = Cluster::new(json!({"replicas": 2}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    cluster.settle();
    let version = |name: &str, role, weight, ready_replicas| DeployedVersion {
        name: name.into(),
        threshold: None,
        role,
        weight,
        replicas: 2,
        ready_replicas,
    };
    let expected =
        [version("churn-v1", DeployedRole::Stable, 100, 2), version("churn-v2", DeployedRole::Candidate, 0, 0)];
    assert_eq!(cluster.status().versions, expected);
    cluster.run_until_ready();
    assert_eq!(cluster.status().versions, [version("churn-v2", DeployedRole::Stable, 100, 2)]);
}
