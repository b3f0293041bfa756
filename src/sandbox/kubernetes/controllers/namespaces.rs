//! Namespaces: each gets its service account and the cluster's root certificate, and empties itself when it is deleted.

use serde_json::{Value, json};

use super::super::change;
use super::super::json::{is_deleting, items, name, namespace, remove, set};
use super::super::resource::{CONFIG_MAPS, NAMESPACES, PODS, RESOURCES, SERVICE_ACCOUNTS};
use super::super::store::World;

pub(super) fn sync(world: &mut World) {
    for home in world.all(&NAMESPACES) {
        if is_deleting(&home) {
            empty(world, &home);
        } else {
            furnish(world, name(&home));
        }
    }
}

fn furnish(world: &mut World, home: &str) {
    if world.find(&SERVICE_ACCOUNTS, home, "default").is_none() {
        let account = json!({ "metadata": { "namespace": home, "name": "default" } });
        change::insert(world, &SERVICE_ACCOUNTS, account);
    }
    if world.find(&CONFIG_MAPS, home, "kube-root-ca.crt").is_none() {
        let certificate = json!({
            "metadata": { "namespace": home, "name": "kube-root-ca.crt" },
            "data": { "ca.crt": "the sandbox speaks plain HTTP" },
        });
        change::insert(world, &CONFIG_MAPS, certificate);
    }
}

fn empty(world: &mut World, home: &Value) {
    let mut left = false;
    for resource in
        RESOURCES.iter().filter(|resource| resource.namespaced && resource.storage() == **resource)
    {
        for object in world.within(resource, name(home)) {
            if !items(&object, "/metadata/finalizers").is_empty() && !is_deleting(&object) {
                let asked =
                    change::Deletion { propagation: "Background".into(), ..change::Deletion::default() };
                // Without preconditions a deletion cannot be refused.
                change::delete(world, resource, &object, &asked).ok();
            }
            // What has finalizers of its own goes when they are gone; a pod is simply stopped.
            let own = items(&object, "/metadata/finalizers");
            if own.is_empty() || *resource == &PODS {
                world.erase(resource, namespace(&object), name(&object));
            } else {
                left = true;
            }
        }
    }
    if left {
        return;
    }
    let mut done = home.clone();
    remove(&mut done, "/spec/finalizers");
    set(&mut done, "/status/phase", "Terminating");
    world.save(&NAMESPACES, done);
    world.erase(&NAMESPACES, "", name(home));
}
