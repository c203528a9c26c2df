//! Revisions: the exact spec that runs execute, pinned in ControllerRevisions, and the numbers of changes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_core::Resource;
use seatrial_crds::names::{
    COMPONENT_LABEL, DATA_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL, PIPELINE_LABEL, PIPELINE_UID_ANNOTATION, components,
};
use seatrial_crds::{MLPipeline, MLPipelineSpec, Resources, WorkloadOptions};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::names;

/// The version of the projection below. It grows with every field that changes what is executed, so that an operator that
/// does not know the field leaves such a run alone rather than run it without. A new one must treat data of an older one as
/// equal where results are.
const PROJECTION: u32 = 2;

/// A revision whose data cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ControllerRevision {name} cannot be read: {problem}")]
pub struct RevisionError {
    name: String,
    problem: String,
    /// Whether another release wrote it, which may be able to read it.
    pub is_of_another_release: bool,
}

/// What of a pipeline affects results: all but what else starts runs, how they queue, how many are kept, how long steps may wait, and what its
/// Jobs and pods are labelled with. Two specs of one projection are the same change.
pub fn projection(spec: &MLPipelineSpec) -> Value {
    let mut spec = spec.clone();
    spec.triggers = vec![];
    spec.concurrency = None;
    spec.history_limits = None;
    spec.suspend = None;
    spec.job = None;
    forget_metadata(&mut spec.options);
    // What says what its absence says.
    spec.options.resources = spec.options.resources.filter(|resources| *resources != Resources::default());
    for step in &mut spec.steps {
        step.job = None;
        step.start_timeout = None;
        forget_metadata(&mut step.options);
        step.retry = step.retry.filter(|retry| retry.limit.is_some_and(|limit| limit > 0));
    }
    // A spec serializes: it came from JSON.
    serde_json::to_value(&spec).unwrap_or_default()
}

fn forget_metadata(options: &mut WorkloadOptions) {
    options.pod.labels.clear();
    options.pod.annotations.clear();
}

/// The revision of a pipeline's change.
pub fn build(pipeline: &MLPipeline, number: i64) -> ControllerRevision {
    let name = pipeline.metadata.name.clone().unwrap_or_default();
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(names::revision(&name, number)),
            namespace: pipeline.metadata.namespace.clone(),
            labels: Some(BTreeMap::from([
                (COMPONENT_LABEL.to_owned(), components::REVISION.to_owned()),
                (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
                (PIPELINE_LABEL.to_owned(), name),
            ])),
            annotations: Some(BTreeMap::from([(
                PIPELINE_UID_ANNOTATION.to_owned(),
                pipeline.metadata.uid.clone().unwrap_or_default(),
            )])),
            ..ObjectMeta::default()
        },
        revision: number,
        data: Some(RawExtension(json!({
            "projection": PROJECTION,
            // The whole spec, so that runs keep the pods' labels, too.
            "spec": serde_json::to_value(&pipeline.spec).unwrap_or_default(),
        }))),
    }
}

/// A ControllerRevision as plans observe it. Its data stay text, which takes a fraction of the memory, and the spec in them
/// is parsed once, when a plan asks for it first: all plans share it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "ControllerRevision")]
pub struct Revision {
    /// The object's metadata.
    pub metadata: ObjectMeta,
    /// The number that orders the revisions of one owner.
    pub revision: i64,
    data: Option<Box<str>>,
    spec: OnceLock<Result<Arc<MLPipelineSpec>, RevisionError>>,
}

impl Revision {
    /// The data, as JSON.
    pub fn data(&self) -> Option<Value> {
        serde_json::from_str(self.data.as_deref()?).ok()
    }

    /// The object as the API server has it, to be replaced.
    pub fn to_object(&self) -> ControllerRevision {
        ControllerRevision {
            metadata: self.metadata.clone(),
            revision: self.revision,
            data: self.data().map(RawExtension),
        }
    }

    /// The spec of a pipeline's revision.
    ///
    /// # Errors
    /// Data that is no pipeline's spec, or of a projection that this operator does not know.
    pub fn spec(&self) -> Result<&Arc<MLPipelineSpec>, &RevisionError> {
        self.spec.get_or_init(|| self.parse().map(Arc::new)).as_ref()
    }

    fn parse(&self) -> Result<MLPipelineSpec, RevisionError> {
        #[derive(Deserialize)]
        struct Data {
            projection: Option<Value>,
            #[serde(default)]
            spec: Value,
        }
        let error = |problem: String| RevisionError {
            name: self.metadata.name.clone().unwrap_or_default(),
            problem: problem.chars().take(200).collect(),
            is_of_another_release: false,
        };
        let data = self.data.as_deref().ok_or_else(|| error("it has no data".into()))?;
        let data: Data = serde_json::from_str(data).map_err(|problem| error(problem.to_string()))?;
        if data.projection.as_ref().and_then(Value::as_u64) != Some(u64::from(PROJECTION)) {
            let problem = "another release of Seatrial wrote it: run that release, or one that is newer".to_owned();
            return Err(RevisionError { is_of_another_release: true, ..error(problem) });
        }
        serde_json::from_value(data.spec).map_err(|problem| error(problem.to_string()))
    }

    /// The data that the revision's change was made for, by the name of a trigger.
    pub fn triggered_data(&self) -> BTreeMap<String, String> {
        let data = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DATA_ANNOTATION));
        data.and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default()
    }

    /// The UID of the pipeline that the revision was made for.
    pub fn pipeline_uid(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(PIPELINE_UID_ANNOTATION).map(String::as_str)
    }
}

impl From<ControllerRevision> for Revision {
    fn from(object: ControllerRevision) -> Self {
        Self {
            metadata: object.metadata,
            revision: object.revision,
            data: object.data.map(|data| data.0.to_string().into()),
            spec: OnceLock::new(),
        }
    }
}

/// Two are the same where the API server has the same of them, whether or not the spec has been parsed.
impl PartialEq for Revision {
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata && self.revision == other.revision && self.data == other.data
    }
}

impl Resource for Revision {
    type DynamicType = ();
    type Scope = <ControllerRevision as Resource>::Scope;

    fn kind(of: &()) -> Cow<'_, str> {
        ControllerRevision::kind(of)
    }

    fn group(of: &()) -> Cow<'_, str> {
        ControllerRevision::group(of)
    }

    fn version(of: &()) -> Cow<'_, str> {
        ControllerRevision::version(of)
    }

    fn plural(of: &()) -> Cow<'_, str> {
        ControllerRevision::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The newest of a pipeline's revisions.
pub fn newest(revisions: &[Arc<Revision>]) -> Option<&Arc<Revision>> {
    revisions.iter().max_by_key(|revision| revision.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of all fields that a schema names.
    fn fields(schema: &Value, path: &str, into: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            fields(field, &path, into);
            into.push(path);
        }
        if schema["items"].is_object() {
            fields(&schema["items"], &format!("{path}[]"), into);
        }
    }

    /// An operator that does not know a field runs a step as if the field were not there, unless the projection has grown with
    /// it. So this snapshot bears the projection's number. Where it fails: grow `PROJECTION` if the field changes what is
    /// executed, then accept the new snapshot, and delete the old one.
    #[test]
    fn the_projection_grows_with_the_fields_of_a_pipeline() {
        let manifests = seatrial_crds::manifests::all().unwrap();
        let pipelines = manifests.iter().find(|manifest| manifest.plural == "mlpipelines").unwrap();
        let schema = &pipelines.value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut paths = vec![];
        fields(schema, "spec", &mut paths);
        // What a pod says is Kubernetes' own, and a known field as a whole.
        paths.retain(|path| !path.contains(".pod.") && !path.contains(".env[]") && !path.contains(".envFrom[]"));
        paths.sort();
        insta::assert_snapshot!(format!("fields_of_projection_{PROJECTION}"), paths.join("\n"));
    }
}
