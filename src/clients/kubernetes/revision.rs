//! Revisions of a workload, and the one that an undo should go back to.
//!
//! A Deployment keeps its revisions as ReplicaSets, a StatefulSet or DaemonSet as ControllerRevisions. A restart is a
//! revision of its own, so that the one before it may hold the same image: [`previous`] takes the newest whose template
//! really differs from the present one, and never one that was marked as bad. Objects are read as JSON, since a template
//! that passed through types of an older version would lose the fields that they do not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::changes::{Change, compare};

/// The label by which a Deployment tells its ReplicaSets apart.
pub const TEMPLATE_HASH: &str = "pod-template-hash";
/// The annotation of a template that `kubectl rollout restart` sets.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// The annotation of a ReplicaSet, and of its Deployment, that counts revisions.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Annotations of ours begin so.
pub const OURS: &str = "smokejumper.dev/";
/// The annotation by which a person marks a ReplicaSet or ControllerRevision as bad; its value says why.
pub const BAD: &str = "smokejumper.dev/bad";
/// The annotation of a workload that names revisions which an undo left behind, separated by commas.
pub const BAD_REVISIONS: &str = "smokejumper.dev/bad-revisions";
/// Names that are kept in [`BAD_REVISIONS`]: as many as revisions are kept by default.
pub const BAD_REVISIONS_MAX: usize = 10;

/// One revision of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its number; higher is newer.
    pub number: i64,
    /// Name of the ReplicaSet or ControllerRevision that keeps it.
    pub name: String,
    /// Its pod template, as it is kept.
    pub template: Value,
    /// Annotations of the object that keeps it.
    pub annotations: BTreeMap<String, String>,
}

impl Revision {
    /// Images of its containers by their names.
    pub fn images(&self) -> BTreeMap<String, String> {
        images(&self.template)
    }
}

/// Images of the containers of a template by their names.
pub fn images(template: &Value) -> BTreeMap<String, String> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let image = |container: &Value| {
        Some((container["name"].as_str()?.to_owned(), container["image"].as_str()?.to_owned()))
    };
    containers.into_iter().flatten().filter_map(image).collect()
}

/// Why there is no revision to go back to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPrevious {
    /// Only the present one is kept.
    #[error("there is no earlier revision to go back to")]
    NoHistory,
    /// All that are kept hold what runs now.
    #[error("no earlier revision differs from the present one: restarts alone made them")]
    AllTheSame,
    /// Those that differ are marked.
    #[error("every earlier revision that differs is marked as bad: {0}")]
    AllBad(String),
    /// The one that was asked for is not kept.
    #[error("revision {0} is not kept any more")]
    NotKept(i64),
    /// The one that was asked for is marked.
    #[error("revision {0} is marked as bad")]
    Bad(i64),
    /// The one that was asked for is what runs now.
    #[error("revision {0} is what runs now")]
    Present(i64),
}

/// The revisions of a Deployment, newest first. Takes all ReplicaSets of a namespace, and leaves out those of others.
pub fn of_replica_sets(deployment: &Value, replica_sets: &[Value]) -> Vec<Revision> {
    let number = |set: &Value| annotations(set).get(REVISION)?.parse().ok();
    newest_first(owned_by(deployment, replica_sets).filter_map(|set| {
        Some(Revision {
            number: number(set)?,
            name: name(set)?,
            template: set.pointer("/spec/template")?.clone(),
            annotations: annotations(set),
        })
    }))
}

/// The revisions of a StatefulSet or DaemonSet, newest first. Takes all ControllerRevisions of a namespace.
pub fn of_controller_revisions(workload: &Value, revisions: &[Value]) -> Vec<Revision> {
    newest_first(owned_by(workload, revisions).filter_map(|revision| {
        Some(Revision {
            number: revision["revision"].as_i64()?,
            name: name(revision)?,
            template: revision.pointer("/data/spec/template")?.clone(),
            annotations: annotations(revision),
        })
    }))
}

fn owned_by<'a>(owner: &'a Value, objects: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    let uid = owner.pointer("/metadata/uid").and_then(Value::as_str);
    objects.iter().filter(move |object| {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let is_ours =
            |owner: &Value| owner["controller"] == true && uid.is_some() && owner["uid"].as_str() == uid;
        owners.is_some_and(|owners| owners.iter().any(is_ours))
    })
}

fn newest_first(revisions: impl Iterator<Item = Revision>) -> Vec<Revision> {
    let mut revisions: Vec<Revision> = revisions.collect();
    revisions.sort_by(|a, b| (b.number, &b.name).cmp(&(a.number, &a.name)));
    revisions
}

fn name(object: &Value) -> Option<String> {
    object.pointer("/metadata/name")?.as_str().map(str::to_owned)
}

/// The annotations of an object.
pub fn annotations(object: &Value) -> BTreeMap<String, String> {
    let pairs = object.pointer("/metadata/annotations").and_then(Value::as_object);
    pairs
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The revision whose template the workload has now, the newest where several have it.
pub fn present<'a>(workload: &Value, revisions: &'a [Revision]) -> Option<&'a Revision> {
    let now = meaningful(workload.pointer("/spec/template")?);
    revisions.iter().find(|revision| meaningful(&revision.template) == now)
}

/// The revision to go back to: the newest that is not marked as bad and whose template really differs from the present
/// one; or exactly revision `to`, if it is fit.
///
/// # Errors
/// Where there is none.
pub fn previous<'a>(
    workload: &Value,
    revisions: &'a [Revision],
    to: Option<i64>,
) -> Result<&'a Revision, NoPrevious> {
    let now = meaningful(&workload["spec"]["template"]);
    let marked = bad_names(workload);
    let is_marked =
        |revision: &&Revision| marked.contains(&revision.name) || revision.annotations.contains_key(BAD);
    // A restart makes a second revision of the same template: what is said of one holds for the other.
    let bad: Vec<Value> =
        revisions.iter().filter(is_marked).map(|revision| meaningful(&revision.template)).collect();
    let is_bad = |revision: &Revision| bad.contains(&meaningful(&revision.template));
    if let Some(number) = to {
        let wanted = revisions.iter().find(|revision| revision.number == number);
        let wanted = wanted.ok_or(NoPrevious::NotKept(number))?;
        return match wanted {
            wanted if meaningful(&wanted.template) == now => Err(NoPrevious::Present(number)),
            wanted if is_bad(wanted) => Err(NoPrevious::Bad(number)),
            wanted => Ok(wanted),
        };
    }
    if revisions.len() < 2 {
        return Err(NoPrevious::NoHistory);
    }
    let differing: Vec<&Revision> =
        revisions.iter().filter(|revision| meaningful(&revision.template) != now).collect();
    if differing.is_empty() {
        return Err(NoPrevious::AllTheSame);
    }
    differing.iter().find(|revision| !is_bad(revision)).copied().ok_or_else(|| {
        let names: Vec<&str> = differing.iter().map(|revision| revision.name.as_str()).collect();
        NoPrevious::AllBad(names.join(", "))
    })
}

/// Revisions that an undo left behind, by the names of their objects.
pub fn bad_names(workload: &Value) -> BTreeSet<String> {
    in_order(workload).into_iter().collect()
}

fn in_order(workload: &Value) -> Vec<String> {
    let names = annotations(workload).remove(BAD_REVISIONS).unwrap_or_default();
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The annotation [`BAD_REVISIONS`] with one more name, the newest last, without those that are not kept any more.
pub fn mark_bad(workload: &Value, revisions: &[Revision], name: &str) -> String {
    let is_kept = |marked: &str| revisions.iter().any(|revision| revision.name == marked);
    let mut names: Vec<String> =
        in_order(workload).into_iter().filter(|marked| marked != name && is_kept(marked)).collect();
    names.push(name.to_owned());
    names.split_off(names.len().saturating_sub(BAD_REVISIONS_MAX)).join(",")
}

/// A template without what does not change what runs: the hash, the time of a restart, our own annotations, and what is
/// written as nothing.
pub fn meaningful(template: &Value) -> Value {
    let mut template = without_nulls(template);
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            drop_keys(metadata, "labels", |key| key == TEMPLATE_HASH);
            drop_keys(metadata, "annotations", |key| key == RESTARTED_AT || key.starts_with(OURS));
            if metadata.is_empty() {
                map.remove("metadata");
            }
        }
    }
    template
}

fn drop_keys(metadata: &mut Map<String, Value>, field: &str, is_noise: impl Fn(&str) -> bool) {
    let Some(pairs) = metadata.get_mut(field).and_then(Value::as_object_mut) else { return };
    pairs.retain(|key, _| !is_noise(key));
    if pairs.is_empty() {
        metadata.remove(field);
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// What an undo from one template to another changes, for people and for approvals.
pub fn diff(from: &Value, to: &Value) -> Vec<Change> {
    compare(&meaningful(from), &meaningful(to))
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images: Vec<String> = self.images().into_values().collect();
        write!(f, "revision {} ({})", self.number, images.join(", "))
    }
}

#[cfg(test)]
mod tests;
