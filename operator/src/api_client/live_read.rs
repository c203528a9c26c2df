//! Reads from the API server what the caches may not have. A watch whose connection broke unnoticed is detected only after
//! some five minutes. So a Job and its pods are read before an attempt counts as lost, and a Deployment before its servers
//! are deleted, since they may have become ready. Events of pods are read here, too: they are not watched.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Error;
use kube::api::ListParams;
use seatrial_core::observed::ProbeEvent;
use seatrial_core::pods::{PUBLISH, SERVER};

use crate::api_client::execute::Writes;
use crate::api_client::{LIMIT, within};
use crate::cache::caches::Caches;
use crate::cache::kinds::WatchedKind;

/// How many events of a pod are read.
const EVENTS: u32 = 100;
/// How much of a message is kept, in characters.
const MESSAGE: usize = 400;

impl Writes {
    /// Reads a Job and its pods, and puts them into the caches, unless these have newer states.
    pub(crate) async fn live_read(&self, caches: &Caches, namespace: &str, job: &str) -> Result<(), Error> {
        if let Some(mut found) = within(LIMIT, self.api::<Job>(namespace).get_opt(job)).await? {
            found.prune();
            caches.jobs.insert_live(found);
        }
        let pods = self.api::<Pod>(namespace);
        let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        for mut pod in within(LIMIT, pods.list(&of_job)).await?.items {
            pod.prune();
            caches.pods.insert_live(pod);
        }
        Ok(())
    }

    /// Reads a Deployment, and puts it into the cache, unless that has a newer state.
    pub(crate) async fn live_read_deployment(&self, caches: &Caches, namespace: &str, name: &str) -> Result<(), Error> {
        if let Some(mut found) = within(LIMIT, self.api::<Deployment>(namespace).get_opt(name)).await? {
            found.prune();
            caches.deployments.insert_live(found);
        }
        Ok(())
    }

    /// Why the API server last refused a pod of a Job, from the Job controller's event `FailedCreate`.
    pub(crate) async fn last_refusal(&self, namespace: &str, job_uid: &str) -> Result<Option<String>, Error> {
        let of_job = ListParams::default().fields(&format!("involvedObject.uid={job_uid}")).limit(EVENTS);
        let events = within(LIMIT, self.api::<Event>(namespace).list(&of_job)).await?.items;
        let refused = events.into_iter().filter(|event| event.reason.as_deref() == Some("FailedCreate"));
        let message = refused.max_by_key(last_seen).and_then(|event| event.message);
        Ok(message.map(|message| without_pods_name(&message).chars().take(MESSAGE).collect()))
    }

    /// What the kubelet said last about the readiness of a pod's server, or the upload of a step.
    pub(crate) async fn last_probe_event(&self, namespace: &str, pod_uid: &str) -> Result<Option<ProbeEvent>, Error> {
        let of_pod = ListParams::default().fields(&format!("involvedObject.uid={pod_uid}")).limit(EVENTS);
        let events = within(LIMIT, self.api::<Event>(namespace).list(&of_pod)).await?.items;
        let probes = events.into_iter().filter(is_about_probe);
        Ok(probes.max_by_key(last_seen).map(|event| ProbeEvent {
            seen_at: last_seen(&event),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default().chars().take(MESSAGE).collect(),
        }))
    }
}

/// The reason in a message such as `Error creating: pods "train-x7k2p" is forbidden: exceeded quota: ...`. Each try has
/// another pod's name, and each change of a text that is shown is a write.
fn without_pods_name(message: &str) -> &str {
    let message = message.strip_prefix("Error creating: ").unwrap_or(message);
    message.split_once(" is forbidden: ").map_or(message, |(_, reason)| reason)
}

fn is_about_probe(event: &Event) -> bool {
    let reason = event.reason.as_deref().unwrap_or_default();
    let container = event.involved_object.field_path.as_deref().unwrap_or_default();
    let message = event.message.as_deref().unwrap_or_default();
    let is_of = |name: &str, kind: &str| container == format!("spec.containers{{{name}}}") && message.starts_with(kind);
    ["Unhealthy", "ProbeWarning"].contains(&reason)
        && (is_of(SERVER, "Readiness probe") || is_of(PUBLISH, "Liveness probe"))
}

/// When the kubelet said it last.
fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    [series, last, first].into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seatrial_core::platform::Platform;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::api_client::ApiClient;
    use crate::api_client::fake;
    use crate::server::metrics::Metrics;

    fn object(kind: &str, name: &str, version: &str) -> Value {
        let api = if kind == "Job" { "batch/v1" } else { "v1" };
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "ns", "resourceVersion": version}})
    }

    #[test]
    fn a_refusal_is_told_without_the_pods_name() {
        let said = "Error creating: pods \"train-x7k2p\" is forbidden: exceeded quota: team";
        assert_eq!(without_pods_name(said), "exceeded quota: team");
        assert_eq!(without_pods_name("Error creating: no webhook answers"), "no webhook answers");
    }

    #[tokio::test]
    async fn what_the_api_server_says_is_taken_unless_a_watch_brought_something_newer() {
        let client = fake::client(|_, path, _| match path {
            "/apis/batch/v1/namespaces/ns/jobs/train" => fake::answer(200, &object("Job", "train", "10")),
            "/api/v1/namespaces/ns/pods" => {
                let items = [object("Pod", "old", "9"), object("Pod", "new", "10")];
                fake::answer(200, &json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items}))
            }
            other => panic!("{other}"),
        });
        let writes =
            Writes::new(client, "i", ApiClient::new(Arc::new(Metrics::new().0)), crate::clock::Clock::system());
        let caches = Caches::new(Platform::default(), false);
        caches.pods.insert(from_value(object("Pod", "old", "11")).unwrap());
        writes.live_read(&caches, "ns", "train").await.unwrap();
        let version = |name: &str| caches.pods.get("ns", name).unwrap().metadata.resource_version.clone();
        assert!(caches.jobs.get("ns", "train").is_some());
        assert_eq!((version("old").as_deref(), version("new").as_deref()), (Some("11"), Some("10")));
    }

    #[tokio::test]
    async fn the_kubelets_last_word_on_readiness_is_found_among_a_pods_events() {
        let event = |reason: &str, message: &str, container: &str, at: &str| {
            json!({"metadata": {"name": at}, "reason": reason, "message": message, "lastTimestamp": format!("2026-01-01T00:00:{at}Z"),
                "involvedObject": {"uid": "1", "fieldPath": format!("spec.containers{{{container}}}")}})
        };
        let client = fake::client(move |_, path, _| {
            assert_eq!(path, "/api/v1/namespaces/ns/events");
            let items = [
                event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404", "server", "20"),
                event("Unhealthy", "Readiness probe failed: connection refused", "server", "10"),
                event("Unhealthy", "Liveness probe failed: x", "server", "30"),
                event("Unhealthy", "Readiness probe failed: x", "seatrial-publish", "31"),
                event("Unhealthy", "Readiness probe failed: x", "sidecar", "40"),
                event("Pulled", "Container image pulled", "server", "50"),
            ];
            fake::answer(200, &json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": items}))
        });
        let writes =
            Writes::new(client, "i", ApiClient::new(Arc::new(Metrics::new().0)), crate::clock::Clock::system());
        let last = writes.last_probe_event("ns", "1").await.unwrap().unwrap();
        assert!(last.reason == "Unhealthy" && last.message.ends_with("statuscode: 404"), "{last:?}");
        assert_eq!(last.seen_at, Some("2026-01-01T00:00:20Z".parse().unwrap()));
    }
}
