//! How a run's outputs become versions.

use std::sync::Arc;

use serde_json::{from_value, json};

use super::fixture::{Fixture, at, training};
use super::*;
use crate::plan::Object;
use crate::revision::Revision;

#[test]
fn a_versions_number_is_never_used_twice() {
    let mut fixture = Fixture::new(training());
    let revision: Revision = from_value(json!({
        "metadata": {"name": "churn-versions", "namespace": "growth", "resourceVersion": "7",
                     "annotations": {"seatrial.dev/holders": "{\"4\":\"another run\"}"}},
        "revision": 4, "data": {"model": "churn"},
    }))
    .unwrap();
    // The versions themselves were deleted since.
    fixture.observed.counters.insert("churn".into(), Arc::new(revision));
    fixture.settle();
    fixture.succeed("prepare");
    fixture.settle();
    fixture.succeed("train");
    fixture.settle();
    assert_eq!(fixture.status().versions[0].name, "churn-v5");
    assert_eq!(fixture.observed.counters["churn"].metadata.resource_version.as_deref(), Some("7"));
}

/// The counter after another run took the number that follows.
fn overtaken(fixture: &mut Fixture) {
    let counter = Arc::make_mut(fixture.observed.counters.get_mut("churn").unwrap());
    counter.revision = 2;
    let holders = counter.metadata.annotations.as_mut().unwrap().get_mut("seatrial.dev/holders").unwrap();
    *holders = holders.replace('}', r#","2":"another run"}"#);
}

/// A run whose steps are done, up to the version's creation, which its cache does not show.
fn published_unseen() -> Fixture {
    let mut fixture = Fixture::new(training());
    fixture.settle();
    fixture.succeed("prepare");
    fixture.settle();
    fixture.succeed("train");
    fixture.settle();
    fixture
}

#[test]
fn a_run_keeps_the_number_that_it_holds_though_others_took_later_ones() {
    let mut fixture = published_unseen();
    assert_eq!(fixture.status().versions[0].name, "churn-v1");
    // As if it stood before the version's creation, or the cache did not show it: another run took the next number.
    fixture.observed.versions.clear();
    fixture.reopen();
    overtaken(&mut fixture);
    let planned = plan(&fixture.observed, at(20));
    let status = planned.status.as_ref().unwrap_or(fixture.status());
    assert_eq!(status.versions[0].name, "churn-v1");
    let created: Vec<String> = planned
        .writes()
        .filter_map(|write| match write {
            Write::Create(Object::Version(version)) => Some(version.name_any()),
            _ => None,
        })
        .collect();
    assert_eq!(created, ["churn-v1"]);
}

#[test]
fn a_version_under_the_intended_name_is_adopted_only_if_it_says_the_same() {
    let mut fixture = published_unseen();
    fixture.reopen();
    let settled = |fixture: &Fixture| {
        let planned = plan(&fixture.observed, at(20));
        planned.status.as_ref().unwrap_or(fixture.status()).versions[0].name.clone()
    };
    assert_eq!(settled(&fixture), "churn-v1");
    let version = Arc::make_mut(&mut fixture.observed.versions[0]);
    version.spec.artifact.digest = format!("sha256:{}", "0".repeat(64));
    assert_eq!(settled(&fixture), "churn-v2", "somebody placed it there");
}
