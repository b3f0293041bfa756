//! Who manages which field: `metadata.managedFields`, kept for every write of a client.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::change::How;
use super::json::{items, set, stamp, text};

/// Notes that a manager wrote an object.
pub(super) fn note(before: Option<&Value>, after: &mut Value, how: &How, now: Timestamp) {
    let mut entries: Vec<Value> =
        before.map_or_else(Vec::new, |before| items(before, "/metadata/managedFields").to_vec());
    let is_same = |entry: &Value| {
        text(entry, "/manager") == how.manager
            && text(entry, "/operation") == "Update"
            && text(entry, "/subresource") == how.subresource
    };
    entries.retain(|entry| !is_same(entry));
    entries.push(json!({
        "manager": how.manager,
        "operation": "Update",
        "apiVersion": after["apiVersion"],
        "time": stamp(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    }));
    set(after, "/metadata/managedFields", entries);
}
