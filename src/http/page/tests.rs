//! What the page of an incident shows, charts among it.

use super::*;
use crate::domain::chart::{Chart, ChartLine};
use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::FindingStatus;
use crate::domain::incident::{Incident, Opening};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
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
