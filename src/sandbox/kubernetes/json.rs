//! Reading and writing JSON values by pointer, forgiving about what is missing.
//!
//! Objects of the API are kept as plain values, so that nothing a client sent is lost in types of our own.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The text at a pointer; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a pointer.
pub(super) fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// The whole number at a pointer; 0 where there is none.
pub(super) fn count(value: &Value, pointer: &str) -> i64 {
    number(value, pointer).unwrap_or_default()
}

/// Whether `true` stands at a pointer.
pub(super) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The items at a pointer; none where there is no list.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The map at a pointer.
pub(super) fn fields<'a>(value: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    value.pointer(pointer).and_then(Value::as_object)
}

/// Sets a value at a pointer; maps on the way are made.
pub(super) fn set(value: &mut Value, pointer: &str, new: impl Into<Value>) {
    let mut place = value;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let map = place.as_object_mut().expect("it was just made a map");
        place = map.entry(token).or_insert(Value::Null);
    }
    *place = new.into();
}

/// Sets a value at a pointer where there is none yet.
pub(super) fn set_default(value: &mut Value, pointer: &str, new: impl Into<Value>) {
    if value.pointer(pointer).is_none_or(Value::is_null) {
        set(value, pointer, new);
    }
}

/// Takes a field out of the map that holds it.
pub(super) fn remove(value: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, last) = pointer.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    value.pointer_mut(parent)?.as_object_mut()?.remove(&last)
}

/// A key as one token of a pointer.
pub(super) fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `metadata.name`.
pub(super) fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

/// `metadata.namespace`; empty for what lies in none.
pub(super) fn namespace(value: &Value) -> &str {
    text(value, "/metadata/namespace")
}

/// `metadata.uid`.
pub(super) fn uid(value: &Value) -> &str {
    text(value, "/metadata/uid")
}

/// An annotation.
pub(super) fn annotation<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    fields(value, "/metadata/annotations")?.get(key)?.as_str()
}

/// Sets an annotation.
pub(super) fn annotate(value: &mut Value, key: &str, text: &str) {
    set(value, &format!("/metadata/annotations/{}", token(key)), text);
}

/// A label.
pub(super) fn label<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    fields(value, "/metadata/labels")?.get(key)?.as_str()
}

/// Whether it is being deleted.
pub(super) fn is_deleting(value: &Value) -> bool {
    value.pointer("/metadata/deletionTimestamp").is_some()
}

/// The owner that controls it: its kind and its uid.
pub(super) fn controller(value: &Value) -> Option<(&str, &str)> {
    let owner = items(value, "/metadata/ownerReferences").iter().find(|owner| flag(owner, "/controller"))?;
    Some((text(owner, "/kind"), text(owner, "/uid")))
}

/// A point in time as `metav1.Time` writes it.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The point in time at a pointer.
pub(super) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer).parse().ok()
}

/// The condition of a type in `status.conditions`.
pub(super) fn condition<'a>(value: &'a Value, kind: &str) -> Option<&'a Value> {
    items(value, "/status/conditions").iter().find(|condition| text(condition, "/type") == kind)
}

/// Whether the condition of a type is true.
pub(super) fn is_true(value: &Value, kind: &str) -> bool {
    condition(value, kind).is_some_and(|condition| text(condition, "/status") == "True")
}
