//! Finds what a pipeline's input names: a contract that serves its namespace, of the version and with the schema object asked
//! for.

use std::sync::Arc;

use kube_core::ResourceExt;
use seatrial_crds::{ContractReference, DataContract, MLPipelineSpec};
use serde::{Deserialize, Serialize};

use super::{Contract, dialect, history, read};
use crate::contract::check::{self, Column, Rule};
use crate::revision::Revision;
use crate::validation;

/// How long a check may take where its contract does not say, in seconds.
const DEFAULT_SECONDS: u64 = 3600;

/// Why an input's contract cannot be used: a word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ContractProblem {
    /// One word.
    pub reason: &'static str,
    /// What is wrong, where, and what to do next.
    pub message: String,
}

/// A contract as a run pins it: all that checking data by it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgreedContract {
    /// What inputs name, with the namespace.
    pub reference: ContractReference,
    /// The document's version.
    pub version: String,
    /// The schema object's name.
    pub schema: String,
    /// The contract's revision.
    pub revision: String,
    /// How long a check may take, in seconds.
    pub seconds: u64,
    /// How CSV files are written.
    pub csv: check::CsvDialect,
    /// The columns of the schema object.
    pub columns: Vec<Column>,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// What nobody checks of the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_checked: Vec<check::NotChecked>,
}

impl AgreedContract {
    /// Namespace and name, with `/` between them.
    pub fn key(&self) -> String {
        key(&self.reference)
    }
}

/// Namespace and name of a whole reference, with `/` between them.
fn key(reference: &ContractReference) -> String {
    format!("{}/{}", reference.namespace.as_deref().unwrap_or_default(), reference.name)
}

/// A reference with its namespace, which is the pipeline's own where it names none.
pub fn whole(reference: &ContractReference, namespace: &str) -> ContractReference {
    let namespace = reference.namespace.clone().unwrap_or_else(|| namespace.to_owned());
    ContractReference { namespace: Some(namespace), ..reference.clone() }
}

/// The contracts that a pipeline's inputs name, each once.
pub fn references(spec: &MLPipelineSpec, namespace: &str) -> Vec<ContractReference> {
    let inputs = spec.steps.iter().flat_map(|step| &step.inputs);
    let mut found: Vec<ContractReference> = vec![];
    for reference in inputs.filter_map(|input| input.contract.as_ref()) {
        let reference = whole(reference, namespace);
        if !found.contains(&reference) {
            found.push(reference);
        }
    }
    found
}

/// The contract of a whole reference, if it serves the namespace.
pub(crate) fn find<'a>(
    reference: &ContractReference,
    namespace: &str,
    contracts: &'a [Arc<DataContract>],
) -> Option<&'a DataContract> {
    let found = contracts.iter().map(AsRef::as_ref).find(|contract| {
        contract.name_any() == reference.name && contract.namespace().as_deref() == reference.namespace.as_deref()
    });
    found.filter(|contract| {
        contract.namespace().as_deref() == Some(namespace) || contract.spec.serves.iter().any(|it| it == namespace)
    })
}

/// Finds a contract for a pipeline of this namespace: the document that it has now, or, where a version is asked for, the newest
/// of that version that it had.
///
/// # Errors
/// There is none that serves the namespace, its document is not understood, or it is not what is asked for.
pub fn resolve(
    reference: &ContractReference,
    namespace: &str,
    contracts: &[Arc<DataContract>],
    revisions: &[Arc<Revision>],
) -> Result<AgreedContract, ContractProblem> {
    let reference = whole(reference, namespace);
    let key = key(&reference);
    let problem = |reason, message| ContractProblem { reason, message };
    // Whoever is not served does not learn whether there is one.
    let Some(contract) = find(&reference, namespace, contracts) else {
        let message = format!(
            "there is no DataContract \"{key}\" that serves the namespace {namespace}: correct the name, or let its producer add {namespace} to spec.serves"
        );
        return Err(problem("ContractNotFound", message));
    };
    let now = read(&contract.spec);
    let asked = reference.version.as_deref();
    let is_asked = |read: &Contract| asked.is_none_or(|version| version == read.version);
    let (read, spec) = match (now, asked) {
        (Ok(read), _) if is_asked(&read) => (read, contract.spec.clone()),
        // What was agreed on goes on judging, whatever is published meanwhile.
        (now, Some(version)) => match (history::earlier(contract, version, revisions), now) {
            (Some(earlier), _) => earlier,
            (None, Ok(read)) => {
                let message = format!(
                    "the DataContract \"{key}\" has version {}, and never had the version {version} that is asked for: look at what changed, and name a version that there is",
                    read.version
                );
                return Err(problem("ContractMismatch", message));
            }
            (None, Err(problems)) => return Err(not_understood(&key, &problems)),
        },
        (Ok(read), None) => (read, contract.spec.clone()),
        (Err(problems), None) => return Err(not_understood(&key, &problems)),
    };
    let schema = read.schema(reference.schema.as_deref());
    let schema = schema.map_err(|what| problem("ContractMismatch", format!("the DataContract \"{key}\": {what}")))?;
    let timeout = spec.check.as_ref().and_then(|check| validation::duration(check.timeout.as_deref()?));
    Ok(AgreedContract {
        version: read.version.clone(),
        revision: read.revision.clone(),
        schema: schema.name.clone(),
        seconds: timeout.map_or(DEFAULT_SECONDS, |timeout| timeout.as_secs()),
        csv: dialect(spec.csv.as_ref()),
        columns: schema.columns.clone(),
        rules: schema.rules.clone(),
        not_checked: read.not_checked.iter().chain(&schema.not_checked).cloned().collect(),
        reference,
    })
}

fn not_understood(key: &str, problems: &[validation::Problem]) -> ContractProblem {
    let message = format!("the DataContract \"{key}\" is not understood: {}", validation::summary(problems));
    ContractProblem { reason: "InvalidContract", message }
}
