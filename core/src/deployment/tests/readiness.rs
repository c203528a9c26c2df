//! When a version is ready, and what is said until then.

use super::*;
use crate::observed::{ProbeEvent, ProbeReport};

#[test]
fn without_servers_nothing_takes_over_and_nothing_counts_as_ready() {
    let mut cluster = Cluster::new(json!({"replicas": 2}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.edit(|deployment| deployment.spec.replicas = Some(0));
    cluster.run_until_ready();
    let conditions = |cluster: &Cluster| {
        [types::READY, types::AVAILABLE].map(|kind| cluster.reason(kind).unwrap_or_default().to_owned())
    };
    assert_eq!(conditions(&cluster), ["ScaledToZero", "ScaledToZero"]);
    assert!(conditions::is(&cluster.status().conditions, types::READY, Status::False));
    assert_eq!((cluster.reason(types::RECONCILING), cluster.reason(types::STALLED)), (None, None));
    // A newer version passes its gates meanwhile: it was never tried, so it does not take over.
    cluster.0.versions.push(passed(2));
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v1"), vec!["churn-v1", "churn-v2"]));
    let ready = conditions::find(&cluster.status().conditions, types::READY).unwrap();
    assert!(ready.message.contains("churn-v1 serves, and churn-v2 takes over"), "{}", ready.message);
    // Two servers of each: what was served serves again, and the newer one has to become ready first.
    cluster.edit(|deployment| deployment.spec.replicas = Some(2));
    cluster.settle();
    cluster.make_ready("churn-v1");
    cluster.settle();
    assert_eq!((cluster.served(), cluster.reason(types::AVAILABLE)), (Some("churn-v1"), Some("Serving")));
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v2"), vec!["churn-v2"]));
}

#[test]
fn the_first_version_is_not_served_before_there_is_a_server() {
    let mut cluster = Cluster::new(json!({"replicas": 0}), &[passed(1)]);
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.reason(types::READY)), (None, Some("ScaledToZero")));
    cluster.edit(|deployment| deployment.spec.replicas = None);
    cluster.run_until_ready();
    assert_eq!((cluster.served(), cluster.reason(types::READY)), (Some("churn-v1"), Some("Serving")));
}

#[test]
fn servers_that_became_ready_unseen_are_not_taken_away() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.settle();
    cluster.0.versions.push(passed(2));
    // The cache still shows that v1 starts, and clients are led to it.
    let asked = plan(&cluster.0, cluster.1);
    let child = cluster.0.children[0].name_any();
    assert_eq!(asked.live_reads, [LiveRead::Deployment(child.clone())]);
    assert!(asked.status.is_none() && asked.writes().next().is_none(), "nothing is written before the answer");
    let mut unseen = cluster.0.clone();
    unseen.children.clear();
    assert_eq!(plan(&unseen, cluster.1).live_reads, asked.live_reads, "the cache need not even show that it exists");
    // The answer: it has been ready for a while.
    cluster.0.live_reads.insert(child, cluster.1);
    cluster.make_ready("churn-v1");
    cluster.settle();
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v1"), vec!["churn-v1", "churn-v2"]));
    // Where it is not ready, the newer one takes its place.
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.settle();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    assert_eq!((cluster.served(), cluster.children()), (None, vec!["churn-v2"]));
}

#[test]
fn no_servers_are_deleted_before_the_service_is_seen() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    let service = cluster.0.service.take();
    cluster.0.versions.push(passed(2));
    for _ in 0..3 {
        // The Service exists, and the cache does not show it.
        cluster.settle();
        cluster.0.service = None;
        cluster.make_ready("churn-v2");
    }
    let deletes =
        |cluster: &Cluster| plan(&cluster.0, cluster.1).writes().any(|write| matches!(write, Write::Delete { .. }));
    assert_eq!(cluster.served(), Some("churn-v2"));
    assert!(!deletes(&cluster), "clients may still be led to v1");
    cluster.0.service = service;
    cluster.run_until_ready();
    assert_eq!(cluster.children(), ["churn-v2"]);
}

#[test]
fn an_old_server_does_not_count_in_place_of_a_new_one() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.edit(|deployment| deployment.spec.server.options.image = Some("server:crashes".to_owned()));
    cluster.settle();
    // As Kubernetes has it while the new server crashes: one of each, the old one available.
    cluster.make_ready("churn-v1");
    Arc::make_mut(&mut cluster.0.children[0]).status.as_mut().unwrap().replicas = Some(2);
    cluster.settle();
    assert_eq!(
        (cluster.reason(types::READY), cluster.reason(types::AVAILABLE)),
        (Some("ServersStarting"), Some("Serving"))
    );
    cluster.make_ready("churn-v1");
    cluster.settle();
    assert_eq!(cluster.reason(types::READY), Some("Serving"));
}

#[test]
fn a_candidate_that_is_ready_for_a_moment_does_not_take_over() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    // Kubernetes counts a server as available when it has been ready for this long.
    let candidate = cluster.0.children.iter().find(|child| child.labels()[VERSION_LABEL] == "churn-v2").unwrap();
    assert_eq!(candidate.spec.as_ref().unwrap().min_ready_seconds, Some(10));
    cluster.make_ready("churn-v2");
    let candidate = cluster.0.children.iter_mut().find(|child| child.labels()[VERSION_LABEL] == "churn-v2").unwrap();
    let status = Arc::make_mut(candidate).status.as_mut().unwrap();
    (status.ready_replicas, status.available_replicas) = (Some(1), None);
    cluster.settle();
    assert_eq!((cluster.served(), cluster.children()), (Some("churn-v1"), vec!["churn-v1", "churn-v2"]));
}

#[test]
fn what_people_say_about_readiness_changes_no_pod() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    let template = cluster.0.children[0].spec.as_ref().unwrap().template.clone();
    cluster.edit(|deployment| {
        deployment.spec.server.min_ready_seconds = Some(60);
        deployment.spec.server.start_timeout = Some("1h".into());
    });
    assert_eq!(cluster.run_until_ready().len(), 1);
    let spec = cluster.0.children[0].spec.as_ref().unwrap();
    assert_eq!((spec.min_ready_seconds, spec.progress_deadline_seconds), (Some(60), Some(3600)));
    assert_eq!(spec.template, template);
}

fn evicted(message: &str) -> Value {
    json!({"phase": "Failed", "reason": "Evicted", "message": message})
}

#[test]
fn evictions_are_told_in_the_kubelets_words_and_new_pods_do_not_begin_the_clock_again() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    let since = cluster.status().starting_since.clone();
    assert!(since.is_some());
    let words = "Pod ephemeral local storage usage exceeds the total limit of containers 100Mi. ";
    let mut writes = 0;
    for eviction in 1..=80 {
        cluster.pass(20);
        cluster.pod("churn-v2", evicted(&format!("{words}It used {eviction}Mi.")));
        let plan = plan(&cluster.0, cluster.1);
        writes += usize::from(plan.status.is_some());
        cluster.settle();
        let ready = conditions::find(&cluster.status().conditions, types::READY).unwrap();
        assert!(ready.message.contains("exceeds the total limit of containers 100Mi"), "{}", ready.message);
        assert_eq!((ready.reason.as_str(), cluster.served()), ("ServerEvicted", Some("churn-v1")));
        assert_eq!(cluster.reason(types::STALLED).is_some(), eviction >= 3, "{eviction}");
        assert_eq!(cluster.status().starting_since, since);
    }
    assert!(writes <= 2, "{writes} status writes for 80 evictions");
    // People give it more room: the old pods say nothing about the new template.
    cluster.edit(|deployment| deployment.spec.server.options.image = Some("server:2".into()));
    cluster.settle();
    assert_ne!(cluster.status().starting_since, since);
}

#[test]
fn a_newer_version_does_not_begin_the_clock_again() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    for number in 2..=4 {
        cluster.0.versions.push(passed(number));
        cluster.settle();
        assert_eq!(cluster.reason(types::STALLED), None);
        cluster.pass(250);
    }
    cluster.settle();
    assert_eq!((cluster.reason(types::STALLED), cluster.served()), (Some("NotReadyInTime"), Some("churn-v1")));
    // Nothing more is written while nothing changes.
    cluster.pass(3600);
    assert!(plan(&cluster.0, cluster.1).is_quiet());
    cluster.run_until_ready();
    assert_eq!((cluster.reason(types::STALLED), cluster.served()), (None, Some("churn-v4")));
    assert_eq!(cluster.status().starting_since, None);
}

#[test]
fn a_slow_load_is_given_the_time_that_people_ask_for() {
    let mut cluster =
        Cluster::new(json!({"server": {"image": "server:1", "port": 8080, "startTimeout": "20m"}}), &[passed(1)]);
    cluster.settle();
    cluster.pass(12 * 60);
    cluster.settle();
    assert_eq!((cluster.reason(types::STALLED), cluster.reason(types::READY)), (None, Some("CandidateStarting")));
    assert_eq!(plan(&cluster.0, cluster.1).requeue_after, Some(Duration::from_secs(8 * 60)));
    cluster.pass(8 * 60);
    cluster.settle();
    assert_eq!(cluster.reason(types::STALLED), Some("NotReadyInTime"));
}

/// A server that runs since `started`, and what the kubelet said of it.
fn running(cluster: &mut Cluster, version: &str, ready: bool) -> String {
    let state = json!({"running": {"startedAt": cluster.1}});
    let status =
        json!({"name": "server", "image": "s", "imageID": "", "ready": ready, "restartCount": 0, "state": state});
    cluster.pod(version, json!({"phase": "Running", "containerStatuses": [status]}));
    cluster.0.pods.last().unwrap().metadata.uid.clone().unwrap()
}

fn says(cluster: &mut Cluster, pod: &str, reason: &str, message: &str) {
    let last = Some(ProbeEvent { reason: reason.into(), message: message.into(), seen_at: None });
    cluster.0.probes.insert(pod.into(), ProbeReport { read_at: cluster.1, last });
}

#[test]
fn the_kubelets_words_on_the_readiness_probe_are_told_from_early_on() {
    let server = json!({"server": {"image": "server:1", "port": 8080, "readinessPath": "/healthy"}});
    let get = "Get \"http://10.0.0.7:8080/healthy\"";
    for (message, reason, expected) in [
        (
            "HTTP probe failed with statuscode: 404".to_owned(),
            "ReadinessFails",
            "GET /healthy on port 8080 answers 404",
        ),
        ("HTTP probe failed with statuscode: 503".to_owned(), "ReadinessFails", "cannot predict yet"),
        (format!("{get}: dial tcp 10.0.0.7:8080: connect: connection refused"), "PortRefused", "localhost"),
        (format!("{get}: context deadline exceeded (Client.Timeout exceeded)"), "ReadinessSlow", "longer than the 3 s"),
        (format!("{get}: malformed HTTP response"), "ReadinessFails", "does not speak HTTP"),
    ] {
        let mut cluster = Cluster::new(server.clone(), &[passed(1)]);
        cluster.settle();
        let pod = running(&mut cluster, "churn-v1", false);
        cluster.pass(3);
        assert!(plan(&cluster.0, cluster.1).live_reads.is_empty(), "it may be ready at once");
        cluster.pass(1);
        let read = LiveRead::PodEvents { pod: pod.clone(), uid: pod.clone() };
        assert_eq!(plan(&cluster.0, cluster.1).live_reads, std::slice::from_ref(&read));
        says(&mut cluster, &pod, "Unhealthy", &format!("Readiness probe failed: {message}"));
        cluster.settle();
        let ready = conditions::find(&cluster.status().conditions, types::READY).unwrap().clone();
        assert_eq!((ready.reason.as_str(), cluster.reason(types::STALLED)), (reason, None));
        assert!(ready.message.contains(expected) && !ready.message.contains("10.0.0.7"), "{}", ready.message);
        // It is asked again when the server is twice as old.
        cluster.pass(3);
        assert!(plan(&cluster.0, cluster.1).is_quiet());
        cluster.pass(1);
        assert_eq!(plan(&cluster.0, cluster.1).live_reads, [read]);
        // In the end a person must see to it.
        cluster.pass(600);
        says(&mut cluster, &pod, "Unhealthy", &format!("Readiness probe failed: {message}"));
        cluster.settle();
        assert_eq!(cluster.reason(types::STALLED), Some(reason));
    }
}

#[test]
fn a_readiness_path_that_leads_elsewhere_does_not_count_as_ready() {
    let server = json!({"server": {"image": "server:1", "port": 8080, "readinessPath": "/"}});
    let mut cluster = Cluster::new(server, &[passed(1)]);
    cluster.run_until_ready();
    cluster.0.versions.push(passed(2));
    cluster.settle();
    let pod = running(&mut cluster, "churn-v2", true);
    cluster.make_ready("churn-v2");
    cluster.pass(10);
    // The kubelet says so in an event and nowhere else: it is asked before the version serves.
    let asks = plan(&cluster.0, cluster.1);
    assert_eq!(asks.live_reads, [LiveRead::PodEvents { pod: pod.clone(), uid: pod.clone() }]);
    assert_eq!(asks.status.and_then(|status| status.served_version).as_deref().unwrap_or("churn-v1"), "churn-v1");
    says(&mut cluster, &pod, "ProbeWarning", "Readiness probe warning: Probe terminated redirects, Response body: ");
    cluster.settle();
    assert_eq!((cluster.served(), cluster.reason(types::STALLED)), (Some("churn-v1"), Some("ReadinessRedirected")));
    // Without such a word it serves.
    cluster.0.probes.insert(pod, ProbeReport { read_at: cluster.1, last: None });
    cluster.settle();
    assert_eq!(cluster.served(), Some("churn-v2"));
}

#[test]
fn the_last_words_of_a_server_that_is_given_a_secret_stay_in_its_log() {
    let policy = |server: Value| {
        let mut cluster = Cluster::new(json!({"server": server}), &[passed(1)]);
        cluster.settle();
        let template = cluster.0.children[0].spec.as_ref().unwrap().template.spec.clone().unwrap();
        template.containers[0].termination_message_policy.clone()
    };
    assert_eq!(policy(json!({"image": "s", "port": 80})).as_deref(), Some("FallbackToLogsOnError"));
    let given = [
        json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
        json!({"envFrom": [{"secretRef": {"name": "s"}}]}),
        json!({"pod": {"volumes": [{"name": "s", "secret": {"secretName": "s"}}], "volumeMounts": [{"name": "s", "mountPath": "/s"}]}}),
    ];
    for given in given {
        let mut server = json!({"image": "s", "port": 80});
        server.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        assert_eq!(policy(server), None, "{given}");
    }
}
