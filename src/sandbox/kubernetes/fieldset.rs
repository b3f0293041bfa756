//! Sets of fields as `managedFields` writes them: paths of names, keys of list items, and values of sets.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::strategic::{is_set, merge_key};

/// One field: its steps from the root, such as `f:spec`, `k:{"name":"app"}` or `v:"a"`.
pub(super) type Path = Vec<String>;
/// Several fields.
pub(super) type Set = BTreeSet<Path>;

/// Fields that nobody manages: they say what the object is, or the server sets them.
const UNMANAGED: [&str; 14] = [
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.deletionGracePeriodSeconds",
    "metadata.managedFields",
    "metadata.generateName",
    "metadata.selfLink",
    "metadata",
];

/// The step to the item of a list that is merged by its key.
fn item_step(field: &str, holder: &Map<String, Value>, item: &Value) -> Option<String> {
    let key = merge_key(field, holder)?;
    let mut keys = json!({ key: item.get(key)? });
    if field == "ports" {
        keys["protocol"] = item.get("protocol").cloned().unwrap_or_else(|| "TCP".into());
    }
    Some(format!("k:{keys}"))
}

/// All fields of an object that can be managed.
pub(super) fn of(object: &Value) -> Set {
    let mut found = Set::new();
    walk(object, &mut Vec::new(), &mut found);
    found.retain(|path| {
        let words: Vec<&str> = path.iter().map(|step| step.trim_start_matches("f:")).collect();
        !UNMANAGED.contains(&words.join(".").as_str()) && !words.starts_with(&["metadata", "managedFields"])
    });
    found
}

fn walk(value: &Value, path: &mut Path, found: &mut Set) {
    let Value::Object(map) = value else {
        found.insert(path.clone());
        return;
    };
    if map.is_empty() && !path.is_empty() {
        found.insert(path.clone());
    }
    for (field, value) in map {
        path.push(format!("f:{field}"));
        match value {
            Value::Array(items)
                if items.iter().all(|item| item_step(field, map, item).is_some()) && !items.is_empty() =>
            {
                for item in items {
                    path.extend(item_step(field, map, item));
                    found.insert(path.clone());
                    walk(item, path, found);
                    path.pop();
                }
            }
            Value::Array(items) if is_set(field) => {
                for item in items {
                    path.push(format!("v:{item}"));
                    found.insert(path.clone());
                    path.pop();
                }
            }
            Value::Array(_) => {
                found.insert(path.clone());
            }
            other => walk(other, path, found),
        }
        path.pop();
    }
}

/// The value of a field.
pub(super) fn value<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    let mut place = object;
    for step in path {
        place = match step.split_at(2) {
            ("f:", name) => place.get(name)?,
            ("k:", keys) => place.as_array()?.iter().find(|item| has_keys(item, keys))?,
            (_, item) => place.as_array()?.iter().find(|found| is_value(found, item))?,
        };
    }
    Some(place)
}

fn has_keys(item: &Value, keys: &str) -> bool {
    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    keys.iter().all(|(key, value)| {
        item.get(key)
            .or_else(|| (key == "protocol").then_some(&TCP))
            .is_some_and(|has| has == value || (has.is_null() && value == "TCP"))
    })
}

/// Whether an item is the value that a step of a set writes as JSON.
fn is_value(item: &Value, words: &str) -> bool {
    serde_json::from_str::<Value>(words).is_ok_and(|value| *item == value)
}

/// Stands for a protocol that is not stated.
static TCP: Value = Value::Null;

/// Takes a field away.
pub(super) fn remove(object: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else { return };
    let (kind, name) = step.split_at(2);
    if rest.is_empty() {
        match (kind, object) {
            ("f:", Value::Object(map)) => drop(map.remove(name)),
            ("k:", Value::Array(items)) => items.retain(|item| !has_keys(item, name)),
            (_, Value::Array(items)) => items.retain(|item| !is_value(item, name)),
            _ => {}
        }
        return;
    }
    let next = match (kind, object) {
        ("f:", Value::Object(map)) => map.get_mut(name),
        ("k:", Value::Array(items)) => items.iter_mut().find(|item| has_keys(item, name)),
        _ => None,
    };
    if let Some(next) = next {
        remove(next, rest);
    }
}

/// The set as `FieldsV1` writes it.
pub(super) fn written(set: &Set) -> Value {
    let mut root = Map::new();
    for path in set {
        let mut place = &mut root;
        for step in path {
            let next = place.entry(step.clone()).or_insert_with(|| json!({}));
            place = next.as_object_mut().expect("only maps are put in");
        }
        if path.last().is_some_and(|step| step.starts_with("k:")) {
            place.insert(".".into(), json!({}));
        }
    }
    Value::Object(root)
}

/// Reads what `FieldsV1` says.
pub(super) fn read(fields: &Value) -> Set {
    let mut found = Set::new();
    read_into(fields, &mut Vec::new(), &mut found);
    found
}

fn read_into(fields: &Value, path: &mut Path, found: &mut Set) {
    let Some(map) = fields.as_object() else { return };
    if (map.is_empty() || map.contains_key(".")) && !path.is_empty() {
        found.insert(path.clone());
    }
    for (step, rest) in map.iter().filter(|(step, _)| *step != ".") {
        path.push(step.clone());
        read_into(rest, path, found);
        path.pop();
    }
}

/// A field as people read it: `.spec.containers[name="app"].image`.
pub(super) fn told(path: &[String]) -> String {
    let step = |step: &String| match step.split_at(2) {
        ("f:", name) => format!(".{name}"),
        ("k:", keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        (_, value) => format!("[={value}]"),
    };
    path.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_and_read_as_the_same() {
        let object = json!({
            "apiVersion": "apps/v1",
            "metadata": { "name": "a", "labels": { "x": "y" }, "finalizers": ["f/1"] },
            "spec": { "replicas": 3, "template": { "spec": { "containers": [
                { "name": "app", "image": "a:1", "args": ["b"], "ports": [{ "containerPort": 80 }] },
            ] } } },
        });
        let set = of(&object);
        assert_eq!(read(&written(&set)), set);
        let told: Vec<String> = set.iter().map(|path| told(path)).collect();
        assert!(told.contains(&".spec.template.spec.containers[name=\"app\"].image".to_owned()), "{told:?}");
        assert!(told.contains(&".metadata.finalizers[=\"f/1\"]".to_owned()), "{told:?}");
        assert!(!told.iter().any(|path| path == ".metadata.name" || path == ".apiVersion"), "{told:?}");
        for path in &set {
            assert!(value(&object, path).is_some(), "{path:?}");
        }
        let mut less = object.clone();
        set.iter().for_each(|path| remove(&mut less, path));
        assert_eq!(
            of(&less).iter().filter(|path| set.contains(*path) && path.len() > 2).count(),
            0,
            "{less}"
        );
    }
}
