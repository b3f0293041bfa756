//! The names on the metrics page are a contract, and its size is bounded.

use super::*;
use crate::domain::decision::{Decision, Reason, RemedyDecision};
use crate::domain::notification::Destination;
use crate::domain::scheduled::{CheckReport, ItemOutcome, ItemResult};
use crate::engine::meter::Meter as _;
use crate::engine::reconciling::Round;
use crate::http::meter::WebhookOutcome;

fn mk_decision(decision: Decision, reason: Reason) -> RemedyDecision {
    RemedyDecision { remedy: "restart".to_owned(), decision, reason }
}

#[track_caller]
fn assert_line(page: &str, line: &str) {
    assert!(page.lines().any(|have| have == line), "{line} is not in\n{page}");
}

/// Metrics whose label values show only when something happened; one of each.
fn let_something_happen(metrics: &Metrics) {
    metrics.matched("disk-space");
    metrics.decided(&mk_decision(Decision::Skip, Reason::ConditionFails));
    metrics.effect_done(EffectKind::Notify, "done");
    metrics.notified(&Destination::PagerDuty { service: "pss-nano".to_owned() }, Duration::from_millis(80));
    metrics.doors().webhook("alertmanager", WebhookOutcome::Stored, Duration::from_millis(2));
    metrics.set_permissions_missing([("disk-space", 0)].into_iter());
    metrics.checked(&mk_report(&[ItemOutcome::Green, ItemOutcome::Red, ItemOutcome::Red]));
}

fn mk_report(outcomes: &[ItemOutcome]) -> CheckReport {
    let item = |outcome: &ItemOutcome| ItemResult {
        name: "pods".to_owned(),
        title: "All pods run".to_owned(),
        outcome: outcome.clone(),
        text: String::new(),
        expected: None,
        alert: None,
    };
    CheckReport {
        check: "morning".to_owned(),
        summary: "Morning check".to_owned(),
        runbook: None,
        due_at: jiff::Timestamp::UNIX_EPOCH,
        ran_at: jiff::Timestamp::UNIX_EPOCH,
        next_at: None,
        missed: 0,
        asked_by: None,
        items: outcomes.iter().map(item).collect(),
    }
}

#[test]
fn a_check_counts_its_runs_and_shows_how_its_items_are() {
    let metrics = Metrics::new();
    metrics.checked(&mk_report(&[ItemOutcome::Red]));
    metrics.checked(&mk_report(&[ItemOutcome::Green, ItemOutcome::Green]));
    let page = metrics.page();
    for line in [
        r#"smokejumper_scheduled_check_runs_total{check="morning",outcome="red"} 1"#,
        r#"smokejumper_scheduled_check_runs_total{check="morning",outcome="green"} 1"#,
        r#"smokejumper_scheduled_check_items{check="morning",outcome="green"} 2"#,
        r#"smokejumper_scheduled_check_items{check="morning",outcome="red"} 0"#,
    ] {
        assert_line(&page, line);
    }
}

#[test]
fn the_names_and_types_are_a_contract() {
    let metrics = Metrics::new();
    let_something_happen(&metrics);
    let page = metrics.page();
    let types: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE smokejumper_")).collect();
    assert_eq!(
        types,
        [
            "connections gauge",
            "connections_closed counter",
            "webhooks_received counter",
            "alerts_received counter",
            "alerts_refused counter",
            "ingest_duration_seconds histogram",
            "store_commits counter",
            "store_commit_duration_seconds histogram",
            "store_commit_batch_size histogram",
            "step_conflicts counter",
            "dead_letters counter",
            "rule_matches counter",
            "decisions counter",
            "effects counter",
            "notification_latency_seconds histogram",
            "escalation_lag_seconds histogram",
            "alertmanager_rounds counter",
            "alertmanager_peers gauge",
            "alertmanager_ends_found counter",
            "alertmanager_alerts_missed gauge",
            "audit_passed gauge",
            "audit_without_step gauge",
            "watchdogs_missing gauge",
            "heartbeats counter",
            "scheduled_check_runs counter",
            "scheduled_check_items gauge",
            "inbox_depth gauge",
            "effect_queue_depth gauge",
            "incidents_open gauge",
            "temporary_fixes gauge",
            "temporary_fixes_overdue gauge",
            "rules_loaded gauge",
            "rule_reloads counter",
            "rules_refused gauge",
            "clock_jumps counter",
            "rule_permissions_missing gauge",
            "build info",
        ]
    );
    assert_line(&page, &format!("smokejumper_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    assert_line(&page, "smokejumper_rule_reloads_total{outcome=\"refused\"} 0");
    assert_line(&page, "smokejumper_connections_closed_total{reason=\"header_timeout\"} 0");
    assert_line(&page, "smokejumper_store_commits_total{kind=\"step\"} 0");
    assert_line(&page, "smokejumper_incidents_open{severity=\"P3\",status=\"acknowledged\"} 0");
}

#[test]
fn what_the_engine_notes_is_on_the_page() {
    let metrics = Metrics::new();
    let notes = metrics.clone();
    notes.deliveries_stored(16, Duration::from_millis(3));
    notes.step_committed(2, Duration::from_millis(1));
    notes.step_conflicted();
    notes.dead_letter();
    notes.matched("disk-space");
    notes.decided(&mk_decision(Decision::Skip, Reason::ConditionFails));
    notes.effect_done(EffectKind::Notify, "done");
    notes.notified(&Destination::Slack { channel: "#incidents".to_owned() }, Duration::from_millis(80));
    notes.escalation_lag(Duration::from_secs(2));
    notes.doors().webhook("alertmanager", WebhookOutcome::Stored, Duration::from_millis(2));
    notes.doors().alerts(3);
    notes.rules_reloaded(true, 7);
    notes.rules_reloaded(false, 7);
    notes.reconciled(&Round { answering: 2, silent: 1, ended: 3, missed: 4, taken_in: 1 });
    notes.audited(true, 0);
    notes.watchdogs_missing(2);
    notes.heartbeat("sent");
    let page = metrics.page();
    for line in [
        "smokejumper_store_commits_total{kind=\"intake\"} 1",
        "smokejumper_store_commits_total{kind=\"step\"} 1",
        "smokejumper_store_commit_batch_size_sum 16.0",
        "smokejumper_step_conflicts_total 1",
        "smokejumper_dead_letters_total 1",
        "smokejumper_rule_matches_total{rule=\"disk-space\"} 1",
        "smokejumper_decisions_total{decision=\"skip\",reason=\"condition_fails\"} 1",
        "smokejumper_effects_total{kind=\"notify\",outcome=\"done\"} 1",
        "smokejumper_notification_latency_seconds_count{destination_kind=\"slack\"} 1",
        "smokejumper_escalation_lag_seconds_sum 2.0",
        "smokejumper_webhooks_received_total{receiver=\"alertmanager\",outcome=\"stored\"} 1",
        "smokejumper_alerts_received_total 3",
        "smokejumper_rule_reloads_total{outcome=\"accepted\"} 1",
        "smokejumper_rule_reloads_total{outcome=\"refused\"} 1",
        "smokejumper_rules_loaded 7",
        "smokejumper_alertmanager_rounds_total 1",
        "smokejumper_audit_passed 1",
        "smokejumper_watchdogs_missing 2",
        "smokejumper_heartbeats_total{outcome=\"sent\"} 1",
        "smokejumper_alertmanager_peers{kind=\"silent\"} 1",
        "smokejumper_alertmanager_ends_found_total 3",
        "smokejumper_alertmanager_alerts_missed 4",
        "smokejumper_rules_refused 1",
    ] {
        assert_line(&page, line);
    }
    assert!(page.ends_with("# EOF\n"));
    metrics.rules_reloaded(true, 8);
    assert_line(&metrics.page(), "smokejumper_rules_refused 0");
}

#[test]
fn gauges_fall_back_to_zero() {
    let metrics = Metrics::new();
    metrics.set_depths(5, &BTreeMap::from([(EffectKind::Act, 2)]));
    metrics.set_incidents(&IncidentCounts::from([((Severity::P0, IncidentStatus::Triggered), 4)]));
    let page = metrics.page();
    assert_line(&page, "smokejumper_inbox_depth 5");
    assert_line(&page, "smokejumper_effect_queue_depth{kind=\"act\"} 2");
    assert_line(&page, "smokejumper_incidents_open{severity=\"P0\",status=\"triggered\"} 4");
    metrics.set_depths(0, &BTreeMap::new());
    metrics.set_incidents(&IncidentCounts::new());
    let page = metrics.page();
    assert_line(&page, "smokejumper_effect_queue_depth{kind=\"act\"} 0");
    assert_line(&page, "smokejumper_incidents_open{severity=\"P0\",status=\"triggered\"} 0");
}

#[test]
fn ten_thousand_rules_do_not_make_ten_thousand_series() {
    let metrics = Metrics::new();
    for number in 0..10_000 {
        metrics.matched(&format!("rule-{number}"));
    }
    metrics.matched("rule-5");
    let page = metrics.page();
    let series = page.lines().filter(|line| line.starts_with("smokejumper_rule_matches_total{")).count();
    assert_eq!(series, labels::NAMES_MAX + 1);
    assert_line(&page, "smokejumper_rule_matches_total{rule=\"rule-5\"} 2");
    assert_line(&page, "smokejumper_rule_matches_total{rule=\"_other\"} 9000");
}
