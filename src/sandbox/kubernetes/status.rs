//! How the API says no: `Status` objects with the codes, reasons, words and details of the real one.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::resource::Resource;

/// One answer that is a failure.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub code: u16,
    /// Empty where the real API gives none.
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
    pub retry_after_seconds: Option<u64>,
}

/// One field that is not as it must be.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    /// Such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// Such as `spec.replicas`.
    pub field: String,
    pub message: String,
}

impl Cause {
    /// A value that cannot be.
    pub(super) fn invalid(field: &str, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {value}: {why}");
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    /// A value that must be there.
    pub(super) fn required(field: &str, why: &str) -> Self {
        let colon = if why.is_empty() { "" } else { ": " };
        let message = format!("Required value{colon}{why}");
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// A value that stands twice.
    pub(super) fn duplicate(field: &str, value: &Value) -> Self {
        let message = format!("Duplicate value: {value}");
        Self { reason: "FieldValueDuplicate", field: field.into(), message }
    }

    /// A value that may not be changed, or may not be said here.
    pub(super) fn forbidden(field: &str, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null, retry_after_seconds: None }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details = json!({ "name": name, "group": resource.group, "kind": resource.plural });
        for empty in ["name", "group"] {
            if self.details[empty] == "" {
                self.details.as_object_mut().map(|details| details.remove(empty));
            }
        }
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let quoted = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let message = format!("{}{quoted} is forbidden: {why}", resource.qualified());
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message)
    }

    pub(super) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// Somebody else was there meanwhile.
    pub(super) fn conflict(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict_because(resource, name, why)
    }

    pub(super) fn conflict_because(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// A page of a list that began too long ago.
    pub(super) fn page_expired() -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result.";
        Self::new(410, "Expired", message)
    }

    pub(super) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// An object with fields that cannot be; at least one cause.
    pub(super) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let said: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let said = if said.len() == 1 { said.concat() } else { format!("[{}]", said.join(", ")) };
        let message = format!("{} \"{name}\" is invalid: {said}", resource.qualified_kind());
        let mut refusal = Self::new(422, "Invalid", message).about(resource, name);
        refusal.details["kind"] = resource.kind.into();
        refusal.with_causes(causes)
    }

    pub(super) fn with_causes(mut self, causes: &[Cause]) -> Self {
        let told = |cause: &Cause| {
            let mut told = json!({ "reason": cause.reason, "message": cause.message });
            if !cause.field.is_empty() {
                told["field"] = cause.field.as_str().into();
            }
            told
        };
        self.details["causes"] = causes.iter().map(told).collect();
        self
    }

    /// The budget that a pod is under allows no disruption now.
    pub(super) fn disruption_budget(budget: &str, needed: i64, healthy: i64) -> Self {
        let message =
            format!("The disruption budget {budget} needs {needed} healthy pods and has {healthy} currently");
        let why = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut refusal = Self::new(429, "TooManyRequests", why);
        refusal.details = json!({});
        refusal.with_causes(&[Cause { reason: "DisruptionBudget", field: String::new(), message }])
    }

    /// The `Status` object.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if self.details.is_object() {
            status["details"] = self.details.clone();
        }
        status
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = answer(self.code, &self.status());
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON answer.
pub(super) fn answer(code: u16, body: &Value) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// What the API answers to a path that it does not know.
pub(super) fn no_such_path() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}
