//! What the API server writes into an object that leaves things out, for the built-in kinds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::json::{items, set_default, text};
use super::quantity;
use super::resource::Resource;

/// Fills in what an object of a resource left out.
pub(super) fn fill(resource: &Resource, object: &mut Value) {
    match resource.plural {
        "deployments" => deployment(object),
        "replicasets" => {
            set_default(object, "/spec/replicas", 1);
            pod_spec(object, "/spec/template/spec");
        }
        "statefulsets" => stateful_set(object),
        "daemonsets" => daemon_set(object),
        "pods" => pod(object),
        "jobs" => job(object, "/spec"),
        "cronjobs" => {
            set_default(object, "/spec/concurrencyPolicy", "Allow");
            set_default(object, "/spec/suspend", false);
            set_default(object, "/spec/successfulJobsHistoryLimit", 3);
            set_default(object, "/spec/failedJobsHistoryLimit", 1);
            job(object, "/spec/jobTemplate/spec");
        }
        "horizontalpodautoscalers" => autoscaler(object),
        "services" => service(object),
        "namespaces" => {
            let name = text(object, "/metadata/name").to_owned();
            super::json::set(object, "/metadata/labels/kubernetes.io~1metadata.name", name);
            set_default(object, "/spec/finalizers", json!(["kubernetes"]));
        }
        "secrets" => {
            set_default(object, "/type", "Opaque");
            encode(object);
        }
        "persistentvolumeclaims" => {
            set_default(object, "/spec/volumeMode", "Filesystem");
            quantities(object, "/spec/resources");
        }
        _ => {}
    }
}

/// What came as plain text is kept in base64, as all of a Secret is.
fn encode(secret: &mut Value) {
    let plain = super::json::remove(secret, "/stringData");
    for (key, value) in plain.iter().filter_map(Value::as_object).flatten() {
        let value = STANDARD.encode(value.as_str().unwrap_or_default());
        super::json::set(secret, &format!("/data/{}", super::json::token(key)), value);
    }
}

fn deployment(object: &mut Value) {
    set_default(object, "/spec/replicas", 1);
    set_default(object, "/spec/revisionHistoryLimit", 10);
    set_default(object, "/spec/progressDeadlineSeconds", 600);
    set_default(object, "/spec/strategy/type", "RollingUpdate");
    if text(object, "/spec/strategy/type") == "RollingUpdate" {
        set_default(object, "/spec/strategy/rollingUpdate/maxUnavailable", "25%");
        set_default(object, "/spec/strategy/rollingUpdate/maxSurge", "25%");
    }
    pod_spec(object, "/spec/template/spec");
}

fn stateful_set(object: &mut Value) {
    set_default(object, "/spec/replicas", 1);
    set_default(object, "/spec/revisionHistoryLimit", 10);
    set_default(object, "/spec/podManagementPolicy", "OrderedReady");
    set_default(object, "/spec/updateStrategy/type", "RollingUpdate");
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        set_default(object, "/spec/updateStrategy/rollingUpdate/partition", 0);
    }
    let policy = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
    set_default(object, "/spec/persistentVolumeClaimRetentionPolicy", policy);
    pod_spec(object, "/spec/template/spec");
}

fn daemon_set(object: &mut Value) {
    set_default(object, "/spec/revisionHistoryLimit", 10);
    set_default(object, "/spec/updateStrategy/type", "RollingUpdate");
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        set_default(object, "/spec/updateStrategy/rollingUpdate/maxSurge", 0);
        set_default(object, "/spec/updateStrategy/rollingUpdate/maxUnavailable", 1);
    }
    pod_spec(object, "/spec/template/spec");
}

fn job(object: &mut Value, spec: &str) {
    if object.pointer(&format!("{spec}/completions")).is_none() {
        set_default(object, &format!("{spec}/parallelism"), 1);
        if object.pointer(&format!("{spec}/parallelism")) == Some(&json!(1)) {
            set_default(object, &format!("{spec}/completions"), 1);
        }
    }
    set_default(object, &format!("{spec}/parallelism"), 1);
    set_default(object, &format!("{spec}/backoffLimit"), 6);
    set_default(object, &format!("{spec}/completionMode"), "NonIndexed");
    set_default(object, &format!("{spec}/suspend"), false);
    set_default(object, &format!("{spec}/podReplacementPolicy"), "TerminatingOrFailed");
    pod_spec(object, &format!("{spec}/template/spec"));
}

fn autoscaler(object: &mut Value) {
    set_default(object, "/spec/minReplicas", 1);
    let usual = json!([{ "type": "Resource", "resource": {
        "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 },
    }}]);
    set_default(object, "/spec/metrics", usual);
}

fn service(object: &mut Value) {
    set_default(object, "/spec/type", "ClusterIP");
    set_default(object, "/spec/sessionAffinity", "None");
    set_default(object, "/spec/internalTrafficPolicy", "Cluster");
    let ports = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        set_default(port, "/protocol", "TCP");
        let same = port["port"].clone();
        set_default(port, "/targetPort", same);
    }
}

fn pod(object: &mut Value) {
    pod_spec(object, "/spec");
    set_default(object, "/spec/enableServiceLinks", true);
    set_default(object, "/spec/serviceAccountName", "default");
    set_default(object, "/spec/preemptionPolicy", "PreemptLowerPriority");
    set_default(object, "/spec/priority", 0);
    let wait = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
    let usual = json!([wait("node.kubernetes.io/not-ready"), wait("node.kubernetes.io/unreachable")]);
    set_default(object, "/spec/tolerations", usual);
}

fn pod_spec(object: &mut Value, place: &str) {
    let Some(spec) = object.pointer_mut(place).filter(|spec| spec.is_object()) else { return };
    set_default(spec, "/restartPolicy", "Always");
    set_default(spec, "/terminationGracePeriodSeconds", 30);
    set_default(spec, "/dnsPolicy", "ClusterFirst");
    set_default(spec, "/schedulerName", "default-scheduler");
    set_default(spec, "/securityContext", json!({}));
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(container);
    }
}

fn container(container: &mut Value) {
    set_default(container, "/resources", json!({}));
    set_default(container, "/terminationMessagePath", "/dev/termination-log");
    set_default(container, "/terminationMessagePolicy", "File");
    let image = text(container, "/image");
    let tagged = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!tagged.contains(':') || tagged.ends_with(":latest"));
    set_default(container, "/imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        set_default(port, "/protocol", "TCP");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container.get(probe).is_some_and(Value::is_object) {
            for (field, usual) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                set_default(container, &format!("/{probe}/{field}"), usual);
            }
        }
    }
    limits_are_requests(container);
    quantities(container, "/resources");
}

/// Quantities are kept as the server writes them.
fn quantities(object: &mut Value, place: &str) {
    for list in ["requests", "limits"] {
        let all = object.pointer_mut(&format!("{place}/{list}")).and_then(Value::as_object_mut);
        for amount in all.into_iter().flat_map(|all| all.values_mut()) {
            let words = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            if let Some(written) = quantity::written(&words) {
                *amount = written.into();
            }
        }
    }
}

/// A limit without a request is the request as well.
fn limits_are_requests(container: &mut Value) {
    let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned();
    for (name, limit) in limits.into_iter().flatten() {
        set_default(container, &format!("/resources/requests/{}", super::json::token(&name)), limit);
    }
}

/// The containers of a pod template or a pod, init containers first.
pub(super) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    items(spec, "/initContainers").iter().chain(items(spec, "/containers"))
}
