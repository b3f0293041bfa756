//! Settings as one tree of values: to show them without secrets, to find the secrets, to anchor paths.
//!
//! Working on the tree instead of on each section means that a new section cannot be forgotten here.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Settings;
use crate::secret::SecretSource;

impl Settings {
    /// The settings in force as YAML for people, defaults included. A secret shows as `<secret from env NAME>`.
    pub fn to_masked_yaml(&self) -> String {
        let mut tree = self.to_tree();
        mask(&mut tree);
        serde_saphyr::to_string(&tree).expect("a tree of JSON values can be written as YAML")
    }

    /// JSON Schema of the settings file, for editors and `smokejumper schema`.
    pub fn json_schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Every reference to a secret, with the key it stands at, such as `slack.bot_token`.
    pub fn secret_sources(&self) -> Vec<(String, SecretSource)> {
        self.secret_places().into_iter().map(|(path, source)| (path.join("."), source)).collect()
    }

    /// Every reference to a secret, with the steps of the path to it.
    pub(super) fn secret_places(&self) -> Vec<(Vec<String>, SecretSource)> {
        let mut found = Vec::new();
        walk(&self.to_tree(), &mut Vec::new(), &mut |path, node| {
            let source = as_secret(node);
            let goes_on = source.is_none();
            found.extend(source.map(|source| (path.to_vec(), source)));
            goes_on
        });
        found
    }

    /// Every file that a key names for itself, such as a certificate, with the steps of the path to it.
    pub(super) fn file_places(&self) -> Vec<(Vec<String>, PathBuf)> {
        let mut found = Vec::new();
        walk(&self.to_tree(), &mut Vec::new(), &mut |path, node| {
            // Header names are not ours: one may end in `_file` too.
            let [.., parent, key] = path else { return true };
            if let (true, false, Value::String(file)) = (key.ends_with("_file"), parent == "headers", node) {
                found.push((path.to_vec(), file.into()));
            }
            true
        });
        found
    }

    pub(super) fn to_tree(&self) -> Value {
        serde_json::to_value(self).expect("settings are plain values with text keys")
    }
}

/// The reference that a node is, if it is one: an object with `env` or `file` as its only key and a text in it.
fn as_secret(node: &Value) -> Option<SecretSource> {
    let object = node.as_object().filter(|object| object.len() == 1)?;
    match (object.get("env"), object.get("file")) {
        (Some(Value::String(name)), None) => Some(SecretSource::Env(name.clone())),
        (None, Some(Value::String(path))) => Some(SecretSource::File(path.into())),
        _ => None,
    }
}

fn mask(node: &mut Value) {
    if let Some(source) = as_secret(node) {
        *node = Value::String(source.to_string());
        return;
    }
    match node {
        Value::Object(object) => object.values_mut().for_each(mask),
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// Visits every node with the steps of the path to it; goes below a node where `visit` says so.
fn walk(node: &Value, path: &mut Vec<String>, visit: &mut impl FnMut(&[String], &Value) -> bool) {
    if !visit(path, node) {
        return;
    }
    let children: Vec<(String, &Value)> = match node {
        Value::Object(object) => object.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect()
        }
        _ => Vec::new(),
    };
    for (step, child) in children {
        path.push(step);
        walk(child, path, visit);
        path.pop();
    }
}

/// Makes relative paths start at `directory`: secret files, every key that ends in `_file`, and the rule patterns.
pub(super) fn anchor_paths(tree: &mut Value, directory: &Path) {
    let join = |text: &mut Value| {
        if let Value::String(path) = text {
            *path = directory.join(&*path).display().to_string();
        }
    };
    if let Some(Value::Array(patterns)) = tree.get_mut("rules") {
        patterns.iter_mut().for_each(join);
    }
    anchor_files(tree, &join);
}

fn anchor_files(node: &mut Value, join: &impl Fn(&mut Value)) {
    match node {
        Value::Object(object) => {
            for (key, child) in object {
                match key.as_str() {
                    // Header names are not ours: one may end in `_file` too.
                    "headers" => anchor_secret_headers(child, join),
                    "file" => join(child),
                    name if name.ends_with("_file") => join(child),
                    _ => anchor_files(child, join),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| anchor_files(item, join)),
        _ => {}
    }
}

fn anchor_secret_headers(headers: &mut Value, join: &impl Fn(&mut Value)) {
    match headers {
        Value::Object(by_name) => by_name.values_mut().for_each(|value| anchor_files(value, join)),
        other => anchor_files(other, join),
    }
}
