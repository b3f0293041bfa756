//! The dry run of the server: it judges and shows, and changes nothing.

use serde_json::{Value, json};

use super::cluster::{on_ground, text};
use super::objects::{deployment, rolled_out, version};

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_each_verb_shows_the_outcome_and_changes_nothing() {
    on_ground(async |ground| {
        let before = rolled_out(ground, "web", 1).await;
        let path = ground.deployment("web");
        let dry = |path: &str| format!("{path}?dryRun=All");
        let made = ground.post(&dry(&ground.deployment("")), &deployment("other", 1)).await;
        assert_eq!((made.code, text(&made.body, "/metadata/name")), (201, "other"));
        assert_eq!(ground.get(&ground.deployment("other")).await.code, 404);
        let patched = ground.strategic(&dry(&path), &version("2")).await.good();
        let shown = patched.pointer("/spec/template/spec/containers/0/env/0/value");
        assert_eq!(shown, Some(&json!("2")));
        assert_eq!(patched["metadata"]["generation"], 2, "as it would be");
        let scale = json!({ "spec": { "replicas": 3 } });
        let scaled = ground.merge(&dry(&ground.deployment("web/scale")), &scale).await.good();
        assert_eq!(scaled["spec"]["replicas"], 3);
        let mut whole = before.clone();
        // Without a version, since the status may still be written meanwhile.
        whole["metadata"].as_object_mut().map(|metadata| metadata.remove("resourceVersion"));
        whole["spec"]["replicas"] = 4.into();
        ground.put(&dry(&path), &whole).await.good();
        ground.delete(&dry(&path), &Value::Null).await.good();
        let after = ground.get(&path).await.good();
        for field in ["uid", "generation"] {
            assert_eq!(after["metadata"][field], before["metadata"][field], "{field}");
        }
        assert_eq!(after["spec"], before["spec"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_judged_as_the_write_would_be() {
    on_ground(async |ground| {
        let dry = format!("{}?dryRun=All", ground.deployment(""));
        ground.post(&dry, &deployment("bad", -1)).await.refused(422, "Invalid");
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        ground.post(&dry, &deployment("web", 0)).await.refused(409, "AlreadyExists");
        let selector = json!({ "spec": { "selector": { "matchLabels": { "app": "other" } } } });
        ground
            .merge(&format!("{}?dryRun=All", ground.deployment("web")), &selector)
            .await
            .refused(422, "Invalid");
        let wrong = format!("{}?dryRun=Some", ground.deployment("web"));
        let answer = ground.merge(&wrong, &json!({ "spec": { "replicas": 1 } })).await;
        assert!(
            (400..500).contains(&answer.code),
            "a dry run that is not understood is no write: {answer:?}"
        );
        assert_eq!(ground.get(&ground.deployment("web")).await.good()["spec"]["replicas"], 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_is_no_new_version() {
    on_ground(async |ground| {
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "key": "1" } });
        let before = ground.post(&ground.core("configmaps"), &map).await.good();
        let path = ground.core("configmaps/a");
        let change = json!({ "data": { "key": "2" } });
        let shown = ground.merge(&format!("{path}?dryRun=All"), &change).await.good();
        assert_eq!(text(&shown, "/data/key"), "2");
        ground.delete(&path, &json!({ "dryRun": ["All"] })).await.good();
        assert_eq!(ground.get(&path).await.good(), before);
    })
    .await;
}
