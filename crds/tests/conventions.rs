//! What every schema keeps to: the rules of Kubernetes' kube-api-linter, as far as they concern schemas. A bound can be
//! raised later, but never be added, and a list can never change its type.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use serde_json::Value;

/// Every schema of our fields, with its path and the words that describe it.
fn fields() -> Vec<(String, Value)> {
    fn walk(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
        found.push((path.to_owned(), schema.clone()));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            walk(property, &format!("{path}.{name}"), found);
        }
        for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
                walk(inner, &format!("{path}{mark}"), found);
            }
        }
    }
    let mut found = vec![];
    for manifest in seatrial_crds::manifests::all().unwrap() {
        let root = &manifest.value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            if root[part].is_object() {
                walk(&root[part], &format!("{}.{part}", manifest.plural), &mut found);
            }
        }
    }
    assert!(found.len() > 500, "the schemas were not found");
    found
}

/// Fails with the paths of all fields that the rule says something about.
fn check(rule: impl Fn(&str, &Value) -> Option<String>) {
    let fields = fields();
    let wrong: Vec<String> =
        fields.iter().filter_map(|(path, schema)| Some(format!("{path}: {}", rule(path, schema)?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn says(wrong: bool, what: &str) -> Option<String> {
    wrong.then(|| what.to_owned())
}

/// `kubectl explain` shows it beneath the field's name, and reads it as a sentence about it.
#[test]
fn a_description_begins_with_the_fields_name() {
    check(|path, schema| {
        let name = path.rsplit('.').next().filter(|name| !name.ends_with(['}', ']']))?;
        let text = schema["description"].as_str().unwrap_or_default();
        let is_root = path.matches('.').count() == 1;
        let begins = text.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', ':', ',']));
        says(!is_root && !begins, &format!("{text:?}"))
    });
}

#[test]
fn a_list_has_a_type_and_a_bound() {
    check(|path, schema| {
        if schema["type"] != "array" {
            return None;
        }
        let in_status = path.split('.').nth(1) == Some("status");
        let holds_objects = schema["items"]["type"] == "object";
        match schema["x-kubernetes-list-type"].as_str() {
            _ if schema["maxItems"].as_u64().is_none() => Some("no maxItems".into()),
            // One writer replaces it as a whole; a map would cost managed fields for each entry at every write.
            Some("map") if in_status && !path.ends_with(".conditions") => Some("lists of a status are atomic".into()),
            Some("map") => says(!holds_objects || schema["x-kubernetes-list-map-keys"][0].is_null(), "no key"),
            Some("set") => says(holds_objects, "a set of objects cannot be merged"),
            Some("atomic") => None,
            other => Some(format!("x-kubernetes-list-type is {other:?}")),
        }
    });
}

#[test]
fn a_map_has_a_bound() {
    check(|_, schema| {
        says(
            schema["additionalProperties"].is_object() && schema["maxProperties"].as_u64().is_none(),
            "no maxProperties",
        )
    });
}

#[test]
fn a_string_has_a_bound() {
    check(|_, schema| {
        let is_text = schema["type"] == "string" || schema["x-kubernetes-int-or-string"] == true;
        let is_bounded =
            schema["maxLength"].as_u64().is_some() || schema["enum"].is_array() || schema["format"] == "date-time";
        says(is_text && !is_bounded, "no maxLength")
    });
}

#[test]
fn a_whole_number_has_a_format_and_there_are_no_others() {
    check(|_, schema| match schema["type"].as_str() {
        Some("integer") => {
            let format = &schema["format"];
            says(format != "int32" && format != "int64", &format!("format {format}"))
        }
        Some("number") => Some("a floating-point number is not exact: use a string of decimals".into()),
        _ => None,
    });
}

/// What the API server stores and hands out unchecked would have no bound at all.
#[test]
fn everything_has_a_type() {
    check(|path, schema| {
        // A document of a standard that others extend. The operator bounds it.
        if path == "datacontracts.spec.contract" {
            return None;
        }
        let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        let has_type = schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true;
        says(is_open || !has_type, "no type, or open to unknown fields")
    });
}

/// As the other enumerations of Kubernetes are.
#[test]
fn an_enumeration_is_in_upper_camel_case() {
    check(|_, schema| {
        let values = schema["enum"].as_array().cloned().unwrap_or_default();
        let odd =
            values.iter().filter_map(Value::as_str).find(|value| !value.starts_with(|c: char| c.is_ascii_uppercase()));
        odd.map(|odd| format!("{odd:?}"))
    });
}
