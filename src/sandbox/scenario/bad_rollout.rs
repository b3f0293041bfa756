//! A new release crashes at its start, and its rollout hangs. The release before still answers with what is left of it.

use super::cluster::{NAMESPACE, is_stuck, registry, set_image};
use super::{ClusterPlay, Cure, Measure, Scenario, Unit, alert, minutes};
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::kubernetes::behaviour::Behaviour;
use crate::sandbox::prometheus::series::{Course, Series, Signal, Watched};

const WORKLOAD: &str = "user-service";
const GOOD: &str = "user-service:2.4.1";
const BAD: &str = "user-service:2.5.0";
const LABELS: [(&str, &str); 2] = [("namespace", NAMESPACE), ("deployment", WORKLOAD)];
const EXPR: &str =
    r#"kube_deployment_status_replicas_unavailable{namespace="pss-nano",deployment="user-service"}"#;

pub(super) fn scenario() -> Scenario {
    let unavailable = Watched::default();
    let series = Series::new(
        "kube_deployment_status_replicas_unavailable",
        &LABELS,
        Signal::Watched(unavailable.clone()),
    );
    let labels =
        [("namespace", NAMESPACE), ("deployment", WORKLOAD), ("severity", "critical"), ("cluster", "demo")];
    let annotations = [
        ("summary", "The rollout of user-service does not come to its end"),
        ("description", "user-service has had fewer replicas than it wants for several minutes."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#rollback"),
    ];
    Scenario {
        name: "bad-rollout",
        title: "A bad release",
        story: "Somebody releases user-service 2.5.0. It crashes at its start, the rollout hangs halfway, and the \
                old pods that are left carry all the load until somebody takes the release back.",
        alert: alert("KubeDeploymentReplicasMismatch", &labels, &annotations, EXPR),
        measure: Measure {
            label: "of user-service's replicas are missing",
            expr: EXPR.to_owned(),
            threshold: 0.0,
            unit: Unit::Count,
        },
        // Longer than the rollout's deadline: before it, somebody's rollout is left to its course.
        hold: minutes(7),
        cure: Cure::Cluster(ClusterPlay {
            workload: WORKLOAD,
            calm: |cluster| set_image(cluster, WORKLOAD, GOOD),
            trouble,
            read,
            shows: |cluster| is_stuck(cluster, WORKLOAD),
            watched: vec![unavailable],
        }),
        remedy_does: "put user-service back to the release before",
        course: Course::default(),
        series: vec![series],
    }
}

fn trouble(cluster: &KubernetesSandbox) {
    let last_words = [
        "INFO user-service 2.5.0 starts",
        "INFO database: 12 connections",
        "ERROR config: variable SESSION_STORE_URL is not set",
        "FATAL cannot start: session store: no address",
    ];
    cluster.behave(&registry(BAD), Behaviour::crash_loop().saying(&last_words));
    set_image(cluster, WORKLOAD, BAD);
}

fn read(cluster: &KubernetesSandbox) -> Vec<f64> {
    let deployment = cluster.get("deployments", NAMESPACE, WORKLOAD);
    let number = |pointer: &str| deployment.as_ref()?.pointer(pointer)?.as_f64();
    let wanted = number("/spec/replicas").unwrap_or_default();
    vec![(wanted - number("/status/availableReplicas").unwrap_or_default()).max(0.0)]
}
