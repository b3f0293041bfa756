//! The garbage collector: dependents go when all of their owners are gone, and owners wait where they were told to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::change::{self, Deletion, FOREGROUND, ORPHAN};
use super::super::json::{flag, is_deleting, items, remove, set, text, uid};
use super::super::resource::{EVENTS, RESOURCES, Resource};
use super::super::store::World;

pub(super) fn sync(world: &mut World) {
    let mut there = BTreeSet::new();
    let mut dependents = Vec::new();
    let mut owners = Vec::new();
    // Events own nothing and are owned by nobody, and there are many of them.
    let kept = |resource: &&&'static Resource| resource.storage() == **resource && **resource != &EVENTS;
    for resource in RESOURCES.iter().filter(kept) {
        for object in world.all(resource) {
            there.insert(uid(&object).to_owned());
            if !items(&object, "/metadata/ownerReferences").is_empty() {
                dependents.push((*resource, object.clone()));
            }
            if is_deleting(&object) && !items(&object, "/metadata/finalizers").is_empty() {
                owners.push((*resource, object));
            }
        }
    }
    for (resource, owner) in owners {
        let finalizers = items(&owner, "/metadata/finalizers");
        if finalizers.iter().any(|finalizer| finalizer == ORPHAN) {
            set_free(world, &dependents, &owner);
            change::release(world, resource, &owner, ORPHAN);
            // What was set free is no dependent any more; the next round sees it so.
            return;
        }
        if finalizers.iter().any(|finalizer| finalizer == FOREGROUND) {
            wait_for_dependents(world, &dependents, resource, &owner);
        }
    }
    for (resource, dependent) in dependents {
        let references = items(&dependent, "/metadata/ownerReferences");
        let all_gone = references.iter().all(|owner| !there.contains(text(owner, "/uid")));
        if all_gone && !is_deleting(&dependent) {
            let asked = Deletion { propagation: "Background".into(), ..Deletion::default() };
            // Without preconditions a deletion cannot be refused.
            change::delete(world, resource, &dependent, &asked).ok();
        }
    }
}

type Found = (&'static Resource, std::sync::Arc<Value>);

fn set_free(world: &mut World, dependents: &[Found], owner: &Value) {
    for (resource, dependent) in dependents {
        let references = items(dependent, "/metadata/ownerReferences");
        let left: Vec<Value> =
            references.iter().filter(|reference| text(reference, "/uid") != uid(owner)).cloned().collect();
        if left.len() == references.len() {
            continue;
        }
        let mut free = Value::clone(dependent);
        if left.is_empty() {
            remove(&mut free, "/metadata/ownerReferences");
        } else {
            set(&mut free, "/metadata/ownerReferences", left);
        }
        world.save(resource, free);
    }
}

fn wait_for_dependents(world: &mut World, dependents: &[Found], resource: &'static Resource, owner: &Value) {
    let holds = |object: &Value| {
        let references = items(object, "/metadata/ownerReferences");
        references
            .iter()
            .any(|reference| text(reference, "/uid") == uid(owner) && flag(reference, "/blockOwnerDeletion"))
    };
    let mut waiting = false;
    for (resource, dependent) in dependents.iter().filter(|(_, dependent)| holds(dependent)) {
        waiting = true;
        if !is_deleting(dependent) {
            let asked = Deletion { propagation: "Foreground".into(), ..Deletion::default() };
            // Without preconditions a deletion cannot be refused.
            change::delete(world, resource, dependent, &asked).ok();
        }
    }
    if !waiting {
        change::release(world, resource, owner, FOREGROUND);
    }
}
