//! How a stored object looks through the API that was asked for: the two event APIs show the same events.

use serde_json::{Map, Value};

use super::resource::{NEW_EVENTS, Resource};

/// Fields of an event that have another name in `events.k8s.io/v1`.
const RENAMED: [(&str, &str); 8] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
    ("related", "related"),
];

/// A stored object as this resource shows it.
pub(super) fn shown(resource: &Resource, object: &Value) -> Value {
    if resource == &NEW_EVENTS { renamed(object, resource, |(old, new)| (old, new)) } else { object.clone() }
}

/// An object of this resource as it is stored.
pub(super) fn stored(resource: &'static Resource, object: Value) -> Value {
    if resource == &NEW_EVENTS {
        renamed(&object, resource.storage(), |(old, new)| (new, old))
    } else {
        object
    }
}

fn renamed(
    event: &Value,
    resource: &Resource,
    way: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    let mut shown = Map::new();
    for (field, value) in event.as_object().into_iter().flatten() {
        let new = RENAMED.iter().map(|pair| way(*pair)).find(|(from, _)| from == field);
        shown.insert(new.map_or_else(|| field.clone(), |(_, to)| to.to_owned()), value.clone());
    }
    shown.insert("apiVersion".into(), resource.api_version().into());
    shown.insert("kind".into(), resource.kind.into());
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_looks_different_through_its_two_apis_and_is_the_same() {
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "message": "m", "involvedObject": { "name": "a" }, "count": 2,
        });
        let new = shown(&NEW_EVENTS, &event);
        assert_eq!(new["note"], "m");
        assert_eq!(new["regarding"]["name"], "a");
        assert_eq!(new["apiVersion"], "events.k8s.io/v1");
        assert_eq!(stored(&NEW_EVENTS, new), event);
    }
}
