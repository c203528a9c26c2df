//! What was written last of a Deployment or Service, kept in an annotation of the object itself, and what somebody else has
//! changed since.
//!
//! Only fields that the operator sets are compared: what others add (sidecars, node ports, defaults of the API server)
//! stays. A new operator that would write an object otherwise changes nothing: it compares with what was written.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube_core::ResourceExt;
use seatrial_crds::names::{APPLIED_ANNOTATION, INPUTS_DIGEST_ANNOTATION};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::quantity;

/// The longest annotation, in bytes: all annotations of an object may have 256 KiB. What does not fit is not compared.
const LONGEST: usize = 128 << 10;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Applied<Spec> {
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: Spec,
}

impl<Spec: Clone + Serialize + DeserializeOwned> Applied<Spec> {
    /// What is written with an object as it is built.
    pub(super) fn of(object: &impl ResourceExt, spec: Spec) -> Self {
        let mut annotations = object.annotations().clone();
        annotations.remove(APPLIED_ANNOTATION);
        annotations.remove(INPUTS_DIGEST_ANNOTATION);
        Self { labels: object.labels().clone(), annotations, spec }
    }

    /// What was written last, from the annotation of a live object; `None` where it has no such annotation.
    pub(super) fn read(object: &impl ResourceExt) -> Option<Self> {
        serde_json::from_str(object.annotations().get(APPLIED_ANNOTATION)?).ok()
    }

    /// Writes the labels and annotations into an object, without those that were written before and are wanted no
    /// more, and the annotation that says what was written.
    pub(super) fn write(&self, before: Option<&Self>, object: &mut impl ResourceExt) {
        let gone = |map: fn(&Self) -> &BTreeMap<String, String>, key: &String| {
            before.is_some_and(|before| map(before).contains_key(key)) && !map(self).contains_key(key)
        };
        object.labels_mut().retain(|key, _| !gone(|applied| &applied.labels, key));
        object.labels_mut().extend(self.labels.clone());
        object.annotations_mut().retain(|key, _| !gone(|applied| &applied.annotations, key));
        object.annotations_mut().extend(self.annotations.clone());
        let json = serde_json::to_string(self).ok().filter(|json| json.len() <= LONGEST).unwrap_or_default();
        object.annotations_mut().insert(APPLIED_ANNOTATION.to_owned(), json);
    }

    /// Whether what was written had no room in the annotation.
    pub(super) fn is_too_long(object: &impl ResourceExt) -> bool {
        object.annotations().get(APPLIED_ANNOTATION).is_some_and(String::is_empty)
    }

    /// The fields of an object that are not as they were written, as paths.
    pub(super) fn differences(&self, object: &impl ResourceExt, live: &Spec) -> Vec<String> {
        let mut found = vec![];
        for (path, wanted, live) in [
            ("metadata.labels", to_value(&self.labels), to_value(object.labels())),
            ("metadata.annotations", to_value(&self.annotations), to_value(object.annotations())),
            ("spec", to_value(&self.spec), to_value(live)),
        ] {
            compare(path, &wanted, &live, &mut found);
        }
        found
    }
}

fn to_value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// Adds the paths at which the live value lacks what is wanted.
fn compare(path: &str, wanted: &Value, live: &Value, found: &mut Vec<String>) {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            for (key, value) in wanted {
                let path = format!("{path}.{key}");
                compare(&path, value, live.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(wanted), Value::Array(live)) => {
            let keys: Option<Vec<&str>> = wanted.iter().map(key_of).collect();
            match keys.filter(|keys| !keys.is_empty()) {
                // Others may add entries of their own to a list with keys.
                Some(keys) => {
                    for (key, value) in keys.into_iter().zip(wanted) {
                        let same = live.iter().find(|entry| key_of(entry) == Some(key));
                        compare(&format!("{path}[{key}]"), value, same.unwrap_or(&Value::Null), found);
                    }
                }
                None if wanted.len() == live.len() => {
                    for (index, (value, live)) in wanted.iter().zip(live).enumerate() {
                        compare(&format!("{path}[{index}]"), value, live, found);
                    }
                }
                None => found.push(path.to_owned()),
            }
        }
        _ if wanted == live || (is_empty(wanted) && is_empty(live)) || same_quantity(path, wanted, live) => {}
        _ => found.push(path.to_owned()),
    }
}

/// What makes an entry of a list known again.
fn key_of(entry: &Value) -> Option<&str> {
    // A mount's name is its volume's, and a volume may be mounted twice.
    entry.get("mountPath").or_else(|| entry.get("name"))?.as_str()
}

/// The API server leaves such values out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(true) => false,
    }
}

/// The API server writes quantities in its own way: `1000m` as `1`.
fn same_quantity(path: &str, wanted: &Value, live: &Value) -> bool {
    let (Some(wanted), Some(live)) = (wanted.as_str(), live.as_str()) else { return false };
    let is_quantity = [".requests.", ".limits.", ".sizeLimit"].iter().any(|part| path.contains(part));
    let value = |text: &str| quantity::value(&Quantity(text.to_owned()));
    is_quantity && value(wanted).is_some() && value(wanted) == value(live)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(wanted: &Value, live: &Value) -> Vec<String> {
        let mut found = vec![];
        compare("spec", wanted, live, &mut found);
        found
    }

    #[test]
    fn only_what_was_written_is_compared() {
        let wanted = json!({"replicas": 1, "paused": false, "command": ["a", "b"], "env": [{"name": "A", "value": ""}],
            "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}}, "emptyDir": {}});
        let live = json!({"replicas": 1, "added": true, "command": ["a", "b"], "env": [{"name": "X"}, {"name": "A"}],
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}});
        assert_eq!(paths(&wanted, &live), Vec::<String>::new());
    }

    #[test]
    fn fields_are_named_by_their_path() {
        for (wanted, live, expected) in [
            (json!({"replicas": 1}), json!({"replicas": 2}), "spec.replicas"),
            (json!({"command": ["a"]}), json!({"command": ["a", "b"]}), "spec.command"),
            (json!({"command": ["a"]}), json!({"command": ["b"]}), "spec.command[0]"),
            (
                json!({"c": [{"name": "s", "image": "a"}]}),
                json!({"c": [{"name": "s", "image": "b"}]}),
                "spec.c[s].image",
            ),
            (json!({"c": [{"name": "s", "image": "a"}]}), json!({"c": []}), "spec.c[s]"),
            (json!({"limits": {"cpu": "1"}}), json!({"limits": {"cpu": "2"}}), "spec.limits.cpu"),
            (json!({"size": "1"}), json!({"size": "1000m"}), "spec.size"),
        ] {
            assert_eq!(paths(&wanted, &live), [expected]);
        }
    }
}
