//! Server-side apply: who manages which field, conflicts, and what is taken away.

use serde_json::{Value, json};

use super::cluster::{Ground, on_ground, text};
use super::objects::deployment;

fn by(ground: &Ground, manager: &str, options: &str) -> String {
    format!("{}?fieldManager={manager}{options}", ground.deployment("web"))
}

/// The managers of an object, with how they wrote it.
fn managers(object: &Value) -> Vec<(String, String)> {
    let entries =
        object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default();
    let told = |entry: &Value| (text(entry, "/manager").to_owned(), text(entry, "/operation").to_owned());
    entries.iter().map(told).collect()
}

fn fields_of<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries =
        object.pointer("/metadata/managedFields").and_then(Value::as_array).expect("managed fields");
    let own = entries.iter().find(|entry| text(entry, "/manager") == manager).expect("the manager's entry");
    &own["fieldsV1"]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_manages_is_a_conflict_unless_it_is_forced() {
    on_ground(async |ground| {
        let made = ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await;
        assert_eq!(made.code, 201, "an apply makes what is not there: {made:?}");
        assert!(managers(&made.body).contains(&("one".into(), "Apply".into())), "{:?}", managers(&made.body));
        let other = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": { "paused": true, "replicas": 1 },
        });
        let said = ground.apply(&by(ground, "two", ""), &other).await.refused(409, "Conflict");
        assert_eq!(text(&said, "/details/causes/0/reason"), "FieldManagerConflict");
        assert_eq!(text(&said, "/details/causes/0/field"), ".spec.replicas");
        assert!(text(&said, "/message").contains("\"one\""), "{said}");
        assert_eq!(ground.get(&ground.deployment("web")).await.good()["spec"]["replicas"], 0);
        let forced = ground.apply(&by(ground, "two", "&force=true"), &other).await.good();
        assert_eq!(forced["spec"]["replicas"], 1);
        assert!(fields_of(&forced, "two").pointer("/f:spec/f:replicas").is_some());
        assert!(fields_of(&forced, "one").pointer("/f:spec/f:replicas").is_none(), "it has lost it");
        ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await.refused(409, "Conflict");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_manager_no_longer_applies_is_taken_away_and_what_others_have_stays() {
    on_ground(async |ground| {
        let mut first = deployment("web", 0);
        first["metadata"]["labels"] = json!({ "mine": "1", "shared": "1" });
        ground.apply(&by(ground, "one", ""), &first).await.good();
        let shared = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "labels": { "shared": "1" } },
        });
        ground.apply(&by(ground, "two", ""), &shared).await.good();
        let after = ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await.good();
        assert_eq!(after["metadata"]["labels"], json!({ "shared": "1" }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_writes_take_fields_over_by_the_name_of_their_manager() {
    on_ground(async |ground| {
        ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await.good();
        let patch = json!({ "spec": { "replicas": 1 } });
        let patched = ground.merge(&by(ground, "smokejumper", ""), &patch).await.good();
        assert!(managers(&patched).contains(&("smokejumper".into(), "Update".into())));
        let said = ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await.refused(409, "Conflict");
        assert!(text(&said, "/message").contains("smokejumper"), "{said}");
        assert_eq!(text(&said, "/details/causes/0/field"), ".spec.replicas");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_needs_a_manager_and_merges_lists_by_their_keys() {
    on_ground(async |ground| {
        let answer = ground.apply(&ground.deployment("web"), &deployment("web", 0)).await;
        assert!(matches!(answer.code, 400 | 422), "{answer:?}");
        ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await.good();
        let env = json!([{ "name": "MORE", "value": "2" }]);
        let more = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": { "template": { "spec": { "containers": [{ "name": "app", "env": env }] } } },
        });
        let after = ground.apply(&by(ground, "two", ""), &more).await.good();
        let env =
            after.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).expect("env");
        let names: Vec<&str> = env.iter().map(|variable| text(variable, "/name")).collect();
        assert_eq!(names, ["VERSION", "MORE"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_apply_twice_is_one() {
    on_ground(async |ground| {
        let path = format!("{}?fieldManager=one", ground.core("configmaps/a"));
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "key": "1" } });
        let first = ground.apply(&path, &map).await.good();
        let second = ground.apply(&path, &map).await.good();
        assert_eq!(second["metadata"], first["metadata"], "nothing was written");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_names_one_object_in_one_version_is_for_no_other() {
    on_ground(async |ground| {
        let path = format!("{}?fieldManager=one", ground.core("configmaps/a"));
        let map = |value: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "key": value } });
        let mut named = map("1");
        named["metadata"]["uid"] = json!("6c0a3f6e-0000-4000-8000-000000000000");
        // Where there is none it makes none.
        ground.apply(&path, &named).await.refused(409, "Conflict");
        let made = ground.apply(&path, &map("1")).await.good();
        let another = ground.apply(&path, &named).await;
        assert!(matches!(another.code, 409 | 422), "{another:?}");
        named["metadata"]["uid"] = made["metadata"]["uid"].clone();
        named["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
        named["data"]["key"] = json!("2");
        let after = ground.apply(&path, &named).await.good();
        assert_eq!(after["data"]["key"], "2");
        // The version that it names is an earlier one by now.
        named["data"]["key"] = json!("3");
        ground.apply(&path, &named).await.refused(409, "Conflict");
        assert_eq!(ground.get(&ground.core("configmaps/a")).await.good()["data"]["key"], "2");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_manager_patches_it_has_to_win_back_from_itself_to_apply() {
    on_ground(async |ground| {
        let path = format!("{}?fieldManager=one", ground.core("configmaps/a"));
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "key": "1" } });
        ground.apply(&path, &map).await.good();
        ground.merge(&path, &json!({ "data": { "key": "2" } })).await.good();
        // An update and an apply of one name are two managers, so what is to be applied again is set back by an apply.
        let said = ground.apply(&path, &map).await.refused(409, "Conflict");
        assert_eq!(text(&said, "/details/causes/0/field"), ".data.key");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_is_recorded_under_whoever_made_it_last() {
    on_ground(async |ground| {
        ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await.good();
        let scale = async |manager: &str, replicas: u32| {
            let path = format!("{}?fieldManager={manager}", ground.deployment("web/scale"));
            ground.merge(&path, &json!({ "spec": { "replicas": replicas } })).await.good();
            let object = ground.get(&ground.deployment("web")).await.good();
            let entries = object["metadata"]["managedFields"].as_array().expect("managed fields").clone();
            let manages = |entry: &&Value| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some();
            let told = |entry: &Value| {
                assert!(!text(entry, "/time").is_empty(), "{entry}");
                format!("{} {}", text(entry, "/manager"), text(entry, "/subresource"))
            };
            entries.iter().filter(manages).map(told).collect::<Vec<_>>()
        };
        assert_eq!(scale("two", 1).await, ["two scale"]);
        assert_eq!(scale("three", 0).await, ["three scale"], "there and back shows");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_in_the_way_of_an_apply_is_named() {
    on_ground(async |ground| {
        ground.apply(&by(ground, "one", ""), &deployment("web", 0)).await.good();
        let mark =
            |value: &str| json!({ "metadata": { "annotations": { "smokejumper.dev/execution-id": value } } });
        ground.merge(&by(ground, "one", ""), &mark("a")).await.good();
        let mut marked = deployment("web", 0);
        marked["metadata"]["annotations"] = mark("b")["metadata"]["annotations"].clone();
        let said = ground.apply(&by(ground, "one", ""), &marked).await.refused(409, "Conflict");
        let causes = said["details"]["causes"].as_array().expect("causes");
        let fields: Vec<&str> = causes.iter().map(|cause| text(cause, "/field")).collect();
        assert_eq!(fields, [".metadata.annotations.smokejumper.dev/execution-id"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsed_apply_shows_what_it_would_make_and_makes_nothing() {
    on_ground(async |ground| {
        let path = format!("{}?fieldManager=one&dryRun=All", ground.core("configmaps/a"));
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "key": "1" } });
        let shown = ground.apply(&path, &map).await;
        assert_eq!((shown.code, text(&shown.body, "/data/key")), (201, "1"));
        ground.get(&ground.core("configmaps/a")).await.refused(404, "NotFound");
    })
    .await;
}
