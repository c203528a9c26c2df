//! What the schema says against an object, in words that say what to do.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use seatrial_crds::patterns;
use serde_json::Value;

use crate::yaml::Document;

/// The problems behind one error, each with the JSON pointer of what it is about.
pub(super) fn explain(error: &ValidationError<'_>, schema: &Value, document: &Document) -> Vec<(String, String)> {
    let pointer = error.instance_path.to_string();
    if let ValidationErrorKind::AdditionalProperties { unexpected } = &error.kind {
        let known = known_fields(schema, &error.schema_path.to_string());
        return unexpected.iter().map(|name| (format!("{pointer}/{name}"), no_such_field(name, &known))).collect();
    }
    let wants_text = matches!(error.kind, ValidationErrorKind::Type { .. })
        && takes_text(schema.pointer(&error.schema_path.to_string()));
    let message = match document.plain(&pointer) {
        Some(written) if wants_text => {
            let read = match error.instance.as_ref() {
                Value::Number(number) if number.to_string() != written && !number.is_f64() => {
                    format!("the number {number}")
                }
                Value::Number(_) => "a number".to_owned(),
                other => other.to_string(),
            };
            let quoted = Value::from(written);
            format!("{written} is {read} to the cluster: put it in quotes: {quoted}")
        }
        _ => match &error.kind {
            ValidationErrorKind::Pattern { pattern } => of_pattern(pattern, &error.instance),
            _ => None,
        }
        .unwrap_or_else(|| error.to_string()),
    };
    vec![(pointer, message)]
}

/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// What a text must be that does not match a pattern, in words.
fn of_pattern(pattern: &str, value: &Value) -> Option<String> {
    let asked = patterns::find(pattern)?;
    let mut shown: String = value.as_str().unwrap_or_default().chars().take(SHOWN).collect();
    if value.as_str().is_some_and(|value| value.len() > shown.len()) {
        shown.push('…');
    }
    Some(format!("must be {}, for example {:?}, and is {shown:?}", asked.words, asked.example))
}

/// True for the type of a text, and for those of a quantity, which may be a whole number as well.
fn takes_text(types: Option<&Value>) -> bool {
    match types {
        Some(Value::Array(types)) => types.iter().any(|kind| kind == "string"),
        kind => kind.is_some_and(|kind| kind == "string"),
    }
}

fn known_fields(schema: &Value, path: &str) -> Vec<String> {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(parent).and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn no_such_field(name: &str, known: &[String]) -> String {
    let near = known.iter().map(|field| (distance(&name.to_lowercase(), &field.to_lowercase()), field)).min();
    match near {
        Some((0..=2, field)) => format!("there is no such field: did you mean \"{field}\"?"),
        _ => format!("there is no such field: there are {}", known.join(", ")),
    }
}

/// How many letters have to be put in, taken out or exchanged.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut next = vec![index + 1];
        for (above, (diagonal, candidate)) in row.iter().skip(1).zip(row.iter().zip(&other)) {
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            next.push((left + 1).min(above + 1).min(diagonal + usize::from(letter != *candidate)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// `/spec/steps/0/name` as Kubernetes writes it: `spec.steps[0].name`.
pub(super) fn path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            path.push_str(&format!("[{part}]"));
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            path.push_str(&format!("{dot}{part}"));
        }
    }
    path
}

/// The JSON pointer of a path such as `spec.steps[train].inputs[raw]`, whose entries may be named by number or by name,
/// as far as it leads to something.
pub(super) fn pointer(object: &Value, path: &str) -> String {
    let (mut pointer, mut here) = (String::new(), object);
    let parts = path.split('.').flat_map(|part| part.split('['));
    for part in parts.map(|part| part.trim_end_matches(']')) {
        let (step, next) = match here {
            Value::Array(items) => {
                let is_it = |item: &&Value| ["name", "model", "mountPath"].iter().any(|key| item[*key] == part);
                let index = part.parse().ok().or_else(|| items.iter().position(|item| is_it(&item)));
                (index.map(|index: usize| index.to_string()), index.and_then(|index| items.get(index)))
            }
            other => (Some(part.to_owned()), other.get(part)),
        };
        let (Some(step), Some(next)) = (step, next) else { break };
        pointer.push_str(&format!("/{step}"));
        here = next;
    }
    pointer
}
