//! Schemas against documents: what the loader takes they take, and what it refuses for its shape they refuse.

use super::*;
use crate::rules::load::read_shape;
use crate::rules::test_support::mk_catalog;

fn mk_validator(kind: &str) -> jsonschema::Validator {
    let schema = schema(kind, &mk_catalog()).expect("a kind with a schema");
    jsonschema::draft202012::meta::validate(&schema).expect("a schema by the book");
    jsonschema::validator_for(&schema).expect("a schema that compiles")
}

/// One document with this kind and `spec`.
fn mk_document(kind: &str, spec: &str) -> String {
    format!("apiVersion: smokejumper.dev/v1\nkind: {kind}\nmetadata: {{ name: x }}\nspec: {spec}\n")
}

#[test]
fn loader_and_schema_agree_on_shapes() {
    let rule = "matchers: [], severity: P1";
    let policy = "fallback: [{ slack: { channel: x } }]";
    for (kind, spec, sound) in [
        ("ResponseRule", format!("{{ {rule} }}"), true),
        ("ResponseRule", "{ matchers: [] }".to_owned(), false),
        ("ResponseRule", format!("{{ {rule}, priority: high }}"), false),
        (
            "ResponseRule",
            format!("{{ {rule}, continue: true, priority: -1, dryRun: false, reopenWithin: 1h }}"),
            true,
        ),
        ("ResponseRule", format!("{{ {rule}, contineu: true }}"), false),
        ("ResponseRule", format!("{{ {rule}, target: {{ kind: A, namespace: b, name: c }} }}"), true),
        ("ResponseRule", format!("{{ {rule}, target: {{ kind: A, name: c }} }}"), false),
        (
            "ResponseRule",
            format!("{{ {rule}, remedies: [{{ name: a, tier: T4, action: {{ escalate: {{}} }} }}] }}"),
            false,
        ),
        (
            "ResponseRule",
            format!("{{ {rule}, remedies: [{{ name: a, tier: T2, action: {{ escalate: {{}} }} }}] }}"),
            true,
        ),
        ("ResponseRule", format!("{{ {rule}, remedies: [{{ action: {{ escalate: {{}} }} }}] }}"), false),
        ("EscalationPolicy", format!("{{ {policy} }}"), true),
        ("EscalationPolicy", "{}".to_owned(), false),
        ("EscalationPolicy", "{ fallback: [{ phone: { to: x } }] }".to_owned(), false),
        (
            "EscalationPolicy",
            format!("{{ {policy}, levels: [{{ name: a, after: 0s, destinations: [] }}] }}"),
            true,
        ),
        ("EscalationPolicy", format!("{{ {policy}, levels: [{{ name: a, destinations: [] }}] }}"), false),
        ("EscalationPolicy", format!("{{ {policy}, selector: {{ severities: [P9] }} }}"), false),
        ("EscalationPolicy", format!("{{ {policy}, repeat: {{ every: 30m, times: 3 }} }}"), true),
        ("EscalationPolicy", format!("{{ {policy}, repeat: {{ every: 30m, times: -3 }} }}"), false),
        ("Schedule", "{ timeIntervals: [{ weekdays: ['monday:friday'] }] }".to_owned(), true),
        ("Schedule", "{ timeIntervals: [] }".to_owned(), false),
        ("Schedule", "{ timeIntervals: [{ weekday: ['monday'] }] }".to_owned(), false),
    ] {
        let text = mk_document(kind, &spec);
        let value: Value = crate::yaml::read("x", &text).expect("YAML");
        assert_eq!(mk_validator(kind).is_valid(&value), sound, "the schema about {kind} {spec}");
        assert_eq!(read_shape("x", &text).is_ok(), sound, "the loader about {kind} {spec}");
    }
}

#[test]
fn kinds_of_the_catalog_are_in_the_schema_of_rules() {
    let validator = mk_validator("ResponseRule");
    for (spec, sound) in [
        ("diagnostics: [{ name: a, prom.query: { expr: up } }]", true),
        ("diagnostics: [{ name: a, prom.query: { exp: up } }]", false),
        ("diagnostics: [{ name: a, prom.gone: {} }]", false),
        ("diagnostics: [{ prom.query: { expr: up } }]", false),
        ("diagnostics: [{ name: A, prom.query: { expr: up } }]", false),
        ("diagnostics: [{ name: a, prom.query: { expr: up }, links.render: { links: {} } }]", false),
        ("onResolve: [{ escalate: {} }]", true),
        ("onResolve: [{ escalate: {}, human.task: { title: x } }]", false),
        ("onResolve: [{ escalat: {} }]", false),
    ] {
        let text = mk_document("ResponseRule", &format!("{{ matchers: [], severity: P1, {spec} }}"));
        let value: Value = crate::yaml::read("x", &text).expect("YAML");
        assert_eq!(validator.is_valid(&value), sound, "{spec}");
    }
}

#[test]
fn definitions_of_a_kind_move_to_the_root_under_its_name() {
    let own = json!({
        "$schema": "x",
        "type": "object",
        "properties": { "predict": { "$ref": "#/$defs/Predict" } },
        "$defs": { "Predict": { "anyOf": [{ "$ref": "#/$defs/Period" }] }, "Period": { "type": "string" } },
    });
    let mut definitions = Map::new();
    let part = embed(own, "prom.range", &mut definitions);
    assert_eq!(
        part,
        json!({ "type": "object", "properties": { "predict": { "$ref": "#/$defs/prom.range.Predict" } } })
    );
    assert_eq!(
        definitions["prom.range.Predict"],
        json!({ "anyOf": [{ "$ref": "#/$defs/prom.range.Period" }] })
    );
    assert_eq!(definitions.len(), 2);
}

#[test]
fn every_kind_has_a_schema_and_nothing_else_has() {
    assert!(KINDS.iter().all(|kind| schema(kind, &mk_catalog()).is_some()));
    assert_eq!(schema("ResponseTest", &mk_catalog()), None);
}

#[test]
fn a_placeholder_may_stand_where_a_number_is_wanted_and_other_texts_may_not() {
    let schema = schema("ResponseRule", &mk_catalog()).expect("a schema");
    let rule = |priority: Value| {
        json!({
            "apiVersion": API_VERSION,
            "kind": "ResponseRule",
            "metadata": { "name": "a" },
            "spec": { "matchers": ["a=b"], "severity": "P1", "priority": priority },
        })
    };
    assert!(jsonschema::is_valid(&schema, &rule(json!(3))));
    assert!(jsonschema::is_valid(&schema, &rule(json!("${shop.priority}"))));
    assert!(!jsonschema::is_valid(&schema, &rule(json!("high"))));
}
