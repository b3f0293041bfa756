//! What reached the API: every request in short, and every write in full. Tests take it as the judge.

use axum::body::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::request::Asked;
use crate::sandbox::faults::Fault;

/// The annotation by which a responder marks its writes.
const EXECUTION_ID: &str = "smokejumper.dev/execution-id";

/// One request, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The resource with its subresource, such as `deployments/scale`.
    pub resource: String,
    /// The namespace; empty for none or all.
    pub namespace: String,
    /// The name; empty for a collection.
    pub name: String,
    /// The options, as they stood in the query.
    pub query: String,
    /// The status of the answer; `None` where a fault gave another or none.
    pub status: Option<u16>,
}

/// One request that changes something, or asks what would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Write {
    /// Who asked; with impersonation, as whom.
    pub user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The resource with its subresource, such as `pods/eviction`.
    pub resource: String,
    /// The namespace; empty for none.
    pub namespace: String,
    /// The name; for what was made, the name it got.
    pub name: String,
    /// The path of the request.
    pub path: String,
    /// The body, or null where there is none; for a command its words, as `{"command": […], "container": …}`.
    pub body: Value,
    /// The content type of a patch.
    pub patch_type: Option<String>,
    /// Whether only the answer was asked for.
    pub dry_run: bool,
    /// The field manager, where one is stated.
    pub field_manager: Option<String>,
    /// The annotation `smokejumper.dev/execution-id`, wherever in the body it stands.
    pub execution_id: Option<String>,
    /// The status of the honest answer; `None` where a fault kept the request from having any effect.
    pub status: Option<u16>,
    /// Whether the cluster was changed: accepted, and no dry run.
    pub took_effect: bool,
    /// The misbehaviour that the request met.
    pub fault: Option<Fault>,
}

impl Call {
    pub(super) fn of(asked: &Asked, user: &str, query: &str, status: Option<u16>) -> Self {
        Self {
            user: user.into(),
            verb: asked.verb.into(),
            resource: asked.target(),
            namespace: asked.namespace.clone(),
            name: asked.name.clone(),
            query: query.into(),
            status,
        }
    }
}

impl Write {
    /// A write of which nothing is known yet but what was asked.
    pub(super) fn of(asked: &Asked, user: &str, path: &str, content_type: &str, body: &Bytes) -> Self {
        let mut body: Value = super::body::read(body).unwrap_or_default();
        if asked.subresource == "exec" {
            let words = asked.query.all("command");
            body = serde_json::json!({ "command": words, "container": asked.query.text("container") });
        }
        let said = |words: &str| (!words.is_empty()).then(|| words.to_owned());
        let in_options = body.pointer("/dryRun/0").or_else(|| body.pointer("/deleteOptions/dryRun/0"));
        Self {
            user: user.into(),
            verb: asked.verb.into(),
            resource: asked.target(),
            namespace: asked.namespace.clone(),
            name: asked.name.clone(),
            path: path.into(),
            patch_type: said(content_type).filter(|_| asked.verb == "patch"),
            dry_run: asked.is_dry_run() || in_options.is_some_and(|option| option == "All"),
            field_manager: said(asked.query.text("fieldManager")),
            execution_id: execution_id(&body),
            body,
            status: None,
            took_effect: false,
            fault: None,
        }
    }
}

fn execution_id(body: &Value) -> Option<String> {
    match body {
        Value::Object(map) => {
            if let Some(id) = map.get(EXECUTION_ID).and_then(Value::as_str) {
                return Some(id.to_owned());
            }
            let path = map.get("path").and_then(Value::as_str).unwrap_or_default();
            if path.ends_with(&super::json::token(EXECUTION_ID)) {
                return map.get("value")?.as_str().map(str::to_owned);
            }
            map.values().find_map(execution_id)
        }
        Value::Array(items) => items.iter().find_map(execution_id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_mark_of_a_write_is_found_wherever_it_stands() {
        let merge = json!({ "metadata": { "annotations": { EXECUTION_ID: "one" } } });
        assert_eq!(execution_id(&merge).as_deref(), Some("one"));
        let patch = json!([
            { "op": "test", "path": "/metadata/uid", "value": "u" },
            { "op": "add", "path": "/metadata/annotations/smokejumper.dev~1execution-id", "value": "two" },
        ]);
        assert_eq!(execution_id(&patch).as_deref(), Some("two"));
        let whole =
            json!([{ "op": "replace", "path": "/metadata/annotations", "value": { EXECUTION_ID: "three" } }]);
        assert_eq!(execution_id(&whole).as_deref(), Some("three"));
        assert_eq!(execution_id(&json!({ "path": "/spec/replicas", "value": 3 })), None);
    }
}
