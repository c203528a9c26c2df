//! What becomes of a pipeline: changes, history, suspension, correction.

use seatrial_crds::{MLPipeline, MLPipelineRun};
use serde_json::json;

use crate::space::{SOON, Space, pipeline, run};

/// Each change is a run; the pipeline tells of the last, and keeps as many as it says.
pub(crate) async fn a_pipelines_life(space: &Space) {
    space.apply(&pipeline("life")).await;
    space.set::<MLPipeline>("life", json!({"historyLimits": {"succeeded": 1}})).await;
    for change in 1..=3 {
        let name = format!("life-c{change}");
        space.until_run(&name, |reason, _| reason == "Running").await;
        let told = |reason: &'static str, ended: bool| {
            let name = name.clone();
            move |pipeline: Option<&MLPipeline>| {
                let last = pipeline.and_then(|pipeline| pipeline.status.as_ref()?.last_run.as_ref());
                last.is_some_and(|last| {
                    last.name == name && last.reason == reason && last.finished_at.is_some() == ended
                })
            }
        };
        space.until::<MLPipeline>("life", SOON, told("Running", false)).await;
        space.finish(&name).await;
        space.until_run(&name, |reason, _| reason == "Succeeded").await;
        space.until::<MLPipeline>("life", SOON, told("Succeeded", true)).await;
        space.set::<MLPipeline>("life", json!({"image": format!("train:{}", change + 1)})).await;
    }
    for change in 1..=2 {
        space.until::<MLPipelineRun>(&format!("life-c{change}"), SOON, |run| run.is_none()).await;
    }
    // The newest that ended stays, beside the one that the last edit started.
    space.until_run("life-c3", |reason, _| reason == "Succeeded").await;
    space.until_run("life-c4", |reason, _| reason == "Running").await;
}

/// A run that waits for a person does not hold up the correction.
pub(crate) async fn a_corrected_uri(space: &Space) {
    let with = |inputs: &str| {
        format!(
            "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipeline\nmetadata: {{name: corrected}}\n\
             spec: {{image: \"train:1\", steps: [{{name: train, command: [train], inputs: [{inputs}]}}]}}\n"
        )
    };
    space.apply(&with("{name: raw, uri: \"s3://lkae/raw/\"}")).await;
    space.until_run("corrected-c1", |_, message| message.contains("s3://lkae/raw/")).await;
    assert!(space.jobs("corrected-c1").await.is_empty());
    space.apply(&with("")).await;
    space.finish("corrected-c2").await;
    space.until_run("corrected-c2", |reason, _| reason == "Succeeded").await;
    space.until_run("corrected-c1", |reason, _| reason == "Superseded").await;
}

/// A suspended pipeline starts nothing, and what waited starts once it is resumed.
pub(crate) async fn suspension(space: &Space) {
    space.apply(&pipeline("suspended")).await;
    space.finish("suspended-c1").await;
    space.until_run("suspended-c1", |reason, _| reason == "Succeeded").await;
    space.set::<MLPipeline>("suspended", json!({"suspend": true, "image": "train:2"})).await;
    space.until_pipeline("suspended", "Suspended").await;
    space.apply(&run("by-hand", "suspended")).await;
    space.until_run("by-hand", |reason, _| reason == "Suspended").await;
    assert!(space.jobs("by-hand").await.is_empty());
    assert!(space.api::<MLPipelineRun>().get_opt("suspended-c2").await.unwrap().is_none());
    space.set::<MLPipeline>("suspended", json!({"suspend": false})).await;
    space.finish("by-hand").await;
    space.until_run("by-hand", |reason, _| reason == "Succeeded").await;
    space.finish("suspended-c2").await;
    space.until_run("suspended-c2", |reason, _| reason == "Succeeded").await;
}
