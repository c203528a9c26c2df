//! The largest run that the operator may write fits into etcd, whose limit for a request is 1.5 MiB.

use kube::Client;
use kube::api::{Api, PostParams};
use seatrial_crds::{
    CheckVerdict, Interruption, MLPipelineRun, MLPipelineRunStatus, OutputType, ParameterValue, PublishedVersion,
    Purpose, StepCheck, StepInput, StepMetric, StepOutput, StepState, StepStatus, Time, limits,
};
use serde_json::json;

use super::object;

/// What every object has to stay under.
const MOST: usize = 1024 * 1024;

/// A name of full length.
fn name(prefix: &str, number: usize, length: usize) -> String {
    format!("{prefix}{number:0>width$}", width = length - prefix.len())
}

fn step(number: usize) -> StepStatus {
    let now = || Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
    let digest = format!("sha256:{}", "0".repeat(64));
    let uid = |number: usize| format!("00000000-0000-0000-0000-{number:0>12}");
    let inputs = limits::URI_INPUTS / limits::STEPS;
    StepStatus {
        name: name("s", number, limits::NAME),
        state: StepState::Succeeded,
        attempt: Some(u32::MAX >> 1),
        job: Some(name("j", number, limits::RUN_NAME)),
        reason: Some("R".repeat(limits::REASON)),
        // In JSON a quote takes two bytes.
        message: Some("\"".repeat(limits::STEP_MESSAGE)),
        blocked_since: now(),
        image_digest: Some("i".repeat(limits::IMAGE_DIGEST)),
        started_at: now(),
        finished_at: now(),
        interruptions: (0..limits::INTERRUPTIONS)
            .map(|pod| Interruption { pod_uid: uid(pod), reason: "StoreUnavailable".into() })
            .collect(),
        recovery: None,
        inputs: (0..inputs)
            .map(|input| StepInput { name: name("i", input, limits::NAME), digest: digest.clone(), size: i64::MAX })
            .collect(),
        outputs: (0..limits::OUTPUTS)
            .map(|output| StepOutput {
                name: name("o", output, limits::NAME),
                kind: OutputType::Dataset,
                digest: digest.clone(),
                size: i64::MAX,
            })
            .collect(),
        // The first steps have all that a pipeline may have.
        checks: (0..usize::from(number < limits::CONTRACT_INPUTS))
            .map(|check| StepCheck {
                input: name("i", check, limits::NAME),
                contract: "c".repeat(limits::CONTRACT_KEY),
                version: "v".repeat(limits::CONTRACT_VERSION),
                revision: digest.clone(),
                verdict: Some(CheckVerdict::Inconclusive),
                rows: Some(i64::MAX),
                message: Some("\"".repeat(limits::STEP_MESSAGE)),
                broken: vec!["\"".repeat(limits::CONTRACT_NAME); limits::BROKEN_RULES_SHOWN],
                report: Some(digest.clone()),
            })
            .collect(),
        metrics: (0..limits::METRICS)
            .map(|metric| StepMetric {
                output: name("o", metric, limits::NAME),
                name: name("m", metric, limits::METRIC_NAME),
                value: format!("0.{}", "1".repeat(limits::DECIMAL - 2)),
            })
            .collect(),
    }
}

/// Written and read back, with the managed fields that the API server adds.
pub(crate) async fn the_status_of_a_run_at_its_maxima(client: &Client) {
    let parameters: Vec<ParameterValue> = (0..limits::PARAMETERS)
        .map(|parameter| ParameterValue {
            name: name("p", parameter, limits::NAME),
            value: "\"".repeat(limits::PARAMETER_VALUE),
        })
        .collect();
    let spec = json!({"pipeline": name("p", 0, limits::PIPELINE_NAME), "purpose": "Release", "parameters": parameters});
    let runs: Api<MLPipelineRun> = Api::default_namespaced(client.clone());
    let run: MLPipelineRun =
        serde_json::from_value(object("MLPipelineRun", &name("r", 0, limits::RUN_NAME), spec)).unwrap();
    let mut run = runs.create(&PostParams::default(), &run).await.unwrap();
    let versions = (0..limits::PUBLISHES).map(|version| PublishedVersion {
        model: name("m", version, limits::MODEL_NAME),
        name: name("v", version, limits::RUN_NAME),
    });
    let condition = json!({
        "type": "Succeeded", "status": "True", "reason": "R".repeat(limits::REASON), "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "\"".repeat(limits::CONDITION_MESSAGE),
    });
    run.status = Some(MLPipelineRunStatus {
        observed_generation: Some(1),
        revision: Some(i64::MAX),
        agent_image: Some("a".repeat(limits::IMAGE)),
        artifact_prefix: Some("u".repeat(limits::PREFIX)),
        started_at: Some(Time("2026-01-01T00:00:00Z".parse().unwrap())),
        finished_at: Some(Time("2026-01-02T00:00:00Z".parse().unwrap())),
        duration: Some("24h".into()),
        purpose: Some(Purpose::Release),
        steps: (0..limits::STEPS).map(step).collect(),
        versions: versions.collect(),
        published: Some("p".repeat(limits::PUBLISHED)),
        conditions: vec![serde_json::from_value(condition).unwrap()],
    });
    let name = run.metadata.name.clone().unwrap();
    let written = runs.replace_status(&name, &PostParams::default(), &run).await.unwrap();
    let bytes = serde_json::to_vec(&written).unwrap().len();
    let managed = serde_json::to_vec(&written.metadata.managed_fields).unwrap().len();
    println!("a run at its maxima: {bytes} bytes, of which {managed} are managed fields");
    assert!(managed > 0 && bytes < MOST, "{bytes} bytes, of which {managed} are managed fields");
    // A second write of the same object costs no further managed fields.
    let again = runs.replace_status(&name, &PostParams::default(), &written).await.unwrap();
    assert!(serde_json::to_vec(&again).unwrap().len() <= bytes);
}
