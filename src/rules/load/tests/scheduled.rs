//! Scheduled checks and objectives, and what is wrong with them.

use crate::rules::test_support::load_one;

fn mk_check(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {}\n", line.trim_start_matches('|'))).collect();
    format!(
        "apiVersion: smokejumper.dev/v1\nkind: ScheduledCheck\nmetadata: {{ name: morning }}\nspec:\n{spec}"
    )
}

const GOOD: &str = r##"summary: Morning check
procedures: [P27]
runbook: https://wiki.example.com/shop
schedule: "0 9 * * 1-5"
timeZone: Europe/Berlin
labels: { namespace: shop }
severity: P3
report: [{ slack: { channel: "#shop" } }]
items:
|  - { name: errors, title: Few errors, prom.range: { expr: 'errors{ns="{{ labels.namespace }}"}', window: 1h }, expect: findings.errors.last < 0.05, severity: P1 }
|  - { name: rising, expect: findings.errors.predicted < 0.5 }
|  - { name: links, links.render: { links: { Grafana: "https://grafana.example.com" } } }
|  - { name: notes, title: Read the notes, owner: on-call }"##;

/// The messages about a check with one of its lines replaced.
fn wrong(line: &str, by: &str) -> String {
    assert!(GOOD.contains(line), "{line}");
    match load_one(&mk_check(&GOOD.replace(line, by))) {
        Ok(_) => panic!("this has a mistake: {by}"),
        Err(errors) => {
            errors.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn a_check_is_read_with_its_moments_items_and_places() {
    let set = load_one(&mk_check(GOOD)).unwrap_or_else(|errors| panic!("{errors}"));
    let kept = &set.checks()["morning"];
    let check = &kept.check;
    assert_eq!(check.moments.zone().name(), "Europe/Berlin");
    let items: Vec<(&str, &str, bool, bool)> = check
        .items
        .iter()
        .map(|item| {
            (item.title.as_str(), item.severity.as_str(), item.diagnostic.is_some(), item.expect.is_some())
        })
        .collect();
    let expected = [
        ("Few errors", "P1", true, true),
        ("rising", "P3", false, true),
        ("links", "P3", true, false),
        ("Read the notes", "P3", false, false),
    ];
    assert_eq!(items, expected);
    assert_eq!(kept.looks.rule.diagnostics.len(), 2);
    assert_eq!(set.looking().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["check/morning"]);
    assert!(set.rules().is_empty() && set.warnings().is_empty(), "{:?}", set.warnings());
}

#[test]
fn each_mistake_in_a_check_says_what_is_wrong() {
    let never = r#"schedule: "0 9 30 2 *""#;
    for (line, by, message) in [
        (r#"schedule: "0 9 * * 1-5""#, never, "`0 9 30 2 *` is no time at which a check can run"),
        (r#"schedule: "0 9 * * 1-5""#, "schedule: daily", "`daily` is no time at which a check can run"),
        ("timeZone: Europe/Berlin", "timeZone: Berlin", "Berlin"),
        ("labels: { namespace: shop }", "labels: { item: shop }", "the label `item` is ours"),
        ("runbook: https://wiki.example.com/shop", "runbook: wiki", "`wiki` is no link"),
        ("findings.errors.last < 0.05", "findings.error.last < 0.05", "there is no diagnostic `error`"),
        ("findings.errors.last < 0.05", "findings.errors.lst < 0.05", "`findings.errors` has no field `lst`"),
        ("findings.errors.predicted < 0.5", "findings.errors.predicted <", "this condition cannot be read"),
        ("prom.range: {", "prom.ranges: {", "there is no diagnostic `prom.ranges`"),
        ("{{ labels.namespace }}", "{{ label.namespace }}", "`label` is not known here"),
        ("name: rising", "name: errors", "there is another item `errors` in this document"),
        ("name: rising, ", "", "this item has no name"),
        ("severity: P1 }", "severity: P9 }", "P9"),
        ("title: Read the notes, owner: on-call", "title: Read the notes", "this item looks at nothing"),
        ("owner: on-call", "owner: on-call, expect: 'true'", "this item has a condition as well"),
        ("slack: { channel: \"#shop\" }", "pagerduty: { service: shop }", "pagerduty:shop takes no reports"),
        ("title: Few errors", "title: 7", "`title` takes a text and not `7`"),
    ] {
        let told = wrong(line, by);
        assert!(told.contains(message), "{by}: {told}");
    }
}

fn mk_policy(objectives: &str, after: &str) -> String {
    format!(
        "apiVersion: smokejumper.dev/v1\nkind: EscalationPolicy\nmetadata: {{ name: worst }}\nspec:\n{objectives}  levels:\n    \
         - {{ name: on-call, after: 0s, destinations: [{{ slack: {{ channel: '#a' }} }}] }}\n    \
         - {{ name: manager, after: {after}, destinations: [{{ slack: {{ channel: '#b' }} }}] }}\n  \
         fallback: [{{ slack: {{ channel: '#a' }} }}]\n"
    )
}

#[test]
fn a_level_may_be_due_at_a_part_of_the_recovery_time_objective() {
    const OBJECTIVES: &str = "  objectives: { rto: 4h, rpo: 15m }\n";
    let set = load_one(&mk_policy(OBJECTIVES, "50% of rto")).unwrap_or_else(|errors| panic!("{errors}"));
    let policy = &set.policies()["worst"];
    assert_eq!(policy.levels[1].after, jiff::SignedDuration::from_hours(2));
    assert_eq!(policy.objectives.and_then(|it| it.rpo), Some(jiff::SignedDuration::from_mins(15)));
    let wrong = |objectives: &str, after: &str| match load_one(&mk_policy(objectives, after)) {
        Ok(_) => panic!("this has a mistake: {after}"),
        Err(errors) => errors.errors[0].message.clone(),
    };
    assert!(wrong("", "50% of rto").contains("this policy has no recovery time objective"));
    for after in ["0% of rto", "101% of rto", "half of rto", "50%", "50% of rpo"] {
        assert!(wrong(OBJECTIVES, after).contains("a part of the objective"), "{after}");
    }
    assert!(wrong("  objectives: { rto: 10s }\n", "15m").contains("shorter than"));
}
