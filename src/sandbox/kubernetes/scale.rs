//! The scale subresource: the replicas of a workload, seen and set through `autoscaling/v1`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::change::{self, How};
use super::json::{count, name, number, set, text, uid};
use super::resource::Resource;
use super::selector::Labels;
use super::status::{Cause, Refusal};
use super::store::World;

/// A workload as its scale.
pub(super) fn shown(object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = object["metadata"][field].clone();
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": { "replicas": count(object, "/spec/replicas") },
        "status": {
            "replicas": count(object, "/status/replicas"),
            "selector": Labels::of(object.pointer("/spec/selector")).told(),
        },
    })
}

/// Sets the replicas of a workload as a scale says. Its metadata are preconditions.
pub(super) fn write(
    world: &mut World,
    resource: &'static Resource,
    before: &Arc<Value>,
    scale: &Value,
    how: &How,
) -> Result<Value, Refusal> {
    let version = text(scale, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(before, "/metadata/resourceVersion") {
        return Err(Refusal::conflict(resource, name(before)));
    }
    let wanted = uid(scale);
    if !wanted.is_empty() && wanted != uid(before) {
        let why = format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {}",
            uid(before)
        );
        return Err(Refusal::conflict_because(resource, name(before), &why));
    }
    let replicas = number(scale, "/spec/replicas").unwrap_or_default();
    if replicas < 0 {
        let value = json!(replicas);
        let cause = Cause::invalid("spec.replicas", &value, "must be greater than or equal to 0");
        let mut refusal = Refusal::invalid(resource, name(before), &[cause]);
        refusal.message = refusal.message.replacen(&resource.qualified_kind(), "Scale.autoscaling", 1);
        refusal.details["group"] = "autoscaling".into();
        refusal.details["kind"] = "Scale".into();
        return Err(refusal);
    }
    let mut after = Value::clone(before);
    set(&mut after, "/spec/replicas", replicas);
    let after = change::replace(world, resource, before, after, how)?;
    Ok(shown(&after))
}
