//! Asks the API server about a Job and its pods before an attempt is given up. The caches could lag behind: a watch whose
//! connection died in silence is noticed only after some five minutes.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, Error};

use crate::watched::Watched;
use crate::world::World;

/// Lets the caches have what the API server says by now, unless they have something newer.
pub(crate) async fn confirm(client: &Client, world: &World, namespace: &str, job: &str) -> Result<(), Error> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    if let Some(mut found) = jobs.get_opt(job).await? {
        found.prune();
        world.jobs.insert_newer(Arc::new(found));
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    for mut pod in pods.list(&of_job).await?.items {
        pod.prune();
        world.pods.insert_newer(Arc::new(pod));
    }
    Ok(())
}
