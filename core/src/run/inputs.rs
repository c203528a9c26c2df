//! What a step needs before its Job can be built: its inputs, the store of its artifacts, and the checks of its inputs'
//! contracts.

use kube_core::ResourceExt;
use seatrial_crds::{Input, MLPipelineRunStatus, Step, StepOutput, StepState};

use super::contracts::Hindrance;
use super::{Draft, step_status};
use crate::attempt::step_job::ReadyInput;
use crate::contract::check::CheckConfig;
use crate::contract::{InputSource, layout, paths};
use crate::stores::{self, StoreProblem};

/// What the Job of a step is built from.
pub(super) struct Prepared {
    pub(super) inputs: Vec<ReadyInput>,
    /// The store that takes the artifacts.
    pub(super) artifacts: Option<stores::ResolvedStore>,
    /// What `seatrial-check` is told; `None` where no input has a contract.
    pub(super) checks: Option<CheckConfig>,
}

impl Draft<'_> {
    /// Finds all that the Job of a step is built from. The error is the reason and the message of a step that waits.
    pub(super) fn prepare_all(&self, step: &Step) -> Result<Prepared, Hindrance> {
        let (inputs, artifacts) = self.prepare(step).map_err(|problem| (problem.reason(), problem.to_string()))?;
        let file = |input: &ReadyInput| (input.name.clone(), paths::input(&input.name, input.kind));
        let checks = self.checks(step, &inputs.iter().map(file).collect())?;
        Ok(Prepared { inputs, artifacts, checks })
    }

    fn prepare(&self, step: &Step) -> Result<(Vec<ReadyInput>, Option<stores::ResolvedStore>), StoreProblem> {
        let namespace = self.observed.run.namespace().unwrap_or_default();
        let mut inputs = vec![];
        for input in &step.inputs {
            inputs.extend(self.ready(input, &namespace)?);
        }
        // A step without outputs needs no store: where there is one, its log is kept there.
        let artifacts = self.artifacts(&namespace);
        let artifacts = if step.outputs.is_empty() { artifacts.ok() } else { Some(artifacts?) };
        Ok((inputs, artifacts))
    }

    /// The store that takes the artifacts: the namespace's when the run first needed one, and from then on the same.
    pub(super) fn artifacts(&self, namespace: &str) -> Result<stores::ResolvedStore, StoreProblem> {
        let (own, platform) = (&self.observed.stores, &self.observed.platform);
        match &self.status.artifact_prefix {
            // Where the run's first artifact went, whatever takes the namespace's artifacts by now.
            Some(prefix) => stores::for_uri(prefix, namespace, own, platform).map(|mut store| {
                store.config.prefix.clone_from(prefix);
                store
            }),
            None => stores::for_artifacts(namespace, own, platform),
        }
    }

    /// Where an input is read from; `None` where the step above has not made it yet.
    fn ready(&self, input: &Input, namespace: &str) -> Result<Option<ReadyInput>, StoreProblem> {
        let (own, platform) = (&self.observed.stores, &self.observed.platform);
        let (store, source, kind) = match (&input.uri, self.made(input)) {
            (Some(uri), _) => {
                let store = stores::for_uri(uri, namespace, own, platform)?;
                let source = InputSource::Uri { store: store.config.prefix.clone(), uri: uri.clone() };
                (store, source, None)
            }
            (None, Some(output)) => {
                let invalid = || StoreProblem::NotAnArtifact(output.digest.clone());
                let digest = output.digest.parse().map_err(|_| invalid())?;
                let uri = artifact_uri(&self.status, &output.digest).ok_or_else(invalid)?;
                let store = stores::for_artifact(&uri, &digest, namespace, own, platform)?;
                (store.clone(), InputSource::Artifact { store: store.config.prefix, digest }, Some(output.kind))
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(ReadyInput { name: input.name.clone(), kind, source, store }))
    }

    /// The output that an input comes from, once it is there.
    fn made(&self, input: &Input) -> Option<&StepOutput> {
        let from = input.from.as_ref()?;
        let step = step_status(&self.status.steps, &from.step).filter(|step| step.state == StepState::Succeeded)?;
        step.outputs.iter().find(|output| output.name == from.output)
    }

    /// Whether each step above that this one reads from has made its output.
    pub(super) fn inputs_are_there(&self, step: &Step) -> bool {
        step.inputs.iter().all(|input| input.from.is_none() || self.made(input).is_some())
    }
}

/// Where an artifact of a run is.
pub(super) fn artifact_uri(status: &MLPipelineRunStatus, digest: &str) -> Option<String> {
    let prefix = status.artifact_prefix.as_ref()?;
    Some(format!("{prefix}{}", layout::artifact(&digest.parse().ok()?)))
}
