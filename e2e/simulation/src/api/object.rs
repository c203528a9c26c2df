//! Objects as JSON: what a replacement or a patch makes of one, and its metadata.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::resources::Resource;

/// What a replacement makes of an object: metadata that only the server sets stays, and so does the status.
pub(super) fn replaced(resource: &Resource, old: &Value, mut object: Value) -> Value {
    for field in
        ["uid", "creationTimestamp", "namespace", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        let kept = old["metadata"][field].clone();
        let metadata = metadata(&mut object);
        match kept {
            Value::Null => metadata.remove(field),
            kept => metadata.insert(field.to_owned(), kept),
        };
    }
    metadata(&mut object).remove("managedFields");
    metadata(&mut object).insert("resourceVersion".into(), old["metadata"]["resourceVersion"].clone());
    object["apiVersion"] = old["apiVersion"].clone();
    object["kind"] = old["kind"].clone();
    if resource.has_status {
        match old["status"].clone() {
            Value::Null => object.as_object_mut().and_then(|object| object.remove("status")),
            status => object.as_object_mut().and_then(|object| object.insert("status".into(), status)),
        };
    }
    let content = |object: &Value| {
        let mut content = object.clone();
        content.as_object_mut().map(|content| (content.remove("metadata"), content.remove("status")));
        content
    };
    if resource.has_generation && content(old) != content(&object) {
        object["metadata"]["generation"] = (old["metadata"]["generation"].as_i64().unwrap_or(1) + 1).into();
    }
    object
}

/// Whether nothing holds an object any more that is being deleted.
pub(super) fn ends(object: &Value) -> bool {
    let metadata = &object["metadata"];
    !metadata["deletionTimestamp"].is_null()
        && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// Applies a JSON merge patch (RFC 7386).
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// An object's metadata, made where it has none.
pub(super) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    // Both were just made sure of; the map of last resort is never reached.
    match object.get_mut("metadata") {
        Some(Value::Object(map)) => map,
        _ => Box::leak(Box::default()),
    }
}

/// A time as Kubernetes writes it: whole seconds.
pub(crate) fn seconds(time: Timestamp) -> Value {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string().into()
}
