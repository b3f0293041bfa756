//! Changes of an object, field by field: where, from what, to what.
//!
//! One form for four uses: what people read before they approve, what must still be so when the change is made, the
//! change itself, and the way back, which is the same with both sides swapped. Items of a list that have a name are
//! found by it, as a strategic merge patch finds them, since their position says nothing.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::confidential::{masked, masked_at};

/// Characters of a value that people are shown.
const SHOWN_CHARS_MAX: usize = 120;

/// Most changes that one comparison tells; more say that two objects have little in common.
const CHANGES_MAX: usize = 200;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// A field.
    Field(String),
    /// The item of a list that has this name.
    Item {
        /// Its name.
        name: String,
    },
}

/// Where a field is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// A path of fields.
    pub fn fields<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| Step::Field(name.to_owned())).collect())
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn field(mut self, name: &str) -> Self {
        self.0.push(Step::Field(name.to_owned()));
        self
    }

    /// The item called `name` of the list at this path.
    #[must_use]
    pub fn item(mut self, name: &str) -> Self {
        self.0.push(Step::Item { name: name.to_owned() });
        self
    }

    /// The value at this path; nothing where there is none.
    pub fn of<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Item { name } => value.as_array()?.iter().find(|item| item["name"] == name.as_str()),
        })
    }

    /// Whether a JSON pointer covers this path, `*` standing for any one step and a name for its item.
    pub fn is_below(&self, pointer: &str) -> bool {
        let Some(rest) = pointer.strip_prefix('/') else { return false };
        let parts: Vec<String> =
            rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        let covers = |(part, step): (&String, &Step)| {
            let (Step::Field(name) | Step::Item { name }) = step;
            part == "*" || part == name
        };
        parts.len() <= self.0.len() && parts.iter().zip(&self.0).all(covers)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Item { name } => write!(f, "[{name}]")?,
                Step::Field(name) if name.contains(['.', '/']) => write!(f, "['{name}']")?,
                Step::Field(name) if index == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// A field that becomes another; null stands for "is not there".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which field.
    pub path: FieldPath,
    /// What it was.
    #[serde(default)]
    pub from: Value,
    /// What it becomes.
    #[serde(default)]
    pub to: Value,
}

impl Change {
    /// The change that sets `path` of `object` to `to`.
    pub fn of(object: &Value, path: FieldPath, to: Value) -> Self {
        let from = path.of(object).cloned().unwrap_or_default();
        Self { path, from, to }
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self { path: self.path.clone(), from: self.to.clone(), to: self.from.clone() }
    }

    /// Whether it changes the template of a workload, which its rollout then carries to the pods.
    pub fn is_in_template(&self) -> bool {
        self.path.is_below("/spec/template")
    }

    /// The same change, told of each field or named item on the next level: for what appears or goes away as a whole.
    /// None where there is no next level.
    pub fn parts(&self) -> Option<Vec<Self>> {
        let (whole, appears) = match (&self.from, &self.to) {
            (Value::Null, to) => (to, true),
            (from, Value::Null) => (from, false),
            _ => return None,
        };
        let part = |path: FieldPath, value: &Value| {
            let (from, to) =
                if appears { (Value::Null, value.clone()) } else { (value.clone(), Value::Null) };
            Self { path, from, to }
        };
        match whole {
            Value::Object(fields) if !fields.is_empty() => {
                Some(fields.iter().map(|(name, value)| part(self.path.clone().field(name), value)).collect())
            }
            Value::Array(items) if !items.is_empty() && have_names(items) => {
                let named = |item: &Value| item["name"].as_str().unwrap_or_default().to_owned();
                Some(items.iter().map(|item| part(self.path.clone().item(&named(item)), item)).collect())
            }
            _ => None,
        }
    }

    /// What the field is now, where that is neither what the change was planned over nor what it makes.
    pub fn is_stale<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        let now = self.path.of(object).unwrap_or(&Value::Null);
        (*now != self.from && *now != self.to).then_some(now)
    }

    /// A value of this field for people, who see no variable's.
    pub fn shown(&self, value: &Value) -> String {
        on_one_line(&masked_at(&self.path, value))
    }

    /// Whether this is something that the server writes by itself at each change, or a controller into a status.
    pub fn is_noise(&self) -> bool {
        let field = |index: usize| match self.path.0.get(index) {
            Some(Step::Field(name)) => name.as_str(),
            _ => "",
        };
        match field(0) {
            "status" => true,
            "metadata" => matches!(field(1), "managedFields" | "resourceVersion" | "generation"),
            _ => false,
        }
    }

    /// Whether the field is as the change makes it.
    pub fn is_made(&self, object: &Value) -> bool {
        *self.path.of(object).unwrap_or(&Value::Null) == self.to
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        let (from, to) = (self.shown(&self.from), self.shown(&self.to));
        match (&self.from, &self.to) {
            (Value::Null, _) => write!(f, "{path}: added {to}"),
            (_, Value::Null) => write!(f, "{path}: removed {from}"),
            // Whatever differs is not for people.
            _ if from == to => write!(f, "{path}: changed"),
            _ => write!(f, "{path}: {from} → {to}"),
        }
    }
}

/// A value on one line for people, who see no variable's.
pub fn shown(value: &Value) -> String {
    on_one_line(&masked(value, false))
}

fn on_one_line(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = line.char_indices().nth(SHOWN_CHARS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Everything in which two values differ, at the deepest places.
pub fn compare(from: &Value, to: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(&FieldPath(Vec::new()), from, to, &mut changes);
    changes.truncate(CHANGES_MAX);
    changes
}

fn walk(path: &FieldPath, from: &Value, to: &Value, changes: &mut Vec<Change>) {
    if from == to {
        return;
    }
    match (from, to) {
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let side = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                walk(&path.clone().field(key), &side(before), &side(after), changes);
            }
        }
        (Value::Array(before), Value::Array(after)) if have_names(before) && have_names(after) => {
            let named =
                |items: &[Value], name: &Value| items.iter().find(|item| item["name"] == *name).cloned();
            let added = after.iter().filter(|item| named(before, &item["name"]).is_none());
            for item in before.iter().chain(added) {
                let name = &item["name"];
                let place = path.clone().item(name.as_str().unwrap_or_default());
                let (before, after) = (named(before, name), named(after, name));
                walk(&place, &before.unwrap_or_default(), &after.unwrap_or_default(), changes);
            }
        }
        _ => changes.push(Change { path: path.clone(), from: from.clone(), to: to.clone() }),
    }
}

/// Whether each item has a name of its own, so that it is found by it. An empty list has nothing to find.
fn have_names(items: &[Value]) -> bool {
    let names: Vec<&str> = items.iter().filter_map(|item| item["name"].as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    names.len() == items.len() && sorted.len() == items.len()
}

/// The changes as a strategic merge patch. Only lists whose merge key is `name` may be named in their paths.
pub fn strategic(changes: &[Change]) -> Value {
    let mut patch = json!({});
    for Change { path, from, to } in changes {
        let end = match (path.0.last(), to) {
            (Some(Step::Item { name }), Value::Null) => json!({"name": name, "$patch": "delete"}),
            _ => overlay(from, to),
        };
        put(&mut patch, &path.0, end);
    }
    patch
}

/// What must be merged over one value so that another comes out: fields that go away are null.
fn overlay(from: &Value, to: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (from, to) else { return to.clone() };
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let set = after
        .iter()
        .map(|(key, value)| (key.clone(), overlay(before.get(key).unwrap_or(&Value::Null), value)));
    Value::Object(set.chain(gone).collect())
}

fn put(patch: &mut Value, path: &[Step], end: Value) {
    let Some((step, rest)) = path.split_first() else {
        *patch = end;
        return;
    };
    match step {
        Step::Field(name) => {
            if !patch.is_object() {
                *patch = json!({});
            }
            put(&mut patch[name.as_str()], rest, end);
        }
        Step::Item { name } => {
            if !patch.is_array() {
                *patch = json!([]);
            }
            let items = patch.as_array_mut().expect("it was made a list");
            let position = items.iter().position(|item| item["name"] == name.as_str()).unwrap_or_else(|| {
                items.push(json!({"name": name}));
                items.len() - 1
            });
            if rest.is_empty() && end.is_object() {
                let fields = end.as_object().cloned().unwrap_or_default();
                items[position].as_object_mut().expect("items are objects").extend(fields);
            } else {
                put(&mut items[position], rest, end);
            }
        }
    }
}

/// The changes as a JSON patch (RFC 6902) over `object` as it is now; fields on the way that are missing are made.
pub fn json_patch(object: &Value, changes: &[Change]) -> Vec<Value> {
    let mut operations = Vec::new();
    let mut object = object.clone();
    for Change { path, to, .. } in changes {
        apply(&mut object, &path.0, to, String::new(), &mut operations);
    }
    operations
}

/// An object with the changes made, whatever it was before; fields on the way that are missing are made.
pub fn made(object: &Value, changes: &[Change]) -> Value {
    let mut object = object.clone();
    for Change { path, to, .. } in changes {
        apply(&mut object, &path.0, to, String::new(), &mut Vec::new());
    }
    object
}

/// Makes one change in `value` and writes down the operation that makes it at `pointer`.
fn apply(value: &mut Value, path: &[Step], to: &Value, pointer: String, operations: &mut Vec<Value>) {
    let Some((step, rest)) = path.split_first() else { return };
    let (at, key) = match step {
        Step::Field(name) => (format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), name),
        Step::Item { name } => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let position = items.iter().position(|item| item["name"] == name.as_str());
            (format!("{pointer}/{}", position.map_or("-".to_owned(), |at| at.to_string())), name)
        }
    };
    let slot = match step {
        Step::Field(_) => value.get_mut(key.as_str()),
        Step::Item { name } => {
            value.as_array_mut().and_then(|items| items.iter_mut().find(|item| item["name"] == name.as_str()))
        }
    };
    match (slot, rest.is_empty(), to.is_null()) {
        (Some(_), true, true) => {
            operations.push(json!({"op": "remove", "path": at}));
            remove(value, step);
        }
        (Some(slot), true, false) => {
            operations.push(json!({"op": "replace", "path": at, "value": to}));
            *slot = to.clone();
        }
        (Some(slot), false, _) => apply(slot, rest, to, at, operations),
        (None, _, true) => {}
        (None, _, false) => {
            let made = build(rest, to);
            operations.push(json!({"op": "add", "path": at, "value": made}));
            insert(value, step, made);
        }
    }
}

fn remove(value: &mut Value, step: &Step) {
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => {
            map.remove(name);
        }
        (Step::Item { name }, Value::Array(items)) => items.retain(|item| item["name"] != name.as_str()),
        _ => {}
    }
}

fn insert(value: &mut Value, step: &Step, made: Value) {
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => {
            map.insert(name.clone(), made);
        }
        (Step::Item { .. }, Value::Array(items)) => items.push(made),
        _ => {}
    }
}

/// The value that holds `to` at the end of a path that is not there yet.
fn build(path: &[Step], to: &Value) -> Value {
    let mut made = Value::Null;
    put(&mut made, path, to.clone());
    made
}

/// The changes as a JSON merge patch (RFC 7386). Their paths must not go through lists.
pub fn merge(changes: &[Change]) -> Value {
    let mut patch = json!({});
    for Change { path, from, to } in changes {
        put(&mut patch, &path.0, overlay(from, to));
    }
    patch
}

#[cfg(test)]
mod tests;
