//! Triggers of type `Data`: new data start a run, once for each change of them.
//!
//! New data take the next change number, as a changed spec does, and are fenced by it: the status says number and data first, then
//! come the run and, last, the revision, which bears the data that its change was made for. So the run of new data queues as
//! any run of a change does, and a crash between any two writes neither loses nor doubles it.
//!
//! Data are what the check of the contract's own schedule found last, where that was `Passed`. Nothing is decided before the
//! newest run has ended: it may have read the new data.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube_core::ResourceExt;
use seatrial_crds::names::DATA_ANNOTATION;
use seatrial_crds::{
    CheckVerdict, ContractReference, DataContract, MLPipeline, MLPipelineRun, Trigger, TriggeredData, WatchedContract,
};
use serde_json::json;

use crate::data_contract::{checked_tables, find, is_scheduled, whole};
use crate::digest;
use crate::observed::PipelineObserved;
use crate::revision::Revision;
use crate::run::{has_ended, triggered_revision};

/// Data by the name of a trigger, each as a digest.
pub(super) type Data = BTreeMap<String, String>;

/// What the data mean for a pipeline whose spec is that of its newest revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing.
    None,
    /// The newest change's run read them, or nobody knows what it read: the revision is to bear them.
    Known(Data),
    /// They are new to the trigger that is named: they take the next number.
    New(Data, String),
}

/// What a trigger sees.
struct Seen<'a> {
    trigger: &'a str,
    /// The digest of all its data.
    digest: String,
    /// What each input would read: the step, the input, the digest.
    inputs: Vec<(&'a str, &'a str, String)>,
}

/// The contract that a trigger watches, as inputs name it.
fn reference(contract: &WatchedContract) -> ContractReference {
    let (namespace, name) = (contract.namespace.clone(), contract.name.clone());
    ContractReference { namespace, name, version: None, schema: None }
}

/// The contract of a trigger, if there is one that serves the pipeline.
fn contract_of<'a>(observed: &'a PipelineObserved, trigger: &Trigger) -> Option<&'a DataContract> {
    let namespace = observed.pipeline.namespace().unwrap_or_default();
    let reference = whole(&reference(&trigger.data.as_ref()?.contract), &namespace);
    find(&reference, &namespace, &observed.contracts)
}

/// What a trigger sees; `None` where there is nothing that it could start a run for.
fn seen<'a>(observed: &'a PipelineObserved, trigger: &'a Trigger) -> Option<Seen<'a>> {
    let watched = &trigger.data.as_ref()?.contract;
    let tables = checked_tables(contract_of(observed, trigger)?);
    let (mut inputs, mut digests) = (vec![], BTreeMap::new());
    for step in &observed.pipeline.spec.steps {
        for input in step.inputs.iter().filter(|input| input.uri.is_some()) {
            let Some(reference) = input.contract.as_ref().filter(|it| watched.is(it)) else { continue };
            // Without a name, the document has one schema object only.
            let is_read = |schema: &str| reference.schema.as_ref().is_none_or(|name| name == schema);
            let table = tables.iter().find(|table| is_read(&table.schema))?;
            let digest = table.digest.clone().filter(|_| table.verdict == CheckVerdict::Passed)?;
            digests.insert(table.schema.clone(), digest.clone());
            inputs.push((step.name.as_str(), input.name.as_str(), digest));
        }
    }
    let digest = match digests.len() {
        0 => return None,
        1 => digests.into_values().next()?,
        _ => format!("sha256:{}", digest::of_json(&json!(digests))),
    };
    Some(Seen { trigger: &trigger.name, digest, inputs })
}

impl Seen<'_> {
    /// Whether a run read these data.
    fn was_read_by(&self, run: &MLPipelineRun) -> bool {
        let steps = run.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
        self.inputs.iter().all(|(step, input, digest)| {
            let inputs = steps.iter().filter(|status| status.name == *step).flat_map(|status| &status.inputs);
            inputs.into_iter().any(|read| read.name == *input && read.digest == *digest)
        })
    }
}

/// The data that a new change is made for: what its triggers see now, or, where they see nothing, what was known before.
pub(super) fn current(observed: &PipelineObserved, newest: Option<&Revision>) -> Data {
    let mut data = known(&observed.pipeline, newest);
    let triggers = observed.pipeline.spec.triggers.iter();
    data.extend(
        triggers.filter_map(|trigger| seen(observed, trigger)).map(|seen| (seen.trigger.to_owned(), seen.digest)),
    );
    data
}

/// What is known of the data of a pipeline's triggers.
fn known(pipeline: &MLPipeline, newest: Option<&Revision>) -> Data {
    let mut known = newest.map(Revision::triggered_data).unwrap_or_default();
    known.retain(|name, _| pipeline.spec.triggers.iter().any(|trigger| trigger.name == *name));
    known
}

/// What the data mean, where the spec is that of the newest revision.
pub(super) fn news(observed: &PipelineObserved, newest: &Revision) -> News {
    let mut data = known(&observed.pipeline, Some(newest));
    let is_newest = |run: &&MLPipelineRun| triggered_revision(run) == Some(newest.revision);
    let run = observed.runs.iter().map(AsRef::as_ref).find(is_newest);
    let mut new = None;
    for trigger in &observed.pipeline.spec.triggers {
        let Some(seen) = seen(observed, trigger).filter(|seen| data.get(seen.trigger) != Some(&seen.digest)) else {
            continue;
        };
        let before = data.insert(seen.trigger.to_owned(), seen.digest.clone());
        let is_new = match run {
            // It may read them.
            Some(run) if !has_ended(run.status.as_ref()) => return News::None,
            Some(run) => !seen.was_read_by(run),
            // What its run read is forgotten: nothing is done twice for that.
            None => before.is_some(),
        };
        if is_new {
            new.get_or_insert_with(|| seen.trigger.to_owned());
        }
    }
    match new {
        Some(trigger) => News::New(data, trigger),
        None if data == newest.triggered_data() => News::None,
        None => News::Known(data),
    }
}

/// The trigger whose data are others than those of a revision: of a change that was recorded, and then cut off.
pub(super) fn differing(data: &Data, newest: Option<&Revision>) -> Option<String> {
    let known = newest.map(Revision::triggered_data)?;
    data.iter().find(|(trigger, digest)| known.get(*trigger) != Some(digest)).map(|(trigger, _)| trigger.clone())
}

/// Data as a status has them.
pub(super) fn told(data: &Data) -> Vec<TriggeredData> {
    let told =
        |(trigger, digest): (&String, &String)| TriggeredData { trigger: trigger.clone(), digest: digest.clone() };
    data.iter().map(told).collect()
}

/// The same, back.
pub(super) fn recorded(data: &[TriggeredData]) -> Data {
    data.iter().map(|data| (data.trigger.clone(), data.digest.clone())).collect()
}

/// Lets a revision bear data.
pub(super) fn put(revision: &mut ControllerRevision, data: &Data) {
    let annotations = revision.metadata.annotations.get_or_insert_default();
    if data.is_empty() {
        annotations.remove(DATA_ANNOTATION);
    } else {
        annotations.insert(DATA_ANNOTATION.to_owned(), json!(data).to_string());
    }
}

/// What is said of a pipeline's triggers: which data they look at, or why they see none.
pub(super) fn said(observed: &PipelineObserved) -> String {
    let namespace = observed.pipeline.namespace().unwrap_or_default();
    let mut said = String::new();
    for trigger in &observed.pipeline.spec.triggers {
        let Some(data) = &trigger.data else { continue };
        let reference = whole(&reference(&data.contract), &namespace);
        let key = format!("{}/{}", reference.namespace.as_deref().unwrap_or_default(), reference.name);
        said += &match contract_of(observed, trigger) {
            Some(contract) if is_scheduled(&contract.spec) => {
                format!("; so do new data of the contract {key} that keep it (trigger \"{}\")", trigger.name)
            }
            _ => format!(
                "; trigger \"{}\" starts none, since the contract {key} looks for no data: let its producer set spec.check.schedule",
                trigger.name
            ),
        };
    }
    said
}
