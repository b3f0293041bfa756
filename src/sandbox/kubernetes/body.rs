//! Reads the body of a request: JSON, or the YAML that server-side apply allows.

use axum::body::Bytes;
use serde_json::Value;

use super::status::Refusal;

/// The value that a body holds; null where it is empty.
pub(super) fn read(body: &Bytes) -> Result<Value, Refusal> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let words = String::from_utf8_lossy(body);
    serde_saphyr::from_str(&words).map_err(|error| {
        Refusal::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
}
