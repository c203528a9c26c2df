//! `quality` of schema objects and properties.

use serde_json::{Map, Value};

use super::comparisons::{OPERATORS, comparisons, each};
use super::fields::{Fields, object, scalar};
use super::options::checked_pattern;
use super::{Draft, query};
use crate::contract::check::{Column, Comparison, LogicalType, RuleKind, Unit, ValueTest};

/// The most values of a list.
const MAX_VALUES: usize = 1024;

/// The other fields that the standard knows of a rule.
const FIELDS: &[&str] = &[
    "arguments",
    "authoritativeDefinitions",
    "businessImpact",
    "customProperties",
    "description",
    "dimension",
    "engine",
    "id",
    "implementation",
    "method",
    "metric",
    "name",
    "query",
    "rule",
    "schedule",
    "scheduler",
    "severity",
    "tags",
    "type",
    "unit",
];

/// Where a rule of quality stands.
#[derive(Clone, Copy)]
enum Level<'a> {
    /// At a property.
    Property(&'a Column),
    /// At a schema object.
    Schema,
}

/// Adds the rules of a property.
pub(super) fn of_property(fields: Fields<'_>, column: &Column, draft: &mut Draft) {
    all(fields, Level::Property(column), draft);
}

/// Adds the rules of a schema object.
pub(super) fn of_schema(fields: Fields<'_>, draft: &mut Draft) {
    all(fields, Level::Schema, draft);
}

fn all(fields: Fields<'_>, level: Level<'_>, draft: &mut Draft) {
    for (index, value) in fields.list("quality", draft).iter().enumerate() {
        let path = format!("{}[{index}]", fields.at("quality"));
        let Some(map) = object(value, &path, draft) else { continue };
        let name =
            ["name", "id"].into_iter().find_map(|field| map.get(field)?.as_str()).filter(|name| !name.is_empty());
        let path = name.map_or(path, |name| format!("{}[{name}]", fields.at("quality")));
        one(Fields { map, path: &path }, name, level, draft);
    }
}

fn one(fields: Fields<'_>, name: Option<&str>, level: Level<'_>, draft: &mut Draft) {
    let metric = fields.text("metric", draft).or_else(|| fields.text("rule", draft));
    let kind = match fields.text("type", draft) {
        Some(kind) => kind,
        None if metric.is_some() => "library",
        None if fields.get("query").is_some() => "sql",
        None if fields.get("engine").is_some() => "custom",
        None => "text",
    };
    let known: Vec<&str> = FIELDS.iter().chain(OPERATORS).copied().chain(["pattern"]).collect();
    fields.unknown(&known, draft);
    if fields.get("schedule").is_some() {
        draft.not_checked(
            &fields.at("schedule"),
            "rules have no times of their own: spec.check.schedule says when all are checked",
        );
    }
    match kind {
        "text" => draft.not_checked(fields.path, "a rule in words is for people"),
        "custom" => {
            let engine = fields.text("engine", draft).unwrap_or("another engine");
            draft.not_checked(fields.path, format!("it is a rule of {engine}, in words of its own"));
        }
        "sql" => {
            let column = match level {
                Level::Property(column) => Some(column.name.as_str()),
                Level::Schema => None,
            };
            query::rule(fields, name, column, draft);
        }
        "library" => match metric {
            Some(metric) => library(fields, name, metric, level, draft),
            None => draft.problem(
                fields.at("metric"),
                "is required: rowCount, nullValues, missingValues, invalidValues or duplicateValues",
            ),
        },
        other => draft.not_checked(fields.path, format!("\"{other}\" is no type of rules that Seatrial knows")),
    }
}

/// Adds a rule for each comparison that is asked for: all of them must hold.
fn add(fields: Fields<'_>, name: &str, draft: &mut Draft, check: impl Fn(Comparison, Unit) -> RuleKind) {
    let unit = match fields.text("unit", draft) {
        None | Some("rows") => Unit::Rows,
        Some("percent") => Unit::Percent,
        Some(other) => {
            draft.not_checked(
                fields.path,
                format!("\"{other}\" is no unit that Seatrial counts in: use rows or percent"),
            );
            return;
        }
    };
    let comparisons = comparisons(fields, Fields::number, draft);
    each(fields, name, comparisons, draft, |comparison| check(comparison, unit));
}

fn library(fields: Fields<'_>, name: Option<&str>, metric: &str, level: Level<'_>, draft: &mut Draft) {
    let nothing = Map::new();
    let path = fields.at("arguments");
    let given = fields.get("arguments").and_then(|value| object(value, &path, draft)).unwrap_or(&nothing);
    let arguments = Fields { map: given, path: &path };
    let otherwise = match level {
        Level::Property(column) => format!("{}.{metric}", column.name),
        Level::Schema => metric.to_owned(),
    };
    let name = name.unwrap_or(&otherwise);
    match (metric, level) {
        ("rowCount", Level::Schema) => {
            if fields.get("unit").and_then(Value::as_str) == Some("percent") {
                draft.problem(fields.at("unit"), "rows are not counted in hundredths of themselves");
            }
            add(fields, name, draft, |is, _| RuleKind::RowCount { is });
        }
        ("nullValues", Level::Property(column)) => {
            add(fields, name, draft, |is, unit| RuleKind::NullValues { column: column.name.clone(), is, unit })
        }
        ("missingValues", Level::Property(column)) => missing(fields, arguments, name, column, draft),
        ("invalidValues", Level::Property(column)) => invalid(fields, arguments, name, column, draft),
        ("duplicateValues", Level::Property(column)) => add(fields, name, draft, |is, unit| {
            RuleKind::DuplicateValues { columns: vec![column.name.clone()], is, unit }
        }),
        ("duplicateValues", Level::Schema) => duplicates(fields, arguments, name, draft),
        ("rowCount", Level::Property(_)) => {
            draft.not_checked(fields.path, "rowCount belongs to a schema object, and stands at a property");
        }
        ("nullValues" | "missingValues" | "invalidValues", Level::Schema) => {
            draft.not_checked(fields.path, format!("{metric} belongs to a property, and stands at a schema object"));
        }
        _ => {
            let reason = format!(
                "\"{metric}\" is no metric that Seatrial knows: rowCount, nullValues, missingValues, invalidValues, duplicateValues"
            );
            draft.not_checked(fields.path, reason);
        }
    }
}

fn missing(fields: Fields<'_>, arguments: Fields<'_>, name: &str, column: &Column, draft: &mut Draft) {
    let list = arguments.list("missingValues", draft);
    if list.is_empty() {
        draft.not_checked(fields.path, "it names no values that count as missing: give it arguments.missingValues");
        return;
    }
    let null = list.iter().any(Value::is_null);
    let Some(values) = texts(arguments, "missingValues", draft) else { return };
    add(fields, name, draft, |is, unit| RuleKind::MissingValues {
        column: column.name.clone(),
        values: values.clone(),
        null,
        is,
        unit,
    });
}

fn invalid(fields: Fields<'_>, arguments: Fields<'_>, name: &str, column: &Column, draft: &mut Draft) {
    let mut tests = vec![];
    if arguments.get("validValues").is_some() {
        let is_text = column.logical_type == Some(LogicalType::String);
        let has_boolean = |list: &Value| list.as_array().is_some_and(|list| list.iter().any(Value::is_boolean));
        if is_text && arguments.get("validValues").is_some_and(has_boolean) {
            let message = "has true or false, and the column has texts: YAML makes them of yes, no, on and off; put such values in quotes";
            return draft.problem(arguments.at("validValues"), message);
        }
        match texts(arguments, "validValues", draft) {
            Some(values) if !values.is_empty() => tests.push(ValueTest::OneOf(values)),
            Some(_) => return draft.problem(arguments.at("validValues"), "must not be empty: no value would be valid"),
            None => return,
        }
    }
    // The standard's own example has the pattern beside its arguments.
    let beside = [arguments, fields].into_iter().find(|fields| fields.get("pattern").is_some());
    if let Some(holder) = beside
        && let Some(pattern) = holder.text("pattern", draft)
    {
        let Some(pattern) = checked_pattern(pattern, fields.path, draft) else { return };
        tests.push(ValueTest::Pattern(pattern));
    }
    arguments.unknown(&["validValues", "pattern"], draft);
    if tests.is_empty() && column.logical_type.is_none() {
        draft.not_checked(fields.path, "it says not what is valid: give it arguments.validValues or arguments.pattern");
        return;
    }
    add(fields, name, draft, |is, unit| RuleKind::InvalidValues {
        column: column.name.clone(),
        tests: tests.clone(),
        is,
        unit,
    });
}

fn duplicates(fields: Fields<'_>, arguments: Fields<'_>, name: &str, draft: &mut Draft) {
    let Some(keys) = texts(arguments, "properties", draft) else { return };
    if keys.is_empty() {
        draft.problem(arguments.at("properties"), "must name the properties whose values are compared together");
        return;
    }
    let mut columns = vec![];
    for key in keys {
        match draft.columns.get(&key) {
            Some(column) => columns.push(column.clone()),
            None => {
                let message = format!("\"{key}\" is no property of this schema object");
                draft.problem(arguments.at("properties"), message);
                return;
            }
        }
    }
    add(fields, name, draft, |is, unit| RuleKind::DuplicateValues { columns: columns.clone(), is, unit });
}

/// A list of single values as texts, without nulls.
fn texts(fields: Fields<'_>, name: &str, draft: &mut Draft) -> Option<Vec<String>> {
    let list = fields.list(name, draft);
    if list.len() > MAX_VALUES {
        draft.problem(fields.at(name), format!("has {} values, more than {MAX_VALUES}: write a query", list.len()));
        return None;
    }
    let texts: Option<Vec<String>> = list.iter().filter(|value| !value.is_null()).map(scalar).collect();
    if texts.is_none() {
        draft.problem(fields.at(name), "must be a list of texts, numbers, true or false");
    }
    texts
}
