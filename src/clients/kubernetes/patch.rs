//! The patches that `kubectl` would send: restart and undo.
//!
//! Their values are fixed by the caller, so that the same patch twice is as good as once.

use serde_json::{Map, Value, json};

use super::revision::{OURS, RESTARTED_AT, Revision, TEMPLATE_HASH};

/// Annotations of a Deployment that an undo keeps as they are; all others come from the ReplicaSet, as `kubectl` does
/// it.
const KEPT_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// The merge patch that makes a new revision of the same template, with `at` as the time of the restart.
pub fn restart(at: &str) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}}})
}

/// The JSON patch that puts a Deployment's template back to a revision, with `ours` among the annotations.
pub fn undo_deployment(deployment: &Value, revision: &Revision, ours: &[(&str, &str)]) -> Value {
    let mut template = revision.template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    let is_kept = |name: &str| KEPT_ANNOTATIONS.contains(&name) || name.starts_with(OURS);
    let none = Map::new();
    let present = deployment.pointer("/metadata/annotations").and_then(Value::as_object).unwrap_or(&none);
    let kept =
        present.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone()));
    let restored = revision.annotations.iter().filter(|(name, _)| !is_kept(name));
    let mut annotations: Map<String, Value> =
        restored.map(|(name, value)| (name.clone(), json!(value))).chain(kept).collect();
    annotations.extend(ours.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    // `add` replaces a member that is there (RFC 6902, 4.1), and works where a Deployment has no annotations yet.
    json!([
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
    ])
}

/// The strategic merge patch that puts the template of a StatefulSet or DaemonSet back to a revision: what its
/// ControllerRevision keeps, which says `$patch: replace` itself.
pub fn undo_controller(revision: &Revision, ours: &[(&str, &str)]) -> Value {
    let mut template = revision.template.clone();
    template["$patch"] = json!("replace");
    let annotations: Map<String, Value> =
        ours.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({"metadata": {"annotations": annotations}, "spec": {"template": template}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::kubernetes::revision::of_replica_sets;
    use crate::clients::kubernetes::test_objects::{mk_deployment, mk_replica_set, mk_template};

    #[test]
    fn a_restart_sets_one_annotation_and_the_same_time_twice_is_the_same_patch() {
        let patch = restart("2026-11-21T12:00:00Z");
        let annotations = &patch["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations, &json!({"kubectl.kubernetes.io/restartedAt": "2026-11-21T12:00:00Z"}));
        assert_eq!(patch, restart("2026-11-21T12:00:00Z"));
    }

    #[test]
    fn an_undo_takes_the_template_without_its_hash_and_keeps_six_annotations() {
        let mut deployment = mk_deployment("api", mk_template("api:2"));
        deployment["metadata"]["annotations"] = json!({
            "deployment.kubernetes.io/revision": "2",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "smokejumper.dev/bad-revisions": "api-9",
            "team": "new",
        });
        let mut set = mk_replica_set(&deployment, 1, mk_template("api:1"));
        set["metadata"]["annotations"]["team"] = json!("old");
        set["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] = json!("3");
        let revisions = of_replica_sets(&deployment, &[set]);
        let patch =
            undo_deployment(&deployment, &revisions[0], &[("smokejumper.dev/execution-id", "i-a1-apply")]);
        assert_eq!(patch[0]["path"], "/spec/template");
        let labels = &patch[0]["value"]["metadata"]["labels"];
        assert_eq!(labels, &json!({"app": "api"}), "without the hash of the ReplicaSet");
        assert_eq!(patch[0]["value"]["spec"]["containers"][0]["image"], "api:1");
        assert_eq!(patch[1]["op"], "add");
        assert_eq!(
            patch[1]["value"],
            json!({
                "deployment.kubernetes.io/revision": "2",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "smokejumper.dev/bad-revisions": "api-9",
                "smokejumper.dev/execution-id": "i-a1-apply",
                "team": "old",
            })
        );
    }

    #[test]
    fn a_controller_revision_replaces_the_template_as_a_whole() {
        let revision = Revision {
            number: 1,
            name: "redis-1".to_owned(),
            template: mk_template("redis:6"),
            annotations: Default::default(),
        };
        let patch = undo_controller(&revision, &[("smokejumper.dev/execution-id", "k")]);
        assert_eq!(patch["spec"]["template"]["$patch"], "replace");
        assert_eq!(patch["spec"]["template"]["spec"]["containers"][0]["image"], "redis:6");
        assert_eq!(patch["metadata"]["annotations"]["smokejumper.dev/execution-id"], "k");
    }
}
