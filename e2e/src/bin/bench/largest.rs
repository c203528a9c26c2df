//! The largest pipeline that the API takes, run to its end: 128 steps in sequence, each with 16 inputs, 8 outputs and 16
//! metrics.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use seatrial_core::contract::{Digest, Message, ReportedInput, ReportedMetric, ReportedOutput};
use seatrial_crds::{MLPipeline, MLPipelineRun, limits};
use seatrial_e2e::wait_until;
use serde::Serialize;
use serde_json::{Value, json};

use crate::load::{NAMESPACE, ending};
use crate::machine::Said;

/// How long it may take: each step waits for the one before.
const LIMIT: Duration = Duration::from_secs(1800);
/// How many inputs of a step are named by URI, so that the status has them, too.
const URIS: usize = limits::URI_INPUTS / limits::STEPS;

/// A step: its inputs are URIs, and outputs of the two steps before it.
fn step(number: usize) -> Value {
    let uris = (0..URIS).map(|uri| json!({"name": format!("u{uri}"), "uri": format!("http://data/{number}/{uri}")}));
    let earlier = (1..=number.min(2)).flat_map(|back| (0..limits::OUTPUTS).map(move |output| (number - back, output)));
    let from = earlier.take(limits::INPUTS - URIS).enumerate().map(|(index, (step, output))| {
        json!({"name": format!("i{index}"), "from": {"step": format!("s{step}"), "output": format!("o{output}")}})
    });
    let kind = |output: usize| if output == 0 { "Metrics" } else { "Dataset" };
    let outputs = (0..limits::OUTPUTS).map(|output| json!({"name": format!("o{output}"), "type": kind(output)}));
    json!({
        "name": format!("s{number}"), "command": ["train", "--epochs", "10"],
        "inputs": uris.chain(from).collect::<Vec<_>>(), "outputs": outputs.collect::<Vec<_>>(),
    })
}

fn pipeline() -> anyhow::Result<MLPipeline> {
    let parameters = (0..limits::PARAMETERS).map(|number| {
        json!({"name": format!("p{number}"), "type": "String", "default": "x".repeat(limits::PARAMETER_VALUE)})
    });
    Ok(serde_json::from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "metadata": {"name": "largest"},
        "spec": {
            "image": "registry.local/bench:1", "parameters": parameters.collect::<Vec<_>>(),
            "steps": (0..limits::STEPS).map(step).collect::<Vec<_>>(),
        },
    }))?)
}

/// What the agent's containers say of each of these steps.
pub(crate) fn said() -> Said {
    let digest = Digest::of(b"largest");
    let input = |name: String| ReportedInput { name, digest: digest.clone(), size: 1 << 40 };
    let output =
        |number| ReportedOutput { name: format!("o{number}"), digest: digest.clone(), size: 1 << 40, files: 9 };
    let metric = |number| ReportedMetric {
        output: "o0".into(),
        name: format!("metric-{number}"),
        value: format!("0.{}", "1".repeat(18)),
    };
    let uris = (0..URIS).map(|number| input(format!("u{number}")));
    let inputs = uris.chain((0..limits::INPUTS - URIS).map(|number| input(format!("i{number}")))).collect();
    let outputs = (0..limits::OUTPUTS).map(output).collect();
    let metrics = (0..limits::METRICS).map(metric).collect();
    let fetched = Message { inputs, ..Message::new() }.to_json();
    let published = Message { outputs, metrics, ..Message::new() }.to_json();
    Said { fetched: [fetched.clone(), fetched], published: [published.clone(), published] }
}

fn bytes(object: &impl Serialize) -> anyhow::Result<usize> {
    Ok(serde_json::to_vec(object)?.len())
}

/// Runs it, and says how long it took and how large its objects became.
pub(crate) async fn run(client: &Client) -> anyhow::Result<String> {
    let pipelines: Api<MLPipeline> = Api::namespaced(client.clone(), NAMESPACE);
    let runs: Api<MLPipelineRun> = Api::namespaced(client.clone(), NAMESPACE);
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), NAMESPACE);
    let began = Instant::now();
    let created = pipelines.create(&PostParams::default(), &pipeline()?).await?;
    let mut ended = None;
    wait_until("the run of the largest pipeline has ended", LIMIT, async || {
        ended = runs.get_opt("largest-c1").await?.filter(|run| ending(run).is_some());
        Ok(ended.is_some())
    })
    .await?;
    let took = began.elapsed();
    let run = ended.context("there is no run")?;
    if let Some((false, message)) = ending(&run) {
        bail!("the run of the largest pipeline failed: {message}");
    }
    let done =
        run.status.as_ref().map_or(0, |status| status.steps.iter().filter(|step| !step.metrics.is_empty()).count());
    let revision =
        revisions.list(&ListParams::default()).await?.items.into_iter().find(|one| one.name_any() == "largest-c1");
    Ok(format!(
        "The largest pipeline, {} steps in sequence, each with {} inputs, {} outputs and {} metrics: {:.0} s, {done} steps \
         done; bytes of JSON: pipeline {}, pinned revision {}, run {}, of which managed fields {}",
        limits::STEPS,
        limits::INPUTS,
        limits::OUTPUTS,
        limits::METRICS,
        took.as_secs_f64(),
        bytes(&created)?,
        bytes(&revision)?,
        bytes(&run)?,
        bytes(&run.metadata.managed_fields)?,
    ))
}
