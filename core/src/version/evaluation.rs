//! Runs a version's evaluation step once more, with the champion's files in place of the version's: the step of the revision that
//! its run executed, on the data that it read then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::{
    Artifact, Champion, Evidence, Input, MLPipelineRun, MLPipelineSpec, OutputReference, OutputType, Step, StepStatus,
};
use serde_json::json;

use crate::attempt::job::{Attempt, Role};
use crate::attempt::reading::Reading;
use crate::attempt::report::Report;
use crate::attempt::seen::{Outcome, Seen};
use crate::attempt::step_job::{ReadyInput, StepJob};
use crate::attempt::{Liveness, is_pod_of, outcome};
use crate::contract::{InputSource, layout};
use crate::observed::VersionObserved;
use crate::stores::{self, ResolvedStore, StoreProblem};
use crate::{digest, names};

/// The reasons for which the step itself fails: the same data and the same model come to the same again, and the step had the
/// retries that it asks for.
const ITS_OWN: [&str; 6] = ["CommandFailed", "CommandNotFound", "OutOfMemory", "Timeout", "BadOutput", "InputTooLarge"];

/// Why the champion cannot be evaluated.
pub(super) enum Obstacle {
    /// Something that was there is gone.
    Gone(String),
    /// The pipeline is not made for it.
    Impossible(String),
}

/// An evaluation of the champion.
pub(super) struct Evaluation<'a> {
    observed: &'a VersionObserved,
    champion: &'a Champion,
    run: &'a MLPipelineRun,
    spec: &'a MLPipelineSpec,
    step: &'a Step,
    /// The version's own predictions.
    evidence: &'a Evidence,
    /// What the champion stands in for.
    artifact: &'a OutputReference,
}

impl<'a> Evaluation<'a> {
    /// What is to be run.
    pub(super) fn of(observed: &'a VersionObserved, champion: &'a Champion) -> Result<Self, Obstacle> {
        let version = &observed.version;
        let gone = |what: &str| {
            Obstacle::Gone(format!(
                "the champion cannot be evaluated on the same data: {what} is gone; run the pipeline again"
            ))
        };
        let revision = observed.revision.as_ref().and_then(|revision| revision.spec().ok());
        let spec = revision.ok_or_else(|| gone("the revision that its run executed"))?.as_ref();
        let run = observed.run.as_ref().filter(|run| run.metadata.uid.as_deref() == version.spec.run_uid());
        let run = run.ok_or_else(|| gone("its run, which knows what the evaluation read,"))?;
        let is_table = |evidence: &&Evidence| evidence.kind == Some(OutputType::Predictions);
        let evidence = version.spec.evidence.iter().find(is_table);
        let evidence = evidence.ok_or_else(|| Obstacle::Impossible("the version has no predictions".to_owned()))?;
        let publication = spec.publishes.iter().find(|publication| publication.model == version.spec.model);
        let step = spec.steps.iter().find(|step| step.name == evidence.step);
        let (Some(publication), Some(step)) = (publication, step) else {
            return Err(Obstacle::Impossible(
                "the run's revision does not say how its predictions were made".to_owned(),
            ));
        };
        let artifact = &publication.artifact;
        if !step.inputs.iter().any(|input| input.from.as_ref() == Some(artifact)) {
            return Err(Obstacle::Impossible(format!(
                "the champion cannot be evaluated: the step \"{}\", which makes the predictions, does not have {}.{} as an input, so no other model can be put in its place; make the predictions in a step of its own that has",
                step.name, artifact.step, artifact.output
            )));
        }
        Ok(Self { observed, champion, run, spec, step, evidence, artifact })
    }

    /// Names what is done.
    pub(super) fn key(&self) -> String {
        let parts = json!({"champion": self.champion.artifact.digest, "predictions": self.evidence.artifact.digest});
        format!("sha256:{}", digest::of_json(&parts))
    }

    /// The Job's name.
    pub(super) fn name(&self, uid: &str, number: i64) -> String {
        names::duel(&self.observed.version.name_any(), uid, &self.step.name, attempt(number))
    }

    /// The Job.
    pub(super) fn job(&self, number: i64) -> Result<Job, StoreProblem> {
        let version = &self.observed.version;
        let invalid = || StoreProblem::NotAnArtifact(self.evidence.artifact.digest.clone());
        let store = self.store(&self.evidence.artifact)?;
        let inputs: Result<Vec<Option<ReadyInput>>, StoreProblem> =
            self.step.inputs.iter().map(|input| self.input(input, &store)).collect();
        // What the version was evaluated on is gone from its run's status: the step could not have run.
        let inputs: Vec<ReadyInput> = inputs?.into_iter().collect::<Option<_>>().ok_or_else(invalid)?;
        let lineage = version.spec.lineage.as_ref();
        let started_at = self.run.status.as_ref().and_then(|status| status.started_at.as_ref());
        let job = StepJob {
            attempt: Attempt {
                role: Role::Duel { model: &version.spec.model },
                owner: version.controller_owner_ref(&()).ok_or_else(invalid)?,
                namespace: version.namespace().unwrap_or_default(),
                pipeline: self.spec,
                pipeline_name: &self.run.spec.pipeline,
                step: self.step,
                number: attempt(number),
                agent_image: self.observed.platform.agent_image.clone(),
                platform: &self.observed.platform,
            },
            parameters: lineage.map(|lineage| lineage.parameters.as_slice()).unwrap_or_default(),
            run_name: &self.run.name_any(),
            run_time: &started_at.map(|at| at.0.to_string()).unwrap_or_default(),
            inputs: &inputs,
            artifacts: Some(&store),
            // They were checked when the version was evaluated, and are the same.
            checks: None,
        };
        Ok(job.job())
    }

    fn store(&self, artifact: &Artifact) -> Result<ResolvedStore, StoreProblem> {
        let digest = artifact.digest.parse().map_err(|_| StoreProblem::NotAnArtifact(artifact.digest.clone()))?;
        let namespace = self.observed.version.namespace().unwrap_or_default();
        stores::for_artifact(&artifact.uri, &digest, &namespace, &self.observed.stores, &self.observed.platform)
    }

    /// An input as the version's evaluation had it, or the champion's files; `None` where nobody knows any more what it was. The
    /// artifacts of a run lie in one store.
    fn input(&self, input: &Input, own: &ResolvedStore) -> Result<Option<ReadyInput>, StoreProblem> {
        let (name, namespace) = (input.name.clone(), self.observed.version.namespace().unwrap_or_default());
        let artifact = |digest: &str| digest.parse().map_err(|_| StoreProblem::NotAnArtifact(digest.to_owned()));
        if let Some(uri) = &input.uri {
            let store = stores::for_uri(uri, &namespace, &self.observed.stores, &self.observed.platform)?;
            let source = InputSource::Uri { store: store.config.prefix.clone(), uri: uri.clone() };
            return Ok(Some(ReadyInput { name, kind: None, source, store }));
        }
        let Some(from) = &input.from else { return Ok(None) };
        let made = self.status_of(&from.step).and_then(|step| {
            let output = step.outputs.iter().find(|output| output.name == from.output)?;
            Some((output.kind, output.digest.as_str()))
        });
        let Some((kind, made)) = made else { return Ok(None) };
        let (store, digest) = if from == self.artifact {
            (self.store(&self.champion.artifact)?, artifact(&self.champion.artifact.digest)?)
        } else {
            (own.clone(), artifact(made)?)
        };
        let source = InputSource::Artifact { store: store.config.prefix.clone(), digest };
        Ok(Some(ReadyInput { name, kind: Some(kind), source, store }))
    }

    fn status_of(&self, step: &str) -> Option<&StepStatus> {
        self.run.status.as_ref()?.steps.iter().find(|status| status.name == step)
    }

    /// What became of the Job: the champion's predictions, or why there will be none.
    pub(super) fn read(&self, job: &Job, now: Timestamp) -> Reading<Result<Artifact, String>> {
        let observed = self.observed;
        let pods: Vec<&Pod> = observed.pods.iter().map(AsRef::as_ref).filter(|pod| is_pod_of(pod, job)).collect();
        let seen = Seen {
            step: self.step,
            liveness: Liveness { ending: &observed.ending },
            resources: self.step.options.resources.as_ref().or(self.spec.options.resources.as_ref()),
            job,
            pods: &pods,
            without_pod_for: None,
            before: None,
            confirmed: observed.live_reads.get(&job.name_any()).copied(),
            refused: None,
            probes: &BTreeMap::new(),
        };
        match outcome::read(&seen, now) {
            Outcome::Running(told) => Reading::Running(told.map(|(_, message)| message)),
            Outcome::Done(report) => match self.predictions(&report) {
                Some(found) => Reading::Ended(found),
                None => Reading::Failed("what its Job said cannot be read".to_owned()),
            },
            Outcome::LiveRead => Reading::LiveRead,
            Outcome::ReportLost => Reading::Failed("what its Job said is lost".to_owned()),
            Outcome::NodeLost => Reading::Failed("the node of its pod does not answer".to_owned()),
            Outcome::Failed(reason, message) if ITS_OWN.contains(&reason) => Reading::Ended(Err(message)),
            Outcome::Failed(_, message) => Reading::Failed(message),
        }
    }

    /// The predictions among what the step made, if it read what it read before.
    fn predictions(&self, report: &Report) -> Option<Result<Artifact, String>> {
        let before = self.status_of(&self.step.name).map(|status| status.inputs.as_slice()).unwrap_or_default();
        let changed = before.iter().find(|before| {
            report.inputs.iter().any(|input| input.name == before.name && input.digest != before.digest)
        });
        if let Some(changed) = changed {
            return Some(Err(format!(
                "the data of the input \"{}\" of the step \"{}\" have changed since the version was evaluated: run the pipeline again",
                changed.name, self.step.name
            )));
        }
        let output = report.outputs.iter().find(|output| output.name == self.evidence.output)?;
        let own = self.evidence.artifact.digest.parse().ok()?;
        let prefix = self.evidence.artifact.uri.strip_suffix(&layout::artifact(&own))?;
        Some(Ok(Artifact {
            uri: format!("{prefix}{}", layout::artifact(&output.digest)),
            digest: output.digest.to_string(),
            size: i64::try_from(output.size).unwrap_or(i64::MAX),
        }))
    }
}

/// The number of an attempt, as Jobs have it.
fn attempt(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(1)
}
