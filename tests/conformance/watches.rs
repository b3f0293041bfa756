//! Watches: every change after a version, in order, for those who select.

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use http::Request;
use serde_json::{Value, json};

use super::cluster::{Ground, on_ground, text};

/// The first lines of a watch.
async fn watched(ground: &Ground, path: &str, count: usize, meanwhile: impl AsyncFnOnce()) -> Vec<Value> {
    let request = Request::get(path).body(Vec::new()).expect("a request of good parts");
    let lines = ground.client.request_stream(request).await.expect("the watch begins").lines();
    meanwhile().await;
    let read = futures::StreamExt::take(lines, count).try_collect::<Vec<String>>();
    let lines = tokio::time::timeout(std::time::Duration::from_secs(60), read).await;
    let lines = lines.expect("the changes come").expect("lines");
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_what_comes_changes_leaves_the_selection_and_goes() {
    on_ground(async |ground| {
        let path = ground.core("configmaps");
        let list = ground.get(&path).await.good();
        let version = text(&list, "/metadata/resourceVersion");
        let watch = format!("{path}?watch=true&resourceVersion={version}&labelSelector=seen&timeoutSeconds=60");
        let lines = watched(ground, &watch, 5, async || {
            let map = |labels: Value| {
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "labels": labels } })
            };
            ground.post(&path, &map(json!({ "seen": "1" }))).await.good();
            let own = format!("{path}/a");
            ground.merge(&own, &json!({ "data": { "key": "1" } })).await.good();
            ground.merge(&own, &json!({ "metadata": { "labels": { "seen": null } } })).await.good();
            ground.merge(&own, &json!({ "metadata": { "labels": { "seen": "2" } } })).await.good();
            ground.delete(&own, &Value::Null).await.good();
        })
        .await;
        let types: Vec<&str> = lines.iter().map(|line| text(line, "/type")).collect();
        assert_eq!(types, ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]);
        assert_eq!(text(&lines[0], "/object/kind"), "ConfigMap");
        let versions: Vec<u64> = lines.iter().map(|line| text(line, "/object/metadata/resourceVersion").parse().expect("a number")).collect();
        assert!(versions.is_sorted(), "{versions:?}");
    })
    .await;
}
