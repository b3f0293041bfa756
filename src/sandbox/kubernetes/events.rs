//! Events as controllers and nodes write them: one object for each reason, counted up when it comes again.

use serde_json::{Value, json};

use super::change;
use super::json::{count, name, namespace, set, stamp, text, uid};
use super::resource::EVENTS;
use super::store::World;

/// One thing to tell about an object.
pub(super) struct Told<'a> {
    pub warning: bool,
    pub reason: &'a str,
    pub message: &'a str,
    /// Who tells it, such as `kubelet`.
    pub source: &'a str,
}

/// Tells something about an object.
pub(super) fn tell(world: &mut World, about: &Value, told: &Told<'_>) {
    let home = if namespace(about).is_empty() { "default" } else { namespace(about) };
    let now = stamp(world.now);
    let key = [uid(about), told.reason, told.message].map(str::to_owned);
    let known = world.play.told.get(&key).and_then(|event| world.find(&EVENTS, home, event));
    if let Some(event) = known {
        let mut event = Value::clone(&event);
        let times = count(&event, "/count") + 1;
        set(&mut event, "/count", times);
        set(&mut event, "/lastTimestamp", now);
        world.save(&EVENTS, event);
        return;
    }
    let suffix = world.letters(16);
    let own = format!("{}.{suffix}", name(about));
    world.play.told.insert(key, own.clone());
    let event = json!({
        "metadata": { "namespace": home, "name": own },
        "involvedObject": {
            "kind": about["kind"],
            "apiVersion": about["apiVersion"],
            "namespace": home,
            "name": name(about),
            "uid": uid(about),
            "resourceVersion": text(about, "/metadata/resourceVersion"),
        },
        "reason": told.reason,
        "message": told.message,
        "source": { "component": told.source },
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": if told.warning { "Warning" } else { "Normal" },
        "eventTime": null,
        "reportingComponent": told.source,
        "reportingInstance": "",
    });
    change::insert(world, &EVENTS, event);
}

/// Something that went as it should.
pub(super) fn normal(world: &mut World, about: &Value, source: &str, reason: &str, message: &str) {
    tell(world, about, &Told { warning: false, reason, message, source });
}

/// Something that went wrong.
pub(super) fn warning(world: &mut World, about: &Value, source: &str, reason: &str, message: &str) {
    tell(world, about, &Told { warning: true, reason, message, source });
}
