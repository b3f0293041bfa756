//! Rules are replaced whole or not at all, and the last good ones stay.

use super::*;
use crate::domain::severity::Severity;
use crate::engine::playbook::Playbook;
use crate::rules::test_support::{mk_alert, mk_catalog, mk_known};
use std::path::Path;

fn mk_rule(name: &str, alertname: &str) -> String {
    format!(
        "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\nspec: {{ matchers: ['alertname=\"{alertname}\"'], severity: P1, groupBy: [alertname] }}\n"
    )
}

fn mk_policy(name: &str, selector: &str) -> String {
    format!(
        "---\napiVersion: smokejumper.dev/v1\nkind: EscalationPolicy\nmetadata: {{ name: {name} }}\nspec: {{ {selector} fallback: [{{ slack: {{ channel: '#x' }} }}] }}\n"
    )
}

fn mk_source(directory: &Path) -> BookSource {
    BookSource {
        patterns: vec![format!("{}/**/*.yaml", directory.display())],
        catalog: Arc::new(mk_catalog()),
        known: mk_known(),
        default_policy: None,
    }
}

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).expect("written");
}

fn names(book: &RuleBook) -> Vec<String> {
    book.current().rules().iter().map(|kept| kept.rule.name.clone()).collect()
}

#[test]
fn a_reload_takes_all_files_or_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    write(path, "a.yaml", &mk_rule("a", "A"));
    write(path, "b.yaml", &mk_rule("b", "B"));
    let book = RuleBook::open(mk_source(path)).expect("loads");
    assert_eq!(names(&book), ["a", "b"]);

    // One file becomes better, the other is half-written: neither counts.
    write(path, "a.yaml", &mk_rule("a2", "A"));
    write(path, "b.yaml", &mk_rule("b", "B")[..60]);
    let Reload::Refused(errors) = book.reload_if_changed() else { panic!("a mistake is a mistake") };
    assert!(errors.to_string().contains("b.yaml"), "{errors}");
    assert_eq!(names(&book), ["a", "b"]);
    assert_eq!(book.refusal(), Some(errors));

    // The same mistake is not told every few seconds, but it is to whoever asks for a reload.
    assert_eq!(book.reload_if_changed(), Reload::Unchanged);
    assert_eq!(book.reload().as_str(), "refused");

    write(path, "b.yaml", &mk_rule("b2", "B"));
    assert_eq!(book.reload_if_changed(), Reload::Loaded { rules: 2, policies: 0, schedules: 0, warnings: 0 });
    assert_eq!(names(&book), ["a2", "b2"]);
    assert_eq!(book.refusal(), None);
}

#[test]
fn a_start_with_mistakes_is_no_start() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "a.yaml", "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\n");
    assert!(RuleBook::open(mk_source(directory.path())).is_err());
}

#[test]
fn files_that_vanish_or_cannot_be_read_are_a_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    write(path, "a.yaml", &mk_rule("a", "A"));
    write(path, "b.yaml", &mk_rule("b", "B"));
    let book = RuleBook::open(mk_source(path)).expect("loads");
    std::fs::write(path.join("b.yaml"), [0xff]).expect("written");
    assert_eq!(book.reload_if_changed().as_str(), "refused");
    std::fs::remove_file(path.join("b.yaml")).expect("removed");
    assert_eq!(book.reload_if_changed().as_str(), "loaded");
    assert_eq!(names(&book), ["a"]);
}

#[test]
fn a_directory_that_looks_empty_for_a_moment_loses_no_rules() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let book = RuleBook::open(mk_source(path)).expect("starts without rules");
    write(path, "a.yaml", &mk_rule("a", "A"));
    assert_eq!(book.reload_if_changed().as_str(), "loaded");
    write(path, "a.yaml", "");
    assert_eq!(book.reload_if_changed().as_str(), "refused");
    std::fs::remove_file(path.join("a.yaml")).expect("removed");
    assert_eq!(book.reload().as_str(), "refused");
    assert_eq!(names(&book), ["a"]);
}

#[test]
fn a_rule_that_an_incident_keeps_outlives_a_reload() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    write(path, "a.yaml", &mk_rule("a", "A"));
    let book = RuleBook::open(mk_source(path)).expect("loads");
    let kept = book.matching(&mk_alert(&[("alertname", "A")])).remove(0);
    let stored = serde_json::to_value(&kept.rule).expect("JSON");

    write(path, "a.yaml", &mk_rule("a", "Other"));
    assert_eq!(book.reload().as_str(), "loaded");
    assert_eq!(book.rule_by_hash(&kept.hash), None, "it is not in force any more");
    let adopted = book.adopt_rule(stored).expect("from the store");
    assert_eq!(adopted, kept);
    assert_eq!(book.rule_by_hash(&kept.hash), Some(adopted));
}

#[test]
fn an_alert_that_no_rule_matches_has_a_rule_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "a.yaml", &(mk_rule("a", "A") + &mk_policy("default", "selector: {},")));
    let book = RuleBook::open(mk_source(directory.path())).expect("loads");
    let alert = mk_alert(&[("alertname", "B"), ("severity", "warning"), ("namespace", "x")]);
    let rules = book.matching(&alert);
    assert_eq!((rules.len(), rules[0].rule.name.as_str()), (1, UNMATCHED));
    assert_eq!(book.outline(&rules[0], &alert).severity, Severity::P2);
    assert_eq!(book.rule_by_hash(&rules[0].hash), Some(Arc::clone(&rules[0])));
    assert_eq!(book.policy(&rules[0], Severity::P0, &alert), None, "the settings say who hears of it");
    assert_ne!(book.key(&rules[0], &alert), book.key(&rules[0], &mk_alert(&[("alertname", "C")])));
}

#[test]
fn what_the_service_raises_about_itself_goes_by_no_rule_that_was_not_written_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let rule = |name: &str, matchers: &str, more: &str| {
        let text = mk_rule(name, "X").replace("['alertname=\"X\"']", matchers);
        text.replace("severity: P1", &format!("severity: P3{more}"))
    };
    let everything =
        rule("all", "[]", ", priority: 100") + &rule("any", "['alertname=~\".+\"']", ", priority: 90");
    let watching = rule("watching", "['service=~\".*\"']", ", priority: 110, mode: shadow");
    write(directory.path(), "a.yaml", &(everything.clone() + &watching));
    let book = RuleBook::open(mk_source(directory.path())).unwrap_or_else(|errors| panic!("{errors}"));
    let of = |book: &RuleBook, name: &str| {
        let alert = mk_alert(&[("alertname", name), ("severity", "P1"), ("service", "smokejumper")]);
        let rules = book.matching(&alert);
        (
            rules.iter().map(|kept| kept.rule.name.clone()).collect::<Vec<_>>(),
            book.outline(&rules[0], &alert).severity,
        )
    };
    for name in ["SmokejumperAuditFailed", "SmokejumperWatchdogMissing"] {
        assert_eq!(of(&book, name), (vec!["(smokejumper)".to_owned()], Severity::P1), "{name}");
    }
    assert_eq!(of(&book, "Other").0, ["watching", "all"], "everything else goes by the rules");
    assert_eq!(
        of(&book, "ScheduledCheckFailed").0,
        ["watching", "all"],
        "so does what a check of theirs found"
    );

    // Whoever asks for it by name has it, also behind a rule for everything.
    for matchers in ["['alertname=\"SmokejumperAuditFailed\"']", "['alertname=~\"Smokejumper.*\"']"] {
        write(directory.path(), "a.yaml", &(everything.clone() + &rule("ours", matchers, "")));
        book.reload();
        assert_eq!(
            of(&book, "SmokejumperAuditFailed"),
            (vec!["ours".to_owned()], Severity::P3),
            "{matchers}"
        );
    }
}

#[test]
fn the_policy_is_the_rules_else_the_selected_one_else_the_default() {
    let directory = tempfile::tempdir().expect("a directory");
    let named = mk_rule("named", "A").replace("severity: P1", "severity: P1, escalation: named");
    let text = named
        + &mk_rule("other", "B")
        + &mk_policy("named", "")
        + &mk_policy("urgent", "selector: { severities: [P0] },")
        + &mk_policy("default", "");
    write(directory.path(), "a.yaml", &text);
    let source = BookSource { default_policy: Some("default".to_owned()), ..mk_source(directory.path()) };
    let book = RuleBook::open(source).expect("loads");
    let policy = |alertname: &str, severity| {
        let alert = mk_alert(&[("alertname", alertname)]);
        let rule = book.matching(&alert).remove(0);
        let kept = book.policy(&rule, severity, &alert).expect("a policy");
        assert_eq!(book.policy_by_hash(&kept.hash), Some(Arc::clone(&kept)));
        kept.policy.name.clone()
    };
    assert_eq!(policy("A", Severity::P0), "named");
    assert_eq!(policy("B", Severity::P0), "urgent");
    assert_eq!(policy("B", Severity::P1), "default");
}

#[test]
fn a_default_policy_that_is_not_there_is_a_mistake_at_start_and_at_reload() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    write(path, "a.yaml", &(mk_rule("a", "A") + &mk_policy("nihgt", "")));
    let source = || BookSource { default_policy: Some("night".to_owned()), ..mk_source(path) };
    let refusal = RuleBook::open(source()).expect_err("nobody would be told").to_string();
    assert!(
        refusal.contains("escalation.default_policy: there is no escalation policy `night`"),
        "{refusal}"
    );
    assert!(refusal.contains("did you mean `nihgt`?"), "{refusal}");

    write(path, "a.yaml", &(mk_rule("a", "A") + &mk_policy("night", "")));
    let book = RuleBook::open(source()).expect("loads");
    write(path, "a.yaml", &mk_rule("a", "A"));
    assert_eq!(book.reload().as_str(), "refused");
    assert!(book.current().policies().contains_key("night"), "the last good one stays");
}

#[test]
fn a_policy_that_an_incident_keeps_can_be_taken_back() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "a.yaml", &mk_policy("default", ""));
    write(directory.path(), "b.yaml", &mk_rule("b", "B"));
    let book = RuleBook::open(mk_source(directory.path())).expect("loads");
    let kept = Arc::clone(book.current().kept_policy("default").expect("a policy"));
    std::fs::remove_file(directory.path().join("a.yaml")).expect("removed");
    assert_eq!(book.reload().as_str(), "loaded");
    assert_eq!(book.policy_by_hash(&kept.hash), None);
    let stored = serde_json::to_value(&kept.policy).expect("JSON");
    assert_eq!(book.adopt_policy(stored).expect("from the store"), kept);
    assert_eq!(book.policy_by_hash(&kept.hash), Some(kept));
    assert!(book.adopt_policy(serde_json::json!([])).is_err());
}

#[test]
fn caches_are_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let book = RuleBook::open(mk_source(directory.path())).expect("loads nothing");
    for n in 0..=CACHED_MAX {
        let mut rule = unmatched();
        rule.name = format!("r{n}");
        let kept = book.adopt_rule(serde_json::to_value(&rule).expect("JSON")).expect("a rule");
        book.compiled(&kept);
    }
    assert!(lock(&book.compiled).len() <= CACHED_MAX && lock(&book.adopted_rules).len() <= CACHED_MAX);
}
