//! Lists: selectors and pages.

use serde_json::{Value, json};

use super::cluster::{Ground, on_ground, text};

async fn config_maps(ground: &Ground) {
    for (name, tier) in [("a", "web"), ("b", "web"), ("c", "db")] {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "tier": tier, "test": "1" } },
        });
        ground.post(&ground.core("configmaps"), &map).await.good();
    }
}

fn names(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| text(item, "/metadata/name")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_choose_by_labels_and_by_name() {
    on_ground(async |ground| {
        config_maps(ground).await;
        for (selector, expected) in [
            ("labelSelector=tier%3Dweb", vec!["a", "b"]),
            ("labelSelector=test%2Ctier!%3Dweb", vec!["c"]),
            ("labelSelector=tier%20in%20(db%2Cother)", vec!["c"]),
            ("labelSelector=test%2Ctier%20notin%20(db)", vec!["a", "b"]),
            ("labelSelector=test%2C!tier", vec![]),
            ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ] {
            let items = ground.items(&ground.core(&format!("configmaps?{selector}"))).await;
            assert_eq!(names(&items), expected, "{selector}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_until_there_is_no_more() {
    on_ground(async |ground| {
        config_maps(ground).await;
        let path = ground.core("configmaps?labelSelector=test&limit=2");
        let first = ground.get(&path).await.good();
        assert_eq!(names(first["items"].as_array().expect("items")), ["a", "b"]);
        let mark = text(&first, "/metadata/continue");
        let mark: String = form_urlencoded::byte_serialize(mark.as_bytes()).collect();
        let second = ground.get(&format!("{path}&continue={mark}")).await.good();
        assert_eq!(names(second["items"].as_array().expect("items")), ["c"]);
        assert_eq!(text(&second, "/metadata/continue"), "");
        assert_eq!(text(&first, "/kind"), "ConfigMapList");
        assert!(first["items"][0].get("kind").is_none(), "items of a list do not repeat its kind");
    })
    .await;
}
