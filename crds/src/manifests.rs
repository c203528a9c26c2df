//! The CustomResourceDefinitions, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt;
use schemars::Schema;
use serde_json::{Value, json};

use crate::limits;
use crate::schema::{list_map, rule};
use crate::{Approval, DataContract, MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};

/// A version's name is its model's, `-v` and its number. Concatenating and comparing would be shorter, but the API
/// server cannot bound the result's length and refuses the rule as too expensive.
const VERSION_NAME_RULE: &str = "self.metadata.name.startsWith(self.spec.model + '-v') && self.metadata.name.substring(size(self.spec.model) + 2).matches('^[1-9][0-9]{0,8}$') && int(self.metadata.name.substring(size(self.spec.model) + 2)) == self.spec.number";

/// What every manifest begins with.
pub const HEADER: &str = "# Generated from the types in crds/src by `make generate`. Do not edit.\n";

/// One manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The plural name, which names the file as well.
    pub plural: String,
    /// The manifest.
    pub value: Value,
}

impl Manifest {
    /// The manifest as YAML, with a line that says where it comes from.
    ///
    /// # Errors
    /// Where the serializer refuses, which would be a mistake in the types.
    pub fn yaml(&self) -> Result<String, serde_yaml::Error> {
        Ok(format!("{HEADER}{}", serde_yaml::to_string(&self.value)?))
    }
}

/// All manifests, in the order in which people meet the objects.
///
/// # Errors
/// Where a type does not serialize, which would be a mistake in the types.
pub fn all() -> Result<Vec<Manifest>, serde_json::Error> {
    let label = |max: usize| {
        vec![
            rule(
                &format!("size(self.metadata.name) <= {max}"),
                &format!("the name is too long: use at most {max} characters"),
            ),
            rule(
                &format!("self.metadata.name.matches('{}')", limits::NAME_PATTERN),
                "the name must consist of lower-case letters, digits and -, and begin with a letter",
            ),
        ]
    };
    let version_rules = vec![rule(VERSION_NAME_RULE, "a version's name is its model's name, -v, and its number")];
    let run_name = vec![
        rule(
            &format!("size(self.metadata.name) <= {}", limits::RUN_NAME),
            &format!("the name is too long: use at most {} characters", limits::RUN_NAME),
        ),
        rule(
            &format!("self.metadata.name.matches('{}')", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
            "the name must consist of lower-case letters, digits and -",
        ),
    ];
    Ok(vec![
        manifest(&Store::crd(), vec![])?,
        manifest(&DataContract::crd(), label(limits::CONTRACT))?,
        manifest(&Model::crd(), label(limits::MODEL_NAME))?,
        manifest(&MLPipeline::crd(), label(limits::PIPELINE_NAME))?,
        manifest(&MLPipelineRun::crd(), run_name)?,
        manifest(&ModelVersion::crd(), version_rules)?,
        manifest(&Approval::crd(), vec![])?,
        manifest(&ModelDeployment::crd(), label(limits::DEPLOYMENT_NAME))?,
    ])
}

/// Conditions are a map by type. Their schema is Kubernetes' own with its bounds, which the types do not carry.
pub(crate) fn condition_list(schema: &mut Schema) {
    list_map(schema, "type", limits::CONDITIONS);
    schema.insert("items".into(), condition());
}

fn condition() -> Value {
    json!({
        "type": "object",
        "description": "Condition is one aspect of how the object stands.",
        "required": ["type", "status", "lastTransitionTime", "reason", "message"],
        "properties": {
            "type": {
                "description": "type is the aspect.", "type": "string", "minLength": 1, "maxLength": 316,
                "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            },
            "status": {
                "description": "status is True, False or Unknown.", "type": "string",
                "enum": ["True", "False", "Unknown"],
            },
            "observedGeneration": {
                "description": "observedGeneration is the generation of the spec that the condition speaks of.",
                "type": "integer", "format": "int64", "minimum": 0,
            },
            "lastTransitionTime": {
                "description": "lastTransitionTime is when the status last changed.",
                "type": "string", "format": "date-time",
            },
            "reason": {
                "description": "reason is one word on the status.", "type": "string",
                "minLength": 1, "maxLength": limits::REASON, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "message": {
                "description": "message says what happened, where, and what to do next.",
                "type": "string", "maxLength": limits::CONDITION_MESSAGE,
            },
        },
    })
}

fn manifest(definition: &CustomResourceDefinition, root_rules: Vec<Value>) -> Result<Manifest, serde_json::Error> {
    let mut value = serde_json::to_value(definition)?;
    strip(&mut value);
    if let Some(spec) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec") {
        allow_emptied(spec);
    }
    if let Some(root) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").and_then(Value::as_object_mut)
        && !root_rules.is_empty()
    {
        root.insert("x-kubernetes-validations".into(), json!(root_rules));
    }
    Ok(Manifest { plural: definition.spec.names.plural.clone(), value })
}

/// Drops what says nothing: `nullable` (see [`allow_emptied`] for where it does); names number formats as the API server
/// knows them.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("nullable");
            // The API server knows signed integers only; bounds say the rest.
            match map.get("format").and_then(Value::as_str) {
                Some("uint8" | "uint16" | "uint32") => drop(map.insert("format".into(), json!("int32"))),
                Some("uint64") => drop(map.insert("format".into(), json!("int64"))),
                _ => {}
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Lets objects be null that may be left out or be empty: a server-side apply that empties one which had fields before,
/// as charts do with `resources: {}`, arrives as null.
fn allow_emptied(schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties {
            let may_be_empty = property["type"] == "object" && property.get("required").is_none();
            if may_be_empty && !required.iter().any(|required| required == name) {
                property["nullable"] = json!(true);
            }
            allow_emptied(property);
        }
    }
    if let Some(items) = schema.get_mut("items") {
        allow_emptied(items);
    }
}
