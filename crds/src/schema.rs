//! Small helpers for schemas: CEL rules and list types as the API server reads them.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::limits;

/// A CEL rule with the message that a person needs.
pub(crate) fn rule(expression: &str, message: &str) -> Value {
    json!({"rule": expression, "message": message})
}

/// A list that is merged by the entries' `key`, with a bound.
pub(crate) fn list_map(schema: &mut Schema, key: &str, max: usize) {
    schema.insert("x-kubernetes-list-type".into(), json!("map"));
    schema.insert("x-kubernetes-list-map-keys".into(), json!([key]));
    schema.insert("maxItems".into(), json!(max));
}

/// A list that is replaced as a whole, with a bound. All lists of a status are: they have one writer, and a list that is
/// merged costs managed fields for each entry at every write.
pub(crate) fn atomic_list(schema: &mut Schema, max: usize) {
    schema.insert("x-kubernetes-list-type".into(), json!("atomic"));
    schema.insert("maxItems".into(), json!(max));
}

/// A list whose entries are different, with a bound.
pub(crate) fn set_list(schema: &mut Schema, max: usize) {
    schema.insert("x-kubernetes-list-type".into(), json!("set"));
    schema.insert("maxItems".into(), json!(max));
}

/// A quantity, without Kubernetes' long text on how it is written.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 64,
        "pattern": limits::QUANTITY_PATTERN,
    })
}

/// Reads null as what is empty: what a server-side apply makes of a map that it empties.
pub(crate) fn null_is_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
