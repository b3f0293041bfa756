//! A service needs more memory than its limit, and is killed for it again and again.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::{NAMESPACE, count, edit, pods, registry};
use super::{ClusterPlay, Cure, Measure, Scenario, Unit, alert, minutes};
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::kubernetes::behaviour::Behaviour;
use crate::sandbox::prometheus::series::{Course, Series, Signal, Watched};

const WORKLOAD: &str = "report-service";
const IMAGE: &str = "report-service:3.2.0";
const LIMIT: &str = "256Mi";
/// What it needs with the data of the end of the month; half as much again as its limit is enough.
const NEEDS_BYTES: f64 = 350.0 * 1024.0 * 1024.0;
/// From the start of a container until it has used its memory up.
const LIVES: Duration = Duration::from_secs(4);
const LABELS: [(&str, &str); 4] =
    [("namespace", NAMESPACE), ("deployment", WORKLOAD), ("container", "app"), ("reason", "OOMKilled")];
const EXPR: &str = r#"kube_pod_container_status_last_terminated_reason{namespace="pss-nano",deployment="report-service",reason="OOMKilled"}"#;

pub(super) fn scenario() -> Scenario {
    let killed = Watched::default();
    let series = Series::new(
        "kube_pod_container_status_last_terminated_reason",
        &LABELS,
        Signal::Watched(killed.clone()),
    );
    let labels = [
        ("namespace", NAMESPACE),
        ("deployment", WORKLOAD),
        ("container", "app"),
        ("severity", "high"),
        ("cluster", "demo"),
    ];
    let annotations = [
        ("summary", "Containers of report-service are killed for their memory"),
        ("description", "Containers of report-service use more memory than their limit."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#out-of-memory"),
    ];
    Scenario {
        name: "oom-kill",
        title: "Out of memory",
        story: "It is the end of the month, and the reports need more memory than their limit of 256Mi. The kernel \
                kills them one after the other. More memory helps, for a while and within bounds.",
        alert: alert("KubeContainerOOMKilled", &labels, &annotations, EXPR),
        measure: Measure {
            label: "of report-service's pods killed for their memory",
            expr: EXPR.to_owned(),
            threshold: 0.0,
            unit: Unit::Count,
        },
        hold: minutes(1),
        cure: Cure::Cluster(ClusterPlay {
            workload: WORKLOAD,
            calm,
            trouble,
            read: |cluster| vec![count(pods(cluster, WORKLOAD).iter().filter(|pod| was_killed(pod)).count())],
            shows: |_| true,
            watched: vec![killed],
        }),
        remedy_does: "raise the limit of memory by half, for two hours",
        course: Course::default(),
        series: vec![series],
    }
}

fn was_killed(pod: &Value) -> bool {
    let status = "/status/containerStatuses/0";
    ["state", "lastState"].into_iter().any(|state| {
        let reason = pod.pointer(&format!("{status}/{state}/terminated/reason"));
        reason.is_some_and(|reason| reason == "OOMKilled")
    })
}

fn renew_pods(cluster: &KubernetesSandbox) {
    for pod in pods(cluster, WORKLOAD) {
        cluster.remove("pods", NAMESPACE, pod["metadata"]["name"].as_str().unwrap_or_default());
    }
}

fn calm(cluster: &KubernetesSandbox) {
    cluster.behave(&registry(IMAGE), Behaviour::default());
    edit(cluster, "deployments", WORKLOAD, |object| {
        object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!(LIMIT);
    });
    if pods(cluster, WORKLOAD).iter().any(was_killed) {
        renew_pods(cluster);
    }
}

/// All pods begin the month's reports at once.
fn trouble(cluster: &KubernetesSandbox) {
    cluster.behave(&registry(IMAGE), Behaviour::out_of_memory(LIVES, NEEDS_BYTES));
    renew_pods(cluster);
}
