//! Objects of a cluster for tests, as an API server would show them.

use serde_json::{Value, json};

use super::revision::REVISION;

/// A template with one container, as the API server fills it in.
pub(crate) fn mk_template(image: &str) -> Value {
    json!({
        "metadata": {"creationTimestamp": null, "labels": {"app": "api"}},
        "spec": {"containers": [{
            "name": "api", "image": image, "resources": {},
            "env": [{"name": "LEVEL", "value": "info"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        }]},
    })
}

/// A Deployment.
pub(crate) fn mk_deployment(name: &str, template: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "prod", "uid": format!("uid-{name}"), "generation": 1, "resourceVersion": "10"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "api"}}, "template": template},
    })
}

/// A ReplicaSet that keeps a revision of `owner`.
pub(crate) fn mk_replica_set(owner: &Value, revision: i64, template: Value) -> Value {
    let hash = format!("h{revision}");
    let mut template = template;
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    json!({
        "metadata": {
            "name": format!("{}-{hash}", owner["metadata"]["name"].as_str().unwrap_or_default()),
            "annotations": {REVISION: revision.to_string()},
            "ownerReferences": [mk_owner(owner)],
        },
        "spec": {"template": template},
    })
}

/// A ControllerRevision that keeps a revision of `owner`.
pub(crate) fn mk_controller_revision(owner: &Value, revision: i64, template: Value) -> Value {
    let mut template = template;
    template["$patch"] = json!("replace");
    json!({
        "metadata": {
            "name": format!("{}-{revision}", owner["metadata"]["name"].as_str().unwrap_or_default()),
            "ownerReferences": [mk_owner(owner)],
        },
        "data": {"spec": {"template": template}},
        "revision": revision,
    })
}

fn mk_owner(owner: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": true})
}
