//! One object that is taken away.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Setup, Standing, as_written, origin, resource_of};
use crate::clients::kubernetes::write::FIELD_MANAGER;
use crate::clients::kubernetes::{ActHandle, DeleteRequest, KubernetesError, Propagation};
use crate::domain::manifest::name_of;
use crate::domain::timeline::digest_of;

/// One object that is to go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::actions) struct Take {
    /// Its `apiVersion`, `kind` and name.
    pub(super) head: Value,
    /// The object that was found, and a digest of what a person would see of it. None for the one that the manifest
    /// brings: it has no uid yet when its way back is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// The object that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    uid: String,
    state: String,
}

impl Take {
    /// The object that was found.
    pub(in crate::actions) fn found(object: &Value) -> Self {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let found = Found { uid, state: digest_of(&as_written(object)) };
        Self { found: Some(found), ..Self::brought(object) }
    }

    /// The object that a manifest brings.
    pub(in crate::actions) fn brought(object: &Value) -> Self {
        let head = json!({
            "apiVersion": object["apiVersion"],
            "kind": object["kind"],
            "metadata": {"name": name_of(object)},
        });
        Self { head, found: None }
    }

    pub(super) fn standing(&self, now: Option<&Value>, of: &str, manifest: &str) -> Standing {
        let Some(now) = now else { return Standing::Already("it was gone before") };
        if ends(now) {
            return Standing::Already("it is about to end");
        }
        let changed = || Standing::Void(format!("somebody changed {of} since this was planned"));
        match &self.found {
            Some(found) if now["metadata"]["uid"] != found.uid.as_str() => {
                Standing::Void(format!("{of} was replaced by another of that name since this was planned"))
            }
            Some(found) if digest_of(&as_written(now)) != found.state => changed(),
            None if origin(now) != Some(manifest) => {
                Standing::Void(format!("{of} is not the one that this manifest brought"))
            }
            None if others_manage(now) => changed(),
            _ => Standing::Open,
        }
    }

    pub(super) fn is_done(&self, now: Option<&Value>) -> bool {
        now.is_none_or(|now| {
            let is_another = |found: &Found| now["metadata"]["uid"] != found.uid.as_str();
            ends(now) || self.found.as_ref().is_some_and(is_another)
        })
    }

    /// Deletes it as it was read just now: another object of that name, or another version, is refused by the server.
    pub(super) async fn send(
        &self,
        cluster: &ActHandle,
        now: Option<&Value>,
        setup: &Setup,
        dry_run: bool,
    ) -> Result<Value, KubernetesError> {
        let said = |key: &str| now.and_then(|now| Some(now["metadata"][key].as_str()?.to_owned()));
        let request = DeleteRequest {
            uid: said("uid"),
            resource_version: said("resourceVersion").filter(|_| !dry_run),
            propagation: Some(Propagation::Background),
            ..DeleteRequest::default()
        };
        let resource = resource_of(&self.head);
        cluster.delete(resource, Some(&setup.namespace), name_of(&self.head), &request, dry_run).await
    }
}

fn ends(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Whether somebody else manages more of an object than its metadata and its status, as whoever edits it does.
/// Controllers write through a subresource.
fn others_manage(object: &Value) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        let is_other = entry["manager"] != FIELD_MANAGER && entry.get("subresource").is_none();
        let fields = entry["fieldsV1"].as_object();
        is_other
            && fields.is_some_and(|fields| fields.keys().any(|key| key != "f:metadata" && key != "f:status"))
    })
}
