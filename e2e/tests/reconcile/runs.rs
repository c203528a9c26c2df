//! What becomes of a run that cannot go on as it is.

use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use seatrial_crds::StepState;
use serde_json::json;

use crate::space::{SOON, Space, pipeline, run, succeeded};

/// It ends at once, and says which parameter is wrong.
pub(crate) async fn a_wrong_parameter(space: &Space) {
    let with_parameter = "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipeline\nmetadata: {name: wrong}\n\
        spec: {image: \"train:1\", parameters: [{name: rate, type: Number}], steps: [{name: train, command: [train]}]}\n";
    space.apply(with_parameter).await;
    space.until_pipeline("wrong", "ParametersRequired").await;
    let given = |name: &str, parameter: &str, value: &str| {
        format!(
            "{}\n  parameters: [{{name: {parameter}, value: \"{value}\"}}]",
            run(name, "wrong").replace("spec: {pipeline: wrong}", "spec:\n  pipeline: wrong").trim_end()
        )
    };
    for (name, parameter, value, said) in
        [("unknown", "speed", "1", "speed"), ("no-number", "rate", "fast", "rate"), ("missing", "", "", "rate")]
    {
        let yaml = if parameter.is_empty() { run(name, "wrong") } else { given(name, parameter, value) };
        space.apply(&yaml).await;
        let ended = space.until_run(name, |reason, message| reason == "InvalidParameters" && message.contains(said));
        let ended = ended.await;
        assert_eq!(succeeded(&ended).unwrap().status, "False");
        assert!(space.jobs(name).await.is_empty());
    }
    space.apply(&given("right", "rate", "0.1")).await;
    space.finish("right").await;
    space.until_run("right", |reason, _| reason == "Succeeded").await;
}

async fn quota(space: &Space, hard: &str) {
    let yaml = format!("apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: none}}\nspec: {{hard: {{{hard}}}}}\n");
    space.apply(&yaml).await;
    // It counts once its status says so.
    let counts = |quota: Option<&ResourceQuota>| quota.is_some_and(|quota| quota.status.is_some());
    space.until::<ResourceQuota>("none", SOON, counts).await;
}

async fn lift(space: &Space) {
    space.api::<ResourceQuota>().delete("none", &DeleteParams::default()).await.unwrap();
}

/// The run neither fails nor starts the step anew, and goes on when the quota has room.
pub(crate) async fn pods_beyond_the_quota(space: &Space) {
    quota(space, "pods: \"0\"").await;
    space.apply(&pipeline("crowded")).await;
    let job = space.job("crowded-c1").await;
    let refused = |found: Option<&Job>| {
        let status = found.and_then(|job| job.status.as_ref());
        status.is_none_or(|status| status.active.unwrap_or(0) == 0 && status.failed.unwrap_or(0) == 0)
    };
    space.until(job.metadata.name.as_deref().unwrap(), SOON, refused).await;
    lift(space).await;
    space.finish("crowded-c1").await;
    let ended = space.until_run("crowded-c1", |reason, _| reason == "Succeeded").await;
    let step = &ended.status.as_ref().unwrap().steps[0];
    assert_eq!((step.state, step.attempt), (StepState::Succeeded, Some(1)));
    assert_eq!(space.job("crowded-c1").await.metadata.uid, job.metadata.uid);
}

/// The refusal is told in the API server's words, and forgotten when it is over.
pub(crate) async fn jobs_beyond_the_quota(space: &Space) {
    quota(space, "count/jobs.batch: \"0\"").await;
    space.apply(&pipeline("full")).await;
    let told = |reason: &str, message: &str| reason == "WriteRefused" && message.contains("exceeded quota");
    space.until_run("full-c1", told).await;
    lift(space).await;
    space.finish("full-c1").await;
    let ended = space.until_run("full-c1", |reason, _| reason == "Succeeded").await;
    assert_eq!(ended.status.as_ref().unwrap().steps[0].attempt, Some(1));
}

/// How many events come while Jobs are refused.
const EVENTS: usize = 40;

/// Each refused Job waits for its own time, however many events the others bring. The audit log says so at the end.
pub(crate) async fn many_jobs_beyond_the_quota(space: &Space) {
    quota(space, "count/jobs.batch: \"3\"").await;
    let steps: Vec<_> = (0..20).map(|step| format!("{{name: step-{step}, command: [train]}}")).collect();
    let wide = format!(
        "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipeline\nmetadata: {{name: wide}}\nspec: {{image: \"train:1\", steps: [{}]}}\n",
        steps.join(", ")
    );
    space.apply(&wide).await;
    space.until_run("wide-c1", |_, message| message.contains("exceeded quota")).await;
    let jobs = space.jobs("wide-c1").await;
    for event in 0..EVENTS {
        let name = jobs[event % jobs.len()].metadata.name.clone().unwrap();
        let patch = Patch::Merge(json!({"metadata": {"labels": {"event": event.to_string()}}}));
        space.api::<Job>().patch(&name, &PatchParams::default(), &patch).await.unwrap();
    }
    lift(space).await;
    let deadline = Instant::now() + SOON;
    while space.jobs("wide-c1").await.len() < 20 {
        assert!(Instant::now() < deadline, "the refused Jobs were not created when the quota had room");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A webhook that does not answer is told of like a refusal, and the run goes on when it is gone.
pub(crate) async fn a_silent_webhook(space: &Space) {
    let name = &space.name;
    let webhook = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\n\
         metadata: {{name: {name}}}\nwebhooks:\n- name: silent.example.com\n  clientConfig: {{url: \"https://127.0.0.1:1/\"}}\n  \
         rules: [{{apiGroups: [batch], apiVersions: [v1], operations: [CREATE], resources: [jobs]}}]\n  \
         namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}\n  \
         failurePolicy: Fail\n  sideEffects: None\n  admissionReviewVersions: [v1]\n  timeoutSeconds: 2\n"
    );
    seatrial_e2e::apply(&space.client, &webhook, None).await.unwrap();
    // The API server asks it a moment later.
    let probe: Job = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}},
    }))
    .unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let deadline = Instant::now() + SOON;
    while space.api::<Job>().create(&dry, &probe).await.is_ok() {
        assert!(Instant::now() < deadline, "the webhook is not asked");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    space.apply(&pipeline("judged")).await;
    let told = |reason: &str, message: &str| reason == "WriteRefused" && message.contains("webhook");
    space.until_run("judged-c1", told).await;
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(space.client.clone());
    webhooks.delete(name, &DeleteParams::default()).await.unwrap();
    space.finish("judged-c1").await;
    space.until_run("judged-c1", |reason, _| reason == "Succeeded").await;
}
