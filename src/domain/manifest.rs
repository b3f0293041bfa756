//! Stored manifests: objects of a cluster that an operator wrote down beside the rules, for a remedy to put in place or
//! to take away as they stand.
//!
//! A rule names a manifest and can change nothing in it. Placeholders may stand in a few of its texts, which were
//! texts of their own before anything was rendered, so that no label adds a field. What a manifest may hold is a short
//! list: nothing with a password, nothing that gives permissions, nothing outside of a namespace.

use crate::action::Tier;
use crate::catalog::{ParamsError, Slot, SlotLanguage};
use crate::dns::{is_dns_label, is_dns_subdomain};
use crate::rule::is_template;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The kind that runs when it is made, and may be gone when it has run.
pub const JOB: &str = "Job";

/// What a stored manifest may hold, by `apiVersion` and `kind`.
pub const KINDS: [(&str, &str); 12] = [
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", JOB),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("cert-manager.io/v1", "Certificate"),
    ("cert-manager.io/v1", "Issuer"),
];

/// Most objects of one manifest: people must be able to read it before they approve it.
pub const OBJECTS_MAX: usize = 10;

/// Longest manifest, as JSON: it is kept with every incident of the rules that name it.
pub const BYTES_MAX: usize = 64 * 1024;

/// Annotations and labels that begin so are written by the responder alone.
pub const OURS: &str = "smokejumper.dev/";

/// What an operator may say of an object in its `metadata`.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// The key under which the loader puts the manifest into the parameters that name it: an incident keeps it with its
/// rule, whatever becomes of the file.
pub const STORED: &str = "stored";

/// What a manifest holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// The lowest tier at which it may be used, where that is above the floor of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Its objects, in the order in which they are applied.
    pub objects: Vec<Value>,
}

impl Stored {
    /// Checks the objects as they are written or as they were rendered, and says which of their texts are templates.
    /// Pointers begin at the list of objects, such as `/0/metadata/name`.
    ///
    /// # Errors
    /// With the first mistake, at its place.
    pub fn check(&self) -> Result<Vec<Slot>, ParamsError> {
        let count = self.objects.len();
        if count == 0 || count > OBJECTS_MAX {
            return Err(ParamsError::at(
                "",
                format!("a manifest has 1 to {OBJECTS_MAX} objects, not {count}"),
            ));
        }
        let bytes: usize = self.objects.iter().map(|object| object.to_string().len()).sum();
        if bytes > BYTES_MAX {
            return Err(ParamsError::at(
                "",
                format!("the objects are longer than {BYTES_MAX} bytes together"),
            ));
        }
        let mut slots = Vec::new();
        let mut names = BTreeSet::new();
        for (index, object) in self.objects.iter().enumerate() {
            let at = |place: &str| format!("/{index}{place}");
            let metadata =
                head(object).map_err(|error| ParamsError { pointer: at(&error.pointer), ..error })?;
            if self.namespace() != metadata.namespace.or(self.namespace()) {
                let message = "all objects of a manifest lie in one namespace";
                return Err(ParamsError::at(at("/metadata/namespace"), message));
            }
            if !names.insert((kind_of(object), metadata.name)) {
                let message =
                    format!("there is another {} `{}` in this manifest", kind_of(object), metadata.name);
                return Err(ParamsError::at(at("/metadata/name"), message));
            }
            texts(object, kind_of(object), &mut Vec::new(), &mut |path, language| {
                slots.push(Slot::new(at(path), language));
            })
            .map_err(|error| ParamsError { pointer: at(&error.pointer), ..error })?;
        }
        Ok(slots)
    }

    /// The namespace that the objects state; none means that the rule says it.
    pub fn namespace(&self) -> Option<&str> {
        self.objects.iter().find_map(|object| object.pointer("/metadata/namespace")?.as_str())
    }
}

/// The kind of an object.
pub fn kind_of(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// The name of an object.
pub fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

struct Metadata<'o> {
    name: &'o str,
    namespace: Option<&'o str>,
}

/// What an object says of itself, checked.
fn head(object: &Value) -> Result<Metadata<'_>, ParamsError> {
    let map = object.as_object().ok_or_else(|| ParamsError::at("", "an object is a map of fields"))?;
    let said = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (said("apiVersion"), said("kind"));
    if !KINDS.contains(&(version, kind)) {
        let place = if KINDS.iter().any(|(_, known)| *known == kind) { "/apiVersion" } else { "/kind" };
        let known: Vec<String> = KINDS.iter().map(|(version, kind)| format!("{kind} ({version})")).collect();
        let message =
            format!("a stored manifest cannot hold a `{kind}` of `{version}`; it can: {}", known.join(", "));
        return Err(ParamsError::at(place, message));
    }
    if map.contains_key("status") {
        return Err(ParamsError::at("/status", "the status of an object is written by its controllers"));
    }
    let metadata = map.get("metadata").and_then(Value::as_object);
    let metadata = metadata.ok_or_else(|| ParamsError::at("", "this object has no `metadata`"))?;
    if let Some(other) = metadata.keys().find(|key| !METADATA.contains(&key.as_str())) {
        let message = format!("the metadata of a stored object say {} only", METADATA.join(", "));
        return Err(ParamsError::at(format!("/metadata/{other}"), message));
    }
    for marks in ["labels", "annotations"] {
        let keys = metadata.get(marks).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        if let Some(own) = keys.into_iter().find(|key| key.starts_with(OURS)) {
            let message = format!("`{own}` is written by the responder alone");
            return Err(ParamsError::at(format!("/metadata/{marks}"), message));
        }
    }
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if !is_template(name) && !is_dns_subdomain(name) {
        return Err(ParamsError::at("/metadata/name", format!("{name:?} is no name of an object")));
    }
    let namespace = metadata.get("namespace").map(|namespace| namespace.as_str().unwrap_or_default());
    if let Some(namespace) = namespace.filter(|namespace| !is_dns_label(namespace)) {
        let message = format!("{namespace:?} is no name of a namespace, which a label must not choose");
        return Err(ParamsError::at("/metadata/namespace", message));
    }
    Ok(Metadata { name, namespace })
}

/// Walks over all texts: those with placeholders must stand where placeholders may, and are handed to `take`.
fn texts(
    value: &Value,
    kind: &str,
    path: &mut Vec<String>,
    take: &mut impl FnMut(&str, SlotLanguage),
) -> Result<(), ParamsError> {
    let pointer = |path: &[String]| -> String {
        path.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
    };
    match value {
        Value::String(text) if is_template(text) => match language(kind, path) {
            Some(language) => take(&pointer(path), language),
            None => {
                let message = "placeholders may stand in names, in values of labels and selectors, and in the data of \
                               a ConfigMap";
                return Err(ParamsError::at(pointer(path), message));
            }
        },
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                if is_template(key) {
                    return Err(ParamsError::at(pointer(path), "a placeholder cannot be a key"));
                }
                texts(value, kind, path, take)?;
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                texts(item, kind, path, take)?;
                path.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a text at this place is used as, where a placeholder may stand in it. Annotations are left out: controllers carry
/// out what some of them say.
fn language(kind: &str, path: &[String]) -> Option<SlotLanguage> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (kind, path.as_slice()) {
        (_, ["metadata", "name"])
        | (_, [.., "labels" | "matchLabels", _])
        | ("Service", ["spec", "selector", _]) => Some(SlotLanguage::KubernetesName),
        ("ConfigMap", ["data", _]) => Some(SlotLanguage::Text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
