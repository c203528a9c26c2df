//! What is measured of the operator and of what it shows: its requests by the audit log, its own counts, the listing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use seatrial_e2e::audit;
use seatrial_e2e::full::{Cluster, wait_for};
use serde_json::Value;

/// How long the operator must leave everything alone.
const QUIET: Duration = Duration::from_secs(60);

/// What the operator wrote for the example, and how it watches.
pub(crate) fn counted(cluster: &Cluster, log: &Path) {
    let began =
        cluster.get("default", "namespace", "mortgage")["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
    let requests = audit::requests(log, began.parse().unwrap()).unwrap();
    let here: Vec<_> = requests.into_iter().filter(|request| request.namespace == "mortgage").collect();
    let counts = audit::count(&here);
    println!("API writes for the example, by the operator: {counts:#?}");
    let of = |key: &str| counts.get(key).copied().unwrap_or_default();
    // Three steps, and the judge.
    assert_eq!(of("create jobs"), 4);
    assert_eq!(of("create mlpipelineruns"), 1);
    assert_eq!(of("create modelversions"), 1);
    assert!(of("update mlpipelineruns/status") <= 6, "{counts:#?}");
    // That it is measured, what the judge waits for, and the judgement.
    assert!(of("update modelversions/status") <= 3, "{counts:#?}");
    // Two where nothing holds the run up; each wait, such as for a Store that is applied a moment later, is told and over.
    assert!(of("update mlpipelines/status") <= 6, "{counts:#?}");
    // What went well is no event of the run; that a version serves is one.
    assert!(of("create events") <= 1, "{counts:#?}");
    // Whatever was refused is tried again, not given up; a busy machine has some conflicts, never many.
    let refused: usize = counts.iter().filter(|(key, _)| key.contains("refused")).map(|(_, count)| count).sum();
    assert!(refused <= 2, "{counts:#?}");

    // What others make is watched by our label alone: a cluster has many more Jobs and pods than ours.
    let all = audit::requests(log, Timestamp::UNIX_EPOCH).unwrap();
    let mut watched = BTreeSet::new();
    for request in all.iter().filter(|request| matches!(request.verb.as_str(), "list" | "watch")) {
        watched.insert(request.resource.clone());
        if ["jobs", "pods", "services", "deployments", "controllerrevisions"].contains(&request.resource.as_str()) {
            assert!(request.uri.contains("labelSelector=seatrial.dev%2Fcomponent"), "{request:?}");
        }
    }
    assert!(watched.contains("jobs") && watched.contains("pods"), "{watched:?}");

    // Every write passes the one client that counts. The lease is renewed between any two looks, so it is left out.
    let written = || {
        let all = audit::requests(log, Timestamp::UNIX_EPOCH).unwrap();
        all.iter().filter(|request| request.is_write() && request.resource != "leases").count()
    };
    let mut last = (0, 0);
    wait_for("the operator counts each of its writes", 30, || {
        last = (metric(cluster, "seatrial_api_writes_total", "Lease"), written());
        (last.0 == last.1).then_some(())
    });
    println!("writes by the audit log and by the operator's own count: {last:?}");
}

/// The sum of a metric over both replicas, except of a kind.
fn metric(cluster: &Cluster, name: &str, except: &str) -> usize {
    let pods = cluster.list("seatrial-system", "pods", "app.kubernetes.io/component=operator");
    let mut sum = 0;
    for pod in &pods {
        let pod = pod["metadata"]["name"].as_str().unwrap();
        let text =
            cluster.kubectl(&format!("get --raw /api/v1/namespaces/seatrial-system/pods/{pod}:8080/proxy/metrics"));
        let lines = text.lines().filter(|line| line.starts_with(name) && !line.contains(&format!("kind=\"{except}\"")));
        sum += lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum::<usize>();
    }
    sum
}

/// What a person sees who asks for everything, by the short names.
pub(crate) fn listed(cluster: &Cluster) {
    let listing = cluster.kubectl("get models,mlp,mlrun,mv,md -A");
    println!("{listing}");
    let tables: Vec<&str> = listing.trim().split("\n\n").collect();
    let expected = [
        (
            "model.seatrial.dev/mortgage-denial",
            vec!["TEAM", "USE", "NEWEST", "PASSED"],
            vec!["lending", "Realtime", "mortgage-denial-v1"],
        ),
        (
            "mlpipeline.seatrial.dev/mortgage",
            vec!["READY", "REVISION", "LAST RUN", "RESULT"],
            vec!["True", "1", "mortgage-c1", "Succeeded"],
        ),
        (
            "mlpipelinerun.seatrial.dev/mortgage-c1",
            vec!["PIPELINE", "SUCCEEDED", "REASON", "DURATION", "VERSIONS"],
            vec!["mortgage", "True", "mortgage-denial-v1"],
        ),
        (
            "modelversion.seatrial.dev/mortgage-denial-v1",
            vec!["MODEL", "PURPOSE", "VERDICT", "METRIC"],
            vec!["mortgage-denial", "Release", "Passed", "rocAuc="],
        ),
        (
            "modeldeployment.seatrial.dev/mortgage-denial",
            vec!["MODEL", "SERVED", "REPLICAS", "READY"],
            vec!["mortgage-denial-v1", "True"],
        ),
    ];
    assert_eq!(tables.len(), expected.len(), "{listing}");
    for (table, (name, columns, values)) in tables.iter().zip(expected) {
        let (head, rows) = table.split_once('\n').unwrap();
        let row =
            rows.lines().find(|row| row.contains(name)).unwrap_or_else(|| panic!("{name} is not listed:\n{table}"));
        assert!(row.starts_with("mortgage "), "{row}");
        assert!(head.contains("AGE"), "{head}");
        for column in columns {
            assert!(head.contains(column), "{name} has no column {column}: {head}");
        }
        for value in values {
            assert!(row.contains(value), "{name} does not show {value}:\n{table}");
        }
    }
}

/// Where all has settled, the operator writes nothing but its lease, and lists nothing.
pub(crate) fn left_alone(cluster: &Cluster) {
    let Some(log) = &cluster.audit_log else { return };
    // Deleted namespaces of earlier tests still make work.
    wait_for("deleted namespaces are gone", 300, || {
        let phases = cluster.kubectl("get namespaces -o jsonpath={.items[*].status.phase}");
        (!phases.contains("Terminating")).then_some(())
    });
    let since = |began: Timestamp| -> (usize, Vec<audit::Request>) {
        let requests = audit::requests(log, began).unwrap();
        let leases = requests.iter().filter(|request| request.resource == "leases").count();
        // A watch that ends is begun again.
        let others = requests.into_iter().filter(|request| request.resource != "leases" && request.verb != "watch");
        (leases, others.collect())
    };
    for attempt in 1..=3 {
        // The last of the work may be a moment behind.
        wait_for("the operator has nothing to do for five seconds", 300, || {
            since(Timestamp::now() - Duration::from_secs(5)).1.is_empty().then_some(())
        });
        let began = Timestamp::now();
        std::thread::sleep(QUIET);
        let (leases, others) = since(began);
        println!("in {QUIET:?}: {leases} requests for the lease, {} others", others.len());
        assert!(leases > 0, "nobody leads");
        if others.is_empty() {
            return;
        }
        // On a busy machine a probe of a server may fail: then a pod changed, and its deployment's status follows.
        let changed = pods_changed_since(cluster, began);
        assert!(attempt < 3 && !changed.is_empty(), "pods that changed: {changed:?}; requests: {others:#?}");
        println!("these pods changed meanwhile: {changed:?}; once more, after {others:#?}");
    }
}

/// Pods of our making whose conditions changed, or that came, since a time.
fn pods_changed_since(cluster: &Cluster, began: Timestamp) -> Vec<String> {
    let listing = cluster.kubectl("get pods -A -l seatrial.dev/component -o json");
    let pods: Value = serde_json::from_str(&listing).unwrap();
    let is_later =
        |time: &Value| time.as_str().is_some_and(|time| time.parse::<Timestamp>().is_ok_and(|at| at >= began));
    let has_changed = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        is_later(&pod["metadata"]["creationTimestamp"])
            || conditions.iter().any(|condition| is_later(&condition["lastTransitionTime"]))
    };
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    pods.iter().filter(has_changed).map(|pod| pod["metadata"]["name"].to_string()).collect()
}
