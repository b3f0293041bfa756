//! A release names an image that was never pushed. Its pods wait for it for ever.

use super::cluster::{NAMESPACE, is_stuck, registry, set_image, waiting};
use super::{ClusterPlay, Cure, Measure, Scenario, Unit, alert, minutes};
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::sandbox::kubernetes::behaviour::{Behaviour, Fate};
use crate::sandbox::prometheus::series::{Course, Series, Signal, Watched};

const WORKLOAD: &str = "notification-service";
const GOOD: &str = "notification-service:1.9.3";
const BAD: &str = "notification-service:1.9.4-rc";
const LABELS: [(&str, &str); 4] = [
    ("namespace", NAMESPACE),
    ("deployment", WORKLOAD),
    ("container", "app"),
    ("reason", "ImagePullBackOff"),
];
const EXPR: &str = r#"kube_pod_container_status_waiting_reason{namespace="pss-nano",deployment="notification-service",reason="ImagePullBackOff"}"#;

pub(super) fn scenario() -> Scenario {
    let failing = Watched::default();
    let series =
        Series::new("kube_pod_container_status_waiting_reason", &LABELS, Signal::Watched(failing.clone()));
    let labels = [
        ("namespace", NAMESPACE),
        ("deployment", WORKLOAD),
        ("container", "app"),
        ("reason", "ImagePullBackOff"),
        ("severity", "high"),
        ("cluster", "demo"),
    ];
    let annotations = [
        ("summary", "The image of notification-service cannot be pulled"),
        ("description", "A container of notification-service has waited for its image for minutes."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#imagepullbackoff"),
    ];
    Scenario {
        name: "image-pull",
        title: "An image is missing",
        story: "A release of notification-service names the tag 1.9.4-rc, which nobody has pushed. The new pods wait \
                for an image that does not come.",
        alert: alert("KubeContainerWaiting", &labels, &annotations, EXPR),
        measure: Measure {
            label: "of notification-service's pods without their image",
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
            read: |cluster| vec![waiting(cluster, WORKLOAD, &["ErrImagePull", "ImagePullBackOff"])],
            shows: |cluster| is_stuck(cluster, WORKLOAD),
            watched: vec![failing],
        }),
        remedy_does: "put notification-service back to the image before",
        course: Course::default(),
        series: vec![series],
    }
}

fn trouble(cluster: &KubernetesSandbox) {
    cluster.behave(&registry(BAD), Behaviour::of(Fate::ImagePullBackOff));
    set_image(cluster, WORKLOAD, BAD);
}
