//! What the page of an incident shows, charts among it.

use super::*;
use crate::domain::chart::{Chart, ChartLine};
use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::FindingStatus;
use crate::domain::incident::{Incident, Opening};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use crate::domain::timeline::LineKind;
use jiff::Timestamp;

const HOSTILE: &str = "</svg><script>alert(1)</script>\" onload='x' {{ 7 * 7 }}";

fn mk_view() -> IncidentView {
    let opening = Opening {
        id: IncidentId("i1".to_owned()),
        key: CorrelationKey("k".to_owned()),
        rule: "r".to_owned(),
        rule_hash: RuleHash("h".to_owned()),
        mode: Default::default(),
        severity: Severity::P1,
        summary: "errors".to_owned(),
        runbook: None,
        target: None,
        labels: Default::default(),
        annotations: Default::default(),
    };
    let chart = Chart {
        from: Timestamp::UNIX_EPOCH,
        step_ms: 60_000,
        threshold: Some(0.05),
        lines: vec![ChartLine { name: HOSTILE.to_owned(), values: vec![Some(0.1), None, Some(0.2)] }],
        left_out: 0,
        asked_for: false,
    };
    let unknown = Finding::unknown("other", "prom.query", "no answer", Timestamp::UNIX_EPOCH, 1);
    let charted = Finding {
        name: "error_ratio".to_owned(),
        kind: "prom.range".to_owned(),
        status: FindingStatus::Known,
        text: HOSTILE.to_owned(),
        chart: Some(Box::new(chart)),
        ..unknown.clone()
    };
    IncidentView {
        incident: Incident::open(opening, Timestamp::UNIX_EPOCH),
        alerts: Vec::new(),
        findings: vec![unknown, charted],
        documents: Vec::new(),
        timeline: Vec::new(),
    }
}

#[test]
fn a_finding_with_a_chart_shows_it_within_the_page_and_hostile_text_stays_text() {
    let mut context = context_of(&mk_view());
    context.insert("css", &css());
    let html = render("incident.html", &context).expect("a page");
    assert_eq!((html.matches("<svg").count(), html.matches("</svg>").count()), (1, 1), "{html}");
    assert!(html.contains("&lt;/svg&gt;&lt;script&gt;alert(1)"), "{html}");
    // The policy of the page allows neither scripts nor styles of elements, and fetches nothing.
    for banned in ["<script", " style=", " onload=\"", "<image", "href=\"http", "url("] {
        assert!(!html.contains(banned), "{banned}: {html}");
    }
    // What is in the style is what the policy names.
    let style =
        html.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).expect("a style").0;
    let digest = BASE64.encode(ring::digest::digest(&ring::digest::SHA256, style.as_bytes()));
    assert!(content_security_policy().contains(&format!("style-src 'sha256-{digest}'")));
    assert!(style.contains("prefers-color-scheme: dark") && style.contains(".chart .f-ink"), "{style}");
}

#[test]
fn what_the_guardrails_said_is_folded_and_every_other_line_stands_whole() {
    let line = |reason: &str, text: &str| {
        let mut head = crate::domain::timeline::TimelineHead::default();
        let machine = crate::domain::people::Actor::machine();
        head.append(Timestamp::UNIX_EPOCH, LineKind::Decision, &machine, Some(reason), text)
    };
    let passes = line("guardrails", "restart: pause: not paused; dry_run: actions are <b>enforced</b>");
    let forbids =
        line("guardrails", "restart: pause forbids it: paused by una; dry_run: actions are enforced");
    let mut view = mk_view();
    view.timeline = vec![line("decided", "one: two; three"), passes.clone(), forbids.clone()];
    assert_eq!(folded(&view.timeline[0]), None);
    assert_eq!(folded(&passes).expect("a list").gist, "restart: all 2 guardrails let it pass");
    assert_eq!(folded(&forbids).expect("a list").gist, "restart: 1 of 2 guardrails forbid it");
    let mut context = context_of(&view);
    context.insert("css", &css());
    let html = render("incident.html", &context).expect("a page");
    assert_eq!(html.matches("<details>").count(), 2, "{html}");
    assert!(html.contains("<td>one: two; three</td>"), "{html}");
    assert!(html.contains("<li>dry_run: actions are &lt;b&gt;enforced&lt;/b&gt;</li>"), "{html}");
}
