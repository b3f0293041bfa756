//! What a stored manifest may hold, and where placeholders may stand in it.

use super::*;
use serde_json::json;

fn mk_map() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "maintenance", "labels": {"app": "{{ labels.service }}"}},
        "data": {"on": "true", "note": "since {{ incident.started_at }}"},
    })
}

fn mk_policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "{{ labels.service }}-closed", "namespace": "prod"},
        "spec": {"podSelector": {"matchLabels": {"app": "{{ labels.service }}"}}, "policyTypes": ["Ingress"]},
    })
}

fn check(objects: Vec<Value>) -> Result<Vec<Slot>, ParamsError> {
    Stored { tier: None, objects }.check()
}

/// The place of the mistake in a ConfigMap that has this at this place.
fn refused(pointer: &str, value: Value) -> String {
    let mut object = mk_map();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    object.pointer_mut(parent).expect("a place")[key] = value;
    check(vec![object]).expect_err("a refusal").pointer
}

#[test]
fn placeholders_stand_in_names_labels_selectors_and_data_alone() {
    let slots = check(vec![mk_map(), mk_policy()]).expect("a manifest");
    let mut slots: Vec<(&str, SlotLanguage)> =
        slots.iter().map(|slot| (slot.pointer.as_str(), slot.language)).collect();
    slots.sort_by_key(|(pointer, _)| *pointer);
    assert_eq!(
        slots,
        [
            ("/0/data/note", SlotLanguage::Text),
            ("/0/metadata/labels/app", SlotLanguage::KubernetesName),
            ("/1/metadata/name", SlotLanguage::KubernetesName),
            ("/1/spec/podSelector/matchLabels/app", SlotLanguage::KubernetesName),
        ]
    );
    assert_eq!(refused("/metadata/annotations", json!({"a": "{{ labels.x }}"})), "/0/metadata/annotations/a");
    assert_eq!(refused("/data", json!({"{{ labels.x }}": "a"})), "/0/data/{{ labels.x }}");
    assert_eq!(refused("/kind", json!("{{ labels.kind }}")), "/0/kind");
    let mut open = mk_policy();
    open["spec"]["ingress"] = json!([{"from": [{"ipBlock": {"cidr": "{{ labels.address }}"}}]}]);
    assert_eq!(check(vec![open]).expect_err("a refusal").pointer, "/0/spec/ingress/0/from/0/ipBlock/cidr");
}

#[test]
fn what_no_remedy_may_bring_is_refused_at_its_place() {
    for (pointer, value, place) in [
        ("/kind", json!("Secret"), "/0/kind"),
        ("/kind", json!("ClusterIssuer"), "/0/kind"),
        ("/apiVersion", json!("v2"), "/0/apiVersion"),
        ("/status", json!({}), "/0/status"),
        ("/metadata", json!("x"), "/0"),
        ("/metadata/name", json!("../x"), "/0/metadata/name"),
        ("/metadata/name", json!(7), "/0/metadata/name"),
        ("/metadata/namespace", json!("{{ labels.namespace }}"), "/0/metadata/namespace"),
        ("/metadata/namespace", json!(""), "/0/metadata/namespace"),
        ("/metadata/generateName", json!("x-"), "/0/metadata/generateName"),
        ("/metadata/ownerReferences", json!([]), "/0/metadata/ownerReferences"),
        ("/metadata/annotations", json!({"smokejumper.dev/execution-id": "x"}), "/0/metadata/annotations"),
    ] {
        assert_eq!(refused(pointer, value.clone()), place, "{pointer}: {value}");
    }
}

#[test]
fn a_manifest_is_short_and_lies_in_one_namespace() {
    assert_eq!(check(vec![]).expect_err("a refusal").pointer, "");
    assert_eq!(check(vec![json!("x")]).expect_err("a refusal").pointer, "/0");
    assert_eq!(check(vec![mk_map(), mk_map()]).expect_err("a refusal").pointer, "/1/metadata/name");
    let named = |index: usize| {
        let mut object = mk_map();
        object["metadata"]["name"] = json!(format!("m-{index}"));
        object
    };
    assert!(check((0..OBJECTS_MAX).map(named).collect()).is_ok());
    assert_eq!(check((0..=OBJECTS_MAX).map(named).collect()).expect_err("a refusal").pointer, "");
    let mut long = mk_map();
    long["data"]["on"] = json!("x".repeat(BYTES_MAX));
    assert!(check(vec![long]).expect_err("a refusal").message.contains("longer than"));
    let mut elsewhere = mk_map();
    elsewhere["metadata"]["namespace"] = json!("shop");
    assert_eq!(
        check(vec![mk_policy(), elsewhere.clone()]).expect_err("a refusal").pointer,
        "/1/metadata/namespace"
    );
    let stored = Stored { tier: None, objects: vec![named(1), elsewhere] };
    assert_eq!((stored.check().is_ok(), stored.namespace()), (true, Some("shop")));
}
