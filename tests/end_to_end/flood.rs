//! A channel that gets more than Slack takes: the others must not wait behind it.

use crate::servers::{self, eventually, free_port, http_client};
use crate::{API_TOKEN, PATIENCE, RECEIVER_TOKEN};
use serde_json::json;
use smokejumper::sandbox::slack::{SlackOptions, SlackSandbox};

/// Incidents for one channel. Slack takes one message a second there, so they take minutes.
const FLOOD: usize = 120;

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: noisy }
spec: { matchers: ['alertname="Noisy"'], severity: P3, groupBy: [instance], escalation: noisy }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: quiet }
spec: { matchers: ['alertname="Quiet"'], severity: P3, groupBy: [instance], escalation: quiet }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: noisy }
spec:
  levels: [{ name: first, after: 0s, destinations: [{ slack: { channel: "#incidents" } }] }]
  fallback: [{ slack: { channel: "#incidents" } }]
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: quiet }
spec:
  levels: [{ name: first, after: 0s, destinations: [{ slack: { channel: "#leads" } }] }]
  fallback: [{ slack: { channel: "#leads" } }]
"##;

async fn post(port: u16, alertname: &str, count: usize) {
    let alert = |number: usize| {
        json!({
            "status": "firing",
            "labels": { "alertname": alertname, "instance": format!("i{number}") },
            "annotations": {},
            "startsAt": jiff::Timestamp::now().to_string(),
        })
    };
    let body = json!({ "version": "4", "alerts": (0..count).map(alert).collect::<Vec<_>>() });
    let url = format!("http://127.0.0.1:{port}/webhooks/alertmanager");
    let answer = http_client().post(url).bearer_auth(RECEIVER_TOKEN).json(&body).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_for_one_channel_delays_no_other_channel() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), RULES).expect("a file");
    let slack = SlackSandbox::start(SlackOptions::default()).await.expect("slack");
    let port = free_port();
    let settings = format!(
        r##"
server: {{ listen: "127.0.0.1:{port}" }}
store: {{ url: "sqlite://flood.db" }}
receivers: {{ alertmanager: {{ bearer_tokens: [{{ env: AM_TOKEN }}] }} }}
api: {{ tokens: [{{ name: tester, role: admin, token: {{ env: API_TOKEN }} }}] }}
slack: {{ api_url: "{}", bot_token: {{ env: SLACK_BOT_TOKEN }} }}
rules: ["rules.yaml"]
"##,
        slack.api_url(),
    );
    let environment = [
        ("AM_TOKEN", RECEIVER_TOKEN),
        ("API_TOKEN", API_TOKEN),
        ("SLACK_BOT_TOKEN", slack.options().bot_token.as_str()),
    ];
    let server = servers::smokejumper(folder.path(), &settings, port, &environment).await;
    post(port, "Noisy", FLOOD).await;
    eventually("the flooded channel hears something", PATIENCE, || async {
        (slack.messages("#incidents").len() >= 2).then_some(())
    })
    .await;
    post(port, "Quiet", 1).await;
    eventually("the quiet channel hears of its incident", PATIENCE, || async {
        (!slack.messages("#leads").is_empty()).then_some(())
    })
    .await;
    let before = slack.messages("#incidents").len();
    assert!(before < FLOOD / 2, "the quiet channel came after {before} messages of the flooded one");

    // The flood itself costs next to nothing: nothing is claimed that could not be sent.
    let url = format!("{}/metrics", server.url());
    let page = http_client().get(url).send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("smokejumper_effects_total{"), "the metric is there:\n{page}");
    let paced: f64 = page
        .lines()
        .filter(|line| line.starts_with("smokejumper_effects_total") && line.contains("paced"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(paced < FLOOD as f64, "{paced} notices were drawn only to hear that they must wait");
}
