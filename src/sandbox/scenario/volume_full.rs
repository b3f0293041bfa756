//! The volume of a message broker fills up. A volume can be made larger while it is in use, and never smaller.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, edit, put};
use super::{ClusterPlay, Cure, Measure, Scenario, Unit, alert, minutes};
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::prometheus::series::{Course, Series, Signal, Watched};

const WORKLOAD: &str = "rabbitmq";
const CLAIM: &str = "data-rabbitmq-0";
const LABELS: [(&str, &str); 2] = [("namespace", NAMESPACE), ("persistentvolumeclaim", CLAIM)];
const EXPR: &str = r#"1 - kubelet_volume_stats_available_bytes{namespace="pss-nano",persistentvolumeclaim="data-rabbitmq-0"} / kubelet_volume_stats_capacity_bytes{namespace="pss-nano",persistentvolumeclaim="data-rabbitmq-0"}"#;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const SIZE_GIB: f64 = 20.0;
/// In use on a calm day, and how far it goes.
const CALM_GIB: f64 = 9.0;
const PEAK_GIB: f64 = 18.4;
/// How fast it fills, so that the story does not take hours.
const GIB_A_SECOND: f64 = 1.2;
/// The annotation that says since when messages pile up.
const FILLS_SINCE: &str = "sandbox.smokejumper.dev/fills-since";

pub(super) fn scenario() -> Scenario {
    let (free, size) = (Watched::default(), Watched::default());
    let one = |name: &str, watched: &Watched| Series::new(name, &LABELS, Signal::Watched(watched.clone()));
    let series = vec![
        one("kubelet_volume_stats_available_bytes", &free),
        one("kubelet_volume_stats_capacity_bytes", &size),
    ];
    let labels = [
        ("namespace", NAMESPACE),
        ("persistentvolumeclaim", CLAIM),
        ("severity", "high"),
        ("cluster", "demo"),
    ];
    let annotations = [
        ("summary", "The volume of rabbitmq is nearly full"),
        ("description", "More than 85 % of the volume data-rabbitmq-0 is in use."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#disk-space"),
    ];
    Scenario {
        name: "volume-full",
        title: "A volume fills up",
        story: "A consumer is slow, and messages pile up on the volume of rabbitmq. At 100 % the broker stops taking \
                any. The storage class lets volumes grow, once somebody says so.",
        alert: alert("KubePersistentVolumeFillingUp", &labels, &annotations, EXPR),
        measure: Measure {
            label: "part of the volume in use",
            expr: EXPR.to_owned(),
            threshold: 0.85,
            unit: Unit::Ratio,
        },
        hold: minutes(1),
        cure: Cure::Cluster(ClusterPlay {
            workload: WORKLOAD,
            calm,
            trouble,
            read,
            shows: |_| true,
            watched: vec![free, size],
        }),
        remedy_does: "make the volume half as large again",
        course: Course::default(),
        series,
    }
}

fn size(gib: f64) -> String {
    format!("{gib:.0}Gi")
}

fn calm(cluster: &KubernetesSandbox) {
    if cluster.get("statefulsets", NAMESPACE, WORKLOAD).is_none() {
        put(cluster, broker());
    }
    put(cluster, claim());
}

fn broker() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": WORKLOAD, "namespace": NAMESPACE, "labels": { "app": WORKLOAD } },
        "spec": {
            "replicas": 1,
            "serviceName": WORKLOAD,
            "selector": { "matchLabels": { "app": WORKLOAD } },
            "template": {
                "metadata": { "labels": { "app": WORKLOAD } },
                "spec": {
                    "containers": [{
                        "name": "app",
                        "image": "docker.io/library/rabbitmq:4.1",
                        "volumeMounts": [{ "name": "data", "mountPath": "/var/lib/rabbitmq" }],
                    }],
                    "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": CLAIM } }],
                },
            },
        },
    })
}

fn claim() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": CLAIM, "namespace": NAMESPACE, "labels": { "app": WORKLOAD } },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "volumeName": "pv-rabbitmq-0",
            "resources": { "requests": { "storage": size(SIZE_GIB) } },
        },
        "status": { "phase": "Bound", "capacity": { "storage": size(SIZE_GIB) }, "accessModes": ["ReadWriteOnce"] },
    })
}

fn trouble(cluster: &KubernetesSandbox) {
    let now = cluster.now().to_string();
    edit(cluster, "persistentvolumeclaims", CLAIM, |claim| {
        claim["metadata"]["annotations"] = json!({ FILLS_SINCE: now });
    });
}

fn read(cluster: &KubernetesSandbox) -> Vec<f64> {
    // The storage follows the claim.
    edit(cluster, "persistentvolumeclaims", CLAIM, |claim| {
        claim["status"]["capacity"]["storage"] = claim["spec"]["resources"]["requests"]["storage"].clone();
    });
    let claim = cluster.get("persistentvolumeclaims", NAMESPACE, CLAIM).unwrap_or_default();
    let capacity = claim["status"]["capacity"]["storage"].as_str().and_then(|size| size.strip_suffix("Gi"));
    let capacity: f64 = capacity.and_then(|gib| gib.parse().ok()).unwrap_or(SIZE_GIB);
    let since = claim["metadata"]["annotations"][FILLS_SINCE].as_str();
    let since: Option<Timestamp> = since.and_then(|since| since.parse().ok());
    let piled = since.map_or(0.0, |since| cluster.now().duration_since(since).as_secs_f64() * GIB_A_SECOND);
    let used = (CALM_GIB + piled).min(PEAK_GIB);
    vec![(capacity - used) * GIB, capacity * GIB]
}
