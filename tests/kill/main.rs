//! SIGKILL at random moments, two hundred times, while webhooks arrive, timers run and actions touch the world.
//!
//! The judges are the stand-ins: what a sender was told is stored must be known (I1), the world is touched at most
//! once for each action (I2), and every level of every incident is told in time (I4).
//! `KILLS=<n>` changes how often, `KILL_SEED=<n>` plays the same moments again.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test starts servers, reads its own options and reports"
)]

mod recorder;

#[path = "../support/servers.rs"]
mod servers;

use recorder::Recorder;
use serde_json::{Value, json};
use servers::{eventually, free_port, http_client};
use smokejumper::sandbox::pagerduty::{PagerDutyOptions, PagerDutySandbox, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const KILLS: u32 = 200;
/// Incidents over the whole run. Fewer than PagerDuty takes of one key in a minute, so that pacing is no excuse.
const SERVICES: u64 = 90;
/// Time between two webhooks.
const POST_EVERY: Duration = Duration::from_millis(25);
/// When the second level is due.
const SECOND_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_secs(3);
/// What is promised after the due time, or after a restart; the start itself comes on top.
const LAG_MAX: jiff::SignedDuration = jiff::SignedDuration::from_secs(32);

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec:
  matchers: ['alertname="Errors"']
  severity: P0
  groupBy: [service]
  escalation: night
  remedies:
    - name: limit
      tier: T2
      action: { http.call: { endpoint: limiter, path: "/{{ labels.service }}" } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: first, after: 0s, destinations: [{ pagerduty: { service: first } }] }
    - { name: second, after: 3s, destinations: [{ pagerduty: { service: second } }] }
  fallback: [{ pagerduty: { service: first } }]
"##;

/// What a sender was told, and by when.
#[derive(Default)]
struct Sent {
    stored: Mutex<BTreeMap<String, String>>,
    refused: Mutex<u64>,
}

struct Run {
    folder: tempfile::TempDir,
    port: u16,
    settings: String,
    environment: Vec<(String, String)>,
}

impl Run {
    async fn start(&self) -> servers::Server {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        servers::smokejumper(self.folder.path(), &self.settings, self.port, &environment).await
    }

    async fn api(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = http_client().get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }
}

fn settings(
    port: u16,
    folder: &std::path::Path,
    pagerduty: &PagerDutySandbox,
    recorder: &Recorder,
) -> String {
    format!(
        r##"
server: {{ listen: "127.0.0.1:{port}" }}
store: {{ url: "sqlite://{}/kill.db" }}
pagerduty:
  events_url: "{}"
  services: {{ first: {{ routing_key: {{ env: PD_FIRST }} }}, second: {{ routing_key: {{ env: PD_SECOND }} }} }}
endpoints: {{ limiter: {{ url: "{}", method: POST }} }}
rules: ["{}/rules.yaml"]
mode: enforce
guardrails:
  cooldown: 0s
  daily_budget: 0
  circuit_breaker: {{ failures: 0 }}
  boot_hold: 0s
  correlation: {{ targets: 0, targets_in_namespace: 0, targets_in_all: 0 }}
  rates: {{ per_target: [{{ count: 10000, window: 1m }}], per_namespace: [], global: [{{ count: 10000, window: 1m }}] }}
"##,
        folder.display(),
        pagerduty.events_url(),
        recorder.url(),
        folder.display(),
    )
}

/// Posts webhooks until told to stop; each alert is new, and each is sent until somebody says that it is stored.
async fn post(port: u16, sent: Arc<Sent>, stop: Arc<AtomicBool>, began: Instant, length: Duration) {
    let client = http_client();
    let url = format!("http://127.0.0.1:{port}/webhooks/alertmanager");
    let mut number = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        // New services come evenly over the whole run; further instances join them.
        let so_far = (began.elapsed().as_secs_f64() / length.as_secs_f64()).min(1.0) * SERVICES as f64;
        let service = format!("s{}", number % (so_far as u64 + 1));
        let instance = format!("i{number}");
        let body = json!({
            "version": "4", "status": "firing", "receiver": "kill", "groupKey": service,
            "alerts": [{
                "status": "firing",
                "labels": { "alertname": "Errors", "service": service, "instance": instance },
                "annotations": {},
                "startsAt": jiff::Timestamp::now().to_string(),
            }],
        });
        let answer = client.post(&url).json(&body).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            sent.stored.lock().expect("not poisoned").insert(instance, service);
        } else {
            *sent.refused.lock().expect("not poisoned") += 1;
        }
        tokio::time::sleep(POST_EVERY).await;
    }
}

/// Approves whatever waits, so that actions are under way when the process dies.
async fn approve(port: u16, stop: Arc<AtomicBool>) {
    let client = http_client();
    let base = format!("http://127.0.0.1:{port}/api/v1/actions");
    while !stop.load(Ordering::SeqCst) {
        if let Ok(answer) = client.get(format!("{base}?status=awaiting_approval")).send().await
            && let Ok(list) = answer.json::<Value>().await
        {
            for action in list["actions"].as_array().into_iter().flatten().take(3) {
                let id = action["id"].as_str().unwrap_or_default();
                let _ = client.post(format!("{base}/{id}/approve")).send().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_late_however_often_the_process_is_killed() {
    let kills = number("KILLS", KILLS);
    let seed = number("KILL_SEED", std::process::id());
    println!("KILL_SEED={seed}");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), RULES).expect("a file");
    let recorder = Recorder::start().await;
    let services = vec![Service::new("first"), Service::new("second")];
    let options = PagerDutyOptions {
        services,
        rate_limited: false,
        record_capacity: 100_000,
        ..PagerDutyOptions::default()
    };
    let pagerduty = PagerDutySandbox::start(options).await.expect("pagerduty");
    let port = free_port();
    let keys = pagerduty.services();
    let environment = vec![
        ("PD_FIRST".to_owned(), keys[0].routing_key.clone()),
        ("PD_SECOND".to_owned(), keys[1].routing_key.clone()),
    ];
    let settings = settings(port, folder.path(), &pagerduty, &recorder);
    let run = Run { folder, port, settings, environment };

    let sent = Arc::new(Sent::default());
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let length = Duration::from_millis(u64::from(kills) * 600);
    let posting = tokio::spawn(post(port, Arc::clone(&sent), Arc::clone(&stop), began, length));
    let approving = tokio::spawn(approve(port, Arc::clone(&stop)));
    let mut random = u64::from(seed) | 1;
    for _ in 0..kills {
        let mut server = run.start().await;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(20 + (random >> 33) % 500)).await;
        server.kill();
    }
    let mut last = run.start().await;
    let restarted_at = jiff::Timestamp::now();
    stop.store(true, Ordering::SeqCst);
    posting.await.expect("the sender ends");
    approving.await.expect("the approver ends");
    judge(&run, &sent, &pagerduty, &recorder, restarted_at).await;
    assert_eq!(last.terminate(), Some(0), "a clean stop");
}

async fn judge(
    run: &Run,
    sent: &Sent,
    pagerduty: &PagerDutySandbox,
    recorder: &Recorder,
    restarted_at: jiff::Timestamp,
) {
    let stored = sent.stored.lock().expect("not poisoned").clone();
    let services: BTreeSet<String> = stored.values().cloned().collect();
    let incidents = eventually("every incident and both of its levels", Duration::from_secs(90), || async {
        let page = run.api("/api/v1/incidents?limit=500").await;
        let incidents = page["incidents"].as_array().cloned().unwrap_or_default();
        let told = pagerduty.incidents().len();
        (incidents.len() >= services.len() && told >= 2 * services.len()).then_some(incidents)
    })
    .await;
    let mut known = BTreeSet::new();
    let mut named = BTreeSet::new();
    for incident in &incidents {
        let id = incident["id"].as_str().expect("an id");
        let detail = run.api(&format!("/api/v1/incidents/{id}")).await;
        // A delivery may be stored although its sender was cut off before the answer: such a service is one more.
        let service = detail["labels"]["service"].as_str().expect("a label").to_owned();
        assert!(named.insert(service.clone()), "one incident for each service, never two: {service}");
        for alert in detail["alerts"].as_array().expect("alerts") {
            known.insert(alert["labels"]["instance"].as_str().unwrap_or_default().to_owned());
        }
        judge_levels(&detail, pagerduty, restarted_at);
    }
    assert!(services.is_subset(&named), "a service without an incident: {:?}", services.difference(&named));
    let lost: Vec<&String> = stored.keys().filter(|instance| !known.contains(*instance)).collect();
    assert!(lost.is_empty(), "I1: {} of {} stored alerts are lost: {lost:?}", lost.len(), stored.len());

    let twice: Vec<(String, u64)> = recorder.calls().into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "I2: the world was touched twice: {twice:?}");
    let refused = *sent.refused.lock().expect("not poisoned");
    println!(
        "{} alerts stored, {refused} refused or cut off, {} incidents, {} acts on the world, {} pages",
        stored.len(),
        incidents.len(),
        recorder.calls().len(),
        pagerduty.events().total(),
    );
    assert!(stored.len() > 100 && recorder.calls().len() > 10, "the run must really do something");
}

/// I4: both levels were told by their due time, or by the last restart, plus what is promised.
fn judge_levels(detail: &Value, pagerduty: &PagerDutySandbox, restarted_at: jiff::Timestamp) {
    let id = detail["id"].as_str().expect("an id");
    let started_at: jiff::Timestamp =
        detail["started_at"].as_str().and_then(|text| text.parse().ok()).expect("a time");
    for (service, after) in [("first", jiff::SignedDuration::ZERO), ("second", SECOND_AFTER)] {
        let due_at = started_at.checked_add(after).expect("in range").max(restarted_at);
        let told = pagerduty
            .incidents()
            .into_iter()
            .find(|incident| incident.service == service && incident.dedup_key.contains(id))
            .unwrap_or_else(|| panic!("I4: level {service} of {id} was never told"));
        let lag = told.opened_at.duration_since(due_at);
        assert!(lag <= LAG_MAX, "I4: level {service} of {id} was told {lag:#} late");
    }
}
