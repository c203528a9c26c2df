//! Turns a run's outputs into versions. A version's number is taken in this order, so that it is never used twice:
//!
//! ```text
//! run's status: churn-v8      the intent
//! counter churn-versions: 8   taken by comparing and swapping; it says which run holds the number
//! ModelVersion churn-v8
//! ```
//! A run keeps the number that it holds, however late the cache shows its version, so that it makes one version.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_core::ResourceExt;
use seatrial_crds::names::{
    COMPONENT_LABEL, HOLDERS_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL,
    components,
};
use seatrial_crds::{
    Artifact, Evidence, Lineage, LineageContract, LineageImage, LineageInput, MLPipelineRunStatus, MLPipelineSpec,
    Metric, ModelVersion, ModelVersionSpec, OutputReference, OutputType, ParameterValue, Publication, PublishedVersion,
    StepOutput, limits,
};

use super::inputs::artifact_uri;
use crate::decimal::Decimal;
use crate::names;
use crate::observed::RunObserved;
use crate::plan::{BlockedReason, Kind, Object, Stage, Write};
use crate::revision::Revision;

/// What is left to do for a run's versions.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// The versions, as the run's status names them.
    pub(super) versions: Vec<PublishedVersion>,
    /// The writes: a version's number before the version.
    pub(super) stages: Vec<Stage>,
    /// Whether all versions exist.
    pub(super) done: bool,
    /// Why a version can never be made, if that is so.
    pub(super) problem: Option<String>,
}

/// Decides which versions are still to be made. All steps have succeeded.
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
        let holders = counter.map(AsRef::as_ref).map(holders).unwrap_or_default();
        let highest = highest_number(observed, model);
        let intended = status.versions.iter().find(|version| &version.model == model);
        let intended = intended.and_then(|version| names::version_number(model, &version.name));
        let existing = |number: i64| {
            let name = names::version(model, number);
            observed.versions.iter().find(|version| version.metadata.name.as_deref() == Some(name.as_str()))
        };
        let wanted = |number| version(observed, spec, status, parameters, publication, number);
        // The version of this number is ours, or the number is still ours to take, or taken by us.
        let ours = |number: &i64| match existing(*number) {
            Some(found) if found.spec.run_uid() == Some(uid.as_str()) => {
                wanted(*number).is_none_or(|wanted| is_the_same(&found.spec, &wanted.spec))
            }
            Some(_) => false,
            None => {
                let held = holders.get(number) == Some(&uid);
                !refused(observed, *number, model) && (held || taken < *number)
            }
        };
        let number = intended.filter(ours).unwrap_or_else(|| taken.max(highest).saturating_add(1));
        let name = names::version(model, number);
        publishing.versions.push(PublishedVersion { model: model.clone(), name: name.clone() });
        if existing(number).is_some() {
            continue;
        }
        publishing.done = false;
        if taken < number {
            // A number whose version was seen needs no holder any more.
            let mut holders = holders;
            holders.retain(|number, _| existing(*number).is_none());
            holders.insert(number, uid.clone());
            let taken = count(observed, counter.map(AsRef::as_ref), model, number, &holders);
            publishing.stages.push(Stage::stop(vec![taken]));
        }
        match wanted(number) {
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

/// How many holders a counter names at most. Older numbers are skipped where their version never came to be.
const HOLDERS: usize = 64;

/// The runs that hold numbers.
fn holders(counter: &Revision) -> BTreeMap<i64, String> {
    let text = counter.annotations().get(HOLDERS_ANNOTATION);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Whether a version that exists says what the run would write: it is adopted then. A later release may write more.
fn is_the_same(found: &ModelVersionSpec, wanted: &ModelVersionSpec) -> bool {
    let lineage = |spec: &ModelVersionSpec| {
        let lineage = spec.lineage.clone()?;
        Some((lineage.pipeline, lineage.run, lineage.run_uid, lineage.revision, lineage.parameters, lineage.inputs))
    };
    found.purpose == wanted.purpose
        && found.artifact == wanted.artifact
        && found.evidence == wanted.evidence
        && found.metrics == wanted.metrics
        && lineage(found) == lineage(wanted)
}

/// Takes the number.
fn count(
    observed: &RunObserved,
    counter: Option<&Revision>,
    model: &str,
    number: i64,
    holders: &BTreeMap<i64, String>,
) -> Write {
    let newest: BTreeMap<&i64, &String> = holders.iter().rev().take(HOLDERS).collect();
    // Keys of numbers and values of text are always JSON.
    let text = serde_json::to_string(&newest).unwrap_or_default();
    let holder = (HOLDERS_ANNOTATION.to_owned(), text);
    match counter {
        Some(counter) => {
            let mut counter = counter.to_object();
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

/// The type of an output, as the pipeline says.
fn output_type(spec: &MLPipelineSpec, reference: &OutputReference) -> Option<OutputType> {
    let step = spec.steps.iter().find(|step| step.name == reference.step)?;
    step.outputs.iter().find(|output| output.name == reference.output).map(|output| output.kind)
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
            kind: output_type(spec, reference),
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
    // What is no number takes no room from a metric.
    metrics.sort_by_key(|metric| Decimal::parse(&metric.value).is_none());
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
    let contracts = status.steps.iter().flat_map(|step| {
        step.checks.iter().map(|check| LineageContract {
            step: step.name.clone(),
            input: check.input.clone(),
            contract: check.contract.clone(),
            version: check.version.clone(),
            revision: check.revision.clone(),
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
        contracts: contracts.collect(),
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
