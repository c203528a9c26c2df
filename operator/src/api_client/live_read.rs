//! Asks the API server about a Job and its pods before an attempt is given up. The caches could lag behind: a watch whose
//! connection died in silence is noticed only after some five minutes.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Error;
use kube::api::ListParams;

use crate::api_client::execute::Writes;
use crate::api_client::{LIMIT, within};
use crate::cache::caches::Caches;
use crate::cache::kinds::WatchedKind;

impl Writes {
    /// Lets the caches have what the API server says by now of a Job and its pods, unless they have something newer.
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
}
