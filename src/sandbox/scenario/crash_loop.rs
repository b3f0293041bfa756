//! One pod of three crashes again and again, and nothing about it is wrong but the pod itself: a new one is well.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::{NAMESPACE, pods, put, waiting};
use super::{ClusterPlay, Cure, Measure, Scenario, Unit, alert, minutes};
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::kubernetes::behaviour::{BEHAVIOUR, LOGS};
use crate::sandbox::prometheus::series::{Course, Series, Signal, Watched};

const WORKLOAD: &str = "reservation-service";
const LABELS: [(&str, &str); 4] = [
    ("namespace", NAMESPACE),
    ("deployment", WORKLOAD),
    ("container", "app"),
    ("reason", "CrashLoopBackOff"),
];
const EXPR: &str = r#"max_over_time(kube_pod_container_status_waiting_reason{namespace="pss-nano",deployment="reservation-service",reason="CrashLoopBackOff"}[5m])"#;

pub(super) fn scenario() -> Scenario {
    let crashing = Watched::default();
    let series =
        Series::new("kube_pod_container_status_waiting_reason", &LABELS, Signal::Watched(crashing.clone()));
    let labels = [
        ("namespace", NAMESPACE),
        ("deployment", WORKLOAD),
        ("container", "app"),
        ("severity", "high"),
        ("cluster", "demo"),
    ];
    let annotations = [
        ("summary", "A pod of reservation-service crashes again and again"),
        ("description", "A container of reservation-service has been in CrashLoopBackOff for minutes."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#pod-crashloopbackoff"),
    ];
    Scenario {
        name: "crash-loop",
        title: "A pod crashes",
        story: "A pod of reservation-service was moved to another node, and crashes there on a broken cache file. \
                The other two are well. One pod is replaced without asking anybody.",
        alert: alert("KubePodCrashLooping", &labels, &annotations, EXPR),
        measure: Measure {
            label: "of reservation-service's pods in a crash loop",
            expr: EXPR.to_owned(),
            threshold: 0.0,
            unit: Unit::Count,
        },
        hold: minutes(2),
        cure: Cure::Cluster(ClusterPlay {
            workload: WORKLOAD,
            calm,
            trouble,
            read: |cluster| vec![waiting(cluster, WORKLOAD, &["CrashLoopBackOff"])],
            shows: |_| true,
            watched: vec![crashing],
        }),
        remedy_does: "evict the pod that crashes, so that a new one takes its place",
        course: Course::default(),
        series: vec![series],
    }
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

/// The broken pod is gone.
fn calm(cluster: &KubernetesSandbox) {
    for pod in pods(cluster, WORKLOAD) {
        if pod["metadata"]["annotations"].get(BEHAVIOUR).is_some() {
            cluster.remove("pods", NAMESPACE, name(&pod));
        }
    }
}

/// A pod moves: the old one is gone, and the new one finds a broken file.
fn trouble(cluster: &KubernetesSandbox) {
    let before: Vec<Value> = pods(cluster, WORKLOAD);
    if let Some(moved) = before.first() {
        cluster.remove("pods", NAMESPACE, name(moved));
    }
    cluster.step(Duration::ZERO);
    let is_new = |pod: &Value| !before.iter().any(|known| name(known) == name(pod));
    if let Some(mut pod) = pods(cluster, WORKLOAD).into_iter().find(is_new) {
        let last_words = "INFO reservation-service 5.1.0 starts\n\
                          INFO cache: reading /var/cache/routes.db\n\
                          ERROR cache: /var/cache/routes.db: file is truncated\n\
                          FATAL cannot start without routes";
        pod["metadata"]["annotations"] = json!({ BEHAVIOUR: "crash-loop", LOGS: last_words });
        put(cluster, pod);
    }
}
