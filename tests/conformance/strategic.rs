//! Strategic merge patches against JSON merge patches: which lists are merged, and by which key.

use serde_json::{Value, json};

use super::cluster::{on_ground, text};
use super::objects::{deployment, image, version};

fn names(object: &Value, pointer: &str) -> Vec<String> {
    let items = object.pointer(pointer).and_then(Value::as_array);
    items.into_iter().flatten().map(|item| text(item, "/name").to_owned()).collect()
}

const CONTAINERS: &str = "/spec/template/spec/containers";
const ENV: &str = "/spec/template/spec/containers/0/env";

fn env(env: &Value) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "app", "env": env }] } } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_env_and_volumes_are_merged_by_name() {
    on_ground(async |ground| {
        let path = ground.deployment("web");
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let added = ground.strategic(&path, &env(&json!([{ "name": "MORE", "value": "x" }]))).await.good();
        let mut has = names(&added, ENV);
        has.sort();
        assert_eq!(has, ["MORE", "VERSION"]);
        assert_eq!(added.pointer("/spec/template/spec/containers/0/image"), Some(&json!(image())));
        let deleted = json!([{ "name": "MORE", "$patch": "delete" }]);
        assert_eq!(names(&ground.strategic(&path, &env(&deleted)).await.good(), ENV), ["VERSION"]);
        let side = json!([{ "name": "side", "image": image() }]);
        let volumes = json!([{ "name": "scratch", "emptyDir": {} }]);
        let both = json!({ "spec": { "template": { "spec": { "containers": side, "volumes": volumes } } } });
        let after = ground.strategic(&path, &both).await.good();
        let mut has = names(&after, CONTAINERS);
        has.sort();
        assert_eq!(has, ["app", "side"]);
        let again = ground.strategic(&path, &both).await.good();
        assert_eq!(
            again["metadata"]["generation"], after["metadata"]["generation"],
            "the same twice is once"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_merge_patch_replaces_the_whole_list() {
    on_ground(async |ground| {
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let said = ground.merge(&ground.deployment("web"), &version("2")).await.refused(422, "Invalid");
        assert!(text(&said, "/message").contains("image"), "the container lost its image: {said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_replaced_resources_are_merged_and_an_item_without_its_key_is_refused() {
    on_ground(async |ground| {
        let path = ground.deployment("web");
        let mut web = deployment("web", 0);
        web["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["a", "b"]);
        web["spec"]["template"]["spec"]["containers"][0]["resources"] =
            json!({ "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "32Mi" } });
        let before = ground.post(&ground.deployment(""), &web).await.good();
        let change =
            json!([{ "name": "app", "args": ["c"], "resources": { "limits": { "memory": "64Mi" } } }]);
        let patch = json!({ "spec": { "template": { "spec": { "containers": change } } } });
        let after = ground.strategic(&path, &patch).await.good();
        let container = after.pointer("/spec/template/spec/containers/0").expect("a container");
        assert_eq!(container["args"], json!(["c"]));
        let resources =
            json!({ "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } });
        assert_eq!(container["resources"], resources);
        let nameless = json!({ "spec": { "template": { "spec": { "containers": [{ "image": "x" }] } } } });
        let refused = ground.strategic(&path, &nameless).await;
        assert!(refused.code >= 400, "{refused:?}");
        let low = json!([{ "name": "app", "resources": { "limits": { "memory": "8Mi" } } }]);
        let low = json!({ "spec": { "template": { "spec": { "containers": low } } } });
        ground.strategic(&path, &low).await.refused(422, "Invalid");
        let now = ground.get(&path).await.good();
        assert_eq!(now["spec"], after["spec"]);
        assert_ne!(now["spec"], before["spec"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quantities_come_back_as_the_server_writes_them() {
    on_ground(async |ground| {
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let resources =
            json!({ "requests": { "cpu": "1000m" }, "limits": { "memory": "2048Mi", "cpu": "1500m" } });
        let change = json!([{ "name": "app", "resources": resources }]);
        let patch = json!({ "spec": { "template": { "spec": { "containers": change } } } });
        let after =
            ground.strategic(&format!("{}?dryRun=All", ground.deployment("web")), &patch).await.good();
        let written = after.pointer("/spec/template/spec/containers/0/resources").expect("resources");
        assert_eq!(written["requests"]["cpu"], "1");
        assert_eq!(written["limits"], json!({ "memory": "2Gi", "cpu": "1500m" }));
    })
    .await;
}
