//! The fields that a kind's objects keep from their creation on: a row for each. All others may change.

use serde_json::Value;

use super::resources::Resource;
use super::status::Refusal;

/// Why a change is refused, in the API server's word for it.
#[derive(Clone, Copy)]
enum Cause {
    Invalid,
    Forbidden,
}

/// The rows: a kind, its fields, and the word for a change of them. Templates of Jobs that are held back may change in part,
/// which nobody here does.
const IMMUTABLE: &[(&str, &[&str], Cause)] = &[
    ("Job", &["/spec/selector", "/spec/template", "/spec/completionMode", "/spec/podFailurePolicy"], Cause::Invalid),
    ("Deployment", &["/spec/selector"], Cause::Invalid),
    ("ControllerRevision", &["/data"], Cause::Invalid),
    ("ModelVersion", &["/spec"], Cause::Invalid),
    ("Approval", &["/spec"], Cause::Invalid),
    ("MLPipelineRun", &["/spec/pipeline", "/spec/parameters", "/spec/purpose"], Cause::Invalid),
    ("ModelDeployment", &["/spec/model"], Cause::Invalid),
    ("Store", &["/spec/prefix"], Cause::Invalid),
];

/// Those of a ConfigMap that says `immutable: true`.
const OF_IMMUTABLE_MAPS: &[&str] = &["/immutable", "/data", "/binaryData"];

/// Refuses a replacement that changes what stays.
pub(super) fn check(resource: &Resource, old: &Value, new: &Value) -> Result<(), Refusal> {
    let is_frozen = resource.kind == "ConfigMap" && old["immutable"] == true;
    let of_maps = is_frozen.then_some((OF_IMMUTABLE_MAPS, Cause::Forbidden));
    let of_kind = IMMUTABLE.iter().filter(|row| row.0 == resource.kind).map(|row| (row.1, row.2));
    for (fields, cause) in of_kind.chain(of_maps) {
        let at = |object: &Value, field: &str| object.pointer(field).cloned().unwrap_or_default();
        let changes = |field: &&&str| at(old, field) != at(new, field);
        if let Some(field) = fields.iter().find(changes) {
            return Err(refusal(resource, new, field, cause));
        }
    }
    Ok(())
}

fn refusal(resource: &Resource, object: &Value, field: &str, cause: Cause) -> Refusal {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let field = field.trim_start_matches('/').replace('/', ".");
    let (reason, why) = match cause {
        Cause::Invalid => ("FieldValueInvalid", "Invalid value: field is immutable"),
        Cause::Forbidden => ("FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"),
    };
    Refusal::invalid(resource, name, &field, reason, why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::by_kind;
    use super::*;

    #[test]
    fn what_is_in_the_table_stays_and_all_else_may_change() {
        let table = [
            (
                "Job",
                json!({"spec": {"template": {"a": 1}}}),
                json!({"spec": {"template": {"a": 2}}}),
                Some("spec.template"),
            ),
            ("Job", json!({"spec": {"suspend": true}}), json!({"spec": {"suspend": false}}), None),
            ("ConfigMap", json!({"immutable": true, "data": {}}), json!({"immutable": true}), Some("data")),
            ("ConfigMap", json!({"data": {"a": "1"}}), json!({"immutable": true, "data": {}}), None),
            ("MLPipelineRun", json!({"spec": {}}), json!({"spec": {"parameters": []}}), Some("spec.parameters")),
            ("MLPipelineRun", json!({"spec": {}}), json!({"spec": {"later": true}}), None),
            ("ModelDeployment", json!({"spec": {"model": "a"}}), json!({"spec": {"model": "b"}}), Some("spec.model")),
        ];
        for (kind, old, new, expected) in table {
            let refusal = by_kind(kind).and_then(|resource| check(resource, &old, &new).err());
            let field = refusal.map(|refusal| refusal.details["causes"][0]["field"].clone());
            assert_eq!(field, expected.map(Value::from), "{kind} {new}");
        }
    }
}
