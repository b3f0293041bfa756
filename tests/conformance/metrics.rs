//! The metrics API: there, or absent in one of the ways that count as absent.

use serde_json::Value;

use super::cluster::{on_ground, text, until};
use super::objects::rolled_out;

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_quantities_by_container_or_absent_as_404_or_503() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 1).await;
        let path = ground.group("metrics.k8s.io/v1beta1", "pods?labelSelector=app%3Dweb");
        let first = ground.get(&path).await;
        if first.code != 200 {
            assert!(matches!(first.code, 404 | 503), "neither there nor absent: {first:?}");
            return ground.lacks(&format!("this cluster has no metrics API ({})", first.code));
        }
        // The first measurement of a new pod takes a minute or so.
        let pod = until("the pod is measured", async || {
            let mut items = ground.items(&path).await;
            if items.is_empty() { Err(Value::Null) } else { Ok(items.remove(0)) }
        })
        .await;
        assert_eq!(text(&pod, "/containers/0/name"), "app");
        for resource in ["cpu", "memory"] {
            let used = text(&pod, &format!("/containers/0/usage/{resource}"));
            assert!(used.starts_with(|c: char| c.is_ascii_digit()), "{resource}: {used:?}");
        }
        assert!(text(&pod, "/timestamp").parse::<jiff::Timestamp>().is_ok(), "{pod}");
        let nodes = ground.items("/apis/metrics.k8s.io/v1beta1/nodes").await;
        assert!(nodes.iter().all(|node| !text(node, "/usage/cpu").is_empty()), "{nodes:?}");
    })
    .await;
}
