//! The revisions of StatefulSets and DaemonSets: a ControllerRevision for each template, with the patch that restores it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::change;
use super::super::json::{count, fields, name, namespace, set};
use super::super::resource::REVISIONS;
use super::super::store::{World, hash_of};
use super::{owned, owner_reference};

/// The label with the hash of a revision, on revisions and pods.
pub(super) const HASH: &str = "controller-revision-hash";

/// The revision of the present template. One that was there before gets the highest number again.
pub(super) fn current(world: &mut World, owner: &Value) -> Arc<Value> {
    let data = data(owner);
    let mut all = owned(world, &REVISIONS, owner);
    all.sort_by_key(|revision| count(revision, "/revision"));
    let highest = all.last().map_or(0, |last| count(last, "/revision"));
    let same = all.iter().find(|revision| revision["data"] == data).cloned();
    match same {
        Some(same) if count(&same, "/revision") == highest => same,
        Some(same) => {
            let mut after = Value::clone(&same);
            set(&mut after, "/revision", highest + 1);
            world.save(&REVISIONS, after)
        }
        None => {
            let hash = hash_of(&data, count(owner, "/status/collisionCount"));
            let mut labels = fields(owner, "/spec/template/metadata/labels").cloned().unwrap_or_default();
            labels.insert(HASH.into(), hash.as_str().into());
            let made = json!({
                "metadata": {
                    "namespace": namespace(owner),
                    "name": format!("{}-{hash}", name(owner)),
                    "labels": labels,
                    "ownerReferences": owner_reference(owner),
                },
                "data": data,
                "revision": highest + 1,
            });
            change::insert(world, &REVISIONS, made)
        }
    }
}

/// The patch that brings a template back: replaced as a whole.
fn data(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    set(&mut template, "/$patch", "replace");
    json!({ "spec": { "template": template } })
}

/// Forgets revisions beyond the limit that no pod uses.
pub(super) fn forget_old(world: &mut World, owner: &Value, used: &[&str]) {
    let limit = super::super::json::number(owner, "/spec/revisionHistoryLimit").unwrap_or(10);
    let limit = usize::try_from(limit).unwrap_or_default();
    let mut all = owned(world, &REVISIONS, owner);
    all.retain(|revision| !used.contains(&name(revision)));
    all.sort_by_key(|revision| count(revision, "/revision"));
    for revision in &all[..all.len().saturating_sub(limit)] {
        world.erase(&REVISIONS, namespace(revision), name(revision));
    }
}

/// The hash by which the pods of a revision are told apart. A StatefulSet's pods carry the revision's whole name.
pub(super) fn template_with(owner: &Value, hash: &str, extra: &[(&str, &str)]) -> Value {
    let mut template = owner["spec"]["template"].clone();
    for (key, value) in std::iter::once(&(HASH, hash)).chain(extra) {
        set(&mut template, &format!("/metadata/labels/{}", super::super::json::token(key)), *value);
    }
    let mut with = owner.clone();
    set(&mut with, "/spec/template", template);
    with
}

/// The owner with the template of another revision.
pub(super) fn with_template_of(owner: &Value, revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    template.as_object_mut().map(|template| template.remove("$patch"));
    let mut with = owner.clone();
    set(&mut with, "/spec/template", template);
    with
}
