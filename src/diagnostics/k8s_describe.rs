//! `k8s.describe`: one object with its conditions and its newest events, and without anything secret in it.
//!
//! Values of Secrets and ConfigMaps and of environment variables stay in the cluster: only their names are shown.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown};
use super::k8s::{Object, Scene, ago, checked, fields, need, need_object};
use super::k8s_events::{Happenings, Wanted};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::{Resource, owner};
use crate::domain::catalog::{AccessNeed, AccessScope, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::redact::REDACTED;
use crate::domain::rule::TargetSpec;
use crate::domain::timeline::one_line;
use crate::params;

/// Largest object that is kept whole for conditions.
const OBJECT_BYTES_MAX: usize = 24 << 10;

/// Events that are shown.
const EVENTS_SHOWN_MAX: usize = 6;

/// Events about things without a namespace lie in this one.
const NAMESPACE_OF_CLUSTER_EVENTS: &str = "default";

/// Annotation that repeats the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.describe",
        summary: "Shows one object: its conditions, its owner, its newest events. Values of ConfigMaps and variables stay out.",
        fields: &[
            ("kind", "Its kind."),
            ("name", "Its name."),
            ("age_seconds", "How old it is."),
            ("labels", "Its labels."),
            ("conditions", "Its conditions by type, each with `status`, `reason` and `message`."),
            (
                "managed_by",
                "Who keeps it as it is: `argocd`, `flux`, `helm` or `controller`. Left out where nobody does.",
            ),
            (
                "object",
                "The object itself, without managed fields and values; left out where it is too large to keep.",
            ),
            ("warnings", "How many warnings its events hold."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.describe`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Kind, such as `Deployment`. Default: that of the incident's target.
    kind: Option<String>,
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name. Default: that of the incident's target. May hold templates.
    name: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { kind, namespace, name } = params::read(params)?;
    if let Some(kind) = &kind {
        if kind == "Secret" {
            return Err(ParamsError::at("/kind", "secrets are not shown: use `k8s.secret_meta`"));
        }
        if Resource::of_kind(kind).is_none() {
            return Err(ParamsError::at("/kind", format!("`{kind}` is no kind that this version knows")));
        }
    }
    checked(&[("namespace", namespace.as_deref()), ("name", name.as_deref())], None)
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let Some(object) = need_object(params, target) else { return Vec::new() };
    let mut events = need(params, &Resource::EVENTS, "", &["list"]);
    if object.scope == AccessScope::Cluster {
        events = events.in_namespace(Some(NAMESPACE_OF_CLUSTER_EVENTS));
    }
    vec![object, events]
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { kind, namespace, name } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let of = scene.object(kind.as_deref(), namespace.as_deref(), name.as_deref())?;
    if of.resource == &Resource::SECRETS {
        return Err(Unknown::new("secrets are not shown: use `k8s.secret_meta`"));
    }
    let place = of.namespace.as_deref().unwrap_or(NAMESPACE_OF_CLUSTER_EVENTS);
    let wanted = Wanted::about(place, &of.resource.kind, &of.name);
    let object = scene.reads.get::<Value>(of.resource, of.namespace.as_deref(), &of.name);
    let (object, events) = tokio::join!(object, Happenings::read(scene, &wanted));
    Ok(evidence(scene, &of, object?, events))
}

fn evidence(
    scene: Scene<'_>,
    of: &Object,
    mut object: Value,
    events: Result<Happenings, Unknown>,
) -> Evidence {
    without_values(&mut object);
    let metadata = serde_json::from_value(object["metadata"].clone()).unwrap_or_default();
    let manager = owner::manager(&metadata);
    let age = scene.age_seconds(metadata.creation_timestamp.as_ref());
    let conditions = conditions(&object);
    let kind = &of.resource.kind;
    let mut lines = vec![format!(
        "{kind} {}{}{}",
        of.name,
        age.map(|age| format!(", age {}", ago(age))).unwrap_or_default(),
        manager.as_ref().map(|manager| format!(", kept by {}", manager.word())).unwrap_or_default()
    )];
    lines.extend(conditions.iter().map(|(name, condition)| {
        let [status, reason, message] =
            ["status", "reason", "message"].map(|key| condition[key].as_str().unwrap_or_default());
        one_line(format!("{name}={status} {reason} {message}").trim_end(), 300)
    }));
    let mut warnings = Value::Null;
    match events {
        Ok(events) => {
            warnings = json!(events.warnings());
            lines.extend(events.rows(scene, EVENTS_SHOWN_MAX));
        }
        Err(why) => lines.push(format!("its events are unknown: {why}")),
    }
    let small = object.to_string().len() <= OBJECT_BYTES_MAX;
    let found = fields(json!({
        "kind": kind,
        "name": of.name,
        "age_seconds": age,
        "labels": metadata.labels.unwrap_or_default(),
        "conditions": conditions,
        "managed_by": manager.map(|manager| manager.word()),
        "object": small.then_some(object),
        "warnings": warnings,
    }));
    Evidence { fields: found, text: lines.join("\n"), chart: None }
}

/// The conditions of an object by their types.
pub(super) fn conditions(object: &Value) -> Map<String, Value> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array);
    let entry = |condition: &Value| {
        let text = |key: &str| condition[key].as_str().map(|text| one_line(text, 500));
        let shown = json!({"status": text("status"), "reason": text("reason"), "message": text("message")});
        Some((condition["type"].as_str()?.to_owned(), Value::Object(fields(shown))))
    };
    list.into_iter().flatten().filter_map(entry).collect()
}

/// Takes out what may be secret and what nobody reads.
fn without_values(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    for key in ["data", "binaryData", "stringData"] {
        for value in object.get_mut(key).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
        {
            *value = json!(REDACTED);
        }
    }
    mask_variables(object);
}

/// Masks the value of each environment variable, wherever there is a list of them.
fn mask_variables(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask_variables),
        Value::Object(keys) => {
            for variable in keys.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(value) = variable.get_mut("value") {
                    *value = json!(REDACTED);
                }
            }
            keys.values_mut().for_each(mask_variables);
        }
        _ => {}
    }
}
