//! Nodes: what they say of themselves.

use super::cluster::{condition, on_ground, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_whether_it_is_ready_and_what_it_has_to_give() {
    on_ground(async |ground| {
        let nodes = ground.items("/api/v1/nodes").await;
        assert!(!nodes.is_empty(), "a cluster has nodes");
        for node in &nodes {
            let name = text(node, "/metadata/name");
            assert!(matches!(condition(node, "Ready").0, "True" | "False" | "Unknown"), "{name}");
            for part in ["capacity", "allocatable"] {
                for resource in ["cpu", "memory", "pods"] {
                    let has = text(node, &format!("/status/{part}/{resource}"));
                    assert!(
                        has.starts_with(|c: char| c.is_ascii_digit()),
                        "{name}: {part} {resource}: {has:?}"
                    );
                }
            }
        }
    })
    .await;
}
