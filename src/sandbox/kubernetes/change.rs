//! Making, changing and deleting objects by the rules of the API: identity, versions, generations, preconditions.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::json::{count, is_deleting, items, name, number, remove, set, set_default, stamp, text, uid};
use super::managed;
use super::resource::{NAMESPACES, Resource};
use super::status::Refusal;
use super::store::World;
use super::{defaults, validate};

/// The finalizer that keeps an owner until its dependents are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that keeps an owner until its dependents are set free.
pub(super) const ORPHAN: &str = "orphan";

/// How a write is to be done.
#[derive(Clone, Debug, Default)]
pub(super) struct How {
    pub dry_run: bool,
    pub manager: String,
    /// `status`, `scale`; empty for the object itself.
    pub subresource: String,
    /// A server-side apply, which looks after the managers of fields itself.
    pub is_apply: bool,
    /// A patch: another identity in it is an invalid change of a fixed field, and no failed precondition.
    pub is_patch: bool,
}

/// What is asked of a deletion.
#[derive(Clone, Debug, Default)]
pub(super) struct Deletion {
    pub dry_run: bool,
    pub uid: Option<String>,
    pub version: Option<String>,
    pub grace_seconds: Option<i64>,
    /// `Background`, `Foreground`, `Orphan`; empty for the usual one.
    pub propagation: String,
}

/// Makes an object that a client sent.
pub(super) fn create(
    world: &mut World,
    resource: &'static Resource,
    namespace: &str,
    mut object: Value,
    how: &How,
) -> Result<Arc<Value>, Refusal> {
    check_kind(resource, &object)?;
    check_namespace(world, resource, namespace, &mut object)?;
    let prefix = text(&object, "/metadata/generateName").to_owned();
    if name(&object).is_empty() && !prefix.is_empty() {
        let name = format!("{prefix}{}", world.letters(5));
        set(&mut object, "/metadata/name", name);
    }
    if !text(&object, "/metadata/resourceVersion").is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Refusal::bad_request(message));
    }
    if resource.has_status() {
        remove(&mut object, "/status");
    }
    for own in ["uid", "creationTimestamp", "deletionTimestamp", "managedFields", "generation", "selfLink"] {
        remove(&mut object, &format!("/metadata/{own}"));
    }
    prepare(world, resource, &mut object);
    validate::new(resource, &object)?;
    if world.find(resource, namespace, name(&object)).is_some() {
        return Err(Refusal::already_exists(resource, name(&object)));
    }
    if !how.is_apply {
        managed::note(None, &mut object, how, world.now);
    }
    Ok(keep(world, resource, object, how))
}

/// Makes an object that a client applied: the managers of its fields are known already.
pub(super) fn create_applied(
    world: &mut World,
    resource: &'static Resource,
    namespace: &str,
    mut object: Value,
    how: &How,
) -> Result<Arc<Value>, Refusal> {
    let managed = remove(&mut object, "/metadata/managedFields").unwrap_or_default();
    // Looked at without being kept, so that its managers can be written before it is.
    let made = create(world, resource, namespace, object, &How { dry_run: true, ..how.clone() })?;
    let mut made = Value::clone(&made);
    set(&mut made, "/metadata/managedFields", managed);
    Ok(keep(world, resource, made, how))
}

/// Puts an object into the cluster that no client sent: a controller's own, or a scenario's.
pub(super) fn insert(world: &mut World, resource: &'static Resource, mut object: Value) -> Arc<Value> {
    prepare(world, resource, &mut object);
    world.save(resource, object)
}

/// Gives a new object what the server gives it.
fn prepare(world: &mut World, resource: &'static Resource, object: &mut Value) {
    set(object, "/apiVersion", resource.api_version());
    set(object, "/kind", resource.kind);
    if resource.namespaced {
        set_default(object, "/metadata/namespace", "default");
    }
    let (id, now) = (world.new_uid(), stamp(world.now));
    set_default(object, "/metadata/uid", id);
    set_default(object, "/metadata/creationTimestamp", now);
    if resource.counts_generations {
        set_default(object, "/metadata/generation", 1);
    }
    defaults::fill(resource, object);
    match resource.plural {
        "namespaces" => set_default(object, "/status", json!({ "phase": "Active" })),
        "pods" => set_default(object, "/status", json!({ "phase": "Pending", "qosClass": "BestEffort" })),
        "deployments" | "statefulsets" | "daemonsets" | "jobs" => set_default(object, "/status", json!({})),
        "replicasets" => set_default(object, "/status", json!({ "replicas": 0 })),
        _ => {}
    }
    if resource.plural == "jobs" {
        job_selector(object);
    }
}

/// A Job finds its pods by its own identity.
fn job_selector(object: &mut Value) {
    if object.pointer("/spec/manualSelector") == Some(&json!(true)) {
        return;
    }
    let (id, name) = (uid(object).to_owned(), name(object).to_owned());
    set_default(
        object,
        "/spec/selector",
        json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": id } }),
    );
    let labels = [
        ("batch.kubernetes.io/controller-uid", &id),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &id),
        ("job-name", &name),
    ];
    for (key, value) in labels {
        let pointer = format!("/spec/template/metadata/labels/{}", super::json::token(key));
        set_default(object, &pointer, value.as_str());
    }
}

fn check_kind(resource: &Resource, object: &Value) -> Result<(), Refusal> {
    if !object.is_object() {
        return Err(Refusal::bad_request("the body of the request is no JSON object"));
    }
    let (kind, version) = (text(object, "/kind"), text(object, "/apiVersion"));
    if (!kind.is_empty() && kind != resource.kind)
        || (!version.is_empty() && version != resource.api_version())
    {
        let message = format!(
            "the API version in the data ({version}, {kind}) does not match the expected API version ({}, {})",
            resource.api_version(),
            resource.kind
        );
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

fn check_namespace(
    world: &World,
    resource: &Resource,
    namespace: &str,
    object: &mut Value,
) -> Result<(), Refusal> {
    if !resource.namespaced {
        return Ok(());
    }
    let own = super::json::namespace(object).to_owned();
    if !own.is_empty() && own != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(message));
    }
    set(object, "/metadata/namespace", namespace);
    let Some(home) = world.find(&NAMESPACES, "", namespace) else {
        return Err(Refusal::not_found(&NAMESPACES, namespace));
    };
    if is_deleting(&home) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = super::status::Cause {
            reason: "NamespaceTerminating",
            field: "metadata.namespace".into(),
            message: format!("namespace {namespace} is being terminated"),
        };
        return Err(Refusal::forbidden(resource, name(object), &why).with_causes(&[cause]));
    }
    Ok(())
}

/// Puts a changed object in the place of the one that stands there.
pub(super) fn replace(
    world: &mut World,
    resource: &'static Resource,
    before: &Arc<Value>,
    mut after: Value,
    how: &How,
) -> Result<Arc<Value>, Refusal> {
    check_kind(resource, &after)?;
    check_identity(resource, before, &after, how)?;
    keep_own_fields(before, &mut after);
    if how.subresource == "status" {
        let status = after.get("status").cloned().unwrap_or_default();
        // A custom resource keeps nothing beside its status.
        let annotations = after.pointer("/metadata/annotations").filter(|_| resource.built_in).cloned();
        after = Value::clone(before);
        set(&mut after, "/status", status);
        if let Some(annotations) = annotations {
            set(&mut after, "/metadata/annotations", annotations);
        }
    } else if resource.has_status() {
        match before.get("status") {
            Some(status) => set(&mut after, "/status", status.clone()),
            None => drop(remove(&mut after, "/status")),
        }
    }
    defaults::fill(resource, &mut after);
    validate::change(resource, before, &after)?;
    if resource.counts_generations && is_new_generation(resource, before, &after, how) {
        set(&mut after, "/metadata/generation", count(before, "/metadata/generation") + 1);
    }
    if !how.is_apply {
        managed::note(Some(before), &mut after, how, world.now);
    }
    let done =
        is_deleting(&after) && items(&after, "/metadata/finalizers").is_empty() && resource.plural != "pods";
    if done && !how.dry_run {
        let last = world.save(resource, after);
        world.erase(resource, super::json::namespace(&last), name(&last));
        return Ok(last);
    }
    Ok(keep(world, resource, after, how))
}

/// Whether a change counts: that of a spec, and for a Deployment that of its annotations, since its ReplicaSets get them.
fn is_new_generation(resource: &Resource, before: &Value, after: &Value, how: &How) -> bool {
    let differs = |pointer: &str| before.pointer(pointer) != after.pointer(pointer);
    let copies = resource.plural == "deployments" && how.subresource != "status";
    differs("/spec") || (copies && differs("/metadata/annotations"))
}

fn check_identity(resource: &Resource, before: &Value, after: &Value, how: &How) -> Result<(), Refusal> {
    let (was, is) = (name(before), name(after));
    if was != is {
        let message = format!("the name of the object ({is}) does not match the name on the URL ({was})");
        return Err(Refusal::bad_request(message));
    }
    let version = text(after, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(before, "/metadata/resourceVersion") {
        return Err(Refusal::conflict(resource, was));
    }
    if !uid(after).is_empty() && uid(after) != uid(before) && how.is_patch {
        let cause = super::status::Cause::invalid("metadata.uid", &json!(uid(after)), "field is immutable");
        return Err(Refusal::invalid(resource, was, &[cause]));
    }
    if !uid(after).is_empty() && uid(after) != uid(before) {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            uid(after),
            uid(before)
        );
        return Err(Refusal::conflict_because(resource, was, &why));
    }
    Ok(())
}

/// What a client cannot change about an object.
fn keep_own_fields(before: &Value, after: &mut Value) {
    set(after, "/kind", before["kind"].clone());
    set(after, "/apiVersion", before["apiVersion"].clone());
    for field in [
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "resourceVersion",
    ] {
        let pointer = format!("/metadata/{field}");
        match before.pointer(&pointer) {
            Some(value) => set(after, &pointer, value.clone()),
            None => drop(remove(after, &pointer)),
        }
    }
    for map in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let pointer = format!("/metadata/{map}");
        let is_empty = |value: &Value| {
            value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty) || value == &json!([])
        };
        if after.pointer(&pointer).is_some_and(is_empty) {
            remove(after, &pointer);
        }
    }
}

fn keep(world: &mut World, resource: &'static Resource, object: Value, how: &How) -> Arc<Value> {
    if how.dry_run { Arc::new(object) } else { world.save(resource, object) }
}

/// Deletes an object, or begins to: what has finalizers, and a pod that runs, goes later.
///
/// Returns the object as it is now, and whether it is gone.
pub(super) fn delete(
    world: &mut World,
    resource: &'static Resource,
    object: &Arc<Value>,
    asked: &Deletion,
) -> Result<(Arc<Value>, bool), Refusal> {
    check_preconditions(resource, object, asked)?;
    let mut after = Value::clone(object);
    let grace = grace_seconds(resource, object, asked);
    match propagation(resource, asked) {
        "Foreground" => add_finalizer(&mut after, FOREGROUND),
        "Orphan" => add_finalizer(&mut after, ORPHAN),
        _ => {}
    }
    let waits = !items(&after, "/metadata/finalizers").is_empty() || resource.plural == "namespaces";
    if asked.dry_run {
        return Ok((Arc::new(after), !waits && grace == 0));
    }
    if !waits && grace == 0 {
        world.erase(resource, super::json::namespace(object), name(object));
        return Ok((Arc::clone(object), true));
    }
    mark(&mut after, grace, world.now);
    if resource.counts_generations && !is_deleting(object) {
        set(&mut after, "/metadata/generation", count(object, "/metadata/generation") + 1);
    }
    if resource.plural == "namespaces" {
        set(&mut after, "/status/phase", "Terminating");
    }
    Ok((world.save(resource, after), false))
}

/// Marks an object as being deleted; a second deletion can only shorten the time.
fn mark(object: &mut Value, grace: i64, now: Timestamp) {
    let end = now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    let sooner = super::json::time(object, "/metadata/deletionTimestamp").is_none_or(|set| end < set);
    if sooner {
        set(object, "/metadata/deletionTimestamp", stamp(end));
        set(object, "/metadata/deletionGracePeriodSeconds", grace);
    }
}

fn check_preconditions(resource: &Resource, object: &Value, asked: &Deletion) -> Result<(), Refusal> {
    if let Some(wanted) = asked.uid.as_deref().filter(|wanted| *wanted != uid(object)) {
        let why = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({}). The object might have \
             been deleted and then recreated",
            uid(object)
        );
        return Err(Refusal::conflict_because(resource, name(object), &why));
    }
    let version = text(object, "/metadata/resourceVersion");
    if let Some(wanted) = asked.version.as_deref().filter(|wanted| *wanted != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(Refusal::conflict_because(resource, name(object), &why));
    }
    Ok(())
}

/// Only a pod that some node runs gets time to end.
fn grace_seconds(resource: &Resource, object: &Value, asked: &Deletion) -> i64 {
    let runs = !text(object, "/spec/nodeName").is_empty()
        && !matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if resource.plural != "pods" || !runs {
        return 0;
    }
    let usual = number(object, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    asked.grace_seconds.unwrap_or(usual).max(0)
}

/// What happens to dependents. Jobs of `batch/v1` leave their pods behind unless told otherwise.
fn propagation<'a>(resource: &Resource, asked: &'a Deletion) -> &'a str {
    match (asked.propagation.as_str(), resource.plural) {
        ("", "jobs") => "Orphan",
        (said, _) => said,
    }
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let mut finalizers = items(object, "/metadata/finalizers").to_vec();
    if !finalizers.iter().any(|has| has == finalizer) {
        finalizers.push(finalizer.into());
    }
    set(object, "/metadata/finalizers", finalizers);
}

/// Takes a finalizer away; an object that waited only for it is gone.
pub(super) fn release(world: &mut World, resource: &'static Resource, object: &Value, finalizer: &str) {
    let mut after = object.clone();
    let left: Vec<Value> =
        items(object, "/metadata/finalizers").iter().filter(|has| *has != finalizer).cloned().collect();
    if left.is_empty() {
        remove(&mut after, "/metadata/finalizers");
        if is_deleting(object) {
            world.erase(resource, super::json::namespace(object), name(object));
            return;
        }
    } else {
        set(&mut after, "/metadata/finalizers", left);
    }
    world.save(resource, after);
}
