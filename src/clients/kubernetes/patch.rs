//! The patches that `kubectl` would send: restart and undo.
//!
//! Their values are fixed by the caller, so that the same patch twice is as good as once.

use serde_json::{Map, Value, json};

use super::changes::{Change, FieldPath};
use super::revision::{OURS, RESTARTED_AT, Revision, TEMPLATE_HASH};

/// An annotation of ours and its value; none takes it away.
pub type Mark<'a> = (&'a str, Option<&'a str>);

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

/// The change that makes a new revision of the same template, with `at` as the time of the restart.
pub fn restart(workload: &Value, at: &str) -> Change {
    let path = FieldPath::fields(["spec", "template", "metadata", "annotations", RESTARTED_AT]);
    Change::of(workload, path, json!(at))
}

/// The JSON patch that puts a Deployment's template back to a revision, with `ours` among the annotations.
pub fn undo_deployment(deployment: &Value, revision: &Revision, ours: &[Mark<'_>]) -> Value {
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
    annotations.extend(marks(ours));
    annotations.retain(|_, value| !value.is_null());
    // `add` replaces a member that is there (RFC 6902, 4.1), and works where a Deployment has no annotations yet.
    json!([
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
    ])
}

/// The strategic merge patch that puts the template of a StatefulSet or DaemonSet back to a revision: what its
/// ControllerRevision keeps, which says `$patch: replace` itself.
pub fn undo_controller(revision: &Revision, ours: &[Mark<'_>]) -> Value {
    let mut template = revision.template.clone();
    template["$patch"] = json!("replace");
    let annotations: Map<String, Value> = marks(ours).collect();
    json!({"metadata": {"annotations": annotations}, "spec": {"template": template}})
}

fn marks(ours: &[Mark<'_>]) -> impl Iterator<Item = (String, Value)> {
    ours.iter().map(|(name, value)| ((*name).to_owned(), json!(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::kubernetes::revision::{BAD_REVISIONS, of_replica_sets};
    use crate::clients::kubernetes::test_objects::{mk_deployment, mk_replica_set, mk_template};

    #[test]
    fn a_restart_sets_one_annotation_and_the_same_time_twice_is_the_same_change() {
        let deployment = mk_deployment("api", mk_template("api:1"));
        let change = restart(&deployment, "2026-11-21T12:00:00Z");
        assert_eq!(
            change.path.to_string(),
            "spec.template.metadata.annotations['kubectl.kubernetes.io/restartedAt']"
        );
        assert_eq!((&change.from, &change.to), (&Value::Null, &json!("2026-11-21T12:00:00Z")));
        assert_eq!(change, restart(&deployment, "2026-11-21T12:00:00Z"));
    }

    #[test]
    fn an_undo_takes_the_template_without_its_hash_and_keeps_six_annotations() {
        let mut deployment = mk_deployment("api", mk_template("api:2"));
        deployment["metadata"]["annotations"] = json!({
            "deployment.kubernetes.io/revision": "2",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "smokejumper.dev/bad-revisions": "api-9",
            "smokejumper.dev/other": "kept",
            "team": "new",
        });
        let mut set = mk_replica_set(&deployment, 1, mk_template("api:1"));
        set["metadata"]["annotations"]["team"] = json!("old");
        set["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] = json!("3");
        let revisions = of_replica_sets(&deployment, &[set]);
        let patch = undo_deployment(
            &deployment,
            &revisions[0],
            &[("smokejumper.dev/execution-id", Some("i-a1-apply")), ("smokejumper.dev/bad-revisions", None)],
        );
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
                "smokejumper.dev/execution-id": "i-a1-apply",
                "smokejumper.dev/other": "kept",
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
        let patch =
            undo_controller(&revision, &[("smokejumper.dev/execution-id", Some("k")), (BAD_REVISIONS, None)]);
        assert_eq!(patch["spec"]["template"]["$patch"], "replace");
        assert_eq!(patch["spec"]["template"]["spec"]["containers"][0]["image"], "redis:6");
        let marks = &patch["metadata"]["annotations"];
        assert_eq!(
            marks,
            &json!({"smokejumper.dev/execution-id": "k", "smokejumper.dev/bad-revisions": null})
        );
    }
}
