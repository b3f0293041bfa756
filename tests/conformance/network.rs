//! Services and the slices of their endpoints.

use serde_json::{Value, json};

use super::cluster::{on_ground, text, until};
use super::objects::{pods, rolled_out};

fn service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "selector": { "app": app }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
    })
}

fn endpoints(slices: &[Value]) -> Vec<&Value> {
    // Where there are none, the list may be null.
    slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_tells_its_pods_in_slices_that_bear_its_name() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 2).await;
        for (name, app) in [("web", "web"), ("nobody", "none")] {
            ground.post(&ground.core("services"), &service(name, app)).await.good();
        }
        let slices = |name: &str| {
            let selector = format!("endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}");
            ground.group("discovery.k8s.io/v1", &selector)
        };
        let found = until("both pods are ready for it", async || {
            let found = ground.items(&slices("web")).await;
            let ready = endpoints(&found).iter().filter(|one| one["conditions"]["ready"] == true).count();
            if ready == 2 { Ok(found) } else { Err(Value::Array(found)) }
        })
        .await;
        let mut named: Vec<&str> = endpoints(&found).iter().map(|one| text(one, "/targetRef/name")).collect();
        named.sort_unstable();
        let there = pods(ground, "web").await;
        let mut expected: Vec<&str> = there.iter().map(|pod| text(pod, "/metadata/name")).collect();
        expected.sort_unstable();
        assert_eq!(named, expected);
        assert_eq!(found[0]["ports"][0]["port"], 8080);
        let empty = ground.items(&slices("nobody")).await;
        assert!(endpoints(&empty).is_empty(), "{empty:?}");
    })
    .await;
}
