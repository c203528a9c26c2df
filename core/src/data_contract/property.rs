//! One property of a schema object: a column, and what each of its values must be.

use seatrial_crds::limits;
use serde_json::{Map, Value};

use super::fields::{Fields, object, scalar};
use super::{Draft, options, quality};
use crate::contract::check::{Column, LogicalType, RuleKind, Severity, ValueTest};

/// The fields that the standard knows of a property.
const PROPERTY: &[&str] = &[
    "authoritativeDefinitions",
    "businessName",
    "classification",
    "criticalDataElement",
    "customProperties",
    "deprecated",
    "description",
    "encryptedName",
    "enum",
    "examples",
    "id",
    "items",
    "logicalType",
    "logicalTypeOptions",
    "map",
    "name",
    "partitionKeyPosition",
    "partitioned",
    "physicalName",
    "physicalType",
    "primaryKey",
    "primaryKeyPosition",
    "properties",
    "quality",
    "relationships",
    "required",
    "semanticType",
    "synonyms",
    "tags",
    "transformDescription",
    "transformLogic",
    "transformSourceObjects",
    "unique",
];

/// A property as it is understood.
pub(super) struct Property {
    pub(super) column: Column,
    /// The place in the primary key, where it is part of it.
    pub(super) key_position: Option<i64>,
}

/// Reads a property, and adds its rules; `None` where data have no such column, or where it cannot be read.
pub(super) fn read(map: &Map<String, Value>, schema: &str, place: &str, draft: &mut Draft) -> Option<Property> {
    let name = Fields { map, path: place }.required_text("name", draft)?;
    let path = format!("{schema}.properties[{name}]");
    let fields = Fields { map, path: &path };
    fields.unknown(PROPERTY, draft);
    if fields.text("semanticType", draft) == Some("measure") {
        draft.not_checked(&path, "a measure is computed from columns, and no column itself");
        return None;
    }
    // The data have the physical name.
    let property = name;
    let name = fields.text("physicalName", draft).filter(|name| !name.is_empty()).unwrap_or(name);
    if name.len() > limits::CONTRACT_NAME {
        draft.problem(&path, format!("the column's name is longer than {} bytes", limits::CONTRACT_NAME));
        return None;
    }
    draft.columns.insert(property.to_owned(), name.to_owned());
    let logical_type = logical_type(fields, draft);
    let no_options = Map::new();
    let given = match fields.get("logicalTypeOptions") {
        Some(value) => object(value, &fields.at("logicalTypeOptions"), draft).unwrap_or(&no_options),
        None => &no_options,
    };
    let path_of_options = fields.at("logicalTypeOptions");
    let given = Fields { map: given, path: &path_of_options };
    let column = Column {
        name: name.to_owned(),
        logical_type,
        format: options::format(given, logical_type, draft),
        // Data that nobody called public may be anybody's secrets, and reports are read by many.
        shown: fields.text("classification", draft).is_some_and(|it| it.eq_ignore_ascii_case("public")),
    };
    let mut rule = |name: &str, check| draft.rule(&format!("{}.{name}", column.name), Severity::Error, None, check);
    let of = || name.to_owned();
    rule("present", RuleKind::Present { column: of() });
    if logical_type.is_some() {
        rule("type", RuleKind::Type { column: of() });
    }
    if fields.flag("required", draft) {
        draft.rule(&format!("{name}.required"), Severity::Error, None, RuleKind::Required { column: of() });
    }
    if fields.flag("unique", draft) {
        draft.rule(&format!("{name}.unique"), Severity::Error, None, RuleKind::Unique { column: of() });
    }
    options::rules(given, &column, draft);
    valid_values(fields, name, draft);
    nested(fields, draft);
    quality::of_property(fields, &column, draft);
    let key_position = fields.flag("primaryKey", draft).then(|| {
        let position = fields.get("primaryKeyPosition").and_then(Value::as_i64);
        position.filter(|position| *position > 0).unwrap_or(i64::MAX)
    });
    Some(Property { column, key_position })
}

fn logical_type(fields: Fields<'_>, draft: &mut Draft) -> Option<LogicalType> {
    let name = fields.text("logicalType", draft)?;
    let found = match name {
        "string" => LogicalType::String,
        "date" => LogicalType::Date,
        "timestamp" => LogicalType::Timestamp,
        "time" => LogicalType::Time,
        "number" => LogicalType::Number,
        "integer" => LogicalType::Integer,
        "boolean" => LogicalType::Boolean,
        "object" => LogicalType::Object,
        "array" => LogicalType::Array,
        "map" | "vector" => {
            let reason =
                format!("values of the logical type {name} are not looked into: that the column is there is checked");
            draft.not_checked(&fields.at("logicalType"), reason);
            return None;
        }
        other => {
            let message = format!(
                "\"{other}\" is no logical type: it is string, date, timestamp, time, number, integer, boolean, object, array, map or vector"
            );
            draft.problem(fields.at("logicalType"), message);
            return None;
        }
    };
    Some(found)
}

/// `enum` of v3.2: a list of objects with a value each.
fn valid_values(fields: Fields<'_>, column: &str, draft: &mut Draft) {
    if fields.get("enum").is_none() {
        return;
    }
    let list = fields.list("enum", draft);
    let values: Option<Vec<String>> = list.iter().map(|entry| scalar(entry.get("value")?)).collect();
    match values {
        Some(values) if !values.is_empty() => {
            let check = RuleKind::Values { column: column.to_owned(), test: ValueTest::OneOf(values) };
            draft.rule(&format!("{column}.enum"), Severity::Error, None, check);
        }
        _ => draft.problem(fields.at("enum"), "must be a list of objects, each with a value: [{value: A}, {value: B}]"),
    }
}

/// What stands inside of a value.
fn nested(fields: Fields<'_>, draft: &mut Draft) {
    for name in ["properties", "items", "map"] {
        if fields.get(name).is_some() {
            draft.not_checked(&fields.at(name), "what stands inside of a value is not checked");
        }
    }
    if fields.get("relationships").is_some() {
        draft.not_checked(&fields.at("relationships"), "rows of other tables are not at hand when data are checked");
    }
}
