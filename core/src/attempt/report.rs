//! What the agent's containers of a pod that ended well said.

use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{Step, StepInput};

use crate::contract::{Message, ReportedMetric};
use crate::pod_state::terminated;
use crate::pods::{FETCH, PUBLISH};

/// What the containers of a pod that ended well said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// What was read.
    pub(crate) inputs: Vec<StepInput>,
    /// What was made.
    pub(crate) outputs: Vec<crate::contract::ReportedOutput>,
    /// Headline metrics.
    pub(crate) metrics: Vec<ReportedMetric>,
}

/// What a container said when it ended; `None` where it said nothing.
fn said(pod: &Pod, container: &str) -> Result<Option<Message>, String> {
    let message = terminated(pod, container).and_then(|end| end.message.as_deref());
    message
        .map(|text| Message::parse(text).map_err(|error| format!("{container} said of it cannot be read ({error})")))
        .transpose()
}

/// What a pod that ended well said; `None` where a message that must be there is not, an error where it is damaged.
pub(crate) fn report(step: &Step, pod: &Pod) -> Result<Option<Report>, String> {
    let mut report = Report::default();
    if !step.inputs.is_empty() {
        let Some(message) = said(pod, FETCH)? else { return Ok(None) };
        let known = message.inputs.into_iter().filter(|input| step.inputs.iter().any(|known| known.name == input.name));
        report.inputs.extend(known.map(|input| StepInput {
            name: input.name,
            digest: input.digest.to_string(),
            size: i64::try_from(input.size).unwrap_or(i64::MAX),
        }));
    }
    if !step.outputs.is_empty() {
        let Some(message) = said(pod, PUBLISH)? else { return Ok(None) };
        if step.outputs.iter().any(|output| message.outputs.iter().all(|made| made.name != output.name)) {
            return Ok(None);
        }
        report.outputs = message.outputs;
        report.metrics = message.metrics;
    }
    Ok(Some(report))
}
