//! Refusals, as the API server words them.

use serde_json::{Value, json};

use super::resources::Resource;

/// A refusal: what `Status` holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP code.
    pub code: u16,
    /// The reason, one word; empty where the API server gives none.
    pub reason: &'static str,
    /// What was wrong.
    pub message: String,
    /// More about it.
    pub details: Value,
}

impl Refusal {
    /// One without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn of(code: u16, reason: &'static str, message: String, resource: &Resource, name: &str) -> Self {
        let details = json!({"name": name, "group": resource.group, "kind": resource.plural});
        Self { code, reason, message, details }
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::of(404, "NotFound", message, resource, name)
    }

    pub(super) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::of(409, "AlreadyExists", message, resource, name)
    }

    /// The object was modified in between, or a precondition does not hold.
    pub(super) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::of(409, "Conflict", message, resource, name)
    }

    pub(super) fn without_name(resource: &Resource) -> Self {
        let why = "Required value: name or generateName is required";
        Self::invalid(resource, "", "metadata.name", "FieldValueRequired", why)
    }

    /// A field has a value that it must not have.
    pub(super) fn invalid(resource: &Resource, name: &str, field: &str, reason: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is invalid: {field}: {why}", resource.kind);
        let mut refusal = Self::of(422, "Invalid", message, resource, name);
        refusal.details["causes"] = json!([{"reason": reason, "message": why, "field": field}]);
        refusal
    }

    pub(super) fn bad_request(why: &str) -> Self {
        Self::new(400, "BadRequest", why)
    }

    /// The history does not reach back that far.
    pub(super) fn expired(asked: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked}"))
    }

    /// A quota of the namespace does not allow it.
    pub fn quota(resource: &Resource, name: &str) -> Self {
        let message = format!(
            "{} \"{name}\" is forbidden: exceeded quota: team, requested: 1, used: 1, limited: 1",
            resource.qualified()
        );
        Self::of(403, "Forbidden", message, resource, name)
    }

    /// The namespace is being deleted.
    pub(super) fn terminating(resource: &Resource, namespace: &str, name: &str) -> Self {
        let message = format!(
            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            resource.qualified()
        );
        let mut refusal = Self::of(403, "Forbidden", message, resource, name);
        refusal.details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        refusal
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if self.reason.is_empty() {
            body.as_object_mut().map(|body| body.remove("reason"));
        }
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body
    }
}
