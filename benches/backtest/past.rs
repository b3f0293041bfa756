//! A past of many episodes, and a small Prometheus that remembers it.

use axum::Router;
use axum::extract::{Form, State};
use axum::routing::post;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Rules that answer, and one more kind of alert that none does.
const RULES: u32 = 40;
/// Objects that alerts are about.
const SERVICES: u32 = 2_000;
/// Shortest episode, and how much longer the longest is, in minutes.
const SHORTEST: i64 = 3;
const LONGER: i64 = 50;

/// So many episodes within so many days.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    pub days: i64,
    pub episodes: u32,
}

impl Past {
    pub fn start(self) -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a time")
    }

    pub fn end(self) -> Timestamp {
        self.start() + SignedDuration::from_hours(self.days * 24)
    }

    /// The minutes of an episode, from its first to its last.
    fn minutes(self, number: u32) -> (i64, i64) {
        let whole = self.days * 24 * 60 - SHORTEST - LONGER - 10;
        let first = i64::from(number) * whole / i64::from(self.episodes);
        (first, first + SHORTEST + i64::from(number) * 7_919 % LONGER)
    }

    /// Starts the server.
    pub async fn serve(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = Router::new().route("/api/v1/query_range", post(answer)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    /// The minutes of a question.
    fn asked(self, form: &HashMap<String, String>) -> (i64, i64) {
        let minute = |key: &str| {
            let seconds: f64 = form[key].parse().expect("seconds");
            (seconds as i64 - self.start().as_second()) / 60
        };
        (minute("start"), minute("end"))
    }
}

async fn answer(State(past): State<Past>, Form(form): Form<HashMap<String, String>>) -> String {
    let (first, last) = past.asked(&form);
    let mut text = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
    if form["query"] == "count(up)" {
        series(&mut text, past, &json!({}), first, last);
    } else {
        let mut is_first = true;
        let from = (first - SHORTEST - LONGER) * i64::from(past.episodes) / (past.days * 24 * 60) - 2;
        for number in u32::try_from(from.max(0)).expect("a number")..past.episodes {
            let (begins, ends) = past.minutes(number);
            if begins > last {
                break;
            }
            if ends < first {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                text.push(',');
            }
            series(&mut text, past, &labels(number), begins.max(first), ends.min(last));
        }
    }
    text.push_str("]}}");
    text
}

fn labels(number: u32) -> serde_json::Value {
    let service = number % SERVICES;
    json!({
        "__name__": "ALERTS", "alertstate": "firing", "alertname": format!("Alert{}", number % (RULES + 1)),
        "namespace": format!("n{}", service % 20), "service": format!("s{service}"), "severity": "warning",
        "instance": format!("10.0.{}.{}:9100", service / 250, service % 250), "job": "node",
        // Some objects come again within the day; each time is an episode of its own.
        "round": (number / SERVICES).to_string(),
    })
}

fn series(text: &mut String, past: Past, labels: &serde_json::Value, first: i64, last: i64) {
    write!(text, r#"{{"metric":{labels},"values":["#).expect("a string");
    for minute in first..=last {
        let comma = if minute == first { "" } else { "," };
        let at = past.start().as_second() + minute * 60;
        write!(text, r#"{comma}[{at},"1"]"#).expect("a string");
    }
    text.push_str("]}");
}

/// A third of the rules acts alone, a third asks, and a third only tells.
pub fn rules() -> String {
    let mut text = String::from(
        "apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ slack: { channel: '#on-call' } }] }
    - { name: second, after: 15m, destinations: [{ slack: { channel: '#second' } }] }
    - { name: lead, after: 30m, destinations: [{ pagerduty: { service: lead } }] }
  fallback: [{ slack: { channel: '#on-call' } }]
",
    );
    for number in 0..RULES {
        let remedies = match number % 3 {
            0 => {
                "  remedies:\n    - { name: restart, tier: T1, cooldown: 10m, action: { k8s.rollout_restart: {} } }\n"
            }
            1 => {
                "  remedies:\n    - { name: limit, tier: T2, action: { http.call: { endpoint: waf, path: '/{{ labels.service }}' } } }\n"
            }
            _ => "",
        };
        write!(
            text,
            "---\napiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: rule-{number} }}\nspec:\n  \
             matchers: ['alertname=\"Alert{number}\"']\n  severity: P{}\n  target: {{ kind: Deployment, namespace: '{{{{ labels.namespace }}}}', name: '{{{{ labels.service }}}}' }}\n  escalation: night\n{remedies}",
            number % 3 + 1
        )
        .expect("a string");
    }
    text
}
