//! Lists: selectors and pages.

use base64::Engine as _;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_time_is_over_is_expired_and_a_mark_that_is_none_is_refused() {
    on_ground(async |ground| {
        let wrong = ground.core("configmaps?limit=2&continue=nonsense");
        ground.get(&wrong).await.refused(400, "BadRequest");
        // As the server writes it, for the first version that its store ever had.
        let mark = json!({ "v": "meta.k8s.io/v1", "rv": 1, "start": "a\u{0}" }).to_string();
        let mark = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mark);
        let answer = ground.get(&ground.core(&format!("configmaps?limit=2&continue={mark}"))).await;
        if answer.code == 200 {
            return ground.lacks("this cluster is so young that it remembers its first version: a page whose time is over was not checked");
        }
        answer.refused(410, "Expired");
    })
    .await;
}
