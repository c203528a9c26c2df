//! Checks files as far as that can be done without a cluster: the schema with unknown fields refused, and the rules
//! that `seatrial-core` knows.

mod explain;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jsonschema::Validator;
use seatrial_core::data_contract;
use seatrial_core::validation::{self, Problem};
use seatrial_crds::{DataContractSpec, ModelSpec, manifests};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::contract;
use crate::yaml::{self, Document};

/// True where nothing is wrong. Prints what is.
pub(crate) fn lint(paths: &[PathBuf]) -> anyhow::Result<bool> {
    let schemas = schemas()?;
    let (mut checked, mut wrong) = (0, 0);
    for file in files(paths)? {
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let documents = match yaml::documents(&text) {
            Ok(documents) => documents,
            Err(problem) => {
                wrong += 1;
                println!("{}: is no YAML: {problem}", file.display());
                continue;
            }
        };
        for document in documents.iter().filter(|document| is_ours(&document.value)) {
            checked += 1;
            let problems = problems(document, &schemas);
            if problems.is_empty() {
                for line in of_contract(&document.value).lines() {
                    println!("{}: {line}", file.display());
                }
            }
            for (line, problem) in problems {
                wrong += 1;
                println!("{}:{line}: {problem}", file.display());
            }
        }
    }
    println!("{checked} objects checked, {wrong} problems");
    Ok(wrong == 0)
}

/// What of a DataContract's document is checked, and what is not; nothing of other kinds.
fn of_contract(object: &Value) -> String {
    if object.get("kind").and_then(Value::as_str) != Some("DataContract") {
        return String::new();
    }
    let spec = serde_json::from_value(object.get("spec").cloned().unwrap_or_default()).ok();
    let read = spec.and_then(|spec: DataContractSpec| data_contract::read(&spec).ok());
    read.map(|read| format!("version {}\n{}", read.version, contract::told(&read))).unwrap_or_default()
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

/// What the API server holds objects of a kind to.
struct Schema {
    /// As the manifest has it, but strict.
    value: Value,
    validator: Validator,
}

/// The schemas by kind, strict: a field that does not exist is a mistake here, where the API server would drop it.
fn schemas() -> anyhow::Result<BTreeMap<String, Schema>> {
    let mut schemas = BTreeMap::new();
    for manifest in manifests::all()? {
        let kind = manifest.value.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default();
        let mut value = manifest.value.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();
        if let Some(spec) = value.pointer_mut("/properties/spec") {
            make_strict(spec);
        }
        let validator = jsonschema::options().should_validate_formats(true).build(&value)?;
        schemas.insert(kind.to_owned(), Schema { value, validator });
    }
    Ok(schemas)
}

fn make_strict(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.contains_key("properties") && !object.contains_key("additionalProperties") {
        object.insert("additionalProperties".into(), Value::Bool(false));
    }
    if object.get("x-kubernetes-int-or-string").is_some() {
        object.insert("type".into(), serde_json::json!(["integer", "string"]));
    }
    for key in ["properties", "items", "additionalProperties"] {
        match object.get_mut(key) {
            Some(Value::Object(inner)) if key == "properties" => inner.values_mut().for_each(make_strict),
            Some(inner) => make_strict(inner),
            None => {}
        }
    }
}

/// All problems of an object, with the lines where they stand.
fn problems(document: &Document, schemas: &BTreeMap<String, Schema>) -> Vec<(usize, String)> {
    let object = &document.value;
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let about =
        |pointer: &str, path: &str, what: &str| (document.line(pointer), format!("{kind} {name}: {path}: {what}"));
    let Some(schema) = schemas.get(kind) else {
        let known: Vec<&str> = schemas.keys().map(String::as_str).collect();
        let message = format!("seatrial.dev has no kind \"{kind}\"; it has {}", known.join(", "));
        return vec![(document.line("/kind"), message)];
    };
    let twice = document.duplicates.iter();
    let mut found: Vec<_> =
        twice.map(|pointer| about(pointer, &explain::path(pointer), "stands twice: remove one of them")).collect();
    for error in schema.validator.iter_errors(object) {
        for (pointer, message) in explain::explain(&error, &schema.value, document) {
            found.push(about(&pointer, &explain::path(&pointer), &message));
        }
    }
    if found.is_empty() {
        let beyond = match kind {
            "MLPipeline" => beyond_the_schema(object, validation::pipeline),
            "ModelDeployment" => beyond_the_schema(object, validation::deployment),
            "Model" => beyond_the_schema(object, gates),
            "Store" => beyond_the_schema(object, validation::store),
            "DataContract" => beyond_the_schema(object, promises),
            _ => vec![],
        };
        for problem in beyond {
            found.push(about(&explain::pointer(object, &problem.path), &problem.path, &problem.message));
        }
    }
    found
}

/// What the rules say that the schema does not see.
fn beyond_the_schema<S: DeserializeOwned>(object: &Value, rules: fn(&S) -> Vec<Problem>) -> Vec<Problem> {
    match serde_json::from_value(object.get("spec").cloned().unwrap_or_default()) {
        Ok(spec) => rules(&spec),
        Err(error) => vec![Problem { path: "spec".into(), message: error.to_string() }],
    }
}

/// What of a contract's document is not as the standard demands, and of its schedule.
fn promises(contract: &DataContractSpec) -> Vec<Problem> {
    let mut problems = data_contract::read(contract).err().unwrap_or_default();
    problems.extend(data_contract::schedule_problems(contract));
    problems
}

/// What no version can pass, or what contradicts itself.
fn gates(model: &ModelSpec) -> Vec<Problem> {
    let problem = seatrial_core::gates::problem(model);
    problem.map(|(field, message)| Problem { path: format!("spec.{field}"), message }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    /// What is found in a document, one problem a line.
    fn found(text: &str) -> String {
        static SCHEMAS: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(|| schemas().unwrap());
        let documents = yaml::documents(text).unwrap();
        let all: Vec<String> = documents
            .iter()
            .flat_map(|document| problems(document, &SCHEMAS))
            .map(|(line, problem)| format!("{line}: {problem}"))
            .collect();
        all.join("\n")
    }

    fn pipeline(step: &str) -> String {
        let head = "apiVersion: seatrial.dev/v1alpha1\nkind: MLPipeline\nmetadata: {name: churn}\n";
        format!("{head}spec:\n  image: churn:1\n  steps:\n    - {step}\n")
    }

    #[test]
    fn of_a_contract_is_said_what_is_checked_and_what_is_not() {
        let text = "apiVersion: seatrial.dev/v1alpha1\nkind: DataContract\nmetadata: {name: c}\nspec:\n  contract:\n    apiVersion: v3.1.0\n    kind: DataContract\n    id: x\n    version: 1.2.0\n    status: active\n    schema:\n      - name: t\n        properties: [{name: id, logicalType: integer, required: true}]\n        quality: [{type: text, description: all are right}]\n";
        assert_eq!(found(text), "");
        let said = of_contract(&yaml::documents(text).unwrap()[0].value);
        assert!(
            said.starts_with(
                "version 1.2.0\nt: 1 columns, 3 rules are checked\nnot checked: spec.contract.schema[t].quality[0]: "
            ),
            "{said}"
        );
        assert_eq!(of_contract(&yaml::documents("kind: Model").unwrap()[0].value), "");
    }

    #[test]
    fn a_date_without_a_time_is_named_with_its_field() {
        let waiver = "{version: m-v1, digest: 'sha256:0', gates: [x], reason: y, expiresAt: 2026-12-24}";
        let model = format!(
            "apiVersion: seatrial.dev/v1alpha1\nkind: Model\nmetadata: {{name: m}}\nspec:\n  objective: x\n  waivers:\n    - {waiver}\n"
        );
        let found = found(&model);
        assert!(found.contains("7: Model m: spec.waivers[0].expiresAt: "), "{found}");
    }

    #[test]
    fn what_does_not_match_a_pattern_is_told_in_words() {
        let model = |costs: &str| {
            format!(
                "apiVersion: seatrial.dev/v1alpha1\nkind: Model\nmetadata: {{name: m}}\nspec:\n  owner: {{team: t, contact: c}}\n  objective: x\n  uses: [Batch]\n  errorCosts: {costs}\n"
            )
        };
        let costs = "{falsePositive: '1', falseNegative: '20', unit: EUR, prevalence: '12%'}";
        let found = found(&model(costs));
        assert_eq!(
            found,
            "8: Model m: spec.errorCosts.prevalence: must be a decimal between 0 and 1, for example \"0.12\", and is \"12%\""
        );
    }

    /// An example that is refused itself would help nobody.
    #[test]
    fn the_example_of_each_pattern_matches_it() {
        for words in seatrial_crds::patterns::ALL {
            let schema = serde_json::json!({"type": "string", "pattern": words.pattern});
            let example = Value::from(words.example);
            assert!(jsonschema::is_valid(&schema, &example), "{}: {}", words.pattern, words.example);
        }
    }

    #[test]
    fn what_a_store_cannot_have_is_named() {
        let store = |spec: &str| {
            format!("apiVersion: seatrial.dev/v1alpha1\nkind: Store\nmetadata: {{name: hub}}\nspec: {spec}\n")
        };
        assert_eq!(found(&store("{prefix: https://hub.org/, redirectHosts: [cdn.org, '*.hf.co', 'a.org:8443']}")), "");
        for (spec, expected) in [
            ("{prefix: s3://lake/, redirectHosts: [a.org]}", "4: Store hub: spec.redirectHosts: belongs to http(s)"),
            ("{prefix: https://hub.org/, redirectHosts: ['https://a.org']}", "spec.redirectHosts[0]: "),
            ("{prefix: https://hub.org/, redirectHosts: ['*.org']}", "spec.redirectHosts[0]: "),
            ("{prefix: https://hub.org/, redirectHosts: [metadata.google.internal]}", "metadata service"),
            ("{prefix: https://hub.org/, redirectHosts: ['metadata:80']}", "metadata service"),
            ("{prefix: https://hub.org/a/../}", "spec.prefix: must not contain . or .."),
            ("{prefix: http://169.254.169.254/}", "spec.prefix: names a metadata service"),
            (
                "{prefix: s3://lake/, endpoint: 'http://metadata.google.internal'}",
                "spec.endpoint: names a metadata service",
            ),
            ("{prefix: https://hub.org/, region: eu-central-1}", "spec.region: belongs to s3:// stores"),
        ] {
            let found = found(&store(spec));
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn mistakes_are_named_with_line_and_place() {
        assert_eq!(found(&pipeline("{name: train, command: [train]}")), "");
        for (step, expected) in [
            (
                "{name: train, command: [train], timeot: 1h}",
                "7: MLPipeline churn: spec.steps[0].timeot: there is no such field: did you mean \"timeout\"?",
            ),
            (
                "{name: train, command: [x], zzzz: 1}",
                "spec.steps[0].zzzz: there is no such field: there are args, command, ",
            ),
            ("{name: Train, command: [train]}", "7: MLPipeline churn: spec.steps[0].name: "),
            ("{name: train, command: []}", "spec.steps[0].command: "),
            ("{name: train, name: test, command: [x]}", "spec.steps[0].name: stands twice"),
            ("{name: train, command: [x], outputs: [{name: m, type: Moodel}]}", "Moodel"),
            (
                "name: a\n      command: [x]\n      inputs:\n        - name: i\n          from: {step: b, output: o}",
                "11: MLPipeline churn: spec.steps[a].inputs[i].from.step: ",
            ),
        ] {
            let found = found(&pipeline(step));
            assert!(found.contains(expected), "{expected}: {found}");
        }
        assert!(
            found("apiVersion: seatrial.dev/v1alpha1\nkind: Pipeline\n").starts_with("2: seatrial.dev has no kind")
        );
    }

    #[test]
    fn what_the_cluster_reads_as_something_else_is_to_be_quoted() {
        for (step, expected) in [
            (
                "{name: a, command: [echo, no]}",
                "spec.steps[0].command[1]: no is false to the cluster: put it in quotes: \"no\"",
            ),
            ("{name: a, command: [echo, 012]}", "012 is the number 10 to the cluster: put it in quotes: \"012\""),
            ("{name: a, command: [echo, 0.1]}", "0.1 is a number to the cluster: put it in quotes: \"0.1\""),
            ("{name: a, command: [echo, ~]}", "~ is null to the cluster: put it in quotes: \"~\""),
            (
                "{name: a, command: [x], resources: {requests: {cpu: 0.5}}}",
                "spec.steps[0].resources.requests.cpu: 0.5 is a number to the cluster: put it in quotes: \"0.5\"",
            ),
        ] {
            let found = found(&pipeline(step));
            assert!(found.contains(expected), "{expected}: {found}");
        }
        let default = pipeline("{name: a, command: [x]}")
            .replace("  steps:", "  parameters:\n    - {name: rate, type: Number, default: yes}\n  steps:");
        assert!(
            found(&default).contains("7: MLPipeline churn: spec.parameters[0].default: yes is true to the cluster")
        );
    }

    #[test]
    fn servers_and_gates_are_looked_at_as_well() {
        let head = "apiVersion: seatrial.dev/v1alpha1\nmetadata: {name: churn}\n";
        let server = "kind: ModelDeployment\nspec:\n  model: churn\n  server: {image: i, port: 80, pod: {volumeMounts: [{name: v, mountPath: /data}]}}\n";
        let model = "kind: Model\nspec:\n  owner: {team: t, contact: c}\n  objective: o\n  uses: [Batch]\n  gates:\n    - {name: g, type: Metric, metric: {name: auc, min: \"0.9\", max: \"0.1\"}}\n";
        for (text, expected) in [
            (server, "6: ModelDeployment churn: spec.server.pod.volumeMounts[/data]: "),
            (model, "8: Model churn: spec.gates: "),
        ] {
            let found = found(&format!("{head}{text}"));
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn a_schedule_that_is_none_is_named() {
        let contract = |check: &str| {
            format!(
                "apiVersion: seatrial.dev/v1alpha1\nkind: DataContract\nmetadata: {{name: customers}}\nspec:\n  check: {check}\n  contract: {{apiVersion: v3.1.0, kind: DataContract, id: a, version: 1, status: active, schema: [{{name: t, properties: [{{name: x}}]}}]}}\n"
            )
        };
        let data = "data: [{schema: t, uri: 's3://lake/t/'}]";
        assert_eq!(found(&contract(&format!("{{schedule: {{cron: '0 6 * * *'}}, {data}}}"))), "");
        for (check, expected) in [
            (format!("{{schedule: {{cron: '0 6 * *'}}, {data}}}"), "spec.check.schedule.cron: "),
            (
                format!("{{schedule: {{cron: '0 6 * * *', timeZone: Berlin}}, {data}}}"),
                "spec.check.schedule.timeZone: ",
            ),
            (
                "{schedule: {cron: '0 6 * * *'}, data: [{schema: u, uri: 's3://lake/u/'}]}".to_owned(),
                "spec.check.data[u].schema: it has no schema object",
            ),
        ] {
            let found = found(&contract(&check));
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn the_example_has_no_problems() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/mortgage");
        assert!(lint(&[folder]).unwrap());
    }
}
