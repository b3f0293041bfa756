//! An alert opens what its rule says, whatever its labels hold.

use super::*;
use crate::rules::test_support::{load_one, mk_alert};

/// Reads an alert through a rule with these lines in its `spec`.
fn read(spec: &str, alert: &Alert) -> Opened {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!(
        "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: r }}\nspec:\n  matchers: ['alertname=\"A\"']\n{spec}"
    );
    let set = load_one(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let rule = &set.rules()[0].rule;
    let compiled = CompiledRule::new(rule);
    let opened = open(rule, &compiled, alert);
    assert_eq!(opened.key, key(rule, &compiled, alert), "both ways give the same key");
    opened
}

const TARGET: &str = "severity: P1\ntarget: { kind: Deployment, namespace: \"{{ labels.namespace }}\", name: \"{{ labels.service }}\" }";

#[test]
fn labels_give_the_target_and_the_target_gives_the_key() {
    let alert =
        mk_alert(&[("alertname", "A"), ("namespace", "pss-nano"), ("service", "api"), ("pod", "api-1")]);
    let opened = read(TARGET, &alert);
    assert_eq!(opened.target.map(|target| target.to_string()).as_deref(), Some("Deployment/pss-nano/api"));
    assert_eq!(opened.key.0, "r|Deployment/pss-nano/api");
    assert_eq!(opened.notes, Vec::<String>::new());
}

#[test]
fn labels_that_are_no_names_give_no_target_but_still_an_incident() {
    let keys: Vec<_> = [
        &[("alertname", "A"), ("namespace", "pss-nano"), ("service", "../../x")][..],
        &[("alertname", "A"), ("namespace", "pss-nano"), ("service", "")],
        &[("alertname", "A"), ("namespace", "pss.nano"), ("service", "api")],
        &[("alertname", "A"), ("namespace", "pss-nano")],
    ]
    .map(|labels| {
        let opened = read(TARGET, &mk_alert(labels));
        assert_eq!(opened.target, None);
        assert!(opened.notes[0].starts_with("no target: "), "{:?}", opened.notes);
        opened.key
    })
    .into();
    assert_ne!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
    assert_eq!(keys[1], keys[3], "an absent label equals an empty one");
}

#[test]
fn a_group_tells_incidents_apart_by_its_labels_only() {
    let spec = "severity: P2\ngroupBy: [alertname, instance]";
    let key = |instance: &str, pod: &str| {
        read(spec, &mk_alert(&[("alertname", "A"), ("instance", instance), ("pod", pod)])).key
    };
    assert_eq!(key("db-1", "a"), key("db-1", "b"));
    assert_ne!(key("db-1", "a"), key("db-2", "a"));
}

#[test]
fn an_unreadable_severity_is_urgent() {
    let spec = "severity: \"{{ labels.severity }}\"\ngroupBy: [alertname]";
    let severity = |labels: &[(&str, &str)]| {
        let opened = read(spec, &mk_alert(labels));
        (opened.severity, opened.notes.len())
    };
    assert_eq!(severity(&[("alertname", "A"), ("severity", "critical")]), (Severity::P0, 0));
    assert_eq!(severity(&[("alertname", "A"), ("severity", "P3")]), (Severity::P3, 0));
    assert_eq!(severity(&[("alertname", "A"), ("severity", "whatever")]), (Severity::P1, 1));
    assert_eq!(severity(&[("alertname", "A")]), (Severity::P1, 1));
}

#[test]
fn a_summary_is_one_bounded_line_whatever_the_labels_hold() {
    let spec = "severity: P1\ngroupBy: [alertname]\nsummary: \"errors on {{ labels.service }}\"";
    let long = "x".repeat(64 << 10);
    for value in ["a\nb", "\u{7}bell", &long, "{{7*7}}"] {
        let summary = read(spec, &mk_alert(&[("alertname", "A"), ("service", value)])).summary;
        assert!(summary.starts_with("errors on ") && summary.len() <= SUMMARY_BYTES_MAX, "{summary}");
        assert!(!summary.chars().any(char::is_control) && !summary.contains("49"), "{summary}");
    }
}

#[test]
fn the_summary_falls_back_to_the_annotation_and_then_to_the_name() {
    let spec = "severity: P1\ngroupBy: [alertname]\nsummary: \"errors on {{ labels.service }}\"";
    let mut alert = mk_alert(&[("alertname", "A")]);
    let opened = read(spec, &alert);
    assert_eq!((opened.summary.as_str(), opened.notes.len()), ("A", 1));
    alert.annotations.insert("summary".to_owned(), "5 % errors".to_owned());
    assert_eq!(read(spec, &alert).summary, "5 % errors");
    assert_eq!(
        read("severity: P1\ngroupBy: [job]", &mk_alert(&[("job", "x")])).summary,
        "an alert without a name"
    );
}

#[test]
fn the_runbook_is_the_rules_or_else_the_alerts_own_link() {
    let mut alert = mk_alert(&[("alertname", "A b")]);
    let with =
        "severity: P1\ngroupBy: [alertname]\nrunbook: \"https://wiki.example.com/{{ labels.alertname }}\"";
    let without = "severity: P1\ngroupBy: [alertname]";
    assert_eq!(read(with, &alert).runbook.as_deref(), Some("https://wiki.example.com/A%20b"));
    assert_eq!(read(without, &alert).runbook, None);
    for (url, shown) in [("https://wiki/x", true), ("javascript:alert(1)", false), ("http://a b", false)] {
        alert.annotations.insert("runbook_url".to_owned(), url.to_owned());
        assert_eq!(read(without, &alert).runbook.is_some(), shown, "{url}");
    }
}
