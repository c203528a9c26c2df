//! Data contracts between their own files and a cluster: a document of the Open Data Contract Standard becomes a
//! `DataContract`, and comes back as it was.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use kube::api::Api;
use seatrial_core::data_contract::{self, Contract, Effect};
use seatrial_core::validation::summary;
use seatrial_crds::{DataContract, DataContractSpec, limits};
use serde_json::{Map, Value, json};

use crate::read::cluster::Cluster;
use crate::read::{Where, block_on};

/// What is done with contracts.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Prints the `DataContract` of a document of the Open Data Contract Standard, and says on standard error what of it is
    /// not checked.
    Import(Import),
    /// Prints the document of a `DataContract`, as other tools read it.
    Export(Export),
    /// Says what changed from one document to the next, and fails where a change breaks those who read the data.
    Compare {
        /// The document that was agreed on, YAML or JSON, or a `DataContract` that has it.
        old: PathBuf,
        /// The document that is to come, likewise.
        new: PathBuf,
    },
}

/// The arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The document, YAML or JSON.
    file: PathBuf,
    /// The name of the `DataContract`; by default the document's name, or its id.
    #[arg(long)]
    name: Option<String>,
    /// A namespace whose pipelines may name it; may be given several times.
    #[arg(long)]
    serves: Vec<String>,
}

/// The arguments of `export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The name of the `DataContract`.
    name: String,
}

/// Runs the subcommand. Returns false where the document is not as the standard demands.
pub(crate) fn contract(place: &Where, task: &Task) -> anyhow::Result<bool> {
    match task {
        Task::Import(asked) => import(place, asked),
        Task::Export(asked) => export(place, asked).map(|()| true),
        Task::Compare { old, new } => compare(old, new),
    }
}

fn import(place: &Where, asked: &Import) -> anyhow::Result<bool> {
    let document = document(&asked.file)?;
    let spec = DataContractSpec { contract: document, serves: asked.serves.clone(), ..DataContractSpec::default() };
    let read = match data_contract::read(&spec) {
        Ok(read) => read,
        Err(problems) => {
            for problem in problems {
                eprintln!("{}: {problem}", asked.file.display());
            }
            return Ok(false);
        }
    };
    let name = match &asked.name {
        Some(name) => name.clone(),
        None => name_of(&spec.contract).context("the document has neither a name nor an id: give one by --name")?,
    };
    print!("{}", manifest(&name, place.namespace.as_deref(), &spec)?);
    eprint!("{}", told(&read));
    Ok(true)
}

/// Prints what changed. False where a change breaks readers.
fn compare(old: &Path, new: &Path) -> anyhow::Result<bool> {
    let understood = |file: &Path| {
        let spec = written(file)?;
        data_contract::read(&spec).map_err(|problems| anyhow!("{}: {}", file.display(), summary(&problems)))
    };
    let changes = data_contract::compare(&understood(old)?, &understood(new)?);
    for change in &changes {
        println!("{}: {}: {}", effect_word(change.effect), change.place, change.what);
    }
    Ok(changes.iter().all(|change| !change.breaks()))
}

/// What a change means for those who read the data, in a word.
const fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Breaks => "breaks",
        Effect::MayStop => "may stop",
        Effect::Harmless => "fits",
    }
}

/// Reads a document.
fn document(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let document = mapping(file)?;
    if is_object(&document) {
        bail!("{} is an object of Kubernetes already: apply it as it is", file.display());
    }
    Ok(document)
}

/// Reads a document, or the spec of a `DataContract`.
fn written(file: &Path) -> anyhow::Result<DataContractSpec> {
    let mut document = mapping(file)?;
    if !is_object(&document) {
        return Ok(DataContractSpec { contract: document, ..DataContractSpec::default() });
    }
    let spec = document.remove("spec").unwrap_or_default();
    serde_json::from_value(spec).with_context(|| format!("{} has no spec of a DataContract", file.display()))
}

fn is_object(document: &Map<String, Value>) -> bool {
    document.contains_key("metadata") && document.contains_key("spec")
}

fn mapping(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let size = fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?.len();
    // YAML may be several times as long as JSON. What is far too long is not even read.
    if size > 8 * limits::CONTRACT_DOCUMENT as u64 {
        bail!("{} has {size} bytes: a document may have {} as JSON", file.display(), limits::CONTRACT_DOCUMENT);
    }
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let value: Value = serde_yaml::from_str(&text).with_context(|| format!("{} is no YAML", file.display()))?;
    match value {
        Value::Object(document) => Ok(document),
        _ => bail!("{} holds no document: it must be a mapping of fields", file.display()),
    }
}

/// A name that Kubernetes takes, of what the document calls itself.
fn name_of(document: &Map<String, Value>) -> Option<String> {
    let said = ["name", "id"].into_iter().find_map(|field| document.get(field)?.as_str())?;
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = said.chars().map(letter).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let name: String = name.chars().take(limits::CONTRACT).collect();
    Some(name.trim_end_matches('-').to_owned()).filter(|name| !name.is_empty())
}

/// The object as YAML.
fn manifest(name: &str, namespace: Option<&str>, spec: &DataContractSpec) -> anyhow::Result<String> {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(name))]);
    metadata.extend(namespace.map(|namespace| ("namespace".to_owned(), json!(namespace))));
    let object =
        json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract", "metadata": metadata, "spec": spec});
    Ok(serde_yaml::to_string(&object)?)
}

/// What is checked of a document, and what is not.
pub(crate) fn told(contract: &Contract) -> String {
    let mut said = String::new();
    for schema in &contract.schemas {
        said +=
            &format!("{}: {} columns, {} rules are checked\n", schema.name, schema.columns.len(), schema.rules.len());
    }
    for part in contract.not_checked.iter().chain(contract.schemas.iter().flat_map(|schema| &schema.not_checked)) {
        said += &format!("not checked: {}: {}\n", part.name, part.reason);
    }
    said
}

fn export(place: &Where, asked: &Export) -> anyhow::Result<()> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        let contracts: Api<DataContract> = Api::namespaced(cluster.client(), &cluster.namespace);
        let contract = contracts.get(&asked.name).await.with_context(|| {
            format!("the DataContract {} cannot be read in the namespace {}", asked.name, cluster.namespace)
        })?;
        print!("{}", serde_yaml::to_string(&contract.spec.contract)?);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r"
apiVersion: v3.1.0
kind: DataContract
id: 53581432-6c55
name: Customers (EU)
version: 1.0
status: active
x-own: {kept: [1, 2.5, null]}
schema:
  - name: customers
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
    quality:
      - {type: text, description: all are right}
";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("contract.yaml");
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn a_document_goes_into_a_cluster_and_comes_back_as_it_was() {
        let (_folder, file) = file(DOCUMENT);
        let document = document(&file).unwrap();
        assert_eq!(name_of(&document).as_deref(), Some("customers--eu"));
        let spec = DataContractSpec {
            contract: document.clone(),
            serves: vec!["growth".into()],
            ..DataContractSpec::default()
        };
        let yaml = manifest("customers", Some("billing"), &spec).unwrap();
        let object: DataContract = serde_yaml::from_str(&yaml).unwrap();
        assert_eq!((object.spec.contract, object.spec.serves), (document, vec!["growth".to_owned()]));
        assert_eq!(object.metadata.namespace.as_deref(), Some("billing"));
        let said = told(&data_contract::read(&spec).unwrap());
        assert!(said.starts_with("customers: 1 columns, 3 rules are checked\n"), "{said}");
        assert!(said.contains("not checked: spec.contract.schema[customers].quality[0]: a rule in words"), "{said}");
        assert!(said.contains("not checked: spec.contract.x-own: "), "{said}");
    }

    #[test]
    fn a_change_that_breaks_readers_fails() {
        let (_one, old) = file(DOCUMENT);
        let (_two, new) = file(&DOCUMENT.replace("primaryKey: true", "required: true"));
        assert!(!compare(&old, &new).unwrap());
        let (_three, same) = file(&DOCUMENT.replace("version: 1.0", "version: 1.1"));
        assert!(compare(&old, &same).unwrap());
        // An object of the cluster has the document, and how files are written.
        let object = |file: &Path, csv: &str| {
            let spec = json!({"contract": document(file).unwrap(), "csv": {"separator": csv}});
            json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": "DataContract", "metadata": {"name": "x"}, "spec": spec}).to_string()
        };
        let (_four, plain) = file(&object(&old, ","));
        assert!(compare(&old, &plain).unwrap());
        let (_five, other) = file(&object(&old, ";"));
        assert!(!compare(&plain, &other).unwrap());
    }

    #[test]
    fn what_is_no_document_is_told_from_one_that_is_wrong() {
        for (text, what) in [
            ("[1]", "must be a mapping"),
            ("a: [", "is no YAML"),
            ("apiVersion: seatrial.dev/v1alpha1\nkind: DataContract\nmetadata: {}\nspec: {}\n", "apply it as it is"),
        ] {
            let (_folder, file) = file(text);
            let error = format!("{:#}", document(&file).unwrap_err());
            assert!(error.contains(what), "{error}");
        }
        let (_folder, file) = file(&DOCUMENT.replace("version: 1.0\n", ""));
        let asked = Import { file, name: None, serves: vec![] };
        assert!(!import(&Where::default(), &asked).unwrap());
    }
}
