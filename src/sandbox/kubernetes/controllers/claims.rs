//! Claims of volumes: bound at once where there is such a class of storage, and grown when they ask for more.

use serde_json::Value;

use super::super::json::{is_deleting, name, set, text};
use super::super::resource::{CLAIMS, STORAGE_CLASSES};
use super::super::store::World;

pub(super) fn sync(world: &mut World) {
    for claim in world.all(&CLAIMS) {
        let class = text(&claim, "/spec/storageClassName");
        let has_class = world.find(&STORAGE_CLASSES, "", class).is_some();
        if !has_class || is_deleting(&claim) {
            continue;
        }
        let mut after = Value::clone(&claim);
        let volume = format!("pvc-{}", name(&claim));
        super::super::json::set_default(&mut after, "/spec/volumeName", volume);
        set(&mut after, "/status/phase", "Bound");
        set(&mut after, "/status/accessModes", claim["spec"]["accessModes"].clone());
        set(&mut after, "/status/capacity", claim["spec"]["resources"]["requests"].clone());
        world.save(&CLAIMS, after);
    }
}
