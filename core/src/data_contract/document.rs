//! The document as a whole, and its schema objects.

use std::collections::BTreeSet;

use seatrial_crds::limits;
use serde_json::{Map, Value};

use super::fields::{Fields, object, scalar};
use super::{Draft, Frequency, MAX_COLUMNS, MAX_SCHEMA_BYTES, Schema, property, quality};
use crate::contract::check::{Column, MAX_RULES, RuleKind, Severity};

/// The fields that the standard knows at a document's root.
const ROOT: &[&str] = &[
    "apiVersion",
    "authoritativeDefinitions",
    "contractCreatedTs",
    "customProperties",
    "dataProduct",
    "description",
    "domain",
    "id",
    "kind",
    "name",
    "price",
    "roles",
    "schema",
    "servers",
    "slaDefaultElement",
    "slaProperties",
    "status",
    "support",
    "tags",
    "team",
    "tenant",
    "variables",
    "version",
    "context",
];

/// The fields that the standard knows of a schema object.
const OBJECT: &[&str] = &[
    "authoritativeDefinitions",
    "businessName",
    "context",
    "customProperties",
    "dataGranularityDescription",
    "deprecated",
    "description",
    "id",
    "logicalType",
    "name",
    "physicalName",
    "physicalType",
    "properties",
    "quality",
    "relationships",
    "synonyms",
    "tags",
];

/// Reads what a document says of itself, and returns its version.
pub(super) fn root(document: &Map<String, Value>, draft: &mut Draft) -> String {
    let fields = Fields { map: document, path: "spec.contract" };
    if let Some(kind) = fields.required_text("kind", draft)
        && kind != "DataContract"
    {
        draft.problem(fields.at("kind"), format!("is \"{kind}\", and must be DataContract"));
    }
    if let Some(release) = fields.required_text("apiVersion", draft)
        && !is_known_release(release)
    {
        let message = format!("is \"{release}\": v3.1 and v3.2 of the Open Data Contract Standard are understood");
        draft.problem(fields.at("apiVersion"), message);
    }
    fields.required_text("id", draft);
    fields.required_text("status", draft);
    if fields.get("variables").is_some() {
        draft.not_checked("variables", "variables are not replaced: write what they stand for");
    }
    fields.unknown(ROOT, draft);
    version(fields, draft)
}

/// Reads how often the data of each schema object come. Whether they do is seen by a schedule of the contract's own alone.
pub(super) fn service_levels(
    document: &Map<String, Value>,
    is_scheduled: bool,
    schemas: &mut [Schema],
    draft: &mut Draft,
) {
    let fields = Fields { map: document, path: "spec.contract" };
    for sla in fields.list("slaProperties", draft) {
        let property = sla.get("property").and_then(Value::as_str).unwrap_or("?");
        let path = format!("slaProperties[{property}]");
        let elements = sla.get("element").and_then(Value::as_str).map(objects);
        let promised = match service_level(property, sla) {
            Ok(promised) => promised,
            Err(reason) => {
                draft.not_checked(&path, reason);
                continue;
            }
        };
        let is_meant =
            |schema: &&mut Schema| elements.as_ref().is_none_or(|elements| elements.contains(&schema.name.as_str()));
        let mut is_of_none = true;
        for schema in schemas.iter_mut().filter(is_meant) {
            // Of two promises the stricter one counts.
            schema.frequency = Some(schema.frequency.map_or(promised, |other| other.min(promised)));
            is_of_none = false;
        }
        if is_of_none {
            draft.not_checked(&path, "its element names no schema object: write its name, or OBJECT.PROPERTY");
        } else if !is_scheduled {
            draft.not_checked(
                &path,
                "how often data come is seen by a schedule of the contract's own alone: set spec.check.schedule",
            );
        }
    }
}

/// The schema objects that a service level is about: `orders.ordered_at, lines` is about two.
fn objects(element: &str) -> Vec<&str> {
    element.split(',').filter_map(|element| element.trim().split('.').next()).collect()
}

/// How often data come, where a service level says that; or why the service level is not checked. Units are the standard's
/// (`d`, `day`, `days`, and the same for years), weeks and hours; `m` is none, since nobody knows whether it means minutes.
fn service_level(property: &str, sla: &Value) -> Result<Frequency, &'static str> {
    if !property.eq_ignore_ascii_case("frequency") {
        return Err("a service level is about time, and of those how often data come is checked alone (frequency)");
    }
    let unit = sla.get("unit").and_then(Value::as_str).unwrap_or_default();
    let seconds = match unit {
        "h" | "hr" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86400,
        "w" | "week" | "weeks" => 7 * 86400,
        "y" | "yr" | "year" | "years" => 365 * 86400,
        _ => return Err("its unit is not understood: write h, d, w or y"),
    };
    let value = sla.get("value").and_then(scalar).and_then(|value| value.parse::<i64>().ok());
    let value = value.filter(|value| (1..=1_000_000).contains(value));
    let value = value.ok_or("its value is not understood: write a whole number of units from 1 on")?;
    Ok(Frequency { seconds: value * seconds })
}

/// `version: 1.0` of YAML is a number, and meant as a text.
fn version(fields: Fields<'_>, draft: &mut Draft) -> String {
    let version = match fields.get("version") {
        None => {
            draft.problem(fields.at("version"), "is required by the standard");
            return String::new();
        }
        Some(value) => scalar(value).filter(|version| !version.is_empty() && version.len() <= limits::CONTRACT_VERSION),
    };
    version.unwrap_or_else(|| {
        draft.problem(fields.at("version"), format!("must be a text of at most {} bytes", limits::CONTRACT_VERSION));
        String::new()
    })
}

fn is_known_release(release: &str) -> bool {
    let rest = release.strip_prefix("v3.1").or_else(|| release.strip_prefix("v3.2"));
    rest.is_some_and(|rest| {
        rest.is_empty()
            || rest.strip_prefix('.').is_some_and(|patch| {
                !patch.is_empty() && patch.len() < 6 && patch.bytes().all(|byte| byte.is_ascii_digit())
            })
    })
}

/// Reads the schema objects.
pub(super) fn schemas(document: &Map<String, Value>, draft: &mut Draft) -> Vec<Schema> {
    let fields = Fields { map: document, path: "spec.contract" };
    let list = fields.list("schema", draft);
    if list.is_empty() {
        draft.problem(fields.at("schema"), "at least one schema object is required: data are checked by it");
    }
    if list.len() > limits::CONTRACT_SCHEMAS {
        let message = format!("has {} schema objects, more than {}", list.len(), limits::CONTRACT_SCHEMAS);
        draft.problem(fields.at("schema"), message);
        return vec![];
    }
    let mut names = BTreeSet::new();
    let mut schemas = vec![];
    for (index, value) in list.iter().enumerate() {
        let path = format!("spec.contract.schema[{index}]");
        let Some(map) = object(value, &path, draft) else { continue };
        let Some(name) = Fields { map, path: &path }.required_text("name", draft) else { continue };
        if name.len() > limits::CONTRACT_NAME {
            draft.problem(format!("{path}.name"), format!("is longer than {} bytes", limits::CONTRACT_NAME));
            continue;
        }
        if !names.insert(name.to_owned()) {
            draft.problem(format!("{path}.name"), format!("\"{name}\" is there twice"));
        }
        schemas.extend(schema(map, name, draft));
    }
    schemas
}

/// Reads a schema object. What is not checked of it stands with it, and its problems with the document's.
fn schema(map: &Map<String, Value>, name: &str, document: &mut Draft) -> Option<Schema> {
    let path = format!("spec.contract.schema[{name}]");
    let fields = Fields { map, path: &path };
    let mut draft = Draft { schema: name.to_owned(), ..Draft::default() };
    if let Some(kind) = fields.text("logicalType", &mut draft)
        && kind != "object"
    {
        draft.problem(fields.at("logicalType"), format!("is \"{kind}\": a schema object is an object"));
    }
    if fields.get("relationships").is_some() {
        draft.not_checked(&fields.at("relationships"), "rows of other tables are not at hand when data are checked");
    }
    fields.unknown(OBJECT, &mut draft);
    let columns = columns(fields, &mut draft);
    quality::of_schema(fields, &mut draft);
    if draft.rules.is_empty() && draft.problems.is_empty() {
        draft.problem(&path, "says nothing that data could be checked by: give it properties, or a rule of quality");
    }
    if draft.rules.len() > MAX_RULES {
        let message = format!("has {} rules, more than {MAX_RULES}: divide it", draft.rules.len());
        draft.problem(&path, message);
    }
    let schema =
        Schema { name: name.to_owned(), columns, rules: draft.rules, frequency: None, not_checked: draft.not_checked };
    let size = serde_json::to_vec(&(&schema.columns, &schema.rules)).map_or(usize::MAX, |json| json.len());
    if size > MAX_SCHEMA_BYTES {
        let message = format!(
            "takes {size} bytes of rules, more than {MAX_SCHEMA_BYTES}: shorten lists of valid values and patterns, or divide it"
        );
        document.problem(&path, message);
    }
    let is_good = draft.problems.is_empty();
    for problem in draft.problems {
        document.problem(problem.path, problem.message);
    }
    is_good.then_some(schema)
}

fn columns(fields: Fields<'_>, draft: &mut Draft) -> Vec<Column> {
    let list = fields.list("properties", draft);
    if list.len() > MAX_COLUMNS {
        draft.problem(fields.at("properties"), format!("are {}, more than {MAX_COLUMNS}", list.len()));
        return vec![];
    }
    let (mut columns, mut names, mut key): (Vec<Column>, BTreeSet<String>, Vec<(i64, String)>) = Default::default();
    for (index, value) in list.iter().enumerate() {
        let path = format!("{}[{index}]", fields.at("properties"));
        let Some(map) = object(value, &path, draft) else { continue };
        let Some(property) = property::read(map, fields.path, &path, draft) else { continue };
        if !names.insert(property.column.name.clone()) {
            let message = format!("the column \"{}\" is there twice", property.column.name);
            draft.problem(path, message);
            continue;
        }
        if let Some(position) = property.key_position {
            key.push((position, property.column.name.clone()));
        }
        columns.push(property.column);
    }
    // Where no positions are given, the document's order counts: the sort is stable.
    key.sort_by_key(|(position, _)| *position);
    if !key.is_empty() {
        let columns = key.into_iter().map(|(_, column)| column).collect();
        draft.rule("primaryKey", Severity::Error, None, RuleKind::PrimaryKey { columns });
    }
    columns
}
