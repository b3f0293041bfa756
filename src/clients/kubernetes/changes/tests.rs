//! Changes as patches of each kind: what they make of an object, and that they lead back.

use super::*;
use crate::clients::kubernetes::test_objects::{mk_deployment, mk_template};
use proptest::prelude::*;

fn container() -> FieldPath {
    FieldPath::fields(["spec", "template", "spec", "containers"]).item("api")
}

fn variable(name: &str) -> FieldPath {
    container().field("env").item(name)
}

fn mk_object() -> Value {
    mk_deployment("api", mk_template("api:1"))
}

#[test]
fn a_change_knows_what_it_was_planned_over() {
    let object = mk_object();
    let change = Change::of(&object, container().field("image"), json!("api:2"));
    assert_eq!(change.from, json!("api:1"));
    assert_eq!((change.is_stale(&object), change.is_made(&object)), (None, false));
    let mut made = object.clone();
    made["spec"]["template"]["spec"]["containers"][0]["image"] = json!("api:2");
    assert_eq!((change.is_stale(&made), change.is_made(&made)), (None, true));
    made["spec"]["template"]["spec"]["containers"][0]["image"] = json!("api:9");
    assert_eq!(change.is_stale(&made), Some(&json!("api:9")));
    let back = change.inverse();
    assert_eq!((back.from, back.to), (json!("api:2"), json!("api:1")));
}

#[test]
fn variables_are_set_by_name_and_a_reference_makes_way_for_a_value() {
    let object = mk_object();
    let changes = [
        Change::of(&object, variable("LEVEL"), json!({"name": "LEVEL", "value": "debug"})),
        Change::of(&object, variable("KEY"), json!({"name": "KEY", "value": "plain"})),
        Change::of(&object, variable("NEW"), json!({"name": "NEW", "value": "1"})),
    ];
    let patch = strategic(&changes);
    assert_eq!(
        patch["spec"]["template"]["spec"]["containers"],
        json!([{"name": "api", "env": [
            {"name": "LEVEL", "value": "debug"},
            {"name": "KEY", "value": "plain", "valueFrom": null},
            {"name": "NEW", "value": "1"},
        ]}])
    );
    let back: Vec<Change> = changes.iter().map(Change::inverse).collect();
    assert_eq!(
        strategic(&back)["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([
            {"name": "LEVEL", "value": "info"},
            {"name": "KEY", "value": null, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "NEW", "$patch": "delete"},
        ])
    );
}

#[test]
fn a_merge_patch_takes_away_with_null() {
    let object = json!({"spec": {"minReplicas": 2}});
    let path = |name: &str| FieldPath::fields(["spec", name]);
    let changes = [
        Change::of(&object, path("minReplicas"), json!(4)),
        Change::of(&object, path("maxReplicas"), json!(9)),
    ];
    assert_eq!(merge(&changes), json!({"spec": {"minReplicas": 4, "maxReplicas": 9}}));
    let back: Vec<Change> = changes.iter().map(Change::inverse).collect();
    assert_eq!(merge(&back), json!({"spec": {"minReplicas": 2, "maxReplicas": null}}));
}

#[test]
fn a_json_patch_finds_items_by_name_and_makes_what_is_missing() {
    let object = mk_object();
    let annotation = FieldPath::fields(["metadata", "annotations", "a/b~c"]);
    let changes = [
        Change::of(&object, variable("KEY").field("value"), json!("x")),
        Change::of(&object, variable("LEVEL"), Value::Null),
        Change::of(&object, variable("NEW"), json!({"name": "NEW", "value": "1"})),
        Change::of(&object, annotation, json!("on")),
    ];
    let env = "/spec/template/spec/containers/0/env";
    assert_eq!(
        json_patch(&object, &changes),
        [
            json!({"op": "add", "path": format!("{env}/1/value"), "value": "x"}),
            json!({"op": "remove", "path": format!("{env}/0")}),
            json!({"op": "add", "path": format!("{env}/-"), "value": {"name": "NEW", "value": "1"}}),
            json!({"op": "add", "path": "/metadata/annotations", "value": {"a/b~c": "on"}}),
        ]
    );
    // Whatever is gone already needs no operation.
    let gone = Change { path: variable("GONE"), from: json!({"name": "GONE"}), to: Value::Null };
    assert_eq!(json_patch(&object, &[gone]), Vec::<Value>::new());
}

#[test]
fn an_allowed_pointer_covers_what_lies_below_it_and_nothing_else() {
    let path = container().field("readinessProbe").field("periodSeconds");
    for (pointer, covers) in [
        ("/spec/template/spec/containers/*/readinessProbe", true),
        ("/spec/template/spec/containers/api/readinessProbe", true),
        ("/spec/template/spec/containers/api/readinessProbe/periodSeconds", true),
        ("/spec/template/spec/containers/web/readinessProbe", false),
        ("/spec/template/spec/containers/api/readinessProbe/periodSeconds/x", false),
        ("/spec/template/spec/containers/api/livenessProbe", false),
        ("/spec/template/spec/containers/api/readiness", false),
        ("spec", false),
        ("", false),
    ] {
        assert_eq!(path.is_below(pointer), covers, "{pointer}");
    }
    let annotation =
        FieldPath::fields(["metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-read-timeout"]);
    assert!(annotation.is_below("/metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout"));
    assert_eq!(
        annotation.to_string(),
        "metadata.annotations['nginx.ingress.kubernetes.io/proxy-read-timeout']"
    );
}

#[test]
fn what_people_are_shown_is_one_short_line() {
    let change = Change {
        path: FieldPath::fields(["data"]),
        from: json!("a\nb\u{1b}[31m"),
        to: json!("x".repeat(500)),
    };
    let line = change.to_string();
    assert!(line.starts_with("data: a b [31m → xxx") && line.ends_with('…'), "{line}");
    assert!(line.chars().count() < 200 && !line.contains('\n'));
}

#[test]
fn the_half_of_a_secret_that_is_left_of_a_long_value_is_still_redacted() {
    let secret = "planted-secret-4711";
    let path = FieldPath::fields(["data", "config"]);
    let to = json!(format!("{} {secret} and more", "x".repeat(SHOWN_CHARS_MAX - 9)));
    let change = Change { path, from: Value::Null, to };
    let shown = crate::domain::redact::Redactor::new([secret]).redact(&change.to_string()).into_owned();
    assert!(shown.ends_with(" [redacted]…") && !shown.contains("planted"), "{shown}");
}

#[test]
fn paths_are_kept_as_they_are_read() {
    let change = Change::of(&mk_object(), variable("LEVEL"), Value::Null);
    let kept = serde_json::to_value(&change).expect("JSON");
    assert_eq!(
        kept["path"],
        json!(["spec", "template", "spec", "containers", {"name": "api"}, "env", {"name": "LEVEL"}])
    );
    assert_eq!(serde_json::from_value::<Change>(kept).expect("a change"), change);
}

/// Applies operations as an API server does, for the property below.
fn applied(object: &Value, operations: &[Value]) -> Value {
    let mut object = object.clone();
    for operation in operations {
        let path = operation["path"].as_str().expect("a path");
        let (parent, key) = path.rsplit_once('/').expect("a parent");
        let key = key.replace("~1", "/").replace("~0", "~");
        let parent = object.pointer_mut(parent).expect("the parent is there");
        match (operation["op"].as_str().expect("an operation"), parent) {
            ("remove", Value::Object(map)) => drop(map.remove(&key).expect("it was there")),
            ("remove", Value::Array(items)) => drop(items.remove(key.parse().expect("a position"))),
            (_, Value::Object(map)) => drop(map.insert(key, operation["value"].clone())),
            ("replace", Value::Array(items)) => {
                items[key.parse::<usize>().expect("a position")] = operation["value"].clone();
            }
            (_, Value::Array(items)) => items.push(operation["value"].clone()),
            other => panic!("{other:?}"),
        }
    }
    object
}

fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<u8>().prop_map(Value::from), "[a-c]{0,3}".prop_map(Value::from)];
    let named = prop::collection::btree_map("[a-d]", "[a-c]{1,2}", 0..4).prop_map(|items| {
        Value::Array(items.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect())
    });
    let value = prop_oneof![leaf, named].prop_recursive(3, 20, 4, |inner| {
        prop::collection::btree_map("[a-d/~]{1,2}", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    });
    prop::collection::btree_map("[a-d]", value, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// With the items of named lists in order: a patch appends what it adds.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn comparing_and_patching_leads_from_any_object_to_any_other_and_back(one in any_object(), other in any_object()) {
        let changes = compare(&one, &other);
        let there = applied(&one, &json_patch(&one, &changes));
        prop_assert_eq!(sorted(&there), sorted(&other));
        let inverse: Vec<Change> = changes.iter().map(Change::inverse).collect();
        let back = applied(&there, &json_patch(&there, &inverse));
        prop_assert_eq!(sorted(&back), sorted(&one));
    }
}
