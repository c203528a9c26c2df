//! Small helpers for schemas: CEL rules and list types as the API server reads them.

use schemars::Schema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// A CEL rule with the message that a person needs.
pub(crate) fn rule(expression: &str, message: &str) -> Value {
    json!({"rule": expression, "message": message})
}

/// Merges list-map keys and a bound into the schema of a list.
pub(crate) fn list_map(schema: &mut Schema, key: &str, max: usize) {
    schema.insert("x-kubernetes-list-type".into(), json!("map"));
    schema.insert("x-kubernetes-list-map-keys".into(), json!([key]));
    schema.insert("maxItems".into(), json!(max));
}

/// Reads null as what is empty: what a server-side apply makes of a map that it empties.
pub(crate) fn null_is_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
