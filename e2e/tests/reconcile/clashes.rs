//! What is not the operator's is never touched, and a condition names the clash.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, PostParams};
use kube::{Resource, ResourceExt};
use seatrial_core::names;
use seatrial_crds::{MLPipeline, MLPipelineRun};
use serde_json::{Value, json};

use crate::space::{SOON, Space, Thing, pipeline, run, succeeded};

/// Whether an object is still exactly as it was, but for its status.
async fn is_untouched<K: Thing>(space: &Space, before: &K) -> bool {
    let after = space.api::<K>().get(&before.name_any()).await.unwrap();
    let plain = |object: &K| {
        let mut value = serde_json::to_value(object).unwrap();
        let fields = value.as_object_mut().unwrap();
        fields.remove("status");
        let metadata = fields["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        value
    };
    plain(&after) == plain(before)
}

/// A Job of the name that a step's Job is to have.
pub(crate) async fn a_foreign_job(space: &Space) {
    clash_of_jobs(space, |_| json!({})).await;
}

/// The same, with the labels of a step's Job: labels say nothing about whose it is.
pub(crate) async fn a_foreign_job_that_poses_as_ours(space: &Space) {
    let labels = |run: &str| {
        json!({
            "seatrial.dev/component": "step", "app.kubernetes.io/managed-by": "seatrial", "seatrial.dev/pipeline": "churn", "seatrial.dev/run": run,
            "seatrial.dev/step": "train", "seatrial.dev/attempt": "1",
        })
    };
    clash_of_jobs(space, labels).await;
}

async fn clash_of_jobs(space: &Space, labels: impl Fn(&str) -> Value) {
    space.apply(&pipeline("churn")).await;
    space.finish("churn-c1").await;
    space.until_run("churn-c1", |reason, _| reason == "Succeeded").await;
    // The name hangs on the run's UID: the run has to be there, and to wait, before its Job's name can be taken.
    space.set::<MLPipeline>("churn", json!({"suspend": true})).await;
    space.until_pipeline("churn", "Suspended").await;
    space.apply(&run("taken", "churn")).await;
    let waiting = space.until_run("taken", |reason, _| reason == "Suspended").await;
    let name = names::job("taken", waiting.meta().uid.as_deref().unwrap(), "train", 1);
    let foreign = json!({
        "metadata": {"name": name, "labels": labels("taken")},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "step", "image": "x"}],
        }}},
    });
    let foreign: Job = serde_json::from_value(foreign).unwrap();
    let foreign = space.api::<Job>().create(&PostParams::default(), &foreign).await.unwrap();
    space.set::<MLPipeline>("churn", json!({"suspend": false})).await;
    // It is told for as long as it is so, also when the Job was looked at again.
    let clash = format!("a Job named \"{name}\" exists that is not this run's");
    space.until_run("taken", |_, message| message.contains(&clash)).await;
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        let now: MLPipelineRun = space.api().get("taken").await.unwrap();
        let condition = succeeded(&now).unwrap();
        assert!(condition.message.contains(&clash), "{}: {}", condition.reason, condition.message);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(is_untouched(space, &foreign).await);
    // Once the name is free, the run goes on.
    space.api::<Job>().delete(&name, &DeleteParams::background()).await.unwrap();
    space.until::<Job>(&name, SOON, |job| job.is_none_or(|job| job.meta().uid != foreign.meta().uid)).await;
    space.finish("taken").await;
    space.until_run("taken", |reason, _| reason == "Succeeded").await;
}

/// A run of the name that a change's run is to have.
pub(crate) async fn a_foreign_run(space: &Space) {
    space.apply(&run("model-c1", "model")).await;
    let foreign: MLPipelineRun = space.api().get("model-c1").await.unwrap();
    space.apply(&pipeline("model")).await;
    let stalled = space.until_pipeline("model", "NameTaken").await;
    let conditions = &stalled.status.as_ref().unwrap().conditions;
    let stalled = conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
    assert!(stalled.message.contains("model-c1"), "{}", stalled.message);
    assert!(is_untouched(space, &foreign).await);
    // The change must not count as done with: its run comes once the name is free.
    assert!(space.api::<ControllerRevision>().get_opt("model-c1").await.unwrap().is_none());
    space.api::<MLPipelineRun>().delete("model-c1", &DeleteParams::default()).await.unwrap();
    space.until_pipeline("model", "Accepted").await;
    space.finish("model-c1").await;
    space.until_run("model-c1", |reason, _| reason == "Succeeded").await;
}

/// A ControllerRevision of the name that a change's is to have.
pub(crate) async fn a_foreign_revision(space: &Space) {
    space
        .apply(
            "apiVersion: apps/v1\nkind: ControllerRevision\nmetadata: {name: pinned-c1}\nrevision: 7\ndata: {a: b}\n",
        )
        .await;
    let foreign: ControllerRevision = space.api().get("pinned-c1").await.unwrap();
    space.apply(&pipeline("pinned")).await;
    space.until_pipeline("pinned", "NameTaken").await;
    assert!(is_untouched(space, &foreign).await);
    assert!(space.jobs("pinned-c1").await.is_empty(), "it ran a spec that is not its own");
    space.api::<ControllerRevision>().delete("pinned-c1", &DeleteParams::default()).await.unwrap();
    space.until_pipeline("pinned", "Accepted").await;
    let ours = |revision: Option<&ControllerRevision>| revision.is_some_and(|revision| revision.revision == 1);
    space.until::<ControllerRevision>("pinned-c1", SOON, ours).await;
    space.finish("pinned-c1").await;
    space.until_run("pinned-c1", |reason, _| reason == "Succeeded").await;
}
