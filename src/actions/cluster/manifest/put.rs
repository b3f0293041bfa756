//! One object that is put in place by server-side apply: made where it is not there, changed where it is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MANIFEST, Setup, Standing, origin, resource_of};
use crate::actions::cluster::EXECUTION_ID;
use crate::actions::cluster::subject::Subject;
use crate::clients::kubernetes::changes::{Change, made};
use crate::clients::kubernetes::{ActHandle, Failure, KubernetesError, Patch};
use crate::domain::manifest::{JOB, kind_of, name_of};

/// One object as it is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::actions) struct Put {
    /// What is said of it.
    pub(in crate::actions) object: Value,
    /// The object that was found; none where it is to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::actions) uid: Option<String>,
    /// What that changes of the one that was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::actions) changes: Vec<Change>,
    /// Whether fields that others manage are taken over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::actions) force: bool,
}

impl Put {
    /// An object that is to be there.
    pub(in crate::actions) fn of(object: Value, force: bool) -> Self {
        Self { object, uid: None, changes: Vec::new(), force }
    }

    /// An object that was taken away, as it was, with the manifest that brought it.
    pub(in crate::actions) fn again(mut object: Value, of: Option<&str>) -> Self {
        if let Some(manifest) = of {
            object["metadata"]["annotations"][MANIFEST] = json!(manifest);
        }
        Self::of(object, false)
    }

    /// The way back of a change: the same, with each of its fields as it was.
    pub(in crate::actions) fn inverse(&self) -> Self {
        let changes: Vec<Change> = self.changes.iter().map(Change::inverse).collect();
        Self { object: made(&self.object, &changes), changes, ..self.clone() }
    }

    /// What it is of.
    pub(super) fn subject(&self, setup: &Setup) -> Subject {
        let (kind, name) = (kind_of(&self.object).to_owned(), name_of(&self.object).to_owned());
        Subject { kind, namespace: setup.namespace.clone(), name }
    }

    pub(super) fn standing(&self, now: Option<&Value>, of: &str, restores: bool) -> Standing {
        let (uid, now) = match (&self.uid, now) {
            // An earlier version planned this. One that has run may have been collected.
            (None, None) if kind_of(&self.object) == JOB => {
                return Standing::Void(format!("{of} may have run already: `k8s.job_run` runs a Job once"));
            }
            (None, None) => return Standing::Open,
            (None, Some(_)) if restores => return Standing::Already("it is there again"),
            (None, Some(_)) => return Standing::Void(format!("somebody made {of} since this was planned")),
            (Some(_), None) => return Standing::Void(format!("{of} is gone since this was planned (404)")),
            (Some(uid), Some(now)) => (uid, now),
        };
        if now["metadata"]["uid"] != uid.as_str() {
            return Standing::Void(format!(
                "{of} was replaced by another of that name since this was planned"
            ));
        }
        if self.changes.iter().all(|change| change.is_made(now)) {
            return Standing::Already("it is so already");
        }
        match self.changes.iter().find_map(|change| Some((change, change.is_stale(now)?))) {
            None => Standing::Open,
            Some((change, value)) => Standing::Void(format!(
                "somebody changed {} of {of} since this was planned: it is {}, and was {}",
                change.path,
                change.shown(value),
                change.shown(&change.from)
            )),
        }
    }

    /// Applies it over the object as it was read just now: another version of it is refused by the server.
    pub(super) async fn send(
        &self,
        cluster: &ActHandle,
        now: Option<&Value>,
        setup: &Setup,
        key: &str,
        dry_run: bool,
    ) -> Result<Value, KubernetesError> {
        let mut object = self.object.clone();
        object["metadata"]["namespace"] = json!(setup.namespace);
        object["metadata"]["annotations"][EXECUTION_ID] = json!(key);
        // What was there before us is not ours to take away later.
        if now.map_or(!setup.restores, |now| origin(now) == Some(setup.manifest.as_str())) {
            object["metadata"]["annotations"][MANIFEST] = json!(setup.manifest);
        }
        if let Some(now) = now {
            object["metadata"]["uid"] = now["metadata"]["uid"].clone();
            if !dry_run {
                object["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
            }
        }
        let name = name_of(&object).to_owned();
        let resource = resource_of(&object);
        let mut patch = Patch::Apply { object, force: self.force };
        let made = cluster.patch(resource, None, Some(&setup.namespace), &name, &patch, dry_run).await;
        match (made, &mut patch) {
            (Err(error), Patch::Apply { force, .. }) if is_own_mark(&error) => {
                *force = true;
                cluster.patch(resource, None, Some(&setup.namespace), &name, &patch, dry_run).await
            }
            (made, _) => made,
        }
    }
}

/// Whether nothing but the mark of another write of ours is in the way: a server takes patches and applies for two
/// managers, though both bear our name. To take it over takes nothing from anybody else.
fn is_own_mark(error: &KubernetesError) -> bool {
    let Failure::Managed { fields, .. } = &error.failure else { return false };
    let mark = format!(".metadata.annotations.{EXECUTION_ID}");
    !fields.is_empty() && fields.iter().all(|field| *field == mark)
}
