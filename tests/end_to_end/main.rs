//! The main job on real input: an exporter's error ratio rises, a real Prometheus fires HighErrorRate, a real
//! Alertmanager delivers it, the real binary diagnoses, asks, acts, verifies and closes, and the Slack and PagerDuty
//! stand-ins record what arrives.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test starts servers, reads its own options and reports"
)]

mod exporter;
mod flood;
mod pagerduty;

#[path = "../support/servers.rs"]
mod servers;
#[path = "../support/traffic.rs"]
mod traffic;

use exporter::Exporter;
use serde_json::{Value, json};
use servers::{eventually, free_port, http_client};
use smokejumper::sandbox::pagerduty::{PagerDutyOptions, PagerDutySandbox, Service};
use smokejumper::sandbox::slack::{SlackOptions, SlackSandbox};
use std::time::Duration;

const RECEIVER_TOKEN: &str = "alertmanager-token-for-tests";
const API_TOKEN: &str = "admin-token-for-tests";

/// Generous: a loaded machine with two cores runs everything at once.
const PATIENCE: Duration = Duration::from_secs(90);

fn prometheus_config(exporter: u16, alertmanager: u16, rules: &str) -> String {
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: ['{rules}']\n\
         alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['127.0.0.1:{alertmanager}'] }}] }}] }}\n\
         scrape_configs: [{{ job_name: api, static_configs: [{{ targets: ['127.0.0.1:{exporter}'] }}] }}]\n"
    )
}

const ALERTING_RULES: &str = r#"
groups:
  - name: api
    rules:
      - alert: HighErrorRate
        expr: |
          sum by (namespace, service) (rate(http_requests_total{status=~"5.."}[10s]))
            / sum by (namespace, service) (rate(http_requests_total[10s])) > 0.05
        for: 5s
        labels: { severity: critical }
        annotations: { summary: "error ratio above 5 %" }
"#;

fn alertmanager_config(receiver: u16) -> String {
    format!(
        r#"
route:
  receiver: smokejumper
  group_by: [alertname]
  group_wait: 0s
  group_interval: 2s
  repeat_interval: 1h
receivers:
  - name: smokejumper
    webhook_configs:
      - url: "http://127.0.0.1:{receiver}/webhooks/alertmanager"
        send_resolved: true
        http_config:
          authorization: {{ credentials: {RECEIVER_TOKEN} }}
"#
    )
}

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: high-error-rate }
spec:
  matchers: ['alertname="HighErrorRate"']
  severity: P1
  groupBy: [namespace, service]
  escalation: night
  diagnostics:
    - name: error_ratio
      prom.query:
        expr: >-
          sum(rate(http_requests_total{status=~"5..",service="{{ labels.service }}"}[10s]))
          / sum(rate(http_requests_total{service="{{ labels.service }}"}[10s]))
  remedies:
    - name: limit-traffic
      when: findings.error_ratio.value > 0.05
      tier: T2
      action: { http.call: { endpoint: limiter } }
      verify: { settle: 8s, hold: 2s, within: 2m, checks: ['findings.error_ratio.value < 0.05'], onFail: escalate }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ pagerduty: { service: pss-nano } }, { slack: { channel: "#pss-nano-incidents" } }] }
    - { name: lead, after: 15m, destinations: [{ slack: { channel: "#leads" } }] }
  fallback: [{ pagerduty: { service: pss-nano } }]
"##;

fn settings(
    port: u16,
    store: &str,
    prometheus: &str,
    slack: &SlackSandbox,
    pagerduty: &PagerDutySandbox,
    exporter: u16,
) -> String {
    format!(
        r##"
server: {{ listen: "127.0.0.1:{port}" }}
store: {{ url: "{store}" }}
receivers: {{ alertmanager: {{ bearer_tokens: [{{ env: AM_TOKEN }}] }} }}
api: {{ tokens: [{{ name: tester, role: admin, token: {{ env: API_TOKEN }} }}] }}
prometheus: {{ url: "{prometheus}" }}
slack:
  api_url: "{slack_url}"
  bot_token: {{ env: SLACK_BOT_TOKEN }}
  signing_secret: {{ env: SLACK_SIGNING_SECRET }}
  team_id: "{team}"
  app_id: "{app}"
people: [{{ name: una, slack: U0UNA, role: approver }}]
pagerduty:
  events_url: "{pagerduty_url}"
  services: {{ pss-nano: {{ routing_key: {{ env: PD_KEY }} }} }}
endpoints: {{ limiter: {{ url: "http://127.0.0.1:{exporter}/limit", method: POST }} }}
rules: ["rules.yaml"]
mode: enforce
"##,
        slack_url = slack.api_url(),
        team = slack.options().team_id,
        app = slack.options().app_id,
        pagerduty_url = pagerduty.events_url(),
    )
}

struct Night {
    folder: tempfile::TempDir,
    exporter: Exporter,
    slack: SlackSandbox,
    pagerduty: PagerDutySandbox,
    port: u16,
    settings: String,
    smokejumper: servers::Server,
    _prometheus: servers::Server,
    _alertmanager: servers::Server,
}

impl Night {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let exporter = Exporter::start().await;
        let slack = SlackSandbox::start(SlackOptions::default()).await.expect("slack");
        let options =
            PagerDutyOptions { services: vec![Service::new("pss-nano")], ..PagerDutyOptions::default() };
        let pagerduty = PagerDutySandbox::start(options).await.expect("pagerduty");
        let port = free_port();
        let alerting = folder.path().join("alerts.yml");
        std::fs::write(&alerting, ALERTING_RULES).expect("a file");
        std::fs::write(folder.path().join("rules.yaml"), RULES).expect("a file");
        let alertmanager = servers::alertmanager(folder.path(), &alertmanager_config(port)).await;
        let config = prometheus_config(exporter.port, alertmanager.port, &alerting.display().to_string());
        let prometheus = servers::prometheus(folder.path(), &config).await;
        let store = format!("sqlite://{}/smokejumper.db", folder.path().display());
        let settings = settings(port, &store, &prometheus.url(), &slack, &pagerduty, exporter.port);
        let smokejumper = start_smokejumper(folder.path(), &settings, port, &slack, &pagerduty).await;
        slack.set_interactivity_url(format!("http://127.0.0.1:{port}/webhooks/slack"));
        Self {
            folder,
            exporter,
            slack,
            pagerduty,
            port,
            settings,
            smokejumper,
            _prometheus: prometheus,
            _alertmanager: alertmanager,
        }
    }

    async fn kill_and_restart(&mut self) {
        self.smokejumper.kill();
        self.smokejumper =
            start_smokejumper(self.folder.path(), &self.settings, self.port, &self.slack, &self.pagerduty)
                .await;
    }

    async fn api(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = http_client().get(url).bearer_auth(API_TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    async fn incident(&self) -> Option<Value> {
        let page = self.api("/api/v1/incidents").await;
        let id = page["incidents"].get(0)?["id"].as_str()?.to_owned();
        Some(self.api(&format!("/api/v1/incidents/{id}")).await)
    }

    async fn incident_where(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, || async { self.incident().await.filter(|incident| fits(incident)) }).await
    }
}

async fn start_smokejumper(
    folder: &std::path::Path,
    settings: &str,
    port: u16,
    slack: &SlackSandbox,
    pagerduty: &PagerDutySandbox,
) -> servers::Server {
    let key = pagerduty.services()[0].routing_key.clone();
    let environment = [
        ("AM_TOKEN", RECEIVER_TOKEN),
        ("API_TOKEN", API_TOKEN),
        ("SLACK_BOT_TOKEN", slack.options().bot_token.as_str()),
        ("SLACK_SIGNING_SECRET", slack.options().signing_secret.as_str()),
        ("PD_KEY", key.as_str()),
    ];
    servers::smokejumper(folder, settings, port, &environment).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_alert_travels_the_whole_way_and_survives_a_kill_while_it_waits() {
    let mut night = Night::begin().await;
    night.exporter.errors(0.3);

    let waiting = night
        .incident_where("an incident that asks for approval", |incident| {
            incident["phase"] == "awaiting_approval"
        })
        .await;
    assert_eq!(waiting["status"], "triggered");
    assert_eq!(waiting["severity"], "P1");
    assert_eq!(waiting["findings"][0]["status"], "known", "{waiting:#}");
    let opened = eventually("the PagerDuty incident", PATIENCE, || async {
        night.pagerduty.incidents().into_iter().next()
    })
    .await;
    let card = eventually("a card with buttons", PATIENCE, || async {
        let messages = night.slack.messages("#pss-nano-incidents");
        messages.into_iter().find(|message| format!("{message:?}").contains("smokejumper.approve"))
    })
    .await;
    assert_eq!(night.exporter.limits(), 0, "nothing is touched before the approval");

    // Everything must still be there after a kill.
    night.kill_and_restart().await;

    let click = night
        .slack
        .click(&card.channel, &card.ts, "smokejumper.approve", "una")
        .await
        .expect("the button is there");
    assert_eq!(click.status, Some(200), "{click:?}");
    let acted = night
        .incident_where("an action that was carried out", |incident| {
            incident["actions"][0]["status"] == "verifying" || incident["actions"][0]["status"] == "succeeded"
        })
        .await;
    assert_eq!(acted["actions"][0]["approvals"][0], "una: approved");

    let closed = night.incident_where("a closed incident", |incident| incident["status"] == "resolved").await;
    assert_eq!(night.exporter.limits(), 1, "the world was touched once");
    assert_eq!(closed["actions"][0]["status"], "succeeded", "{closed:#}");
    let resolved = eventually("PagerDuty hears of the end", PATIENCE, || async {
        let incident = night.pagerduty.incident(&opened.dedup_key)?;
        incident.resolved_at.is_some().then_some(incident)
    })
    .await;
    assert_eq!(resolved.dedup_key, opened.dedup_key);
    eventually("the card tells the end", PATIENCE, || async {
        let message = night.slack.message(&card.channel, &card.ts)?;
        format!("{message:?}").to_lowercase().contains("resolved").then_some(())
    })
    .await;
    let cards = night.slack.messages("#pss-nano-incidents");
    let top: Vec<_> = cards.iter().filter(|message| message.thread_ts.is_none()).collect();
    assert_eq!(top.len(), 1, "one message an incident");
    assert_eq!(night.smokejumper.terminate(), Some(0), "a clean stop");

    let log: Vec<Value> = night
        .smokejumper
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in: {line}")))
        .collect();
    for message in [
        "an incident was opened",
        "an action is about to start",
        "an action has ended",
        "an incident was resolved",
    ] {
        let line =
            log.iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("no `{message}`"));
        assert_eq!(
            (&line["incident.id"], &line["incident.severity"]),
            (&closed["id"], &json!("P1")),
            "{line}"
        );
        assert_eq!(line["rule.name"], closed["rule"], "{line}");
    }
}
