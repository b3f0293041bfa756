//! The two platforms of the rules in the simulated cluster, three hours old and at rest, and what kube-state-metrics would
//! say of it.

use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// The namespace of most stories.
pub const PSS: &str = "pss-nano";

/// The namespace of the other platform.
pub const HSC: &str = "hsc-jit";

/// Older than any rule calls recent.
const AGE: Duration = Duration::from_secs(3 * 3_600);

/// How much faster the cluster's time runs than ours, so that nobody waits for pods.
const SPEED: u32 = 5;

/// A Deployment with one container.
pub fn deployment(namespace: &str, name: &str, image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 10,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "app", "image": image,
                    "resources": {
                        "requests": { "cpu": "100m", "memory": "128Mi" },
                        "limits": { "cpu": "500m", "memory": "512Mi" },
                    },
                }] },
            },
        },
    })
}

/// An autoscaler of a Deployment of PSS-nano.
pub fn autoscaler(name: &str, min: u32, max: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": name, "namespace": PSS },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "minReplicas": min, "maxReplicas": max,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 },
            }}],
        },
    })
}

/// The cluster before anything happens, with `more` that is there from the beginning as well.
pub async fn at_rest(more: impl FnOnce(&KubernetesSandbox)) -> Arc<KubernetesSandbox> {
    at_rest_after(more, Duration::ZERO, |_| ()).await
}

/// The same with something that happened so long `ago`.
pub async fn at_rest_after(
    more: impl FnOnce(&KubernetesSandbox),
    ago: Duration,
    happened: impl FnOnce(&KubernetesSandbox),
) -> Arc<KubernetesSandbox> {
    let begins = jiff::Timestamp::now() - AGE;
    let cluster = KubernetesSandbox::start_at(0, begins).await.expect("a free port");
    for (namespace, name, replicas) in [
        (PSS, "api-gateway", 4),
        (PSS, "reservation-service", 4),
        (PSS, "maintenance-page", 1),
        (HSC, "hsc-jit-backend", 4),
    ] {
        put(&cluster, deployment(namespace, name, &format!("{name}:1"), replicas));
    }
    put(&cluster, redis());
    put(&cluster, cron_job(HSC, "backup-job"));
    more(&cluster);
    cluster.step(AGE - ago);
    happened(&cluster);
    cluster.step(ago);
    cluster.run(SPEED);
    Arc::new(cluster)
}

pub fn put(cluster: &KubernetesSandbox, object: Value) {
    cluster.put(object).expect("it is of a kind that is played");
}

fn redis() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "redis", "namespace": PSS, "labels": { "app": "redis" } },
        "spec": {
            "replicas": 1, "serviceName": "redis",
            "selector": { "matchLabels": { "app": "redis" } },
            "template": {
                "metadata": { "labels": { "app": "redis" } },
                "spec": { "containers": [{ "name": "redis", "image": "redis:7" }] },
            },
        },
    })
}

/// One that never starts by the clock.
pub fn cron_job(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "schedule": "0 2 * * *", "suspend": true,
            "jobTemplate": { "spec": { "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "job", "image": "job:1" }],
            }}}},
        },
    })
}

/// Pods of a Deployment that take requests.
pub fn ready_pods(cluster: &KubernetesSandbox, namespace: &str, app: &str) -> Vec<Value> {
    let mut pods = cluster.list("pods", namespace);
    pods.retain(|pod| {
        let conditions = pod["status"]["conditions"].as_array();
        pod["metadata"]["labels"]["app"] == app
            && pod.pointer("/metadata/deletionTimestamp").is_none()
            && conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
    });
    pods
}

fn stamp(object: &Value, pointer: &str) -> Option<i64> {
    let text = object.pointer(pointer)?.as_str()?;
    Some(text.parse::<jiff::Timestamp>().expect("a time").as_second())
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What the shipped alerts need of kube-state-metrics.
pub fn kube_state_metrics(cluster: &KubernetesSandbox) -> String {
    let mut page = String::new();
    let mut line = |metric: &str, labels: &str, value: i64| {
        writeln!(page, "{metric}{{{labels}}} {value}").expect("a text takes whatever is written");
    };
    for set in cluster.list("replicasets", "") {
        let (namespace, name) = (text(&set, "/metadata/namespace"), text(&set, "/metadata/name"));
        let owner = text(&set, "/metadata/ownerReferences/0/name");
        let labels = format!("namespace=\"{namespace}\",replicaset=\"{name}\"");
        let owned = format!("{labels},owner_kind=\"Deployment\",owner_name=\"{owner}\"");
        line("kube_replicaset_owner", &owned, 1);
        if let Some(created) = stamp(&set, "/metadata/creationTimestamp") {
            line("kube_replicaset_created", &labels, created);
        }
    }
    for job in cluster.list("cronjobs", "") {
        let (namespace, name) = (text(&job, "/metadata/namespace"), text(&job, "/metadata/name"));
        let labels = format!("namespace=\"{namespace}\",cronjob=\"{name}\"");
        if let Some(created) = stamp(&job, "/metadata/creationTimestamp") {
            line("kube_cronjob_created", &labels, created);
        }
        line("kube_cronjob_spec_suspend", &labels, i64::from(job["spec"]["suspend"] == true));
    }
    page
}
