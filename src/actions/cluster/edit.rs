//! One write to one object, and its way back.
//!
//! The plan names the object by its uid, every field with what it was and what it becomes, and the template that it was
//! planned over. Right before the write the object is read again: a field that somebody changed since makes the plan
//! void. The write itself carries the version that was read, so that nothing can come in between; where the version has
//! moved all the same (a status that counts pods moves it every second) the object is judged anew, a few times. That is
//! no repetition: a write that is refused for its version has not happened.
//!
//! After an unclear end the object is read back. Our mark on it means that the write arrived; a version that moved on
//! without it means that the write cannot arrive any more.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::fixed_values;
use super::standing::Standing;
use super::subject::Subject;
use super::waiting::held_up;
use super::words::{denied, sentence, unseen};
use super::workload::{Workload, resource, revisions};
use super::{EXECUTION_ID, refused};
use crate::actions::Hands;
use crate::actions::outcome::{not_applied, not_now, unknown};
use crate::clients::kubernetes::changes::{Change, FieldPath, json_patch, merge, strategic};
use crate::clients::kubernetes::managers::managers;
use crate::clients::kubernetes::revision::BAD_REVISIONS;
use crate::clients::kubernetes::{ActHandle, Failure, KubernetesError, Patch, patch, revision};
use crate::domain::action::{ActionOutcome, ActionPlan, Step};
use crate::domain::survey::SurveyOutcome;
use crate::domain::timeline::digest_of;
use crate::engine::ports::ActionContext;

/// Longest time for one write with all looks before and after it: below the engine's limit for an attempt.
pub(in crate::actions) const TIMEOUT: Duration = Duration::from_secs(50);

/// How often a write is offered to an object whose version moves. A status moves it about once a second.
pub(in crate::actions) const OFFERS_MAX: usize = 4;

/// How often an object is read back after an unclear end.
pub(in crate::actions) const READ_BACKS_MAX: usize = 3;

/// Time between two looks back: a server that failed may still be about to write.
pub(in crate::actions) const READ_BACK_WAIT: Duration = Duration::from_millis(300);

/// The field that a scale writes.
pub(super) const REPLICAS: [&str; 2] = ["spec", "replicas"];

/// The mark that rehearsals carry; nothing is stored of them.
pub(in crate::actions) const REHEARSAL: &str = "rehearsal";

/// A write with all its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::actions) struct Edit {
    /// Kind of the object.
    pub(in crate::actions) kind: String,
    /// Its namespace.
    pub(in crate::actions) namespace: String,
    /// Its name.
    pub(in crate::actions) name: String,
    /// The object itself: another one under the same name is left alone.
    pub(in crate::actions) uid: String,
    /// The digest of the template that this was planned over, where it must still be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::actions) template: Option<String>,
    /// What is written.
    pub(in crate::actions) write: Write,
    /// Whether this is a way back: what is so already is done then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::actions) restores: bool,
    /// Who had set the number of replicas that this was planned over. A scale keeps no mark, and a number does not show
    /// that somebody has set it back since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) set_by: Option<Vec<String>>,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::actions) enum Write {
    /// Fields, by a strategic merge patch.
    Strategic(Vec<Change>),
    /// Fields outside of lists, by a merge patch.
    Merge(Vec<Change>),
    /// Fields of any kind, by a JSON patch.
    Fields(Vec<Change>),
    /// The number of replicas, through the subresource `scale`, which keeps no mark.
    Scale(Change),
    /// A template that a revision keeps.
    Revision {
        /// Name of the ReplicaSet or ControllerRevision.
        name: String,
        /// Its number, for people.
        number: i64,
        /// Digest of the template that it must hold.
        template: String,
        /// The revisions that are marked as bad from then on; none takes the mark away.
        bad: Option<String>,
    },
}

impl Edit {
    /// A write to an object as it was found.
    pub(in crate::actions) fn of(subject: &Subject, uid: &str, write: Write) -> Self {
        let Subject { kind, namespace, name } = subject.clone();
        let uid = uid.to_owned();
        Self { kind, namespace, name, uid, template: None, write, restores: false, set_by: None }
    }

    /// A new number of replicas for a workload as it was found.
    pub(in crate::actions) fn of_replicas(workload: &Workload, change: Change) -> Self {
        let set_by = managers(&workload.object, &FieldPath::fields(REPLICAS))
            .iter()
            .map(ToString::to_string)
            .collect();
        let edit = Self::of(&workload.subject, &workload.uid, Write::Scale(change));
        Self { set_by: Some(set_by), ..edit }
    }

    /// The fields that change, where they are known one by one.
    pub(in crate::actions) fn changes(&self) -> &[Change] {
        match &self.write {
            Write::Strategic(changes) | Write::Merge(changes) | Write::Fields(changes) => changes,
            Write::Scale(change) => std::slice::from_ref(change),
            Write::Revision { .. } => &[],
        }
    }

    /// The way back of a write of fields: exactly those, to what they were.
    pub(in crate::actions) fn inverse(&self) -> Option<Self> {
        let back = |changes: &[Change]| changes.iter().map(Change::inverse).collect();
        let write = match &self.write {
            Write::Strategic(changes) => Write::Strategic(back(changes)),
            Write::Merge(changes) => Write::Merge(back(changes)),
            Write::Fields(changes) => Write::Fields(back(changes)),
            Write::Scale(change) => Write::Scale(change.inverse()),
            Write::Revision { .. } => return None,
        };
        Some(Self { write, template: None, restores: true, set_by: None, ..self.clone() })
    }

    /// What the plan is based on: all of it, since none of it changes by itself. Times are left out by who plans them.
    pub(in crate::actions) fn basis(&self) -> Value {
        let mut basis = json!({"uid": self.uid, "template": self.template, "write": self.write});
        if let Some(set_by) = &self.set_by {
            basis["set_by"] = json!(set_by);
        }
        basis
    }

    /// Lets the server rehearse the write, and takes over how the server writes the values (`2048Mi` as `2Gi`).
    pub(in crate::actions) async fn rehearse(
        &mut self,
        cluster: &ActHandle,
        now: &Value,
    ) -> Result<(), SurveyOutcome> {
        let made = self.rehearsed(cluster, now).await?;
        let changes = match &mut self.write {
            Write::Strategic(changes) | Write::Merge(changes) | Write::Fields(changes) => changes,
            Write::Scale(_) | Write::Revision { .. } => return Ok(()),
        };
        for change in changes {
            let becomes = change.path.of(&made).cloned().unwrap_or_default();
            if becomes == change.from && becomes != change.to {
                let reason =
                    format!("{}: the cluster would leave it as {}", change.path, change.shown(&change.from));
                return Err(refused(reason));
            }
            change.to = becomes;
        }
        Ok(())
    }

    async fn rehearsed(&self, cluster: &ActHandle, now: &Value) -> Result<Value, SurveyOutcome> {
        let mut now = now.clone();
        for _ in 1..OFFERS_MAX {
            match self.send(cluster, &now, REHEARSAL, true).await {
                Err(error) if matches!(error.failure, Failure::Conflict(_)) => {}
                made => return made.map_err(|error| unseen(&error)),
            }
            now = self.read(cluster).await.map_err(|error| unseen(&error))?;
            if let Standing::Void(why) = self.standing(&now, REHEARSAL) {
                return Err(refused(why));
            }
        }
        self.send(cluster, &now, REHEARSAL, true).await.map_err(|error| unseen(&error))
    }

    pub(super) fn subject(&self) -> Subject {
        Subject { kind: self.kind.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }

    async fn read(&self, cluster: &ActHandle) -> Result<Value, KubernetesError> {
        let resource = resource(&self.kind).expect("plans are made of known kinds");
        cluster.get(resource, Some(&self.namespace), &self.name).await
    }

    async fn send(
        &self,
        cluster: &ActHandle,
        now: &Value,
        key: &str,
        dry_run: bool,
    ) -> Result<Value, KubernetesError> {
        let resource = resource(&self.kind).expect("plans are made of known kinds");
        let version = now.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let metadata = json!({"resourceVersion": version, "annotations": {EXECUTION_ID: key}});
        let with_metadata = |mut patch: Value| {
            let annotations = patch.pointer("/metadata/annotations").cloned();
            patch["metadata"] = metadata.clone();
            let ours = patch["metadata"]["annotations"].as_object_mut().expect("they were just set");
            ours.extend(annotations.and_then(|more| more.as_object().cloned()).unwrap_or_default());
            patch
        };
        let mut part = None;
        let patch = match &self.write {
            Write::Strategic(changes) => Patch::Strategic(with_metadata(strategic(changes))),
            Write::Merge(changes) => Patch::Merge(with_metadata(merge(changes))),
            Write::Fields(changes) => {
                let marked = FieldPath::fields(["metadata", "annotations", EXECUTION_ID]);
                let marked = Change::of(now, marked, json!(key));
                let all: Vec<Change> = changes.iter().cloned().chain([marked]).collect();
                Patch::Json(at_version(json_patch(now, &all), version))
            }
            Write::Scale(change) => {
                part = Some("scale");
                // The server keeps no annotations of a scale; its audit log shows them.
                Patch::Merge(json!({"metadata": metadata, "spec": {"replicas": change.to}}))
            }
            Write::Revision { name, template, bad, .. } => {
                let kept = revisions(cluster, &self.subject(), now).await?;
                let kept = kept.iter().find(|revision| revision.name == *name);
                let kept = kept.filter(|kept| digest_of(&revision::meaningful(&kept.template)) == *template);
                let kept = kept.ok_or_else(|| KubernetesError {
                    call: format!("undo {}", self.subject().shown()),
                    failure: Failure::NotFound(format!(
                        "{name} is not kept any more, or holds another template"
                    )),
                })?;
                let ours = [(EXECUTION_ID, Some(key)), (BAD_REVISIONS, bad.as_deref())];
                if self.kind == "Deployment" {
                    let operations = patch::undo_deployment(now, kept, &ours);
                    Patch::Json(at_version(operations.as_array().cloned().unwrap_or_default(), version))
                } else {
                    Patch::Strategic(with_metadata(patch::undo_controller(kept, &ours)))
                }
            }
        };
        cluster.patch(resource, part, Some(&self.namespace), &self.name, &patch, dry_run).await
    }

    /// Makes the write, in a step that takes back what did not help, or that waits for a rollout to end.
    pub(super) async fn carry_out(&self, cluster: &ActHandle, context: &ActionContext) -> ActionOutcome {
        let key = context.key.as_str();
        let waits = self.restores && context.step == Step::Apply;
        // Only who sets a template is permitted to look at pods.
        let sets_template = self.changes().iter().any(Change::is_in_template);
        let looks_at_pods = Some(context.now).filter(|_| sets_template);
        for _ in 0..OFFERS_MAX {
            let now = match self.read(cluster).await {
                Ok(now) => now,
                Err(error) => return denied(&error),
            };
            match self.standing(&now, key) {
                Standing::Open if waits => {
                    if let Some(later) = held_up(cluster, self.subject(), &now, looks_at_pods).await {
                        return later;
                    }
                }
                Standing::Open => {}
                Standing::Ours => return self.applied("it was carried out before, and bears our mark"),
                Standing::Already if self.restores => {
                    return ActionOutcome::AlreadySo { detail: self.told("it is so already") };
                }
                Standing::Already => {
                    return not_applied("it is so already: somebody else did it since this was planned");
                }
                Standing::Void(why) => return not_applied(why),
            }
            match self.send(cluster, &now, key, false).await {
                Ok(_) => return self.applied("done"),
                Err(error) if matches!(error.failure, Failure::Conflict(_)) => {}
                Err(error) if error.maybe_sent() => return self.read_back(cluster, &now, key, &error).await,
                Err(error) => return denied(&error),
            }
        }
        let shown = self.subject().shown();
        not_now(format!("{shown} was changed by others again and again while this was tried (409)"), None)
    }

    /// What became of a write whose end is unclear.
    async fn read_back(
        &self,
        cluster: &ActHandle,
        sent_over: &Value,
        key: &str,
        error: &KubernetesError,
    ) -> ActionOutcome {
        let mut seen = Ok(());
        for _ in 0..READ_BACKS_MAX {
            tokio::time::sleep(READ_BACK_WAIT).await;
            match self.read(cluster).await {
                Ok(now) if self.bears_us(&now, key) => {
                    return self.applied(&format!("the answer was lost ({}), but it arrived", error.failure));
                }
                Ok(now) if version(&now) != version(sent_over) => {
                    return not_applied(format!("{}; the object has moved on without it", sentence(error)));
                }
                Ok(_) => seen = Ok(()),
                Err(failed) if failed.is_not_found() => return denied(&failed),
                Err(failed) => seen = Err(failed),
            }
        }
        match seen {
            Ok(()) if error.gave_up() => {
                not_now(format!("{}; the object does not show it", sentence(error)), error.wait())
            }
            Ok(()) => {
                unknown(format!("{}; the object does not show it, and it may still arrive", sentence(error)))
            }
            Err(failed) => unknown(format!("{}; and it cannot be looked at: {failed}", sentence(error))),
        }
    }

    /// What the world shows of an attempt that was interrupted.
    pub(super) async fn look_back(&self, cluster: &ActHandle, key: &str) -> ActionOutcome {
        let mut seen = not_applied(format!("{} bears no mark of it", self.subject().shown()));
        for round in 0..READ_BACKS_MAX {
            if round > 0 {
                tokio::time::sleep(READ_BACK_WAIT).await;
            }
            match self.read(cluster).await {
                Ok(now) if self.bears_us(&now, key) => {
                    return self.applied("it was carried out: the object shows it");
                }
                Ok(_) => {}
                Err(failed) if failed.is_not_found() => return denied(&failed),
                Err(failed) => seen = unknown(format!("it cannot be looked at: {failed}")),
            }
        }
        seen
    }

    fn applied(&self, how: &str) -> ActionOutcome {
        ActionOutcome::Applied { detail: self.told(how), inverse: None, requests: Vec::new() }
    }

    /// For people: what is so, and how that came about.
    fn told(&self, how: &str) -> String {
        let what = match &self.write {
            Write::Revision { number, .. } => format!("template of revision {number}"),
            _ => self.changes().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        format!("{}: {what} ({how})", self.subject().shown())
    }
}

/// The act half of every action whose plan is an [`Edit`].
pub(in crate::actions) async fn act(
    hands: &Hands,
    plan: &ActionPlan,
    context: &ActionContext,
) -> ActionOutcome {
    match fixed_values::<Edit>(hands, plan) {
        Ok((cluster, edit)) => edit.carry_out(cluster, context).await,
        Err(why) => not_applied(why),
    }
}

/// The look back at every action whose plan is an [`Edit`].
pub(in crate::actions) async fn look_back(
    hands: &Hands,
    plan: &ActionPlan,
    context: &ActionContext,
) -> ActionOutcome {
    match fixed_values::<Edit>(hands, plan) {
        Ok((cluster, edit)) => edit.look_back(cluster, &context.key).await,
        Err(why) => unknown(why),
    }
}

/// Whether the world is as this way back would make it, though not by us; says what is so. None where it is not, and where
/// that cannot be seen.
pub(in crate::actions) async fn is_so(hands: &Hands, plan: &ActionPlan) -> Option<String> {
    let (cluster, edit) = fixed_values::<Edit>(hands, plan).ok()?;
    let now = edit.read(cluster).await.ok()?;
    let is_so = edit.restores && matches!(edit.standing(&now, ""), Standing::Already);
    is_so.then(|| edit.told("it is so already"))
}

pub(super) fn mark(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(EXECUTION_ID)?.as_str()
}

pub(super) fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion")?.as_str()
}

/// Operations that hold for one version of the object only: the server refuses them with 409 for another.
fn at_version(mut operations: Vec<Value>, version: Value) -> Value {
    operations.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    Value::Array(operations)
}
