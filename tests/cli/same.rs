//! What `explain` says is what `serve` does: the same alert, the same rules, the real service.

use std::time::Duration;

use crate::program::smokejumper;
use crate::servers::{self, Server, eventually, free_port};
use crate::stand_in::StandIn;
use serde_json::{Value, json};

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: climbs }
spec:
  matchers: ['alertname="Climbs"']
  severity: "{{ labels.severity }}"
  groupBy: [service]
  escalation: night
  diagnostics:
    - { name: queue, http.json: { url: 'STAND_IN/queue', pick: { length: /length } } }
    - { name: gone, prom.query: { expr: up } }
  remedies:
    - { name: list, action: { checklist.start: { title: 'Look at {{ labels.service }}', items: [a] } } }
    - { name: hurry, when: findings.queue.length > 10, action: { escalate: {} } }
    - { name: blind, when: findings.gone.value > 0, action: { http.call: { endpoint: waf } } }
    - { name: calm, when: findings.queue.length < 10, action: { http.call: { endpoint: waf } } }
    - { name: limit, tier: T3, action: { http.call: { endpoint: waf, path: '/{{ labels.service }}', body: { text: '{{ findings.queue.text }}' } } } }
    - { name: by-hand, action: { human.task: { title: Mend it, steps: [a] } } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: people }
spec:
  matchers: ['alertname="People"']
  severity: P0
  target: { kind: Deployment, namespace: '{{ labels.namespace }}', name: '{{ labels.service }}' }
  remedies: [{ name: by-hand, action: { human.task: { title: 'Mend {{ labels.service }}', steps: [a] } } }]
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: rehearsed }
spec:
  matchers: ['alertname="Rehearsed"']
  severity: P1
  groupBy: [service]
  dryRun: true
  remedies: [{ name: limit, action: { http.call: { endpoint: waf } } }]
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: unplanned }
spec:
  matchers: ['alertname="Unplanned"']
  severity: P2
  groupBy: [service]
  remedies:
    - { name: limit, action: { http.call: { endpoint: waf, path: '/{{ labels.rack }}' } } }
    - { name: never, action: { escalate: {} } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  acknowledgeWithin: 5m
  levels:
    - { name: on-call, after: 0s, destinations: [{ slack: { channel: '#night' } }] }
    - { name: lead, after: 15m, destinations: [{ slack: { channel: '#leads' } }] }
  fallback: [{ slack: { channel: '#incidents' } }]
"##;

/// Each is one story of the rules above, or of none.
const ALERTS: [&[&str]; 6] = [
    &["Climbs", "service=api", "severity=critical"],
    &["Climbs", "service=web", "severity=strange"],
    &["People", "service=api", "namespace=shop"],
    &["Rehearsed", "service=api"],
    &["Unplanned", "service=api"],
    &["Stranger", "namespace=shop"],
];

fn settings(port: u16, slack: &str, frozen: bool) -> String {
    let freeze = if frozen {
        "guardrails: { boot_hold: 0s, correlation: { within: 0s, all_rules_within: 0s }, freeze_windows: { always: { timeIntervals: [{ times: [{ start_time: '00:00', end_time: '24:00' }] }] } } }\n"
    } else {
        "guardrails: { boot_hold: 0s, correlation: { within: 0s, all_rules_within: 0s } }\n"
    };
    format!(
        "server: {{ listen: '127.0.0.1:{port}' }}\n\
         store: {{ url: 'sqlite://smokejumper-{port}.db' }}\n\
         slack: {{ api_url: '{slack}', bot_token: {{ env: SLACK_BOT_TOKEN }}, default_channel: '#incidents' }}\n\
         endpoints: {{ waf: {{ url: 'http://127.0.0.1:9/limits', method: PUT }} }}\n\
         probes: {{ allow_loopback: true }}\n\
         rules: ['rules.yaml']\n\
         mode: enforce\n{freeze}"
    )
}

fn arguments(alert: &[&str]) -> Vec<String> {
    let labels = alert[1..].iter().map(|label| format!("--label={label}"));
    std::iter::once(format!("--alertname={}", alert[0])).chain(labels).collect()
}

/// The incident of an alert, once everything that the machine does by itself is done.
async fn settled(service: &Server, name: &str, label: &str) -> Value {
    let (key, value) = label.split_once('=').expect("a label");
    let client = servers::http_client();
    let get = async |path: String| -> Value {
        client
            .get(format!("{}{path}", service.url()))
            .send()
            .await
            .expect("answers")
            .json()
            .await
            .expect("JSON")
    };
    eventually("the incident settles", Duration::from_secs(60), async || {
        let page = get("/api/v1/incidents".to_owned()).await;
        for listed in page["incidents"].as_array().expect("incidents") {
            let id = listed["id"].as_str().expect("an id");
            let incident = get(format!("/api/v1/incidents/{id}")).await;
            let labels = &incident["labels"];
            let phase = incident["phase"].as_str().expect("a phase");
            let waits = |action: &Value| action["status"] == "running" && action["tier"] != "T0";
            let acts =
                phase == "acting" && !incident["actions"].as_array().is_some_and(|all| all.iter().any(waits));
            if labels["alertname"] == name && labels[key] == value && phase != "diagnosing" && !acts {
                return Some(incident);
            }
        }
        None
    })
    .await
}

/// What the service wrote of each remedy, without what it only says when it looks a second time; the verdicts of the
/// guardrails are compared in its actions.
fn decided(incident: &Value) -> Vec<String> {
    let timeline = incident["timeline"].as_array().expect("lines");
    let is_decided = |line: &&Value| {
        line["kind"] == "decision" && line["reason"] != "already_tried" && line["reason"] != "guardrails"
    };
    let lines = timeline.iter().filter(is_decided);
    let mut decided: Vec<String> = Vec::new();
    for text in lines.filter_map(|line| line["text"].as_str()) {
        if !decided.iter().any(|known| known == text) {
            decided.push(text.to_owned());
        }
    }
    decided
}

fn explained(alert: &Value) -> Vec<String> {
    let decisions = alert["decisions"].as_array().expect("decisions").iter();
    let taken = decisions.filter(|decision| decision["reason_code"] != "earlier_remedy_taken");
    let text = |decision: &Value, key: &str| decision[key].as_str().expect("a text").to_owned();
    taken
        .map(|one| format!("{}: {}; {}", text(one, "remedy"), text(one, "decision"), text(one, "reason")))
        .collect()
}

fn compare(alert: &Value, incident: &Value) {
    assert_eq!(explained(alert), decided(incident), "{}", alert["labels"]);
    for key in ["rule", "severity", "summary", "target", "runbook", "phase"] {
        assert_eq!(alert[key], incident[key], "{key} of {}", alert["labels"]);
    }
    for action in incident["actions"].as_array().expect("actions") {
        let decisions = alert["decisions"].as_array().expect("decisions");
        let decision = decisions
            .iter()
            .find(|decision| decision["remedy"] == action["remedy"])
            .expect("it is explained");
        assert_eq!(decision["tier"], action["tier"]);
        assert_eq!(decision["guardrails"], action["guardrails"]);
        assert_eq!(
            decision["plan"]["digest"], action["digest"],
            "{} of {}",
            action["remedy"], alert["labels"]
        );
    }
    let told: Vec<&str> = alert["escalation"]
        .as_array()
        .expect("tellings")
        .iter()
        .filter_map(|telling| telling["level"].as_str())
        .collect();
    let lines = incident["timeline"].as_array().expect("lines").iter();
    let reached = lines.filter(|line| line["kind"] == "escalation").filter_map(|line| line["text"].as_str());
    let reached: Vec<&str> =
        reached.filter_map(|text| text.split_once(" is told: ")).map(|(level, _)| level).collect();
    assert_eq!(told[..reached.len()], reached, "{}", alert["labels"]);
}

fn compare_all(frozen: bool) {
    let world = StandIn::start()
        .json("GET /queue", &json!({ "length": 4711 }))
        .json("POST /chat.postMessage", &json!({ "ok": true, "channel": "C1", "ts": "1.1" }));
    let folder = tempfile::tempdir().expect("a folder");
    let rules = RULES.replace("STAND_IN", &world.url);
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
    let port = free_port();
    let settings = settings(port, &world.url, frozen);
    let environment = [("SLACK_BOT_TOKEN", "xoxb-of-some-length")];
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let service = runtime.block_on(servers::smokejumper(folder.path(), &settings, port, &environment));
    for alert in ALERTS {
        let arguments = arguments(alert);
        let url = format!("--url={}", service.url());
        smokejumper(["send", &url].into_iter().chain(arguments.iter().map(String::as_str))).run().good();
        let incident = runtime.block_on(settled(&service, alert[0], alert[1]));
        let at = format!("--at={}", incident["started_at"].as_str().expect("a time"));
        let explain = ["explain", "--config", "smokejumper.yaml", "--diagnose", "--output", "json", &at];
        let explain = explain.into_iter().chain(arguments.iter().map(String::as_str));
        let document = smokejumper(explain).in_folder(folder.path()).run().json();
        compare(&document["alerts"][0], &incident);
    }
}

#[test]
fn explain_says_what_the_service_does() {
    compare_all(false);
}

#[test]
fn explain_says_what_the_service_does_in_a_freeze() {
    compare_all(true);
}
