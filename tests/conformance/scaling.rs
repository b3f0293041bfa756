//! The scale subresource: what it shows, what it sets, and under which conditions.

use serde_json::{Value, json};

use super::cluster::{count, on_ground, text, until};
use super::objects::{deployment, rolled_out};

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_shows_the_replicas_the_selector_and_the_identity_of_its_workload() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 2).await;
        // The status may still be written meanwhile, and that is a new version as well.
        let (web, scale) = until("both show the same version", async || {
            let web = ground.get(&ground.deployment("web")).await.good();
            let scale = ground.get(&ground.deployment("web/scale")).await.good();
            let same = web["metadata"]["resourceVersion"] == scale["metadata"]["resourceVersion"];
            if same { Ok((web, scale)) } else { Err(scale) }
        })
        .await;
        assert_eq!((text(&scale, "/kind"), text(&scale, "/apiVersion")), ("Scale", "autoscaling/v1"));
        assert_eq!((count(&scale, "/spec/replicas"), count(&scale, "/status/replicas")), (2, 2));
        assert_eq!(text(&scale, "/status/selector"), "app=web");
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            assert_eq!(scale["metadata"][field], web["metadata"][field], "{field}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_holds_to_the_version_that_it_states() {
    on_ground(async |ground| {
        rolled_out(ground, "web", 1).await;
        let path = ground.deployment("web/scale");
        let at = |replicas: i64, version: &Value| {
            json!({ "metadata": { "resourceVersion": version }, "spec": { "replicas": replicas } })
        };
        // The status may still be written meanwhile, and that is a new version as well.
        let (seen, scaled) = until("the scale is taken", async || {
            let seen = ground.get(&path).await.good();
            let answer = ground.merge(&path, &at(2, &seen["metadata"]["resourceVersion"])).await;
            if answer.code == 200 { Ok((seen, answer.body)) } else { Err(answer.body) }
        })
        .await;
        assert_eq!(count(&scaled, "/spec/replicas"), 2);
        ground.merge(&path, &at(3, &seen["metadata"]["resourceVersion"])).await.refused(409, "Conflict");
        let mut whole = seen.clone();
        whole["spec"]["replicas"] = 3.into();
        ground.put(&path, &whole).await.refused(409, "Conflict");
        let web = ground.get(&ground.deployment("web")).await.good();
        assert_eq!(count(&web, "/spec/replicas"), 2);
        assert_eq!(count(&web, "/metadata/generation"), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_that_names_another_identity_is_a_conflict() {
    on_ground(async |ground| {
        let web = ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let path = ground.deployment("web/scale");
        let of = |uid: &Value| json!({ "metadata": { "uid": uid }, "spec": { "replicas": 1 } });
        let other = json!("11111111-2222-3333-4444-555555555555");
        ground.merge(&path, &of(&other)).await.refused(409, "Conflict");
        ground.merge(&format!("{path}?dryRun=All"), &of(&other)).await.refused(409, "Conflict");
        let scaled = ground.merge(&path, &of(&web["metadata"]["uid"])).await.good();
        assert_eq!(count(&scaled, "/spec/replicas"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_leaves_no_mark_but_a_manager_of_that_subresource() {
    on_ground(async |ground| {
        let by = |manager: &str| format!("{}?fieldManager={manager}", ground.deployment("web"));
        ground.apply(&by("one"), &deployment("web", 0)).await.good();
        let marks = json!({ "annotations": { "smokejumper.dev/execution-id": "i-a1-apply" } });
        let patch = json!({ "metadata": marks, "spec": { "replicas": 1 } });
        let path = format!("{}?fieldManager=smokejumper", ground.deployment("web/scale"));
        ground.merge(&path, &patch).await.good();
        let web = ground.get(&ground.deployment("web")).await.good();
        assert!(web.pointer("/metadata/annotations/smokejumper.dev~1execution-id").is_none(), "{web}");
        let managers = web.pointer("/metadata/managedFields").and_then(Value::as_array).expect("managers");
        let ours = managers.iter().find(|entry| text(entry, "/manager") == "smokejumper").expect("ours");
        let how = (text(ours, "/operation"), text(ours, "/subresource"), text(ours, "/apiVersion"));
        assert_eq!(how, ("Update", "scale", "apps/v1"));
        assert_eq!(ours["fieldsV1"], json!({ "f:spec": { "f:replicas": {} } }));
        let said = ground.apply(&by("one"), &deployment("web", 0)).await.refused(409, "Conflict");
        assert!(text(&said, "/message").contains("\"smokejumper\" with subresource \"scale\""), "{said}");
        assert_eq!(text(&said, "/details/causes/0/field"), ".spec.replicas");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_scale_is_invalid_and_none_at_all_is_not_found() {
    on_ground(async |ground| {
        ground.post(&ground.deployment(""), &deployment("web", 0)).await.good();
        let negative = json!({ "spec": { "replicas": -1 } });
        let said = ground.merge(&ground.deployment("web/scale"), &negative).await.refused(422, "Invalid");
        assert_eq!(text(&said, "/details/causes/0/field"), "spec.replicas");
        let one = json!({ "spec": { "replicas": 1 } });
        let said = ground.merge(&ground.deployment("none/scale"), &one).await.refused(404, "NotFound");
        assert_eq!(text(&said, "/details/name"), "none");
    })
    .await;
}
