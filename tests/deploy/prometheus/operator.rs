//! The rule files as objects of the Prometheus Operator: the same text, indented, in a `PrometheusRule`.

use serde_json::{Value, json};

use super::{FOLDER, files};
use crate::kustomize;
use crate::schemas::keep;
use crate::{read, root};

/// What a rule file is as an object.
fn object(file: &str) -> String {
    let text = read(&format!("{FOLDER}/rules/{file}.yaml"));
    let (comment, groups) = text.split_at(text.find("groups:\n").expect("groups"));
    let groups =
        groups.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
    format!(
        "# Written from deploy/prometheus/rules/{file}.yaml by `UPDATE_DOCS=1 cargo test --test deploy`; do not edit it by hand.\n\
         #\n{comment}apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: smokejumper-{file}\n  \
         namespace: monitoring\n  labels: {{ app.kubernetes.io/part-of: smokejumper, prometheus: k8s, role: alert-rules }}\nspec:\n{}",
        groups.collect::<String>()
    )
}

#[test]
fn the_objects_are_the_rule_files() {
    for file in files("rules", ".yaml") {
        keep(&format!("../{FOLDER}/operator/{file}.yaml"), "deploy", &object(&file));
    }
}

/// As much of the CustomResourceDefinition as says anything about a rule; a field besides would be dropped in silence.
fn schema() -> Value {
    let duration = json!({ "type": "string", "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$" });
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let text = json!({ "type": "string", "minLength": 1 });
    let rule = json!({
        "type": "object", "required": ["expr"], "additionalProperties": false,
        "oneOf": [{ "required": ["alert"] }, { "required": ["record"] }],
        "properties": {
            "alert": text, "record": text, "expr": { "type": ["integer", "string"] },
            "for": duration, "keep_firing_for": duration, "labels": texts, "annotations": texts,
        },
    });
    let group = json!({
        "type": "object", "required": ["name", "rules"], "additionalProperties": false,
        "properties": { "name": text, "interval": duration, "rules": { "type": "array", "minItems": 1, "items": rule } },
    });
    json!({
        "type": "object", "required": ["spec"],
        "properties": { "spec": {
            "type": "object", "required": ["groups"], "additionalProperties": false,
            "properties": { "groups": { "type": "array", "minItems": 1, "items": group } },
        } },
    })
}

#[test]
fn the_operator_takes_them_all() {
    let built = kustomize::build(&root().join(FOLDER).join("operator"));
    let names: Vec<String> =
        files("rules", ".yaml").iter().map(|file| format!("smokejumper-{file}")).collect();
    assert_eq!(built.names("PrometheusRule"), names);
    assert_eq!(built.objects.len(), names.len());
    for rule in &built.objects {
        assert_eq!(rule["apiVersion"], "monitoring.coreos.com/v1");
        jsonschema::validate(&schema(), rule)
            .unwrap_or_else(|error| panic!("{}: {error}", rule["metadata"]["name"]));
        // A list by name: two groups of one name would be refused.
        let mut groups: Vec<&str> =
            kustomize::list(rule, "/spec/groups").iter().filter_map(|group| group["name"].as_str()).collect();
        let count = groups.len();
        groups.sort_unstable();
        groups.dedup();
        assert_eq!(groups.len(), count, "{groups:?}");
    }
}

#[test]
fn a_number_as_a_label_is_found() {
    let mut rule = json!({ "spec": { "groups": [{ "name": "g", "rules": [{ "alert": "A", "expr": "up", "labels": { "level": "1" } }] }] } });
    assert!(jsonschema::is_valid(&schema(), &rule));
    rule["spec"]["groups"][0]["rules"][0]["labels"]["level"] = json!(1);
    assert!(!jsonschema::is_valid(&schema(), &rule));
}
