//! Strategic merge patches: lists of the built-in types are merged by the key that their schema names.

use serde_json::{Map, Value};

use super::status::Refusal;

/// Fields whose lists are merged, with the key of their items. `ports` depends on where it stands.
const MERGE_KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("resourceClaims", "name"),
    ("topologySpreadConstraints", "topologyKey"),
    ("conditions", "type"),
    ("ownerReferences", "uid"),
    ("secrets", "name"),
    ("addresses", "type"),
];
/// Lists of plain values that are merged as sets.
const MERGED_SETS: [&str; 1] = ["finalizers"];

/// The key by which a list at a field is merged; none where it is replaced as a whole.
pub(super) fn merge_key(field: &str, holder: &Map<String, Value>) -> Option<&'static str> {
    if field == "ports" {
        // A container has an image or is named by its patch alone; a Service has neither.
        let in_service = holder.contains_key("selector") || holder.contains_key("clusterIP");
        return Some(if in_service { "port" } else { "containerPort" });
    }
    MERGE_KEYS.iter().find(|(name, _)| *name == field).map(|(_, key)| *key)
}

/// Whether a list of plain values is merged as a set.
pub(super) fn is_set(field: &str) -> bool {
    MERGED_SETS.contains(&field)
}

/// Merges a patch into an object.
pub(super) fn merge(target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let Value::Object(patch) = patch else {
        return Err(Refusal::bad_request("the patch is no JSON object"));
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let map = target.as_object_mut().expect("it was just made a map");
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *map = patch.iter().filter(|(key, _)| *key != "$patch").map(owned).collect();
            return Ok(());
        }
        Some("delete") => {
            map.clear();
            return Ok(());
        }
        _ => {}
    }
    merge_fields(map, patch)?;
    retain(map, patch);
    Ok(())
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn merge_fields(map: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Refusal> {
    for (field, value) in patch {
        if let Some(field) = field.strip_prefix("$deleteFromPrimitiveList/") {
            delete_from_set(map, field, value);
            continue;
        }
        if field.starts_with('$') {
            continue;
        }
        match value {
            Value::Null => {
                map.remove(field);
            }
            Value::Object(_) => merge(map.entry(field.clone()).or_insert(Value::Null), value)?,
            Value::Array(items) => {
                let key = merge_key(field, map).filter(|_| items.iter().all(Value::is_object));
                let order = patch.get(&format!("$setElementOrder/{field}"));
                let list = map.entry(field.clone()).or_insert_with(|| Value::Array(Vec::new()));
                if !list.is_array() {
                    *list = Value::Array(Vec::new());
                }
                let list = list.as_array_mut().expect("it was just made a list");
                match key {
                    Some(key) => merge_list(list, items, key, order)?,
                    None if is_set(field) => merge_set(list, items),
                    None => *list = items.clone(),
                }
            }
            plain => {
                map.insert(field.clone(), plain.clone());
            }
        }
    }
    Ok(())
}

fn merge_list(
    list: &mut Vec<Value>,
    items: &[Value],
    key: &str,
    order: Option<&Value>,
) -> Result<(), Refusal> {
    if items.iter().any(|item| item["$patch"] == "replace") {
        list.clear();
    }
    for item in items {
        let directive = item.get("$patch").and_then(Value::as_str);
        let Some(wanted) = item.get(key) else {
            if directive == Some("replace") {
                continue;
            }
            let message = format!("map: {item} does not contain declared merge key: {key}");
            return Err(Refusal::new(500, "", message));
        };
        let place = list.iter().position(|has| has.get(key) == Some(wanted));
        match (directive, place) {
            (Some("delete"), Some(place)) => {
                list.remove(place);
            }
            (Some("delete"), None) => {}
            (_, Some(place)) => merge(&mut list[place], item)?,
            (_, None) => {
                let mut new = Value::Null;
                merge(&mut new, item)?;
                list.push(new);
            }
        }
    }
    if let Some(Value::Array(order)) = order {
        let rank = |item: &Value| {
            let at = order.iter().position(|wanted| wanted.get(key) == item.get(key));
            at.unwrap_or(order.len())
        };
        list.sort_by_key(rank);
    }
    Ok(())
}

fn merge_set(list: &mut Vec<Value>, items: &[Value]) {
    for item in items {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

fn delete_from_set(map: &mut Map<String, Value>, field: &str, gone: &Value) {
    let gone = gone.as_array().map_or(&[] as &[Value], Vec::as_slice);
    if let Some(Value::Array(list)) = map.get_mut(field) {
        list.retain(|item| !gone.contains(item));
    }
}

/// `$retainKeys`: of this map only these fields stay, as the volumes' union of sources needs it.
fn retain(map: &mut Map<String, Value>, patch: &Map<String, Value>) {
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        map.retain(|key, _| kept.iter().any(|kept| kept == key));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut target: Value, patch: &Value) -> Value {
        merge(&mut target, patch).expect("a good patch");
        target
    }

    #[test]
    fn containers_and_env_are_merged_by_their_names_and_new_ones_added() {
        let before = json!({ "containers": [
            { "name": "app", "image": "a:1", "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] },
            { "name": "side", "image": "s:1" },
        ]});
        let patch = json!({ "containers": [{ "name": "app", "image": "a:2", "env": [{ "name": "B", "value": "3" }, { "name": "C", "value": "4" }] }] });
        let after = merged(before, &patch);
        assert_eq!(after["containers"][0]["image"], "a:2");
        assert_eq!(after["containers"][1]["image"], "s:1");
        let env = json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "3" }, { "name": "C", "value": "4" }]);
        assert_eq!(after["containers"][0]["env"], env);
    }

    #[test]
    fn lists_without_a_key_and_directives_replace_and_delete() {
        let before =
            json!({ "args": ["a"], "env": [{ "name": "A" }, { "name": "B" }], "m": { "x": 1, "y": 2 } });
        let patch = json!({
            "args": ["b", "c"],
            "env": [{ "name": "A", "$patch": "delete" }],
            "m": { "$patch": "replace", "z": 3 },
        });
        assert_eq!(
            merged(before, &patch),
            json!({ "args": ["b", "c"], "env": [{ "name": "B" }], "m": { "z": 3 } })
        );
        let before =
            json!({ "finalizers": ["a", "b"], "strategy": { "type": "RollingUpdate", "rollingUpdate": {} } });
        let patch = json!({
            "$deleteFromPrimitiveList/finalizers": ["a"],
            "finalizers": ["c"],
            "strategy": { "$retainKeys": ["type"], "type": "Recreate" },
        });
        let after = merged(before, &patch);
        assert_eq!(after["strategy"], json!({ "type": "Recreate" }));
        assert_eq!(after["finalizers"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        let mut target = json!({ "containers": [] });
        let refused = merge(&mut target, &json!({ "containers": [{ "image": "a" }] })).expect_err("no name");
        assert_eq!(refused.code, 500);
    }
}
