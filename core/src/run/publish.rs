//! Turns a run's outputs into versions. A version's number is taken in this order, so that it is never used twice:
//!
//! ```text
//! run's status: churn-v8      the intent
//! counter churn-versions: 8   taken by comparing and swapping; it says which run holds the number
//! ModelVersion churn-v8
//! ```

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_core::ResourceExt;
use seatrial_crds::names::{
    COMPONENT_LABEL, HOLDER_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL,
    components,
};
use seatrial_crds::{
    Artifact, Evidence, Lineage, LineageImage, LineageInput, MLPipelineRunStatus, MLPipelineSpec, Metric, ModelVersion,
    ModelVersionSpec, OutputReference, ParameterValue, Publication, PublishedVersion, StepOutput, limits,
};

use super::step::artifact_uri;
use crate::names;
use crate::observed::RunObserved;
use crate::plan::{BlockedReason, Kind, Object, Stage, Write};

/// What is left to do for a run's versions.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// The versions, as the run's status names them.
    pub(super) versions: Vec<PublishedVersion>,
    /// The writes: a version's number before the version.
    pub(super) stages: Vec<Stage>,
    /// Whether all versions exist.
    pub(super) done: bool,
    /// What stands in the way.
    pub(super) problem: Option<String>,
}

/// Decides it. All steps have succeeded.
pub(super) fn publish(
    observed: &RunObserved,
    spec: &MLPipelineSpec,
    status: &MLPipelineRunStatus,
    parameters: &[ParameterValue],
) -> Publishing {
    let mut publishing = Publishing { done: true, ..Publishing::default() };
    for publication in &spec.publishes {
        let model = &publication.model;
        let uid = observed.run.metadata.uid.clone().unwrap_or_default();
        let counter = observed.counters.get(model);
        let taken = counter.map_or(0, |counter| counter.revision);
        let holder = counter.and_then(|counter| counter.annotations().get(HOLDER_ANNOTATION).cloned());
        let highest = highest_number(observed, model);
        let intended = status.versions.iter().find(|version| &version.model == model);
        let intended = intended.and_then(|version| names::version_number(model, &version.name));
        let existing = |number: i64| {
            let name = names::version(model, number);
            observed.versions.iter().find(|version| version.metadata.name.as_deref() == Some(name.as_str()))
        };
        // The number is still ours to take, or taken by us, and no foreign version has its name.
        let ours = |number: &i64| {
            let held = taken == *number && holder.as_deref() == Some(uid.as_str());
            let foreign = existing(*number).is_some_and(|version| version.spec.run_uid() != Some(uid.as_str()));
            let made = existing(*number).is_some_and(|version| version.spec.run_uid() == Some(uid.as_str()));
            made || (!foreign && !refused(observed, *number, model) && (held || taken < *number))
        };
        let number = intended.filter(ours).unwrap_or_else(|| taken.max(highest).saturating_add(1));
        let name = names::version(model, number);
        publishing.versions.push(PublishedVersion { model: model.clone(), name: name.clone() });
        if existing(number).is_some() {
            continue;
        }
        publishing.done = false;
        if taken < number {
            let taken = count(observed, counter.map(AsRef::as_ref), model, number, &uid);
            publishing.stages.push(Stage::stop(vec![taken]));
        }
        match version(observed, spec, status, parameters, publication, number) {
            Some(version) => {
                publishing.stages.push(Stage::proceed(vec![Write::Create(Object::Version(Box::new(version)))]));
            }
            None => publishing.problem = Some(format!("an output that becomes {name} is not in the run's status")),
        }
    }
    publishing
}

/// True where someone else's version had the name, though it is in no cache of ours yet.
fn refused(observed: &RunObserved, number: i64, model: &str) -> bool {
    let name = names::version(model, number);
    observed
        .blocked
        .iter()
        .any(|failure| failure.kind == Kind::Version && failure.name == name && failure.reason == BlockedReason::Clash)
}

fn highest_number(observed: &RunObserved, model: &str) -> i64 {
    let of_model = observed.versions.iter().filter(|version| version.spec.model == model);
    of_model.map(|version| version.spec.number).max().unwrap_or(0)
}

/// Takes the number.
fn count(
    observed: &RunObserved,
    counter: Option<&ControllerRevision>,
    model: &str,
    number: i64,
    holder: &str,
) -> Write {
    let holder = (HOLDER_ANNOTATION.to_owned(), holder.to_owned());
    match counter {
        Some(counter) => {
            let mut counter = counter.clone();
            counter.revision = number;
            counter.metadata.annotations.get_or_insert_default().extend([holder]);
            Write::Replace(Object::ControllerRevision(Box::new(counter)))
        }
        None => Write::Create(Object::ControllerRevision(Box::new(ControllerRevision {
            metadata: ObjectMeta {
                name: Some(names::counter(model)),
                namespace: observed.run.namespace(),
                labels: Some(BTreeMap::from([
                    (COMPONENT_LABEL.to_owned(), components::COUNTER.to_owned()),
                    (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
                    (MODEL_LABEL.to_owned(), model.to_owned()),
                ])),
                annotations: Some(BTreeMap::from([holder])),
                ..ObjectMeta::default()
            },
            revision: number,
            data: Some(RawExtension(serde_json::json!({"model": model}))),
        }))),
    }
}

fn version(
    observed: &RunObserved,
    spec: &MLPipelineSpec,
    status: &MLPipelineRunStatus,
    parameters: &[ParameterValue],
    publication: &Publication,
    number: i64,
) -> Option<ModelVersion> {
    let run = &observed.run;
    let artifact = artifact(status, &publication.artifact)?;
    let mut evidence = vec![];
    let mut metrics = vec![];
    for reference in &publication.evidence {
        evidence.push(Evidence {
            step: reference.step.clone(),
            output: reference.output.clone(),
            artifact: self::artifact(status, reference)?,
        });
        let step = status.steps.iter().find(|step| step.name == reference.step)?;
        // Only what stands in the evidence judges, not all that its step measured.
        let measured = step.metrics.iter().filter(|metric| metric.output == reference.output);
        metrics.extend(measured.map(|metric| Metric {
            step: reference.step.clone(),
            output: metric.output.clone(),
            name: metric.name.clone(),
            value: metric.value.clone(),
        }));
    }
    metrics.truncate(limits::METRICS);
    let uri = |step: &str, input: &str| {
        let step = spec.steps.iter().find(|known| known.name == step)?;
        step.inputs.iter().find(|known| known.name == input)?.uri.clone()
    };
    let inputs = status.steps.iter().flat_map(|step| {
        step.inputs.iter().filter_map(|input| {
            Some(LineageInput {
                step: step.name.clone(),
                name: input.name.clone(),
                uri: uri(&step.name, &input.name)?,
                digest: input.digest.clone(),
            })
        })
    });
    let images = status
        .steps
        .iter()
        .filter_map(|step| Some(LineageImage { step: step.name.clone(), image: step.image_digest.clone()? }));
    let lineage = Lineage {
        pipeline: Some(run.spec.pipeline.clone()),
        run: Some(run.name_any()),
        run_uid: Some(run.metadata.uid.clone()?),
        revision: Some(status.revision?),
        parameters: parameters.to_vec(),
        inputs: inputs.collect(),
        images: images.collect(),
    };
    let model = publication.model.clone();
    let mut version = ModelVersion::new(
        &names::version(&model, number),
        ModelVersionSpec {
            model: model.clone(),
            number,
            purpose: run.spec.purpose.unwrap_or_default(),
            artifact,
            evidence,
            metrics,
            lineage: Some(lineage),
        },
    );
    version.metadata.namespace = run.namespace();
    version.metadata.labels = Some(BTreeMap::from([
        (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
        (MODEL_LABEL.to_owned(), model),
        (PIPELINE_LABEL.to_owned(), run.spec.pipeline.clone()),
        (RUN_LABEL.to_owned(), run.name_any()),
    ]));
    Some(version)
}

fn output<'a>(status: &'a MLPipelineRunStatus, reference: &OutputReference) -> Option<&'a StepOutput> {
    let step = status.steps.iter().find(|step| step.name == reference.step)?;
    step.outputs.iter().find(|output| output.name == reference.output)
}

fn artifact(status: &MLPipelineRunStatus, reference: &OutputReference) -> Option<Artifact> {
    let output = output(status, reference)?;
    let uri = artifact_uri(status, &output.digest)?;
    Some(Artifact { uri, digest: output.digest.clone(), size: output.size })
}
