//! Preconditions: the identity and the version that a write was planned with.

use serde_json::{Value, json};

use super::cluster::{Ground, on_ground, text};

fn config_map(value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "key": value } })
}

/// A ConfigMap that was changed once: as it was, and as it is.
async fn changed(ground: &Ground) -> (Value, Value) {
    let first = ground.post(&ground.core("configmaps"), &config_map("1")).await.good();
    let second = ground.merge(&ground.core("configmaps/a"), &json!({ "data": { "key": "2" } })).await.good();
    assert_ne!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_a_conflict_for_every_kind_of_write() {
    on_ground(async |ground| {
        let (first, second) = changed(ground).await;
        let path = ground.core("configmaps/a");
        let old = &first["metadata"]["resourceVersion"];
        let patch = json!({ "metadata": { "resourceVersion": old }, "data": { "key": "3" } });
        let said = ground.merge(&path, &patch).await.refused(409, "Conflict");
        assert_eq!(said["details"], json!({ "name": "a", "kind": "configmaps" }));
        assert!(text(&said, "/message").contains("the object has been modified"), "{said}");
        ground.strategic(&path, &patch).await.refused(409, "Conflict");
        ground.put(&path, &first).await.refused(409, "Conflict");
        let deletion = json!({ "preconditions": { "resourceVersion": old } });
        ground.delete(&path, &deletion).await.refused(409, "Conflict");
        let after = ground.get(&path).await.good();
        assert_eq!(after, second, "nothing was changed");
        let now = json!({ "preconditions": { "resourceVersion": second["metadata"]["resourceVersion"] } });
        ground.delete(&path, &now).await.good();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_identity_is_a_conflict_for_put_and_delete_and_invalid_for_a_patch() {
    on_ground(async |ground| {
        let (_, second) = changed(ground).await;
        let path = ground.core("configmaps/a");
        let mut other = second.clone();
        other["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555".into();
        ground.put(&path, &other).await.refused(409, "Conflict");
        let uid = &other["metadata"]["uid"];
        ground.delete(&path, &json!({ "preconditions": { "uid": uid } })).await.refused(409, "Conflict");
        let patch = json!({ "metadata": { "uid": uid }, "data": { "key": "3" } });
        let said = ground.merge(&path, &patch).await.refused(422, "Invalid");
        assert_eq!(text(&said, "/details/causes/0/field"), "metadata.uid");
        let test = json!([{ "op": "test", "path": "/metadata/uid", "value": uid }]);
        ground.json_patch(&path, &test).await.refused(422, "Invalid");
        assert_eq!(ground.get(&path).await.good(), second, "nothing was changed");
        let own = json!({ "metadata": { "uid": second["metadata"]["uid"] }, "data": { "key": "3" } });
        ground.merge(&path, &own).await.good();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_changes_nothing_is_no_new_version() {
    on_ground(async |ground| {
        let (_, second) = changed(ground).await;
        let path = ground.core("configmaps/a");
        let same = ground.merge(&path, &json!({ "data": { "key": "2" } })).await.good();
        assert_eq!(same["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
        let same = ground.put(&path, &second).await.good();
        assert_eq!(same["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_patch_is_held_to_the_version_that_it_puts_in_place() {
    on_ground(async |ground| {
        let (first, second) = changed(ground).await;
        let path = ground.core("configmaps/a");
        let patch = |object: &Value| {
            json!([
                { "op": "replace", "path": "/data/key", "value": "3" },
                { "op": "replace", "path": "/metadata/resourceVersion", "value": object["metadata"]["resourceVersion"] },
            ])
        };
        let dry = format!("{path}?dryRun=All");
        for path in [&path, &dry] {
            let said = ground.json_patch(path, &patch(&first)).await.refused(409, "Conflict");
            assert!(text(&said, "/message").contains("the object has been modified"), "{said}");
        }
        assert_eq!(ground.get(&path).await.good(), second, "nothing was changed");
        let after = ground.json_patch(&path, &patch(&second)).await.good();
        assert_eq!(text(&after, "/data/key"), "3");
        assert_ne!(after["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    })
    .await;
}
