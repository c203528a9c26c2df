//! What becomes of what a run publishes.

use k8s_openapi::api::apps::v1::ControllerRevision;
use seatrial_core::contract::{Digest, Message, ReportedOutput};
use seatrial_core::pods::{FETCH, PUBLISH, STEP};
use seatrial_crds::{MLPipeline, ModelVersion};
use serde_json::{Value, json};

use crate::space::{SOON, Space};

const PIPELINE: &str = "apiVersion: seatrial.dev/v1alpha1
kind: Store
metadata: {name: default}
spec: {prefix: s3://ours/}
---
apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {name: churn}
spec:
  image: train:1
  steps: [{name: train, command: [train], outputs: [{name: model, type: Model}]}]
  publishes: [{model: churn, artifact: {step: train, output: model}}]
";

/// What the pod of a step says that made this model.
fn made(content: &str) -> Value {
    let mut message = Message::new();
    let digest = Digest::of(content.as_bytes());
    message.outputs = vec![ReportedOutput { name: "model".into(), digest, size: 1, files: 1 }];
    let ended = |name: &str, message: &str| {
        json!({
            "name": name, "ready": false, "restartCount": 0, "image": "x", "imageID": "x",
            "state": {"terminated": {"exitCode": 0, "message": message}},
        })
    };
    json!({
        "initContainerStatuses": [ended(FETCH, &Message::new().to_json())],
        "containerStatuses": [ended(STEP, ""), ended(PUBLISH, &message.to_json())],
    })
}

/// Each change's model is a version with the next number, which its run vouches for.
pub(crate) async fn versions_are_numbered_and_vouched_for(space: &Space) {
    space.apply(PIPELINE).await;
    for number in 1..=2 {
        let run = format!("churn-c{number}");
        space.finish_as(&run, made(&run)).await;
        space.until_run(&run, |reason, _| reason == "Succeeded").await;
        let vouched = |version: Option<&ModelVersion>| {
            let status = version.and_then(|version| version.status.as_ref());
            status.is_some_and(|status| status.conditions.iter().any(|condition| condition.reason == "ModelNotFound"))
        };
        let version = space.until::<ModelVersion>(&format!("churn-v{number}"), SOON, vouched).await.unwrap();
        assert_eq!((version.spec.number, version.spec.run()), (number, Some(run.as_str())));
        assert_eq!(version.spec.artifact.digest, Digest::of(format!("churn-c{number}").as_bytes()).to_string());
        let counted = |counter: Option<&ControllerRevision>| counter.is_some_and(|counter| counter.revision == number);
        space.until::<ControllerRevision>("churn-versions", SOON, counted).await;
        space.set::<MLPipeline>("churn", json!({"image": format!("train:{}", number + 1)})).await;
    }
}
