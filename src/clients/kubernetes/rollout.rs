//! Where a rollout stands, by the rules of `kubectl rollout status`.
//!
//! The status that a controller wrote counts only once it has seen the present generation. A Deployment has a deadline,
//! after which it says that it hangs; StatefulSets and DaemonSets have none, so that they are only ever under way. This
//! reads what the object says of itself and asks nobody.

use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// Every replica runs the present template and is available.
    Done,
    /// It is under way; says what it waits for.
    Progressing(String),
    /// It has not come on within its deadline; says why. Its controller does nothing about that by itself.
    Stuck(String),
    /// Somebody paused it, so that it does not go on by itself.
    Paused,
    /// Pods are replaced only as people delete them, so that nothing says when it is done.
    Manual,
}

impl Rollout {
    /// One word for findings and conditions.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Progressing(_) => "progressing",
            Self::Stuck(_) => "stuck",
            Self::Paused => "paused",
            Self::Manual => "manual",
        }
    }

    /// Whether every replica runs the present template and is available.
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

impl fmt::Display for Rollout {
    /// One sentence for people, without a final stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("the rollout is done"),
            Self::Progressing(waits) => write!(f, "the rollout is under way: {waits}"),
            Self::Stuck(why) => write!(f, "the rollout hangs: {why}"),
            Self::Paused => f.write_str("the rollout is paused"),
            Self::Manual => f.write_str("pods are replaced only as people delete them (OnDelete)"),
        }
    }
}

const NOT_OBSERVED: &str = "the controller has not seen the last change yet";

fn progressing(waits: impl Into<String>) -> Rollout {
    Rollout::Progressing(waits.into())
}

/// Where the rollout of a Deployment stands.
pub fn of_deployment(deployment: &Deployment) -> Rollout {
    let spec = deployment.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    if spec.and_then(|spec| spec.paused).unwrap_or(false) {
        return Rollout::Paused;
    }
    if deployment.metadata.generation > status.observed_generation {
        return progressing(NOT_OBSERVED);
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let hung = conditions.iter().find(|condition| {
        condition.type_ == "Progressing" && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    if let Some(condition) = hung {
        return Rollout::Stuck(
            condition.message.clone().unwrap_or_else(|| "its deadline is over".to_owned()),
        );
    }
    let [replicas, updated, available] =
        [status.replicas, status.updated_replicas, status.available_replicas].map(Option::unwrap_or_default);
    if updated < wanted {
        return progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    if replicas > updated {
        return progressing(format!("{} old replicas are still to end", replicas - updated));
    }
    if available < updated {
        return progressing(format!("{available} of {updated} updated replicas are available"));
    }
    Rollout::Done
}

/// Where the rollout of a StatefulSet stands. With a partition it is done once the replicas above it are updated.
pub fn of_stateful_set(set: &StatefulSet) -> Rollout {
    let spec = set.spec.clone().unwrap_or_default();
    let status = set.status.clone().unwrap_or_default();
    let strategy = spec.update_strategy.unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return Rollout::Manual;
    }
    let observed = status.observed_generation.unwrap_or_default();
    if observed == 0 || set.metadata.generation.unwrap_or_default() > observed {
        return progressing(NOT_OBSERVED);
    }
    let wanted = spec.replicas.unwrap_or(1);
    let [ready, updated] = [status.ready_replicas, status.updated_replicas].map(Option::unwrap_or_default);
    if ready < wanted {
        return progressing(format!("{ready} of {wanted} replicas are ready"));
    }
    let partition = strategy.rolling_update.and_then(|rolling| rolling.partition).unwrap_or_default();
    if partition > 0 {
        let due = wanted - partition;
        return if updated < due {
            progressing(format!("{updated} of {due} replicas above the partition are updated"))
        } else {
            Rollout::Done
        };
    }
    if status.update_revision != status.current_revision {
        return progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    Rollout::Done
}

/// Where the rollout of a DaemonSet stands.
pub fn of_daemon_set(set: &DaemonSet) -> Rollout {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.clone()).unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return Rollout::Manual;
    }
    let status = set.status.clone().unwrap_or_default();
    if set.metadata.generation > status.observed_generation {
        return progressing(NOT_OBSERVED);
    }
    let wanted = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or_default();
    if updated < wanted {
        return progressing(format!("{updated} of {wanted} pods are updated"));
    }
    let available = status.number_available.unwrap_or_default();
    if available < wanted {
        return progressing(format!("{available} of {wanted} updated pods are available"));
    }
    Rollout::Done
}

/// Whether the last rollout has come to its end, whatever became of its pods since: pods that crash in a workload that
/// nobody changed are no rollout.
pub fn has_ended_deployment(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let ended = conditions.iter().any(|condition| {
        condition.type_ == "Progressing" && condition.reason.as_deref() == Some("NewReplicaSetAvailable")
    });
    // Who goes back to an older ReplicaSet keeps the reason of the rollout before, until the first new pod counts.
    let [replicas, updated] = [status.replicas, status.updated_replicas].map(Option::unwrap_or_default);
    deployment.metadata.generation <= status.observed_generation && ended && replicas <= updated
}

/// As [`has_ended_deployment`]: all replicas are of one revision.
pub fn has_ended_stateful_set(set: &StatefulSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    set.metadata.generation <= status.observed_generation && status.update_revision == status.current_revision
}

/// As [`has_ended_deployment`]: every node has the pod of the present revision, ready or not.
pub fn has_ended_daemon_set(set: &DaemonSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    set.metadata.generation <= status.observed_generation
        && status.updated_number_scheduled.unwrap_or_default() >= status.desired_number_scheduled
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A Deployment of three replicas in its second generation, with a status.
    fn deployment(status: Value) -> Rollout {
        deployment_of(json!({"replicas": 3}), status)
    }

    fn deployment_of(spec: Value, status: Value) -> Rollout {
        let mut spec = spec;
        spec["selector"] = json!({});
        spec["template"] = json!({});
        let object = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
        of_deployment(&serde_json::from_value(object).expect("a Deployment"))
    }

    fn stateful_set(spec: Value, status: Value) -> Rollout {
        let mut whole = json!({"replicas": 3, "selector": {}, "serviceName": "s", "template": {}});
        whole.as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
        let mut status = status;
        status["replicas"] = json!(3);
        let object = json!({"metadata": {"generation": 2}, "spec": whole, "status": status});
        of_stateful_set(&serde_json::from_value(object).expect("a StatefulSet"))
    }

    fn daemon_set(strategy: &str, status: Value) -> Rollout {
        let mut whole = json!({"currentNumberScheduled": 3, "desiredNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 0});
        whole.as_object_mut().expect("an object").extend(status.as_object().expect("an object").clone());
        let spec = json!({"selector": {}, "template": {}, "updateStrategy": {"type": strategy}});
        let object = json!({"metadata": {"generation": 2}, "spec": spec, "status": whole});
        of_daemon_set(&serde_json::from_value(object).expect("a DaemonSet"))
    }

    #[test]
    fn a_deployment_is_done_when_all_replicas_are_new_and_available() {
        let status = |observed, replicas, updated, available| {
            deployment(json!({
                "observedGeneration": observed, "replicas": replicas,
                "updatedReplicas": updated, "availableReplicas": available,
            }))
        };
        assert_eq!(status(2, 3, 3, 3), Rollout::Done);
        assert_eq!(status(3, 3, 3, 3), Rollout::Done);
        assert_eq!(status(1, 3, 3, 3), progressing(NOT_OBSERVED));
        assert_eq!(status(2, 3, 2, 3), progressing("2 of 3 replicas are updated"));
        assert_eq!(status(2, 4, 3, 4), progressing("1 old replicas are still to end"));
        assert_eq!(status(2, 3, 3, 2), progressing("2 of 3 updated replicas are available"));
        assert_eq!(deployment(json!({})), progressing(NOT_OBSERVED));
        assert_eq!(deployment_of(json!({"replicas": 0}), json!({"observedGeneration": 2})), Rollout::Done);
    }

    #[test]
    fn a_deployment_past_its_deadline_hangs_and_one_that_is_paused_waits() {
        let condition = |kind: &str, reason: &str| {
            json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "availableReplicas": 3,
                "conditions": [{"type": kind, "status": "False", "reason": reason, "message": "ReplicaSet \"a\" timed out"}]})
        };
        let hung = deployment(condition("Progressing", "ProgressDeadlineExceeded"));
        assert_eq!(hung, Rollout::Stuck("ReplicaSet \"a\" timed out".to_owned()));
        assert_eq!(hung.word(), "stuck");
        for (kind, reason) in
            [("Available", "ProgressDeadlineExceeded"), ("Progressing", "ReplicaSetUpdated")]
        {
            assert_eq!(deployment(condition(kind, reason)), progressing("1 of 3 replicas are updated"));
        }
        // A deadline that passed before the last change says nothing about it.
        let mut old = condition("Progressing", "ProgressDeadlineExceeded");
        old["observedGeneration"] = json!(1);
        assert_eq!(deployment(old), progressing(NOT_OBSERVED));
        let paused = json!({"replicas": 3, "paused": true});
        let status = condition("Progressing", "ProgressDeadlineExceeded");
        assert_eq!(deployment_of(paused, status), Rollout::Paused);
    }

    #[test]
    fn a_stateful_set_is_done_when_all_are_ready_at_one_revision() {
        let rolling = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}});
        let status = |observed, ready, updated, update: &str| {
            json!({"observedGeneration": observed, "readyReplicas": ready, "updatedReplicas": updated,
                "currentRevision": "a", "updateRevision": update})
        };
        assert_eq!(stateful_set(rolling.clone(), status(2, 3, 3, "a")), Rollout::Done);
        let waits = |status| stateful_set(rolling.clone(), status);
        assert_eq!(waits(status(1, 3, 3, "a")), progressing(NOT_OBSERVED));
        assert_eq!(waits(json!({})), progressing(NOT_OBSERVED));
        assert_eq!(waits(status(2, 2, 3, "a")), progressing("2 of 3 replicas are ready"));
        assert_eq!(waits(status(2, 3, 1, "b")), progressing("1 of 3 replicas are updated"));
    }

    #[test]
    fn a_partition_is_done_above_it_and_on_delete_says_nothing() {
        let partition =
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        let status = |updated| {
            json!({"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": updated,
                "currentRevision": "a", "updateRevision": "b"})
        };
        assert_eq!(
            stateful_set(partition.clone(), status(0)),
            progressing("0 of 1 replicas above the partition are updated")
        );
        assert_eq!(stateful_set(partition, status(1)), Rollout::Done);
        assert_eq!(stateful_set(json!({"updateStrategy": {"type": "OnDelete"}}), status(0)), Rollout::Manual);
    }

    #[test]
    fn pods_that_crash_after_a_rollout_are_no_rollout() {
        let object = |observed: i64, reason: &str| {
            json!({"metadata": {"generation": 2}, "spec": {"replicas": 3, "selector": {}, "template": {}}, "status": {
                "observedGeneration": observed, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 1,
                "conditions": [{"type": "Progressing", "status": "True", "reason": reason}]}})
        };
        let ended = |observed, reason| {
            let deployment: Deployment =
                serde_json::from_value(object(observed, reason)).expect("a Deployment");
            assert!(!of_deployment(&deployment).is_done());
            has_ended_deployment(&deployment)
        };
        assert!(ended(2, "NewReplicaSetAvailable"));
        assert!(!ended(1, "NewReplicaSetAvailable") && !ended(2, "ReplicaSetUpdated"));
        let mut back = object(2, "NewReplicaSetAvailable");
        back["status"]["updatedReplicas"] = json!(0);
        let back: Deployment = serde_json::from_value(back).expect("a Deployment");
        assert!(!has_ended_deployment(&back), "it goes back to an older revision, and has not begun");
        let set = |update: &str| -> StatefulSet {
            let status = json!({"observedGeneration": 2, "replicas": 3, "currentRevision": "a", "updateRevision": update});
            serde_json::from_value(json!({"metadata": {"generation": 2}, "status": status}))
                .expect("a StatefulSet")
        };
        assert!(has_ended_stateful_set(&set("a")) && !has_ended_stateful_set(&set("b")));
        let set = |updated: i32| -> DaemonSet {
            let status = json!({"observedGeneration": 2, "currentNumberScheduled": 3, "desiredNumberScheduled": 3,
                "numberMisscheduled": 0, "numberReady": 0, "updatedNumberScheduled": updated});
            serde_json::from_value(json!({"metadata": {"generation": 2}, "status": status}))
                .expect("a DaemonSet")
        };
        assert!(has_ended_daemon_set(&set(3)) && !has_ended_daemon_set(&set(2)));
    }

    #[test]
    fn a_daemon_set_is_done_when_every_node_runs_the_new_pod() {
        let status = |observed, updated, available| json!({"observedGeneration": observed, "updatedNumberScheduled": updated, "numberAvailable": available});
        assert_eq!(daemon_set("RollingUpdate", status(2, 3, 3)), Rollout::Done);
        assert_eq!(daemon_set("RollingUpdate", status(1, 3, 3)), progressing(NOT_OBSERVED));
        assert_eq!(daemon_set("RollingUpdate", status(2, 1, 3)), progressing("1 of 3 pods are updated"));
        assert_eq!(
            daemon_set("RollingUpdate", status(2, 3, 2)),
            progressing("2 of 3 updated pods are available")
        );
        assert_eq!(daemon_set("OnDelete", status(2, 1, 1)), Rollout::Manual);
    }
}
