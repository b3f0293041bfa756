//! The built binary beside a real Alertmanager.

use crate::servers::{self, Server, eventually, free_port, http_client};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const RECEIVER_TOKEN: &str = "alertmanager-token-for-tests";
const API_TOKEN: &str = "admin-token-for-tests";

/// Generous: a loaded machine with two cores runs everything at once.
const PATIENCE: Duration = Duration::from_secs(90);

const RULES: &str = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec: { matchers: ['alertname="HighErrorRate"'], severity: P1, groupBy: [service] }
"#;

/// The same with somebody to call.
const POLICY: &str = r#"
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels: [{ name: on-call, after: 0s, destinations: [{ pagerduty: { service: shop } }] }]
  fallback: [{ pagerduty: { service: shop } }]
"#;

/// Alertmanager never tells of an end.
fn alertmanager_config(receiver: u16) -> String {
    format!(
        r#"
route: {{ receiver: smokejumper, group_by: [service], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}
receivers:
  - name: smokejumper
    webhook_configs:
      - url: "http://127.0.0.1:{receiver}/webhooks/alertmanager"
        send_resolved: false
        http_config: {{ authorization: {{ credentials: {RECEIVER_TOKEN} }} }}
"#
    )
}

struct Pair {
    folder: tempfile::TempDir,
    alertmanager: Server,
    port: u16,
    smokejumper: Server,
}

impl Pair {
    async fn begin(grace: &str) -> Self {
        Self::begin_with(grace, "", &[]).await
    }

    /// The same with further settings and variables.
    async fn begin_with(grace: &str, more: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let policy = if more.contains("default_policy") { POLICY } else { "" };
        std::fs::write(folder.path().join("rules.yaml"), format!("{RULES}{policy}")).expect("a file");
        let alertmanager = servers::alertmanager(folder.path(), &alertmanager_config(port)).await;
        let settings = format!(
            "server: {{ listen: '127.0.0.1:{port}' }}\n\
             store: {{ url: 'sqlite://{}/s.db' }}\n\
             receivers: {{ alertmanager: {{ bearer_tokens: [{{ env: AM_TOKEN }}] }} }}\n\
             api: {{ tokens: [{{ name: una, role: admin, token: {{ env: API_TOKEN }} }}] }}\n\
             alertmanager:\n  url: '{}'\n  reconcile: {{ every: 500ms, grace: {grace}, receiver: smokejumper }}\n\
             rules: ['rules.yaml']\n{more}\n",
            folder.path().display(),
            alertmanager.url(),
        );
        let environment = [&[("AM_TOKEN", RECEIVER_TOKEN), ("API_TOKEN", API_TOKEN)], variables].concat();
        let smokejumper = servers::smokejumper(folder.path(), &settings, port, &environment).await;
        Self { folder, alertmanager, port, smokejumper }
    }

    /// Prometheus says that an alert fires, or that it has ended.
    async fn prometheus_sends(&self, service: &str, is_over: bool) {
        let now = jiff::Timestamp::now();
        let hour = jiff::SignedDuration::from_hours(1);
        let ends_at = if is_over { now } else { now + hour };
        let alert = json!({
            "labels": { "alertname": "HighErrorRate", "service": service },
            "startsAt": now - hour, "endsAt": ends_at,
        });
        let url = format!("{}/api/v2/alerts", self.alertmanager.url());
        let answer = http_client().post(url).json(&json!([alert])).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = http_client().get(url).bearer_auth(API_TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer
    }

    async fn api(&self, path: &str) -> Value {
        self.get(path).await.json().await.expect("JSON")
    }

    /// A sample of the service's own metrics.
    async fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").await.text().await.expect("a page");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
    }

    async fn incident(&self) -> Option<Value> {
        let page = self.api("/api/v1/incidents").await;
        let id = page["incidents"].get(0)?["id"].as_str()?.to_owned();
        Some(self.api(&format!("/api/v1/incidents/{id}")).await)
    }

    async fn incident_where(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, || async { self.incident().await.filter(|incident| fits(incident)) }).await
    }

    async fn incident_where_id(&self, path: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, PATIENCE, || async { Some(self.api(path).await).filter(|incident| fits(incident)) })
            .await
    }

    /// Waits for so many rounds of the reconciler from now.
    async fn rounds(&self, count: u32) {
        let name = "smokejumper_alertmanager_rounds_total";
        let until = self.metric(name).await + f64::from(count);
        eventually("further rounds", PATIENCE, || async { (self.metric(name).await >= until).then_some(()) })
            .await;
    }
}

impl Pair {
    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer =
            http_client().post(url).bearer_auth(API_TOKEN).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    /// Silences of Alertmanager that are in force.
    async fn silences(&self) -> Vec<Value> {
        let url = format!("{}/api/v2/silences", self.alertmanager.url());
        let all: Vec<Value> =
            http_client().get(url).send().await.expect("an answer").json().await.expect("JSON");
        all.into_iter().filter(|silence| silence["status"]["state"] == "active").collect()
    }

    async fn silences_where(&self, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, PATIENCE, || async {
            let silences = self.silences().await;
            fits(&silences).then_some(silences)
        })
        .await
    }

    /// What Alertmanager says of the alert of a service: `active` or `suppressed`.
    async fn state_of(&self, service: &str) -> Option<String> {
        let url = format!("{}/api/v2/alerts", self.alertmanager.url());
        let all: Vec<Value> =
            http_client().get(url).send().await.expect("an answer").json().await.expect("JSON");
        let found = all.into_iter().find(|alert| alert["labels"]["service"] == service)?;
        found["status"]["state"].as_str().map(str::to_owned)
    }
}

fn says(incident: &Value, reason: &str) -> bool {
    let lines = incident["timeline"].as_array().into_iter().flatten();
    lines.into_iter().any(|line| line["reason"] == reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_alertmanager_never_tells_is_found_by_asking_it() {
    let pair = Pair::begin("1s").await;
    pair.prometheus_sends("api", false).await;
    pair.prometheus_sends("watchdog", false).await;
    eventually("both incidents", PATIENCE, || async {
        let page = pair.api("/api/v1/incidents").await;
        (page["incidents"].as_array()?.len() == 2).then_some(())
    })
    .await;
    pair.rounds(3).await;
    assert_eq!(
        pair.api("/api/v1/incidents?status=open").await["incidents"].as_array().map(Vec::len),
        Some(2)
    );

    pair.prometheus_sends("api", true).await;
    let ended = eventually("an incident that is over", PATIENCE, || async {
        let page = pair.api("/api/v1/incidents?status=resolved").await;
        let id = page["incidents"].get(0)?["id"].as_str()?.to_owned();
        Some(pair.api(&format!("/api/v1/incidents/{id}")).await)
    })
    .await;
    assert_eq!(ended["labels"]["service"], "api", "{ended:#}");
    assert!(says(&ended, "alert_gone"), "{ended:#}");
    assert!((pair.metric("smokejumper_alertmanager_ends_found_total").await - 1.0).abs() < 0.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alertmanager_that_dies_or_forgets_everything_ends_nothing() {
    let mut pair = Pair::begin("1h").await;
    pair.prometheus_sends("api", false).await;
    pair.incident_where("an incident", |_| true).await;
    pair.rounds(2).await;
    pair.alertmanager.kill();
    eventually("the loss is noticed", PATIENCE, || async {
        let silent = pair.metric("smokejumper_alertmanager_peers{kind=\"silent\"}").await;
        (silent > 0.5).then_some(())
    })
    .await;
    pair.rounds(3).await;
    assert_eq!(pair.incident().await.expect("it is there")["status"], "triggered");

    // It comes back on its port without what it knew.
    std::fs::remove_dir_all(pair.folder.path().join("alertmanager")).expect("its state");
    let port = pair.alertmanager.port;
    pair.alertmanager =
        servers::alertmanager_at(port, pair.folder.path(), &alertmanager_config(pair.port)).await;
    eventually("it is asked again", PATIENCE, || async {
        let silent = pair.metric("smokejumper_alertmanager_peers{kind=\"silent\"}").await;
        (silent < 0.5).then_some(())
    })
    .await;
    pair.rounds(3).await;
    assert_eq!(pair.incident().await.expect("it is there")["status"], "triggered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_from_here_is_for_one_alert_there_is_extended_in_place_and_ends_with_the_incident() {
    let pair = Pair::begin("1s").await;
    let hostile = "a\"b\\\\c{x}=~ ,ü";
    for service in [hostile, "other"] {
        pair.prometheus_sends(service, false).await;
    }
    let id = eventually("the incident", PATIENCE, || async {
        let page = pair.api("/api/v1/incidents").await;
        let all = page["incidents"].as_array().cloned().unwrap_or_default();
        for one in all {
            let id = one["id"].as_str().unwrap_or_default().to_owned();
            let incident = pair.api(&format!("/api/v1/incidents/{id}")).await;
            if incident["labels"]["service"] == hostile {
                return Some(id);
            }
        }
        None
    })
    .await;
    let path = format!("/api/v1/incidents/{id}");

    pair.post(&format!("{path}/silence"), json!({ "for": "1h", "reason": "moving it" })).await;
    let set = pair.silences_where("a silence", |all| all.len() == 1).await.remove(0);
    assert_eq!(set["matchers"].as_array().map(Vec::len), Some(2), "exactly the labels of the alert: {set:#}");
    assert!(
        set["comment"].as_str().is_some_and(|text| text.starts_with("moving it [smokejumper ")),
        "{set:#}"
    );
    eventually("it holds", PATIENCE, || async {
        (pair.state_of(hostile).await? == "suppressed").then_some(())
    })
    .await;
    assert_eq!(pair.state_of("other").await.as_deref(), Some("active"));
    pair.incident_where_id(&path, "it shows", |incident| {
        incident["silenced_by"] == "una" && incident["alerts_suppressed"] == 1
    })
    .await;

    pair.post(&format!("{path}/silence"), json!({ "for": "4h" })).await;
    let longer =
        pair.silences_where("a later end", |all| all.len() == 1 && all[0]["endsAt"] != set["endsAt"]);
    assert_eq!(longer.await[0]["id"], set["id"], "extended in place");
    pair.post(&format!("{path}/unsilence"), json!({})).await;
    pair.silences_where("no silence", <[Value]>::is_empty).await;

    // Until it is resolved: Alertmanager says nothing of the end, which is found, and the silence goes with the incident.
    pair.post(&format!("{path}/silence"), json!({})).await;
    pair.silences_where("a silence", |all| all.len() == 1).await;
    pair.prometheus_sends(hostile, true).await;
    pair.incident_where_id(&path, "it is over", |incident| incident["status"] == "resolved").await;
    pair.silences_where("no silence", <[Value]>::is_empty).await;
}

/// A monitor that counts who calls.
async fn monitor() -> (String, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/ping/a-secret-of-some-length", listener.local_addr().expect("bound"));
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap_or(0);
            if head[..read].starts_with(b"GET /ping/a-secret-of-some-length ") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    (url, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heartbeat_stays_away_while_a_next_step_is_missing_in_the_store() {
    let (url, calls) = monitor().await;
    let more = "heartbeat: { url: { env: HEARTBEAT }, every: 200ms }\n\
                pagerduty: { events_url: 'http://127.0.0.1:9', services: { shop: { routing_key: { env: KEY } } } }\n\
                escalation: { default_policy: night }";
    let variables = [("HEARTBEAT", url.as_str()), ("KEY", "a-key-of-some-length")];
    let pair = Pair::begin_with("1h", more, &variables).await;
    eventually("heartbeats", PATIENCE, || async { (calls.load(Ordering::SeqCst) > 2).then_some(()) }).await;
    pair.prometheus_sends("api", false).await;
    pair.incident_where("an incident with a next step", |incident| !incident["next_escalation_at"].is_null())
        .await;

    let withheld = "smokejumper_heartbeats_total{outcome=\"withheld\"}";
    let before = pair.metric(withheld).await;
    let database = rusqlite::Connection::open(pair.folder.path().join("s.db")).expect("it opens");
    database.busy_timeout(PATIENCE).expect("it waits");
    database.execute("DELETE FROM effect WHERE kind = 'wake'", []).expect("it is done");
    eventually("it stays away", PATIENCE, || async { (pair.metric(withheld).await > before).then_some(()) })
        .await;
    let missed = calls.load(Ordering::SeqCst);
    // The step is set anew, so that the next audit passes.
    eventually("it comes again", PATIENCE, || async {
        (calls.load(Ordering::SeqCst) > missed).then_some(())
    })
    .await;
    let log = pair.smokejumper.log();
    assert!(log.contains("the audit failed: what must happen next would not happen"), "{log}");
    assert!(!log.contains("a-secret-of-some-length"), "the address is a secret");
}
