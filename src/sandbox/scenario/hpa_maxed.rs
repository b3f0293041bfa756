//! More users than ever: the autoscaler wants more replicas than it may have.

use serde_json::{Value, json};

use super::cluster::{NAMESPACE, count, edit, is_ready, pods, put};
use super::{ClusterPlay, Cure, Measure, Scenario, Unit, alert, minutes};
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::prometheus::series::{Course, Series, Signal, Watched};

const WORKLOAD: &str = "api-gateway";
const LABELS: [(&str, &str); 2] = [("namespace", NAMESPACE), ("horizontalpodautoscaler", WORKLOAD)];
const EXPR: &str = r#"kube_horizontalpodautoscaler_status_desired_replicas{namespace="pss-nano",horizontalpodautoscaler="api-gateway"} / kube_horizontalpodautoscaler_spec_max_replicas{namespace="pss-nano",horizontalpodautoscaler="api-gateway"}"#;
/// The fewest and the most replicas at first.
const BOUNDS: (u64, u64) = (2, 4);
/// The annotation with what all requests together cost, in thousandths of a processor.
const LOAD: &str = "sandbox.smokejumper.dev/load";
/// Two replicas are enough for that.
const CALM_MILLIS: u64 = 320;
/// Seven are.
const PEAK_MILLIS: u64 = 1_320;
const MEMORY_BYTES: u64 = 180 * 1024 * 1024;

pub(super) fn scenario() -> Scenario {
    let (wanted, most) = (Watched::default(), Watched::default());
    let one = |name: &str, watched: &Watched| Series::new(name, &LABELS, Signal::Watched(watched.clone()));
    let series = vec![
        one("kube_horizontalpodautoscaler_status_desired_replicas", &wanted),
        one("kube_horizontalpodautoscaler_spec_max_replicas", &most),
    ];
    let labels = [
        ("namespace", NAMESPACE),
        ("horizontalpodautoscaler", WORKLOAD),
        ("severity", "high"),
        ("cluster", "demo"),
    ];
    let annotations = [
        ("summary", "The autoscaler of api-gateway is at its maximum"),
        ("description", "api-gateway has wanted as many replicas as it may have for minutes."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#hpa-tuning"),
    ];
    Scenario {
        name: "hpa-maxed",
        title: "More users than ever",
        story: "A sale has begun. The autoscaler of api-gateway has gone up to its maximum of four replicas, and they \
                are still too few, until somebody lets it have more.",
        alert: alert("KubeHpaMaxedOut", &labels, &annotations, EXPR),
        measure: Measure {
            label: "replicas wanted, part of those allowed",
            expr: EXPR.to_owned(),
            threshold: 0.99,
            unit: Unit::Ratio,
        },
        hold: minutes(3),
        cure: Cure::Cluster(ClusterPlay {
            workload: WORKLOAD,
            calm,
            trouble: |cluster| set_load(cluster, PEAK_MILLIS),
            read,
            shows: |_| true,
            watched: vec![wanted, most],
        }),
        remedy_does: "let the autoscaler have up to ten replicas, for two hours",
        course: Course::default(),
        series,
    }
}

fn set_load(cluster: &KubernetesSandbox, millis: u64) {
    edit(cluster, "horizontalpodautoscalers", WORKLOAD, |object| {
        object["metadata"]["annotations"] = json!({ LOAD: millis.to_string() });
    });
}

fn calm(cluster: &KubernetesSandbox) {
    let (min, max) = BOUNDS;
    if cluster.get("horizontalpodautoscalers", NAMESPACE, WORKLOAD).is_none() {
        let cpu = json!({ "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } });
        put(
            cluster,
            json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": { "name": WORKLOAD, "namespace": NAMESPACE },
                "spec": {
                    "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": WORKLOAD },
                    "minReplicas": min, "maxReplicas": max,
                    "metrics": [{ "type": "Resource", "resource": cpu }],
                },
            }),
        );
    }
    edit(cluster, "horizontalpodautoscalers", WORKLOAD, |object| {
        object["spec"]["minReplicas"] = json!(min);
        object["spec"]["maxReplicas"] = json!(max);
    });
    set_load(cluster, CALM_MILLIS);
    share_load(cluster);
}

/// The requests are shared by the pods that are ready.
fn share_load(cluster: &KubernetesSandbox) {
    let hpa = cluster.get("horizontalpodautoscalers", NAMESPACE, WORKLOAD).unwrap_or_default();
    let load = hpa["metadata"]["annotations"][LOAD].as_str().and_then(|millis| millis.parse().ok());
    let ready = pods(cluster, WORKLOAD).iter().filter(|pod| is_ready(pod)).count();
    let each = load.unwrap_or(CALM_MILLIS) / u64::try_from(ready).unwrap_or(u64::MAX).max(1);
    cluster.set_usage(NAMESPACE, "app=api-gateway", each, MEMORY_BYTES);
}

fn read(cluster: &KubernetesSandbox) -> Vec<f64> {
    share_load(cluster);
    let hpa = cluster.get("horizontalpodautoscalers", NAMESPACE, WORKLOAD).unwrap_or_default();
    let number = |pointer: &str| hpa.pointer(pointer).and_then(Value::as_f64);
    let most = number("/spec/maxReplicas").unwrap_or(count(1));
    vec![number("/status/desiredReplicas").unwrap_or_default(), most]
}
