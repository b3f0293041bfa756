//! Claims of volumes: which may ask for more, and which for nothing else.

use serde_json::{Value, json};

use super::cluster::{Ground, on_ground, text};

fn claim(class: &str, size: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data" },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "resources": { "requests": { "storage": size } },
        },
    })
}

fn asks(size: &str) -> Value {
    json!({ "spec": { "resources": { "requests": { "storage": size } } } })
}

/// A class of storage that binds a claim at once and lets it grow.
async fn growing(ground: &Ground) -> Option<String> {
    let classes = ground.items("/apis/storage.k8s.io/v1/storageclasses").await;
    let grows = |class: &&Value| {
        class["allowVolumeExpansion"] == true && text(class, "/volumeBindingMode") != "WaitForFirstConsumer"
    };
    classes.iter().find(grows).map(|class| text(class, "/metadata/name").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_has_no_volume_yet_cannot_ask_for_more() {
    on_ground(async |ground| {
        // An empty class: nobody makes a volume for it.
        ground.post(&ground.core("persistentvolumeclaims"), &claim("", "1Gi")).await.good();
        let path = ground.core("persistentvolumeclaims/data");
        for path in [format!("{path}?dryRun=All"), path.clone()] {
            let answer = ground.merge(&path, &asks("2Gi")).await;
            assert!(matches!(answer.code, 403 | 422), "{answer:?}");
        }
        let after = ground.get(&path).await.good();
        assert_eq!(text(&after, "/spec/resources/requests/storage"), "1Gi");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_a_volume_grows_and_does_not_shrink() {
    on_ground(async |ground| {
        let Some(class) = growing(ground).await else {
            return ground.lacks(
                "no class of storage binds at once and lets volumes grow: a claim that grows was not checked",
            );
        };
        ground.post(&ground.core("persistentvolumeclaims"), &claim(&class, "1Gi")).await.good();
        let path = ground.core("persistentvolumeclaims/data");
        let is_bound = |claim: &Value| text(claim, "/status/phase") == "Bound";
        ground.until(&path, "it has a volume", is_bound).await;
        let after = ground.merge(&path, &asks("2Gi")).await.good();
        assert_eq!(text(&after, "/spec/resources/requests/storage"), "2Gi");
        let said = ground.merge(&path, &asks("512Mi")).await.refused(422, "Invalid");
        let field = "spec.resources.requests.storage";
        assert_eq!(text(&said, "/details/causes/0/field"), field);
        let modes = json!({ "spec": { "accessModes": ["ReadWriteMany"] } });
        ground.merge(&path, &modes).await.refused(422, "Invalid");
    })
    .await;
}
