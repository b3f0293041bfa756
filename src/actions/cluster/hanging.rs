//! Whether a rollout hangs that has no deadline of its own, read from the pods of its revision.
//!
//! StatefulSets and DaemonSets never say that they hang, and neither does a Deployment without a deadline. They wait for
//! ever for a pod that crashes, whose image cannot be had, or that is not ready, and would protect what broke them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::pods::pods_of;
use super::workload::Workload;
use crate::clients::kubernetes::ActHandle;
use crate::clients::kubernetes::revision::{self, Revision};
use crate::domain::survey::{Rollout, SurveyOutcome};

/// How long a pod may take to be ready: the deadline that a Deployment has unless it says otherwise.
const DEADLINE: SignedDuration = SignedDuration::from_mins(10);

/// A Deployment with this deadline, in seconds, has none.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// Why a container does not start that will not start by itself.
const HOPELESS: [&str; 5] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
];

/// Where the rollout of a workload stands that is to be given another template. A StatefulSet or DaemonSet says nothing of
/// a hang, so that its pods are looked at; a Deployment is believed, also one that has no deadline.
pub(in crate::actions) async fn rollout(cluster: &ActHandle, workload: &Workload, now: Timestamp) -> Rollout {
    let seen = workload.rollout();
    if workload.subject.kind == "Deployment" || !matches!(seen, Rollout::UnderWay { .. }) {
        return seen;
    }
    let revisions = match workload.revisions(cluster).await {
        Ok(revisions) => revisions,
        Err(unseen) => {
            cannot_see(workload, &unseen);
            return seen;
        }
    };
    let present = revision::present(&workload.object, &revisions);
    let reason = match present {
        Some(present) => reason(cluster, workload, present, now).await,
        None => None,
    };
    reason.map_or(seen, |reason| Rollout::Stuck { reason })
}

fn cannot_see(workload: &Workload, why: &SurveyOutcome) {
    tracing::warn!(target = workload.subject.shown(), ?why, "whether its rollout hangs cannot be seen");
}

/// Why the rollout to `present` hangs; nothing where it does not, where its controller says so itself, and where pods
/// cannot be read, since nobody's healthy rollout is disturbed on a guess.
pub(in crate::actions) async fn reason(
    cluster: &ActHandle,
    workload: &Workload,
    present: &Revision,
    now: Timestamp,
) -> Option<String> {
    if has_deadline(&workload.object) {
        return None;
    }
    let pods = match pods_of(cluster, workload).await {
        Ok(pods) => pods,
        Err(unseen) => {
            cannot_see(workload, &unseen);
            return None;
        }
    };
    pods.iter().filter(|pod| is_of(pod, present)).find_map(|pod| trouble(pod, now))
}

/// Whether its controller says by itself when a rollout hangs.
fn has_deadline(object: &Value) -> bool {
    object
        .pointer("/spec/progressDeadlineSeconds")
        .and_then(Value::as_i64)
        .is_some_and(|seconds| seconds < NO_DEADLINE)
}

/// Whether a pod of the workload is of this revision. A label holds the revision's name, or its hash, which ends the name.
fn is_of(pod: &Value, present: &Revision) -> bool {
    let labels = &pod["metadata"]["labels"];
    let of_revision = ["controller-revision-hash", "pod-template-hash"]
        .iter()
        .filter_map(|label| labels[label].as_str())
        .any(|hash| present.name == hash || present.name.ends_with(&format!("-{hash}")));
    of_revision && pod["metadata"]["deletionTimestamp"].is_null()
}

/// Why a pod holds up its rollout.
fn trouble(pod: &Value, now: Timestamp) -> Option<String> {
    let name = pod["metadata"]["name"].as_str()?;
    let statuses = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|list| pod["status"][list].as_array())
        .flatten();
    for container in statuses {
        let waits = container["state"]["waiting"]["reason"].as_str();
        if let Some(why) = waits.filter(|why| HOPELESS.contains(why)) {
            return Some(format!("pod {name} of the new revision is in {why}"));
        }
    }
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    if ready.is_some_and(|ready| ready["status"] == "True") {
        return None;
    }
    let since = ready.map_or(&Value::Null, |ready| &ready["lastTransitionTime"]);
    let since = since.as_str().or_else(|| pod["metadata"]["creationTimestamp"].as_str())?;
    let waited = now.duration_since(since.parse::<Timestamp>().ok()?);
    let minutes = waited.as_mins();
    (waited >= DEADLINE).then(|| format!("pod {name} of the new revision is not ready for {minutes} minutes"))
}
