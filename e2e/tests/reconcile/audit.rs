//! What the operator asked of the API server, by its audit log, told apart from the tests by its user agent.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use seatrial_e2e::Operator;
use serde_json::Value;

/// The operator's requests.
fn requests(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    // The last line may be half written.
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = |event: &Value| event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("seatrial-operator/"));
    events.filter(ours).collect()
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Kinds by the names that requests have.
const KINDS: [(&str, &str); 14] = [
    ("mlpipelines", "MLPipeline"),
    ("mlpipelineruns", "MLPipelineRun"),
    ("models", "Model"),
    ("modelversions", "ModelVersion"),
    ("modeldeployments", "ModelDeployment"),
    ("stores", "Store"),
    ("approvals", "Approval"),
    ("datacontracts", "DataContract"),
    ("jobs", "Job"),
    ("pods", "Pod"),
    ("services", "Service"),
    ("deployments", "Deployment"),
    ("controllerrevisions", "ControllerRevision"),
    ("leases", "Lease"),
];

/// Writes that the audit log has, by verb and kind.
fn writes(log: &Path) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for event in requests(log) {
        let verb = text(&event, "/verb");
        if text(&event, "/stage") != "ResponseComplete" || ["get", "list", "watch"].contains(&verb) {
            continue;
        }
        let resource = text(&event, "/objectRef/resource");
        let kind = KINDS.iter().find(|(plural, _)| *plural == resource).map_or(resource, |(_, kind)| kind);
        let verb = match text(&event, "/objectRef/subresource") {
            "" => verb.to_owned(),
            subresource => format!("{verb}-{subresource}"),
        };
        *counts.entry(format!("{verb} {}", if kind == "events" { "Event" } else { kind })).or_default() += 1;
    }
    counts
}

/// Writes that the operator counted, by verb and kind.
fn counted(operator: &Operator) -> BTreeMap<String, u64> {
    let (code, metrics) = operator.get("/metrics").unwrap();
    assert_eq!(code, 200, "{metrics}");
    let mut counts = BTreeMap::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("seatrial_api_writes_total{")) {
        let (labels, count) = line.split_once("} ").unwrap();
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        *counts.entry(format!("{} {}", label("verb"), label("kind"))).or_default() += count.parse::<u64>().unwrap();
    }
    counts
}

/// The metric is what the audit log shows, down to the renewals of the Lease.
pub(crate) async fn every_write_is_counted(log: &Path, operator: &Operator) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // The Lease is renewed meanwhile, so both are looked at until they agree.
        let (ours, theirs) = (counted(operator), writes(log));
        if ours == theirs {
            for write in ["create Lease", "update Lease", "create Job", "create Event", "update-status MLPipelineRun"] {
                assert!(ours.contains_key(write), "no {write}: {ours:#?}");
            }
            return println!("ok: {} writes are counted as the audit log has them", ours.values().sum::<u64>());
        }
        assert!(Instant::now() < deadline, "counted {ours:#?}, but the audit log has {theirs:#?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Children are watched by label, every kind is listed once, and nothing else is read.
pub(crate) fn watches_are_narrow_and_lists_are_made_once(log: &Path) {
    let requests = requests(log);
    let of = |verb: &str, resource: &str| -> Vec<String> {
        let found = requests.iter().filter(|event| {
            // A watch that goes on has no other stage yet.
            text(event, "/stage") == if verb == "watch" { "ResponseStarted" } else { "ResponseComplete" }
                && text(event, "/verb") == verb
                && text(event, "/objectRef/resource") == resource
        });
        found.map(|event| text(event, "/requestURI").to_owned()).collect()
    };
    for (resource, kind) in KINDS.iter().filter(|(resource, _)| *resource != "leases") {
        // The pods of one Job alone are asked for where it failed and none of them is in sight.
        let lists: Vec<String> = of("list", resource).into_iter().filter(|uri| !uri.contains("job-name%3D")).collect();
        let watches = of("watch", resource);
        assert_eq!(lists.len(), 1, "{kind}: {lists:#?}");
        assert!(!watches.is_empty(), "{kind} is not watched");
        if ["jobs", "pods", "services", "deployments", "controllerrevisions"].contains(resource) {
            for uri in lists.iter().chain(&watches) {
                assert!(uri.contains("labelSelector="), "{uri}");
            }
        }
    }
    let reads = requests.iter().filter(|event| text(event, "/verb") == "get");
    let other = reads.map(|event| text(event, "/objectRef/resource"));
    let other: Vec<_> = other
        .filter(|resource| !["leases", "jobs", "mlpipelineruns", "controllerrevisions"].contains(resource))
        .collect();
    assert!(other.is_empty(), "{other:#?}");
    println!("ok: 13 kinds are listed once, and children are watched by label");
}

/// A Job that a quota refuses is sent again after one, two, four seconds and so on, not at each event.
pub(crate) fn a_refused_write_waits_for_its_time(log: &Path) {
    let refused = requests(log).into_iter().filter(|event| {
        text(event, "/stage") == "ResponseComplete"
            && (text(event, "/verb"), text(event, "/objectRef/resource")) == ("create", "jobs")
            && text(event, "/objectRef/namespace") == "many-jobs-beyond-the-quota"
            && event.pointer("/responseStatus/code").and_then(Value::as_i64) == Some(403)
    });
    let refused = refused.count();
    // Of 20 Jobs 3 have room. Six tries of one take half a minute; one at each event would be far more.
    assert!((17..=17 * 6).contains(&refused), "{refused} Jobs were sent and refused");
}
