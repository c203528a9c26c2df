//! Reads the termination messages of the agent's containers in a pod that succeeded.

use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{Step, StepInput};

use crate::contract::{Message, ReportedInput, ReportedMetric, ReportedOutput};
use crate::pod_state::terminated;
use crate::pods::{FETCH, PUBLISH, STEP};

/// The result of an attempt that succeeded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// What was read.
    pub(crate) inputs: Vec<StepInput>,
    /// What was made.
    pub(crate) outputs: Vec<ReportedOutput>,
    /// Headline metrics.
    pub(crate) metrics: Vec<ReportedMetric>,
    /// Processes that were killed for memory though the command went on and ended well.
    pub(crate) oom_kills: u64,
}

impl Report {
    /// What a record of the store says; `None` where an output of the step is not in it.
    pub(crate) fn recovered(step: &Step, message: Message) -> Option<Self> {
        has_all_outputs(step, &message.outputs).then(|| Self {
            inputs: inputs(step, message.inputs),
            outputs: message.outputs,
            metrics: message.metrics,
            oom_kills: message.oom_kills,
        })
    }
}

/// True once the command and the upload of a pod have ended well, whatever else in the pod still runs.
pub(crate) fn has_ended_well(pod: &Pod) -> bool {
    [STEP, PUBLISH].into_iter().all(|container| terminated(pod, container).is_some_and(|end| end.exit_code == 0))
}

/// What the containers of such a pod reported; `None` where the report is not complete, so that the store must be asked. For
/// a step without outputs an incomplete report is enough, since nothing later depends on it.
pub(crate) fn report(step: &Step, pod: &Pod) -> Option<Report> {
    let (fetched, published) = (said(pod, FETCH), said(pod, PUBLISH));
    if step.outputs.is_empty() {
        let inputs = inputs(step, fetched.map(|message| message.inputs).unwrap_or_default());
        let oom_kills = published.map_or(0, |message| message.oom_kills);
        return Some(Report { inputs, oom_kills, ..Report::default() });
    }
    let (fetched, published) = (fetched?, published?);
    let inputs = inputs(step, fetched.inputs);
    let is_whole = fetched.complete
        && published.complete
        && has_all_outputs(step, &published.outputs)
        && inputs.len() == step.inputs.len();
    let Message { outputs, metrics, oom_kills, .. } = published;
    is_whole.then_some(Report { inputs, outputs, metrics, oom_kills })
}

/// A container's termination message; `None` where it has none that can be read.
fn said(pod: &Pod, container: &str) -> Option<Message> {
    Message::parse(terminated(pod, container)?.message.as_deref()?).ok()
}

fn has_all_outputs(step: &Step, made: &[ReportedOutput]) -> bool {
    step.outputs.iter().all(|output| made.iter().any(|made| made.name == output.name))
}

fn inputs(step: &Step, reported: Vec<ReportedInput>) -> Vec<StepInput> {
    let known = reported.into_iter().filter(|input| step.inputs.iter().any(|known| known.name == input.name));
    known
        .map(|input| StepInput {
            name: input.name,
            digest: input.digest.to_string(),
            size: i64::try_from(input.size).unwrap_or(i64::MAX),
        })
        .collect()
}
