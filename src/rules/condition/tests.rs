//! Conditions are checked when they are loaded, and judged without surprises.

use super::*;
use crate::domain::Labels;
use crate::domain::action::Tier;
use crate::domain::diagnosis::Finding;
use crate::domain::incident::{Incident, IncidentId, Opening};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

fn mk_finding(name: &str, fields: Json, text: &str) -> Finding {
    Finding {
        fields: fields.as_object().cloned().unwrap_or_default(),
        text: text.to_owned(),
        status: crate::domain::diagnosis::FindingStatus::Known,
        ..Finding::unknown(name, "test", "", Timestamp::UNIX_EPOCH, 1)
    }
}

fn mk_incident() -> Incident {
    let labels: Labels =
        [("service", "api"), ("replicas", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let opening = Opening {
        id: IncidentId("i1".to_owned()),
        key: crate::domain::correlate::CorrelationKey("k".to_owned()),
        rule: "r".to_owned(),
        rule_hash: RuleHash("h".to_owned()),
        mode: Default::default(),
        severity: Severity::P1,
        summary: "s".to_owned(),
        runbook: None,
        target: None,
        labels,
        annotations: Labels::new(),
    };
    Incident::open(opening, Timestamp::UNIX_EPOCH)
}

fn mk_facts() -> ConditionFacts {
    let findings = [
        mk_finding(
            "errors",
            json!({ "last": 0.07, "count": 3, "zero": 0.0, "gone": null, "series": [1, 2.5, 3] }),
            "E",
        ),
        mk_finding(
            "logs",
            json!({ "lines": ["a", "b"], "long": vec![1; LIST_ITEMS_MAX + 1] }),
            "connection pool exhausted",
        ),
        Finding::unknown("down", "test", "no answer within 5s", Timestamp::UNIX_EPOCH, 1),
    ];
    ConditionFacts::new(&Scope::of_incident(&mk_incident(), &findings))
}

fn judge(text: &str) -> ConditionOutcome {
    CompiledCondition::compile(text).expect("compiles").evaluate(&mk_facts())
}

fn why_unknown(text: &str) -> String {
    match judge(text) {
        ConditionOutcome::Unknown(why) => why,
        known => panic!("`{text}` is {known:?}"),
    }
}

#[test]
fn conditions_over_known_findings_hold_or_fail() {
    for (text, holds) in [
        ("findings.errors.last > 0.05", true),
        ("findings.errors.last < 0.05", false),
        ("findings.errors.count == 3 && findings.errors.count < 3.5", true),
        ("findings.errors.last * 100 > 5", true),
        ("findings.errors.count / 2 > 1.4", false),
        ("findings.errors.count / 2.0 > 1.4", true),
        ("findings.logs.text.contains('connection pool')", true),
        ("labels.service == 'api' && incident.severity == \"P1\"", true),
        ("has(labels.team) || labels.service.startsWith('a')", true),
        ("findings.errors.series.exists(x, x > 2.9)", true),
        ("findings.errors.series.all(x, x < 3)", false),
        ("size(findings.errors.series.filter(x, x > 1)) == 2", true),
        ("findings.errors.series.map(x, x + 1).exists(x, x == 4)", true),
        ("findings.errors.series.exists_one(x, x == 2.5)", true),
        ("'a' in findings.logs.lines", true),
        ("findings[\"errors\"].last > 0.05", true),
        ("int(labels.replicas) == 3", true),
        ("findings.logs.text.matches('pool .*ed$')", true),
        ("findings.down.status == 'unknown' && findings.errors.status != 'unknown'", true),
        ("incident.severity in ['P0', 'P1'] ? true : false", true),
        ("true", true),
    ] {
        let expected = if holds { ConditionOutcome::Holds } else { ConditionOutcome::Fails };
        assert_eq!(judge(text), expected, "{text}");
        assert_eq!(check_names(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn an_unknown_finding_makes_everything_that_reads_it_unknown() {
    for text in [
        "findings.down.last > 0.05",
        "!(findings.down.last > 0.05)",
        "findings.down.last > 0.05 || findings.down.last <= 0.05",
        "has(findings.down.last)",
        "!has(findings.down.last)",
        "!('last' in findings.down)",
        "size(findings.down) < 100",
        "!findings.down.text.contains('ERROR')",
        "findings['down'].text == ''",
        "findings.down.last != 1.0",
        "findings.down.last in [1.0] ? false : true",
        "[1].all(x, findings.down.last < 1)",
        "findings.errors.last > 0.05 && findings.down.last > 0.05",
        "findings.errors.last < 0.05 || !has(findings.down.last)",
    ] {
        assert!(why_unknown(text).contains("no answer within 5s"), "{text}");
    }
    assert!(why_unknown("findings.never.last > 1").contains("never"));
    assert!(why_unknown("!has(findings.never.last)").contains("never"));
}

#[test]
fn a_definite_side_decides_as_in_cel() {
    assert_eq!(judge("findings.errors.last > 0.05 || findings.down.last > 1"), ConditionOutcome::Holds);
    assert_eq!(judge("findings.down.last > 1 || findings.errors.last > 0.05"), ConditionOutcome::Holds);
    assert_eq!(judge("findings.down.last > 1 && findings.errors.last < 0.05"), ConditionOutcome::Fails);
}

#[test]
fn what_does_not_fit_is_unknown_and_never_true() {
    for text in [
        "labels.team == 'x'",
        "labels.team != 'x'",
        "findings.errors.gone != 5",
        "findings.errors.last == 'high'",
        "findings.errors.last != 'high'",
        "findings.logs.text > 3",
        "findings.errors.zero / findings.errors.zero != 1.0",
        "!(findings.errors.zero / findings.errors.zero < 1.0)",
        "findings.errors.last / findings.errors.zero > 1.0",
        "findings.errors.count / 0 == 0",
        "double('NaN') != 1.0",
        "!(double('NaN') > 1.0)",
        "1e308 * 1e308 > 1.0",
        "9223372036854775807 + 1 > 0",
        "findings.logs.long.all(x, x == 1)",
        "findings.logs.text + 1 == 'x'",
        "findings.errors",
        "'true'",
        "1 == 1 ? 'yes' : 'no'",
        "labels.service.contains(1)",
    ] {
        assert!(!why_unknown(text).is_empty(), "{text}");
    }
}

#[test]
fn reasons_are_short_sentences() {
    assert_eq!(why_unknown("labels.team == 'x'"), "there is no `team`");
    assert_eq!(why_unknown("findings.errors.last == 'x'"), "a number is compared with a text");
    assert_eq!(why_unknown("findings.errors.count / 0 == 0"), "division by zero");
    assert_eq!(why_unknown("findings.errors.last"), "it yields a number, not true or false");
    assert_eq!(why_unknown("findings.logs.text > 3"), "`>` does not work on string and int");
}

fn check_names(text: &str) -> Vec<String> {
    let rule = serde_json::from_value(json!({
        "name": "r",
        "severity": { "fixed": "P1" },
        "diagnostics": [
            { "name": "errors", "kind": "a", "params": {} },
            { "name": "logs", "kind": "a", "params": {} },
            { "name": "down", "kind": "b", "params": {} },
        ],
        "remedies": [{ "name": "x", "tier": Tier::T1, "action": { "kind": "a", "params": {} } }],
    }))
    .expect("a rule");
    let kind = crate::domain::catalog::DiagnosticKind {
        name: "b",
        summary: "",
        fields: &[("last", "")],
        timeout: std::time::Duration::from_secs(1),
        check: |_| Ok(crate::domain::catalog::CheckedParams::default()),
        schema: || json!({}),
        access: crate::domain::catalog::no_access,
    };
    let catalog = crate::domain::catalog::Catalog::new(vec![kind], vec![]);
    check(text, &Vocabulary::deciding(&rule, &catalog)).into_iter().map(|error| error.to_string()).collect()
}

#[test]
fn unknown_names_functions_and_forms_are_found_at_load() {
    for (text, complaint) in [
        ("finding.errors.last > 1", "`finding` is not known here"),
        ("findings.error.last > 1", "there is no diagnostic `error` in this rule"),
        ("findings[\"error\"].last > 1", "there is no diagnostic `error` in this rule"),
        ("findings.down.lst > 1", "`findings.down` has no field `lst`"),
        ("!has(findings.down.lst)", "`findings.down` has no field `lst`"),
        ("findings.exists(f, f == 'x')", "`findings` is named without a diagnostic"),
        ("incident.sevrity == 'P1'", "`incident` has no field `sevrity`"),
        ("labels.a.contain('x')", "`contain()` is not available in conditions"),
        ("labels.a.matches(labels.b)", "`matches()` is not available in conditions"),
        ("labels.a.matches('(')", "the pattern of `matches` is no regular expression"),
        ("now() > 1", "`now()` is not available in conditions"),
        ("[1].all(x, y > 1)", "`y` is not known here"),
    ] {
        assert_eq!(check_names(text), [complaint], "{text}");
    }
}

#[test]
fn syntax_errors_show_their_column() {
    let error = check_names("findings.errors.last >> 1");
    assert_eq!(error, ["column 23: `>` is not expected here"]);
    assert_eq!(check_names("labels.a == "), ["column 13: it ends too early"]);
    for text in ["", "a &&", "(", "'open", "findings.", "1 ++ 2 }", "\u{0}", "a b"] {
        assert_eq!(check_names(text).len(), 1, "{text}");
    }
}

#[test]
fn conditions_that_could_run_away_are_refused() {
    let nested = format!("{}true{}", "(".repeat(200), ")".repeat(200));
    let chain = vec!["labels.a == 'b'"; 120].join(" || ");
    let loops = "[1].all(x, x > 0) && ".repeat(6) + "true";
    for text in [
        nested.as_str(),
        &format!("{}1 > 0", "-".repeat(2_500)),
        &chain,
        &"a.".repeat(900),
        &loops,
        "[1,2].all(x, [3,4].all(y, x < y))",
        &format!("labels.a == '{}'", "x".repeat(3_000)),
        &"[".repeat(1_000),
        &"a ? b : ".repeat(200),
    ] {
        assert!(CompiledCondition::compile(text).is_err(), "{:.60}", text);
    }
}
