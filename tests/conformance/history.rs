//! The history of a Deployment: restarts, going back, and what its ReplicaSets remember.

use serde_json::{Value, json};

use super::cluster::{count, on_ground, text, until};
use super::objects::{pods, replica_sets, revision, rolled_out, until_rolled_out, version};

fn restart(at: &str) -> Value {
    let annotations = json!({ "kubectl.kubernetes.io/restartedAt": at });
    json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_a_revision_and_the_same_restart_twice_is_none() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 1).await;
        let before = pods(ground, "web").await;
        let at = restart("2026-01-01T00:00:00Z");
        ground.strategic(&ground.deployment("web"), &at).await.good();
        let after = until_rolled_out(ground, "web").await;
        assert_eq!(revision(&after), 2);
        let path = ground.core(&format!("pods/{}", text(&before[0], "/metadata/name")));
        ground.until_gone(&path).await;
        let again = ground.strategic(&ground.deployment("web"), &at).await.good();
        assert_eq!(again["metadata"]["generation"], after["metadata"]["generation"]);
        assert_eq!(replica_sets(ground, "web").await.len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_by_template_gives_the_old_set_a_new_number() {
    on_ground(async |ground| {
        let first = rolled_out(ground, "web", 1).await;
        ground.strategic(&ground.deployment("web"), &version("2")).await.good();
        let second = until_rolled_out(ground, "web").await;
        let old = replica_sets(ground, "web").await.remove(0);
        let mut template = old["spec"]["template"].clone();
        let labels = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut).expect("labels");
        assert!(labels.remove("pod-template-hash").is_some());
        assert_eq!(template, first["spec"]["template"], "apart from the hash it is the template of that time");
        // The status may still be written meanwhile, and that is a new version as well.
        until("the way back is taken", async || {
            let now = ground.get(&ground.deployment("web")).await.good();
            let undo = json!([
                { "op": "test", "path": "/metadata/uid", "value": second["metadata"]["uid"] },
                { "op": "test", "path": "/metadata/resourceVersion", "value": now["metadata"]["resourceVersion"] },
                { "op": "replace", "path": "/spec/template", "value": template },
            ]);
            let answer = ground.json_patch(&ground.deployment("web"), &undo).await;
            if answer.code == 200 { Ok(()) } else { Err(answer.body) }
        })
        .await;
        let third = until_rolled_out(ground, "web").await;
        assert_eq!(revision(&third), 3);
        let sets = replica_sets(ground, "web").await;
        assert_eq!(sets.iter().map(revision).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(sets[1]["metadata"]["uid"], old["metadata"]["uid"], "the old set is used again");
        let history = text(&sets[1], "/metadata/annotations/deployment.kubernetes.io~1revision-history");
        assert_eq!(history, "1");
        assert_eq!(count(&sets[1], "/spec/replicas"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_whose_test_fails_changes_nothing() {
    on_ground(async |ground| {
        let before = rolled_out(ground, "web", 1).await;
        let patch = json!([
            { "op": "test", "path": "/metadata/uid", "value": "another" },
            { "op": "replace", "path": "/spec/replicas", "value": 3 },
        ]);
        ground.json_patch(&ground.deployment("web"), &patch).await.refused(422, "Invalid");
        let after = ground.get(&ground.deployment("web")).await.good();
        assert_eq!(after["spec"], before["spec"]);
        let absent = json!([{ "op": "remove", "path": "/metadata/annotations/none" }]);
        ground.json_patch(&ground.deployment("web"), &absent).await.refused(422, "Invalid");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_sets_carry_the_annotations_of_their_deployment_and_its_change_cause() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 1).await;
        let mut change = version("2");
        change["metadata"]["annotations"] = json!({ "kubernetes.io/change-cause": "the second" });
        ground.strategic(&ground.deployment("web"), &change).await.good();
        until_rolled_out(ground, "web").await;
        let sets = replica_sets(ground, "web").await;
        let cause = |set: &Value| text(set, "/metadata/annotations/kubernetes.io~1change-cause").to_owned();
        assert_eq!(sets.iter().map(cause).collect::<Vec<_>>(), ["", "the second"]);
        let desired = text(&sets[1], "/metadata/annotations/deployment.kubernetes.io~1desired-replicas");
        assert_eq!(desired, "1");
    })
    .await;
}
