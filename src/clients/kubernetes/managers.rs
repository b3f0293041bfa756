//! Who manages a field, by the cluster's own record of it (`metadata.managedFields`).

use std::fmt;

use serde_json::Value;

use super::changes::{FieldPath, Step};
use super::write::FIELD_MANAGER;

/// One who manages a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldManager {
    name: String,
    part: Option<String>,
    at: String,
}

/// All who manage the field at these names. Nobody where the cluster keeps no record.
pub fn managers(object: &Value, field: &FieldPath) -> Vec<FieldManager> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let manages = |entry: &&Value| field.0.iter().try_fold(&entry["fieldsV1"], below).is_some();
    let read = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().map(str::to_owned);
        FieldManager {
            name: text("manager").unwrap_or_default(),
            part: text("subresource"),
            at: text("time").unwrap_or_default(),
        }
    };
    entries.into_iter().flatten().filter(manages).map(read).collect()
}

/// What a record says below one step: `f:NAME` for a field, `k:KEYS` for the item of a list.
fn below<'r>(record: &'r Value, step: &Step) -> Option<&'r Value> {
    match step {
        Step::Field(name) => record.get(format!("f:{name}")),
        Step::Item { name } => record.as_object()?.iter().find_map(|(key, below)| {
            let keys: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
            (keys["name"] == name.as_str()).then_some(below)
        }),
    }
}

impl FieldManager {
    /// Whether that is us.
    pub fn is_us(&self) -> bool {
        self.name == FIELD_MANAGER
    }
}

/// For people, and to be compared: `kubectl (scale) at 2026-11-21T12:00:00Z`.
impl fmt::Display for FieldManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(part) = &self.part {
            write!(f, " ({part})")?;
        }
        write!(f, " at {}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_managed_by_whoever_wrote_it() {
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Update", "time": "2026-11-21T12:00:00Z", "fieldsV1": fields});
        let mut ours = entry(FIELD_MANAGER, json!({"f:spec": {"f:replicas": {}}}));
        ours["subresource"] = json!("scale");
        let other = entry("kubectl", json!({"f:spec": {"f:template": {"f:spec": {}}}}));
        let object = json!({"metadata": {"managedFields": [ours, other]}});
        let [one] = &managers(&object, &FieldPath::fields(["spec", "replicas"]))[..] else { panic!("one") };
        assert_eq!(
            (one.is_us(), one.to_string()),
            (true, "smokejumper (scale) at 2026-11-21T12:00:00Z".into())
        );
        assert!(
            managers(&object, &FieldPath::fields(["spec", "template", "spec"]))
                .iter()
                .all(|manager| !manager.is_us())
        );
        assert_eq!(managers(&object, &FieldPath::fields(["spec", "paused"])), []);
        assert_eq!(managers(&json!({}), &FieldPath::fields(["spec"])), []);
    }
}
