//! Events through both of their APIs: the same objects under two sets of names.

use serde_json::{Value, json};

use super::cluster::{Ground, count, on_ground, text, until};
use super::objects::rolled_out;

async fn until_event(ground: &Ground, path: &str, reason: &str) -> Value {
    until("the event is there", async || {
        let events = ground.items(path).await;
        let found = events.iter().find(|event| text(event, "/reason") == reason).cloned();
        found.ok_or(Value::Array(events))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_controller_tells_is_found_by_its_object_in_both_apis() {
    on_ground(async |ground| {
        let web = rolled_out(ground, "web", 1).await;
        let uid = text(&web, "/metadata/uid");
        let old = ground
            .core(&format!("events?fieldSelector=involvedObject.name%3Dweb,involvedObject.uid%3D{uid}"));
        let old = until_event(ground, &old, "ScalingReplicaSet").await;
        assert_eq!(text(&old, "/involvedObject/kind"), "Deployment");
        assert_eq!(text(&old, "/type"), "Normal");
        assert!(text(&old, "/message").starts_with("Scaled up replica set web-"), "{old}");
        let new = ground.group(
            "events.k8s.io/v1",
            "events?fieldSelector=regarding.name%3Dweb,regarding.kind%3DDeployment",
        );
        let new = until_event(ground, &new, "ScalingReplicaSet").await;
        assert_eq!(new["metadata"]["uid"], old["metadata"]["uid"]);
        assert_eq!(text(&new, "/note"), text(&old, "/message"));
        assert_eq!(text(&new, "/regarding/uid"), uid);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_the_old_api_shows_its_count_and_times_in_the_new_one() {
    on_ground(async |ground| {
        let about = json!({ "apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": ground.namespace });
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": "a.1" },
            "involvedObject": about,
            "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "type": "Warning",
            "count": 7,
            "firstTimestamp": "2026-01-01T00:00:00Z",
            "lastTimestamp": "2026-01-01T00:10:00Z",
            "source": { "component": "kubelet" },
        });
        ground.post(&ground.core("events"), &event).await.good();
        let new = ground.get(&ground.group("events.k8s.io/v1", "events/a.1")).await.good();
        assert_eq!(count(&new, "/deprecatedCount"), 7);
        assert_eq!(text(&new, "/deprecatedLastTimestamp"), "2026-01-01T00:10:00Z");
        assert_eq!(text(&new, "/regarding/name"), "a");
        assert_eq!(text(&new, "/deprecatedSource/component"), "kubelet");
        assert!(new["eventTime"].is_null());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_the_new_api_has_a_time_and_a_series_and_no_count() {
    on_ground(async |ground| {
        let about = json!({ "apiVersion": "v1", "kind": "Pod", "name": "b", "namespace": ground.namespace });
        let event = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": "b.1" },
            "regarding": about,
            "reason": "Checked",
            "action": "Checking",
            "note": "looked at",
            "type": "Normal",
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "series": { "count": 3, "lastObservedTime": "2026-01-01T00:05:00.000000Z" },
            "reportingController": "smokejumper.dev/conformance",
            "reportingInstance": "one",
        });
        ground.post(&ground.group("events.k8s.io/v1", "events"), &event).await.good();
        let old = ground.get(&ground.core("events/b.1")).await.good();
        assert_eq!(text(&old, "/message"), "looked at");
        assert_eq!(text(&old, "/involvedObject/name"), "b");
        assert_eq!(count(&old, "/series/count"), 3);
        assert!(old["lastTimestamp"].is_null(), "{old}");
        assert!(text(&old, "/eventTime").starts_with("2026-01-01T00:00:00"));
    })
    .await;
}
