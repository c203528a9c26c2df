//! Checks files as far as that can be done without a cluster: the schema with unknown fields refused, and the rules
//! that `seatrial-core` knows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jsonschema::Validator;
use seatrial_core::validation;
use seatrial_crds::{MLPipelineSpec, manifests};
use serde::Deserialize;
use serde_json::Value;

/// True where nothing is wrong. Prints what is.
pub(crate) fn lint(paths: &[PathBuf]) -> anyhow::Result<bool> {
    let schemas = schemas()?;
    let (mut checked, mut wrong) = (0, 0);
    for file in files(paths)? {
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let problems = match Value::deserialize(document) {
                Ok(object) if is_ours(&object) => {
                    checked += 1;
                    problems(&object, &schemas)
                }
                Ok(_) => vec![],
                Err(error) => vec![format!("is no YAML: {error}")],
            };
            wrong += problems.len();
            problems.iter().for_each(|problem| println!("{}: {problem}", file.display()));
        }
    }
    println!("{checked} objects checked, {wrong} problems");
    Ok(wrong == 0)
}

fn is_ours(object: &Value) -> bool {
    object.get("apiVersion").and_then(Value::as_str).is_some_and(|version| version.starts_with("seatrial.dev/"))
}

fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![];
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        for entry in fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))? {
            let file = entry?.path();
            let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            if is_yaml && Path::is_file(&file) {
                found.push(file);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The schemas by kind, strict: a field that does not exist is a mistake here, where the API server would drop it.
fn schemas() -> anyhow::Result<BTreeMap<String, Validator>> {
    let mut schemas = BTreeMap::new();
    for manifest in manifests::all()? {
        let kind = manifest.value.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default();
        let mut schema = manifest.value.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();
        if let Some(spec) = schema.pointer_mut("/properties/spec") {
            make_strict(spec);
        }
        schemas.insert(kind.to_owned(), jsonschema::validator_for(&schema)?);
    }
    Ok(schemas)
}

fn make_strict(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        object.insert("additionalProperties".into(), Value::Bool(false));
    }
    for key in ["properties", "items"] {
        match object.get_mut(key) {
            Some(Value::Object(inner)) if key == "properties" => inner.values_mut().for_each(make_strict),
            Some(inner) => make_strict(inner),
            None => {}
        }
    }
}

fn problems(object: &Value, schemas: &BTreeMap<String, Validator>) -> Vec<String> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let Some(schema) = schemas.get(kind) else { return vec![format!("seatrial.dev has no kind \"{kind}\"")] };
    let about = |path: &str, what: &str| format!("{kind} {name}: {path}: {what}");
    let mut found: Vec<String> = schema
        .iter_errors(object)
        .map(|error| {
            about(&error.instance_path.to_string().trim_start_matches('/').replace('/', "."), &error.to_string())
        })
        .collect();
    if kind == "MLPipeline" && found.is_empty() {
        let spec: Result<MLPipelineSpec, _> = serde_json::from_value(object.get("spec").cloned().unwrap_or_default());
        match spec {
            Ok(spec) => {
                found.extend(validation::pipeline(&spec).iter().map(|problem| about(&problem.path, &problem.message)))
            }
            Err(error) => found.push(about("spec", &error.to_string())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pipeline(step: &Value) -> Value {
        json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "metadata": {"name": "churn"},
            "spec": {"image": "churn:1", "steps": [step]},
        })
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let schemas = schemas().unwrap();
        let good = json!({"name": "train", "command": ["train"]});
        assert_eq!(problems(&pipeline(&good), &schemas), Vec::<String>::new());
        for (step, expected) in [
            (json!({"name": "train", "command": ["train"], "comand": ["x"]}), "comand"),
            (json!({"name": "Train", "command": ["train"]}), "spec.steps.0.name"),
            (json!({"name": "train", "command": []}), "spec.steps.0.command"),
            (json!({"name": "train", "command": ["x"], "outputs": [{"name": "m", "type": "Moodel"}]}), "Moodel"),
            (
                json!({"name": "a", "command": ["x"], "inputs": [{"name": "i", "from": {"step": "b", "output": "o"}}]}),
                "\"b\"",
            ),
        ] {
            let found = problems(&pipeline(&step), &schemas);
            assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
        }
        assert!(
            problems(&json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": "Pipeline"}), &schemas)[0]
                .contains("no kind")
        );
    }

    #[test]
    fn the_example_has_no_problems() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/mortgage");
        assert!(lint(&[folder]).unwrap());
    }
}
