//! Puts the objects of a scenario into the cluster, from YAML or JSON, as if they had always been there.

use std::sync::Arc;

use serde_json::Value;

use super::change;
use super::json::{items, name, namespace, set_default, text};
use super::resource::{NAMESPACES, of_kind};
use super::store::World;

/// Why objects could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The text is neither YAML nor JSON.
    #[error("the objects cannot be read: {0}")]
    Unreadable(String),
    /// The simulator does not know such objects.
    #[error("there is no resource for apiVersion {api_version:?} and kind {kind:?} in the sandbox")]
    UnknownKind {
        /// The object's `apiVersion`.
        api_version: String,
        /// The object's `kind`.
        kind: String,
    },
    /// An object without a name.
    #[error("an object of kind {0:?} has no name")]
    Nameless(String),
}

/// The objects of a text: several YAML documents, one JSON value, or lists of objects.
pub(super) fn read(text: &str) -> Result<Vec<Value>, LoadError> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| LoadError::Unreadable(error.to_string()))?;
    Ok(documents.into_iter().flat_map(flat).filter(|object| !object.is_null()).collect())
}

/// Lists hold objects, and so do plain arrays.
fn flat(value: Value) -> Vec<Value> {
    match value {
        Value::Array(all) => all.into_iter().flat_map(flat).collect(),
        Value::Object(_) if text(&value, "/kind").ends_with("List") => items(&value, "/items").to_vec(),
        other => vec![other],
    }
}

/// Puts one object into the cluster; its namespace is made where it is missing. One that is there is replaced.
pub(super) fn put(world: &mut World, mut object: Value) -> Result<Arc<Value>, LoadError> {
    let (api_version, kind) = (text(&object, "/apiVersion").to_owned(), text(&object, "/kind").to_owned());
    let Some(resource) = of_kind(&api_version, &kind) else {
        return Err(LoadError::UnknownKind { api_version, kind });
    };
    if name(&object).is_empty() {
        return Err(LoadError::Nameless(kind));
    }
    if resource.namespaced {
        set_default(&mut object, "/metadata/namespace", "default");
        let home = namespace(&object).to_owned();
        if world.find(&NAMESPACES, "", &home).is_none() {
            let made = serde_json::json!({ "metadata": { "name": home } });
            change::insert(world, &NAMESPACES, made);
        }
    }
    if let Some(before) = world.find(resource.storage(), namespace(&object), name(&object)) {
        for field in ["uid", "creationTimestamp", "generation"] {
            let value = before["metadata"][field].clone();
            if !value.is_null() {
                set_default(&mut object, &format!("/metadata/{field}"), value);
            }
        }
    }
    let object = super::view::stored(resource, object);
    Ok(change::insert(world, resource.storage(), object))
}
