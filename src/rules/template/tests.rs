//! Templates are checked when they are loaded, and render within their limits.

use super::*;
use crate::domain::catalog::{Catalog, CheckedParams, DiagnosticKind, no_access};
use crate::domain::rule::ResponseRule;

/// A rule with one diagnostic `ratio`, whose findings have the field `last`.
fn mk_vocabulary() -> Vocabulary {
    let kind = DiagnosticKind {
        name: "prom.range",
        summary: "",
        fields: &[("last", "the newest value")],
        timeout: std::time::Duration::from_secs(1),
        check: |_| Ok(CheckedParams::default()),
        schema: || serde_json::json!({}),
        access: no_access,
    };
    let rule: ResponseRule = serde_json::from_value(serde_json::json!({
        "name": "r",
        "severity": { "fixed": "P1" },
        "diagnostics": [{ "name": "ratio", "kind": "prom.range", "params": {} }],
    }))
    .expect("a rule");
    Vocabulary::deciding(&rule, &Catalog::new(vec![kind], vec![]))
}

fn complaints(text: &str) -> Vec<String> {
    check(text, &mk_vocabulary()).into_iter().map(|problem| problem.message).collect()
}

#[test]
fn templates_of_everyday_rules_pass() {
    for text in [
        "plain text, even with } and %",
        "{{ labels.service }} in {{labels.namespace}}",
        "{{ labels['service'] }} {{ labels?.team | default(value=\"nobody\") }}",
        "{{ findings.ratio.last | round(method=\"ceil\", precision=2) }}",
        "{{ findings.ratio.text }} {{ findings[\"ratio\"].status }}",
        "{% if findings.ratio.last > 0.5 and labels.team is defined %}bad{% else %}fine{% endif %}",
        "{{ incident.target.name ~ \"-\" ~ (labels.a or \"x\") }} {# labels.nothing | safe #}",
        "{{ \"labels.x | safe }}\" }}",
        "{% if \"a\" in labels.list and not (labels.b == \"c\") %}x{% endif %}",
    ] {
        assert_eq!(complaints(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn unknown_names_are_found_with_a_way_out() {
    let problems =
        check("{{ findings.ration.last }} {{ findings.ratio.lst }} {{ lables.x }}", &mk_vocabulary());
    let shown: Vec<_> = problems
        .iter()
        .map(|problem| (problem.message.as_str(), problem.help.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(
        shown,
        [
            ("there is no diagnostic `ration` in this rule", "did you mean `ratio`?"),
            ("`findings.ratio` has no field `lst`", "did you mean `last`?"),
            ("`lables` is not known here", "did you mean `labels`?"),
        ]
    );
}

#[test]
fn names_are_checked_for_the_place_they_stand_in() {
    let opening = |text| check(text, &Vocabulary::opening()).len();
    assert_eq!(opening("{{ labels.a }}{{ annotations.b }}"), 0);
    assert_eq!(opening("{{ incident.id }}"), 1);
    assert_eq!(opening("{{ findings.ratio.last }}"), 1);
    assert_eq!(check("{{ incident.id }}", &Vocabulary::diagnosing()), []);
    assert_eq!(check("{{ findings.ratio.last }}", &Vocabulary::diagnosing()).len(), 1);
    assert_eq!(check("{{ incident.nme }}", &Vocabulary::diagnosing()).len(), 1);
}

#[test]
fn nothing_that_loops_includes_or_unescapes_is_available() {
    for text in [
        "{{ labels.a | safe }}",
        "{{ labels.a|upper|safe }}",
        "{{ labels.a | escape_html }}",
        "{% for x in labels %}{{ x }}{% endfor %}",
        "{% include \"other\" %}",
        "{% set x = labels.a %}",
        "{% raw %}{{ x }}{% endraw %}",
        "{% filter safe %}x{% endfilter %}",
        "{{ range(end=100000) }}",
        "{{ throw(message=\"x\") }}",
        "{% if range(end=3) %}x{% endif %}",
        "a\u{1}b",
    ] {
        assert!(!complaints(text).is_empty(), "{text}");
    }
    assert!(!complaints(&"x".repeat(TEMPLATE_BYTES_MAX + 1)).is_empty());
}

#[test]
fn parts_keep_literal_text_and_expressions_apart() {
    assert_eq!(
        parts("a{{ labels.b }}c{# d #}{%- if x -%}e"),
        [
            Part::Literal("a"),
            Part::Value("labels.b"),
            Part::Literal("c"),
            Part::Tag("if x"),
            Part::Literal("e"),
        ]
    );
    assert_eq!(parts("{{ \"}}\" }}"), [Part::Value("\"}}\"")]);
    assert_eq!(parts("a {{ b"), [Part::Literal("a {{ b")]);
}
