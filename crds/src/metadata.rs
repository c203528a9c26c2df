//! Labels and annotations that users may set on the objects that the operator makes.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::schema::{null_is_empty, rule};

/// Labels that controllers set. `dyn(…) == null` is what a server-side apply makes of a map that it empties.
pub(crate) const LABELS_RULE: &str = "!has(self.labels) || dyn(self.labels) == null || self.labels.all(k, !k.startsWith('seatrial.dev/') && !k.startsWith('batch.kubernetes.io/') && !(k in ['app.kubernetes.io/managed-by', 'controller-uid', 'job-name', 'pod-template-hash']))";
pub(crate) const LABELS_MESSAGE: &str = "labels beginning with seatrial.dev/ or batch.kubernetes.io/, and app.kubernetes.io/managed-by, controller-uid, job-name and pod-template-hash, are set by controllers: choose another name";
pub(crate) const ANNOTATIONS_RULE: &str = "!has(self.annotations) || dyn(self.annotations) == null || self.annotations.all(k, !k.startsWith('seatrial.dev/'))";
pub(crate) const ANNOTATIONS_MESSAGE: &str =
    "annotations beginning with seatrial.dev/ are set by the operator: choose another prefix";

/// Labels and annotations of objects that the operator makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(LABELS_RULE, LABELS_MESSAGE),
    rule(ANNOTATIONS_RULE, ANNOTATIONS_MESSAGE),
]))]
pub struct ObjectMetadata {
    /// labels are put on the objects: a queue's name, what a policy demands.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub labels: BTreeMap<String, String>,
    /// annotations are put on the objects.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotation_map")]
    pub annotations: BTreeMap<String, String>,
}

pub(crate) fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": limits::MAP,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": limits::LABEL_VALUE_PATTERN},
    })
}

pub(crate) fn annotation_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": limits::MAP, "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}
