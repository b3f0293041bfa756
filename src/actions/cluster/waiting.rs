//! What is set back when its time is over waits for a rollout of the workload that it would change, since two hands on one
//! thing are one too many. It is in no hurry: its change stands anyway.
//!
//! It waits ten minutes at a time, as often as the engine lets a way back be put off; then people are called. So even a
//! rollout that never ends and never says that it hangs holds nothing for ever. One that is seen to hang holds nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::autoscaler::{AUTOSCALER, Autoscaler};
use super::hanging;
use super::subject::Subject;
use super::words::denied;
use super::workload::{WORKLOADS, Workload};
use crate::actions::outcome::not_now;
use crate::clients::kubernetes::{ActHandle, KubernetesError};
use crate::domain::action::ActionOutcome;
use crate::domain::survey::Rollout;

/// Until another look at a rollout that is waited for.
const ROLLOUT_WAIT: Duration = Duration::from_mins(10);

/// Why an object is not set back now, as it was read; nothing where it may be. `looks_at_pods` holds for what an action
/// does that is permitted to: only they show that a StatefulSet or DaemonSet hangs.
pub(super) async fn held_up(
    cluster: &ActHandle,
    subject: Subject,
    object: &Value,
    looks_at_pods: Option<Timestamp>,
) -> Option<ActionOutcome> {
    let workload = match workload_of(cluster, subject, object).await {
        Ok(workload) => workload?,
        Err(error) => return Some(denied(&error)),
    };
    let rollout = match looks_at_pods {
        Some(now) => hanging::rollout(cluster, &workload, now).await,
        None => workload.rollout(),
    };
    waits_for(&workload.subject, &rollout)
}

/// What is told of a rollout that makes progress.
fn waits_for(subject: &Subject, rollout: &Rollout) -> Option<ActionOutcome> {
    let Rollout::UnderWay { status } = rollout else { return None };
    let reason = format!("a rollout of {} is under way: {status}", subject.shown());
    Some(not_now(reason, Some(ROLLOUT_WAIT)))
}

/// The workload whose pods change with an object: itself, or the one that an autoscaler scales.
async fn workload_of(
    cluster: &ActHandle,
    subject: Subject,
    object: &Value,
) -> Result<Option<Workload>, KubernetesError> {
    match subject.kind.as_str() {
        AUTOSCALER => match Autoscaler::read(object.clone(), &subject.namespace) {
            Ok(autoscaler) => autoscaler.scaled(cluster).await,
            Err(_) => Ok(None),
        },
        kind if WORKLOADS.contains(&kind) => {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            Ok(Some(Workload { subject, uid, object: object.clone() }))
        }
        _ => Ok(None),
    }
}
